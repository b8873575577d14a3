//! What stands around a row, read in one go with the row itself.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::table::{ALERT_EVIDENCE, ALERT_INFO, table};
use super::{PassedOver, Properties};
use crate::formats::lenient::{MaybeObject, Text};

/// One record. Of a table that is passed over, the properties are not read.
#[derive(Default)]
pub(super) struct Record<'a> {
    pub time: Text<'a>,
    pub tenant_id: Text<'a>,
    pub category: Text<'a>,
    pub properties: Option<MaybeObject<Properties<'a>>>,
    /// It has a key that rows do not have, and envelopes do.
    pub could_be_envelope: bool,
}

impl Record<'_> {
    /// Whether it is of a table that does not carry the join.
    pub fn passed(&self) -> Option<PassedOver> {
        let table = table(self.category.clone().known().as_deref())?;
        (![ALERT_INFO, ALERT_EVIDENCE].contains(&table)).then_some(PassedOver(table))
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Time,
    TenantId,
    Category,
    Properties,
    #[serde(alias = "value", alias = "specversion", alias = "dataVersion")]
    Records,
    #[serde(other)]
    Other,
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut record = Record::default();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Time => once(&mut record.time, "time", &mut map)?,
                Key::TenantId => once(&mut record.tenant_id, "tenantId", &mut map)?,
                Key::Category => once(&mut record.category, "category", &mut map)?,
                Key::Properties if record.properties.is_some() => {
                    return Err(A::Error::duplicate_field("properties"));
                }
                Key::Properties => {
                    record.properties = Some(if record.passed().is_some() {
                        map.next_value::<IgnoredAny>()?;
                        MaybeObject(None)
                    } else {
                        map.next_value()?
                    });
                }
                Key::Records => {
                    record.could_be_envelope = true;
                    map.next_value::<IgnoredAny>()?;
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }
}

fn once<'de, A: MapAccess<'de>>(
    text: &mut Text<'de>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if *text != Text::Missing {
        return Err(A::Error::duplicate_field(name));
    }
    *text = map.next_value()?;
    Ok(())
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(RecordVisitor)
    }
}
