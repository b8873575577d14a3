//! One reader of the record that groups what it finds and tells it, batch after batch.
//!
//! A batch is cut before its first message goes out, and the cut is kept: after a restart the same
//! messages, with the same ids, are made of the same changes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pace::Pace;
use super::status::ChannelStatus;
use super::webhook::{Sent, Webhook};
use super::{longer, rest, store_failed};
use crate::domain::notice::{Batch, Kind, Message, Notice};
use crate::domain::time::Boot;
use crate::io::{Clock, Cursor, Record, StoreError};
use crate::limits;

pub(super) struct Lane<'a> {
    /// The name of its channel, for people.
    pub(super) channel: &'a str,
    /// The name of its cursor.
    pub(super) cursor: String,
    pub(super) kinds: BTreeSet<Kind>,
    /// Tells the first at once, and then no more often than once in `group`.
    pub(super) at_once: bool,
    pub(super) group: Duration,
    pub(super) pace: &'a Pace,
    pub(super) webhook: &'a Webhook,
    pub(super) status: &'a ChannelStatus,
    pub(super) record: &'a dyn Record,
    pub(super) clock: &'a dyn Clock,
    pub(super) stop: &'a CancellationToken,
}

impl Lane<'_> {
    /// Until the service stops and everything is told, or the store is closed.
    pub(super) async fn run(self) {
        if self.kinds.is_empty() {
            return;
        }
        while let Err(why) = self.batches().await {
            if !store_failed(self.channel, &why, self.stop).await {
                return;
            }
        }
    }

    async fn batches(&self) -> Result<(), StoreError> {
        let mut cursor = self.record.cursor(&self.cursor).await?;
        let (mut kept, mut cut) = (cursor.next, None);
        loop {
            if cursor.is_telling() {
                if !self.tell(&mut cursor).await? {
                    return Ok(());
                }
                kept = cursor.next;
            }
            // Asked before the look, so that what stood there at the stop is still told.
            let stopping = self.stop.is_cancelled();
            let found = self.look(&mut cursor).await?;
            if !found && (stopping || cursor.next - kept >= limits::NOTIFY_PASSED) {
                self.record.advance(&self.cursor, cursor).await?;
                kept = cursor.next;
            }
            if !found && stopping {
                return Ok(());
            }
            if !found {
                rest(self.stop, limits::NOTIFY_LOOK_EVERY).await;
                continue;
            }
            self.gather(cut).await;
            if !self.pace.room(self.stop).await {
                return Ok(());
            }
            cut = Some(self.clock.now().boot);
            cursor.until = self.record.end().await?;
            self.record.advance(&self.cursor, cursor).await?;
        }
    }

    /// Passes over what is not for this lane; `true` where something is.
    async fn look(&self, cursor: &mut Cursor) -> Result<bool, StoreError> {
        loop {
            let feed = self.record.changes(cursor.next, limits::NOTIFY_PAGE).await?;
            let first = feed.changes.iter().find(|fed| {
                let notice = Notice::of(&fed.change, fed.key.as_ref());
                notice.is_some_and(|notice| self.kinds.contains(&notice.kind))
            });
            if let Some(first) = first {
                *cursor = Cursor::at(first.position);
                self.status.lags(&self.cursor, feed.next - first.position);
                return Ok(true);
            }
            if feed.next == cursor.next {
                self.status.lags(&self.cursor, 0);
                return Ok(false);
            }
            *cursor = Cursor::at(feed.next);
        }
    }

    /// Waits for more of the same.
    async fn gather(&self, cut: Option<Boot>) {
        let wait = match (self.at_once, cut) {
            (true, None) => return,
            (true, Some(cut)) => (cut + self.group).since(self.clock.now().boot),
            (false, _) => self.group,
        };
        rest(self.stop, wait).await;
    }

    /// Tells the batch that was cut; `false` where the service stopped before its end.
    async fn tell(&self, cursor: &mut Cursor) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let mut from = cursor.next;
        while from < cursor.until {
            let feed = self.record.changes(from, limits::NOTIFY_PAGE).await?;
            for fed in feed.changes.iter().filter(|fed| fed.position < cursor.until) {
                let notice = Notice::of(&fed.change, fed.key.as_ref());
                if let Some(notice) = notice.filter(|notice| self.kinds.contains(&notice.kind)) {
                    batch.add(fed.position, notice);
                }
            }
            if feed.next == from {
                break;
            }
            from = feed.next;
        }
        for message in batch.messages() {
            if message.position <= cursor.told {
                continue;
            }
            if !self.deliver(&message, cursor.next).await? {
                return Ok(false);
            }
            cursor.told = message.position;
            self.record.advance(&self.cursor, *cursor).await?;
        }
        *cursor = Cursor::at(cursor.until);
        self.record.advance(&self.cursor, *cursor).await?;
        Ok(true)
    }

    /// Tries until it is delivered or refused for good; `false` where the service stops before.
    async fn deliver(&self, message: &Message, next: i64) -> Result<bool, StoreError> {
        if !self.pace.room(self.stop).await {
            return Ok(false);
        }
        self.pace.spend();
        let mut wait = Duration::ZERO;
        loop {
            let posted = self.webhook.post(message).await;
            let said = &posted.said;
            let (now, channel, kind) = (self.clock.now(), self.channel, message.kind);
            match posted.sent {
                Sent::Delivered => {
                    self.status.delivered(1, now.wall);
                    return Ok(true);
                }
                Sent::Refused => {
                    self.status.gave_up(said, now.wall);
                    tracing::error!(channel, %kind, why = said, "a message was given up");
                    return Ok(true);
                }
                Sent::Failed { after } => {
                    if self.status.failing(said, now.wall) {
                        tracing::warn!(channel, why = said, "messages are not delivered");
                    }
                    self.status.lags(&self.cursor, self.record.end().await? - next);
                    wait = longer(wait);
                    if self.stop.is_cancelled() {
                        return Ok(false);
                    }
                    rest(self.stop, after.unwrap_or(wait)).await;
                }
            }
        }
    }
}
