//! Rules change while the service runs: the directory is looked at every two seconds, at SIGHUP,
//! and when an entry of a list expires. A set that is right takes the place of the one before in
//! one step; one that is wrong is refused whole, and the set before stays.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Parts, StartError, settings, start};
use crate::config::Config;
use crate::domain::audit::{Change, What};
use crate::domain::rule::Ruleset;
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{Clock as _, Store as _, StoreError};
use crate::limits::{RULES_AGAIN, RULES_EVERY};
use crate::rules::{self, Contents, Loaded, Severity};

/// What is known of the directory since it was last read.
#[derive(Clone)]
pub(super) struct Known {
    fingerprint: u64,
    pub contents: Contents,
    /// When it is read again whatever the files look like: an entry of a list expires, or what
    /// failed may have been the disk.
    again: Option<Wall>,
}

/// The first mistake of the rules on disk, while they are refused.
pub(super) type Refused = Arc<ArcSwapOption<String>>;

/// Loads the rules of a start.
pub(super) fn first(config: &Config, now: Wall) -> Result<(Ruleset, Known), StartError> {
    // Before the files are read, so that what changes meanwhile is seen later.
    let fingerprint = rules::fingerprint(&config.rules);
    let loaded = settings::rules(config, now).map_err(|why| StartError::new("the rules", why))?;
    let Loaded { ruleset, contents, next_expiry, .. } = loaded;
    Ok((ruleset, Known { fingerprint, contents, again: next_expiry }))
}

struct Reload {
    dir: PathBuf,
    rules: Arc<ArcSwap<Ruleset>>,
    refused: Refused,
    store: Arc<SqliteStore>,
    clock: Arc<SystemClock>,
    known: Known,
}

/// Watches the rules until it is stopped. `asked` makes it read them whatever the files look like.
pub(super) fn watch(
    config: &Config,
    parts: &Parts,
    asked: Arc<Notify>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let mut reload = Reload {
        dir: config.rules.clone(),
        rules: parts.rules.clone(),
        refused: parts.refused.clone(),
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        known: parts.known.clone(),
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut look = interval(RULES_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let was_asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => false,
                () = asked.notified() => true,
            };
            reload.look(was_asked).await;
        }
    })
}

impl Reload {
    async fn look(&mut self, asked: bool) {
        let (dir, now) = (self.dir.clone(), self.clock.now().wall);
        let seen = spawn_blocking(move || rules::fingerprint(&dir)).await;
        let Ok(seen) = seen.inspect_err(|why| tracing::error!(%why, "the rules were not seen"))
        else {
            return;
        };
        let is_due = self.known.again.is_some_and(|at| at <= now);
        if seen == self.known.fingerprint && !is_due && !asked {
            return;
        }
        self.known.fingerprint = seen;
        let dir = self.dir.clone();
        match spawn_blocking(move || rules::load(&dir, now)).await {
            Ok(Ok(loaded)) => self.take(loaded).await,
            Ok(Err(problems)) => {
                let errors = problems.0.iter().filter(|p| p.severity == Severity::Error);
                let first = errors.map(|problem| problem.title()).next();
                self.refuse(first.unwrap_or_default(), asked).await;
            }
            Err(why) => self.refuse(format!("their check ended: {why}"), asked).await,
        }
    }

    async fn take(&mut self, loaded: Loaded) {
        settings::tell(&loaded.warnings);
        self.refused.store(None);
        let difference = loaded.contents.since(&self.known.contents);
        self.known.contents = loaded.contents;
        let hashes = self.known.contents.0.clone();
        self.known.again = loaded.next_expiry;
        let (hash, count) = (loaded.ruleset.hash().to_owned(), loaded.ruleset.len());
        if self.rules.load().hash() == hash {
            tracing::info!("the rules were read again, and say what they said");
            return;
        }
        // First in force, then on the record: protection does not wait for a disk.
        self.rules.store(Arc::new(loaded.ruleset));
        let rules::Difference { added, changed, removed } = difference;
        tracing::info!(hash, count, ?added, ?changed, ?removed, "other rules are in force");
        let what = What::RulesLoaded { hash, rules: count, added, changed, removed };
        let noted = self.store.rules_in_force(hashes, vec![start::note(&self.clock, what)]).await;
        not_on_record(noted);
    }

    /// Says the same mistake only once, unless someone asked.
    async fn refuse(&mut self, why: String, asked: bool) {
        self.known.again = Some(self.clock.now().wall + RULES_AGAIN);
        let is_new = self.refused.load().as_deref() != Some(&why);
        if is_new || asked {
            tracing::error!(why, "the rules on disk are refused; the set before stays in force");
        }
        if !is_new {
            return;
        }
        self.refused.store(Some(Arc::new(why.clone())));
        self.note(why, What::RulesRefused).await;
    }

    async fn note(&self, reason: String, what: What) {
        let change = Change { reason, ..start::note(&self.clock, what) };
        not_on_record(self.store.apply(None, vec![change]).await.map(drop));
    }
}

fn not_on_record(noted: Result<(), StoreError>) {
    if let Err(why) = noted {
        tracing::error!(%why, "a change of the rules could not be put on the record");
    }
}
