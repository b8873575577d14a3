//! The comment that goes with a call: a template over the candidate's fields.

use crate::domain::candidate::{Field, Fields, Value};
use crate::limits;

/// A comment template such as `Stop and quarantine file due to alert {{alert.id}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

/// Why a text is no [`Template`]; `at` is a byte offset into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadTemplate {
    pub at: usize,
    pub why: String,
    /// The name that is no field, if that is what is wrong.
    pub unknown: Option<String>,
}

impl Template {
    /// Reads a template. Every `{{name}}` has to name a field.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let bad = |at, why: &str| BadTemplate { at, why: why.to_owned(), unknown: None };
        if text.trim().is_empty() {
            return Err(bad(0, "the comment is empty; Defender wants one"));
        }
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|i| at + i) {
            let close = text[open..]
                .find("}}")
                .map(|i| open + i)
                .ok_or_else(|| bad(open, "{{ is not closed by }}"))?;
            let name = text[open + 2..close].trim();
            let field = Field::parse(name).ok_or_else(|| BadTemplate {
                at: open,
                why: format!("there is no field {name:?}"),
                unknown: Some(name.to_owned()),
            })?;
            if open > at {
                parts.push(Part::Literal(text[at..open].to_owned()));
            }
            parts.push(Part::Field(field));
            at = close + 2;
        }
        if at < text.len() {
            parts.push(Part::Literal(text[at..].to_owned()));
        }
        Ok(Self(parts))
    }

    /// The fields it names.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(field) => Some(*field),
            Part::Literal(_) => None,
        })
    }

    /// How many bytes it has besides its fields.
    pub fn fixed(&self) -> usize {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.len(),
            Part::Field(_) => 0,
        });
        parts.sum()
    }

    /// Fills the template: an absent or empty field is `-`, characters that could steer a terminal
    /// or hide text are `\u{fffd}`, and the whole ends at [`limits::COMMENT_BYTES`].
    pub fn render(&self, fields: &Fields<'_>) -> String {
        let mut comment = Bounded { text: String::new(), full: false };
        for part in &self.0 {
            match part {
                Part::Literal(text) => comment.push(text),
                Part::Field(field) => match fields.get(*field) {
                    Value::Absent | Value::Empty => comment.push("-"),
                    Value::Text(text) => comment.push(text),
                    Value::Number(number) => comment.push(&number.to_string()),
                    Value::List(list) if list.is_empty() => comment.push("-"),
                    Value::List(list) => {
                        for (i, item) in list.iter().enumerate() {
                            comment.push(if i == 0 { "" } else { ", " });
                            comment.push(item);
                        }
                    }
                },
            }
        }
        comment.text
    }
}

struct Bounded {
    text: String,
    full: bool,
}

impl Bounded {
    fn push(&mut self, text: &str) {
        for c in text.chars().map(harmless) {
            self.full |= self.text.len() + c.len_utf8() > limits::COMMENT_BYTES;
            if self.full {
                return;
            }
            self.text.push(c);
        }
    }
}

/// Control characters, line and paragraph separators, and what has no width or turns the direction
/// of writing, give U+FFFD.
pub fn harmless(c: char) -> char {
    let hides = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0000}'..='\u{e01ef}');
    if c.is_control() || hides { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn rendered(template: &str, fields: &Fields<'_>) -> String {
        Template::parse(template).unwrap().render(fields)
    }

    #[test]
    fn fields_fill_the_template_and_what_is_not_there_is_a_dash() {
        let mut fields = Fields::default();
        fields.set_text(Field::AlertId, "441688558380765161_2136280442");
        fields.set(Field::AlertSeverityRank, Value::Number(4));
        fields.set(Field::AlertThreat, Value::Empty);
        let list = vec![Cow::Borrowed("T1"), Cow::Borrowed("T2")];
        fields.set(Field::AlertTechniques, Value::List(list));
        assert_eq!(
            rendered("Stop and quarantine file on machine due to alert {{alert.id}}", &fields),
            "Stop and quarantine file on machine due to alert 441688558380765161_2136280442"
        );
        assert_eq!(
            rendered(
                "{{ alert.severity_rank }}{{alert.threat}}{{file.name}} {{alert.techniques}}",
                &fields
            ),
            "4-- T1, T2"
        );
    }

    #[test]
    fn a_name_that_is_no_field_is_refused_with_its_place() {
        let bad = Template::parse("due to {{alert.idd}}").unwrap_err();
        assert_eq!((bad.at, bad.unknown.as_deref()), (7, Some("alert.idd")));
        assert!(Template::parse("due to {{alert.id").is_err());
        assert!(Template::parse("  ").is_err());
    }

    #[test]
    fn nothing_in_a_comment_steers_a_terminal_or_hides_text() {
        let mut fields = Fields::default();
        fields.set_text(Field::AlertTitle, "a\u{1b}[31m\r\n\u{202e}txt\u{200b}\u{feff}\u{e0041}b");
        assert_eq!(
            rendered("{{alert.title}}", &fields),
            "a\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}txt\u{fffd}\u{fffd}\u{fffd}b"
        );
    }

    proptest! {
        #[test]
        fn a_comment_is_bounded_whatever_comes(title in "\\PC{0,400}", raw in any::<String>()) {
            let mut fields = Fields::default();
            fields.set_text(Field::AlertTitle, title);
            fields.set_text(Field::FileName, raw);
            let comment = rendered("{{alert.title}}/{{file.name}}", &fields);
            prop_assert!(comment.len() <= limits::COMMENT_BYTES);
            prop_assert!(!comment.chars().any(char::is_control));
        }
    }
}
