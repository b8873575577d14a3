//! Mapped formats: files of `rules/formats/` that say by paths where an alert's fields stand.
//!
//! A pair of file and machine is one match of `each`, with what lies around it: every path of its
//! fields begins there or at the alert's root, and one that gives several values gives none. So
//! pairs are what the alert states, and never made of two lists.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::lenient::Text;
use super::read;
use crate::domain::alert::{Alert, Unreadable};
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete, Value};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::time::Wall;

mod hosts;

mod json;

mod mapping;

mod path;

mod told;

pub use hosts::Hosts;
pub use mapping::{HashName, Kind, Mapping, Part, Read, Time, Values, Words, kind};
pub use path::{NoPath, Path, Start};
pub use told::{Explained, Told};

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
}

impl Mapped {
    /// See [`super::Format::decode`]. All of the alert is parsed; two equal keys anywhere in it
    /// make it unreadable.
    pub fn decode(&self, alert: &str) -> Result<Alert<'static>, Unreadable> {
        let Reading { id, tenant_id, created, candidates } =
            self.read(alert, &mut Tale::default())?;
        let candidates = candidates.into_iter().map(|(candidate, _)| candidate).collect();
        Ok(Alert { id: id?, tenant_id, created, candidates })
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
        let candidates = self.complete(pairs, created)?;
        Ok(Reading { id, tenant_id, created, candidates })
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
    ) -> Result<Vec<(Candidate<'static>, Vec<Told>)>, Unreadable> {
        let mut candidates = Vec::with_capacity(pairs.len());
        for Pair { mut fields, machine, sha1, told } in pairs {
            let machine = self.machine(machine);
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

    fn machine(&self, said: Said) -> Result<MachineId, Incomplete> {
        const KEY: &str = "machine.id";
        match (said, &self.hosts) {
            (Said::Unusable(why), _) => Err(Incomplete(format!("{KEY} {why}"))),
            (Said::Text(host), Some(hosts)) => MachineId::parse(&host)
                .or_else(|_| hosts.find(&host).map_err(|why| Incomplete(format!("{KEY} {why}")))),
            (said, _) => read::machine(KEY, &text(said)),
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
