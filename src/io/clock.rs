//! The only place that asks what time it is, and the only one that rolls dice.

#![allow(clippy::disallowed_methods, reason = "this is the place")]

use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

use super::Clock;
use crate::domain::time::{Boot, BootId, Now, Wall};

/// The clocks of this machine. On Linux `boot` counts sleep too, so that an hour is an hour.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    boot_id: BootId,
}

impl SystemClock {
    /// Reads which boot this is. Where the system does not say, every start counts as a boot of
    /// its own: windows are then reckoned by the wall clock.
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| Uuid::try_parse(text.trim()).ok())
            .unwrap_or_else(Uuid::now_v7);
        Self { boot_id: BootId(boot_id.into_bytes()) }
    }

    /// 244 random bits as text, for a token.
    pub fn new_secret(&self) -> secrecy::SecretString {
        format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()).into()
    }

    /// A random UUID, for a new rule. Those of [`Clock::new_id`] sort by time.
    pub fn random_id(&self) -> Uuid {
        Uuid::new_v4()
    }

    /// Whether the kernel says that something keeps the wall clock right (`STA_UNSYNC` is clear).
    pub fn wall_is_synchronised(&self) -> bool {
        // SAFETY: `timex` is plain data; with `modes` 0 the call only reads into it.
        let state = unsafe {
            let mut timex: libc::timex = std::mem::zeroed();
            libc::adjtimex(&raw mut timex)
        };
        state != libc::TIME_ERROR && state != -1
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let micros = |id| {
            let at = clock_gettime(id);
            at.tv_sec * 1_000_000 + at.tv_nsec / 1_000
        };
        Now { boot: Boot(micros(ClockId::Boottime)), wall: Wall(micros(ClockId::Realtime)) }
    }

    fn boot_id(&self) -> BootId {
        self.boot_id
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
