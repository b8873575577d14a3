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

/// What a failure says: in lines that fit, and the command that goes on from it alone in its line,
/// to be copied. Lines of a file that show a mistake, with a caret below, stay as they are.
pub fn prose(text: &str) -> String {
    let mut shown = String::new();
    for line in text.lines().map(clean) {
        let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        if line.starts_with(' ') || after_number.starts_with('|') {
            shown.push_str(&format!("{line}\n"));
            continue;
        }
        let (said, command) = match line.split_once("; to go on: ") {
            Some((said, command)) => (said, Some(command)),
            None => (line.as_str(), None),
        };
        wrap(said, COLUMNS).iter().for_each(|line| shown.push_str(&format!("{line}\n")));
        shown.extend(command.map(|command| format!("  → {command}\n")));
    }
    shown
}

/// `head`, which takes up `width` columns with the space after it, and `text` in lines beside it.
/// No word and no command is ever cut: text with one that does not fit there stands below, and a
/// longer one still runs over.
pub fn beside(head: &str, width: usize, text: &str) -> String {
    const BELOW: usize = 4;
    let longest = pieces(text).map(|piece| piece.trim_end().chars().count()).max().unwrap_or(0);
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

/// Cuts text into lines of at most `columns`, at spaces where there are any outside of commands.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in pieces(text) {
        let line = lines.last_mut().expect("there is always a line");
        if line.chars().count() + word.trim_end().chars().count() > columns && !line.is_empty() {
            lines.push(word.to_owned());
        } else {
            line.push_str(word);
        }
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The words of a text with the spaces after them; what is to be copied as a whole is one of them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(whole(rest));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// How many bytes stay together at the start of a text: a word, what stands between backticks, or
/// a command. Where a command ends in prose can't be told; a word too many does no harm.
fn whole(text: &str) -> usize {
    const COMMANDS: [&str; 4] = ["lazaret ", "chmod ", "openssl ", "rm "];
    const QUOTED_MAX: usize = 200;
    const ARGUMENTS: usize = 3;
    let word = |from: usize| text[from..].find(' ').map_or(text.len(), |at| from + at + 1);
    let mut end = word(0);
    if let Some((before, quoted)) = text[..end].split_once('`')
        && let Some(close) = text[end - quoted.len()..].find('`').filter(|at| *at < QUOTED_MAX)
    {
        return word(before.len() + 1 + close);
    }
    if !COMMANDS.contains(&text[..end].trim_start_matches('(')) {
        return end;
    }
    let (mut arguments, mut takes_value) = (0, false);
    while end < text.len() && !text[..end].trim_end().ends_with([',', ';', ':', '.', ')']) {
        let next = word(end);
        let is_option = text[end..].starts_with('-');
        arguments += usize::from(!is_option && !takes_value);
        if arguments > ARGUMENTS {
            break;
        }
        (end, takes_value) = (next, is_option);
    }
    end
}

/// Untrusted text for a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(crate::domain::rule::harmless).collect()
}

/// `1 rule`, `2 rules`.
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
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

    #[test]
    fn a_failure_fits_and_nothing_that_is_copied_is_cut() {
        let path = format!("/srv/{}", "p".repeat(75));
        let resume = format!("lazaret resume --sha1 {} --reason TEXT", "c".repeat(40));
        for whole in ["lazaret rules check /etc/lazaret/rules", "chmod 600 /srv/secret", &resume] {
            for before in 0..80 {
                let text = format!("{}lazaret: {whole}; and it goes on", "word ".repeat(before));
                let shown = prose(&text);
                assert!(shown.lines().any(|line| line.contains(whole)), "{shown}");
                assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
                let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(words, text.trim(), "every word is there");
            }
        }
        assert_eq!(prose(&format!("at `{path} x`, as")), format!("at\n`{path} x`,\nas\n"));
        let stopped = prose(&format!("{path} is there; to go on: rm {path}"));
        assert_eq!(stopped, format!("{path}\nis there\n  → rm {path}\n"));
        let long = "x".repeat(50);
        let caret = format!("r.yml:6:1: error: no\n  |\n6 | {long} {long}\n  | ^^^\n");
        assert_eq!(prose(&caret), caret, "a place stays as it is");
        assert_eq!(prose("a stray ` and\x1b[2J"), "a stray ` and\u{fffd}[2J\n");
    }
}
