//! What leads from one entity of an incident to another: a nested entity (`host`), a `$ref` to the
//! `$id` of one, or the id of one of `relatedEntities[]` (`hostEntityId`). What leads to an entity
//! that is not there, or that two are under the same id, leads nowhere.
//!
//! `$id`s are unique in what was written at once. That may be the whole incident or each entity
//! by itself, which begins its numbers anew: where any of them stands twice, a `$ref` leads only to
//! its own entity.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::Entity;
use super::thing::{Nested, Thing};
use crate::domain::candidate::{Field, Fields, Value};
use crate::domain::ids::MachineId;
use crate::formats::lenient::{Text, Texts};

/// A thing, with the place of the entity that it stands in.
#[derive(Clone, Copy)]
pub(super) struct At<'r, 'a> {
    pub thing: &'r Thing<'a>,
    entity: usize,
}

impl<'r, 'a> At<'r, 'a> {
    /// Tells it from any other.
    pub fn place(self) -> *const Thing<'a> {
        std::ptr::from_ref(self.thing)
    }

    /// A thing in it.
    fn inner(self, thing: &'r Thing<'a>) -> Self {
        Self { thing, ..self }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Host,
    File,
    FileHash,
    Process,
}

impl Kind {
    fn of(text: &Text<'_>) -> Option<Self> {
        let kinds = [
            ("Host", Kind::Host),
            ("File", Kind::File),
            ("FileHash", Kind::FileHash),
            ("Process", Kind::Process),
        ];
        let text = text.clone().known()?;
        kinds.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text)).map(|(_, kind)| *kind)
    }
}

/// The entities of an incident.
#[derive(Default)]
pub(super) struct Links<'r, 'a> {
    /// Each once, however often the incident has it.
    entities: Vec<(Kind, At<'r, 'a>)>,
    /// By id in lower case; `None` where two that differ have it.
    ids: HashMap<(Kind, String), Option<At<'r, 'a>>>,
    /// By `$id`, with the place of its entity where each entity has its own.
    marks: HashMap<(usize, String), Option<At<'r, 'a>>>,
    marks_are_local: bool,
    machines: Machines<'a>,
}

/// The machines that anything in an incident names.
#[derive(Default)]
struct Machines<'a> {
    /// Ids, and the names of hosts without.
    named: HashSet<String>,
    nameless: usize,
    /// What hosts say of them; absent where two of them differ.
    known: BTreeMap<(MachineId, Field), Value<'a>>,
}

