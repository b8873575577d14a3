//! Two clocks, as values. `boot` never jumps and drives windows and timeouts; `wall` is what
//! people and other machines mean by time, and drives ages and expiry.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::planted::{Bug, planted};

/// Microseconds since this machine booted, time asleep included (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Boot(pub i64);

/// Microseconds since the Unix epoch, UTC. Shown as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wall(pub i64);

/// One reading of both clocks. Everything pure that needs the time takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub boot: Boot,
    pub wall: Wall,
}

/// Which boot of which machine a [`Boot`] time belongs to (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

/// A time that is kept on disk and that a window or a timeout rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub boot_id: BootId,
    pub boot: Boot,
    pub wall: Wall,
}

/// What is known about the clocks of this run when it reads times written by an earlier one.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub boot_id: BootId,
    /// The wall clock is synchronised, and not behind the newest time on disk.
    pub wall_trusted: bool,
}

impl Stamp {
    pub fn new(boot_id: BootId, now: Now) -> Self {
        Self { boot_id, boot: now.boot, wall: now.wall }
    }

    /// This time on the boot clock of the present run. In the same boot it is exact, whatever the
    /// wall clock did since; in another it is placed by its wall age, or at `now` where the wall
    /// clock can't be trusted, which makes every window wait longer and never shorter.
    pub fn on_boot_clock(&self, now: Now, clocks: Clocks) -> Boot {
        if planted(Bug::WallForWindows) {
            return now.boot - now.wall.since(self.wall);
        }
        if self.boot_id == clocks.boot_id {
            return self.boot;
        }
        if !clocks.wall_trusted {
            return now.boot;
        }
        Boot(now.boot.0.saturating_sub((now.wall.0 - self.wall.0).max(0)))
    }
}

impl Wall {
    /// Reads RFC 3339, with up to nine digits of fraction; a time without a zone is UTC, as in the
    /// Defender APIs. Anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Some(Self(at.as_microsecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        let at = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
        Some(Self(at.as_microsecond()))
    }
}

impl Wall {
    /// As [`Wall::parse`]; a date alone is the last moment of that day, in UTC.
    pub fn parse_last(text: &str) -> Option<Self> {
        const DATE: usize = "2027-01-31".len();
        let Self(begins) = Self::parse(text)?;
        let day = Duration::from_secs(86_400).as_micros() as i64;
        Some(Self(if text.len() == DATE { begins.saturating_add(day - 1) } else { begins }))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// Reads a length of time as people write it: a whole number and its unit, `500ms`, `60s`, `30m`,
/// `24h`, `7d`. Zero is no span, and neither is more than a century, so that adding it to a time
/// never overflows.
pub fn parse_span(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    let span = match &text[digits..] {
        "ms" => Duration::from_millis(number),
        "s" => seconds(1)?,
        "m" => seconds(60)?,
        "h" => seconds(3600)?,
        "d" => seconds(86_400)?,
        _ => return None,
    };
    let fits = !span.is_zero() && span <= Duration::from_secs(100 * 365 * 86_400);
    fits.then_some(span)
}

/// A span as [`parse_span`] reads it, exactly, in the largest unit that does: `24h`, `7d`, `90s`.
pub fn written_span(span: Duration) -> String {
    let seconds = span.as_secs();
    if span.subsec_millis() > 0 {
        return format!("{}ms", span.as_millis());
    }
    for (unit, length) in [('d', 86_400), ('h', 3600), ('m', 60)] {
        if seconds.is_multiple_of(length) && (seconds > length || unit != 'd') && seconds > 0 {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// About how long, rounded down to the largest unit of which there are two: `45s`, `12m`, `26h`,
/// `3d`.
pub fn rough_span(span: Duration) -> String {
    match span.as_secs() {
        s @ 0..120 => format!("{s}s"),
        s @ 120..7200 => format!("{}m", s / 60),
        s @ 7200..172_800 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

macro_rules! clock_arithmetic {
    ($clock:ident) => {
        impl $clock {
            /// How long after `earlier` this is; zero when it is not after it.
            pub fn since(self, earlier: Self) -> Duration {
                Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
            }
        }

        impl Add<Duration> for $clock {
            type Output = Self;
            fn add(self, span: Duration) -> Self {
                Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
            }
        }

        impl Sub<Duration> for $clock {
            type Output = Self;
            fn sub(self, span: Duration) -> Self {
                Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
            }
        }
    };
}

clock_arithmetic!(Boot);
clock_arithmetic!(Wall);

impl Now {
    /// Both clocks `span` later: for tests and simulations that turn the time by hand.
    #[must_use]
    pub fn later(self, span: Duration) -> Self {
        Self { boot: self.boot + span, wall: self.wall + span }
    }

    /// When the wall clock will read `at`, on the boot clock; now if that is past.
    pub fn boot_at(self, at: Wall) -> Boot {
        self.boot + at.since(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_digit_fractions_and_missing_zones_are_read_as_utc() {
        let at = Wall::parse("2021-01-26T20:33:57.7220239Z").unwrap();
        assert_eq!(at.to_string(), "2021-01-26T20:33:57.722Z");
        assert_eq!(Wall::parse("2021-01-26T20:33:57.7220239"), Some(at));
        assert_eq!(Wall::parse("yesterday"), None);
    }

    #[test]
    fn a_span_is_written_as_it_is_read_or_about() {
        for (seconds, written, rough) in [
            (86_400, "24h", "24h"),
            (604_800, "7d", "7d"),
            (1800, "30m", "30m"),
            (90, "90s", "90s"),
            (93_784, "93784s", "26h"),
            (176_400, "49h", "2d"),
            (60, "1m", "60s"),
        ] {
            let span = Duration::from_secs(seconds);
            assert_eq!((written_span(span), rough_span(span)), (written.into(), rough.into()));
            assert_eq!(parse_span(written), Some(span));
        }
        assert_eq!(written_span(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn a_date_is_the_first_moment_of_its_day_or_the_last() {
        let shown = |at: Option<Wall>| at.unwrap().to_string();
        assert_eq!(shown(Wall::parse("2027-01-31")), "2027-01-31T00:00:00.000Z");
        assert_eq!(shown(Wall::parse_last("2027-01-31")), "2027-01-31T23:59:59.999Z");
        assert_eq!(Wall::parse_last("2027-01-31T10:00:00Z"), Wall::parse("2027-01-31T10:00:00Z"));
        for wrong in ["2027-02-30", "27-01-31", "2027-1-31", ""] {
            assert_eq!(Wall::parse_last(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stamp_of_another_boot_counts_its_wall_age_or_nothing() {
        let written = Now { boot: Boot(9_000_000), wall: Wall(1_000_000_000) };
        let stamp = Stamp::new(BootId([1; 16]), written);
        let now = Now { boot: Boot(50_000_000), wall: Wall(1_010_000_000) };
        let same = Clocks { boot_id: BootId([1; 16]), wall_trusted: false };
        let other = Clocks { boot_id: BootId([2; 16]), wall_trusted: true };
        let doubtful = Clocks { boot_id: BootId([2; 16]), wall_trusted: false };
        assert_eq!(stamp.on_boot_clock(now, same), Boot(9_000_000));
        assert_eq!(stamp.on_boot_clock(now, other), Boot(40_000_000));
        assert_eq!(stamp.on_boot_clock(now, doubtful), now.boot);
    }
}
