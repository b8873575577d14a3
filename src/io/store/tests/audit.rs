//! The record: every kind of change is on it, and nothing on it can be changed unseen.

use super::super::{Chains, SqliteStore};
use super::*;
use crate::domain::audit::{NO_TENANT, Role};
use crate::domain::breaker::Breaker;
use crate::domain::scope::Scope;
use crate::io::{ChainHead, Pause, Store as _};

/// A change of each kind, in the order of their variants. A new kind does not compile before it
/// has a number here, and fails the test before there is one of it.
fn number(what: &What) -> usize {
    match what {
        What::Created { .. } => 0,
        What::Moved { .. } => 1,
        What::ClassRaised { .. } => 2,
        What::DuplicateLinked { .. } => 3,
        What::Approved { .. } => 4,
        What::CancelAsked { .. } => 5,
        What::Paused { .. } => 6,
        What::Resumed { .. } => 7,
        What::Tripped { .. } => 8,
        What::Recalled { .. } => 9,
        What::RulesLoaded { .. } => 10,
        What::RulesRefused { .. } => 11,
        What::ConfigLoaded { .. } => 12,
        What::SignedIn { .. } => 13,
        What::SignInRefused { .. } => 14,
        What::SourceSilent { .. } => 15,
        What::SourceHeard { .. } => 16,
        What::CredentialExpiring { .. } => 17,
        What::Started { .. } => 18,
        What::Stopped => 19,
        What::StopFile { .. } => 20,
        What::CancelAnswered { .. } => 21,
        What::Anchored { .. } => 22,
        What::Progressed { .. } => 23,
    }
}

const KINDS: usize = 24;

/// Of [`populated`].
const ENTRIES: i64 = (KINDS + KINDS.div_ceil(4) + (KINDS + 2) / 4) as i64;

fn every_kind() -> Vec<What> {
    let action = id(1);
    let scope = Scope::Sha1(Sha1::from_bytes([1; 20]));
    let text = |text: &str| text.to_owned();
    let all = vec![
        What::Created { action, state: queued(wall()) },
        What::Moved { action, from: StateName::Queued, to: State::Expired },
        What::ClassRaised { action, to: Class::Urgent },
        What::DuplicateLinked { action, alert: text("a-2") },
        What::Approved { action, by: text("token alice") },
        What::CancelAsked { action },
        What::Paused { scope: scope.clone() },
        What::Resumed { scope: scope.clone() },
        What::Tripped { breaker: Breaker::MachinesPerFile, scope },
        What::Recalled { sha1: Sha1::from_bytes([1; 20]) },
        What::RulesLoaded {
            hash: text("h"),
            rules: 2,
            added: vec![text("rule-1")],
            changed: vec![text("machines.txt")],
            removed: Vec::new(),
        },
        What::RulesRefused { dir: text("rules") },
        What::ConfigLoaded { hash: text("h") },
        What::SignedIn { role: Role::Operate },
        What::SignInRefused { from: text("192.0.2.1"), times: 12 },
        What::SourceSilent { source: text("siem") },
        What::SourceHeard { source: text("siem") },
        What::CredentialExpiring { expires: wall() },
        What::Started { version: text("0.1.0"), mode: text("enforce") },
        What::Stopped,
        What::StopFile { there: true },
        What::CancelAnswered { action, answer: text("done") },
        What::Anchored { heads: Vec::new() },
        What::Progressed { action, to: Progress::Unfetched },
    ];
    assert!(all.iter().map(number).eq(0..KINDS), "one of each");
    all
}

fn by_alice(what: What) -> Change {
    let actor = Actor::Person("token alice".to_owned());
    let reason = "=a, \"reason\"".to_owned();
    Change { tenant: Some(contoso()), actor, reason, at: wall(), what }
}

