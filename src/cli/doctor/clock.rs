//! The clock of this machine, by the kernel and by the hosts that Lazaret calls.

use super::hosts::Offset;
use super::{Finding, Health};
use crate::io::clock::SystemClock;
use crate::limits::DOCTOR_CLOCK;

pub(super) fn clock(offsets: Vec<Offset>) -> Finding {
    judged(SystemClock::new().wall_is_synchronised(), offsets)
}

/// The host that agrees best decides: of two that differ, at least one has a wrong clock itself.
fn judged(synchronised: bool, offsets: Vec<Offset>) -> Finding {
    let finding = |health, text: String| Finding::new("clock", health, text);
    let nearest = offsets.into_iter().min_by_key(|offset| offset.seconds.unsigned_abs());
    let (warn, fail) = (DOCTOR_CLOCK.0.as_secs(), DOCTOR_CLOCK.1.as_secs());
    let beside = match &nearest {
        Some(Offset { host, seconds }) if seconds.unsigned_abs() > warn => {
            let (off, way) =
                (seconds.unsigned_abs(), if *seconds > 0 { "ahead of" } else { "behind" });
            let text = format!(
                "it is {off} s {way} {host}: set it, and run an NTP client; beyond 5 min \
                 signatures are refused, and calls without an answer are not found at Defender"
            );
            return finding(if off > fail { Health::Fail } else { Health::Warn }, text);
        }
        Some(Offset { host, .. }) => format!("within {warn} s of {host}"),
        None => "no host could be asked for the time".to_owned(),
    };
    if synchronised {
        return finding(Health::Ok, format!("synchronised, {beside}"));
    }
    let text = format!(
        "the kernel says the clock is not synchronised: run an NTP client, else signatures are \
         refused and windows wait longer after a reboot; now {beside}"
    );
    finding(Health::Warn, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_says_by_how_much_and_from_whom() {
        let of = |synchronised, seconds: &[i64]| {
            let offset = |seconds: &i64| Offset { host: "login".to_owned(), seconds: *seconds };
            let found = judged(synchronised, seconds.iter().map(offset).collect());
            (found.health, found.text)
        };
        assert_eq!(of(true, &[-30]).0, Health::Ok);
        let (health, text) = of(true, &[31]);
        assert!(health == Health::Warn && text.starts_with("it is 31 s ahead of login"), "{text}");
        let (health, text) = of(true, &[-301]);
        assert!(health == Health::Fail && text.contains("301 s behind login"), "{text}");
        assert_eq!(of(true, &[-301, 2]).0, Health::Ok, "one of them has a wrong clock itself");
        let (health, text) = of(false, &[0]);
        assert!(health == Health::Warn && text.contains("the kernel says"), "{text}");
        assert!(of(true, &[]).1.contains("no host could be asked"));
    }
}
