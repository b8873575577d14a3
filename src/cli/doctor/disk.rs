//! The disk below the data directory: room, the time that a sync takes, and the size of the log.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{Finding, Health};
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::limits::{
    DOCTOR_FREE_BYTES, DOCTOR_FREE_INODES, DOCTOR_LOG_BYTES, DOCTOR_SYNC, DOCTOR_SYNCS,
    DOCTOR_SYNCS_WITHIN,
};

/// Blocks for a little more than [`DOCTOR_SYNCS_WITHIN`] at most, unless the disk hangs.
pub(super) fn all(dir: &Path) -> Vec<Finding> {
    // Before the first start the directory is not there yet.
    let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let mut findings = vec![free(there)];
    if dir.is_dir() {
        findings.push(syncs(dir));
        findings.push(log(dir));
    }
    findings
}

/// Room on the file system of a directory.
struct Free {
    bytes: u64,
    /// `None` where there is no end of them.
    inodes: Option<u64>,
}

fn free(dir: &Path) -> Finding {
    match rustix::fs::statvfs(dir) {
        Ok(found) => {
            let inodes = (found.f_files > 0).then_some(found.f_favail);
            judged_free(dir, &Free { bytes: found.f_bavail * found.f_frsize, inodes })
        }
        Err(why) => {
            Finding::new("disk", Health::Fail, format!("can't look at {}: {why}", dir.display()))
        }
    }
}

fn judged_free(dir: &Path, free: &Free) -> Finding {
    let (bytes, inodes) = (free.bytes, free.inodes.unwrap_or(u64::MAX));
    let health = if bytes < DOCTOR_FREE_BYTES.1 || inodes < DOCTOR_FREE_INODES.1 {
        Health::Fail
    } else if bytes < DOCTOR_FREE_BYTES.0 || inodes < DOCTOR_FREE_INODES.0 {
        Health::Warn
    } else {
        Health::Ok
    };
    let mut text = format!("{} MiB free", bytes / (1024 * 1024));
    if inodes < DOCTOR_FREE_INODES.0 {
        text.push_str(&format!(" and room for {inodes} more files"));
    }
    if health != Health::Ok {
        text.push_str(&format!(
            " below {}: make room there, or lower `retention`; a full disk makes senders wait and \
             stops every call",
            dir.display()
        ));
    }
    Finding::new("disk", health, text)
}

/// How long the disk takes to make a page durable, in a file that has no name: nothing is left of
/// it whatever happens.
fn syncs(dir: &Path) -> Finding {
    let clock = SystemClock::new();
    let timed = || {
        let mut file = tempfile::tempfile_in(dir)?;
        let (mut times, began) = (Vec::new(), clock.now().boot);
        while times.len() < DOCTOR_SYNCS && clock.now().boot.since(began) < DOCTOR_SYNCS_WITHIN {
            let started = clock.now().boot;
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            times.push(clock.now().boot.since(started));
        }
        std::io::Result::Ok(times)
    };
    match timed() {
        Ok(times) => judged_syncs(times),
        Err(why) => {
            let how = "the store needs a directory that its account may write to, with room";
            let text = format!("can't write and sync in {}: {why}; {how}", dir.display());
            Finding::new("sync", Health::Fail, text)
        }
    }
}

fn judged_syncs(mut times: Vec<Duration>) -> Finding {
    times.sort();
    let (Some(median), Some(max)) = (times.get(times.len() / 2), times.last()) else {
        return Finding::new("sync", Health::Fail, "no write was durable in time");
    };
    let millis = |time: &Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let text = format!("a sync takes {}, at most {}", millis(median), millis(max));
    let slow = "every acknowledgement waits for one: use a local, faster disk, or see who else \
                writes to it";
    let health = if *median > DOCTOR_SYNC.1 {
        Health::Fail
    } else if *median > DOCTOR_SYNC.0 || *max > DOCTOR_SYNC.1 {
        Health::Warn
    } else {
        return Finding::new("sync", Health::Ok, text);
    };
    Finding::new("sync", health, format!("{text}; {slow}"))
}

fn log(dir: &Path) -> Finding {
    let bytes = dir.join("lazaret.db-wal").metadata().map_or(0, |found| found.len());
    judged_log(bytes)
}

fn judged_log(bytes: u64) -> Finding {
    let size = format!("write-ahead log of {} MiB", bytes / (1024 * 1024));
    if bytes > DOCTOR_LOG_BYTES {
        let how = "somebody reads the store for long, such as a backup or a shell of SQLite: end \
                   that";
        return Finding::new("log", Health::Warn, format!("{size}: {how}"));
    }
    Finding::new("log", Health::Ok, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_warns_and_less_fails_by_bytes_and_by_files() {
        let of = |bytes, inodes| {
            let found = judged_free(Path::new("/data"), &Free { bytes, inodes });
            (found.health, found.text)
        };
        let plenty = DOCTOR_FREE_BYTES.0;
        assert_eq!(of(plenty, None).0, Health::Ok);
        let (health, text) = of(plenty - 1, None);
        assert!(health == Health::Warn && text.contains("2047 MiB free below /data"), "{text}");
        assert_eq!(of(DOCTOR_FREE_BYTES.1 - 1, Some(1_000_000)).0, Health::Fail);
        let (health, text) = of(plenty, Some(DOCTOR_FREE_INODES.0 - 1));
        assert!(health == Health::Warn && text.contains("room for 999 more files"), "{text}");
        assert_eq!(of(plenty, Some(0)).0, Health::Fail);
    }

    #[test]
    fn the_disk_is_judged_by_half_of_its_syncs_and_its_worst() {
        let of = |millis: &[u64]| {
            judged_syncs(millis.iter().map(|n| Duration::from_millis(*n)).collect())
        };
        assert_eq!(of(&[1, 2, 20]).health, Health::Ok);
        assert_eq!(of(&[1, 21, 22]).health, Health::Warn);
        let one = of(&[1, 2, 201]);
        assert!(
            one.health == Health::Warn && one.text.contains("2.0 ms, at most 201.0"),
            "{one:?}"
        );
        assert_eq!(of(&[1, 201, 300]).health, Health::Fail);
        assert_eq!(of(&[]).health, Health::Fail);
    }

    #[test]
    fn nothing_is_left_of_a_measurement_and_where_none_can_be_made_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let found = all(dir.path());
        assert_eq!(found.len(), 3, "{found:?}");
        assert_ne!(found[1].health, Health::Fail, "{found:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // No account may make files there, root included.
        let found = syncs(Path::new("/proc/self"));
        assert!(found.health == Health::Fail && found.text.contains("can't write"), "{found:?}");
    }

    #[test]
    fn a_log_that_is_not_moved_into_the_database_is_told() {
        assert_eq!(judged_log(DOCTOR_LOG_BYTES).health, Health::Ok);
        let found = judged_log(DOCTOR_LOG_BYTES + 1);
        assert!(found.health == Health::Warn && found.text.contains("512 MiB"), "{found:?}");
    }
}
