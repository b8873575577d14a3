mod listed;
mod outage;
mod shut;
mod turns;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::action::{AttemptRow, Closed, Doubt, OpenAction, Resumed};
use crate::domain::ids::{AttemptId, EffectKey, MachineActionId, MachineId, Sha1};
use crate::domain::time::{BootId, Clocks, Wall};

const BOOT: BootId = BootId([1; 16]);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A dispatcher, its time, and what it wants.
struct Desk {
    dispatcher: Dispatcher,
    now: Now,
}

impl Desk {
    fn new(calls: u32) -> Self {
        Self::resumed(calls, Resumed::default()).0
    }

    fn resumed(calls: u32, resumed: Resumed) -> (Self, Vec<Effect>) {
        let now = Now { boot: Boot(1_000_000_000), wall: Wall(2_000_000_000_000) };
        let settings = DispatcherSettings {
            tenant: TenantName::new("contoso"),
            quarantine: vec![Limit::new(calls, seconds(60)).unwrap()],
            reserve: 0,
            machine_actions: vec![Limit::new(100, seconds(60)).unwrap()],
            client_timeout: seconds(10),
            tracker: TrackerSettings { every: seconds(30), wait: seconds(60), page: 100 },
        };
        let clocks = Clocks { boot_id: BOOT, wall_trusted: true };
        let (dispatcher, effects) = Dispatcher::resume(settings, resumed, now, clocks);
        (Self { dispatcher, now }, effects)
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.dispatcher.step(self.now, event)
    }

    fn head(&self, n: u128, class: Class) -> Head {
        Head {
            action: action(n),
            class,
            sequence: i64::try_from(n).unwrap(),
            queued: self.now.wall,
            not_before: self.now.wall,
            expires: self.now.wall + seconds(24 * 3600),
            tries: 0,
            busy_since: None,
        }
    }

    /// Answers every load with what is due of its class, until no load is wanted. Returns the
    /// other effects.
    fn load(&mut self, event: Event, due: &[Head]) -> Vec<Effect> {
        let mut effects = self.step(event);
        while let Some(at) = effects.iter().position(|e| matches!(e, Effect::Load { .. })) {
            let Effect::Load { class, .. } = effects.remove(at) else { unreachable!() };
            let due = due.iter().filter(|head| head.class == class).cloned().collect();
            let heads = Heads { due, ..Heads::default() };
            effects.extend(self.step(Event::Loaded { class, heads }));
        }
        effects
    }

    /// One urgent action is called, and answered so.
    fn answer(&mut self, head: &Head, answer: Answer) -> (State, Vec<Effect>) {
        let effects = self.load(Event::Nudge, std::slice::from_ref(head));
        assert_eq!(calls(&effects), [head.action]);
        let called = self.attempted(head, answer);
        let mut effects = self.load(Event::Called { action: head.action, called }, &[]);
        let Effect::Record { closed: Some(_), mut changes } = effects.remove(0) else { panic!() };
        let What::Moved { to, .. } = changes.remove(0).what else { panic!() };
        (to, effects)
    }

    fn attempted(&self, head: &Head, answer: Answer) -> Called {
        let written = Stamp::new(BOOT, self.now);
        let send_by = Stamp::new(BOOT, self.now.later(limits::SEND_BY));
        let id = AttemptId(Uuid::nil());
        let attempt = NewAttempt { id, action: head.action, written, send_by };
        let call = Call { key: key(), comment: "c".to_owned() };
        let attempted = Attempted { attempt, call, answer, closed: written };
        Called::Attempted(Box::new(attempted))
    }

    fn calls_at(&mut self, head: &Head) -> Vec<ActionId> {
        let effects = self.load(Event::Nudge, std::slice::from_ref(head));
        calls(&effects)
    }

    fn later(&mut self, span: Duration) {
        self.now = self.now.later(span);
    }
}

fn action(n: u128) -> ActionId {
    ActionId(Uuid::from_u128(n))
}

fn key() -> EffectKey {
    EffectKey {
        tenant: TenantName::new("contoso"),
        machine: MachineId::from_bytes([1; 20]),
        sha1: Sha1::from_bytes([2; 20]),
    }
}

