//! Which files an incident has, and on which host each was met, as far as the incident says it: in
//! `MdatpDeviceId` of the file's own `additionalData`, by its link to a host, or by the same two of
//! a process whose image it is. What names two machines says nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::links::{At, Kind, Links};
use crate::domain::candidate::{Field, Fields, Incomplete};
use crate::domain::ids::{MachineId, Sha1};
use crate::formats::lenient::Text;
use crate::formats::read::{self, set_known};

/// What becomes a candidate: a file, or a hash that no file names.
pub(super) struct File<'r, 'a> {
    at: At<'r, 'a>,
    is_hash: bool,
    /// Those whose image it is.
    processes: Vec<At<'r, 'a>>,
    /// It is the image of a process that is another's parent, and of no other process.
    of_parent: bool,
    sha1: Hash<'a>,
    sha256: Hash<'a>,
}

enum Hash<'a> {
    Is(Text<'a>),
    Several,
}

/// Where a file was met.
pub(super) struct Met {
    pub machine: Result<MachineId, Incomplete>,
    /// The full name of its host, where that has no id.
    pub host: Option<String>,
}

/// The files of an incident.
pub(super) struct Files<'r, 'a> {
    pub found: Vec<File<'r, 'a>>,
    /// There are hashes, of any kind, that no file names.
    pub loose: bool,
}

impl<'r, 'a> Files<'r, 'a> {
    pub fn of(links: &Links<'r, 'a>) -> Self {
        let parents = links.parents();
        let of_parents: Vec<_> = parents.iter().flat_map(|parent| links.images(*parent)).collect();
        let parents: HashSet<_> = parents.iter().map(|parent| parent.place()).collect();
        let mut found: Vec<File<'r, 'a>> = Vec::new();
        let mut places = HashMap::new();
        let images = links.all(Kind::Process).filter(|one| !parents.contains(&one.place()));
        let images = images.flat_map(|one| links.images(one).map(move |image| (image, Some(one))));
        for (at, process) in links.all(Kind::File).map(|file| (file, None)).chain(images) {
            let index = *places.entry(at.place()).or_insert_with(|| {
                found.push(File::new(at, false, &links.hashes(at)));
                found.len() - 1
            });
            found[index].processes.extend(process);
        }
        let theirs: HashSet<_> = of_parents.iter().map(|image| image.place()).collect();
        let mut named = HashSet::new();
        for file in &mut found {
            file.of_parent = file.processes.is_empty() && theirs.contains(&file.at.place());
        }
        for at in found.iter().map(|file| file.at).chain(of_parents) {
            named.extend(links.hashes(at).into_iter().map(At::place));
        }
        let alone: Vec<_> =
            links.all(Kind::FileHash).filter(|hash| !named.contains(&hash.place())).collect();
        let sha1s = alone.iter().filter(|hash| hash.thing.is_hash_of("SHA1"));
        found.extend(sha1s.map(|hash| File::new(*hash, true, &[*hash])));
        Self { found, loose: !alone.is_empty() }
    }
}

impl<'r, 'a> File<'r, 'a> {
    fn new(at: At<'r, 'a>, is_hash: bool, hashes: &[At<'r, 'a>]) -> Self {
        let of = |algorithm| Hash::of(hashes, algorithm);
        let (sha1, sha256) = (of("SHA1"), of("SHA256"));
        Self { at, is_hash, processes: Vec::new(), of_parent: false, sha1, sha256 }
    }

    pub fn sha1(&self) -> Result<Sha1, Incomplete> {
        match &self.sha1 {
            Hash::Is(text) => read::sha1(text),
            Hash::Several => Err(Incomplete("sha1 is several for one file".to_owned())),
        }
    }

