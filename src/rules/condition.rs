//! The condition of a detection: read, and where it can't be read, what is wrong with it. The
//! engine's parser only says where it stopped.

use std::ops::Range;

use rsigma_parser::parse_condition;
use rsigma_parser::{ConditionExpr, Quantifier};

use super::notes::Notes;
use super::suggest::did_you_mean;
use super::yaml::{At, Node};
use crate::domain::candidate::Field;
use crate::limits;

/// Reads the condition over the selections of these names. `None` comes with an error.
pub(super) fn read(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    names: &[&At<String>],
) -> Option<ConditionExpr> {
    let text = match &node.value {
        Node::Text(text) if !text.trim().is_empty() => text,
        other => {
            let is = match other {
                Node::Text(_) | Node::Null => "empty",
                other => other.kind(),
            };
            let why = format!("the condition is {is}; write one text, such as {}", example(names));
            notes.error(&node.place, why);
            return None;
        }
    };
    // Before the engine's parser, which recurses, sees it.
    if text.len() > limits::CONDITION_BYTES {
        let most = limits::CONDITION_BYTES;
        let why = format!("the condition is longer than {most} bytes");
        notes.error(&node.place, format!("{why}; put more into its selections"));
        return None;
    }
    let words = text.split(|c: char| !(c.is_alphanumeric() || "_-*.".contains(c)));
    let nots = words.filter(|word| word.eq_ignore_ascii_case("not")).count();
    if nots + text.matches('(').count() > limits::CONDITION_NESTS {
        let most = limits::CONDITION_NESTS;
        let why = format!("the condition has more than {most} nots and parentheses");
        notes.error(&node.place, format!("{why}; put more into its selections"));
        return None;
    }
    match parse_condition(text) {
        Ok(expression) => Some(expression),
        Err(why) => {
            let (at, why) = diagnose(text).unwrap_or_else(|| {
                let column = why.location().map_or(1, |at| at.col as usize);
                let at = column.saturating_sub(1).min(text.len());
                (at..at, format!("the condition can't be read here; {KNOWS}"))
            });
            let place = notes.part(&node.place, text, at);
            notes.error(&place, why);
            None
        }
    }
}

const KNOWS: &str = "it knows and, or, not, parentheses, 1 of NAME*, all of NAME*";

/// A condition that takes all selections, for messages.
pub(super) fn example(names: &[&At<String>]) -> String {
    let usable = names.iter().map(|name| name.value.as_str()).filter(|name| can_be_named(name));
    let names: Vec<&str> = usable.collect();
    match &names[..] {
        [] => "1 of them".to_owned(),
        few if few.len() <= 4 => few.join(" and "),
        _ => "all of them".to_owned(),
    }
}

/// Whether a condition can name such a selection.
pub(super) fn can_be_named(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !name.is_empty() && name.bytes().all(fits) && !RESERVED.contains(&name)
}

/// Whether a condition reads the word as something else.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

const RESERVED: [&str; 7] = ["and", "or", "not", "of", "all", "any", "them"];

/// The words of a condition, and its other characters one by one, each with its place.
fn tokens(text: &str) -> Vec<(Range<usize>, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || "_-*.".contains(c);
    let mut tokens: Vec<(Range<usize>, &str)> = Vec::new();
    for (at, c) in text.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        let end = at + c.len_utf8();
        match tokens.last_mut() {
            Some((place, word)) if place.end == at && is_word(c) && word.ends_with(is_word) => {
                place.end = end;
                *word = &text[place.clone()];
            }
            _ => tokens.push((at..end, &text[at..end])),
        }
    }
    tokens
}

/// What a person most likely got wrong, and where; `None` where nobody knows.
fn diagnose(text: &str) -> Option<(Range<usize>, String)> {
    let tokens = tokens(text);
    let (mut open, mut wants_selection) = (Vec::new(), true);
    let mut at = 0;
    while let Some((place, word)) = tokens.get(at) {
        let next = tokens.get(at + 1).map(|(_, word)| *word);
        let said = |why: String| Some((place.clone(), why));
        if let Some(why) = foreign(word, next) {
            return said(why);
        }
        match *word {
            "(" | "not" if !wants_selection => {
                return said(format!("and or or is missing before this {word}"));
            }
            "(" => open.push(place.clone()),
            "not" => {}
            ")" | "and" | "or" if wants_selection => {
                return said(format!("a selection is missing before this {word}"));
            }
            ")" if open.pop().is_none() => {
                return said("this ) closes nothing; remove it".to_owned());
            }
            ")" => {}
            "and" | "or" => wants_selection = true,
            _ if !wants_selection => {
                return said(format!("and or or is missing before {word}"));
            }
            "all" | "any" if next != Some("of") => {
                return said(format!("write {word} of them, or {word} of NAME*"));
            }
            "of" | "them" => return said(format!("before {word} comes a number, as in 1 of them")),
            _ if next == Some("of") => {
                at += 2;
                wants_selection = false;
                if tokens.get(at).is_none() {
                    return said("after of comes them, or NAME*".to_owned());
                }
            }
            _ => wants_selection = false,
        }
        at += 1;
    }
    if wants_selection {
        let (last, word) = tokens.last()?;
        return Some((last.clone(), format!("a selection is missing after this {word}")));
    }
    open.pop().map(|place| (place, "this ( is not closed; add its )".to_owned()))
}

