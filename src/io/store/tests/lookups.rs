//! Receipts that wait for Defender's answers.

use super::*;
use crate::domain::alert::Ask;
use crate::domain::decision::Asked;
use crate::io::ReceiptFilter;
use crate::io::store::lookups;
use crate::limits::{LOOKUPS_WAITING, LOOKUPS_WAITING_BYTES};

pub(super) fn asks(id: &str) -> Receipt {
    let asked = Asked {
        alert: id.to_owned(),
        asks: vec![Ask::Alert(id.to_owned())],
        text: format!("{{\"id\":{id:?}}}"),
        format: "defender-alert".to_owned(),
        candidates: Vec::new(),
        otherwise: Vec::new(),
        due: wall() + DAY,
    };
    Receipt { alert_id: id.to_owned(), content: Content::Asks(asked), ..alert(Vec::new()) }
}

/// What an answer led to: of a receipt that was counted when it came.
fn answered(draft: Draft) -> JudgedDelivery {
    let mut delivery = brings(draft);
    delivery.receipts[0].joined = Some(delivery.source.clone());
    delivery
}

impl World {
    fn looked_up(&mut self, receipt: i64, judged: &JudgedDelivery) -> Result<Taken, StoreError> {
        self.db.looked_up(receipt, judged)
    }

    fn wanted(&self) -> Vec<i64> {
        let wanted = lookups::wanted(&self.db.connection, &contoso(), 100).unwrap();
        wanted.into_iter().map(|wanted| wanted.receipt).collect()
    }
}

#[test]
fn a_receipt_waits_until_its_answer_leads_to_something() {
    let mut world = World::new();
    let taken = world.take(webhook(vec![asks("da1"), asks("da2")]));
    assert_eq!(fate(&taken), Fate::Waiting);
    let wanted = world.wanted();
    assert_eq!(wanted.len(), 2);
    world.expect_sound();
    let waiting = lookups::waiting(&world.db.connection, wanted[0]).unwrap().unwrap();
    assert_eq!((waiting.asked.text.as_str(), waiting.received), ("{\"id\":\"da1\"}", wall()));
    let receipts = |world: &mut World, alert: Option<&str>| {
        let (alert_id, fate) = (alert.map(str::to_owned), Some(Fate::Waiting));
        world.db.receipts(&ReceiptFilter { alert_id, fate, source: None, limit: 9 }).unwrap()
    };
    let one = receipts(&mut world, Some("da1")).remove(0);
    assert_eq!((one.raw.as_deref(), one.ruleset), (Some("{\"id\":\"da1\"}"), None));
    assert!(receipts(&mut world, None).iter().all(|line| line.raw.is_none()), "not of each");
    let judged = answered(acts(1, effect(1, 1)));
    assert_eq!(fate(&world.looked_up(wanted[0], &judged).unwrap()), Fate::Acted);
    // A second answer, such as after a crash in between, does nothing.
    assert!(matches!(world.looked_up(wanted[0], &judged), Ok(Taken::Replayed(_))));
    assert_eq!((world.wanted(), world.count("actions")), (wanted[1..].to_vec(), 1));
    world.expect_sound();
    let asking = || {
        let select = "SELECT alerts, bytes FROM asking";
        let of = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        world.db.connection.query_row(select, [], of).unwrap()
    };
    assert_eq!(asking(), (1, 14));
}

#[test]
fn where_the_queue_is_full_it_waits_on() {
    let mut world = World::with(Db::in_memory(1).unwrap());
    world.take(brings(acts(1, effect(1, 1))));
    world.take(webhook(vec![asks("da1")]));
    let wanted = world.wanted();
    let judged = answered(acts(2, effect(2, 2)));
    assert_eq!(world.looked_up(wanted[0], &judged), Err(StoreError::Full(1)));
    assert_eq!((world.wanted(), world.count("actions")), (wanted, 1));
    world.expect_sound();
}

#[test]
fn as_many_wait_as_may_and_the_next_is_incomplete() {
    let full = ["SET alerts = alerts + ?1 - 1", "SET bytes = bytes + ?1"];
    for (full, by) in full.into_iter().zip([LOOKUPS_WAITING, LOOKUPS_WAITING_BYTES]) {
        let mut world = World::new();
        world.take(webhook(vec![asks("da1")]));
        world.db.connection.execute(&format!("UPDATE asking {full}"), [by]).unwrap();
        let taken = world.take(webhook(vec![asks("da2")]));
        let told = &alerts(&taken)[0];
        assert_eq!(told.fate, Fate::Incomplete);
        assert_eq!(told.reason, "too many alerts of contoso wait for Defender's answers");
        // Another source has room of its own.
        let mut other = webhook(vec![asks("da3")]);
        other.source = SourceName::new("other");
        assert_eq!(fate(&world.take(other)), Fate::Waiting);
    }
}
