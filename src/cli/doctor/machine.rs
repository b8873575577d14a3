//! What this machine gives to a process: open files and memory.

use std::path::Path;

use super::{Finding, Health};
use crate::app::files;
use crate::config::Config;
use crate::limits::DOCTOR_MEMORY;

/// By the limit of this shell, which a start from it would have; a unit has its own.
pub(super) fn open_files(config: &Config) -> Finding {
    judged_files(config, files::may_have())
}

fn judged_files(config: &Config, may_have: Option<u64>) -> Finding {
    if let Some(why) = files::too_few(config, may_have) {
        return Finding::new("open files", Health::Fail, format!("in this shell {why}"));
    }
    let allowed = may_have.map_or("any number".to_owned(), |count| count.to_string());
    let text = format!("{allowed} allowed, at most {} needed", files::needed(config));
    Finding::new("open files", Health::Ok, text)
}

/// The least limit of the cgroups that this process is in.
pub(super) fn memory() -> Finding {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    judged_memory(limit(Path::new("/sys/fs/cgroup"), &groups))
}

/// `groups` as the kernel writes them: `0::/system.slice/lazaret.service`, or with version 1
/// `5:memory:/docker/1`. A group's limit holds for all below it.
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = root.join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|group| group.starts_with(&root));
        let texts = above.filter_map(|group| std::fs::read_to_string(group.join(file)).ok());
        limits.extend(texts.filter_map(|text| text.trim().parse::<u64>().ok()));
    }
    // Without a limit version 1 says almost 2^63.
    limits.into_iter().min().filter(|limit| *limit < 1 << 60)
}

fn judged_memory(limit: Option<u64>) -> Finding {
    const MIB: u64 = 1024 * 1024;
    match limit {
        None => Finding::new("memory", Health::Ok, "no limit for this process"),
        Some(limit) if limit < DOCTOR_MEMORY => {
            let text = format!(
                "limited to {} MiB, and a burst may take {} MiB: raise MemoryMax of the unit or \
                 the limit of the container, else the kernel kills the service",
                limit / MIB,
                DOCTOR_MEMORY / MIB
            );
            Finding::new("memory", Health::Warn, text)
        }
        Some(limit) => {
            Finding::new("memory", Health::Ok, format!("limited to {} MiB", limit / MIB))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_are_told_with_both_numbers() {
        let text = include_str!("../../../lazaret.example.yaml");
        let config = Config::parse(text, Path::new("lazaret.yaml")).unwrap();
        let found = judged_files(&config, Some(64));
        assert!(found.health == Health::Fail && found.text.contains("LimitNOFILE"), "{found:?}");
        assert_eq!(judged_files(&config, None).health, Health::Ok);
    }

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let groups = "0::/a/b\n";
        assert_eq!(limit(root.path(), groups), None);
        write("a/b/memory.max", "max\n");
        assert_eq!(limit(root.path(), groups), None);
        write("a/memory.max", "134217728\n");
        assert_eq!(limit(root.path(), groups), Some(128 * 1024 * 1024));
        write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(root.path(), "5:memory:/c\n"), None);
        write("memory/c/memory.limit_in_bytes", "268435456\n");
        assert_eq!(limit(root.path(), "5:memory:/c\n"), Some(256 * 1024 * 1024));

        let found = judged_memory(Some(128 * 1024 * 1024));
        assert!(found.health == Health::Warn && found.text.contains("128 MiB"), "{found:?}");
        assert_eq!(judged_memory(Some(DOCTOR_MEMORY)).health, Health::Ok);
    }
}
