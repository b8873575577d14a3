//! What the YAML reader says, in the words of the person who wrote the file, and at the place that
//! has to be mended where it can be found.

use std::ops::Range;

/// Where a mistake stands, and what it is and how it is mended.
pub(super) fn plain(text: &str, message: &str, place: Range<usize>) -> (Range<usize>, String) {
    let says = |part: &str| message.contains(part);
    if let Some(told) = structure(text, message, &place) {
        return told;
    }
    let (place, why) = if says("DuplicateKeyPolicy") {
        (place, "this key stands twice; remove one, or write both values as a list")
    } else if says("from_str_multiple") {
        (place, "a file holds one rule: put this second document into a file of its own")
    } else if says("budget breached") || says("alias") && says("limit") {
        (place, "anchors and aliases make too much of this file; write out what they stand for")
    } else if says("unknown anchor") {
        let why = "nothing has this anchor; a text that begins with * stands in quotes, as '*.exe'";
        (place, why)
    } else if let Some(c) = unexpected(message) {
        return (place, begins_with(c));
    } else if says("expected string scalar") {
        (place, "a text that begins with { stands in quotes, as \"{{alert.id}}\"")
    } else if says("quoted scalar") && (says("hexadecimal") || says("escape")) {
        (place, "between double quotes \\ begins an escape; write single quotes, as 'C:\\Temp'")
    } else if says("unclosed quote") {
        (place, "this quote is not closed; write the same quote at the end of the text")
    } else if let Some(open) = open_bracket(text, place.clone(), message) {
        let close = if text[open..].starts_with('[') { ']' } else { '}' };
        return (open..open + 1, format!("this is not closed; write {close} where it ends"));
    } else if says("mapping values are not allowed") {
        return values(text, place);
    } else if says("block mapping") && says("expected key") {
        let why = "this line does not begin where the keys of its mapping do; indent it alike";
        (place, why)
    } else {
        return (place, message.to_owned());
    };
    (place, why.to_owned())
}

/// What is wrong with how lines and their parts follow each other.
fn structure(text: &str, message: &str, place: &Range<usize>) -> Option<(Range<usize>, String)> {
    let says = |part: &str| message.contains(part);
    let here = |why: &str| Some((place.clone(), why.to_owned()));
    if says("tabs disallowed") || says("found a tab") {
        let tab = tab_from(text, line_at(text, place.start).1).unwrap_or(place.start);
        return Some((tab..tab, "a tab can't indent in YAML; write spaces".to_owned()));
    }
    if says("trailing content") {
        return here("a text goes on behind its quote; put all of it between the quotes");
    }
    if says("block sequence entries") {
        return here(
            "a list of items with - begins in the line below its key, or is written [a, b]",
        );
    }
    if says("simple key expected") {
        return here("this line is no key with a colon and no item with -; write one of the two");
    }
    if says("block scalar") {
        return here("this begins a text of several lines; to compare, write FIELD|gte: 4");
    }
    None
}

/// The first tab that indents a line, from one line's start on.
fn tab_from(text: &str, start: usize) -> Option<usize> {
    let mut at = start;
    for line in text.get(start..)?.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t') {
            return Some(at + tab);
        }
        at += line.len();
    }
    None
}

/// A colon that ends no key: in a text, or after a line whose own colon has no space behind it.
fn values(text: &str, place: Range<usize>) -> (Range<usize>, String) {
    let (line, start) = line_at(text, place.start);
    if let Some((at, quote)) = line.char_indices().find(|(_, c)| "“”„‘’".contains(*c)) {
        let at = start + at;
        let why = format!("{quote} is no quote in YAML; write \" or '");
        return (at..at + quote.len_utf8(), why);
    }
    let before = text[..start].trim_end();
    let (above, above_at) = line_at(text, before.len().saturating_sub(1));
    let key = |line: &str| {
        let colon = line.find(':')?;
        let name = line[..colon].trim_start();
        let is_key = !name.is_empty() && !name.contains(' ');
        is_key.then_some(colon)
    };
    // `key:value` is one text, which goes on in the lines below.
    if let Some(colon) = key(above)
        && above[colon + 1..].starts_with(|c: char| !c.is_whitespace())
        && key(line).is_some_and(|colon| start + colon == place.start)
    {
        let at = above_at + colon;
        return (at..at + 1, "a space has to stand behind the colon of a key".to_owned());
    }
    // So is a line without a colon, and the next key goes on with it.
    let is_first = key(line).is_some_and(|colon| start + colon == place.start);
    if is_first && !above.contains(':') && above.trim_start().starts_with(char::is_alphabetic) {
        let at = above_at + (above.len() - above.trim_start().len());
        let word = above.split_whitespace().next().unwrap_or_default();
        let end = at + word.len();
        return (at..end, format!("no colon stands behind this key; write {word}:"));
    }
    (place, "a text with a colon and a space stands in quotes, as \"a: b\"".to_owned())
}

fn unexpected(message: &str) -> Option<char> {
    message.split("unexpected character: `").nth(1)?.chars().next()
}

fn begins_with(c: char) -> String {
    let example = match c {
        '@' => "'@.sha1'",
        '%' => "'%SystemRoot%'",
        _ => return format!("a text that begins with {c} stands in quotes"),
    };
    format!("a text that begins with {c} stands in quotes, as {example}")
}

/// The bracket that is open there, where that is what is wrong: the reader only sees that something
/// stands where it can't.
fn open_bracket(text: &str, place: Range<usize>, message: &str) -> Option<usize> {
    let of_brackets =
        ["unclosed bracket", "illegal placement", "flow", "did not find expected ','"];
    if !of_brackets.iter().any(|part| message.contains(part)) {
        return None;
    }
    // One that the reader names stands there already.
    let end = if message.contains("unclosed bracket") { text.len() } else { place.start };
    let (mut open, mut quote, mut comment) = (Vec::new(), None, false);
    let mut before = '\n';
    for (at, c) in text[..end].char_indices() {
        match (c, quote) {
            ('\n', _) => comment = false,
            _ if comment => {}
            (c, Some(mark)) if c == mark => quote = None,
            (_, Some(_)) => {}
            ('#', None) if before.is_whitespace() => comment = true,
            ('"' | '\'', None) if before.is_whitespace() || "[{,(".contains(before) => {
                quote = Some(c);
            }
            ('[' | '{', None) if before.is_whitespace() || "[{,".contains(before) => open.push(at),
            (']' | '}', None) => drop(open.pop()),
            _ => {}
        }
        before = c;
    }
    open.pop()
}

/// The line of a byte, and where it starts.
fn line_at(text: &str, at: usize) -> (&str, usize) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[start..].find('\n').map_or(text.len(), |end| start + end);
    (&text[start..end], start)
}