/// All kinds on the chain of contoso, some on that of another tenant and on the one of none.
fn populated(world: &mut World) {
    for (at, what) in every_kind().into_iter().enumerate() {
        let change = by_alice(what);
        super::super::chain::append(&world.db.connection, &change).unwrap();
        if at % 4 < 2 {
            let tenant = (at % 4 == 0).then(|| TenantName::new("fabrikam"));
            let other = Change { tenant, ..change };
            super::super::chain::append(&world.db.connection, &other).unwrap();
        }
    }
}

#[test]
fn every_kind_of_change_is_audited() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(Db::open(dir.path(), 10).unwrap());
    populated(&mut world);
    let chains = Chains::open(dir.path()).unwrap();
    assert_eq!(chains.verify(&[]).unwrap().all_faults(), Vec::<String>::new());
    let page = chains.page(0, 1000).unwrap();
    assert!(page.iter().map(|line| line.position).eq(1..=ENTRIES), "in order, no gap");
    let of_contoso: Vec<_> = page.iter().filter(|line| line.chain == "contoso").collect();
    assert_eq!(of_contoso.len(), KINDS);
    for (line, what) in of_contoso.into_iter().zip(every_kind()) {
        let told = serde_json::to_value(&what).unwrap();
        assert_eq!(line.what.as_deref(), told["what"].as_str(), "what");
        assert_eq!(line.actor.as_deref(), Some("token alice"), "{what:?}: who");
        assert_eq!(line.reason.as_deref(), Some("=a, \"reason\""), "{what:?}: why");
        assert_eq!(line.at, Some(wall()), "{what:?}: when");
        let action = super::super::chain::action(&what).map(|id| id.to_string());
        assert_eq!(line.action, action, "{what:?}");
        let back: Change = serde_json::from_str(line.entry.get()).unwrap();
        assert_eq!(back, by_alice(what));
        let exported = serde_json::to_value(line).unwrap();
        assert_eq!(exported["entry"]["tenant"], "contoso");
        let details: serde_json::Value = serde_json::from_str(&line.details()).unwrap();
        for (key, value) in told.as_object().unwrap() {
            let elsewhere = ["what", "action"].contains(&key.as_str());
            assert!(elsewhere || details[key] == *value, "{key} of {told}");
        }
    }
    assert_eq!(chains.page(7, 2).unwrap()[1].position, 9, "a page goes on where the last ended");
}

/// Does something to the table, and undoes it after the look.
fn is_seen(world: &mut World, sql: &str, values: &[&dyn rusqlite::ToSql]) -> bool {
    world.db.connection.execute_batch("SAVEPOINT tamper").unwrap();
    let done = world.db.connection.execute(sql, values);
    // A constraint of SQLite's own is in the way of some.
    let seen = done.is_err() || {
        let db = &world.db.connection;
        !super::super::chain::walk(db, &[], 9).unwrap().all_faults().is_empty()
    };
    world.db.connection.execute_batch("ROLLBACK TO tamper; RELEASE tamper").unwrap();
    seen
}

