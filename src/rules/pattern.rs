//! Regular expressions: read before the engine reads them, so that a mistake has a place, and one
//! that costs too much memory or matches everything is refused.

use regex::{Regex, RegexBuilder};
use rsigma_parser::ast::Modifier;

use super::notes::Notes;
use super::yaml::{At, Node};
use crate::domain::candidate::Field;
use crate::limits;

/// Reads the regex of a leaf. `None` comes with an error.
pub(super) fn read(
    notes: &mut Notes<'_>,
    field: Field,
    modifiers: &[Modifier],
    value: &At<Node>,
    text: &str,
) -> Option<Regex> {
    let has = |modifier| modifiers.contains(&modifier);
    let built = RegexBuilder::new(text)
        .case_insensitive(has(Modifier::IgnoreCase))
        .multi_line(has(Modifier::Multiline))
        .dot_matches_new_line(has(Modifier::DotAll))
        .size_limit(limits::REGEX_BYTES)
        .build();
    let (at, why) = match built {
        Ok(regex) if matches_all(&regex) => {
            let how = format!("write {}|exists: true, or say more", field.name());
            (0..text.len(), format!("this regex matches every {}; {how}", field.name()))
        }
        Ok(regex) => return Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            let how = "repeat less, as in {1,20}, or write [a-z0-9_] instead of \\w";
            let why = format!("this regex is too expensive: it takes too much memory; {how}");
            (0..text.len(), why)
        }
        Err(why) => {
            let (at, why) = said(&why.to_string());
            (at.min(text.len())..at.min(text.len()), why)
        }
    };
    let place = notes.part(&value.place, text, at);
    notes.error(&place, why);
    None
}

/// Whether it matches texts that have nothing in common.
fn matches_all(regex: &Regex) -> bool {
    let ascii = || (' '..='~').map(String::from);
    let long = ascii().collect::<String>().repeat(4);
    ascii().chain(["\u{2603}".to_owned(), long]).all(|text| regex.is_match(&text))
}

/// Where and what a regex's own message, of several lines, says is wrong.
fn said(message: &str) -> (usize, String) {
    let is_caret = |line: &&str| line.contains('^') && line.trim_matches([' ', '^']).is_empty();
    let at = message.lines().skip(2).find(is_caret).map_or(0, |line| {
        let before = line.len() - line.trim_start().len();
        // The regex stands above, four columns in.
        let pattern = message.lines().nth(1).unwrap_or_default();
        pattern.chars().take(before).map(char::len_utf8).sum::<usize>().saturating_sub(4)
    });
    let last = message.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    let plain = [
        ("unclosed group", r"this ( is not closed; add its ), or write \( for the character"),
        ("unopened group", r"this ) closes nothing; write \) for the character"),
        ("unclosed character class", r"this [ is not closed; add its ], or write \[ for it"),
        ("repetition operator missing", "nothing stands before this to repeat; any text is .*"),
        (
            "look-around",
            "look-ahead and look-behind are not known here; write a second selection, \
                         and not in the condition",
        ),
        ("backreferences", r"\1 and the like are not known here; write the text again"),
        ("unrecognized escape", r"there is no such escape; \\ is a backslash"),
    ];
    let found = plain.iter().find(|(begins, _)| why.contains(begins));
    let why =
        found.map_or_else(|| format!("this is no regex: {why}"), |(_, why)| (*why).to_owned());
    (at, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_that_matches_everything_is_told_from_one_that_says_little() {
        for all in [".*", ".", "^.*$", "a*", "^.+$", r"(?s).*", r"\S*"] {
            assert!(matches_all(&Regex::new(all).unwrap()), "{all}");
        }
        for some in ["^[^a]", "^.{1,50}$", r"\.exe$", "^[^.]+$", r"^\w", "[0-9]"] {
            assert!(!matches_all(&Regex::new(some).unwrap()), "{some}");
        }
    }

    #[test]
    fn a_message_of_several_lines_becomes_a_place_and_a_sentence() {
        let of = |text: &str| said(&Regex::new(text).unwrap_err().to_string());
        assert_eq!(of("^b(c").0, 2);
        assert_eq!(of("äb(c").0, 3, "bytes, as files count them");
        assert!(of("ab(c").1.starts_with("this ( is not closed"));
        assert!(of("a{2,1}").1.starts_with("this is no regex: "));
    }
}
