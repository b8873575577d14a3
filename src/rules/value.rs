//! One value of a leaf: whether its field can ever have it, and what was meant instead.

use regex::Regex;
use rsigma_parser::ast::Modifier;
use rsigma_parser::value::{SpecialChar, StringPart};
use rsigma_parser::{SigmaString, SigmaValue};

use super::notes::Notes;
use super::response::parse_duration;
use super::suggest::{did_you_mean, quoted};
use super::yaml::{At, Node};
use super::{list, never, pattern};
use crate::domain::alert::severity_rank;
use crate::domain::candidate::Field;
use crate::formats::spelling;

/// Fields that are numbers, so that they can be compared.
pub(super) const NUMBERS: [Field; 6] = [
    Field::AlertSeverityRank,
    Field::AlertAge,
    Field::AlertMachines,
    Field::AlertFiles,
    Field::FilePrevalence,
    Field::FileSize,
];

/// Reads a value. `None` comes with an error.
pub(super) fn read(
    notes: &mut Notes<'_>,
    field: Field,
    modifiers: &[Modifier],
    value: &At<Node>,
) -> Option<SigmaValue> {
    let name = field.name();
    let is_number = NUMBERS.contains(&field);
    let message = match age_in_seconds(field, &value.value).as_ref().unwrap_or(&value.value) {
        Node::Null => {
            let written = notes.source.text.get(value.place.clone()).unwrap_or_default();
            match written.trim().is_empty() {
                true => format!("{name} has no value to match; write one, or {}", none_of(field)),
                false => format!("null matches what is not known; {}", none_of(field)),
            }
        }
        Node::Text(text) if text.is_empty() => {
            format!("no field is an empty text; {}", none_of(field))
        }
        Node::Text(text) if is_number => {
            format!("{name} is a number, and {} is none{}", quoted(text), as_number(field, text))
        }
        Node::Text(text) if field != Field::FilePath && is_list_name(text) => {
            let how = format!("to mean a list, write {name}|expand: '{text}'");
            format!("{} is just that text; {how}", quoted(text))
        }
        Node::Text(text) => return read_text(notes, field, modifiers, value, text),
        Node::Integer(_) | Node::Float(_) if field == Field::AlertSeverity => {
            "alert.severity is a word such as High; for numbers use alert.severity_rank".to_owned()
        }
        Node::Integer(_) | Node::Float(_) if !is_number && !parts_of_time(modifiers) => {
            // As a number, 1.10 is 1.1 and a hash of digits is one of many.
            format!("{name} is no number; write the value in quotes")
        }
        Node::Integer(_) | Node::Float(_)
            if field == Field::AlertSeverityRank && !is_rank(&value.value) =>
        {
            format!("{name} is a whole number from 0 (Unknown) to 5 (Critical)")
        }
        Node::Integer(number) => match constant(field, modifiers, *number as f64) {
            Some(why) => why,
            None => return Some(SigmaValue::Integer(*number)),
        },
        Node::Float(number) => match constant(field, modifiers, *number) {
            Some(why) => why,
            None => return Some(SigmaValue::Float(*number)),
        },
        Node::Bool(is) if field == Field::FilePe => {
            return Some(SigmaValue::String(SigmaString::new(pe(*is))));
        }
        Node::Bool(_) if !spelling::known(field).is_empty() => {
            format!("{name} is never true or false{}", known(field))
        }
        Node::Bool(_) => format!("{name} is never true or false; write the value in quotes"),
        Node::List(_) => {
            format!("{name} can't match a list in a list; write one list, such as [a, b]")
        }
        Node::Map(_) | Node::Foreign(_) => {
            let how = "write the value itself, or a list of values";
            format!("{name} can't match {}; {how}", value.value.kind())
        }
    };
    notes.error(&value.place, message);
    None
}

/// An age with its unit, as the number that the field is.
fn age_in_seconds(field: Field, value: &Node) -> Option<Node> {
    match value {
        Node::Text(text) if field == Field::AlertAge => seconds(text).map(Node::Integer),
        _ => None,
    }
}

/// An age as rules write it: `2h`.
pub(super) fn seconds(text: &str) -> Option<i64> {
    parse_duration(text).and_then(|span| i64::try_from(span.as_secs()).ok())
}

/// Whether Defender tells that there is none.
fn can_be_none(field: Field) -> bool {
    [Field::FileSigner, Field::FilePublisher, Field::MachineTags].contains(&field)
}

/// How a condition says that there is none, for certain, where Defender can tell.
pub(super) fn certain(field: Field) -> Option<String> {
    let name = field.name();
    can_be_none(field).then(|| {
        format!("that there is none, for certain, is x: {{{name}: '*'}} and in the condition not x")
    })
}

