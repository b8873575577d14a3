//! Dedupe in the words of those who ask why something was not quarantined again.

use uuid::Uuid;

use super::*;
use crate::domain::action::Approvals;
use crate::domain::ids::{MachineId, Sha1, TenantName};

const HOUR: Duration = Duration::from_secs(3600);
const NOON: Wall = Wall(1_700_000_000_000_000);

fn draft(evidence: Option<Wall>) -> Draft {
    let machine = MachineId::parse("1e5bc9d7e413ddd7902c2932e418702b84d0cc07").unwrap();
    let sha1 = Sha1::parse("87662bc3d60e4200ceaf7aae249d1c343f4b83c9").unwrap();
    Draft {
        key: EffectKey { tenant: TenantName::new("contoso"), machine, sha1 },
        evidence,
        class: Class::Normal,
        window: 24 * HOUR,
        intent: Intent::Act,
        rules: vec!["a-rule".into()],
        approvals: Approvals::default(),
        endings: crate::domain::action::Endings::default(),
        breakers: Vec::new(),
        prepared: None,
    }
}

fn open(state: StateName) -> Effect {
    let owner =
        Owner { id: ActionId(Uuid::nil()), state, class: Class::Normal, held_unknown: false };
    let window = 24 * HOUR;
    Effect {
        owner,
        blocks_until: None,
        success: None,
        evidence: None,
        window,
        first: NOON,
        times: 1,
    }
}

fn ended(end: &State) -> Effect {
    let mut effect = open(StateName::Accepted);
    effect.ended(end, NOON + HOUR);
    effect
}

fn quarantined_at(completed: Wall) -> Effect {
    ended(&State::Succeeded { completed })
}

fn is_new(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::New { hold: None, .. })
}

fn is_duplicate(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Duplicate { .. })
}

#[test]
fn an_open_action_blocks_whatever_its_age() {
    for state in StateName::ALL.into_iter().filter(|state| state.is_open()) {
        let verdict = judge(Some(&open(state)), &draft(Some(NOON)), NOON + 100 * 24 * HOUR);
        assert!(is_duplicate(&verdict), "{state}: {verdict:?}");
    }
}

