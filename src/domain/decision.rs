//! What becomes of a candidate, and of the alert it came with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::{Approvals, Class, Coordinates, Endings, HoldWhy};
use super::alert::{Alert, Ask};
use super::breaker::{Breaker, Load, Rate};
use super::candidate::Kept;
use super::correlation::Counts;
use super::ids::{ActionId, EffectKey, SourceName, TenantName};
use super::join::{Row, Waits};
use super::time::Wall;

mod answered;

mod counting;

pub use answered::{AlertAnswer, Answered, CandidateAnswer};
pub use counting::Counting;

/// What becomes of a candidate, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// `released`: a held action of the same effect was waiting for just this evidence.
    Act {
        action: ActionId,
        rules: Vec<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        released: bool,
    },
    Hold {
        action: ActionId,
        why: HoldWhy,
        rules: Vec<String>,
    },
    /// A rule would act, or watch, and these deny rules say no.
    Protected {
        by: Vec<String>,
    },
    /// A rule matched that only watches, or the configuration's mode is `observe`.
    Observe {
        rules: Vec<String>,
    },
    Duplicate {
        of: ActionId,
        why: String,
    },
    Incomplete {
        what: String,
    },
    TooOld {
        why: String,
    },
    NoMatch {
        why: String,
    },
}

/// What becomes of a receipt: the first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Acted,
    Held,
    Protected,
    Observed,
    Duplicate,
    Incomplete,
    TooOld,
    NoMatch,
    Unreadable,
    UnknownTenant,
    /// None yet: rows that complete it, or Defender's answers, are still to come. Answered, never
    /// counted: what waits is what was received and has no other fate.
    Waiting,
}

impl Fate {
    /// All that are counted.
    pub const ALL: [Fate; 10] = [
        Fate::Acted,
        Fate::Held,
        Fate::Protected,
        Fate::Observed,
        Fate::Duplicate,
        Fate::Incomplete,
        Fate::TooOld,
        Fate::NoMatch,
        Fate::Unreadable,
        Fate::UnknownTenant,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Acted => "acted",
            Fate::Held => "held",
            Fate::Protected => "protected",
            Fate::Observed => "observed",
            Fate::Duplicate => "duplicate",
            Fate::Incomplete => "incomplete",
            Fate::TooOld => "too_old",
            Fate::NoMatch => "no_match",
            Fate::Unreadable => "unreadable",
            Fate::UnknownTenant => "unknown_tenant",
            Fate::Waiting => "waiting",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain([Fate::Waiting]);
        all.find(|fate| fate.as_str() == name)
    }
}

impl Decision {
    pub fn fate(&self) -> Fate {
        match self {
            Decision::Act { .. } => Fate::Acted,
            Decision::Hold { .. } => Fate::Held,
            Decision::Protected { .. } => Fate::Protected,
            Decision::Observe { .. } => Fate::Observed,
            Decision::Duplicate { .. } => Fate::Duplicate,
            Decision::Incomplete { .. } => Fate::Incomplete,
            Decision::TooOld { .. } => Fate::TooOld,
            Decision::NoMatch { .. } => Fate::NoMatch,
        }
    }
}

/// A candidate that rules want acted on or held, before the store has said whether it is new.
#[derive(Clone, Debug)]
pub struct Draft {
    pub key: EffectKey,
    pub evidence: Option<Wall>,
    pub class: Class,
    /// The longest of the matching rules' windows.
    pub window: Duration,
    pub intent: Intent,
    /// Ids of the rules that matched; the first one decided.
    pub rules: Vec<String>,
    /// What a hold of this action needs from people.
    pub approvals: Approvals,
    /// Of the rule that decided.
    pub endings: Endings,
    /// What bounds it, each with its rate.
    pub breakers: Vec<(Breaker, Rate)>,
    /// `None` where a duplicate was predicted: then the action's id, comment and snapshot were not
    /// made, and a store that finds it is none asks for the delivery again.
    pub prepared: Option<Prepared>,
}

impl Draft {
    /// As breakers see it.
    pub fn load(&self) -> Load<'_> {
        let rule = self.rules.first().map_or("", String::as_str);
        Load { key: &self.key, rule, breakers: &self.breakers }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Act,
    Hold(HoldWhy),
}

/// What only a new action needs.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub id: ActionId,
    pub comment: String,
    /// The candidate's present fields as JSON.
    pub candidate: String,
    pub expires_queued: Wall,
    pub expires_held: Wall,
}

/// A judged candidate.
#[derive(Clone, Debug)]
pub struct Judged {
    /// As far as known, for people: 40 hex digits or empty.
    pub machine: String,
    pub sha1: String,
    pub outcome: Outcome,
    /// What correlations count of it.
    pub counts: Option<Box<Counts>>,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    /// Nothing in the store can change this.
    Settled(Decision),
    /// These deny rules cover it: also what earlier evidence has made of it, and is not sent yet.
    Protected { key: EffectKey, by: Vec<String> },
    /// Boxed: most candidates are settled.
    Draft(Box<Draft>),
}

/// One alert of a delivery, judged, on its way into the store.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub tenant: Option<TenantName>,
    /// Empty where no alert could be read.
    pub alert_id: String,
    pub content: Content,
    /// The alert's own bytes: kept with an action that did not come from Kafka.
    pub raw: Option<Arc<[u8]>>,
    /// Whether a `no match` keeps a row: they do up to a rate and are only counted beyond it.
    pub keep_row: bool,
    /// For what a join has completed: the source under which it was counted as received.
    pub joined: Option<SourceName>,
}

