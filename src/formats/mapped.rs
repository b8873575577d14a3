//! Mapped formats: files of `rules/formats/` that say by paths where an alert's fields stand.
//!
//! A pair of file and machine is one match of `each`, with what lies around it: every path of its
//! fields begins there or at the alert's root, and one that gives several values gives none. So
//! pairs are what the alert states, and never made of two lists.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::lenient::Text;
use super::read;
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete, Value};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::time::Wall;
use crate::limits;

mod hosts;

pub(super) mod json;

mod mapping;

mod path;

mod told;

pub use hosts::{Hosts, ToldHosts, label_of};
pub use mapping::{HashName, Kind, Mapping, Part, Read, Time, Values, Words, kind};
pub use path::{NoPath, Path, Start};
pub use told::{Explained, Told};

pub(super) use path::push_name;

use mapping::Said;
use path::Node;
use told::Tale;

/// A format of a file.
#[derive(Clone, Debug)]
pub struct Mapped {
    pub name: String,
    /// `alert.*`, without `alert.id`.
    pub alert: Vec<(Field, Mapping)>,
    pub id: Mapping,
    pub tenant_id: Option<Mapping>,
    pub candidates: Vec<Block>,
    pub words: Words,
    /// How a machine that is no id of Defender's is found.
    pub hosts: Option<Hosts>,
    /// Whether Defender is asked which machine a host is that `hosts` does not have.
    pub asks_defender: bool,
    /// What Defender has told, where it was asked.
    pub told: Option<ToldHosts>,
}

/// Where pairs of file and machine stand.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Every match is one pair; the first path that has any counts. None: the whole, once.
    pub each: Vec<Path>,
    /// `machine.*` and `file.*`.
    pub fields: Vec<(Field, Mapping)>,
    /// Pairs inside each match, which share its fields. Empty: the match is the pair.
    pub within: Vec<Block>,
}

/// Fields that no path gives: they follow from others, or from where the alert came from.
pub const DERIVED: [Field; 7] = [
    Field::AlertSeverityRank,
    Field::AlertAge,
    Field::AlertTenant,
    Field::AlertFormat,
    Field::AlertSource,
    Field::AlertMachines,
    Field::AlertFiles,
];

/// One pair on the way: what was read of it so far.
#[derive(Clone)]
struct Pair {
    fields: Fields<'static>,
    machine: Said,
    sha1: Said,
    told: Vec<Told>,
}

/// What was read of an alert, before it is judged whether that is enough.
struct Reading {
    id: Result<Cow<'static, str>, Unreadable>,
    tenant_id: Option<Cow<'static, str>>,
    created: Option<Wall>,
    candidates: Vec<(Candidate<'static>, Vec<Told>)>,
    /// Hosts that Defender may know.
    asks: BTreeSet<String>,
}

impl Mapped {
    /// See [`super::Format::decode`]. All of the alert is parsed; two equal keys anywhere in it
    /// make it unreadable.
    pub fn decode(&self, alert: &str) -> Result<Alert<'static>, Unreadable> {
        let Reading { id, tenant_id, created, candidates, asks } =
            self.read(alert, &mut Tale::default())?;
        let candidates = candidates.into_iter().map(|(candidate, _)| candidate).collect();
        let asks = asks.into_iter().map(Ask::Host).collect();
        Ok(Alert { id: id?, tenant_id, created, candidates, asks, known: None })
    }