fn calls(effects: &[Effect]) -> Vec<ActionId> {
    let call = |effect: &Effect| match effect {
        Effect::Call { action, .. } => Some(*action),
        _ => None,
    };
    effects.iter().filter_map(call).collect()
}

fn refused(status: u16, code: &str) -> Answer {
    Answer::Refused { status, code: code.to_owned(), text: "t".to_owned() }
}

fn unsent() -> Answer {
    Answer::Unsent { text: "no connection".to_owned() }
}

fn unauthorized() -> Answer {
    Answer::Unauthorized { text: "expired".to_owned() }
}

#[test]
fn classes_go_strictly_in_order_and_each_first_in_first_out() {
    let mut desk = Desk::new(20);
    let due = [
        desk.head(1, Class::Bulk),
        desk.head(2, Class::Normal),
        desk.head(3, Class::Urgent),
        desk.head(4, Class::Urgent),
        desk.head(5, Class::Normal),
    ];
    let effects = desk.load(Event::Wakeup, &due);
    assert_eq!(calls(&effects), [3, 4, 2, 5, 1].map(action));
    assert_eq!(desk.dispatcher.snapshot(desk.now).used[0].calls, 5);
}

#[test]
fn an_action_rises_a_class_every_six_hours() {
    let mut desk = Desk::new(20);
    let aged = |desk: &Desk, n, class, hours: u64| Head {
        queued: desk.now.wall - seconds(hours * 3600),
        ..desk.head(n, class)
    };
    let due = [
        aged(&desk, 1, Class::Bulk, 12),
        aged(&desk, 2, Class::Bulk, 6),
        desk.head(3, Class::Urgent),
        aged(&desk, 4, Class::Normal, 6),
        desk.head(5, Class::Normal),
        aged(&desk, 6, Class::Bulk, 5),
    ];
    let effects = desk.load(Event::Wakeup, &due);
    assert_eq!(calls(&effects), [1, 3, 4, 2, 5, 6].map(action));
}

#[test]
fn more_than_the_budget_has_room_for_is_spread_evenly_and_urgent_is_not() {
    let mut desk = Desk::new(40);
    let mut due: Vec<Head> = (1..=39).map(|n| desk.head(n, Class::Bulk)).collect();
    let effects = desk.load(Event::Wakeup, &due);
    assert_eq!(calls(&effects), [action(1)], "a minute has 40");
    let gap = Duration::from_micros(60_060_000 / 40);
    assert_eq!(desk.dispatcher.next_wakeup(), Some(desk.now.boot + gap));
    due.remove(0);
    due.push(desk.head(50, Class::Urgent));
    due.push(desk.head(51, Class::Urgent));
    assert_eq!(calls(&desk.load(Event::Nudge, &due)), [50, 51].map(action));
    desk.later(gap);
    assert_eq!(calls(&desk.load(Event::Wakeup, &[])).len(), 1);
}

#[test]
fn what_fits_leaves_at_once_but_for_what_is_kept_for_urgent_actions() {
    let mut desk = Desk::new(40);
    desk.dispatcher.paces = Paces::new(30, &desk.dispatcher.quarantine.limiter, desk.now.boot);
    let mut due: Vec<Head> = (1..=9).map(|n| desk.head(n, Class::Normal)).collect();
    assert_eq!(calls(&desk.load(Event::Wakeup, &due)).len(), 9);
    due = (11..=15).map(|n| desk.head(n, Class::Normal)).collect();
    due.extend((21..=23).map(|n| desk.head(n, Class::Urgent)));
    assert_eq!(calls(&desk.load(Event::Nudge, &due)), [21, 22, 23].map(action));
}