#[test]
fn a_more_urgent_alert_raises_the_owner_and_a_lesser_one_does_not_lower_it() {
    let raise = |class| {
        let draft = Draft { class, ..draft(None) };
        match judge(Some(&open(StateName::Queued)), &draft, NOON) {
            Verdict::Duplicate { raise_to, .. } => raise_to,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(raise(Class::Urgent), Some(Class::Urgent));
    assert_eq!(raise(Class::Normal), None);
    assert_eq!(raise(Class::Bulk), None);
}

#[test]
fn evidence_from_before_the_quarantine_is_a_duplicate_and_later_evidence_is_not() {
    let effect = quarantined_at(NOON);
    let now = NOON + 2 * HOUR;
    assert!(is_duplicate(&judge(Some(&effect), &draft(Some(NOON - HOUR)), now)));
    assert!(is_duplicate(&judge(Some(&effect), &draft(Some(NOON)), now)));
    assert!(is_duplicate(&judge(Some(&effect), &draft(None), now)), "no time counts as before");
    assert!(is_new(&judge(Some(&effect), &draft(Some(NOON + HOUR)), now)), "the file is back");
}

#[test]
fn after_the_window_old_evidence_acts_again() {
    let effect = quarantined_at(NOON);
    let blocked = NOON + 24 * HOUR;
    assert!(is_duplicate(&judge(Some(&effect), &draft(Some(NOON)), blocked)));
    assert!(is_new(&judge(Some(&effect), &draft(Some(NOON)), NOON + 25 * HOUR)));
}

#[test]
fn a_file_that_comes_back_the_third_time_within_the_window_is_held() {
    let mut effect = quarantined_at(NOON);
    let back = draft(Some(NOON + 2 * HOUR));
    effect.times = 2;
    let verdict = judge(Some(&effect), &back, NOON + 3 * HOUR);
    let held = Verdict::New { hold: Some(HoldWhy::Returns), first: NOON, times: 3 };
    assert_eq!(verdict, held);
    effect.times = 1;
    assert!(is_new(&judge(Some(&effect), &back, NOON + 3 * HOUR)));
}

#[test]
fn the_count_starts_anew_once_the_window_has_passed() {
    let mut effect = quarantined_at(NOON + 23 * HOUR);
    effect.times = 2;
    effect.success = Some(Success { completed: NOON + 23 * HOUR, blocks_until: NOON + 48 * HOUR });
    let later = NOON + 30 * HOUR;
    let verdict = judge(Some(&effect), &draft(Some(later)), later);
    assert_eq!(verdict, Verdict::New { hold: None, first: later, times: 1 });
}

#[test]
fn refused_and_rejected_block_for_the_window_and_the_other_ends_do_not() {
    let now = NOON + 2 * HOUR;
    let later = draft(Some(now));
    let blocks = |end: State| is_duplicate(&judge(Some(&ended(&end)), &later, now));
    assert!(blocks(State::Refused { code: "DisallowedOperation".into() }));
    assert!(blocks(State::Rejected { by: "alice".into() }));
    assert!(!blocks(State::Failed { error: "0x80070005".into() }));
    assert!(!blocks(State::TimedOut { error: String::new() }));
    assert!(!blocks(State::Cancelled { why: String::new() }));
    assert!(!blocks(State::Expired));
    assert!(!blocks(State::GaveUp { why: "no answer".into() }));
}

#[test]
fn evidence_that_settles_the_unknown_releases_only_what_waits_for_that() {
    let mut effect = open(StateName::Held);
    assert!(is_duplicate(&judge(Some(&effect), &draft(None), NOON)), "held for another reason");
    effect.owner.held_unknown = true;
    let released = Verdict::Release { raise_to: None };
    assert_eq!(judge(Some(&effect), &draft(None), NOON), released);
    let urgent = Draft { class: Class::Urgent, ..draft(None) };
    let raised = Verdict::Release { raise_to: Some(Class::Urgent) };
    assert_eq!(judge(Some(&effect), &urgent, NOON), raised, "urgent evidence makes it urgent");
    let still =
        Intent::Hold(HoldWhy::Unknown { rule: "r".into(), fields: vec![], told: String::new() });
    let unsettled = Draft { intent: still, ..draft(None) };
    assert!(is_duplicate(&judge(Some(&effect), &unsettled, NOON)));
}

#[test]
fn evidence_that_a_quarantine_has_dealt_with_releases_nothing_and_stays_dealt_with() {
    let mut effect = open(StateName::Held);
    effect.owner.held_unknown = true;
    effect.success = Some(Success { completed: NOON, blocks_until: NOON + 24 * HOUR });
    let old = draft(Some(NOON - HOUR));
    assert!(is_duplicate(&judge(Some(&effect), &old, NOON + 2 * HOUR)));
    let newer = draft(Some(NOON + HOUR));
    let verdict = judge(Some(&effect), &newer, NOON + 2 * HOUR);
    assert_eq!(verdict, Verdict::Release { raise_to: None });

    effect.ended(&State::Expired, NOON + 3 * HOUR);
    assert!(is_duplicate(&judge(Some(&effect), &old, NOON + 4 * HOUR)), "also after another end");
    assert!(is_new(&judge(Some(&effect), &newer, NOON + 4 * HOUR)));
}

#[test]
fn a_sender_whose_clock_is_ahead_does_not_bring_the_same_evidence_back() {
    let mut effect = quarantined_at(NOON);
    let ahead = draft(Some(NOON + HOUR));
    assert!(is_new(&judge(Some(&effect), &ahead, NOON + 2 * HOUR)));
    effect.evidence = ahead.evidence;
    assert!(is_duplicate(&judge(Some(&effect), &ahead, NOON + 2 * HOUR)), "it was decided on");
    assert!(is_new(&judge(Some(&effect), &draft(Some(NOON + 2 * HOUR)), NOON + 2 * HOUR)));
}