/// What other languages write in a condition.
fn foreign(word: &str, next: Option<&str>) -> Option<String> {
    let small = word.to_lowercase();
    Some(match word {
        "&" => "write and instead of &".to_owned(),
        "|" if next == Some("|") => "write or instead of ||".to_owned(),
        "|" => "a rule looks at one alert; to count, write a correlation in a file of its own, \
                of type event_count or value_count (docs/correlations.md)"
            .to_owned(),
        "!" => "write not instead of !".to_owned(),
        "," => "write and, or write or, instead of a comma".to_owned(),
        "(" | ")" => return None,
        _ if small != word && RESERVED.contains(&&*small) => {
            format!("write {small}, in small letters")
        }
        _ if Field::parse(word).is_some() => {
            format!("{word} is a field; put it into a selection, and name that here")
        }
        _ if word.contains('.')
            || !word.starts_with(|c: char| c.is_alphanumeric() || "_-*".contains(c)) =>
        {
            format!("a condition has no {word}; {KNOWS}")
        }
        _ => return None,
    })
}

/// Checks that every name in the condition is a selection, and notes which are used.
pub(super) fn check_references<'n>(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    expression: &ConditionExpr,
    names: &[&'n At<String>],
    used: &mut Vec<&'n str>,
) {
    let all = || names.iter().map(|name| name.value.as_str());
    match expression {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            for part in parts {
                check_references(notes, node, part, names, used);
            }
        }
        ConditionExpr::Not(part) => check_references(notes, node, part, names, used),
        ConditionExpr::Identifier(name) => match all().find(|n| n == name) {
            Some(found) => used.push(found),
            None => {
                let why = format!("there is no selection {name}{}", meant(name, all()));
                let place = place_of(notes, node, name);
                notes.error(&place, why);
            }
        },
        ConditionExpr::Selector { quantifier, pattern } => {
            let found: Vec<&str> = all().filter(|n| pattern.matches_detection_name(n)).collect();
            let most = found.len() as u64;
            match quantifier {
                _ if found.is_empty() => {
                    let place = place_of(notes, node, &pattern.to_string());
                    let why = format!("no selection is named {pattern}{}", meant("", all()));
                    notes.error(&place, format!("{why}; rename one, or remove this"));
                }
                Quantifier::Count(0) => {
                    let why = format!("0 of {pattern} is always true; remove it");
                    notes.error(&place_of(notes, node, &format!("0 of {pattern}")), why);
                }
                Quantifier::Count(n) if *n > most => {
                    let why = format!("{n} of {pattern} can't be: there are {most}");
                    let place = place_of(notes, node, &format!("{n} of {pattern}"));
                    notes.error(&place, format!("{why}; write all of {pattern}"));
                }
                _ => {}
            }
            used.extend(found);
        }
    }
}

/// Which selection was meant, or which there are.
pub(super) fn meant<'c>(name: &str, all: impl Iterator<Item = &'c str> + Clone) -> String {
    let near = if name.is_empty() { String::new() } else { did_you_mean(name, all.clone()) };
    let names: Vec<&str> = all.take(10).collect();
    match near.is_empty() {
        true if names.is_empty() => String::new(),
        true => format!("; there are {}", names.join(", ")),
        false => near,
    }
}

fn place_of(notes: &Notes<'_>, node: &At<Node>, word: &str) -> Range<usize> {
    let Node::Text(text) = &node.value else { return node.place.clone() };
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let whole = |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    };
    let at = text.match_indices(word).map(|(at, _)| at).find(whole);
    at.map_or_else(|| node.place.clone(), |at| notes.part(&node.place, text, at..at + word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_condition_is_told_where_it_is() {
        for (text, at, wanted) in [
            ("a AND b", 2, "write and, in small letters"),
            ("a && b", 2, "write and instead of &"),
            ("a || b", 2, "write or instead of ||"),
            ("!a", 0, "write not instead of !"),
            ("a, b", 1, "write and, or write or, instead of a comma"),
            ("(a and (b or c)", 0, "this ( is not closed; add its )"),
            ("a) and b", 1, "this ) closes nothing; remove it"),
            ("a b", 2, "and or or is missing before b"),
            ("a (b)", 2, "and or or is missing before this ("),
            ("a and or b", 6, "a selection is missing before this or"),
            ("a and not", 6, "a selection is missing after this not"),
            ("all them", 0, "write all of them, or all of NAME*"),
            ("1 of", 0, "after of comes them, or NAME*"),
            ("of them", 0, "before of comes a number, as in 1 of them"),
            (
                "a | count() > 5",
                2,
                "a rule looks at one alert; to count, write a correlation in a file of its own, of \
                 type event_count or value_count (docs/correlations.md)",
            ),
        ] {
            assert!(parse_condition(text).is_err(), "{text}");
            let (place, why) = diagnose(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((place.start, why.as_str()), (at, wanted), "{text}");
        }
    }

    #[test]
    fn what_reads_well_gets_no_diagnosis() {
        for text in ["a", "not a", "1 of a* and not (b or 2 of them)", "all of them or a-b"] {
            assert!(parse_condition(text).is_ok(), "{text}");
            assert_eq!(diagnose(text), None, "{text}");
        }
    }
}
