//! The body of a message where a receiver wants a form of its own: JSON with placeholders.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Message;

/// A checked template: filled with any message, it is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value { name: Name, in_text: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Summary,
    Kind,
    Tenant,
    Count,
    At,
    Next,
    Node,
    Severity,
    MessageId,
    Details,
    /// A secret of the channel's `values`.
    Secret(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "there is no placeholder {0:?}: use {{{{summary}}}}, {{{{kind}}}}, {{{{tenant}}}}, \
         {{{{count}}}}, {{{{at}}}}, {{{{next}}}}, {{{{node}}}}, {{{{severity}}}}, \
         {{{{message_id}}}}, {{{{details}}}} or {{{{value.NAME}}}}"
    )]
    Unknown(String),
    #[error("a {{{{ is not closed by }}}}")]
    Open,
    #[error("with its placeholders filled it is no JSON: {0}")]
    NotJson(String),
}

/// What placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    pub message: &'a Message,
    pub id: &'a str,
    pub node: &'a str,
    /// The whole message as JSON.
    pub details: &'a str,
    pub values: &'a BTreeMap<String, SecretString>,
}

impl Template {
    /// Reads a template. Within a JSON text a placeholder is escaped; elsewhere it becomes a JSON
    /// value of its own.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let (mut rest, mut in_text) = (text, false);
        while let Some((before, after)) = rest.split_once("{{") {
            in_text = ends_in_text(before, in_text);
            parts.push(Part::Text(before.to_owned()));
            let (name, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
            parts.push(Part::Value { name: Name::parse(name.trim())?, in_text });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self { parts };
        let sample = template.fill_with(|_| Value::String("sample \"\\\n".to_owned()));
        serde_json::from_str::<serde::de::IgnoredAny>(&sample)
            .map_err(|why| TemplateError::NotJson(why.to_string()))?;
        Ok(template)
    }

    /// The names of the channel's `values` that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { name: Name::Secret(name), .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// The body for one message. A secret that `values` has not is left empty.
    pub fn fill(&self, with: &Fill<'_>) -> String {
        self.fill_with(|name| with.value(name))
    }

    fn fill_with(&self, value: impl Fn(&Name) -> Value) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value { name, in_text: false } => text.push_str(&value(name).to_string()),
                Part::Value { name, in_text: true } => {
                    let plain = match value(name) {
                        Value::String(text) => text,
                        Value::Null => String::new(),
                        other => other.to_string(),
                    };
                    let quoted = Value::String(plain).to_string();
                    text.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
        }
        text
    }
}

impl Name {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        Ok(match name {
            "summary" => Name::Summary,
            "kind" => Name::Kind,
            "tenant" => Name::Tenant,
            "count" => Name::Count,
            "at" => Name::At,
            "next" => Name::Next,
            "node" => Name::Node,
            "severity" => Name::Severity,
            "message_id" => Name::MessageId,
            "details" => Name::Details,
            _ => match name.strip_prefix("value.") {
                Some(value) if !value.is_empty() => Name::Secret(value.to_owned()),
                _ => return Err(TemplateError::Unknown(name.to_owned())),
            },
        })
    }
}

impl Fill<'_> {
    fn value(&self, name: &Name) -> Value {
        let message = self.message;
        match name {
            Name::Summary => message.summary.clone().into(),
            Name::Kind => message.kind.as_str().into(),
            Name::Tenant => message.tenant.as_ref().map(|tenant| tenant.as_str()).into(),
            Name::Count => message.count.into(),
            Name::At => message.last.to_string().into(),
            Name::Next => message.next.clone().into(),
            Name::Node => self.node.into(),
            Name::Severity => serde_json::to_value(message.severity).unwrap_or_default(),
            Name::MessageId => self.id.into(),
            Name::Details => serde_json::from_str(self.details).unwrap_or_default(),
            Name::Secret(name) => self.values.get(name).map(|value| value.expose_secret()).into(),
        }
    }
}

/// Whether a JSON text is open after this piece, if it was before it or not.
fn ends_in_text(piece: &str, mut in_text: bool) -> bool {
    let mut escaped = false;
    for c in piece.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ => {}
        }
    }
    in_text
}
