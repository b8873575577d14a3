//! Several rules that match one candidate, and what they want together.

use std::borrow::Cow;

use super::response::{Mode, Quarantine};
use super::{Judgement, NO_RULE, Wanted};
use crate::domain::action::{Approvals, Class, HoldWhy};
use crate::domain::breaker::Breaker;
use crate::domain::candidate::{Field, Fields, Value};

/// How one rule stands to one candidate.
pub(super) struct Match<'r> {
    pub id: &'r str,
    pub response: &'r Quarantine,
    /// `Some` names the absent fields that it would have to know.
    pub unknown: Option<Vec<String>>,
    /// Those of them that Defender could tell, where it would match then.
    pub asks: Vec<Field>,
}

/// What several rules want together.
pub(super) struct Merged<'r> {
    /// As long as nobody is asked.
    pub judged: Judgement<'r>,
    /// What Defender could tell, where that could make more of it.
    pub asks: Vec<Field>,
}

impl<'r> Merged<'r> {
    pub fn of(judged: Judgement<'r>) -> Self {
        Self { judged, asks: Vec::new() }
    }
}

/// What would be sent waits for a person where only fields that are not known stand between it and
/// a deny rule. What waits anyway, or only watches, stays as it is.
pub(super) fn held<'r>(
    unknown: Vec<(String, Vec<String>)>,
    judged: Judgement<'r>,
) -> Judgement<'r> {
    match (judged, unknown.into_iter().next()) {
        (Judgement::Act(wanted), Some((rule, fields))) => Judgement::Hold {
            why: HoldWhy::Protection { rule, fields, told: String::new() },
            wanted,
        },
        (Judgement::Hold { why, wanted }, Some((rule, fields))) if why.is_approval() => {
            Judgement::Hold {
                why: HoldWhy::Protection { rule, fields, told: String::new() },
                wanted,
            }
        }
        (judged, _) => judged,
    }
}

/// Several rules: act before enrich before hold before observe, whatever their order.
pub(super) fn merge<'r>(matches: Vec<Match<'r>>, fields: &Fields<'_>, ceiling: Mode) -> Merged<'r> {
    let mut matches = matches;
    matches.sort_by(|a, b| rank(a, ceiling).cmp(&rank(b, ceiling)).then(a.id.cmp(b.id)));
    let Some(first) = matches.first() else {
        return Merged::of(Judgement::NoMatch { why: Cow::Borrowed(NO_RULE) });
    };
    let (by, decided) = (first.id, rank(first, ceiling));
    let mut rules: Vec<String> = matches.iter().map(|m| m.id.to_owned()).collect();
    rules[1..].sort_unstable();
    let deciding = || matches.iter().filter(|m| rank(m, ceiling) == decided);
    let asks = deciding().flat_map(|one| &one.asks).copied().collect();
    if decided == Rank::Observe {
        return Merged { judged: Judgement::Observe { rules }, asks };
    }
    let severity = match fields.get(Field::AlertSeverityRank) {
        Value::Number(rank) => *rank,
        _ => 0,
    };
    // Those that only watch change nothing, not even how the others act.
    let deciding = || deciding().map(|one| one.response);
    let class = deciding().map(|r| r.priority.unwrap_or(Class::of_severity(severity))).min();
    let breakers = first.response.breakers;
    let wanted = Wanted {
        by,
        comment: &first.response.comment,
        rules,
        class: class.unwrap_or(Class::Bulk),
        window: deciding().map(|r| r.window).max().unwrap_or_default(),
        approvals: Approvals {
            count: deciding().map(|r| r.approvals.count).max().unwrap_or(1),
            four_eyes: deciding().any(|r| r.approvals.four_eyes),
            given: Vec::new(),
        },
        endings: first.response.endings,
        breakers: vec![
            (Breaker::MachinesPerFile, breakers.machines_per_file),
            (Breaker::RuleActions, breakers.actions),
        ],
    };
    let rule = by.to_owned();
    let judged = match (&first.unknown, decided) {
        (None, Rank::Act) => Judgement::Act(wanted),
        (None, _) => Judgement::Hold { why: first.response.mode.approval(rule), wanted },
        (Some(fields), _) => {
            let why = HoldWhy::Unknown { rule, fields: fields.clone(), told: String::new() };
            Judgement::Hold { why, wanted }
        }
    };
    Merged { judged, asks }
}

/// What one match wants, the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Act,
    /// Would act, or wait for a yes, if Defender told what is missing.
    Enrich,
    /// Matches for certain, and waits for a person's yes.
    Approve,
    Hold,
    Observe,
}

fn rank(one: &Match<'_>, ceiling: Mode) -> Rank {
    match (one.response.mode.min(ceiling), &one.unknown) {
        (Mode::Observe, _) => Rank::Observe,
        (Mode::Enforce, None) => Rank::Act,
        (Mode::Approve, None) => Rank::Approve,
        (Mode::Enforce | Mode::Approve, Some(_)) if !one.asks.is_empty() => Rank::Enrich,
        (Mode::Enforce | Mode::Approve, Some(_)) => Rank::Hold,
    }
}