    /// As [`decode`](Self::decode), where Defender has told which machines some hosts are.
    pub fn decode_knowing(
        &self,
        alert: &str,
        told: &ToldHosts,
    ) -> Result<Alert<'static>, Unreadable> {
        let mut knowing = self.clone();
        knowing.told = self.asks_defender.then(|| told.clone());
        knowing.decode(alert)
    }

    /// What is read of an alert, from where, and what is not, for whoever writes the format.
    pub fn explain(&self, alert: &str) -> Result<Explained, Unreadable> {
        let mut tale = Tale::begin();
        let reading = self.read(alert, &mut tale)?;
        let unread = tale.unread(&json::parse(alert)?);
        let candidates = reading.candidates;
        Ok(Explained { id: reading.id, alert: tale.told, candidates, unread })
    }

    /// Whether an alert of this format can have that field.
    pub fn gives(&self, field: Field) -> bool {
        let has = |field: Field| {
            self.alert.iter().any(|(own, _)| *own == field)
                || self.candidates.iter().any(|block| block.gives(field))
        };
        match field {
            Field::AlertAge => has(Field::AlertCreated),
            Field::AlertSeverityRank => has(Field::AlertSeverity),
            Field::AlertId => true,
            _ => DERIVED.contains(&field) || has(field),
        }
    }

    fn read(&self, alert: &str, tale: &mut Tale) -> Result<Reading, Unreadable> {
        let json = json::parse(alert)?;
        let root = tale.node(&json);
        let mut shared = Pair {
            fields: Fields::default(),
            machine: Said::Nothing,
            sha1: Said::Nothing,
            told: Vec::new(),
        };
        let id = tale.hear("alert.id", &self.id, Kind::Id, &self.words, &root, &root);
        let id = match id.said {
            Said::Unusable(why) => Err(Unreadable(format!("the alert's id {why}"))),
            said => read::id(text(said)),
        };
        let tenant = self.tenant_id.as_ref();
        let tenant = tenant.map(|mapping| {
            tale.hear("tenant_id", mapping, Kind::Text, &self.words, &root, &root).said
        });
        let tenant_id = tenant.and_then(|said| read::tenant(text(said)));
        self.set(&self.alert, &root, &root, &mut shared, tale);
        tale.told.append(&mut shared.told);
        let created = time(&shared.fields, Field::AlertCreated);
        if let Ok(id) = &id {
            shared.fields.set(Field::AlertId, Value::Text(id.clone()));
        }
        shared.fields.set_text(Field::AlertFormat, self.name.clone());
        read::set_severity_rank(&mut shared.fields);
        let mut pairs = Vec::new();
        for block in &self.candidates {
            self.pairs(block, &root, &root, &shared, tale, &mut pairs)?;
        }
        let mut asks = BTreeSet::new();
        let candidates = self.complete(pairs, created, &mut asks)?;
        Ok(Reading { id, tenant_id, created, candidates, asks })
    }

    /// Reads fields into a pair. One that can't be used is left out, with the reason in `told`.
    fn set<'v>(
        &self,
        fields: &[(Field, Mapping)],
        root: &Node<'v>,
        here: &Node<'v>,
        pair: &mut Pair,
        tale: &mut Tale,
    ) {
        for (field, mapping) in fields {
            let heard = tale.hear(field.name(), mapping, kind(*field), &self.words, root, here);
            match field {
                Field::MachineId => pair.machine = heard.said.clone(),
                Field::FileSha1 => pair.sha1 = heard.said.clone(),
                _ => {}
            }
            let value = heard.said.value(*field).unwrap_or_else(|why| {
                tale.not_used(*field, why);
                Value::Absent
            });
            pair.told.extend(tale.last(&value));
            pair.fields.set(*field, value);
        }
    }

    fn pairs<'v>(
        &self,
        block: &Block,
        root: &Node<'v>,
        here: &Node<'v>,
        above: &Pair,
        tale: &mut Tale,
        pairs: &mut Vec<Pair>,
    ) -> Result<(), Unreadable> {
        let mut matches = vec![here.clone()];
        for path in &block.each {
            matches = path.select(root, here);
            if !matches.is_empty() {
                break;
            }
        }
        for one in &matches {
            let mut pair = above.clone();
            self.set(&block.fields, root, one, &mut pair, tale);
            for inner in &block.within {
                self.pairs(inner, root, one, &pair, tale, pairs)?;
            }
            if block.within.is_empty() {
                pairs.push(pair);
                read::file_count(pairs.len())?;
            }
        }
        Ok(())
    }

    fn complete(
        &self,
        pairs: Vec<Pair>,
        created: Option<Wall>,
        asks: &mut BTreeSet<String>,
    ) -> Result<Vec<(Candidate<'static>, Vec<Told>)>, Unreadable> {
        let mut candidates = Vec::with_capacity(pairs.len());
        for Pair { mut fields, machine, sha1, told } in pairs {
            let machine = self.machine(machine, asks);
            if let Ok(machine) = &machine {
                fields.set_text(Field::MachineId, machine.to_string());
            }
            let sha1 = sha1_of(sha1);
            let evidence = time(&fields, Field::FileCreated).or(created);
            candidates.push((Candidate { machine, sha1, evidence, fields }, told));
        }
        let machines = counted(&candidates, |one| one.machine.as_ref().ok().copied());
        let files = counted(&candidates, |one| one.sha1.as_ref().ok().copied());
        for (candidate, _) in &mut candidates {
            candidate.fields.set(Field::AlertMachines, machines.clone());
            candidate.fields.set(Field::AlertFiles, files.clone());
        }
        Ok(candidates)
    }

    /// A host is looked up in the list of the format, then among what Defender has told; where that
    /// is nothing yet, it is to be asked.
    fn machine(&self, said: Said, asks: &mut BTreeSet<String>) -> Result<MachineId, Incomplete> {
        const KEY: &str = "machine.id";
        let incomplete = |why| Incomplete(format!("{KEY} {why}"));
        let host = match said {
            Said::Unusable(why) => return Err(incomplete(why)),
            Said::Text(host) if self.hosts.is_some() || self.asks_defender => host,
            said => return read::machine(KEY, &text(said)),
        };
        if let Ok(machine) = MachineId::parse(&host) {
            return Ok(machine);
        }
        let listed = self.hosts.as_ref().map(|hosts| hosts.find(&host));
        match (listed, &self.told) {
            (Some(Ok(machine)), _) => Ok(machine),
            (Some(Err(why)), _) if !self.asks_defender => Err(incomplete(why)),
            (_, Some(told)) => told.find(&host).map_err(incomplete),
            (_, None) => {
                if asks.len() < limits::ASKS_PER_ALERT && hosts::label_of(&host).is_some() {
                    asks.insert(host.clone());
                }
                let shown: String = host.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(incomplete(format!("is the host {shown:?}: Defender is asked which one it is")))
            }
        }
    }
}