#[test]
fn a_429_shrinks_the_budget_once_for_calls_that_were_under_way_together() {
    let mut desk = Desk::new(100);
    let heads = [1, 2, 3].map(|n| desk.head(n, Class::Urgent));
    assert_eq!(calls(&desk.load(Event::Wakeup, &heads)).len(), 3);
    let refused = || Answer::TooMany { retry_after: None, text: String::new() };
    let answers = [0, 1, 2].map(|n: usize| desk.attempted(&heads[n], refused()));
    for (head, mut called) in heads.iter().zip(answers) {
        desk.later(seconds(1));
        let Called::Attempted(attempted) = &mut called else { unreachable!() };
        attempted.closed = Stamp::new(BOOT, desk.now);
        desk.step(Event::Called { action: head.action, called });
    }
    let share = |desk: &Desk| desk.dispatcher.snapshot(desk.now).share;
    assert_eq!(share(&desk), 900);
    desk.later(limits::SHARE_GROWS_EVERY);
    assert_eq!(share(&desk), 905);
    desk.answer(&heads[0], refused());
    assert_eq!(share(&desk), 814);
    desk.later(limits::SHARE_GROWS_EVERY * 40);
    assert_eq!(share(&desk), 1000);
}

#[test]
fn no_more_are_in_flight_than_the_bound() {
    let mut desk = Desk::new(100);
    let due: Vec<Head> = (1..=40).map(|n| desk.head(n, Class::Normal)).collect();
    assert_eq!(calls(&desk.load(Event::Wakeup, &due)).len(), limits::IN_FLIGHT_PER_TENANT);
}

#[test]
fn a_429_holds_the_endpoint_and_charges_no_try() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    let retry_after = Some(seconds(17));
    let answer = Answer::TooMany { retry_after, text: "slow down".to_owned() };
    let (to, _) = desk.answer(&head, answer);
    assert_eq!(to, State::Queued { not_before: head.not_before, tries: 0, busy_since: None });
    assert_eq!(desk.dispatcher.next_wakeup(), Some(desk.now.boot + seconds(17)));
    desk.later(seconds(16));
    assert_eq!(desk.calls_at(&head), []);
    let blocked = desk.dispatcher.snapshot(desk.now).blocked;
    assert_eq!(blocked, Some((desk.now.wall + seconds(1), "slow down".to_owned())));
    desk.later(seconds(1));
    assert_eq!(desk.calls_at(&head), [head.action]);
}

/// Else one that goes on refusing is called, and the store written to, sixteen times each second.
#[test]
fn after_a_429_one_call_finds_out_whether_it_is_over() {
    let mut desk = Desk::new(100);
    let first = desk.head(1, Class::Urgent);
    let too_many = || Answer::TooMany { retry_after: Some(seconds(1)), text: String::new() };
    desk.answer(&first, too_many());
    let due: Vec<Head> = (2..=40).map(|n| desk.head(n, Class::Urgent)).collect();
    let action = due[0].action;
    for _ in 0..2 {
        desk.later(seconds(1));
        assert_eq!(calls(&desk.load(Event::Nudge, &due)), [action]);
        let called = desk.attempted(&due[0], too_many());
        desk.load(Event::Called { action, called }, &due);
    }
    desk.later(seconds(1));
    assert_eq!(calls(&desk.load(Event::Nudge, &due)), [action]);
    let machine_action = MachineActionId::parse("a").unwrap();
    let called = desk.attempted(&due[0], Answer::Accepted { machine_action });
    let effects = desk.load(Event::Called { action, called }, &due[1..]);
    assert_eq!(calls(&effects).len(), limits::IN_FLIGHT_PER_TENANT);
}

#[test]
fn a_429_that_does_not_say_how_long_holds_a_minute() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    desk.answer(&head, Answer::TooMany { retry_after: None, text: String::new() });
    desk.later(seconds(59));
    assert_eq!(desk.calls_at(&head), []);
    desk.later(seconds(1));
    assert_eq!(desk.calls_at(&head), [head.action]);
}

#[test]
fn a_refused_token_is_tried_once_more_at_once_and_then_holds() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    let (to, _) = desk.answer(&head, unauthorized());
    assert!(matches!(to, State::Queued { tries: 0, .. }), "{to:?}");
    desk.answer(&head, unauthorized());
    desk.later(seconds(29));
    assert_eq!(desk.calls_at(&head), []);
    desk.later(seconds(1));
    desk.answer(&head, unauthorized());
    desk.later(seconds(59));
    assert_eq!(desk.calls_at(&head), []);
}

