//! Which question comes when, and what its answer means.

use super::*;
use crate::domain::ids::Sha1;
use crate::domain::time::Boot;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn start() -> Now {
    Now { boot: Boot(0), wall: Wall(1_790_000_000_000_000) }
}

fn lookups(calls: u32) -> Lookups {
    let limit = || vec![Limit::new(calls, Duration::from_secs(60)).unwrap()];
    let budgets = Budgets { alerts: limit(), machines: limit(), files: limit() };
    Lookups { alerts: Limiter::new(limit()), ..Lookups::new(budgets, start().boot) }
}

fn alert(id: &str) -> Ask {
    Ask::Alert(id.to_owned())
}

fn wants(receipt: i64, asks: &[Ask]) -> Wanted {
    let source = SourceName::new("siem");
    Wanted { receipt, source, asks: asks.to_vec(), due: start().wall + HOUR }
}

fn told(text: &str) -> Fetched<Told> {
    Fetched::Is(Told::Alert(text.to_owned()))
}

fn not_found() -> Fetched<Told> {
    Fetched::NotFound { text: "no such alert".to_owned() }
}

/// Asks what the plan asks, and answers it.
fn ask(
    lookups: &mut Lookups,
    now: Now,
    wanted: &[Wanted],
    answer: Fetched<Told>,
) -> Result<(), String> {
    let question = lookups.plan(now, wanted).question.expect("something to ask");
    let Question { permit: _, slot, ask } = question;
    lookups.answered(now, slot, ask, answer)
}

#[test]
fn a_question_of_two_receipts_is_asked_once_and_both_are_done() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("a")]), wants(2, &[alert("a")])];
    ask(&mut lookups, start(), &wanted, told("{}")).unwrap();
    let plan = lookups.plan(start(), &wanted);
    let done: Vec<i64> = plan.done.iter().map(|(receipt, _)| *receipt).collect();
    assert_eq!(done, [1, 2]);
    assert!(plan.question.is_none());
    assert_eq!(plan.done[0].1[&alert("a")], Told::Alert("{}".to_owned()));
}

#[test]
fn sources_take_turns() {
    let mut lookups = lookups(10);
    let of = |source: &str, receipt: i64, id: &str| Wanted {
        source: SourceName::new(source),
        ..wants(receipt, &[alert(id)])
    };
    let mut wanted: Vec<Wanted> =
        (0..5).map(|number| of("flood", number, &format!("f{number}"))).collect();
    wanted.push(of("siem", 5, "s0"));
    wanted.push(of("edr", 6, "e0"));
    let mut asked = Vec::new();
    for _ in 0..5 {
        let Question { slot, ask, .. } = lookups.plan(start(), &wanted).question.unwrap();
        let Ask::Alert(id) = &ask else { panic!("{ask:?}") };
        asked.push(id.clone());
        lookups.answered(start(), slot, ask, told("{}")).unwrap();
    }
    assert_eq!(asked, ["e0", "f0", "s0", "f1", "f2"]);
}

#[test]
fn a_receipt_waits_for_all_its_answers() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("a"), alert("b")])];
    ask(&mut lookups, start(), &wanted, told("1")).unwrap();
    assert!(lookups.plan(start(), &wanted).done.is_empty());
    let mut lookups = super::tests::lookups(10);
    for text in ["1", "2"] {
        ask(&mut lookups, start(), &wanted, told(text)).unwrap();
    }
    assert_eq!(lookups.plan(start(), &wanted).done.len(), 1);
}

#[test]
fn an_unknown_alert_is_asked_for_three_times_and_ends_with_that_reason() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("a")])];
    let mut now = start();
    for _ in 0..3 {
        assert!(ask(&mut lookups, now, &wanted, not_found()).is_err());
        now = now.later(limits::LOOKUP_AGAIN.1.min(40 * SECOND));
    }
    let plan = lookups.plan(now, &wanted);
    let Told::Nothing(why) = &plan.done[0].1[&alert("a")] else { panic!() };
    assert_eq!(why, "Defender does not know it: no such alert");
    assert!(lookups.trouble().is_none());
}

#[test]
fn trouble_puts_the_question_off_and_not_the_others() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("a")]), wants(2, &[alert("b")])];
    let failed = Fetched::Failed { text: "503".to_owned() };
    assert_eq!(ask(&mut lookups, start(), &wanted, failed), Err("503".to_owned()));
    assert_eq!(lookups.trouble(), Some("503"));
    let plan = lookups.plan(start(), &wanted);
    assert_eq!(plan.question.expect("the other").ask, alert("b"));
    let plan = lookups.plan(start(), &wanted[..1]);
    assert!(plan.question.is_none());
    assert_eq!(plan.wake, start().boot + limits::LOOKUP_AGAIN.0);
}

#[test]
fn what_is_due_ends_without_its_answers_and_says_why() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("a")]), wants(2, &[alert("b")])];
    let failed = Fetched::Failed { text: "503".to_owned() };
    let _ = ask(&mut lookups, start(), &wanted, failed);
    let plan = lookups.plan(start().later(HOUR), &wanted);
    let why = |at: usize, id: &str| plan.done[at].1[&alert(id)].clone();
    assert_eq!(why(0, "a"), Told::Nothing("Defender did not tell: 503".to_owned()));
    assert_eq!(why(1, "b"), Told::Nothing("Defender could not be asked in time".to_owned()));
}

