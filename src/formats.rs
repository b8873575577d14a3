//! How payloads read: where alert, machines and files stand. A format makes alerts of bytes and
//! judges nothing; it pairs machine and file and never crosses them.

use std::fmt;

use crate::domain::alert::{Alert, Unreadable};
use crate::domain::candidate::{Field, Value};
use crate::domain::join::Row;
use crate::domain::time::Wall;

pub mod split;

pub mod envelope;

pub mod spelling;

mod lenient;

mod read;

mod defender_alert;

mod defender_xdr;

mod graph_alert;

mod sentinel_incident;

pub mod mapped;

mod completed;

mod facts;

mod set;

mod traced;

pub use completed::completed;
pub use facts::facts;
pub use mapped::{Hosts, Mapped, ToldHosts};
pub use set::{Formats, NoFormat, Reader};
pub use split::{Cut, Refused, split};
pub use traced::{Places, traced};

/// One kind of payload that is built in, by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `defender-alert`: the alert object of the Defender for Endpoint API (`/api/alerts`), with or
    /// without `evidence[]`.
    DefenderAlert,
    /// `defender-xdr`: rows of the Defender XDR streaming API.
    DefenderXdr,
    /// `graph-alert`: the alert object of Microsoft Graph (`/security/alerts_v2`).
    GraphAlert,
    /// `sentinel-incident`: what Microsoft Sentinel's incident trigger hands to a Logic App.
    SentinelIncident,
}

impl Format {
    pub const ALL: [Format; 4] =
        [Format::DefenderAlert, Format::DefenderXdr, Format::GraphAlert, Format::SentinelIncident];

    pub fn as_str(self) -> &'static str {
        match self {
            Format::DefenderAlert => "defender-alert",
            Format::DefenderXdr => "defender-xdr",
            Format::GraphAlert => "graph-alert",
            Format::SentinelIncident => "sentinel-incident",
        }
    }

    /// Reads one alert, as [`split()`] cut it out, once and borrowed. What it does not know it
    /// leaves alone; a value it can't use is an absent field, an alert without a usable id is
    /// unreadable. So is one that breaks JSON's own rules in a key that is read: half a surrogate
    /// pair, a number beyond every float.
    pub fn decode(self, alert: &str) -> Result<Alert<'_>, Unreadable> {
        match self {
            Format::DefenderAlert => defender_alert::decode(alert),
            Format::DefenderXdr => defender_xdr::decode(alert),
            Format::GraphAlert => graph_alert::decode(alert),
            Format::SentinelIncident => sentinel_incident::decode(alert),
        }
    }

    /// Reads one alert of a delivery. One whose envelope can't be opened is unreadable.
    pub fn decode_cut<'a>(self, cut: &'a Cut<'_>) -> Result<Alert<'a>, Unreadable> {
        match cut {
            Cut::Alert(text) => self.decode(text),
            Cut::Bad { why, .. } => Err(why.clone()),
        }
    }

    /// Reads a body that is one alert, without cutting it first, and its own text. `None` is any
    /// other body, also one that is no good: [`split()`] tells.
    pub fn decode_only(self, body: &[u8]) -> Option<(&str, Alert<'_>)> {
        if self.has_rows() {
            return None;
        }
        let text = split::perhaps_one(body)?;
        let alert = self.decode(text).ok()?;
        (self.is_no_envelope(&alert) || !envelope::perhaps(text)).then_some((text, alert))
    }

    /// Whether an alert shows by itself that its text is no envelope, which saves the search.
    fn is_no_envelope(self, alert: &Alert<'_>) -> bool {
        match self {
            // Its files stand in `evidence`, which no envelope has.
            Format::DefenderAlert | Format::GraphAlert => !alert.candidates.is_empty(),
            // An incident's do not, and rows are cut, whatever they stand in.
            Format::SentinelIncident | Format::DefenderXdr => false,
        }
    }

    /// Whether what it carries are rows, of which the join makes alerts: see [`row`].
    pub fn has_rows(self) -> bool {
        self == Format::DefenderXdr
    }

    /// Whether an alert of this format can have that field; those that [`came_by`] adds it has.
    pub fn gives(self, field: Field) -> bool {
        match self {
            Format::DefenderAlert => defender_alert::GIVES.contains(&field),
            Format::DefenderXdr => defender_xdr::GIVES.contains(&field),
            Format::GraphAlert => graph_alert::GIVES.contains(&field),
            Format::SentinelIncident => sentinel_incident::GIVES.contains(&field),
        }
    }
}

/// One record of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Streamed {
    /// The Entra tenant id that it names, if it names one.
    pub tenant_id: Option<String>,
    /// `Err` for what is passed over.
    pub row: Result<Row, PassedOver>,
}

/// A record of another table, or evidence that is no file and names no machine. It has the name of
/// its table, or `other` for one that is not documented: a sender can't make up many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedOver(pub &'static str);

