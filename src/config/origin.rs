//! Where a configuration came from, and whether that still says the same.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The text that a configuration was made of.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// `None` where the text was in no file.
    path: Option<PathBuf>,
    /// SHA-256, in hex, of the text: which configuration it was, for the record.
    pub hash: String,
}

impl Origin {
    pub(super) fn new(text: &str) -> Self {
        Self { path: None, hash: hash(text.as_bytes()) }
    }

    pub(super) fn read_from(&mut self, path: &Path) {
        self.path = Some(path.to_owned());
    }

    /// The file that it was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What to tell once the file is not any more what was read; nothing of what differs, which may
    /// be a secret. By its content: a file that was only touched is the same. Reads the file.
    pub fn changed(&self) -> Option<String> {
        let path = self.path.as_deref()?;
        let shown = path.display();
        match std::fs::read(path) {
            Ok(text) if hash(&text) == self.hash => None,
            Ok(_) => Some(format!("{shown} was changed since the start: restart to apply")),
            Err(why) => Some(format!(
                "{shown} can't be read any more: {why}; the service goes on with what it read at \
                 its start, and would not start again"
            )),
        }
    }
}

fn hash(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const EXAMPLE: &str = include_str!("../../lazaret.example.yaml");

    #[test]
    fn a_file_that_says_something_else_is_told_and_one_that_was_touched_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lazaret.yaml");
        std::fs::write(&path, EXAMPLE).unwrap();
        let origin = Config::load(&path).unwrap().origin;
        assert_eq!(origin.changed(), None);
        let later = EXAMPLE.replace("mode: observe", "mode: approve") + "# hunter2";
        std::fs::write(&path, later).unwrap();
        let told = origin.changed().unwrap();
        let said = "lazaret.yaml was changed since the start: restart to apply";
        assert!(told.ends_with(said) && !told.contains("hunter2"), "{told}");
        std::fs::remove_file(&path).unwrap();
        assert!(origin.changed().unwrap().contains("can't be read any more"));
        std::fs::write(&path, EXAMPLE).unwrap();
        assert_eq!(origin.changed(), None, "the same content at another time");
    }
}
