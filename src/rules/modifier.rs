//! The modifiers of a leaf: those there are, and whether they go with each other and the field.

use rsigma_parser::ast::Modifier;

use super::notes::Notes;
use super::suggest::{did_you_mean, quoted};
use super::value::NUMBERS;
use super::yaml::At;
use crate::domain::candidate::Field;
use crate::formats::mapped::{Kind, kind};

/// Sigma's modifiers, as far as a candidate's fields have a use for them.
const MODIFIERS: [&str; 26] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "cased",
    "exists",
    "re",
    "i",
    "ignorecase",
    "m",
    "multiline",
    "s",
    "dotall",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "windash",
    "expand",
];

/// Of which a leaf has one at most.
const OPERATORS: [Modifier; 8] = [
    Modifier::Contains,
    Modifier::StartsWith,
    Modifier::EndsWith,
    Modifier::Re,
    Modifier::Gt,
    Modifier::Gte,
    Modifier::Lt,
    Modifier::Lte,
];

const COMPARE: [Modifier; 4] = [Modifier::Gt, Modifier::Gte, Modifier::Lt, Modifier::Lte];

/// What is asked of texts only.
const OF_TEXT: [Modifier; 6] = [
    Modifier::Contains,
    Modifier::StartsWith,
    Modifier::EndsWith,
    Modifier::Re,
    Modifier::Cased,
    Modifier::WindAsh,
];

/// Fields that may be lists, besides those whose kind is.
const LISTS: [Field; 2] = [Field::FileRole, Field::AlertProviderId];

/// Reads the modifiers of a key. `None` comes with an error.
pub(super) fn read(notes: &mut Notes<'_>, key: &At<String>) -> Option<Vec<Modifier>> {
    let mut modifiers = Vec::new();
    let mut at = key.value.find('|').unwrap_or(key.value.len());
    for written in key.value.split('|').skip(1) {
        let here = at + 1..at + 1 + written.len();
        at = here.end;
        match read_one(written) {
            Ok(modifier) => modifiers.push(modifier),
            Err(why) => {
                let place = notes.part(&key.place, &key.value, here);
                notes.error(&place, why);
                return None;
            }
        }
    }
    Some(modifiers)
}

fn read_one(written: &str) -> Result<Modifier, String> {
    let no = || format!("there is no modifier {}", quoted(written));
    Err(match written {
        "not" => "not is no modifier; negate in the condition: … and not selection".to_owned(),
        "fieldref" => {
            "|fieldref is refused: fields are compared with values only; write the value".to_owned()
        }
        "cidr" => "no field here is an IP address, so |cidr has nothing to match".to_owned(),
        "base64" | "base64offset" | "wide" | "utf16" | "utf16le" | "utf16be" => {
            format!("no field here holds encoded text; remove |{written}")
        }
        _ if MODIFIERS.contains(&written) => return written.parse().map_err(|_| no()),
        _ => match did_you_mean(written.trim(), MODIFIERS) {
            meant if !meant.is_empty() => no() + &meant,
            _ => {
                let usual = "contains, startswith, endswith, re, exists, gte, lte, expand";
                format!("{}; the usual ones are {usual}", no())
            }
        },
    })
}

/// Whether the modifiers go together, and with a field and so many values. `None` comes with an
/// error.
pub(super) fn check(
    notes: &mut Notes<'_>,
    key: &At<String>,
    field: Field,
    modifiers: &[Modifier],
    values: usize,
) -> Option<()> {
    match wrong(key, field, modifiers, values) {
        None => Some(()),
        Some(why) => {
            notes.error(&key.place, why);
            None
        }
    }
}

/// What does not go together, if anything.
fn wrong(key: &At<String>, field: Field, modifiers: &[Modifier], values: usize) -> Option<String> {
    use Modifier::{All, Day, Hour, Minute, Month, Week, Year};
    let name = field.name();
    let one_of = |these: &[Modifier]| modifiers.iter().any(|modifier| these.contains(modifier));
    let operators = modifiers.iter().filter(|modifier| OPERATORS.contains(modifier)).count();
    let is_list = kind(field) == Kind::List || LISTS.contains(&field);
    let is_number = NUMBERS.contains(&field);
    if operators > 1 {
        let written = key.value.split_once('|').map_or("", |(_, modifiers)| modifiers);
        let written = written.replace('|', " and ");
        Some(format!("{written} don't go together; write one leaf for each"))
    } else if one_of(&COMPARE) && !is_number {
        let rank = match field {
            Field::AlertSeverity => "; use alert.severity_rank (3 Medium, 4 High, 5 Critical)",
            _ => "",
        };
        Some(format!("{name} is no number{rank}"))
    } else if one_of(&OF_TEXT) && is_number {
        let how = format!("write {name}: 4, or compare it, as in {name}|gte: 4");
        Some(format!("{name} is a number, not a text; {how}"))
    } else if one_of(&[Minute, Hour, Day, Week, Month, Year]) && kind(field) != Kind::Time {
        Some(format!("{name} is no time; ask alert.created or alert.updated"))
    } else if one_of(&[All]) && operators == 0 && values > 1 && !is_list {
        let how = match one_of(&[Modifier::Neq]) {
            true => "remove |all: neq of a list is none of them",
            false => "remove |all, and one of them is enough",
        };
        Some(format!("{name} has one value and can't be all of these; {how}"))
    } else {
        None
    }
}
