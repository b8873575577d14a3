//! A person's yes or no on an action that waits, and what it comes to.

use serde::{Deserialize, Serialize};

use super::action::{Approvals, HoldWhy, State, StateName};
use super::guard::Released;
use super::rule::Protection;
use super::time::Wall;

/// Who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// As it stands on the record: `token alice`, or `uid 1000`.
    pub name: String,
    /// By a token of their own: neither the data directory's nor an account on the machine, which
    /// name nobody.
    pub personal: bool,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Say {
    Approve,
    Reject,
}

impl Say {
    /// Where an action stands that can be said it of.
    pub fn states(self) -> &'static [StateName] {
        match self {
            Say::Approve => &[StateName::Held],
            Say::Reject => &[StateName::Held, StateName::Queued],
        }
    }
}

/// What a yes or no came to. Only the first four change anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Voted {
    /// It is queued.
    Released,
    /// It stays held: more people have to say yes.
    Counted { given: usize, of: u8 },
    /// It has ended.
    Rejected,
    /// Judged again, these deny rules cover it: it has ended as rejected by them.
    Protected { by: Vec<String> },
    /// This person has said yes before; nobody counts twice.
    CountedBefore,
    /// Its rule counts only people with a token of their own.
    NotPersonal,
    /// It does not wait for this.
    Stands { state: StateName },
    /// Its time was over.
    Expired { at: Wall },
}

/// What becomes of the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Moves(State, Option<Released>),
    /// It stays held, with one more yes.
    Noted(State),
    Nothing,
}

/// Says yes to an action that stands in `state` until `expires`. `protection` judges it again.
pub fn approve(
    state: &State,
    expires: Wall,
    voter: &Voter,
    protection: impl FnOnce() -> Protection,
    now: Wall,
) -> (Voted, Next) {
    let State::Held { why, approvals } = state else {
        return (Voted::Stands { state: state.name() }, Next::Nothing);
    };
    if expires <= now {
        return (Voted::Expired { at: expires }, Next::Nothing);
    }
    if approvals.four_eyes && !voter.personal {
        return (Voted::NotPersonal, Next::Nothing);
    }
    if approvals.given.contains(&voter.name) {
        return (Voted::CountedBefore, Next::Nothing);
    }
    let passed = match protection() {
        Protection::By(by) => {
            let rules = format!("rule {}", by.join(", "));
            return (Voted::Protected { by }, Next::Moves(State::Rejected { by: rules }, None));
        }
        Protection::Unknown(unknown) => unknown.into_iter().map(|(rule, _)| rule).collect(),
        Protection::None => Vec::new(),
    };
    let mut by = approvals.given.clone();
    by.push(voter.name.clone());
    if by.len() < usize::from(approvals.count) {
        let voted = Voted::Counted { given: by.len(), of: approvals.count };
        return (voted, Next::Noted(with(why, approvals, by)));
    }
    let to = State::Queued { not_before: now, tries: 0, busy_since: None };
    (Voted::Released, Next::Moves(to, Some(Released { by, passed })))
}

fn with(why: &HoldWhy, approvals: &Approvals, given: Vec<String>) -> State {
    State::Held { why: why.clone(), approvals: Approvals { given, ..*approvals } }
}

/// Says no to an action that is held, or queued and not yet sent.
pub fn reject(state: &State, voter: &Voter) -> (Voted, Next) {
    match state {
        State::Held { .. } | State::Queued { .. } => {
            let to = State::Rejected { by: voter.name.clone() };
            (Voted::Rejected, Next::Moves(to, None))
        }
        other => (Voted::Stands { state: other.name() }, Next::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_000_000);

    fn voter(name: &str) -> Voter {
        Voter { name: name.to_owned(), personal: name.starts_with("token") }
    }

    fn held(approvals: Approvals) -> State {
        State::Held { why: HoldWhy::Returns, approvals }
    }

    fn yes(state: &State, name: &str) -> (Voted, Next) {
        approve(state, Wall(2_000_000), &voter(name), || Protection::None, NOW)
    }

    #[test]
    fn two_people_are_two_people() {
        let two = held(Approvals { count: 2, four_eyes: true, given: Vec::new() });
        let (voted, next) = yes(&two, "token alice");
        assert_eq!(voted, Voted::Counted { given: 1, of: 2 });
        let Next::Noted(one) = next else { panic!("{next:?}") };
        assert_eq!(yes(&one, "token alice"), (Voted::CountedBefore, Next::Nothing));
        assert_eq!(yes(&one, "uid 0"), (Voted::NotPersonal, Next::Nothing));
        let (voted, next) = yes(&one, "token bob");
        assert_eq!(voted, Voted::Released);
        let Next::Moves(State::Queued { .. }, Some(released)) = next else { panic!("{next:?}") };
        assert_eq!(released.by, ["token alice", "token bob"]);
    }

    #[test]
    fn a_yes_judges_again() {
        let one = held(Approvals::default());
        let by = || Protection::By(vec!["d".to_owned()]);
        let (voted, next) = approve(&one, Wall(2_000_000), &voter("uid 0"), by, NOW);
        assert_eq!(voted, Voted::Protected { by: vec!["d".to_owned()] });
        assert_eq!(next, Next::Moves(State::Rejected { by: "rule d".to_owned() }, None));
        let unknown = || Protection::Unknown(vec![("d".to_owned(), vec!["machine.os".to_owned()])]);
        let (voted, next) = approve(&one, Wall(2_000_000), &voter("uid 0"), unknown, NOW);
        let Next::Moves(_, Some(released)) = next else { panic!("{next:?}") };
        assert_eq!((voted, released.passed), (Voted::Released, vec!["d".to_owned()]));
    }

    #[test]
    fn a_yes_comes_too_late_at_the_very_time_it_expires() {
        let late =
            approve(&held(Approvals::default()), NOW, &voter("uid 0"), || unreachable!(), NOW);
        assert_eq!(late, (Voted::Expired { at: NOW }, Next::Nothing));
    }
}