/// How to ask for a field that has no value.
fn none_of(field: Field) -> String {
    let (name, also) = (field.name(), "also true where nobody knows");
    match certain(field) {
        Some(certain) => format!("{certain}; {name}|exists: false is {also}"),
        None => format!("use {name}|exists: false, which is {also}"),
    }
}

/// As `file.pe` says it.
pub(super) fn pe(is: bool) -> &'static str {
    if is { "True" } else { "False" }
}

fn read_text(
    notes: &mut Notes<'_>,
    field: Field,
    modifiers: &[Modifier],
    value: &At<Node>,
    text: &str,
) -> Option<SigmaValue> {
    if let Some(why) = never::why(field, modifiers, text) {
        notes.error(&value.place, why);
        return None;
    }
    if modifiers.contains(&Modifier::Re) {
        let regex = pattern::read(notes, field, modifiers, value, text)?;
        check_matches(notes, field, value, |known| regex.is_match(known))?;
        return Some(SigmaValue::from_raw_string(text));
    }
    let sigma = SigmaString::new(text);
    let any = |piece: &StringPart| *piece == StringPart::Special(SpecialChar::WildcardMulti);
    // Of these, a `not` around it says that there is none, for certain: `|exists` can't.
    if sigma.parts.iter().all(any) && !can_be_none(field) {
        let name = field.name();
        let why = format!("this matches every {name}; write {name}|exists: true, or say more");
        notes.error(&value.place, why);
        return None;
    }
    check_spelling(notes, field, modifiers, value, text)?;
    if let Some(star) = escaped_wildcard(text) {
        let why = format!("\\{star} is a plain {star} in Sigma, no wildcard");
        let how = format!("write \\\\{star} for a backslash and then anything");
        // No file of Windows has one in its name.
        if star == '*' && matches!(field, Field::FilePath | Field::FileName) {
            notes.error(&value.place, format!("{why}; {how}"));
            return None;
        }
        notes.warning(&value.place, format!("{why}; {how}"));
    }
    Some(SigmaValue::String(sigma))
}

/// What number a text means, for messages.
fn as_number(field: Field, text: &str) -> String {
    let rank = spelling::known(Field::AlertSeverity);
    let rank = rank.iter().find(|word| word.eq_ignore_ascii_case(text));
    if text.starts_with(['>', '<', '=']) {
        return format!("; to compare, write {0}|gte or {0}|lte and a number", field.name());
    }
    match (field, rank) {
        (Field::AlertSeverityRank, Some(word)) => format!("; {word} is {}", severity_rank(word)),
        (Field::AlertSeverityRank, None) => "; 3 is Medium, 4 is High, 5 is Critical".to_owned(),
        (Field::AlertAge, _) => "; write a number and s, m, h or d, such as 2h".to_owned(),
        (Field::FileSize, _) => "; it counts bytes: a megabyte is 1000000".to_owned(),
        _ => "; write digits, without quotes".to_owned(),
    }
}

/// Why a comparison says the same of every number that the field can be.
fn constant(field: Field, modifiers: &[Modifier], number: f64) -> Option<String> {
    if !NUMBERS.contains(&field) {
        return None;
    }
    let most = if field == Field::AlertSeverityRank { 5.0 } else { f64::INFINITY };
    let says = modifiers.iter().find_map(|modifier| match modifier {
        Modifier::Gte if number <= 0.0 => Some("always"),
        Modifier::Gt if number < 0.0 => Some("always"),
        Modifier::Lte if number >= most => Some("always"),
        Modifier::Lt if number > most => Some("always"),
        Modifier::Lt if number <= 0.0 => Some("never"),
        Modifier::Lte if number < 0.0 => Some("never"),
        Modifier::Gt if number >= most => Some("never"),
        _ => None,
    });
    let says = says.or_else(|| (number < 0.0).then_some("never"))?;
    let to = if most.is_finite() { "0 to 5" } else { "0 up" };
    Some(format!("{} goes from {to}, so this is {says} true; mend it or remove it", field.name()))
}

fn is_list_name(text: &str) -> bool {
    text.strip_prefix('%').and_then(|text| text.strip_suffix('%')).is_some_and(list::is_name)
}

fn is_rank(node: &Node) -> bool {
    matches!(node, Node::Integer(0..=5))
}

/// Whether a number is asked of a text after all: the hour, or another part of a time.
fn parts_of_time(modifiers: &[Modifier]) -> bool {
    use Modifier::{Day, Hour, Minute, Month, Week, Year};
    [Minute, Hour, Day, Week, Month, Year].iter().any(|part| modifiers.contains(part))
}

