//! A table of hosts and the machines that Defender knows them as, for products that know no other
//! name of a machine. What is not told for certain is no machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::domain::ids::MachineId;

/// Host names and machine ids, from a list of the rules.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// The list's file, for reasons.
    pub list: String,
    whole: BTreeMap<String, BTreeSet<MachineId>>,
    /// By their first label, each host with whether it has another. No addresses.
    labels: BTreeMap<String, BTreeSet<(bool, MachineId)>>,
}

impl Hosts {
    pub fn new<'h>(list: &str, entries: impl IntoIterator<Item = (&'h str, MachineId)>) -> Self {
        let mut hosts = Self { list: list.to_owned(), ..Self::default() };
        for (host, machine) in entries {
            let host = plain(host);
            if let Some((label, more)) = label(&host) {
                let of_label = hosts.labels.entry(label.to_owned()).or_default();
                of_label.insert((more, machine));
            }
            hosts.whole.entry(host).or_default().insert(machine);
        }
        hosts
    }

    /// The machine of a host: the one whose full name is equal or, where none is, the only one
    /// whose first label is, if one of both names has no other. `pc1.a.example` is never
    /// `pc1.b.example`, and part of a name is no name. `Err` says why there is none.
    pub fn find(&self, host: &str) -> Result<MachineId, String> {
        let name = plain(host);
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let several = |n: usize| format!("is the host {shown:?}, and {n} of {} are", self.list);
        if let Some(machines) = self.whole.get(&name) {
            let only = machines.first().filter(|_| machines.len() == 1);
            return only.copied().ok_or_else(|| several(machines.len()));
        }
        if let Some((label, more)) = label(&name)
            && let Some(machines) = self.labels.get(label)
            && machines.iter().any(|(theirs, _)| !(more && *theirs))
        {
            let distinct: BTreeSet<MachineId> = machines.iter().map(|(_, one)| *one).collect();
            let only = distinct.first().filter(|_| distinct.len() == 1);
            return only.copied().ok_or_else(|| several(distinct.len()));
        }
        Err(format!("is the host {shown:?}, which {} does not have", self.list))
    }
}

/// What Defender told of hosts, by the name that each was asked for with. What it told of one says
/// nothing of another that begins alike.
#[derive(Clone, Debug, Default)]
pub struct ToldHosts(BTreeMap<String, Hosts>);

impl ToldHosts {
    /// Of each host that there is an answer for, the machines that it may be.
    pub fn new<'h>(
        answers: impl IntoIterator<Item = (&'h str, &'h [(String, MachineId)])>,
    ) -> Self {
        let hosts = |machines: &'h [(String, MachineId)]| {
            Hosts::new("Defender", machines.iter().map(|(name, id)| (name.as_str(), *id)))
        };
        let answers = answers.into_iter();
        Self(answers.map(|(host, machines)| (plain(host), hosts(machines))).collect())
    }

    /// See [`Hosts::find`].
    pub fn find(&self, host: &str) -> Result<MachineId, String> {
        let name = plain(host);
        let Some(hosts) = self.0.get(&name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(format!("is the host {shown:?}, of which Defender told nothing"));
        };
        hosts.find(host)
    }
}

/// The first label of a host's name, by which Defender is asked for it. An address has none, and
/// neither has a name that no machine can have.
pub fn label_of(host: &str) -> Option<String> {
    let name = plain(host);
    let (label, _) = label(&name)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = !label.is_empty() && label.len() <= 63 && label.bytes().all(fits);
    is_label.then(|| label.to_owned())
}

/// As names are compared: without case, and without the dot that ends a full one.
fn plain(host: &str) -> String {
    host.trim().trim_end_matches('.').to_lowercase()
}

/// The first label of a name, and whether it has others. An address has none.
fn label(host: &str) -> Option<(&str, bool)> {
    if host.is_empty() || host.parse::<IpAddr>().is_ok() {
        return None;
    }
    Some(host.split_once('.').map_or((host, false), |(label, _)| (label, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> MachineId {
        MachineId::from_bytes([n; 20])
    }

    fn hosts() -> Hosts {
        let hosts = [
            ("PC1.contoso.example", id(1)),
            ("pc2", id(2)),
            ("pc3.contoso.example", id(3)),
            ("pc3.fabrikam.example", id(4)),
            ("pc5", id(5)),
            ("pc5", id(6)),
            ("pc7", id(7)),
            ("pc7.contoso.example", id(7)),
            ("10.0.0.6", id(8)),
        ];
        Hosts::new("machines.csv", hosts)
    }

    #[test]
    fn a_host_is_found_by_its_full_name_or_by_its_only_first_label() {
        let hosts = hosts();
        for (host, machine) in [
            ("pc1.contoso.example", 1),
            ("pc1.CONTOSO.example.", 1),
            ("pc1", 1),
            ("PC2", 2),
            ("pc2.contoso.example", 2),
            ("pc3.fabrikam.example", 4),
            ("pc7", 7),
            ("pc7.fabrikam.example", 7),
            ("10.0.0.6", 8),
        ] {
            assert_eq!(hosts.find(host), Ok(id(machine)), "{host}");
        }
    }

    #[test]
    fn two_machines_are_none() {
        let hosts = hosts();
        for host in ["pc3", "pc5", "pc5.contoso.example"] {
            let why = hosts.find(host).unwrap_err();
            assert_eq!(why, format!("is the host {host:?}, and 2 of machines.csv are"));
        }
    }

    #[test]
    fn part_of_a_name_another_domain_and_part_of_an_address_are_none() {
        let hosts = hosts();
        for host in ["pc", "c1", "pc11", "pc1.fabrikam.example", "contoso.example", "", "10", "1"] {
            let why = hosts.find(host).unwrap_err();
            assert!(why.ends_with("which machines.csv does not have"), "{host}: {why}");
        }
        assert!(hosts.find("10.0.0.7").is_err() && hosts.find("10.example").is_err());
    }
}
