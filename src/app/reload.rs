//! Rules change while the service runs: the directory is looked at every two seconds, at SIGHUP,
//! and when an entry of a list expires. A set that is right takes the place of the one before in
//! one step; one that is wrong is refused whole, and the set before stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Parts, StartError, settings, start};
use crate::config::Config;
use crate::domain::audit::{Change, What};
use crate::domain::time::Wall;
use crate::intake::InForce;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{Clock as _, Store as _};
use crate::limits::{RULES_AGAIN, RULES_EVERY, RULES_READ_TRIES};
use crate::rules::{self, Contents, Kept, Loaded, Problems};

/// A set of rules as the record knows it.
#[derive(Clone)]
pub(super) struct Set {
    hash: String,
    rules: usize,
    pub contents: Contents,
}

impl Set {
    fn of(loaded: &Loaded) -> Self {
        let Loaded { ruleset, contents, .. } = loaded;
        let (hash, rules) = (ruleset.hash().to_owned(), ruleset.len());
        Self { hash, rules, contents: contents.clone() }
    }

    /// That it is in force, and how it differs from what was before.
    pub fn loaded(&self, before: &Contents) -> What {
        let rules::Difference { added, changed, removed } = self.contents.since(before);
        What::RulesLoaded { hash: self.hash.clone(), rules: self.rules, added, changed, removed }
    }
}

/// What is known of the directory since it was last read, and of the rules in force.
#[derive(Clone)]
pub(super) struct Known {
    fingerprint: u64,
    read_at: Wall,
    /// In force.
    pub set: Set,
    kept: Kept,
    /// When an entry of a list in force expires.
    expiry: Option<Wall>,
    /// When the directory is read again whatever the files look like: what failed may have been
    /// the disk.
    again: Option<Wall>,
}

/// The first mistake of the rules on disk and how many more there are, while they are refused.
pub(super) type Refused = Arc<ArcSwapOption<String>>;

/// Loads the rules of a start.
pub(super) fn first(config: &Config, now: Wall) -> Result<(InForce, Known), StartError> {
    // Before the files are read, so that what changes meanwhile is seen later.
    let fingerprint = rules::fingerprint(&config.rules);
    let loaded = settings::rules(config, now).map_err(|why| StartError::new("the rules", why))?;
    settings::check_formats(&settings::named_formats(config), &loaded.formats)
        .map_err(|why| StartError::new("the sources", why))?;
    Ok(in_force(loaded, fingerprint, now))
}

/// A set that was read, parted into what judges and what is known of it.
fn in_force(loaded: Loaded, fingerprint: u64, now: Wall) -> (InForce, Known) {
    let set = Set::of(&loaded);
    let Loaded { ruleset, formats, next_expiry: expiry, kept, .. } = loaded;
    let known = Known { fingerprint, read_at: now, set, kept, expiry, again: None };
    (InForce { ruleset, formats }, known)
}

struct Reload {
    dir: PathBuf,
    rules: Arc<ArcSwap<InForce>>,
    /// The formats that sources name.
    named: Vec<(String, String)>,
    refused: Refused,
    store: Arc<SqliteStore>,
    clock: Arc<SystemClock>,
    known: Known,
    /// What the record says is in force: behind what is while the store can't write.
    recorded: Set,
    /// How the files looked when they last differed from what was read: they may be being written.
    seen: u64,
}

/// Watches the rules until it is stopped. `asked` makes it read them whatever the files look like.
pub(super) fn watch(
    config: &Config,
    parts: &Parts,
    asked: Arc<Notify>,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let mut reload = Reload {
        dir: super::rules_dir(config),
        rules: parts.rules.clone(),
        named: settings::named_formats(config),
        refused: parts.refused.clone(),
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        known: parts.known.clone(),
        recorded: parts.known.set.clone(),
        seen: parts.known.fingerprint,
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
            reload.look(reload.clock.now().wall, was_asked).await;
        }
    })
}