impl Block {
    fn gives(&self, field: Field) -> bool {
        self.fields.iter().any(|(own, _)| *own == field)
            || self.within.iter().any(|block| block.gives(field))
    }
}

fn sha1_of(said: Said) -> Result<Sha1, Incomplete> {
    match said {
        Said::Unusable(why) => Err(Incomplete(format!("sha1 {why}"))),
        said => read::sha1(&text(said)),
    }
}

/// How many different ones the pairs have. Where one of them is not known, their number is not.
fn counted<T: Ord>(
    candidates: &[(Candidate<'static>, Vec<Told>)],
    of: impl Fn(&Candidate<'static>) -> Option<T>,
) -> Value<'static> {
    let all: Option<BTreeSet<T>> = candidates.iter().map(|(candidate, _)| of(candidate)).collect();
    all.map_or(Value::Absent, |all| read::count(all.len()))
}

fn time(fields: &Fields<'_>, field: Field) -> Option<Wall> {
    match fields.get(field) {
        Value::Text(text) => Wall::parse(text),
        _ => None,
    }
}

/// As the other formats have it.
fn text(said: Said) -> Text<'static> {
    match said {
        Said::Nothing | Said::Empty => Text::Missing,
        Said::Text(text) => Text::Is(Cow::Owned(text)),
        Said::Number(number) => Text::Is(Cow::Owned(number.to_string())),
        Said::List(_) | Said::Unusable(_) => Text::Other,
    }
}

#[cfg(test)]
mod tests;
