//! Values that their field can never have, since formats give each value in one spelling: a
//! selection on one would match nothing, and a `not` around it would filter nothing, silently.

use rsigma_parser::SigmaString;
use rsigma_parser::ast::Modifier;
use rsigma_parser::value::{SpecialChar, StringPart};

use super::suggest::quoted;
use crate::domain::candidate::Field;
use crate::formats::spelling;

/// Which part of a field the text has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Start,
    End,
    Anywhere,
}

/// Why no candidate can have the text there, and what to write instead; `None` where one may, and
/// with modifiers that make something else of the text.
pub(super) fn why(field: Field, modifiers: &[Modifier], text: &str) -> Option<String> {
    let mut part = Part::Whole;
    for modifier in modifiers {
        part = match modifier {
            Modifier::StartsWith => Part::Start,
            Modifier::EndsWith => Part::End,
            Modifier::Contains => Part::Anywhere,
            Modifier::All | Modifier::Cased | Modifier::Neq => part,
            _ => return None,
        };
    }
    let pattern = SigmaString::new(text);
    match field {
        Field::FilePath => path(part, &pattern, text),
        Field::FileSha1 | Field::MachineId => digits(field, 40, part, &pattern, text),
        Field::FileSha256 => digits(field, 64, part, &pattern, text),
        Field::FileName => without(&pattern, &['\\', '/']).map(|c| {
            let why = format!("{} is no file.name: such a name has no {c}", quoted(text));
            format!("{why}; the directory stands in file.path")
        }),
        Field::MachineName => {
            let foreign = [' ', '\t', ',', ';', '"', '\'', '\\', '/'];
            let why = |c| format!("{} is no machine.name: such a name has no {c:?}", quoted(text));
            without(&pattern, &foreign).map(why)
        }
        _ => None,
    }
    .or_else(|| {
        let hex = matches!(field, Field::FileSha1 | Field::MachineId | Field::FileSha256);
        let large = text.bytes().any(|b| b.is_ascii_uppercase());
        let cased = hex && large && modifiers.contains(&Modifier::Cased);
        cased.then(|| {
            let small = text.to_ascii_lowercase();
            format!("{} has small letters only; write {small}", field.name())
        })
    })
}

/// The first of these characters that stands there.
fn without(pattern: &SigmaString, foreign: &[char]) -> Option<char> {
    pattern.parts.iter().find_map(|piece| match piece {
        StringPart::Plain(plain) => plain.chars().find(|c| foreign.contains(c)),
        StringPart::Special(_) => None,
    })
}

fn digits(
    field: Field,
    most: usize,
    part: Part,
    pattern: &SigmaString,
    text: &str,
) -> Option<String> {
    let (mut least, mut open) = (0, part != Part::Whole);
    let mut hex = true;
    for piece in &pattern.parts {
        match piece {
            StringPart::Plain(plain) => {
                hex &= plain.bytes().all(|b| b.is_ascii_hexdigit());
                least += plain.len();
            }
            StringPart::Special(SpecialChar::WildcardSingle) => least += 1,
            StringPart::Special(SpecialChar::WildcardMulti) => open = true,
        }
    }
    let fits = if open { least <= most } else { least == most };
    // Zeros stand for "none" in payloads, so that no field keeps them.
    let none =
        part == Part::Whole && pattern.is_plain() && spelling::one(field, text.into()).is_none();
    (!(hex && fits) || none).then(|| {
        let has = match (field, least) {
            _ if !hex => ", and no other characters".to_owned(),
            _ if fits => "; zeros stand for none".to_owned(),
            (Field::FileSha1, 64) => "; this looks like a file.sha256".to_owned(),
            (Field::FileSha256, 40) => "; this looks like a file.sha1".to_owned(),
            (_, 32) => "; this looks like an MD5, which no field has".to_owned(),
            _ => format!("; this has {least}"),
        };
        let name = field.name();
        format!("{} is no {name}: {most} hex digits{has}", quoted(text))
    })
}

fn path(part: Part, pattern: &SigmaString, text: &str) -> Option<String> {
    let plain = |piece: Option<&StringPart>| match piece {
        Some(StringPart::Plain(plain)) => plain.clone(),
        _ => String::new(),
    };
    let slash = |piece: &StringPart| matches!(piece, StringPart::Plain(p) if p.contains('/'));
    if pattern.parts.iter().any(slash) {
        let instead = backslashes(text);
        return Some(format!("file.path has \\ between its parts, never /; write {instead}"));
    }
    let (first, last) = (plain(pattern.parts.first()), plain(pattern.parts.last()));
    if matches!(part, Part::Whole | Part::End) && last.ends_with('\\') {
        let bare = last.trim_end_matches('\\');
        // A drive keeps its own.
        if !bare.is_empty() && !bare.ends_with(':') {
            let instead = text.trim_end_matches('\\');
            return Some(format!("file.path has no \\ at its end; write {instead}"));
        }
    }
    let bytes = first.as_bytes();
    let more = part == Part::Start || pattern.parts.len() > 1;
    let begins = match bytes {
        [] | [b'\\' | b'%', ..] | [_, b':', ..] => true,
        [_] => more,
        _ => false,
    };
    if matches!(part, Part::Whole | Part::Start) && !begins {
        return Some(
            "file.path begins with a drive, \\ or %; for a part of it, use file.path|contains"
                .into(),
        );
    }
    None
}

/// With `\` for each `/`, and `\\` where one would otherwise make the next character a plain one.
fn backslashes(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/' | '\\' | '*' | '?')) => written.push_str("\\\\"),
            ('/', _) => written.push('\\'),
            _ => written.push(c),
        }
    }
    written.trim_end_matches('\\').to_owned()
}