/// The wildcard that a single backslash before it makes a plain character: right in a few names,
/// and in a path such as `C:\Windows\*` a filter that filters nothing.
fn escaped_wildcard(text: &str) -> Option<char> {
    let mut backslashes = 0;
    for c in text.chars() {
        match c {
            '\\' => backslashes += 1,
            '*' | '?' if backslashes % 2 == 1 => return Some(c),
            _ => backslashes = 0,
        }
    }
    None
}

/// Enumerations whose values are all known, so that another is a mistake. A severity has a rank and
/// an entity is one of two, or there is no candidate. The API that updates alerts takes only these
/// values of status and classification, and reads give `Unknown` besides. The others stay open:
/// Microsoft adds categories, determinations, states of investigations and detection sources, and
/// its reference lists no values of an evidence's `detectionStatus`.
const CLOSED: [Field; 4] =
    [Field::AlertSeverity, Field::AlertStatus, Field::AlertClassification, Field::FileEntity];

/// An equality with a value that no payload is known to have is a typing error more often than not:
/// refused where the enumeration is closed, and told where a payload may bring it after all.
fn check_spelling(
    notes: &mut Notes<'_>,
    field: Field,
    modifiers: &[Modifier],
    value: &At<Node>,
    text: &str,
) -> Option<()> {
    let values = spelling::known(field);
    let plain = |modifier: &Modifier| matches!(modifier, Modifier::Cased | Modifier::Neq);
    let sigma = SigmaString::new(text);
    let equality = modifiers.iter().all(plain) && sigma.is_plain();
    if values.is_empty() || values.iter().any(|one| one.eq_ignore_ascii_case(text)) {
        return Some(());
    }
    if !equality {
        let regex = as_regex(modifiers, &sigma);
        return check_matches(notes, field, value, |known| {
            regex.as_ref().is_none_or(|regex| regex.is_match(known))
        });
    }
    let several = text.split(',').map(str::trim);
    let is_known = |one: &str| values.iter().any(|known| known.eq_ignore_ascii_case(one));
    let near = did_you_mean(text, values.iter().copied());
    let is_near = !near.is_empty();
    let meant = match text.eq_ignore_ascii_case("unspecified") {
        true => "; UnSpecified is read as Unknown".to_owned(),
        false if text.contains(',') && several.clone().any(is_known) => {
            format!(
                "; for any of several, write a list: [{}]",
                several.collect::<Vec<_>>().join(", ")
            )
        }
        false if text.contains(" - ") => {
            "; each item of a list begins in the same column, with its -".to_owned()
        }
        false if is_near => near,
        false => known(field),
    };
    let message = format!("{} is no known value of {}{meant}", quoted(text), field.name());
    // A value that is nearly a known one is a slip; one that is far may be new.
    if CLOSED.contains(&field) || is_near {
        notes.error(&value.place, message);
        return None;
    }
    notes.warning(&value.place, message);
    Some(())
}

/// The values that are known for a field, where they are few enough to be told.
pub(super) fn known(field: Field) -> String {
    const MOST: usize = 24;
    match spelling::known(field) {
        [] => String::new(),
        values if values.len() <= MOST => format!("; known are {}", values.join(", ")),
        _ => String::new(),
    }
}

/// Refuses what matches none of the values that a closed enumeration has.
fn check_matches(
    notes: &mut Notes<'_>,
    field: Field,
    value: &At<Node>,
    matches: impl Fn(&str) -> bool,
) -> Option<()> {
    let values = spelling::known(field);
    if !CLOSED.contains(&field) || values.iter().any(|one| matches(one)) {
        return Some(());
    }
    let why = format!("this matches no value of {}{}", field.name(), known(field));
    notes.error(&value.place, why);
    None
}

/// A text with wildcards as a regex, in small and large letters alike; `None` with modifiers that
/// make something else of it.
fn as_regex(modifiers: &[Modifier], sigma: &SigmaString) -> Option<Regex> {
    let (mut begins, mut ends) = ("^", "$");
    for modifier in modifiers {
        match modifier {
            Modifier::Contains => (begins, ends) = ("", ""),
            Modifier::StartsWith => ends = "",
            Modifier::EndsWith => begins = "",
            Modifier::All | Modifier::Cased | Modifier::Neq => {}
            _ => return None,
        }
    }
    let part = |part: &StringPart| match part {
        StringPart::Plain(plain) => regex::escape(plain),
        StringPart::Special(SpecialChar::WildcardSingle) => ".".to_owned(),
        StringPart::Special(SpecialChar::WildcardMulti) => ".*".to_owned(),
    };
    let within: String = sigma.parts.iter().map(part).collect();
    Regex::new(&format!("(?is){begins}{within}{ends}")).ok()
}
