//! How accepted actions go on: how far Defender says they are, and what an end leads to.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, params};

use super::actions::Recorded;
use super::fault::Fault;
use super::sql::Json;
use crate::domain::action::{Approvals, Endings, Progress, State, StateName};
use crate::domain::audit::{Change, What};
use crate::domain::ids::ActionId;
use crate::domain::tracker::{self, Kept, Move};

/// The changes that a change leads to, in order: itself alone, but where an accepted action ends
/// and the rule that decided wants something else then.
pub(super) fn led_to<'a>(
    db: &Connection,
    change: &'a Change,
) -> Result<Vec<Cow<'a, Change>>, Fault> {
    let What::Moved { action, from: from @ StateName::Accepted, to } = &change.what else {
        return Ok(vec![Cow::Borrowed(change)]);
    };
    let end = Move { action: *action, from: *from, to: to.clone(), why: change.reason.clone() };
    let kept = kept(db, *action)?;
    let moves = tracker::led_to(end, &kept, change.at);
    let changes = moves.into_iter().map(|Move { action, from, to, why }| {
        let what = What::Moved { action, from, to };
        Cow::Owned(Change { reason: why, what, ..change.clone() })
    });
    Ok(changes.collect())
}

/// What was kept with the action when it was decided. A text of it that does not read counts as
/// none: then it ends as Defender said.
fn kept(db: &Connection, action: ActionId) -> Result<Kept, Fault> {
    let mut select = db.prepare_cached(
        "SELECT endings, approvals, again,
                EXISTS (SELECT 1 FROM cancels WHERE cancels.action = actions.id)
         FROM actions LEFT JOIN origins USING (sequence) WHERE id = ?1",
    )?;
    let found = select.query_row([action], |row| {
        let (endings, approvals): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((endings, approvals, row.get::<_, u32>(2)?, row.get::<_, bool>(3)?))
    });
    let Some((endings, approvals, again, cancelled)) = found.optional()? else {
        return Ok(Kept::default());
    };
    let read = |text: &str| serde_json::from_str::<Endings>(text);
    let endings = match endings.as_deref().map(read).transpose() {
        Ok(endings) => endings.unwrap_or_default(),
        Err(error) => {
            tracing::error!(%action, %error, "what becomes of it at its end does not read");
            Endings::default()
        }
    };
    let approvals = approvals.and_then(|text| serde_json::from_str::<Approvals>(&text).ok());
    Ok(Kept { endings, again, approvals: approvals.unwrap_or_default(), cancelled })
}

/// Writes how far an action is, where it is accepted still.
pub(super) fn progressed(
    db: &Connection,
    action: ActionId,
    to: Progress,
) -> Result<Recorded, Fault> {
    let mut select =
        db.prepare_cached("SELECT detail FROM actions WHERE id = ?1 AND state = 'accepted'")?;
    // A detail that does not read says nothing of how far it is, and keeps nothing from its end.
    let found = select.query_row([action], |row| Ok(row.get::<_, Json<State>>(0).ok()));
    let Some(Some(Json(State::Accepted { machine_action, since, .. }))) = found.optional()? else {
        return Ok(Recorded::LeftOut);
    };
    let unfetched = (to == Progress::Unfetched).then_some(since);
    let state = State::Accepted { machine_action, since, progress: to };
    let mut update =
        db.prepare_cached("UPDATE actions SET detail = ?2, unfetched = ?3 WHERE id = ?1")?;
    update.execute(params![action, Json(&state), unfetched])?;
    Ok(Recorded::Written)
}
