//! What people do to stop Lazaret and to let it go on, as plain data.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActionFilter, Clock, Store, StoreError};
use crate::domain::guard::Guard;
use crate::domain::ids::{ActionId, EffectKey};
use crate::domain::scope::Scope;
use crate::domain::time::{Clocks, Wall};
use crate::domain::vote::{Say, Voted, Voter};
use crate::limits;

/// In the data directory: while it is there, nothing is sent.
pub const STOP_FILE: &str = "STOP";

/// How what [`stop_file`] says begins.
pub const BY_FILE: &str = "nothing is quarantined while the file";

/// Whether a file stands there, or a link to anything or nothing. Where nobody can tell, it does.
pub fn stands(file: &std::path::Path) -> bool {
    !file.symlink_metadata().is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound)
}

/// What to say where the stop file is there.
pub fn stop_file(file: &std::path::Path) -> Option<String> {
    stands(file).then(|| {
        let file = file.display();
        format!("{BY_FILE} {file} is there; to go on: rm {file}")
    })
}

/// Who pauses, where it is the service and no person. No token may have this name.
pub const ITSELF: &str = "lazaret";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub scope: Scope,
    pub by: String,
    pub reason: String,
    pub at: Wall,
}

/// Ends a pause, or lets the scope of a breaker go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    pub scope: Scope,
    pub by: Voter,
    pub reason: String,
    pub at: Wall,
}

/// What a resume found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// The pause of this scope that was there, and is gone.
    pub paused: Option<Pause>,
    /// How many breakers were set back.
    pub tripped: usize,
    /// What became of the actions that they held. Of one transaction, at most
    /// [`limits::RELEASE_PIECE`].
    pub released: Vec<VoteLine>,
    /// What they held beyond that, as rows of the store: for [`Store::release`].
    #[serde(skip)]
    pub rest: Vec<i64>,
}

/// One person's word on some actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    pub which: Which,
    pub say: Say,
    pub by: Voter,
    pub reason: String,
    pub at: Wall,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Ids, or unambiguous starts of them.
    Ids(Vec<String>),
    /// All that fit, or the `first` of them, oldest first. More than `at_most` are refused as a
    /// whole: whoever asked has not seen them.
    All { filter: ActionFilter, at_most: usize, first: Option<usize> },
}

/// What became of one action that somebody voted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteLine {
    pub id: ActionId,
    #[serde(flatten)]
    pub key: EffectKey,
    #[serde(flatten)]
    pub voted: Voted,
    /// Deny rules, by id, that did not know enough to cover it, and that a yes has passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
}

/// How many actions of a scope stand in each open state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub held: u64,
    pub queued: u64,
    pub in_flight: u64,
    pub in_doubt: u64,
    /// Accepted by Defender, and not ended on the machine.
    pub accepted: u64,
}

/// What a pause or a resume leads to, true when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Braked {
    pub scope: Scope,
    /// Of the scope.
    pub standing: Standing,
    /// What is still paused, this scope among it after a pause.
    pub pauses: Vec<Pause>,
    /// After a resume.
    pub resumption: Option<Resumption>,
}

/// What stands there after a pause or a resume of this scope.
pub async fn braked(
    store: &dyn Store,
    scope: Scope,
    resumption: Option<Resumption>,
) -> Result<Braked, StoreError> {
    let standing = store.standing(scope.clone()).await?;
    let pauses = store.pauses().await?;
    Ok(Braked { scope, standing, pauses, resumption })
}

impl Resumption {
    /// What to say where there was no pause of the scope, and no breaker that held anything.
    pub fn found_nothing(&self, scope: &Scope) -> Option<String> {
        let nothing = self.paused.is_none() && self.tripped == 0 && self.released.is_empty();
        nothing
            .then(|| format!("{scope} is neither paused nor held by a breaker: nothing to resume"))
    }
}

/// Resumes, piece by piece where breakers held much: each shares the writer with everything else.
/// Only what was held at the first piece is released, and whoever pauses or trips meanwhile stands.
pub async fn resume_whole(
    store: &dyn Store,
    guard: Arc<dyn Guard>,
    resume: Resume,
) -> Result<Resumption, StoreError> {
    let mut whole = store.unpause(resume.clone(), guard.clone()).await?;
    for piece in mem::take(&mut whole.rest).chunks(limits::RELEASE_PIECE) {
        let released = store.release(resume.clone(), piece.to_vec(), guard.clone()).await?;
        whole.released.extend(released);
    }
    Ok(whole)
}

/// Pauses, then waits until every attempt written before is answered or past its `send by`: from
/// when this returns, nothing more goes on the wire. At most some seconds.
pub async fn pause_and_wait(
    store: &dyn Store,
    clock: &dyn Clock,
    pause: Pause,
) -> Result<(), StoreError> {
    let scope = pause.scope.clone();
    store.pause(pause).await?;
    until_all_have_left(store, clock, scope).await
}

/// Waits until every attempt of a scope that was written before is answered or past its `send by`.
pub async fn until_all_have_left(
    store: &dyn Store,
    clock: &dyn Clock,
    scope: Scope,
) -> Result<(), StoreError> {
    // The attempts it waits for were written in this boot or are long past their time.
    let clocks = Clocks { boot_id: clock.boot_id(), wall_trusted: true };
    while store.unsent(scope.clone(), clocks, clock.now()).await? > 0 {
        tokio::time::sleep(PAUSE_POLL).await;
    }
    Ok(())
}

/// How often a pause looks whether the last attempts have left.
const PAUSE_POLL: Duration = Duration::from_millis(20);