impl Receipt {
    /// Of all its candidates, of those that wait too, for where they may not.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let judged = match &self.content {
            Content::Judged(judged) => judged.as_slice(),
            Content::Asks(asked) => asked.otherwise.as_slice(),
            _ => &[],
        };
        judged.iter().map(|candidate| &candidate.outcome)
    }
}

#[derive(Clone, Debug)]
pub enum Content {
    /// `head` is the first bytes, lossily as text, for the row.
    Unreadable {
        why: String,
        head: String,
    },
    UnknownTenant {
        named: String,
    },
    /// `no match(no file)` when empty.
    Judged(Vec<Judged>),
    /// Not judged yet: Defender is asked first.
    Asks(Asked),
}

/// What waits for Defender's answers, to be judged again with them.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The alert's id.
    pub alert: String,
    pub asks: Vec<Ask>,
    /// The alert's own text, and the name of its format.
    pub text: String,
    pub format: String,
    /// One that is known already, and lacks what decides. Empty where the alert is to be read
    /// again.
    pub candidates: Vec<Kept>,
    /// What becomes of these where no more alerts may wait.
    pub otherwise: Vec<Judged>,
    /// When it is judged without the answers.
    pub due: Wall,
}

/// One delivery, judged, on its way into the store.
#[derive(Clone, Debug)]
pub struct JudgedDelivery {
    pub source: SourceName,
    pub coordinates: Coordinates,
    pub received: Wall,
    pub replay: Option<Replay>,
    /// For a Kafka message: the partition's offset in the store before this one, `None` for none.
    pub follows: Option<i64>,
    /// Content hash of the rule set that judged.
    pub ruleset: String,
    pub receipts: Vec<Receipt>,
    /// For a format of rows.
    pub joins: Option<Joins>,
    /// For what correlations count.
    pub counting: Option<Arc<dyn Counting>>,
}

impl JudgedDelivery {
    /// How much it brings: itself, and each file and row that is judged or kept for it. An alert
    /// that names no file, or does not read, is as much as one that names one.
    pub fn weight(&self) -> usize {
        let files = self.receipts.iter().map(|receipt| match &receipt.content {
            Content::Judged(judged) => judged.len().max(1),
            Content::Asks(asked) => asked.candidates.len().max(1),
            Content::Unreadable { .. } | Content::UnknownTenant { .. } => 1,
        });
        1 + files.sum::<usize>() + self.joins.as_ref().map_or(0, |joins| joins.rows.len())
    }

    /// Of receipts that no source brings just now: no sender waits for an answer, and no partition
    /// is read further by it.
    pub fn of(
        source: SourceName,
        coordinates: Coordinates,
        received: Wall,
        ruleset: &str,
        receipts: Vec<Receipt>,
    ) -> Self {
        let ruleset = ruleset.to_owned();
        let (replay, follows, joins, counting) = (None, None, None, None);
        Self { source, coordinates, received, replay, follows, ruleset, receipts, joins, counting }
    }

    /// Whether correlations may count something of it, or have counted what it tells no more.
    pub fn is_counted(&self) -> bool {
        self.receipts.iter().any(|receipt| match &receipt.content {
            Content::Judged(_) => true,
            Content::Asks(asked) => asked.otherwise.iter().any(|one| one.counts.is_some()),
            _ => false,
        })
    }
}

/// Rows of one delivery for the join, each with its tenant, and who judges what they complete.
#[derive(Clone)]
pub struct Joins {
    pub rows: Vec<(TenantName, Row)>,
    pub judge: Arc<dyn Judge>,
}

impl fmt::Debug for Joins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joins").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Judges what a join has completed, by the rules that were in force when its delivery came. Asked
/// in the intake transaction, since only there it is known what completes: it must not wait.
pub trait Judge: Send + Sync {
    /// `lacks` says why rules can't judge the alert: then it ends as incomplete. Never empty; more
    /// than one where some of its candidates wait for Defender's answers.
    fn judge(&self, alert: Alert<'_>, lacks: Option<String>, from: &From<'_>) -> Vec<Receipt>;

    fn bounds(&self) -> &JoinBounds;

    /// Until when all is read that sources had published.
    fn read_up_to(&self) -> Wall;

    /// Whether a row is kept of an alert that could not be judged whole: there is a rate.
    fn keeps_odd_row(&self, now: Wall) -> bool;

    /// Content hash of its rule set.
    fn ruleset(&self) -> &str;

    /// Who judges what correlations match of it; `None` where there are none.
    fn counting(&self) -> Option<&dyn Counting> {
        None
    }
}

/// Where an alert came from.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    pub tenant: &'a TenantName,
    pub source: &'a SourceName,
    pub coordinates: &'a Coordinates,
    pub at: Wall,
}

/// What the join may hold.
#[derive(Clone, Copy, Debug)]
pub struct JoinBounds {
    pub waits: Waits,
    /// Alerts of one tenant. Beyond, those that wait for nothing any more are forgotten, and where
    /// there is none the new one ends as incomplete.
    pub alerts: u64,
    /// Bytes of all alerts of one tenant, bounded in the same way.
    pub bytes: u64,
    /// How long after that an alert that begins counts as one of which rows were lost: they could
    /// have named another machine.
    pub remembers: Duration,
}

/// The id under which a delivery that is sent again is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The signed id as it came, where it is short: senders whose ids sort by time then find
    /// their rows side by side. Else, as `sha256:` and hex, the hash of the signed id or bytes.
    pub id: String,
    pub keep_until: Wall,
}
