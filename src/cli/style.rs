//! Colour on a terminal, plain text elsewhere, and tables that fit 80 columns.

use std::io::IsTerminal as _;

/// Paints text when standard output is a terminal and `NO_COLOR` is not set.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
}

impl Style {
    pub fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal() }
    }

    #[cfg(test)]
    pub fn plain() -> Self {
        Self { colour: false }
    }

    fn paint(self, code: &str, text: impl std::fmt::Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    pub fn bold(self, text: impl std::fmt::Display) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: impl std::fmt::Display) -> String {
        self.paint("2", text)
    }

    pub fn good(self, text: impl std::fmt::Display) -> String {
        self.paint("32", text)
    }

    pub fn bad(self, text: impl std::fmt::Display) -> String {
        self.paint("31", text)
    }

    pub fn notice(self, text: impl std::fmt::Display) -> String {
        self.paint("33", text)
    }

    pub fn accent(self, text: impl std::fmt::Display) -> String {
        self.paint("36", text)
    }
}

/// Columns padded to their widest cell. Control characters never reach the terminal.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count());
            line.push_str(&clean(cell));
            line.push_str(&" ".repeat(pad + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// For `--json`: one line on standard output.
pub fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string(value).expect("a report is plain data"));
}

/// What the output of commands and their help is made to fit, on a wide terminal and in a pipe.
pub const COLUMNS: usize = 80;

/// `head`, which takes up `width` columns with the space after it, and `text` in lines beside it.
/// A word is never cut: text with one that does not fit there stands below, and a longer one still
/// runs over.
pub fn beside(head: &str, width: usize, text: &str) -> String {
    const BELOW: usize = 4;
    let longest = text.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
    let fits = width + longest <= COLUMNS;
    let indent = if fits { width } else { BELOW };
    let lines = wrap(text, COLUMNS.saturating_sub(indent));
    let lines = lines.join(&format!("\n{}", " ".repeat(indent)));
    if fits {
        format!("{head}{lines}\n")
    } else {
        format!("{head}\n{}{lines}\n", " ".repeat(BELOW))
    }
}

/// Cuts text into lines of at most `columns`, at spaces where there are any.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.chars().count() + word.trim_end().chars().count() > columns && !line.is_empty() {
            lines.push(word.to_owned());
        } else {
            line.push_str(word);
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Untrusted text for a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(crate::domain::rule::harmless).collect()
}

/// A length of time as people say it: `45 s`, `12 min`, `3 h`, `2 d`.
pub fn ago(span: std::time::Duration) -> String {
    match span.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beside_its_head_fits_and_no_word_is_cut() {
        let text = "the quick brown fox jumps over the lazy dog and then over another one";
        let shown = beside("name  ", 6, &format!("{text} {text}"));
        assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
        assert!(shown.starts_with("name  the quick") && shown.lines().count() == 2, "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.starts_with("      ")), "{shown}");

        let id = "f".repeat(64);
        let head = format!("{:<24}", "rule set");
        assert_eq!(beside(&head, 24, &id), format!("{head}\n    {id}\n"));
        let path = "p".repeat(100);
        assert_eq!(beside("", 0, &path), format!("\n    {path}\n"), "it runs over, whole");
    }
}
