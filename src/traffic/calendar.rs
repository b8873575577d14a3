//! Times as Microsoft writes them.

use std::time::Duration;

/// RFC 3339 in UTC with seven digits of fraction, for a time since the Unix epoch.
pub(super) fn written(at: Duration) -> String {
    let seconds = at.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let fraction = at.subsec_nanos() / 100;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}Z")
}

/// Year, month and day so many days after 1970-01-01 (Hinnant's `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March, in eras of 400 years: then a leap day is the last of its year.
    let since = days + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_around_leap_days_are_written_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.0000000Z"),
            (951_782_399, "2000-02-28T23:59:59.0000000Z"),
            (951_782_400, "2000-02-29T00:00:00.0000000Z"),
            (1_835_395_199, "2028-02-28T23:59:59.0000000Z"),
            (1_835_481_600, "2028-03-01T00:00:00.0000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.0000000Z"),
        ] {
            assert_eq!(written(Duration::from_secs(seconds)), text);
        }
        assert_eq!(written(Duration::from_nanos(1_999_999_999)), "1970-01-01T00:00:01.9999999Z");
    }
}
