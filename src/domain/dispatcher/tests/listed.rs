//! What the lists of machine actions come to.

use super::*;

#[test]
fn lists_that_fail_are_told_since_the_first_until_one_is_read() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    let machine_action = MachineActionId::parse("a").unwrap();
    let (_, mut effects) = desk.answer(&head, Answer::Accepted { machine_action });
    let mut list = |listing: Listing| {
        assert!(effects.iter().any(|effect| matches!(effect, Effect::List { .. })), "{effects:?}");
        desk.step(Event::Listed { sent: desk.now.boot, listing });
        let told = (desk.dispatcher.snapshot(desk.now).unlisted, desk.now.wall);
        desk.later(seconds(300));
        effects = desk.load(Event::Wakeup, &[]);
        told
    };
    let text = || "403 Forbidden".to_owned();
    let (told, since) = list(Listing::Failed { text: text() });
    assert_eq!(told, Some((since, text())));
    let failures = [
        Listing::TooMany { retry_after: None, text: "429".to_owned() },
        Listing::Unauthorized { text: "401".to_owned() },
    ];
    for (listing, text) in failures.into_iter().zip(["429", "401"]) {
        assert_eq!(list(listing).0, Some((since, text.to_owned())));
    }
    assert_eq!(list(Listing::Page { entries: Vec::new(), read: 0, next: false }).0, None);
}

#[test]
fn lists_that_failed_are_not_told_while_nothing_waits_for_one() {
    let mut desk = Desk::new(100);
    desk.dispatcher.unlisted = Some((desk.now.wall, "403 Forbidden".to_owned()));
    assert_eq!(desk.dispatcher.snapshot(desk.now).unlisted, None);
}
