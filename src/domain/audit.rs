//! The record of every change, as one hash chain per tenant and one named `*` for what belongs to
//! none.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::action::{Class, Progress, State, StateName};
use super::breaker::Breaker;
use super::ids::{ActionId, Sha1, TenantName};
use super::scope::Scope;
use super::time::Wall;

/// The chain of changes that belong to no tenant.
pub const NO_TENANT: &str = "*";

/// Who changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The service itself.
    Lazaret,
    /// A person or a service: `token alice`, or `uid 1000` for whoever worked on the store itself.
    Person(String),
}

/// What a token of the admin listener may do; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    View,
    /// Also approves and rejects what is held.
    Approve,
    /// Also pauses, resumes and recalls.
    Operate,
    /// Also whatever no other role is named for: nothing yet.
    Admin,
}

/// One change, with who, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `None` goes on the chain `*`.
    pub tenant: Option<TenantName>,
    pub actor: Actor,
    pub reason: String,
    pub at: Wall,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    Created {
        action: ActionId,
        state: State,
    },
    /// Applied only where the action stands in `from`.
    Moved {
        action: ActionId,
        from: StateName,
        to: State,
    },
    ClassRaised {
        action: ActionId,
        to: Class,
    },
    /// A later candidate for the same effect, of this alert.
    DuplicateLinked {
        action: ActionId,
        alert: String,
    },
    /// A person's yes, where more than one is needed.
    Approved {
        action: ActionId,
        by: String,
    },
    /// How far Defender says it is with an action that it has accepted. Applied only where the
    /// action is accepted still.
    Progressed {
        action: ActionId,
        to: Progress,
    },
    /// A machine action is to be cancelled at Defender.
    CancelAsked {
        action: ActionId,
    },
    /// Nothing more is asked about cancelling it. How the action ends is another matter.
    CancelAnswered {
        action: ActionId,
        answer: String,
    },
    Paused {
        scope: Scope,
    },
    Resumed {
        scope: Scope,
    },
    Tripped {
        breaker: Breaker,
        scope: Scope,
    },
    Recalled {
        sha1: Sha1,
    },
    /// With the ids of the rules, and names of the lists, that differ from the set before.
    RulesLoaded {
        hash: String,
        rules: usize,
        #[serde(default)]
        added: Vec<String>,
        #[serde(default)]
        changed: Vec<String>,
        #[serde(default)]
        removed: Vec<String>,
    },
    /// Those of this directory; the set before stays in force.
    RulesRefused {
        #[serde(default)]
        dir: String,
    },
    /// SHA-256, in hex, of the configuration's text.
    ConfigLoaded {
        hash: String,
    },
    /// The first use of a token since the start.
    SignedIn {
        role: Role,
    },
    /// So many requests with a wrong, expired or missing token from one address.
    SignInRefused {
        from: String,
        times: u64,
    },
    /// The stop file in the data directory came, or went.
    StopFile {
        there: bool,
    },
    /// The heads of the chains that have grown, as they were: kept elsewhere, they show later
    /// whether anything before them was changed.
    Anchored {
        heads: Vec<Head>,
    },
    SourceSilent {
        source: String,
    },
    SourceHeard {
        source: String,
    },
    CredentialExpiring {
        expires: Wall,
    },
    Started {
        version: String,
        mode: String,
    },
    Stopped,
}

/// The newest entry of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The tenant's name, or `*`.
    pub chain: String,
    /// Counted from 0.
    pub sequence: u64,
    /// 64 hex digits.
    pub hash: String,
}

/// A link of a chain.
pub type Hash = [u8; 32];

/// What a chain begins with.
pub const GENESIS: Hash = [0; 32];

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub chain: &'a str,
    /// In its chain, from 0.
    pub sequence: i64,
    /// Among the entries of all chains, from 1.
    pub position: i64,
}

/// The hash of the entry whose canonical bytes are `entry`, after the one of its chain whose hash
/// is `previous`: SHA-256 of that hash, the length and bytes of the chain's name, sequence,
/// position and entry, all numbers as 8 bytes, little-endian.
pub fn link(previous: &Hash, place: Place<'_>, entry: &[u8]) -> Hash {
    let Place { chain, sequence, position } = place;
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update((chain.len() as u64).to_le_bytes());
    hasher.update(chain.as_bytes());
    hasher.update(sequence.to_le_bytes());
    hasher.update(position.to_le_bytes());
    hasher.update(entry);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_depends_on_everything_before_it() {
        let place = Place { chain: "contoso", sequence: 0, position: 1 };
        let first = link(&GENESIS, place, b"a");
        assert_ne!(first, link(&GENESIS, Place { sequence: 1, ..place }, b"a"));
        assert_ne!(first, link(&GENESIS, Place { position: 2, ..place }, b"a"));
        assert_ne!(first, link(&GENESIS, Place { chain: "fabrikam", ..place }, b"a"));
        assert_ne!(first, link(&GENESIS, place, b"b"));
        assert_ne!(first, link(&first, place, b"a"));
    }
}
