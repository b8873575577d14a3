//! Lists of actions and of receipts, as the screen shows them.

use super::expected;
use super::words::{state_text, state_word};
use crate::cli::style::{beside, clean, table};
use crate::domain::action::State;
use crate::domain::ids::ActionId;
use crate::io::{ActionLine, ReceiptLine};

/// What waits for a person has a row of its own that says why.
pub fn listing(lines: &[ActionLine]) -> String {
    if lines.is_empty() {
        return "no actions\n".into();
    }
    if lines.iter().any(|line| line.position.is_some()) {
        return expected::listing(lines);
    }
    let mut rows = vec![["id", "state", "machine", "sha1", "alert"].map(String::from).to_vec()];
    rows.extend(lines.iter().map(|line| {
        vec![
            short_id(&line.id),
            state_word(&line.state),
            format!("{:.8}…", line.key.machine.to_string()),
            format!("{:.8}…", line.key.sha1.to_string()),
            shortened(&line.alert_id, 17),
        ]
    }));
    let table = table(&rows);
    let mut text = String::new();
    for (at, row) in table.lines().enumerate() {
        text.push_str(&format!("{row}\n"));
        let of = at.checked_sub(1).map(|at| &lines[at].state);
        if let Some(state @ State::Held { .. }) = of {
            text.push_str(&beside("  ", 2, &clean(&state_text(state))));
        }
    }
    text
}

/// The start of an id that no other action has: ids of one millisecond differ in what stands from
/// the 25th character on.
pub fn short_id(id: &ActionId) -> String {
    format!("{:.28}", id.to_string())
}

pub fn shortened(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

pub(super) fn receipt_listing(lines: &[ReceiptLine]) -> String {
    if lines.is_empty() {
        return "no alerts\n".into();
    }
    let mut text = format!("{:19}  {:14}  alert\n", "received", "fate");
    for line in lines {
        let (at, fate) = (line.at.to_string(), line.fate.as_str().replace('_', " "));
        let alert = clean(&shortened(&line.alert, 43));
        text.push_str(&format!("{at:.19}  {fate:14}  {alert}\n"));
        let source = format!("from {}", line.source);
        let said = match line.reason.as_str() {
            "" => source,
            reason => format!("{source}: {reason}"),
        };
        text.push_str(&beside("  ", 2, &clean(&said)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::{Approvals, Coordinates, HoldWhy};
    use crate::domain::decision::Fate;
    use crate::domain::time::Wall;

    #[test]
    fn the_list_says_why_what_is_held_is_held() {
        let line = |state: State| -> ActionLine {
            let state = serde_json::to_value(state).unwrap();
            let mut line = serde_json::json!({
                "id": "0198c2f4-0000-7000-8000-000000000001", "tenant": "contoso",
                "machine": "a".repeat(40), "sha1": "b".repeat(40), "alert_id": "da1_1",
                "class": "urgent", "created": Wall(0), "changed": Wall(0),
            });
            line.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
            serde_json::from_value(line).unwrap()
        };
        let held = State::Held { why: HoldWhy::Returns, approvals: Approvals::default() };
        let text = listing(&[line(held), line(State::Expired)]);
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(rows[2].starts_with("  held: "), "{text}");
        assert!(rows[3].contains("expired"), "{text}");
    }

    #[test]
    fn receipts_fit_80_columns_whatever_their_reasons() {
        let line = ReceiptLine {
            at: Wall(1),
            source: "siem".to_owned(),
            tenant: None,
            alert: "da637292082891366787_322129023-".repeat(3),
            fate: Fate::UnknownTenant,
            reason: "a reason of many words, ".repeat(10),
            delivery: Coordinates::Webhook { source: "siem".to_owned(), id: None },
            candidates: serde_json::Value::Null,
            head: None,
            ruleset: None,
            raw: None,
        };
        let shown = receipt_listing(&[line.clone(), ReceiptLine { reason: String::new(), ..line }]);
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(
            shown.starts_with("received             fate            alert\n1970-01-01"),
            "{shown}"
        );
        assert_eq!(shown.matches(" words,").count(), 10, "whole: {shown}");
        assert_eq!(shown.matches("unknown tenant").count(), 2);
    }
}
