//! The section `candidates`: where pairs of file and machine stand.

use super::fields::{self, Scope};
use crate::domain::candidate::Field;
use crate::formats::mapped::Block;
use crate::limits::MAPPED_LEVELS;
use crate::rules::notes::Notes;
use crate::rules::yaml::{At, Node};

/// Reads the section.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Vec<Block> {
    blocks(notes, node, &[])
}

/// `above` are the fields that the pairs share already.
fn blocks(notes: &mut Notes<'_>, node: &At<Node>, above: &[Vec<Field>]) -> Vec<Block> {
    if above.len() == MAPPED_LEVELS {
        let why = format!("candidates stand in candidates at most {MAPPED_LEVELS} deep");
        notes.error(&node.place, why);
        return Vec::new();
    }
    let items = notes.items(node, "candidates").unwrap_or_default();
    if let (Node::List(_), []) = (&node.value, items) {
        notes.error(&node.place, "candidates is empty; an alert without files leads to nothing");
    }
    items.iter().filter_map(|item| block(notes, item, above)).collect()
}

fn block(notes: &mut Notes<'_>, node: &At<Node>, above: &[Vec<Field>]) -> Option<Block> {
    let entries = notes.entries(node, "candidates")?;
    let mut block = Block::default();
    let mut inner = None;
    for (key, value) in entries {
        match (key.value.as_str(), Field::parse(&key.value)) {
            ("each", _) => {
                block.each = fields::paths(notes, value, Scope::Candidate).unwrap_or_default();
            }
            ("candidates", _) => inner = Some(value),
            (name, Some(field)) if !name.starts_with("alert.") => {
                if above.iter().flatten().any(|other| *other == field) {
                    let why = format!("{name} is given twice: here, and by what this lies in");
                    notes.error(&key.place, why);
                }
                let mapping = fields::mapping(notes, value, Some(field), Scope::Candidate);
                block.fields.extend(mapping.map(|mapping| (field, mapping)));
            }
            (name, Some(_)) => {
                let why = format!("{name} is the alert's; map it in the section alert");
                notes.error(&key.place, why);
            }
            _ if ["machine", "file", "eac", "for"].contains(&key.value.as_str()) => {
                notes.unknown_key(key, "candidates", &["each", "candidates", "machine.id"]);
            }
            _ => fields::refuse_key(notes, key, "", false),
        }
    }
    let own: Vec<Field> = block.fields.iter().map(|(field, _)| *field).collect();
    let all = [above, &[own]].concat();
    if let Some(inner) = inner {
        block.within = blocks(notes, inner, &all);
        return Some(block);
    }
    for field in [Field::MachineId, Field::FileSha1] {
        if !entries.iter().any(|(key, _)| key.value == field.name())
            && !all.iter().flatten().any(|own| *own == field)
        {
            let why = format!("{} is missing: without it nothing can act", field.name());
            notes.error(&node.place, why);
        }
    }
    Some(block)
}
