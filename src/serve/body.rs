//! Reading a request's body: so many bytes, in so much time, out of so much memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::host;

/// What one body may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    pub bytes_max: usize,
    /// See [`crate::limits::BODY_WITHIN`].
    pub within: Duration,
}

/// A body, with the part of both memory budgets that it takes until this is dropped.
#[derive(Debug)]
pub struct Held {
    pub bytes: Bytes,
    pub permits: [OwnedSemaphorePermit; 2],
}

/// What the bodies of one host may take of the memory for all, so that one that nobody knows yet
/// turns no other away.
#[derive(Debug)]
pub struct Shares {
    each: usize,
    hosts: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Shares {
    /// `each` in bytes.
    pub fn new(each: usize) -> Self {
        Self { each, hosts: Mutex::default() }
    }

    /// One permit for each byte that bodies from there may hold.
    pub fn of(&self, address: IpAddr) -> Arc<Semaphore> {
        let address = host(address);
        // Whole between any two statements that could panic.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = hosts.get(&address).and_then(Weak::upgrade) {
            return share;
        }
        hosts.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.each));
        hosts.insert(address, Arc::downgrade(&share));
        share
    }
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Declared or sent longer than `bytes_max`.
    TooLarge,
    TooSlow,
    /// It ended before its declared length, or its framing is wrong.
    BrokenOff,
    /// All bodies together, or those of its host, would take more than their budget.
    NoMemory,
}

/// Reads a body whole. Both budgets have one permit for each byte that may be held; each piece
/// takes its part when it comes, so that announcing a body takes nothing.
pub async fn read(
    body: Body,
    limits: BodyLimits,
    budgets: [&Arc<Semaphore>; 2],
) -> Result<Held, BodyError> {
    let bytes_max = limits.bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    timeout(limits.within, collect(body, bytes_max, budgets))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(
    mut body: Body,
    bytes_max: usize,
    budgets: [&Arc<Semaphore>; 2],
) -> Result<Held, BodyError> {
    let take = |budget: &Arc<Semaphore>, length: usize| {
        let length = u32::try_from(length).map_err(|_| BodyError::TooLarge)?;
        Arc::clone(budget).try_acquire_many_owned(length).map_err(|_| BodyError::NoMemory)
    };
    let mut permits = [take(budgets[0], 0)?, take(budgets[1], 0)?];
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::BrokenOff)?;
        // Anything else is trailers, which say nothing to us.
        let Some(piece) = frame.data_ref() else { continue };
        if bytes.len() + piece.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        for (permit, budget) in permits.iter_mut().zip(budgets) {
            permit.merge(take(budget, piece.len())?);
        }
        bytes.extend_from_slice(piece);
    }
    Ok(Held { bytes: bytes.freeze(), permits })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BodyLimits = BodyLimits { bytes_max: 8, within: Duration::from_secs(60) };

    fn plenty() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1000))
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<_, std::io::Error>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_holds_its_part_of_the_budget_until_it_is_dropped() {
        let budget = Arc::new(Semaphore::new(10));
        let held = read(pieces(&["12345", "678"]), LIMITS, [&budget, &plenty()]).await.unwrap();
        assert_eq!(held.bytes, "12345678");
        assert_eq!(budget.available_permits(), 2);
        let refused =
            read(pieces(&["1", "2", "3"]), LIMITS, [&budget, &plenty()]).await.unwrap_err();
        assert_eq!(refused, BodyError::NoMemory);
        drop(held);
        assert_eq!(budget.available_permits(), 10);
    }

    #[tokio::test]
    async fn one_host_takes_no_more_than_its_share() {
        let (budget, shares) = (Arc::new(Semaphore::new(100)), Shares::new(10));
        let of = |text: &str| shares.of(text.parse().unwrap());
        let (one, other) = (of("192.0.2.1"), of("192.0.2.2"));
        let held = read(pieces(&["12345678"]), LIMITS, [&budget, &one]).await.unwrap();
        for (share, fits) in [(of("::ffff:192.0.2.1"), false), (other, true)] {
            let read = read(pieces(&["123"]), LIMITS, [&budget, &share]).await;
            assert_eq!(read.is_ok(), fits);
        }
        drop(held);
        assert!(read(pieces(&["123"]), LIMITS, [&budget, &one]).await.is_ok());
    }

    #[tokio::test]
    async fn too_long_is_too_large_declared_or_not() {
        let budget = Arc::new(Semaphore::new(100));
        for body in [Body::from("123456789"), pieces(&["12345", "6789"])] {
            assert_eq!(
                read(body, LIMITS, [&budget, &plenty()]).await.unwrap_err(),
                BodyError::TooLarge
            );
        }
        assert_eq!(budget.available_permits(), 100);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_too_slow() {
        let budget = Arc::new(Semaphore::new(100));
        let never =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let limits = BodyLimits { within: Duration::ZERO, ..LIMITS };
        assert_eq!(
            read(never, limits, [&budget, &plenty()]).await.unwrap_err(),
            BodyError::TooSlow
        );
    }
}
