//! A recall: a file turned out to be harmless. Nothing more is sent for it, what waits is
//! rejected, what no machine has begun is cancelled at Defender, and what was done is listed.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{Clock, Pause, Store, StoreError, until_all_have_left};
use crate::domain::action::{State, StateName};
use crate::domain::cancel::{Step, Wanted};
use crate::domain::ids::{ActionId, MachineId, Sha1, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::Wall;
use crate::limits;

/// Who recalls a file, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    pub sha1: Sha1,
    /// As it stands on the record.
    pub by: String,
    pub reason: String,
    pub at: Wall,
}

/// What one recall has just done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Actions that were held or queued.
    pub rejected: u64,
    /// Actions that were sent and had not ended: cancels asked.
    pub asked: u64,
}

/// A recall, and how its file stands after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    #[serde(flatten)]
    pub withdrawn: Withdrawn,
    #[serde(flatten)]
    pub file: FileReport,
}

/// What is known of one file: how many of its actions stand where, and a piece of their list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    pub sha1: Sha1,
    /// Its name, as the newest action has it.
    pub name: Option<String>,
    /// Its own pause, if there is one.
    pub pause: Option<Pause>,
    /// How many actions stand in each state; states of none are left out.
    pub states: Vec<(StateName, u64)>,
    pub cancels: CancelCount,
    /// In order of arrival.
    pub actions: Vec<FileLine>,
    /// Where the next piece begins, if this is not the last.
    pub next: Option<i64>,
}

/// Cancels asked for a file's actions, and how many of them are not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelCount {
    pub asked: u64,
    pub open: u64,
}

/// One action of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileLine {
    pub id: ActionId,
    pub tenant: String,
    pub machine: MachineId,
    /// The machine's name, as its alert had it.
    pub name: Option<String>,
    pub changed: Wall,
    #[serde(flatten)]
    pub state: State,
    /// Where it is to be cancelled.
    pub cancel: Option<CancelLine>,
    /// Where it succeeded: the other files that were quarantined on this machine. Defender's
    /// command that restores this one there restores them too.
    pub others: Vec<OtherFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelLine {
    pub at: Wall,
    /// Why the last try came to nothing, while it is open.
    pub trouble: Option<String>,
    /// How it is over.
    pub answer: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherFile {
    pub sha1: Sha1,
    pub name: Option<String>,
}

impl FileReport {
    /// How many actions stand in any of these states.
    pub fn count(&self, states: &[StateName]) -> u64 {
        self.states.iter().filter(|(state, _)| states.contains(state)).map(|(_, n)| n).sum()
    }
}

/// The part of the store that recalls need. As in [`Store`], what changes something returns after
/// its commit.
pub trait RecallStore: Send + Sync {
    /// Pauses the file and notes the recall, in one transaction.
    fn recall(&self, recall: Recall) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The actions of a file that have not ended.
    fn open_actions(&self, sha1: Sha1) -> BoxFuture<'static, Result<Vec<ActionId>, StoreError>>;

    /// Rejects those of these actions that are held or queued, and asks for the cancel of those
    /// that were sent: also where their call is not answered yet, so that they are cancelled once
    /// Defender has accepted them. No such action is ever sent again. One that is asked for already
    /// is not asked for twice; one whose cancel came to nothing is asked for anew.
    fn withdraw(
        &self,
        recall: Recall,
        actions: Vec<ActionId>,
    ) -> BoxFuture<'static, Result<Withdrawn, StoreError>>;

    /// Open cancels of a tenant, at most `limit`.
    fn cancels(
        &self,
        tenant: &TenantName,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Wanted>, StoreError>>;

    /// Writes what became of cancels. What has moved on meanwhile is left as it is.
    fn settle(&self, steps: Vec<Step>, at: Wall) -> BoxFuture<'static, Result<(), StoreError>>;

    /// What is known of a file: at most `limit` actions after the place `after`, 0 for the start.
    fn file(
        &self,
        sha1: Sha1,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'static, Result<FileReport, StoreError>>;
}

/// Recalls a file. The pause comes first, so that nothing leaves while the rest is done piece by
/// piece; where this is broken off, the same again does what is left. Returns once every attempt
/// written before is answered or past its `send by`.
pub async fn recall_and_wait(
    recalls: &dyn RecallStore,
    store: &dyn Store,
    clock: &dyn Clock,
    recall: Recall,
) -> Result<Recalled, StoreError> {
    let sha1 = recall.sha1;
    recalls.recall(recall.clone()).await?;
    let mut withdrawn = Withdrawn::default();
    let open = recalls.open_actions(sha1).await?;
    for piece in open.chunks(limits::RECALL_PIECE) {
        let Withdrawn { rejected, asked } =
            recalls.withdraw(recall.clone(), piece.to_vec()).await?;
        withdrawn.rejected += rejected;
        withdrawn.asked += asked;
    }
    until_all_have_left(store, clock, Scope::Sha1(sha1)).await?;
    let file = recalls.file(sha1, 0, limits::FILE_PAGE).await?;
    Ok(Recalled { withdrawn, file })
}