#[test]
fn a_missing_role_or_a_full_budget_holds_its_endpoint_alone() {
    let forbidden =
        Fetched::Refused { status: 403, code: "Forbidden".to_owned(), text: "role".to_owned() };
    let full = Fetched::TooMany { retry_after: Some(90 * SECOND), text: "slow".to_owned() };
    for (answer, held) in [(forbidden, limits::LOOKUP_FORBIDDEN_HOLD), (full, 90 * SECOND)] {
        let mut lookups = lookups(10);
        let wanted = [wants(1, &[alert("a")]), wants(2, &[alert("b")])];
        assert!(ask(&mut lookups, start(), &wanted, answer).is_err());
        let plan = lookups.plan(start(), &wanted[1..]);
        assert!(plan.question.is_none());
        assert!(plan.wake <= start().boot + held, "{:?}", plan.wake);
        let other = [wants(3, &[Ask::Host("pc1".to_owned())])];
        assert!(lookups.plan(start(), &other).question.is_some());
        let later = start().later(held);
        assert!(lookups.plan(later, &wanted[1..]).question.is_some());
    }
}

#[test]
fn any_other_refusal_is_an_answer() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("..")])];
    let refused = Fetched::Refused { status: 400, code: "x".to_owned(), text: "bad".to_owned() };
    assert!(ask(&mut lookups, start(), &wanted, refused).is_err());
    let plan = lookups.plan(start(), &wanted);
    let why = Told::Nothing("Defender refuses to tell: bad".to_owned());
    assert_eq!(plan.done[0].1[&alert("..")], why);
}

#[test]
fn the_budget_holds() {
    let mut lookups = lookups(2);
    let wanted = [wants(1, &[alert("a")]), wants(2, &[alert("b")]), wants(3, &[alert("c")])];
    for _ in 0..2 {
        ask(&mut lookups, start(), &wanted, told("{}")).unwrap();
    }
    let plan = lookups.plan(start(), &wanted);
    assert_eq!((plan.done.len(), plan.question.is_none()), (2, true));
    assert!(plan.wake > start().boot);
    let later = start().later(61 * SECOND);
    assert!(lookups.plan(later, &wanted[2..]).question.is_some());
}

#[test]
fn answers_are_used_again_for_a_while_only() {
    let mut lookups = lookups(10);
    let wanted = [wants(1, &[alert("a")])];
    ask(&mut lookups, start(), &wanted, told("{}")).unwrap();
    let later = start().later(limits::LOOKUP_KEPT);
    assert!(lookups.plan(later, &wanted).question.is_some(), "its evidence may have grown");
}

#[test]
fn what_a_receipt_has_is_not_asked_for_again_while_the_rest_fails() {
    let mut lookups = lookups(100);
    let wanted = [wants(1, &[alert("a"), alert("b")])];
    ask(&mut lookups, start(), &wanted, told("{}")).unwrap();
    let mut now = start();
    for _ in 0..3 {
        let failed = Fetched::Failed { text: "503".to_owned() };
        let question = lookups.plan(now, &wanted).question.unwrap();
        assert_eq!(question.ask, alert("b"));
        let _ = lookups.answered(now, question.slot, question.ask, failed);
        now = now.later(100 * SECOND);
    }
}

#[test]
fn an_answer_that_is_never_usable_ends_the_asking() {
    let mut lookups = lookups(100);
    let wanted = [Wanted { due: start().wall + 100 * HOUR, ..wants(1, &[alert("a")]) }];
    let mut now = start();
    for _ in 0..limits::LOOKUP_TRIES {
        now = now.later(limits::LOOKUP_AGAIN.1 + 30 * SECOND);
        assert!(lookups.plan(now, &wanted).done.is_empty());
        let failed = Fetched::Failed { text: "too large".to_owned() };
        assert!(ask(&mut lookups, now, &wanted, failed).is_err());
    }
    let plan = lookups.plan(now, &wanted);
    let why = Told::Nothing("Defender did not tell: too large".to_owned());
    assert_eq!(plan.done[0].1[&alert("a")], why);
}

/// What is asked about files leaves the budget of machines alone, and the reverse.
#[test]
fn files_have_a_budget_of_their_own() {
    let limit = |calls| vec![Limit::new(calls, Duration::from_secs(60)).unwrap()];
    let none =
        Lookups { machines: Limiter::new(limit(1)), files: Limiter::new(limit(1)), ..lookups(1) };
    let mut lookups = none;
    let file = |n: u8| Ask::File(Sha1::from_bytes([n; 20]));
    let machine = |n: u8| Ask::Machine(MachineId::from_bytes([n; 20]));
    let facts = || Fetched::Is(Told::Facts("{}".to_owned()));
    ask(&mut lookups, start(), &[wants(1, &[file(1)])], facts()).unwrap();
    ask(&mut lookups, start(), &[wants(2, &[machine(1)])], facts()).unwrap();
    for used in [file(2), machine(2)] {
        assert!(lookups.plan(start(), &[wants(3, &[used])]).question.is_none());
    }
}
