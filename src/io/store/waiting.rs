//! Alerts that have no fate yet, as receipts show them.

use rusqlite::{Connection, ToSql, params};

use super::fault::Fault;
use super::sql::Json;
use crate::domain::action::Coordinates;
use crate::domain::decision::Fate;
use crate::domain::time::Wall;
use crate::io::{ReceiptFilter, ReceiptLine};

/// Newest first: alerts that wait for rows, and those for which Defender is asked.
pub(super) fn receipts(db: &Connection, filter: &ReceiptFilter) -> Result<Vec<ReceiptLine>, Fault> {
    const FILTER: &str = "(?1 IS NULL OR alert = ?1) AND (?2 IS NULL OR source = ?2)";
    let rows = format!(
        "SELECT opened, source, tenant, alert, coordinates, due, NULL FROM partials
         WHERE due IS NOT NULL AND {FILTER} ORDER BY opened DESC LIMIT ?3"
    );
    let answers = format!(
        "SELECT received, source, tenant, alert, coordinates, due, iif(?1 IS NULL, NULL, text)
         FROM lookups
         WHERE {FILTER} ORDER BY sequence DESC LIMIT ?3"
    );
    let limit = super::limit(filter.limit);
    let of = params![filter.alert_id, filter.source, limit];
    let mut lines = select(db, &rows, of, "for rows that complete it")?;
    lines.extend(select(db, &answers, of, "for what Defender is asked")?);
    lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    lines.truncate(filter.limit);
    Ok(lines)
}

fn select(
    db: &Connection,
    sql: &str,
    of: &[&dyn ToSql],
    waits: &str,
) -> Result<Vec<ReceiptLine>, Fault> {
    let mut select = db.prepare_cached(sql)?;
    let lines = select.query_map(of, |row| {
        Ok(ReceiptLine {
            at: row.get(0)?,
            source: row.get(1)?,
            tenant: row.get(2)?,
            alert: row.get(3)?,
            fate: Fate::Waiting,
            reason: format!("{waits}, until {}", row.get::<_, Wall>(5)?),
            delivery: row.get::<_, Json<Coordinates>>(4)?.0,
            candidates: serde_json::Value::Array(Vec::new()),
            head: None,
            ruleset: None,
            raw: row.get(6)?,
        })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}