/// Reads one record of a stream, of a format that [`has_rows`](Format::has_rows).
pub fn row(record: &str) -> Result<Streamed, Unreadable> {
    defender_xdr::row(record)
}

/// What a record reads as, or why it does not, with its own text.
pub type ReadRow = Result<Streamed, (String, Unreadable)>;

/// Reads a message of a stream.
pub fn rows(body: &[u8]) -> Result<Vec<ReadRow>, Refused> {
    // What is no record could be an envelope.
    if let Some(read) = defender_xdr::records(body) {
        return Ok(read.into_iter().map(Ok).collect());
    }
    let one = |cut: Cut<'_>| match cut {
        Cut::Alert(text) => row(&text).map_err(|why| (text.into_owned(), why)),
        Cut::Bad { text, why } => Err((text.into_owned(), why)),
    };
    Ok(split(body)?.into_iter().map(one).collect())
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Sets what the payload can't know: `alert.tenant` and `alert.source` by their configured names,
/// and `alert.age` in whole seconds since the alert's creation (0 for one from the future, absent
/// where the alert has no time).
pub fn came_by<'a>(alert: &mut Alert<'a>, tenant: &'a str, source: &'a str, now: Wall) {
    let age = alert.created.map(|created| now.since(created).as_secs());
    let known = alert.known.iter_mut().map(|known| &mut **known);
    for fields in alert.candidates.iter_mut().map(|one| &mut one.fields).chain(known) {
        fields.set_text(Field::AlertTenant, tenant);
        fields.set_text(Field::AlertSource, source);
        if let Some(age) = age {
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            fields.set(Field::AlertAge, Value::Number(age));
        }
    }
}

#[cfg(test)]
mod hygiene;

#[cfg(test)]
mod shapes;

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule on any other field would wait for what nobody tells.
    #[test]
    fn what_no_format_gives_defender_can_tell() {
        let given = |field: Field| {
            Format::ALL.iter().any(|format| format.gives(field)) || field.told_of().is_some()
        };
        let silent: Vec<_> = Field::ALL.iter().filter(|field| !given(**field)).collect();
        assert_eq!(silent, [&Field::MachineUsers], "mapped formats may give it");
    }

    #[test]
    fn a_body_that_is_one_alert_reads_as_if_it_were_cut_first() {
        let format = Format::DefenderAlert;
        let alert = r#"{"id":"a","machineId":"m","evidence":[{"entityType":"File"}]}"#;
        for body in [alert.to_owned(), format!("\u{feff}\r\n {alert}\t\n")] {
            let (text, read) = format.decode_only(body.as_bytes()).unwrap();
            assert_eq!(split(body.as_bytes()).unwrap(), vec![Cut::Alert(text.into())]);
            assert_eq!(text, alert);
            assert_eq!(format!("{read:?}"), format!("{:?}", format.decode(alert).unwrap()));
        }
    }

    #[test]
    fn any_other_body_is_left_to_be_cut() {
        let alert = r#"{"id":"a"}"#;
        let enveloped = format!(r#"{{"id":null,"value":[{alert}]}}"#);
        let lines = format!("{alert}\n{alert}");
        for body in [&enveloped, &lines, &format!("[{alert}]"), "", "{", "{}", "null"] {
            assert!(Format::DefenderAlert.decode_only(body.as_bytes()).is_none(), "{body}");
        }
        assert!(Format::DefenderAlert.decode_only(b"{\"id\":\"a\"}\xff").is_none());
    }

    /// Fuzzing found it: whoever cut the body first met another alert in it.
    #[test]
    fn an_incident_beside_a_list_is_left_to_be_cut() {
        let file = r#"{"kind":"File","properties":{"fileName":"a.exe"}}"#;
        let incident =
            format!(r#""object":{{"name":"i","properties":{{"relatedEntities":[{file}]}}}}"#);
        let beside = format!(r#"{{{incident},"value":[{{"id":"a"}}]}}"#);
        let format = Format::SentinelIncident;
        assert!(format.decode_only(format!("{{{incident}}}").as_bytes()).is_some());
        assert!(format.decode_only(beside.as_bytes()).is_none());
        assert_eq!(split(beside.as_bytes()).unwrap(), [Cut::Alert(r#"{"id":"a"}"#.into())]);
    }

    #[test]
    fn a_format_is_built_in_of_a_file_or_none() {
        let formats = Formats::default();
        for format in Format::ALL {
            let found = formats.find(format.as_str());
            assert!(matches!(found, Ok(Reader::BuiltIn(one)) if *one == format), "{found:?}");
        }
        let none = formats.find("defender_alert").unwrap_err().to_string();
        assert!(none.ends_with("write one as formats/defender_alert.yml in the rules' directory"));
    }
}
