//! How much, how long and how old things may be.

use std::time::Duration;

use serde::Deserialize;

use super::values::{PerSecond, Size, Span};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest webhook body.
    pub body: Size,
    pub connections: usize,
    pub connections_per_address: usize,
    /// Open actions; beyond, sources are told to wait.
    pub queue: u64,
    /// Alerts older than this end as `too old`.
    pub alert_age: Span,
    /// Rows kept of alerts that matched nothing; beyond, they are only counted.
    pub no_match_rows: PerSecond,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size(1024 * 1024),
            connections: 1024,
            connections_per_address: 64,
            queue: 1_000_000,
            alert_age: Span::hours(24),
            no_match_rows: PerSecond(1000),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expire {
    pub queued: Span,
    pub held: Span,
}

impl Default for Expire {
    fn default() -> Self {
        Self { queued: Span::hours(24), held: Span::hours(72) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// How long after a call without an answer Defender is asked what became of it.
    pub wait: Span,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self { wait: Span::seconds(60) }
    }
}

/// How long rows of a stream wait for each other, and how many alerts of a tenant do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Join {
    /// What is incomplete for so long ends so.
    pub expire: Span,
    /// A file whose row names no machine gets its alert's only one once no row has come for so
    /// long.
    pub settle: Span,
    pub alerts: u64,
    pub bytes: Size,
}

impl Default for Join {
    fn default() -> Self {
        Self {
            expire: Span(Duration::from_secs(30 * 60)),
            settle: Span(Duration::from_secs(2 * 60)),
            alerts: 1_000_000,
            bytes: Size(4 << 30),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dedupe {
    /// Entries of the cache that predicts duplicates. 0 turns it off; every fate stays the same.
    pub cache: u64,
}

impl Default for Dedupe {
    fn default() -> Self {
        Self { cache: 20_000 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    pub fates: Span,
    pub actions: Span,
    pub unreadable: Span,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { fates: Span::days(30), actions: Span::days(400), unreadable: Span::days(7) }
    }
}
