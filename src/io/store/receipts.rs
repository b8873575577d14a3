//! What is kept of each alert, and what its sender was told.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::sql::{Json, json};
use crate::domain::decision::{
    AlertAnswer, Answered, Content, Decision, JudgedDelivery, Receipt, Replay,
};

/// The answer that a delivery with this replay id got before.
pub(super) fn first_answer(
    db: &Connection,
    delivery: &JudgedDelivery,
) -> Result<Option<Answered>, Fault> {
    let Some(replay) = &delivery.replay else { return Ok(None) };
    let mut select = db.prepare_cached(
        "SELECT answer FROM replays WHERE source = ?1 AND id = ?2 AND keep_until >= ?3",
    )?;
    let answer = select
        .query_row(params![delivery.source.as_str(), replay.id, delivery.received], |row| {
            row.get::<_, Json<Answered>>(0)
        });
    Ok(answer.optional()?.map(|Json(answer)| answer))
}

pub(super) fn remember(
    db: &Connection,
    delivery: &JudgedDelivery,
    replay: &Replay,
    answer: &Answered,
) -> Result<(), Fault> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO replays (source, id, keep_until, answer) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let source = delivery.source.as_str();
    insert.execute(params![source, replay.id, replay.keep_until, json(answer)])?;
    Ok(())
}

pub(super) fn insert(
    db: &Connection,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    alert: &AlertAnswer,
) -> Result<(), Fault> {
    let head = match &receipt.content {
        Content::Unreadable { head, .. } => Some(head),
        _ => None,
    };
    let mut insert = db.prepare_cached(
        "INSERT INTO receipts
             (at, source, tenant, alert, fate, reason, delivery, candidates, head, ruleset)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    insert.execute(params![
        delivery.received,
        delivery.source.as_str(),
        receipt.tenant,
        receipt.alert_id,
        alert.fate,
        reason(alert),
        Json(&delivery.coordinates),
        json(&alert.candidates),
        head,
        delivery.ruleset,
    ])?;
    Ok(())
}

/// Why the alert has its fate: its own reason, else that of the first candidate that gave it.
fn reason(alert: &AlertAnswer) -> String {
    let decisive = alert.candidates.iter().find(|c| c.decision.fate() == alert.fate);
    match decisive.map(|candidate| &candidate.decision) {
        None => alert.reason.clone(),
        Some(
            Decision::Act { rules, .. }
            | Decision::Hold { rules, .. }
            | Decision::Observe { rules },
        ) => format!("rule {}", rules.join(", ")),
        Some(Decision::Protected { by }) => format!("by rule {}", by.join(", ")),
        Some(Decision::Duplicate { of, why }) => format!("of {of}: {why}"),
        Some(Decision::Incomplete { what }) => what.clone(),
        Some(Decision::TooOld { why } | Decision::NoMatch { why }) => why.clone(),
    }
}
