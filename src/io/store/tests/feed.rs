//! The record as channels read it, and how far each is.

use super::*;
use crate::io::store::feed;
use crate::io::{Cursor, Noted};

fn note(what: What) -> Change {
    let (actor, reason) = (Actor::Lazaret, String::new());
    Change { tenant: Some(contoso()), actor, reason, at: wall(), what }
}

#[test]
fn a_new_channel_starts_at_the_end_and_reads_on_in_order() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    let cursor = feed::cursor(&world.db.connection, "soc").unwrap();
    let feed_of =
        |world: &World, from, limit| feed::changes(&world.db.connection, from, limit).unwrap();
    assert_eq!(feed_of(&world, cursor.next, 10).changes, [], "what was before is not told");
    world.take(brings(acts(2, effect(2, 2))));
    world.succeeded(id(2));
    let feed = feed_of(&world, cursor.next, 100);
    let keys: Vec<_> = feed.changes.iter().filter_map(|fed| fed.key.clone()).collect();
    assert!(keys.len() >= 4 && keys.iter().all(|key| *key == effect(2, 2)), "{feed:?}");
    assert!(feed.changes.is_sorted_by_key(|fed| fed.position));
    let first = feed_of(&world, cursor.next, 1);
    assert_eq!(first.changes, feed.changes[..1]);
    assert_eq!(feed_of(&world, first.next, 100).changes, feed.changes[1..]);
    assert_eq!(feed_of(&world, feed.next, 100).next, feed.next);
    assert_eq!(feed::end(&world.db.connection).unwrap(), feed.next);
}

#[test]
fn a_cursor_is_kept_for_each_channel() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    let db = &world.db.connection;
    let at = Cursor { next: 1, until: 2, told: 1 };
    feed::advance(db, "soc", at).unwrap();
    assert_eq!(feed::cursor(db, "soc").unwrap(), at);
    assert!(at.is_telling() && !Cursor::at(2).is_telling());
    let other = feed::cursor(db, "soc!").unwrap();
    assert_eq!(other, Cursor::at(feed::end(db).unwrap()));
}

#[test]
fn reading_on_walks_no_more_than_it_returns() {
    let world = World::new();
    let sql = "EXPLAIN QUERY PLAN SELECT c.rowid, c.entry, a.tenant, a.machine, a.sha1
         FROM changes c LEFT JOIN actions a ON a.id = c.action
         WHERE c.rowid >= 1 ORDER BY c.rowid LIMIT 1";
    let mut plan = world.db.connection.prepare(sql).unwrap();
    let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<_> = steps.map(Result::unwrap).collect();
    assert!(steps.iter().all(|step| step.starts_with("SEARCH")), "{steps:?}");
}

#[test]
fn what_is_noted_is_kept_with_its_change() {
    let mut world = World::new();
    let silent = What::SourceSilent { source: "siem".to_owned() };
    let expiring = What::CredentialExpiring { expires: wall() + DAY };
    world.db.apply(None, &[note(silent), note(expiring)]).unwrap();
    let siem = Noted::Silent("siem".to_owned());
    let noted = feed::noted(&world.db.connection).unwrap();
    assert_eq!(noted, [(Noted::Expiring(contoso()), wall()), (siem, wall())]);
    let heard = What::SourceHeard { source: "siem".to_owned() };
    world.db.apply(None, &[note(heard)]).unwrap();
    let noted = feed::noted(&world.db.connection).unwrap();
    assert_eq!(noted, [(Noted::Expiring(contoso()), wall())]);
}

#[test]
fn a_source_that_was_heard_since_is_not_silent_in_the_summary_of_that_moment() {
    let mut world = World::new();
    let silent = |source: &str| note(What::SourceSilent { source: source.to_owned() });
    let gone = brings(acts(1, effect(1, 1)));
    let source = gone.source.to_string();
    world.db.apply(None, &[silent(&source), silent("other")]).unwrap();
    let shown = |world: &mut World| world.db.summary().unwrap().silent;
    let never_heard = ("other".to_owned(), wall());
    assert_eq!(shown(&mut world), [never_heard.clone(), (source, wall())]);
    world.take(later(MINUTE, gone));
    assert_eq!(world.db.summary().unwrap().last_received[0].1, wall() + MINUTE);
    assert_eq!(shown(&mut world), [never_heard], "before it is noted that it was heard");
}
