//! The `response` section: what a match leads to.

use std::time::Duration;

use super::notes::{Notes, find};
use super::suggest::did_you_mean;
use super::yaml::{At, Node};
use crate::domain::action::Class;
use crate::domain::candidate::Field;
use crate::domain::rule::{Mode, OnUnknown, Response, Template};
use crate::{formats, limits};

/// What `window` is where a rule does not say.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

const KEYS: [&str; 6] = ["action", "comment", "mode", "unknown", "window", "priority"];

/// Keys and values of later versions: refused, since a rule must not promise what nobody keeps.
const NOT_YET: [(&str, &str); 3] = [("action", "deny"), ("mode", "approve"), ("unknown", "enrich")];

/// Reads the section. `None` comes with an error.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Response> {
    let entries = notes.entries(node, "response")?;
    for (key, _) in entries {
        match key.value.as_str() {
            "breakers" | "retry" => {
                notes.error(&key.place, format!("{} are not in this version", key.value));
            }
            known if KEYS.contains(&known) => {}
            _ => notes.unknown_key(key, "response", &KEYS),
        }
    }
    let mut refused = false;
    for (key, word) in NOT_YET {
        if let Some(node) = find(entries, key)
            && matches!(&node.value, Node::Text(text) if text == word)
        {
            notes.error(&node.place, format!("{key}: {word} is not in this version"));
            refused = true;
        }
    }
    if refused {
        return None;
    }
    match find(entries, "action") {
        Some(action) => {
            notes.one_of(action, "action", &["StopAndQuarantineFile"]);
        }
        None => notes.error(&node.place, "response has no action; write StopAndQuarantineFile"),
    }
    let comment = match find(entries, "comment") {
        Some(comment) => read_comment(notes, comment),
        None => {
            notes.error(&node.place, "response has no comment; Defender wants one with each call");
            None
        }
    };
    let mode = find(entries, "mode").and_then(|n| notes.one_of(n, "mode", &["observe", "enforce"]));
    let unknown =
        find(entries, "unknown").and_then(|n| notes.one_of(n, "unknown", &["hold", "skip"]));
    let window = find(entries, "window").map(|n| read_window(notes, n));
    let priorities = ["urgent", "normal", "bulk"];
    let priority = find(entries, "priority").and_then(|n| notes.one_of(n, "priority", &priorities));
    Some(Response {
        mode: if mode == Some("enforce") { Mode::Enforce } else { Mode::Observe },
        unknown: if unknown == Some("skip") { OnUnknown::Skip } else { OnUnknown::Hold },
        window: window.unwrap_or(Some(WINDOW))?,
        priority: priority.map(|word| match word {
            "urgent" => Class::Urgent,
            "normal" => Class::Normal,
            _ => Class::Bulk,
        }),
        comment: comment?,
    })
}

fn read_comment(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Template> {
    let text = notes.text(node, "comment")?;
    match Template::parse(text) {
        Ok(template) => {
            for field in template.fields() {
                if !formats::given(field) {
                    let name = field.name();
                    notes.error(&node.place, format!("no format of this version gives {name}"));
                }
            }
            Some(template)
        }
        Err(bad) => {
            let names = Field::ALL.iter().map(|field| field.name());
            let meant = bad.unknown.as_deref().map(|name| did_you_mean(name, names));
            let place = notes.inside(node, text, bad.at);
            notes.error(&place, format!("{bad}{}", meant.unwrap_or_default()));
            None
        }
    }
}

/// A rule can't go without a window: deliveries come twice, and each would act again.
fn read_window(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Duration> {
    let days = limits::RULE_WINDOW.as_secs() / (24 * 3600);
    if let Node::Integer(number) = &node.value {
        let why = match number {
            0 => "window can't be 0, since an alert that comes twice would act twice".to_owned(),
            _ => format!("window is {number}, a number without its unit"),
        };
        let how =
            format!("write 1s to {days}d, such as 24h, which it is where a rule does not say");
        notes.error(&node.place, format!("{why}; {how}"));
        return None;
    }
    let text = notes.text(node, "window")?;
    let window = parse_duration(text);
    match window {
        Some(span) if !span.is_zero() && span <= limits::RULE_WINDOW => window,
        Some(_) => {
            let why = format!("window has to lie between 1s and {days}d");
            notes.error(&node.place, format!("{why}, such as 24h; it is {text}"));
            None
        }
        None => {
            let example = "write a number and s, m, h or d, such as 24h";
            notes.error(&node.place, format!("window {text:?} is no duration; {example}"));
            None
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let count: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("30m"), Some(Duration::from_secs(1800)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        for bad in ["", "h", "24", "1.5h", "-1h", "+1h", "1 h", "99999999999999999999h", "1é"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