impl<'r, 'a> Links<'r, 'a> {
    pub fn of(related: &'r [Entity<'a>]) -> Self {
        let mut links = Self::default();
        let mut marked = Vec::new();
        for (place, entity) in related.iter().enumerate() {
            let Some(thing) = &entity.properties.0 else { continue };
            let at = At { thing, entity: place };
            let kind = Kind::of(&entity.kind);
            if let Some(kind) = kind {
                if !links.is_new(kind, &entity.id, at) {
                    continue;
                }
                links.entities.push((kind, at));
            }
            links.walk(at, kind == Some(Kind::Host), &mut marked);
        }
        let mut seen = HashSet::new();
        links.marks_are_local = !marked.iter().all(|(mark, _)| seen.insert(mark));
        for (mark, at) in marked {
            let key = (links.scope(at), mark);
            links.marks.entry(key).and_modify(|one| *one = None).or_insert(Some(at));
        }
        links
    }

    /// Keeps it under its id, unless it is there already.
    fn is_new(&mut self, kind: Kind, id: &Text<'a>, at: At<'r, 'a>) -> bool {
        let Some(id) = id.clone().known() else { return true };
        match self.ids.entry((kind, id.to_ascii_lowercase())) {
            Entry::Vacant(slot) => {
                slot.insert(Some(at));
                true
            }
            Entry::Occupied(slot) if slot.get().is_some_and(|one| one.thing == at.thing) => false,
            Entry::Occupied(mut slot) => {
                slot.insert(None);
                true
            }
        }
    }

    /// Finds what has a `$id`, and machines. The parser bounds how deep things nest.
    fn walk(&mut self, at: At<'r, 'a>, is_host: bool, marked: &mut Vec<(String, At<'r, 'a>)>) {
        let thing = at.thing;
        if let Some(mark) = thing.mark.clone().known() {
            marked.push((mark.into_owned(), at));
        }
        self.machines.meet(thing, is_host && !thing.is_reference());
        let Thing { host, image_file, parent_process, .. } = thing;
        for (inner, is_host) in [(host, true), (image_file, false), (parent_process, false)] {
            if let Some(inner) = &inner.0 {
                self.walk(at.inner(inner), is_host, marked);
            }
        }
        for inner in &thing.file_hashes.0 {
            self.walk(at.inner(inner), false, marked);
        }
    }

    fn scope(&self, at: At<'r, 'a>) -> usize {
        if self.marks_are_local { at.entity } else { 0 }
    }

    /// The thing itself or, where it only refers to another, that one.
    fn definition(&self, at: At<'r, 'a>) -> Option<At<'r, 'a>> {
        let Some(mark) = at.thing.refers.clone().known() else { return Some(at) };
        let found = self.marks.get(&(self.scope(at), mark.into_owned())).copied().flatten();
        found.filter(|found| !found.thing.is_reference())
    }

    fn by_id(&self, kind: Kind, id: &str) -> Option<At<'r, 'a>> {
        self.ids.get(&(kind, id.trim().to_ascii_lowercase())).copied().flatten()
    }

    /// What a nested thing and an id lead to; `None` is one that is not there.
    fn linked(
        &self,
        from: At<'r, 'a>,
        nested: &'r Nested<'a>,
        id: &Text<'a>,
        kind: Kind,
    ) -> impl Iterator<Item = Option<At<'r, 'a>>> + use<'r, 'a> {
        let nested = nested.0.as_deref().map(|thing| self.definition(from.inner(thing)));
        let named = id.clone().known().map(|id| self.by_id(kind, &id));
        nested.into_iter().chain(named)
    }

    /// The hosts that it says it is on.
    pub fn hosts(&self, of: At<'r, 'a>) -> impl Iterator<Item = Option<At<'r, 'a>>> + use<'r, 'a> {
        self.linked(of, &of.thing.host, &of.thing.host_entity_id, Kind::Host)
    }

    pub fn images(&self, process: At<'r, 'a>) -> impl Iterator<Item = At<'r, 'a>> + use<'r, 'a> {
        let Thing { image_file, image_file_entity_id, .. } = process.thing;
        self.linked(process, image_file, image_file_entity_id, Kind::File).flatten()
    }

    pub fn hashes(&self, file: At<'r, 'a>) -> Vec<At<'r, 'a>> {
        let nested = file.thing.file_hashes.0.iter();
        let nested = nested.filter_map(|thing| self.definition(file.inner(thing)));
        let ids: &[Cow<'_, str>] = match &file.thing.file_hash_entity_ids {
            Texts::Are(ids) => ids,
            _ => &[],
        };
        nested.chain(ids.iter().filter_map(|id| self.by_id(Kind::FileHash, id))).collect()
    }

    pub fn all(&self, kind: Kind) -> impl Iterator<Item = At<'r, 'a>> {
        self.entities.iter().filter(move |(own, _)| *own == kind).map(|(_, at)| *at)
    }

    /// Processes that are the parent of one, or the parent's parent, and so on.
    pub fn parents(&self) -> Vec<At<'r, 'a>> {
        let mut seen = HashSet::new();
        let mut parents = Vec::new();
        let mut pending: Vec<_> = self.all(Kind::Process).collect();
        while let Some(process) = pending.pop() {
            let Thing { parent_process, parent_process_entity_id, .. } = process.thing;
            let of = self.linked(process, parent_process, parent_process_entity_id, Kind::Process);
            for parent in of.flatten().filter(|parent| seen.insert(parent.place())) {
                parents.push(parent);
                pending.push(parent);
            }
        }
        parents
    }

    /// How many machines the incident names; a host without an id and a name is one more.
    pub fn machines(&self) -> usize {
        self.machines.named.len() + self.machines.nameless
    }

    /// What is known of a machine, its id included.
    pub fn tell(&self, id: MachineId, fields: &mut Fields<'a>) {
        let first_to_last = (id, Field::MachineId)..=(id, Field::MachineUsers);
        for ((_, field), value) in self.machines.known.range(first_to_last) {
            fields.set(*field, value.clone());
        }
        fields.set_text(Field::MachineId, id.to_string());
    }
}

impl<'a> Machines<'a> {
    fn meet(&mut self, thing: &Thing<'a>, is_host: bool) {
        let ids: Vec<_> = thing.machines().collect();
        self.named.extend(ids.iter().flatten().map(ToString::to_string));
        if !is_host {
            return;
        }
        for id in ids.iter().flatten() {
            self.learn(*id, thing);
        }
        if !ids.iter().any(Result::is_ok) {
            match thing.host_name() {
                Some(name) => _ = self.named.insert(name.to_ascii_lowercase()),
                None => self.nameless += 1,
            }
        }
    }

    fn learn(&mut self, id: MachineId, host: &Thing<'a>) {
        let mut said = Fields::default();
        host.tell_host(&mut said);
        for (field, value) in said.present() {
            let slot = self.known.entry((id, field)).or_insert_with(|| value.clone());
            if slot != value {
                *slot = Value::Absent;
            }
        }
    }
}