#[test]
fn calls_that_were_sent_with_the_same_token_count_once() {
    let mut desk = Desk::new(100);
    let heads = [1, 2, 3].map(|n| desk.head(n, Class::Urgent));
    assert_eq!(calls(&desk.load(Event::Wakeup, &heads)).len(), 3);
    let answers = [1, 2, 3].map(|n| desk.attempted(&heads[n - 1], unauthorized()));
    for (head, mut called) in heads.iter().zip(answers) {
        desk.later(seconds(1));
        let Called::Attempted(attempted) = &mut called else { unreachable!() };
        attempted.closed = Stamp::new(BOOT, desk.now);
        desk.step(Event::Called { action: head.action, called });
    }
    assert_eq!(desk.dispatcher.snapshot(desk.now).blocked, None);
}

#[test]
fn three_calls_in_a_row_that_were_never_sent_hold_the_endpoint() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    for _ in 0..3 {
        let (to, _) = desk.answer(&head, unsent());
        assert!(matches!(to, State::Queued { tries: 0, .. }), "{to:?}");
    }
    assert_eq!(desk.dispatcher.snapshot(desk.now).used[0].calls, 3);
    desk.later(seconds(29));
    assert_eq!(desk.calls_at(&head), []);
    desk.later(seconds(1));
    // One is enough to find out whether it works again.
    let heads = [1, 2].map(|n| desk.head(n, Class::Urgent));
    assert_eq!(calls(&desk.load(Event::Nudge, &heads)).len(), 1);
}

#[test]
fn a_missing_permission_pauses_the_tenant_after_the_action_is_back_in_the_queue() {
    for code in ["Forbidden", "DisabledFeature", ""] {
        let mut desk = Desk::new(100);
        let head = desk.head(1, Class::Urgent);
        let (to, effects) = desk.answer(&head, refused(403, code));
        assert!(matches!(to, State::Queued { tries: 0, .. }), "{to:?}");
        let [Effect::Pause { reason }] = &effects[..] else { panic!("{effects:?}") };
        // Without its text, which is another one for each call.
        assert_eq!(reason, format!("Defender answers 403 {code}").trim_end());
        assert_eq!(desk.calls_at(&head), []);
        assert!(desk.dispatcher.snapshot(desk.now).shut.is_some());
        assert_eq!(calls(&desk.load(Event::Resumed, &[head])).len(), 1);
    }
}

#[test]
fn a_refusal_for_good_ends_that_action_alone() {
    for (status, code) in
        [(403, "DisallowedOperation"), (400, "InvalidHashValue"), (400, "OsPlatformNotSupported")]
    {
        let mut desk = Desk::new(100);
        let head = desk.head(1, Class::Urgent);
        let (to, effects) = desk.answer(&head, refused(status, code));
        assert_eq!(to, State::Refused { code: code.to_owned() });
        assert!(effects.iter().all(|e| !matches!(e, Effect::Pause { .. })));
        assert_eq!(desk.calls_at(&desk.head(2, Class::Bulk)), [action(2)]);
    }
}

#[test]
fn a_404_is_believed_at_the_third_time() {
    let mut desk = Desk::new(100);
    let mut head = desk.head(1, Class::Urgent);
    for tries in 1..=2 {
        let not_before = desk.now.wall + limits::NOT_FOUND_WAIT;
        let (to, _) = desk.answer(&head, refused(404, "ResourceNotFound"));
        assert_eq!(to, State::Queued { not_before, tries, busy_since: None });
        head = Head { not_before, tries, ..head };
        desk.later(limits::NOT_FOUND_WAIT);
    }
    let (to, _) = desk.answer(&head, refused(404, "ResourceNotFound"));
    assert_eq!(to, State::Refused { code: "ResourceNotFound".to_owned() });
}

#[test]
fn a_lost_answer_is_looked_up_after_it_must_have_shown() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    let answer = Answer::Unclear { status: None, text: "timeout".to_owned() };
    let (to, effects) = desk.answer(&head, answer);
    assert!(matches!(to, State::InDoubt { doubt: Doubt::NoAnswer, .. }), "{to:?}");
    assert!(effects.iter().all(|e| !matches!(e, Effect::List { .. })));
    desk.later(seconds(71));
    assert!(desk.step(Event::Wakeup).iter().all(|e| !matches!(e, Effect::List { .. })));
    desk.later(seconds(1));
    let effects = desk.step(Event::Wakeup);
    assert!(effects.iter().any(|e| matches!(e, Effect::List { .. })), "{effects:?}");
    assert_eq!(desk.dispatcher.snapshot(desk.now).in_doubt, 1);
}

