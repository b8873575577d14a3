//! The record as plain data: heads of chains, what a verification found, and entries as they are
//! exported.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::time::Wall;

/// The newest entry of a chain, at some moment. Whoever keeps it elsewhere can tell later that the
/// chain was cut or rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The tenant's name, or `*`.
    pub chain: String,
    /// Counted from 0.
    pub sequence: u64,
    /// 64 hex digits.
    pub hash: String,
    #[serde(serialize_with = "shown", deserialize_with = "read")]
    pub at: Wall,
}

/// What walking one chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    pub chain: String,
    pub entries: u64,
    /// Hash of the last entry; empty where there is none.
    pub hash: String,
    /// When the first and the last entry were written, where they still say so.
    #[serde(serialize_with = "maybe_shown")]
    pub first: Option<Wall>,
    #[serde(serialize_with = "maybe_shown")]
    pub last: Option<Wall>,
    /// Heads kept elsewhere that stand in it.
    pub anchored: u64,
    /// Empty: every entry is as it was written.
    pub faults: Vec<String>,
}

/// What walking all chains found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub chains: Vec<ChainReport>,
    /// What is wrong with the table as a whole.
    pub faults: Vec<String>,
}

impl Verified {
    /// All faults, each with its chain.
    pub fn all_faults(&self) -> Vec<String> {
        let of = |report: &ChainReport| {
            let chain = report.chain.clone();
            report.faults.clone().into_iter().map(move |fault| format!("chain {chain}: {fault}"))
        };
        self.faults.iter().cloned().chain(self.chains.iter().flat_map(of)).collect()
    }
}

/// One entry of the record, as `lazaret audit export` and the admin listener give it. What an entry
/// that was damaged does not say any more is null.
#[derive(Clone, Debug, Serialize)]
pub struct AuditLine {
    /// Where it stands among the entries of all chains, in the order of commits, from 1.
    pub position: i64,
    pub chain: String,
    pub sequence: i64,
    pub hash: String,
    #[serde(serialize_with = "maybe_shown")]
    pub at: Option<Wall>,
    /// `lazaret`, `token alice` or `uid 1000`.
    pub actor: Option<String>,
    pub what: Option<String>,
    pub reason: Option<String>,
    /// The action it is about, if it is about one.
    pub action: Option<String>,
    /// The bytes that the hash covers, which are JSON unless they were damaged.
    pub entry: Box<RawValue>,
}

impl AuditLine {
    /// Reads what an entry says of itself.
    pub fn new(position: i64, chain: String, sequence: i64, hash: &[u8], entry: &[u8]) -> Self {
        let said: Value = serde_json::from_slice(entry).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let text_of = |entry: &[u8]| String::from_utf8_lossy(entry).into_owned();
        let raw = RawValue::from_string(text_of(entry)).or_else(|_| {
            let quoted = serde_json::to_string(&text_of(entry))?;
            RawValue::from_string(quoted)
        });
        Self {
            position,
            chain,
            sequence,
            hash: hex::encode(hash),
            at: said["at"].as_i64().map(Wall),
            actor: text(&said["actor"]).or_else(|| text(&said["actor"]["person"])),
            what: text(&said["what"]["what"]),
            reason: text(&said["reason"]),
            action: text(&said["what"]["action"]),
            entry: raw.expect("a quoted text is JSON"),
        }
    }

    /// What just this kind of change has to say, as JSON: `{"scope":"all"}`.
    pub fn details(&self) -> String {
        let mut said: Value = serde_json::from_str(self.entry.get()).unwrap_or_default();
        let mut details = said["what"].take();
        if let Some(details) = details.as_object_mut() {
            details.remove("what");
            details.remove("action");
        }
        details.to_string()
    }
}

fn shown<S: Serializer>(at: &Wall, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

fn maybe_shown<S: Serializer>(at: &Option<Wall>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => to.collect_str(at),
        None => to.serialize_none(),
    }
}

fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Wall, D::Error> {
    let text = String::deserialize(from)?;
    Wall::parse(&text).ok_or_else(|| serde::de::Error::custom("no RFC 3339 time"))
}