#[test]
fn no_byte_of_any_entry_changes_unseen() {
    let mut world = World::new();
    populated(&mut world);
    let mut flipped = 0;
    for position in 1..=ENTRIES {
        for column in ["chain", "hash", "entry", "action"] {
            let sql = format!("SELECT CAST({column} AS BLOB), typeof({column}) FROM changes");
            let (bytes, kind): (Option<Vec<u8>>, String) = world
                .db
                .connection
                .query_row(&format!("{sql} WHERE position = ?1"), [position], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            let sql = match kind.as_str() {
                "text" => format!("UPDATE changes SET {column} = CAST(?1 AS TEXT)"),
                _ => format!("UPDATE changes SET {column} = ?1"),
            };
            let sql = format!("{sql} WHERE position = ?2");
            let Some(bytes) = bytes else {
                assert_eq!(column, "action");
                assert!(is_seen(&mut world, &sql, &[&[1_u8; 16], &position]), "an action added");
                continue;
            };
            // Of long texts every other byte, in one entry the even ones, in the next the odd.
            let step = if bytes.len() > 32 { 2 } else { 1 };
            for at in (position as usize % step..bytes.len()).step_by(step) {
                let mut changed = bytes.clone();
                changed[at] ^= if at % 3 == 0 { 1 } else { 0x80 };
                let seen = is_seen(&mut world, &sql, &[&changed, &position]);
                assert!(seen, "byte {at} of {column} of entry {position}");
                flipped += 1;
            }
            let cut = &bytes[..bytes.len() - 1];
            assert!(is_seen(&mut world, &sql, &[&cut, &position]), "{column} cut");
        }
        for column in ["position", "sequence"] {
            for bit in 0..63 {
                let sql = format!(
                    "UPDATE changes SET {column} = ({column} | ?1) - ({column} & ?1)
                     WHERE position = ?2"
                );
                let seen = is_seen(&mut world, &sql, &[&(1_i64 << bit), &position]);
                assert!(seen, "bit {bit} of {column} of entry {position}");
            }
        }
    }
    assert!(flipped > 3000, "only {flipped}");
}

#[test]
fn no_entry_is_moved_swapped_taken_out_or_put_in_unseen() {
    let mut world = World::new();
    populated(&mut world);
    let swap = |column: &str, a: i64, b: i64| {
        format!(
            "UPDATE changes SET {column} = (SELECT {column} FROM changes AS other
                 WHERE other.position = {a} + {b} - changes.position)
             WHERE position IN ({a}, {b})"
        )
    };
    // Entries 1 and 3 are of one chain, 2 is of another; those next to each other change places
    // without any chain being out of order.
    for (a, b) in [(1, 3), (1, 2), (2, 3), (5, 29)] {
        for column in ["entry", "hash", "action"] {
            // Both are about the same action, or about none.
            let same = column == "action";
            assert!(same || is_seen(&mut world, &swap(column, a, b), &[]), "{column} {a} {b}");
        }
        let db = &world.db.connection;
        db.execute_batch("SAVEPOINT swap").unwrap();
        for (from, to) in [(a, -1), (b, a), (-1, b)] {
            let sql = "UPDATE changes SET position = ?2 WHERE position = ?1";
            assert_eq!(db.execute(sql, [from, to]).unwrap(), 1);
        }
        let found = super::super::chain::walk(db, &[], 9).unwrap().all_faults();
        assert!(!found.is_empty(), "positions {a} and {b}");
        db.execute_batch("ROLLBACK TO swap; RELEASE swap").unwrap();
    }
    for sql in [
        "DELETE FROM changes WHERE position = 1",
        "DELETE FROM changes WHERE position = 20",
        "DELETE FROM changes WHERE chain = 'contoso' AND sequence IN (3, 4, 5)",
        "UPDATE changes SET position = position + 1000",
        "UPDATE changes SET position = -position",
        "UPDATE changes SET chain = 'tailspin' WHERE chain = 'fabrikam'",
        "INSERT INTO changes (chain, sequence, hash, entry)
             SELECT 'tailspin', 0, hash, entry FROM changes WHERE position = 1",
    ] {
        assert!(is_seen(&mut world, sql, &[]), "{sql}");
    }
}

/// The bytes of the file itself, as a disk or an editor of bytes changes them: where the index and
/// the table then say different things, both are looked at.
#[test]
fn no_byte_of_the_file_that_an_entry_is_made_of_changes_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(Db::open(dir.path(), 10).unwrap());
    populated(&mut world);
    let entry: String = world
        .db
        .connection
        .query_row(
            "SELECT entry FROM changes WHERE chain = 'contoso' ORDER BY position DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    drop(world);
    let file = dir.path().join("lazaret.db");
    let whole = std::fs::read(&file).unwrap();
    let found = whole.windows(entry.len()).position(|window| window == entry.as_bytes());
    let start = found.expect("the entry is in the file as it is");
    // Before the entry stand the row's header, the chain's name, the sequence and the hash.
    for at in (start - 48..start + entry.len()).step_by(2) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x11;
        std::fs::write(&file, &bytes).unwrap();
        let seen = match Chains::open(dir.path()).and_then(|chains| chains.verify(&[])) {
            Ok(verified) => !verified.all_faults().is_empty(),
            Err(StoreError::Corrupt(_)) => true,
            Err(other) => panic!("byte {at}: {other}"),
        };
        assert!(seen, "byte {} of the entry", at as i64 - start as i64);
    }
}

