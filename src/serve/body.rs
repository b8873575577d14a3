//! Reading a request's body: so many bytes, in so much time, out of so much memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// What one body may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    pub bytes_max: usize,
    /// See [`crate::limits::BODY_WITHIN`].
    pub within: Duration,
}

/// A body, with the part of the memory budget that it takes until this is dropped.
#[derive(Debug)]
pub struct Held {
    pub bytes: Bytes,
    pub permit: OwnedSemaphorePermit,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Declared or sent longer than `bytes_max`.
    TooLarge,
    TooSlow,
    /// It ended before its declared length, or its framing is wrong.
    BrokenOff,
    /// All bodies together would take more than the budget.
    NoMemory,
}

/// Reads a body whole. `budget` has one permit for each byte that may be held; each piece takes its
/// part when it comes, so that announcing a body takes nothing.
pub async fn read(
    body: Body,
    limits: BodyLimits,
    budget: &Arc<Semaphore>,
) -> Result<Held, BodyError> {
    let bytes_max = limits.bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    timeout(limits.within, collect(body, bytes_max, budget))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(
    mut body: Body,
    bytes_max: usize,
    budget: &Arc<Semaphore>,
) -> Result<Held, BodyError> {
    let take = |length: usize| {
        let length = u32::try_from(length).map_err(|_| BodyError::TooLarge)?;
        Arc::clone(budget).try_acquire_many_owned(length).map_err(|_| BodyError::NoMemory)
    };
    let mut permit = take(0)?;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::BrokenOff)?;
        // Anything else is trailers, which say nothing to us.
        let Some(piece) = frame.data_ref() else { continue };
        if bytes.len() + piece.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        permit.merge(take(piece.len())?);
        bytes.extend_from_slice(piece);
    }
    Ok(Held { bytes: bytes.freeze(), permit })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BodyLimits = BodyLimits { bytes_max: 8, within: Duration::from_secs(60) };

    fn pieces(pieces: &[&'static str]) -> Body {
        let pieces: Vec<Result<_, std::io::Error>> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        Body::from_stream(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_holds_its_part_of_the_budget_until_it_is_dropped() {
        let budget = Arc::new(Semaphore::new(10));
        let held = read(pieces(&["12345", "678"]), LIMITS, &budget).await.unwrap();
        assert_eq!(held.bytes, "12345678");
        assert_eq!(budget.available_permits(), 2);
        let refused = read(pieces(&["1", "2", "3"]), LIMITS, &budget).await.unwrap_err();
        assert_eq!(refused, BodyError::NoMemory);
        drop(held);
        assert_eq!(budget.available_permits(), 10);
    }

    #[tokio::test]
    async fn too_long_is_too_large_declared_or_not() {
        let budget = Arc::new(Semaphore::new(100));
        for body in [Body::from("123456789"), pieces(&["12345", "6789"])] {
            assert_eq!(read(body, LIMITS, &budget).await.unwrap_err(), BodyError::TooLarge);
        }
        assert_eq!(budget.available_permits(), 100);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_too_slow() {
        let budget = Arc::new(Semaphore::new(100));
        let never =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let limits = BodyLimits { within: Duration::ZERO, ..LIMITS };
        assert_eq!(read(never, limits, &budget).await.unwrap_err(), BodyError::TooSlow);
    }
}
