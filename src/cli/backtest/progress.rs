//! How far it is, on a terminal.

use std::io::{IsTerminal as _, Write as _};

/// A bar on standard error; only where both that and standard output are terminals, and only if
/// there is much to do. It is gone when it is dropped.
pub struct Progress {
    total: u64,
    unit: &'static str,
    /// How much one of the unit is.
    of: u64,
    /// Of hundred, what is shown; `None` where nothing is.
    shown: Option<u64>,
    shows: bool,
}

impl Progress {
    /// `total` is `0` where nobody knows it: then there is no bar.
    pub fn new(total: u64, unit: &'static str, of: u64) -> Self {
        let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Self { total, unit, of, shown: None, shows: terminal && total > of }
    }

    /// Shows that so much is done, if it has changed.
    pub fn show(&mut self, done: u64) {
        if !self.shows {
            return;
        }
        let percent = done.min(self.total) * 100 / self.total;
        if self.shown != Some(percent) {
            self.shown = Some(percent);
            // Where it can't be shown, nothing is lost.
            let _ = write!(std::io::stderr(), "\r{}", self.bar(percent, done));
        }
    }

    fn bar(&self, percent: u64, done: u64) -> String {
        let full = usize::try_from(percent).unwrap_or(100) * 30 / 100;
        let (done, total) = (done / self.of, self.total / self.of);
        format!("[{:30}] {percent:3} %, {done} of {total} {}", "#".repeat(full), self.unit)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fits_and_ends_full() {
        let progress = Progress::new(1_234_000_000_000, "MB", 1_000_000);
        assert!(!progress.shows || progress.shown.is_none());
        let bar = progress.bar(40, 493_600_000_000);
        assert_eq!(bar, "[############                  ]  40 %, 493600 of 1234000 MB");
        assert!(progress.bar(100, 1_234_000_000_000).starts_with(&format!("[{}]", "#".repeat(30))));
        assert!(bar.len() < super::super::COLUMNS);
    }
}
