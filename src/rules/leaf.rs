//! One leaf of a selection: field, modifiers, values.

use rsigma_parser::ast::Modifier;
use rsigma_parser::{DetectionItem, FieldSpec, SigmaValue};

use super::modifier;
use super::notes::Notes;
use super::suggest::{did_you_mean, no_field, quoted};
use super::value::{self, NUMBERS};
use super::yaml::{At, Node};
use crate::domain::candidate::Field;

/// The modifiers that go with the entries of a list: any of them may match. `|all` and `|neq` would
/// ask for all of them, and grow with the list into what nothing can be.
const WITH_LISTS: [Modifier; 5] = [
    Modifier::Expand,
    Modifier::Contains,
    Modifier::StartsWith,
    Modifier::EndsWith,
    Modifier::Cased,
];

/// Reads `field|modifier|…: value`. `None` comes with an error.
pub(super) fn read(
    notes: &mut Notes<'_>,
    key: &At<String>,
    value: &At<Node>,
) -> Option<DetectionItem> {
    let name = key.value.split('|').next().unwrap_or_default();
    let field = read_field(notes, key, name);
    let modifiers = modifier::read(notes, key)?;
    let field = field?;
    let has = |modifier| modifiers.contains(&modifier);
    let is_told = field.told_of().is_some();
    let is_given = notes.formats.given(field) || (is_told && notes.asks);
    if !is_given && !has(Modifier::Exists) {
        let why = match is_told {
            true => format!(
                "no alert has {name}: only Defender knows it, when it is asked; write \
                 unknown: enrich below response"
            ),
            false => format!(
                "no format of this version gives {name}, so nobody would ever know it; remove \
                 it, or ask {name}|exists"
            ),
        };
        notes.error(&key.place, why);
        return None;
    }
    if has(Modifier::Exists) {
        return exists(notes, name, &modifiers, key, value);
    }
    let values = match &value.value {
        Node::List(items) if items.is_empty() => {
            let why = format!("{name} has no value to match; write one, or remove the line");
            notes.error(&value.place, why);
            return None;
        }
        Node::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    modifier::check(notes, key, field, &modifiers, values.len())?;
    if has(Modifier::Expand) {
        return expanded(notes, key, field, &modifiers, values);
    }
    let values: Vec<Option<SigmaValue>> =
        values.iter().map(|value| value::read(notes, field, &modifiers, value)).collect();
    let values = values.into_iter().collect::<Option<Vec<_>>>()?;
    Some(DetectionItem { field: FieldSpec::new(Some(name.to_owned()), modifiers), values })
}

fn read_field(notes: &mut Notes<'_>, key: &At<String>, name: &str) -> Option<Field> {
    let found = Field::parse(name);
    if found.is_none() {
        let message = match name {
            "" | "." => "a field has to stand here first, such as file.name".to_owned(),
            _ if name.contains(['[', ']']) => {
                let bare = name.split('[').next().unwrap_or_default();
                let why = format!("{} selects from a list", quoted(name));
                format!("{why}; a list field matches if one item does: write {bare}")
            }
            _ => no_field(name),
        };
        let place = notes.part(&key.place, &key.value, 0..name.len().max(1).min(key.value.len()));
        notes.error(&place, message);
    }
    found
}

fn exists(
    notes: &mut Notes<'_>,
    name: &str,
    modifiers: &[Modifier],
    key: &At<String>,
    value: &At<Node>,
) -> Option<DetectionItem> {
    if modifiers.len() > 1 {
        let how = format!("write {name}|exists: true, or false");
        notes.error(&key.place, format!("|exists goes with no other modifier; {how}"));
        return None;
    }
    let Node::Bool(expected) = value.value else {
        notes.error(&value.place, format!("{name}|exists is true or false, without quotes"));
        return None;
    };
    let told = Field::parse(name).filter(|field| field.told_of().is_some());
    if let (Some(field), false, false) = (told, expected, notes.denies) {
        let why = match value::certain(field) {
            Some(certain) => format!("; {certain}"),
            None => String::new(),
        };
        let also = "is also true where nobody knows, and lets the rule act there";
        notes.warning(&key.place, format!("{name}|exists: false {also}{why}"));
    }
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
            let read = value::read(&mut within, field, &modifiers, &value);
            let key = (list.to_owned(), entry.place.start);
            match read {
                Some(read) => {
                    notes.problems.append(&mut within.problems);
                    notes.taken.insert(key);
                    values.push(read);
                }
                None => {
                    let asked = format!(" (asked by {})", notes.at(node.place.start));
                    within.problems.iter_mut().for_each(|of_list| of_list.message += &asked);
                    notes.left.push((key, within.problems));
                }
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
        let bare = text.trim_matches('%');
        let example = if notes.lists.get(bare).is_some() { bare } else { "protected-files" };
        let why = format!("|expand takes the name of a list between %, such as '%{example}%'");
        notes.error(&node.place, why);
        return None;
    };
    if notes.lists.get(name).is_none() {
        // What is wrong with one that is there has been told.
        if !notes.lists.is_unread(name) {
            let meant = did_you_mean(name, notes.lists.iter().map(|(name, _)| name));
            let meant = match notes.lists.misnamed(name) {
                Some(file) => format!("; rename lists/{file} to {name}.txt"),
                None if meant.is_empty() => format!("; make lists/{name}.txt"),
                None => meant,
            };
            notes.error(&node.place, format!("there is no list {name}{meant}"));
        }
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
