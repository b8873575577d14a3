//! The formats that a source may name: those that are built in, and those of the rules' directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Cut, Format, Mapped, PassedOver, Refused, ToldHosts, envelope, split};
use crate::domain::alert::{Alert, Unreadable};
use crate::domain::candidate::Field;

/// A format, whoever wrote it.
#[derive(Clone, Debug)]
pub enum Reader {
    BuiltIn(Format),
    Mapped(Arc<Mapped>),
}

/// All formats by name. The built-in ones are always there.
#[derive(Clone, Debug)]
pub struct Formats(BTreeMap<String, Reader>);

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no format {0:?}; use {1}, or write one as formats/{0}.yml in the rules' directory"
)]
pub struct NoFormat(String, String);

impl Default for Formats {
    fn default() -> Self {
        let built_in = Format::ALL.into_iter();
        Self(built_in.map(|one| (one.as_str().to_owned(), Reader::BuiltIn(one))).collect())
    }
}

impl Formats {
    /// Adds a format of a file; its name is no other's.
    pub fn add(&mut self, mapped: Mapped) {
        self.0.insert(mapped.name.clone(), Reader::Mapped(Arc::new(mapped)));
    }

    pub fn find(&self, name: &str) -> Result<&Reader, NoFormat> {
        self.0.get(name).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            NoFormat(name.to_owned(), names)
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those of files.
    pub fn mapped(&self) -> impl Iterator<Item = &Arc<Mapped>> {
        self.0.values().filter_map(|reader| match reader {
            Reader::Mapped(mapped) => Some(mapped),
            Reader::BuiltIn(_) => None,
        })
    }

    /// Whether an alert of some format can have that field.
    pub fn given(&self, field: Field) -> bool {
        self.0.values().any(|reader| reader.gives(field))
    }
}

impl Reader {
    /// See [`Format::decode`].
    pub fn decode<'a>(&self, alert: &'a str) -> Result<Alert<'a>, Unreadable> {
        match self {
            Reader::BuiltIn(format) => format.decode(alert),
            Reader::Mapped(mapped) => mapped.decode(alert),
        }
    }

    /// As [`decode`](Self::decode), where Defender has told which machines some hosts are.
    pub fn decode_knowing(
        &self,
        alert: &str,
        told: &ToldHosts,
    ) -> Result<Alert<'static>, Unreadable> {
        match self {
            Reader::BuiltIn(format) => format.decode(alert).map(Alert::into_owned),
            Reader::Mapped(mapped) => mapped.decode_knowing(alert, told),
        }
    }

    /// See [`Format::decode_cut`].
    pub fn decode_cut<'a>(&self, cut: &'a Cut<'_>) -> Result<Alert<'a>, Unreadable> {
        match cut {
            Cut::Alert(text) => self.decode(text),
            Cut::Bad { why, .. } => Err(why.clone()),
        }
    }

    /// See [`Format::decode_only`].
    pub fn decode_only<'a>(&self, body: &'a [u8]) -> Option<(&'a str, Alert<'a>)> {
        match self {
            Reader::BuiltIn(format) => format.decode_only(body),
            Reader::Mapped(mapped) => {
                let text = split::perhaps_one(body).filter(|text| !envelope::perhaps(text))?;
                Some((text, mapped.decode(text).ok()?))
            }
        }
    }

    /// As [`split()`] for a sample; the rows of one alert stay together, one a line.
    pub fn cut<'a>(&self, body: &'a [u8]) -> Result<Vec<Cut<'a>>, Refused> {
        let cuts = split(body)?;
        if !self.has_rows() {
            return Ok(cuts);
        }
        let (mut keys, mut alerts, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for cut in cuts {
            let Cut::Alert(text) = &cut else {
                bad.push(cut);
                continue;
            };
            let of = match super::row(text).map(|read| (read.tenant_id, read.row)) {
                Ok((tenant, Ok(row))) => Some((tenant, row.alert)),
                Ok((_, Err(PassedOver(_)))) => continue,
                // It is said by itself.
                Err(_) => None,
            };
            match keys.iter().position(|known| of.is_some() && *known == of) {
                Some(at) => alerts[at] = format!("{}\n{text}", alerts[at]),
                None => {
                    keys.push(of);
                    alerts.push(text.to_string());
                }
            }
        }
        let alerts = alerts.into_iter().map(|rows| Cut::Alert(rows.into()));
        Ok(alerts.chain(bad).collect())
    }

    /// See [`Format::has_rows`].
    pub fn has_rows(&self) -> bool {
        matches!(self, Reader::BuiltIn(format) if format.has_rows())
    }

    /// See [`Format::gives`].
    pub fn gives(&self, field: Field) -> bool {
        match self {
            Reader::BuiltIn(format) => format.gives(field),
            Reader::Mapped(mapped) => mapped.gives(field),
        }
    }
}