fn heads_of(world: &World) -> Vec<ChainHead> {
    super::super::chain::heads(&world.db.connection).unwrap()
}

fn faults_with(world: &World, anchors: &[ChainHead]) -> Vec<String> {
    super::super::chain::walk(&world.db.connection, anchors, 9).unwrap().all_faults()
}

/// The last place on the chain that has every fourth kind, from that one on.
fn others(first: usize) -> u64 {
    (first..KINDS).step_by(4).count() as u64 - 1
}

#[test]
fn anchors_show_a_chain_that_was_cut_or_written_anew() {
    let mut world = World::new();
    assert_eq!(heads_of(&world), []);
    populated(&mut world);
    let heads = heads_of(&world);
    let names: Vec<_> = heads.iter().map(|head| (head.chain.as_str(), head.sequence)).collect();
    assert_eq!(
        names,
        [(NO_TENANT, others(1)), ("contoso", KINDS as u64 - 1), ("fabrikam", others(0))]
    );
    assert!(heads.iter().all(|head| head.at == wall()));
    populated(&mut world);
    assert_eq!(faults_with(&world, &heads), Vec::<String>::new(), "also once it has grown");

    world.db.connection.execute("DELETE FROM changes WHERE position > 22", []).unwrap();
    assert_eq!(faults_with(&world, &[]), Vec::<String>::new(), "a cut chain looks whole");
    let faults = faults_with(&world, &heads);
    assert_eq!(faults.len(), 3, "{faults:?}");
    let newest = format!("chain contoso: the anchor of entry {}", KINDS - 1);
    assert!(faults[1].contains(&newest), "{faults:?}");

    world.db.connection.execute("DELETE FROM changes", []).unwrap();
    assert_eq!(faults_with(&world, &heads).len(), 3, "nothing is left");
    let mut anew = World::new();
    for what in every_kind() {
        let change = Change { reason: "another".to_owned(), ..by_alice(what) };
        super::super::chain::append(&anew.db.connection, &change).unwrap();
    }
    anew.expect_sound_chains();
    let faults = faults_with(&anew, &heads[1..2]);
    assert!(faults.len() == 1 && faults[0].contains("another hash"), "{faults:?}");
}

impl World {
    fn expect_sound_chains(&mut self) {
        assert_eq!(self.db.verify_chains().unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_record_is_read_beside_a_running_store_and_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Chains::open(dir.path()).err().unwrap().to_string();
    assert!(missing.contains("there is no store"), "{missing}");
    let store = SqliteStore::open(dir.path(), 10).unwrap();
    let pause = |reason: &str| Pause {
        scope: Scope::Tenant(contoso()),
        by: "token alice".to_owned(),
        reason: reason.to_owned(),
        at: wall(),
    };
    store.pause(pause("first")).await.unwrap();
    let chains = Chains::open(dir.path()).unwrap();
    assert_eq!(chains.heads().unwrap()[0].sequence, 0);
    store.pause(pause("second")).await.unwrap();
    assert_eq!(chains.heads().unwrap(), store.heads_of_chains().await.unwrap());
    assert_eq!(chains.page(1, 9).unwrap()[0].reason.as_deref(), Some("second"));
    assert_eq!(store.audit(1, 9).await.unwrap().len(), 1);
    assert_eq!(chains.verify(&[]).unwrap().chains[0].entries, 2);
    drop(chains);
    store.close().await;
    let chains = Chains::open(dir.path()).unwrap();
    assert_eq!(chains.verify(&[]).unwrap().chains[0].entries, 2);
    drop(chains);
    assert_eq!(Db::open(dir.path(), 10).unwrap().verify_chains().unwrap(), Vec::<String>::new());
}
