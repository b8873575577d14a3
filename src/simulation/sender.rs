//! Who sends alerts: again until they are acknowledged, sometimes twice, in any order.

use std::time::Duration;

use super::EPOCH;
use super::history::File;
use crate::domain::action::{Approvals, Class, Coordinates, Endings, HoldWhy};
use crate::domain::decision::{
    Content, Draft, Intent, Judged, JudgedDelivery, Outcome, Prepared, Receipt, Replay,
};
use crate::domain::dice::Dice;
use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, SourceName, TenantName};
use crate::domain::time::Wall;

/// Machines and files there are: few, so that they meet.
const MACHINES: u64 = 12;
const FILES: u64 = 5;
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// What one delivery says, however often it is sent.
#[derive(Clone, Debug)]
pub struct Letter {
    alerts: Vec<Vec<Candidate>>,
    pub acknowledged: bool,
}

#[derive(Clone, Debug)]
struct Candidate {
    file: File,
    evidence: Wall,
    class: Class,
    wish: Wish,
    queued_for: Duration,
    held_for: Duration,
}

/// What rules want of a candidate.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Act,
    Approve,
    /// A field is unknown.
    Unknown,
}

pub fn machine(dice: &mut Dice) -> MachineId {
    MachineId::from_bytes([dice.below(MACHINES) as u8 + 1; 20])
}

pub fn sha1(dice: &mut Dice) -> Sha1 {
    Sha1::from_bytes([dice.below(FILES) as u8 + 1; 20])
}

pub fn tenant() -> TenantName {
    TenantName::new("contoso")
}

pub fn key(file: File) -> EffectKey {
    EffectKey { tenant: tenant(), machine: file.machine, sha1: file.sha1 }
}

pub fn file(key: &EffectKey) -> File {
    File { machine: key.machine, sha1: key.sha1 }
}

impl Letter {
    pub fn write(dice: &mut Dice, time: i64) -> Self {
        let alerts = 1 + dice.below(4) / 3;
        let alerts = (0..alerts).map(|_| {
            let candidates = 1 + dice.below(4) / 3;
            (0..candidates).map(|_| Candidate::draw(dice, time)).collect()
        });
        Self { alerts: alerts.collect(), acknowledged: false }
    }

    /// The same alerts, as a delivery of its own.
    pub fn copied(&self) -> Self {
        Self { acknowledged: false, ..self.clone() }
    }

    pub fn candidates(&self) -> usize {
        self.alerts.iter().map(Vec::len).sum()
    }

    /// As rules judge it, with ids from `next_id` on.
    pub fn judge(
        &self,
        number: u32,
        now: Wall,
        denied: impl Fn(Sha1) -> bool,
        mut next_id: impl FnMut() -> ActionId,
    ) -> JudgedDelivery {
        let source = SourceName::new("siem");
        let id = Some(number.to_string());
        let coordinates = Coordinates::Webhook { source: source.to_string(), id };
        let receipts = self.alerts.iter().enumerate().map(|(at, candidates)| Receipt {
            tenant: Some(tenant()),
            alert_id: format!("{number}-{at}"),
            content: Content::Judged(
                candidates.iter().map(|one| one.judge(now, &denied, &mut next_id)).collect(),
            ),
            raw: None,
            keep_row: false,
            joined: None,
        });
        let receipts = receipts.collect();
        let replay = Some(Replay { id: number.to_string(), keep_until: now + WINDOW });
        let delivery = JudgedDelivery::of(source, coordinates, now, "rules", receipts);
        JudgedDelivery { replay, ..delivery }
    }
}

impl Candidate {
    fn draw(dice: &mut Dice, time: i64) -> Self {
        let age = dice.below(600_000_000) as i64;
        Self {
            file: File { machine: machine(dice), sha1: sha1(dice) },
            evidence: Wall(EPOCH + time - age),
            class: Class::ALL[dice.below(3) as usize],
            wish: match dice.below(20) {
                0 => Wish::Approve,
                1..3 => Wish::Unknown,
                _ => Wish::Act,
            },
            queued_for: Duration::from_secs(3600 * (1 + dice.below(48))),
            held_for: Duration::from_secs(3600 * (1 + dice.below(48))),
        }
    }

    fn judge(
        &self,
        now: Wall,
        denied: impl Fn(Sha1) -> bool,
        next_id: impl FnOnce() -> ActionId,
    ) -> Judged {
        let key = key(self.file);
        let rule = self.class.as_str().to_owned();
        let (machine, sha1) = (key.machine.to_string(), key.sha1.to_string());
        let outcome = if denied(key.sha1) {
            Outcome::Protected { key, by: vec!["deny".to_owned()] }
        } else {
            let intent = match self.wish {
                Wish::Act => Intent::Act,
                Wish::Approve => Intent::Hold(HoldWhy::Approval { rule: rule.clone() }),
                Wish::Unknown => Intent::Hold(HoldWhy::Unknown {
                    rule: rule.clone(),
                    fields: vec!["machine.os".to_owned()],
                    told: String::new(),
                }),
            };
            let id = next_id();
            let prepared = Prepared {
                id,
                comment: format!("alert {}", id.0.as_u128() % 50),
                candidate: "{}".to_owned(),
                expires_queued: now + self.queued_for,
                expires_held: now + self.held_for,
            };
            Outcome::Draft(Box::new(Draft {
                endings: Endings::default(),
                key,
                evidence: Some(self.evidence),
                class: self.class,
                window: WINDOW,
                intent,
                rules: vec![rule],
                approvals: Approvals::default(),
                breakers: Vec::new(),
                prepared: Some(prepared),
            }))
        };
        Judged { machine, sha1, outcome, counts: None }
    }
}
