//! What the store knows of everything that a delivery touches.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::fault::Fault;
use super::{effects, lookups, pauses};
use crate::domain::decision::{Content, Draft, JudgedDelivery, Outcome, Receipt};
use crate::domain::dedupe::{Effect, View};
use crate::domain::ids::{EffectKey, Sha1, TenantName};

/// All but how the breakers stand.
pub(super) fn read(db: &Connection, delivery: &JudgedDelivery) -> Result<View, Fault> {
    Ok(View {
        effects: rows_of(db, delivery)?,
        gauges: HashMap::new(),
        recalled: recalled(db, delivery)?,
        spared: spared(db, delivery)?,
        asking: asking(db, delivery)?,
    })
}

/// The rows of all effects that a delivery may touch.
fn rows_of(
    db: &Connection,
    delivery: &JudgedDelivery,
) -> Result<HashMap<EffectKey, Effect>, Fault> {
    let mut rows = HashMap::new();
    for key in keys(delivery) {
        if !rows.contains_key(key)
            && let Some(effect) = effects::load(db, key)?
        {
            rows.insert(key.clone(), effect);
        }
    }
    Ok(rows)
}

fn spared(
    db: &Connection,
    delivery: &JudgedDelivery,
) -> Result<HashMap<EffectKey, Vec<String>>, Fault> {
    let mut spared = HashMap::new();
    for key in keys(delivery) {
        if let Some(by) = effects::spared(db, key, delivery.received)? {
            spared.insert(key.clone(), by);
        }
    }
    Ok(spared)
}

fn recalled(db: &Connection, delivery: &JudgedDelivery) -> Result<HashSet<Sha1>, Fault> {
    let mut recalled = HashSet::new();
    for draft in drafts(delivery).filter(|draft| draft.prepared.is_some()) {
        if pauses::is_recalled(db, draft.key.sha1)? {
            recalled.insert(draft.key.sha1);
        }
    }
    Ok(recalled)
}

fn asking(db: &Connection, delivery: &JudgedDelivery) -> Result<HashSet<TenantName>, Fault> {
    let (mut full, mut seen) = (HashSet::new(), HashSet::new());
    let asks = |receipt: &&Receipt| matches!(receipt.content, Content::Asks(_));
    for receipt in delivery.receipts.iter().filter(asks) {
        if let Some(tenant) = &receipt.tenant
            && seen.insert(tenant)
            && lookups::is_full(db, tenant, &delivery.source)?
        {
            full.insert(tenant.clone());
        }
    }
    Ok(full)
}

pub(super) fn drafts(delivery: &JudgedDelivery) -> impl Iterator<Item = &Draft> {
    delivery.receipts.iter().flat_map(Receipt::outcomes).filter_map(|outcome| match outcome {
        Outcome::Draft(draft) => Some(&**draft),
        _ => None,
    })
}

/// Of all effects that it may touch, some of them more than once.
fn keys(delivery: &JudgedDelivery) -> impl Iterator<Item = &EffectKey> {
    delivery.receipts.iter().flat_map(Receipt::outcomes).filter_map(|outcome| match outcome {
        Outcome::Draft(draft) => Some(&draft.key),
        Outcome::Protected { key, .. } => Some(key),
        Outcome::Settled(_) => None,
    })
}
