//! Places at which a test makes the running service fail: each has a name, and what it does where
//! it strikes is told by the environment.
//!
//! ```text
//! LAZARET_FAILPOINTS=store.commit=error@3,defender.timeout=2000ms
//! ```
//!
//! The third time that `store.commit` is passed, it strikes: `error` returns what stands at the
//! place as its error, `panic` panics, `delay` holds the thread for [`DELAY`]. Each strikes once in
//! the life of a process. A span of time that has a name is set the same way, by [`span`].
//!
//! Only builds with debug assertions have them. In a release build nothing of them is left, and
//! the environment is not asked.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long `delay` holds a thread: longer than a call may wait to be sent (`limits::SEND_BY`).
const DELAY: Duration = Duration::from_millis(2_200);

/// A place of this name, and what it returns where an error strikes, if anything. One line, so that
/// it stands in nobody's way.
macro_rules! failpoint {
    ($name:literal $(, $error:expr)?) => {
        if cfg!(debug_assertions) && $crate::failpoint::strikes($name) {
            return $($error)?;
        }
    };
}

/// Passes the place of this name. `true`: the error strikes.
///
/// # Panics
///
/// Where a panic strikes, and where the environment can't be read.
pub(crate) fn strikes(name: &str) -> bool {
    let Some(armed) = ARMED.iter().find(|armed| armed.name == name) else { return false };
    let Effect::Strikes { how, pass } = armed.effect else { return false };
    if armed.passed.fetch_add(1, Ordering::Relaxed) + 1 != pass {
        return false;
    }
    tracing::warn!(failpoint = name, ?how, "a failpoint strikes");
    match how {
        How::Error => true,
        How::Panic => panic!("failpoint {name}"),
        How::Delay => {
            std::thread::sleep(DELAY);
            false
        }
    }
}

/// A span that tests shorten; `real` in every release build.
pub(crate) fn span(name: &str, real: Duration) -> Duration {
    if !cfg!(debug_assertions) {
        return real;
    }
    let armed = ARMED.iter().find(|armed| armed.name == name);
    match armed.map(|armed| armed.effect) {
        Some(Effect::Lasts(span)) => span,
        _ => real,
    }
}

struct Armed {
    name: String,
    effect: Effect,
    passed: AtomicU64,
}

#[derive(Clone, Copy)]
enum Effect {
    Strikes { how: How, pass: u64 },
    Lasts(Duration),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Error,
    Panic,
    Delay,
}

static ARMED: LazyLock<Vec<Armed>> = LazyLock::new(|| {
    let set = std::env::var("LAZARET_FAILPOINTS").unwrap_or_default();
    let read = |one: &str| read(one).unwrap_or_else(|| panic!("LAZARET_FAILPOINTS: {one:?}"));
    set.split(',').filter(|one| !one.is_empty()).map(read).collect()
});

fn read(one: &str) -> Option<Armed> {
    let (name, effect) = one.split_once('=')?;
    let effect = match (effect.strip_suffix("ms"), effect.split_once('@')) {
        (Some(millis), _) => Effect::Lasts(Duration::from_millis(millis.parse().ok()?)),
        (None, Some((how, pass))) => {
            let how = match how {
                "error" => How::Error,
                "panic" => How::Panic,
                "delay" => How::Delay,
                _ => return None,
            };
            Effect::Strikes { how, pass: pass.parse().ok()? }
        }
        (None, None) => return None,
    };
    Some(Armed { name: name.to_owned(), effect, passed: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_reads_and_nothing_else_does() {
        assert!(matches!(
            read("store.commit=panic@3").unwrap().effect,
            Effect::Strikes { how: How::Panic, pass: 3 }
        ));
        let span = read("defender.timeout=2000ms").unwrap().effect;
        assert!(matches!(span, Effect::Lasts(span) if span == Duration::from_secs(2)));
        for wrong in ["store.commit", "store.commit=panic", "store.commit=burn@3", "a=panic@x"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn where_nothing_is_set_nothing_strikes() {
        assert!(!strikes("store.commit"));
        assert_eq!(span("defender.timeout", Duration::from_secs(30)), Duration::from_secs(30));
    }
}
