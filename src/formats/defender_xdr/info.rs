//! Rows of `AlertInfo`: the alert itself.

use std::borrow::Cow;

use super::{Properties, snapshot};
use crate::domain::candidate::{Field, Fields, Value};
use crate::domain::join::Part;
use crate::formats::Format;
use crate::formats::lenient::{Text, Texts};
use crate::formats::read::{self, set_known};

pub(super) fn alert_info(row: Properties<'_>) -> Part {
    let created = read::time(&row.timestamp);
    let mut fields = Fields::default();
    fields.set_text(Field::AlertFormat, Format::DefenderXdr.as_str());
    if created.is_some() {
        set_known(&mut fields, Field::AlertCreated, row.timestamp);
    }
    for (field, text) in [
        (Field::AlertId, row.alert_id),
        (Field::AlertTitle, row.title),
        (Field::AlertSeverity, row.severity),
        (Field::AlertCategory, row.category),
        (Field::AlertServiceSource, row.service_source),
        (Field::AlertDetectionSource, row.detection_source),
    ] {
        set_known(&mut fields, field, text);
    }
    set_techniques(&mut fields, row.attack_techniques);
    read::set_severity_rank(&mut fields);
    Part::Alert { created, fields: snapshot(&fields) }
}

/// `["Masquerading (T1036)"]` as JSON in a text: of each the number, where it has one.
fn set_techniques(fields: &mut Fields<'_>, text: Text<'_>) {
    let Text::Is(text) = text else { return };
    if text.trim().is_empty() {
        return fields.set(Field::AlertTechniques, Value::Empty);
    }
    let Ok(Texts::Are(list)) = serde_json::from_str(&text) else { return };
    let number = |one: &str| {
        let inside = one.rsplit_once('(').and_then(|(_, end)| end.strip_suffix(')'));
        inside.unwrap_or(one).to_owned()
    };
    let list: Vec<Cow<'_, str>> = list.iter().map(|one| Cow::Owned(number(one))).collect();
    let value = if list.is_empty() { Value::Empty } else { Value::List(list) };
    fields.set(Field::AlertTechniques, value);
}
