//! One leaf of a selection: field, modifiers, values.

use rsigma_parser::ast::Modifier;
use rsigma_parser::{DetectionItem, FieldSpec, SigmaString, SigmaValue};

use super::notes::Notes;
use super::suggest::did_you_mean;
use super::yaml::{At, Node};
use super::{list, never};
use crate::domain::candidate::Field;
use crate::formats::spelling;

/// Sigma's modifiers, as far as a candidate's fields have a use for them.
const MODIFIERS: [&str; 30] = [
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
    "cidr",
    "wide",
    "base64",
    "base64offset",
    "expand",
];

/// The modifiers that go with the entries of a list: any of them may match. `|all` and `|neq` would
/// ask for all of them, and grow with the list into what nothing can be.
const WITH_LISTS: [Modifier; 5] = [
    Modifier::Expand,
    Modifier::Contains,
    Modifier::StartsWith,
    Modifier::EndsWith,
    Modifier::Cased,
];

/// Fields that are numbers, so that they can be compared.
const NUMBERS: [Field; 6] = [
    Field::AlertSeverityRank,
    Field::AlertAge,
    Field::AlertMachines,
    Field::AlertFiles,
    Field::FilePrevalence,
    Field::FileSize,
];

/// Reads `field|modifier|…: value`. `None` comes with an error.
pub(super) fn read(
    notes: &mut Notes<'_>,
    key: &At<String>,
    value: &At<Node>,
) -> Option<DetectionItem> {
    let mut parts = key.value.split('|');
    let name = parts.next().unwrap_or_default();
    let field = read_field(notes, key, name);
    let mut modifiers = Vec::new();
    for written in parts {
        modifiers.push(read_modifier(notes, key, written)?);
    }
    let field = field?;
    let has = |modifier| modifiers.contains(&modifier);
    if !notes.formats.given(field) && !has(Modifier::Exists) {
        let why = format!("no format of this version gives {name}, so nobody would ever know it");
        notes.error(&key.place, format!("{why}; only {name}|exists can be asked"));
        return None;
    }
    if has(Modifier::Exists) {
        return exists(notes, name, &modifiers, key, value);
    }
    let compares = [Modifier::Gt, Modifier::Gte, Modifier::Lt, Modifier::Lte];
    let compares = compares.into_iter().any(has);
    if compares && !NUMBERS.contains(&field) {
        let rank = match field {
            Field::AlertSeverity => "; use alert.severity_rank (3 Medium, 4 High)",
            _ => "",
        };
        notes.error(&key.place, format!("{name} is no number{rank}"));
        return None;
    }
    let values = match &value.value {
        Node::List(items) if items.is_empty() => {
            notes.error(&value.place, format!("{name} has no value to match"));
            return None;
        }
        Node::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if has(Modifier::Expand) {
        return expanded(notes, key, field, &modifiers, values);
    }
    let values: Vec<Option<SigmaValue>> =
        values.iter().map(|value| read_value(notes, field, &modifiers, value)).collect();
    let values = values.into_iter().collect::<Option<Vec<_>>>()?;
    Some(DetectionItem { field: FieldSpec::new(Some(name.to_owned()), modifiers), values })
}

fn read_field(notes: &mut Notes<'_>, key: &At<String>, name: &str) -> Option<Field> {
    let found = Field::parse(name);
    if found.is_none() {
        let message = match name {
            "" | "." => "a leaf has to name a field".to_owned(),
            _ if name.contains(['[', ']']) => {
                format!("{name:?} selects from a list; a list field matches if one item does")
            }
            _ => {
                let names = Field::ALL.iter().map(|field| field.name());
                format!("there is no field {name}{}", did_you_mean(name, names))
            }
        };
        notes.error(&key.place, message);
    }
    found
}

fn read_modifier(notes: &mut Notes<'_>, key: &At<String>, written: &str) -> Option<Modifier> {
    let message = match written {
        "not" => "not is no modifier; negate in the condition: … and not selection".to_owned(),
        "fieldref" => "|fieldref is refused: fields are compared with values only".to_owned(),
        _ if MODIFIERS.contains(&written) => return written.parse().ok(),
        _ => format!("there is no modifier {written:?}{}", did_you_mean(written, MODIFIERS)),
    };
    notes.error(&key.place, message);
    None
}

fn exists(
    notes: &mut Notes<'_>,
    name: &str,
    modifiers: &[Modifier],
    key: &At<String>,
    value: &At<Node>,
) -> Option<DetectionItem> {
    if modifiers.len() > 1 {
        notes.error(&key.place, "|exists goes with no other modifier");
        return None;
    }
    let Node::Bool(expected) = value.value else {
        notes.error(&value.place, format!("{name}|exists is true or false"));
        return None;
    };
    let field = FieldSpec::new(Some(name.to_owned()), modifiers.to_vec());
    Some(DetectionItem { field, values: vec![SigmaValue::Bool(expected)] })
}

/// The leaf with the entries of the lists that its values name in place of the names.
fn expanded(
    notes: &mut Notes<'_>,
    key: &At<String>,
    field: Field,
    modifiers: &[Modifier],
    names: &[At<Node>],
) -> Option<DetectionItem> {
    let name = field.name();
    let lone = modifiers.iter().any(|modifier| !WITH_LISTS.contains(modifier));
    if lone || NUMBERS.contains(&field) {
        let why = match lone {
            true => "|expand goes with contains, startswith, endswith and cased only".to_owned(),
            false => format!("{name} is a number, and lists hold texts"),
        };
        notes.error(&key.place, why);
        return None;
    }
    let modifiers: Vec<Modifier> =
        modifiers.iter().copied().filter(|modifier| *modifier != Modifier::Expand).collect();
    let (lists, mut values, mut sound) = (notes.lists, Vec::new(), true);
    for node in names {
        let Some(list) = named(notes, node) else {
            sound = false;
            continue;
        };
        let entries = &lists.get(list)?.entries;
        for entry in entries {
            let value = At { value: Node::Text(entry.text.clone()), place: entry.place.clone() };
            let mut within = Notes::new(&lists.get(list)?.source, lists, notes.formats);
            let read = read_value(&mut within, field, &modifiers, &value);
            let key = (list.to_owned(), entry.place.start);
            match read {
                Some(read) => {
                    notes.problems.append(&mut within.problems);
                    notes.taken.insert(key);
                    values.push(read);
                }
                None => notes.left.push((key, within.problems)),
            }
        }
        if entries.is_empty() && !notes.denies {
            let why = format!("the list {list} has no entry, so this leaf matches nothing");
            // That its last entry expires is no mistake: what it let act ends with it.
            if lists.get(list)?.expired() > 0 {
                notes.warning(&node.place, format!("{why}: all that it had have expired"));
            } else {
                notes.error(&node.place, format!("{why}; give it one, or remove the leaf"));
                sound = false;
            }
        }
    }
    if values.is_empty() {
        return sound.then(never_true);
    }
    let field = FieldSpec::new(Some(name.to_owned()), modifiers);
    sound.then_some(DetectionItem { field, values })
}

/// The name of a list, which there is.
fn named<'n>(notes: &mut Notes<'_>, node: &'n At<Node>) -> Option<&'n str> {
    let text = match &node.value {
        Node::Text(text) => text.as_str(),
        _ => "",
    };
    let Some(name) = text.strip_prefix('%').and_then(|text| text.strip_suffix('%')) else {
        notes.error(&node.place, "|expand takes the name of a list, such as '%protected-files%'");
        return None;
    };
    if notes.lists.get(name).is_none() {
        let meant = did_you_mean(name, notes.lists.iter().map(|(name, _)| name));
        let meant = if meant.is_empty() { format!("; make lists/{name}.txt") } else { meant };
        notes.error(&node.place, format!("there is no list {name}{meant}"));
        return None;
    }
    Some(name)
}

/// What an empty list matches, known or not: nothing. There is no such field, and whether one is
/// there is always known.
fn never_true() -> DetectionItem {
    let field = FieldSpec::new(Some("an empty list".to_owned()), vec![Modifier::Exists]);
    DetectionItem { field, values: vec![SigmaValue::Bool(true)] }
}

fn read_value(
    notes: &mut Notes<'_>,
    field: Field,
    modifiers: &[Modifier],
    value: &At<Node>,
) -> Option<SigmaValue> {
    let name = field.name();
    let numeric = NUMBERS.contains(&field);
    let message = match &value.value {
        Node::Null => format!("null matches what is not known; use {name}|exists: false"),
        Node::Text(text) if text.is_empty() => {
            format!("no field is an empty text; use {name}|exists: false")
        }
        Node::Text(text) if numeric => format!("{name} is a number, and {text:?} is none"),
        Node::Text(text) if field != Field::FilePath && is_list_name(text) => {
            format!("{text:?} is just that text; to mean a list, write {name}|expand: '{text}'")
        }
        Node::Text(text) => {
            if let Some(why) = never::why(field, modifiers, text) {
                notes.error(&value.place, why);
                return None;
            }
            check_spelling(notes, field, modifiers, value, text)?;
            if modifiers.contains(&Modifier::Re) {
                return Some(SigmaValue::from_raw_string(text));
            }
            if let Some(star) = escaped_wildcard(text) {
                let why = format!("\\{star} is a plain {star} in Sigma, no wildcard");
                let how = format!("write \\\\{star} for a backslash and then anything");
                notes.warning(&value.place, format!("{why}; {how}"));
            }
            return Some(SigmaValue::String(SigmaString::new(text)));
        }
        Node::Integer(_) | Node::Float(_) if !numeric && !parts_of_time(modifiers) => {
            // As a number, 1.10 is 1.1 and a hash of digits is one of many.
            format!("{name} is no number; write the value in quotes")
        }
        Node::Integer(_) | Node::Float(_)
            if field == Field::AlertSeverityRank && !is_rank(&value.value) =>
        {
            format!("{name} is a whole number from 0 (Unknown) to 5 (Critical)")
        }
        Node::Integer(number) => return Some(SigmaValue::Integer(*number)),
        Node::Float(number) => return Some(SigmaValue::Float(*number)),
        Node::Bool(_) => format!("{name} is never true or false; write the value in quotes"),
        Node::List(_) | Node::Map(_) | Node::Foreign(_) => {
            format!("{name} can't match {}", value.value.kind())
        }
    };
    notes.error(&value.place, message);
    None
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
    let known = spelling::known(field);
    let plain = |modifier: &Modifier| matches!(modifier, Modifier::Cased | Modifier::Neq);
    let equality = modifiers.iter().all(plain) && SigmaString::new(text).is_plain();
    if known.is_empty() || !equality || known.iter().any(|one| one.eq_ignore_ascii_case(text)) {
        return Some(());
    }
    let meant = match text.eq_ignore_ascii_case("unspecified") {
        true => "; UnSpecified is read as Unknown".to_owned(),
        false => did_you_mean(text, known.iter().copied()),
    };
    let message = format!("{text:?} is no known value of {}{meant}", field.name());
    if CLOSED.contains(&field) {
        notes.error(&value.place, message);
        return None;
    }
    notes.warning(&value.place, message);
    Some(())
}
