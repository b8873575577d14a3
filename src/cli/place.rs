//! Which directory of rules `lazaret rules` and `lazaret formats` look at.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::client::{CONFIG_FILE, ConfigArg};
use crate::config::Config;

/// The directory where there is neither one named nor a configuration.
const RULES: &str = "./rules";

/// A directory of rules, as the only argument.
#[derive(Debug, Args)]
pub struct DirArg {
    /// Directory of rules. Default: the one that the configuration names, or ./rules where there
    /// is no configuration
    dir: Option<PathBuf>,
    #[command(flatten)]
    config: NamedBy,
}

/// The configuration that names the directory of rules where the command line does not.
#[derive(Debug, Args)]
pub struct NamedBy {
    /// The configuration that names the directory. Default: lazaret.yaml, where there is one
    #[arg(long, short, env = "LAZARET_CONFIG")]
    config: Option<PathBuf>,
}

impl DirArg {
    /// The directory that is meant.
    pub fn resolve(&self) -> Result<PathBuf, Failure> {
        self.config.resolve(self.dir.as_deref())
    }
}

impl NamedBy {
    /// `dir` if given; else what the configuration says, if there is one; else `./rules`. A
    /// configuration that can't be read is a failure: to check another directory than the one in
    /// force would call it sound.
    pub fn resolve(&self, dir: Option<&Path>) -> Result<PathBuf, Failure> {
        resolve(dir, self.config.as_deref(), Path::new(CONFIG_FILE))
    }

    /// The configuration, if there is one. One that is named has to be there.
    pub fn load(&self) -> Result<Option<Config>, Failure> {
        let file = match self.config.as_deref() {
            None if matches!(Path::new(CONFIG_FILE).try_exists(), Ok(false)) => return Ok(None),
            named => named.unwrap_or(Path::new(CONFIG_FILE)),
        };
        Config::load(file).map(Some).map_err(Failure::usage)
    }
}

/// The same, for commands that ask a service too.
pub fn of_rules(dir: Option<&Path>, config: &ConfigArg) -> Result<PathBuf, Failure> {
    let named = (config.config != Path::new(CONFIG_FILE)).then_some(config.config.as_path());
    resolve(dir, named, Path::new(CONFIG_FILE))
}

fn resolve(dir: Option<&Path>, named: Option<&Path>, usual: &Path) -> Result<PathBuf, Failure> {
    let file = match (dir, named) {
        (Some(dir), _) => return Ok(dir.to_owned()),
        (None, Some(named)) => named,
        (None, None) if matches!(usual.try_exists(), Ok(false)) => return Ok(RULES.into()),
        (None, None) => usual,
    };
    let unread = |why| {
        let how = "so the directory of rules is not known: mend it, or name the directory";
        Failure::usage(format!("{why}\n{how}"))
    };
    Ok(Config::load(file).map_err(unread)?.rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_the_one_named_else_the_configurations_else_the_usual_one() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("lazaret.yaml");
        let dir = |dir: Option<&str>, named: Option<&Path>| {
            resolve(dir.map(Path::new), named, &file).map_err(|why| why.to_string())
        };
        assert_eq!(dir(None, None), Ok("./rules".into()));
        let missing = dir(None, Some(&there.path().join("other.yaml"))).unwrap_err();
        assert!(missing.contains("there is no configuration"), "one that is named has to be there");

        let example = include_str!("../../lazaret.example.yaml");
        std::fs::write(&file, example.replace("rules: ./rules", "rules: ./my-rules")).unwrap();
        assert_eq!(dir(None, None), Ok(there.path().join("my-rules")), "relative to the file");
        assert_eq!(dir(None, Some(&file)), Ok(there.path().join("my-rules")));
        assert_eq!(dir(Some("given"), Some(&file)), Ok("given".into()));

        std::fs::write(&file, "node: [").unwrap();
        let Err(Failure::Usage(why)) = resolve(None, None, &file) else { panic!("exit code 2") };
        assert!(why.contains("lazaret.yaml:1:") && why.contains("name the directory"), "{why}");
        assert_eq!(dir(Some("given"), None), Ok("given".into()), "it is not needed then");
        let named = NamedBy { config: Some(there.path().join("other.yaml")) };
        let Err(Failure::Usage(why)) = named.load() else { panic!("one that is named is there") };
        assert!(why.contains("there is no configuration"), "{why}");
    }
}
