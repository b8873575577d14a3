//! The text of an alert of the past: as the store keeps it, or read again from Kafka.

use std::sync::Arc;

use super::report::{From, Payload};
use crate::app::settings;
use crate::cli::actions::delivery_text;
use crate::config::{Config, Kind, Source};
use crate::domain::action::Coordinates;
use crate::formats::{Cut, Formats, Reader};
use crate::io::clock::SystemClock;
use crate::io::kafka::History;

/// Where to look, and how to read it.
pub struct Search<'c> {
    pub config: &'c Config,
    pub formats: &'c Formats,
    /// Instead of the one that the source names.
    pub format: Option<&'c str>,
}

/// One alert's own text.
pub struct Found<'c> {
    pub reader: &'c Reader,
    pub format: String,
    pub text: String,
    pub payload: Payload,
}

impl<'c> Search<'c> {
    /// What the store has kept: an alert as it was cut out of its delivery.
    pub fn kept(&self, raw: &str, of: &Coordinates, id: &str) -> Result<Found<'c>, String> {
        let (format, reader) = self.reader(of)?;
        let is_whole = reader.decode(raw).is_ok_and(|alert| alert.id == id);
        let text = if is_whole { raw.to_owned() } else { pick(reader, raw.as_bytes(), id)? };
        let said = "Its payload is in the store.".to_owned();
        Ok(Found { reader, format, text, payload: Payload { from: From::Store, said } })
    }

    /// Reads the message again. Blocks. `Err` says why that can't be, and where it would be.
    pub fn read_again(&self, of: &Coordinates, id: &str) -> Result<Found<'c>, String> {
        let Coordinates::Kafka { topic, partition, offset, .. } = of else {
            return Err(format!(
                "it came by {}, and only of what leads to an action the payload is kept. Its \
                 sender has it: save it, and name the file with --alert",
                delivery_text(of)
            ));
        };
        let place = delivery_text(of);
        let failed = |why: String| format!("it would be at {place}: {why}");
        let (format, reader) = self.reader(of).map_err(failed)?;
        let source = self.source(of).map_err(failed)?;
        let Kind::Kafka(kafka) = source.kind() else {
            return Err(failed(format!("source {} reads from no Kafka any more", source.name)));
        };
        let clock = Arc::new(SystemClock::new());
        let settings = settings::kafka(self.config, source, kafka, clock.clone());
        let settings = settings.map_err(|why| failed(why.to_string()))?;
        let history = History::open(&settings, topic, clock);
        let message = history.and_then(|history| history.one(*partition, *offset));
        let message = message.map_err(|why| failed(why.to_string()))?;
        if let Some(flaw) = message.flaw {
            return Err(failed(format!("its message can't be used: {flaw}")));
        }
        let text = pick(reader, &message.body, id).map_err(failed)?;
        let mut said = format!("Its payload was read again, from {place}.");
        if reader.has_rows() {
            said.push_str(
                " That message has only some of the alert's rows: what others said is not seen \
                 here.",
            );
        }
        Ok(Found { reader, format, text, payload: Payload { from: From::Kafka, said } })
    }

    /// Whether one message may have only a part of an alert.
    pub fn has_rows(&self, of: &Coordinates) -> bool {
        self.reader(of).is_ok_and(|(_, reader)| reader.has_rows())
    }

    fn reader(&self, of: &Coordinates) -> Result<(String, &'c Reader), String> {
        let format = match self.format {
            Some(format) => format,
            None => self.source(of)?.format(),
        };
        let reader = self.formats.find(format).map_err(|why| why.to_string())?;
        Ok((format.to_owned(), reader))
    }

    fn source(&self, of: &Coordinates) -> Result<&'c Source, String> {
        let (Coordinates::Webhook { source: name, .. } | Coordinates::Kafka { source: name, .. }) =
            of;
        self.config.sources.iter().find(|source| source.name == *name).ok_or_else(|| {
            format!("the configuration has no source {name} any more, which knows its format")
        })
    }
}

/// The alert of that id among those of a message.
fn pick(reader: &Reader, body: &[u8], id: &str) -> Result<String, String> {
    let cuts = reader.cut(body).map_err(|why| why.to_string())?;
    let texts = cuts.into_iter().filter_map(|cut| match cut {
        Cut::Alert(text) => Some(text),
        Cut::Bad { .. } => None,
    });
    let mut found = texts.filter(|text| reader.decode(text).is_ok_and(|alert| alert.id == id));
    let none = || format!("no alert in it reads as {id} now");
    found.next().map(std::borrow::Cow::into_owned).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_that_is_meant_is_picked_out_of_a_message() {
        let formats = Formats::default();
        let reader = formats.find("defender-alert").unwrap();
        let body = br#"{"value":[{"id":"da1"},{"id":7},{"id":"da2","title":"x"}]}"#;
        assert_eq!(pick(reader, body, "da2").unwrap(), r#"{"id":"da2","title":"x"}"#);
        assert_eq!(pick(reader, body, "da3").unwrap_err(), "no alert in it reads as da3 now");
        assert!(pick(reader, b"\xff", "da1").is_err());
        // Of rows all that the message has of it, and of no other.
        let row = |alert: &str, more: &str| {
            format!(
                r#"{{"category":"AdvancedHunting-AlertInfo","tenantId":"t","properties":
                {{"AlertId":"{alert}","Timestamp":"2026-01-13T09:28:36Z","Title":"{more}"}}}}"#
            )
            .replace('\n', "")
        };
        let rows = [row("da1_1", "a"), row("da2_1", "b"), row("da1_1", "c")];
        let reader = formats.find("defender-xdr").unwrap();
        let body = format!("{{\"records\":[{}]}}", rows.join(","));
        let picked = pick(reader, body.as_bytes(), "da1_1").unwrap();
        assert_eq!((picked.lines().count(), picked.contains("da2_1")), (2, false), "{picked}");
    }
}
