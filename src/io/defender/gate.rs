//! The last moment before the wire. A call passes its gate once, in time, or never.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use futures_util::stream;

use crate::domain::time::Boot;
use crate::io::Clock;

const WAITING: u8 = 0;
const PASSED: u8 = 1;
const SHUT: u8 = 2;

/// Guards one request body.
///
/// Connecting happens inside the HTTP client's `send`, so a check before it would be too early.
/// The client writes head and body together, after it has asked for the body's first bytes: that
/// question is the last thing before the socket write, and here it is answered, or refused when
/// it comes after `send_by`. A test with a raw listener holds this against the client's next
/// version.
#[derive(Clone)]
pub struct Gate(Arc<AtomicU8>);

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU8::new(WAITING)))
    }

    /// The body that passes through this gate.
    pub fn body(&self, bytes: Bytes, clock: Arc<dyn Clock>, send_by: Boot) -> reqwest::Body {
        let gate = self.clone();
        reqwest::Body::wrap_stream(stream::once(async move {
            if clock.now().boot <= send_by && gate.moves_to(PASSED) {
                failpoint!("defender.write", Err(io::Error::other("a failpoint struck")));
                Ok(bytes)
            } else {
                Err(io::Error::other("past the time by which it had to be sent"))
            }
        }))
    }

    /// Shuts the gate, unless the call has passed. After `true` nothing of it will ever reach the
    /// socket, whatever the client still does in the background.
    pub fn shut(&self) -> bool {
        self.moves_to(SHUT)
    }

    fn moves_to(&self, state: u8) -> bool {
        self.0.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