#[test]
fn an_active_request_is_looked_up_at_once() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    let (to, effects) = desk.answer(&head, refused(400, "ActiveRequestAlreadyExists"));
    assert!(matches!(to, State::InDoubt { doubt: Doubt::ActiveRequest { .. }, .. }), "{to:?}");
    assert!(matches!(effects[..], [Effect::List { .. }]), "{effects:?}");
}

#[test]
fn what_was_in_flight_at_a_crash_is_in_doubt_and_not_called_again() {
    let attempt = AttemptId(Uuid::nil());
    let open = OpenAction {
        action: action(1),
        key: key(),
        comment: "c".to_owned(),
        state: State::InFlight { attempt, tries: 3, busy_since: None },
        attempt: Some(AttemptRow {
            id: attempt,
            action: action(1),
            written: Stamp::new(BOOT, Desk::new(1).now),
            send_by: Stamp::new(BOOT, Desk::new(1).now),
            closed: None,
        }),
    };
    let resumed = Resumed { open: vec![open], ..Resumed::default() };
    let (desk, effects) = Desk::resumed(100, resumed);
    let [Effect::Record { closed: Some(closed), changes }] = &effects[..] else {
        panic!("{effects:?}")
    };
    let at = Stamp::new(BOOT, desk.now);
    assert_eq!((closed.id, closed.kept()), (attempt, Closed { at, answered: false, status: None }));
    let to = State::InDoubt { attempt, tries: 3, busy_since: None, doubt: Doubt::NoAnswer };
    let what = What::Moved { action: action(1), from: StateName::InFlight, to };
    assert_eq!(changes[0].what, what);
}

#[test]
fn a_stopping_dispatcher_begins_nothing_and_records_what_comes() {
    let mut desk = Desk::new(100);
    let heads = [1, 2].map(|n| desk.head(n, Class::Urgent));
    desk.calls_at(&heads[0]);
    assert!(desk.step(Event::Stop).is_empty());
    assert!(!desk.dispatcher.is_idle());
    let called = desk.attempted(&heads[0], unsent());
    let effects = desk.step(Event::Called { action: action(1), called });
    assert!(matches!(effects[..], [Effect::Record { .. }]), "{effects:?}");
    assert!(desk.dispatcher.is_idle());
    assert_eq!(desk.dispatcher.next_wakeup(), None);
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let text = String::new;
    let machine_action = MachineActionId::parse("a").unwrap();
    prop_oneof![
        Just(Answer::Accepted { machine_action }),
        any::<Option<u32>>().prop_map(move |wait| Answer::TooMany {
            retry_after: wait.map(|wait| seconds(wait.into())),
            text: text()
        }),
        Just(unauthorized()),
        Just(unsent()),
        any::<Option<u16>>().prop_map(move |status| Answer::Unclear { status, text: text() }),
        (400_u16..500, "ActiveRequestAlreadyExists|Forbidden|[A-Z]?")
            .prop_map(|(status, code)| refused(status, &code)),
    ]
}

proptest! {
    #[test]
    fn every_answer_leads_to_a_state_that_may_follow(
        answer in any_answer(),
        tries in 0_u32..100,
        busy in any::<bool>(),
    ) {
        let mut desk = Desk::new(100);
        let busy_since = busy.then_some(desk.now.wall);
        let head = Head { tries, busy_since, ..desk.head(1, Class::Urgent) };
        let charges_no_try = matches!(
            answer,
            Answer::TooMany { .. } | Answer::Unauthorized { .. } | Answer::Unsent { .. }
        );
        let (to, _) = desk.answer(&head, answer);
        prop_assert!(StateName::InFlight.may_become(to.name()), "{to:?}");
        if charges_no_try {
            prop_assert_eq!(to, State::Queued { not_before: head.not_before, tries, busy_since });
        }
    }
}
