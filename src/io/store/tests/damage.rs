//! What a flipped bit, a tampered row and a full disk come to.

use super::*;

/// Flips one bit of what is in this column of the only action.
fn flip(world: &World, table: &str, column: &str) {
    let sql = format!("SELECT CAST({column} AS BLOB), typeof({column}) FROM {table} LIMIT 1");
    let (mut bytes, kind): (Vec<u8>, String) =
        world.db.connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let value = match kind.as_str() {
        "text" => rusqlite::types::Value::Text(String::from_utf8(bytes).unwrap()),
        _ => rusqlite::types::Value::Blob(bytes),
    };
    let sql = format!("UPDATE {table} SET {column} = ?1");
    world.db.connection.execute(&sql, [value]).unwrap();
}

#[test]
fn a_flipped_bit_in_what_goes_on_the_wire_never_becomes_a_call() {
    for column in ["tenant", "machine", "sha1", "alert", "comment", "detail", "state"] {
        let mut world = World::new();
        world.take(brings(acts(1, effect(1, 1))));
        flip(&world, "actions", column);
        assert_eq!(world.begin(id(1)), Begun::Corrupt, "{column}");
        assert_eq!(world.count("attempts"), 0, "{column}");
        assert_ne!(world.db.verify_rows().unwrap(), Vec::<String>::new(), "{column}");
    }
}

#[test]
fn a_damaged_action_ends_and_leads_to_no_other_for_the_window() {
    let key = |column: &str| format!("UPDATE actions SET {column} = zeroblob(20)");
    let short = |column: &str| format!("UPDATE actions SET {column} = x'00'");
    let foreign = "UPDATE actions SET tenant = 'contosp'".to_owned();
    for damage in [key("machine"), key("sha1"), short("machine"), short("sha1"), foreign] {
        let mut world = World::new();
        world.take(brings(acts(1, effect(1, 1))));
        assert_eq!(world.db.connection.execute(&damage, []).unwrap(), 1);
        assert!(is_duplicate(&world.decide(brings(acts(2, effect(1, 1)))), id(1)), "{damage}");
        world.later(DAY);
        world.shift(id(1), StateName::Queued, State::Expired);
        assert_eq!(world.count("actions WHERE state = 'expired'"), 1, "{damage}");
        assert_eq!(world.count("states WHERE count > 0 AND state = 'expired'"), 1, "{damage}");
        assert_eq!(world.count("states WHERE count > 0"), 1, "it is not queued too: {damage}");
        let again = |span: Duration| later(span, brings(acts(2, effect(1, 1))));
        assert!(is_duplicate(&world.decide(again(2 * DAY - HOUR)), id(1)), "{damage}");
        assert!(is_act(&world.decide(again(2 * DAY)), id(2)), "{damage}");
    }
}

#[test]
fn an_action_whose_state_does_not_read_is_left_out() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    flip(&world, "actions", "state");
    let change = world.moved(id(1), StateName::Queued, State::Expired);
    let left_out = world.db.apply(None, std::slice::from_ref(&change)).unwrap();
    assert_eq!(left_out, [change]);
    assert!(is_duplicate(&world.decide(brings(acts(2, effect(1, 1)))), id(1)));
}

#[test]
fn how_far_a_damaged_action_is_does_not_keep_it_from_its_end() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.accepted(id(1));
    flip(&world, "actions", "detail");
    let what = What::Progressed { action: id(1), to: Progress::Unfetched };
    let progressed = Change { what, ..world.moved(id(1), StateName::Accepted, timed_out()) };
    let left_out = world.db.apply(None, std::slice::from_ref(&progressed)).unwrap();
    assert_eq!(left_out, [progressed]);
    world.shift(id(1), StateName::Accepted, timed_out());
    assert_eq!(world.count("actions WHERE state = 'timed_out'"), 1);
}

#[test]
fn a_file_whose_owner_is_not_found_stays_blocked_and_is_named() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    flip(&world, "effects", "owner");
    let decision = world.decide(later(9 * DAY, brings(acts(2, effect(1, 1)))));
    let Decision::Duplicate { why, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(why, "the same file on the same machine is in doubt");
    world.shift(id(1), StateName::Queued, State::Expired);
    let faults = world.db.verify_rows().unwrap();
    assert!(faults.iter().any(|fault| fault.contains("has no open owner")), "{faults:?}");
}