impl Reload {
    /// Looks whether there is something to do at this time.
    async fn look(&mut self, now: Wall, asked: bool) {
        let dir = self.dir.clone();
        let seen = spawn_blocking(move || rules::fingerprint(&dir)).await;
        let Ok(seen) = seen.inspect_err(|why| tracing::error!(%why, "the rules were not seen"))
        else {
            return;
        };
        self.record().await;
        let is_past = |at: Option<Wall>| at.is_some_and(|at| at <= now);
        let expires = is_past(self.known.expiry);
        // A clock that is set back brings back what has not expired yet.
        let is_due = expires || is_past(self.known.again) || now < self.known.read_at;
        // Files are copied one by one: a set is read once two looks have seen it alike.
        let is_settled = std::mem::replace(&mut self.seen, seen) == seen;
        let differs = seen != self.known.fingerprint;
        if !(asked || is_due || differs && is_settled) {
            return;
        }
        self.known.read_at = now;
        self.known.again = None;
        let dir = self.dir.clone();
        let read = spawn_blocking(move || whole(seen, &dir, now)).await;
        if let Ok(Some((read, _))) = &read {
            self.known.fingerprint = *read;
        }
        match read.map(|read| read.map(|(_, loaded)| loaded)) {
            // Half of one set and half of the next is none.
            Ok(None) => {
                tracing::info!("the rules change while they are read; they are read again soon");
                self.known.again = Some(now);
            }
            // A directory that is emptied, or filled again file by file, is no decision.
            Ok(Some(Ok(loaded)))
                if loaded.ruleset.is_empty() && !self.rules.load().ruleset.is_empty() =>
            {
                let dir = self.dir.display();
                self.refuse(format!("there are no rules (*.yml) left in {dir}"), asked).await;
            }
            Ok(Some(Ok(loaded))) => match settings::check_formats(&self.named, &loaded.formats) {
                Ok(()) => {
                    self.refused.store(None);
                    return self.take(loaded).await;
                }
                Err(why) => self.refuse(why, asked).await,
            },
            Ok(Some(Err(problems))) => self.refuse(problems.brief(), asked).await,
            Err(why) => self.refuse(format!("their check ended: {why}"), asked).await,
        }
        if expires {
            match self.known.kept.again(now) {
                Some(loaded) => self.take(loaded).await,
                None => tracing::error!("entries of lists have expired and stay in force"),
            }
        }
    }

    async fn take(&mut self, loaded: Loaded) {
        settings::tell(&loaded.warnings);
        let before = self.known.set.hash.clone();
        let Known { fingerprint, read_at, again, .. } = self.known;
        let (in_force, known) = in_force(loaded, fingerprint, read_at);
        self.known = Known { again, ..known };
        if self.known.set.hash == before {
            tracing::info!("the rules were read again, and say what they said");
            return;
        }
        // First in force, then on the record: protection does not wait for a disk.
        self.rules.store(Arc::new(in_force));
        self.record().await;
    }

    /// Puts on the record what is in force by now; where that fails, at the next look.
    async fn record(&mut self) {
        let set = self.known.set.clone();
        if set.hash == self.recorded.hash {
            return;
        }
        let what = set.loaded(&self.recorded.contents);
        if let What::RulesLoaded { hash, rules: count, added, changed, removed } = &what {
            tracing::info!(hash, count, ?added, ?changed, ?removed, "other rules are in force");
        }
        let changes = vec![start::note(&self.clock, what)];
        match self.store.rules_in_force(set.contents.0.clone(), changes).await {
            Ok(()) => self.recorded = set,
            Err(why) => tracing::error!(%why, "that could not be put on the record yet"),
        }
    }

    /// Says the same mistake only once, unless someone asked.
    async fn refuse(&mut self, why: String, asked: bool) {
        self.known.again = Some(self.clock.now().wall + RULES_AGAIN);
        let is_new = self.refused.load().as_deref() != Some(&why);
        if is_new || asked {
            let check = format!("lazaret rules check {}", self.dir.display());
            tracing::error!(
                why,
                check,
                "the rules on disk are refused; the set before stays in force"
            );
        }
        if !is_new {
            return;
        }
        self.refused.store(Some(Arc::new(why.clone())));
        let dir = self.dir.display().to_string();
        self.note(why, What::RulesRefused { dir }).await;
    }

    async fn note(&self, reason: String, what: What) {
        let change = Change { reason, ..start::note(&self.clock, what) };
        if let Err(why) = self.store.apply(None, vec![change]).await {
            tracing::error!(%why, "that the rules were refused could not be put on the record");
        }
    }
}

/// What a directory holds that looked the same before and after it was read, and how it looked.
/// `None` where it keeps changing. Blocks.
fn whole(seen: u64, dir: &Path, now: Wall) -> Option<(u64, Result<Loaded, Problems>)> {
    let mut before = seen;
    failpoint!("rules.reload", None);
    for _ in 0..RULES_READ_TRIES {
        let loaded = rules::load(dir, now);
        let after = rules::fingerprint(dir);
        if after == before {
            return Some((after, loaded));
        }
        before = after;
    }
    None
}

#[cfg(test)]
mod tests;