    pub fn met(&self, links: &Links<'r, 'a>) -> Met {
        let lost = |why: String| Met { machine: Err(Incomplete(why)), host: None };
        let file = self.told();
        if self.of_parent {
            return lost(format!("{file} is only the image of a parent process"));
        }
        // Hosts by name: those that have an id, and those that have none.
        let (mut machines, mut named, mut unnamed) =
            (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let mut is_lost = false;
        for at in std::iter::once(self.at).chain(self.processes.iter().copied()) {
            let hosts: Vec<_> = links.hosts(at).collect();
            for id in at.thing.machines().chain(
                hosts.iter().flatten().flat_map(|host| host.thing.machines()).collect::<Vec<_>>(),
            ) {
                match id {
                    Ok(id) => _ = machines.insert(id),
                    Err(why) => return Met { machine: Err(why), host: None },
                }
            }
            for host in hosts {
                let Some(host) = host else {
                    is_lost = true;
                    continue;
                };
                let name = host.thing.host_name().unwrap_or_default().to_lowercase();
                match host.thing.machines().next() {
                    Some(_) => _ = named.insert(name),
                    None => _ = unnamed.insert(name, host),
                }
            }
        }
        // Named once with its id and once without.
        unnamed.retain(|name, _| !named.contains(name));
        match (machines.len() + unnamed.len(), machines.first(), unnamed.values().next()) {
            (1, Some(machine), _) => Met { machine: Ok(*machine), host: None },
            (1, _, Some(host)) => {
                let name = host.thing.host_name().map(|name| short(&name));
                let why = format!(
                    "{file} was met on {}, which has no MdatpDeviceId",
                    name.as_deref().unwrap_or("a host")
                );
                Met { machine: Err(Incomplete(why)), host: host.thing.full_name() }
            }
            (0, ..) if is_lost => lost(format!("the host of {file} is not among the entities")),
            (0, ..) => lost(format!("the incident does not say on which host {file} was met")),
            (several, ..) => lost(format!("the incident names {several} hosts for {file}")),
        }
    }

    /// Its name or, where it has none, its hash.
    fn told(&self) -> String {
        let name = if self.is_hash { None } else { self.at.thing.file_name().known() };
        match (name, &self.sha1) {
            (Some(name), _) => short(&name),
            (None, Hash::Is(text)) => match text.clone().known() {
                Some(hash) => short(&hash.to_ascii_lowercase()),
                None => "a file".to_owned(),
            },
            (None, Hash::Several) => "a file".to_owned(),
        }
    }

    /// Sets `file.*`, and what is known of its machine.
    pub fn tell(&self, met: &Met, links: &Links<'r, 'a>, fields: &mut Fields<'a>) {
        match (&met.machine, &met.host) {
            (Ok(id), _) => links.tell(*id, fields),
            (Err(_), Some(host)) => fields.set_text(Field::MachineName, host.clone()),
            (Err(_), None) => {}
        }
        if !self.is_hash {
            let image = self.of_parent || !self.processes.is_empty();
            fields.set_text(Field::FileEntity, if image { "Process" } else { "File" });
            self.at.thing.tell_file(fields);
        }
        for (field, hash) in [(Field::FileSha1, &self.sha1), (Field::FileSha256, &self.sha256)] {
            if let Hash::Is(text) = hash {
                set_known(fields, field, text.clone());
            }
        }
    }
}

impl<'a> Hash<'a> {
    /// The same hash may stand there twice, in whatever case.
    fn of(hashes: &[At<'_, 'a>], algorithm: &str) -> Self {
        let mut one = Text::Missing;
        for hash in hashes.iter().filter(|hash| hash.thing.is_hash_of(algorithm)) {
            let text = hash.thing.hash();
            match (one.clone().known(), text.clone().known()) {
                (Some(a), Some(b)) if !a.eq_ignore_ascii_case(&b) => return Hash::Several,
                (Some(_), _) => {}
                (None, _) => one = text,
            }
        }
        Hash::Is(one)
    }
}

/// The start of a text of the payload, fit for a reason.
fn short(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