#[test]
fn one_damaged_row_does_not_stop_the_heads_behind_it() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    flip(&world, "actions", "detail");
    world.take(brings(acts(2, effect(2, 2))));
    let heads = world.db.heads(&contoso(), Class::Normal, wall(), first(9)).unwrap();
    assert_eq!(heads.due.len(), 2);
    assert_eq!(world.begin(id(1)), Begun::Corrupt);
    assert!(matches!(world.begin(id(2)), Begun::Written(_)));
}

#[test]
fn a_damaged_open_action_is_left_out_of_a_start() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    flip(&world, "actions", "sha1");
    assert_eq!(world.db.resume(&contoso(), world.now, HOUR).unwrap().open, []);
}

#[test]
fn a_damaged_attempt_holds_its_slot_for_a_whole_window() {
    for column in ["written", "send_by", "action"] {
        let mut world = World::new();
        world.take(brings(acts(1, effect(1, 1))));
        world.accepted(id(1));
        flip(&world, "attempts", column);
        world.later(50 * MINUTE);
        let resumed = world.db.resume(&contoso(), world.now, HOUR).unwrap();
        let closed = resumed.attempts[0].closed.unwrap();
        assert_eq!((closed.at.wall, closed.answered), (world.now.wall, false), "{column}");
        assert_ne!(world.db.verify_rows().unwrap(), Vec::<String>::new(), "{column}");
    }
}

#[test]
fn a_tampered_chain_is_found() {
    for tampering in [
        "UPDATE changes SET entry = replace(entry, 'queued', 'held') WHERE sequence = 1",
        "UPDATE changes SET hash = zeroblob(32) WHERE sequence = 1",
        "UPDATE changes SET action = NULL WHERE sequence = 1",
        "UPDATE changes SET chain = 'fabrikam' WHERE sequence = 3",
        "DELETE FROM changes WHERE sequence = 1",
        "DELETE FROM changes WHERE sequence = 0",
    ] {
        let mut world = World::new();
        for number in 1..=4 {
            world.take(brings(acts(number, effect(1, number as u8))));
        }
        world.expect_sound();
        assert_eq!(world.db.connection.execute(tampering, []).unwrap(), 1);
        assert_ne!(world.db.verify_chains().unwrap(), Vec::<String>::new(), "{tampering}");
    }
}

#[test]
fn each_tenant_has_its_chain_and_one_is_for_the_rest() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    let key = EffectKey { tenant: TenantName::new("fabrikam"), ..effect(1, 1) };
    world.take(brings(acts(2, key)));
    let what = What::ConfigLoaded { hash: "h".to_owned() };
    let loaded =
        Change { tenant: None, what, ..world.moved(id(1), StateName::Held, accepted(wall())) };
    world.db.apply(None, &[loaded.clone(), loaded]).unwrap();
    for (chain, entries) in [("contoso", 1), ("fabrikam", 1), ("*", 2)] {
        assert_eq!(world.count(&format!("changes WHERE chain = '{chain}'")), entries, "{chain}");
    }
    world.expect_sound();
}

#[test]
fn a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(Db::open(dir.path(), 1_000_000).unwrap());
    let pages: i64 =
        world.db.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    world.db.connection.pragma_update(None, "max_page_count", pages + 40).unwrap();
    let batch = |round: u32| -> Vec<JudgedDelivery> {
        let number = |n| round * 50 + n;
        (0..50).map(|n| brings(acts(number(n), effect(round as u8, n as u8 + 1)))).collect()
    };
    let mut kept = 0;
    let mut failures = 0;
    let mut rounds = 1..;
    while failures < 3 {
        let taken = world.db.intake(&batch(rounds.next().unwrap()));
        if let Ok(taken) = &taken {
            kept += taken.iter().filter(|taken| done(taken)).count();
        }
        let is_full =
            |error: &StoreError| matches!(error, StoreError::Io(text) if text.contains("is full"));
        failures += usize::from(match &taken {
            Err(error) => is_full(error),
            Ok(taken) => taken.iter().any(|t| matches!(t, Taken::Failed(error) if is_full(error))),
        });
        assert_eq!(world.count("actions"), kept as i64, "just what was acknowledged");
    }
    world.expect_sound();
    world.db.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert!(world.db.intake(&batch(100)).unwrap().iter().all(done));
    drop(world);

    let mut world = World::with(Db::open(dir.path(), 1_000_000).unwrap());
    assert_eq!(world.count("actions"), kept as i64 + 50);
    world.expect_sound();
}
