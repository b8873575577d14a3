//! What a pause stops and a breaker holds: everything, or one tenant, rule, machine or file.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{MachineId, Sha1, TenantName};

/// A machine, a file or a rule is meant in every tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    All,
    Tenant(TenantName),
    /// By the rule's id: the actions that it decided.
    Rule(String),
    Machine(MachineId),
    Sha1(Sha1),
}

impl Scope {
    /// As rows are keyed by it: `all`, `tenant:contoso`, `sha1:` and 40 hex digits.
    pub fn key(&self) -> String {
        match self {
            Scope::All => "all".to_owned(),
            Scope::Tenant(tenant) => format!("tenant:{tenant}"),
            Scope::Rule(rule) => format!("rule:{rule}"),
            Scope::Machine(machine) => format!("machine:{machine}"),
            Scope::Sha1(sha1) => format!("sha1:{sha1}"),
        }
    }

    /// Back from [`Scope::key`].
    pub fn from_key(key: &str) -> Option<Self> {
        if key == "all" {
            return Some(Scope::All);
        }
        let (kind, name) = key.split_once(':')?;
        match kind {
            "tenant" => Some(Scope::Tenant(TenantName::new(name))),
            "rule" => Some(Scope::Rule(name.to_owned())),
            "machine" => MachineId::parse(name).ok().map(Scope::Machine),
            "sha1" => Sha1::parse(name).ok().map(Scope::Sha1),
            _ => None,
        }
    }

    /// The tenant it lies in, where it lies in one alone.
    pub fn tenant(&self) -> Option<&TenantName> {
        match self {
            Scope::Tenant(tenant) => Some(tenant),
            _ => None,
        }
    }

    /// The option of `lazaret pause` and `lazaret resume` that names it, with a space before it;
    /// empty for everything.
    pub fn option(&self) -> String {
        match self {
            Scope::All => String::new(),
            Scope::Tenant(tenant) => format!(" --tenant {tenant}"),
            Scope::Rule(rule) => format!(" --rule {rule}"),
            Scope::Machine(machine) => format!(" --machine {machine}"),
            Scope::Sha1(sha1) => format!(" --sha1 {sha1}"),
        }
    }
}

/// As a person reads it: `everything`, `tenant contoso`, `file c41d…`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("everything"),
            Scope::Tenant(tenant) => write!(f, "tenant {tenant}"),
            Scope::Rule(rule) => write!(f, "rule {rule}"),
            Scope::Machine(machine) => write!(f, "machine {machine}"),
            Scope::Sha1(sha1) => write!(f, "file {sha1}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_back_from_its_key() {
        let digits = "c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13";
        for scope in [
            Scope::All,
            Scope::Tenant(TenantName::new("contoso")),
            Scope::Rule("5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11".to_owned()),
            Scope::Machine(MachineId::parse(digits).unwrap()),
            Scope::Sha1(Sha1::parse(digits).unwrap()),
        ] {
            assert_eq!(Scope::from_key(&scope.key()), Some(scope));
        }
        for wrong in ["", "tenant", "file:x", "sha1:xyz", "ALL"] {
            assert_eq!(Scope::from_key(wrong), None, "{wrong}");
        }
    }
}
