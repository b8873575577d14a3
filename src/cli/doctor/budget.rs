//! What is left of each tenant's quarantine budget: as the running service says, else as the
//! attempts in the store do.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Finding, Health};
use crate::app::settings;
use crate::config::{Budget, Budgets, Config};
use crate::domain::ids::TenantName;
use crate::domain::limiter::{Limit, Limiter};
use crate::domain::time::{Clocks, written_span};
use crate::io::clock::SystemClock;
use crate::io::store::Chains;
use crate::io::{Clock as _, RelayLine, Report, StoreError, WindowLine};
use crate::limits::DOCTOR_WITHIN;

/// Nothing where there is no store yet; one that can't be read is told there.
pub(super) async fn all(config: &Arc<Config>, report: Option<&Report>) -> Vec<Finding> {
    if let Some(report) = report {
        return report.relays.iter().map(of_relay).collect();
    }
    let config = config.clone();
    match timeout(DOCTOR_WITHIN, spawn_blocking(move || stored(&config))).await {
        Ok(read) => read.ok().and_then(Result::ok).unwrap_or_default(),
        Err(_) => {
            let text = "too many attempts to reckon it in time: `lazaret status` has it of a \
                        service that runs";
            vec![Finding::new("budget", Health::Warn, text)]
        }
    }
}

fn of_relay(relay: &RelayLine) -> Finding {
    judged(&relay.tenant, &relay.windows, relay.share)
}

/// `share` in percent; 0 where nobody knows.
fn judged(tenant: &str, windows: &[WindowLine], share: f64) -> Finding {
    let window = |of: &WindowLine| {
        let per = Duration::from_secs_f64(of.per_seconds);
        format!("{} of {} calls in {}", of.used, of.calls, written_span(per))
    };
    let used = windows.iter().map(window).collect::<Vec<_>>().join(", ");
    let check = format!("budget {tenant}");
    if (0.1..100.0).contains(&share) {
        let text = format!(
            "{used}; after 429s only {share} % of it is used: another program calls with the same \
             application; give it one of its own, or lower budgets.quarantine"
        );
        return Finding::new(&check, Health::Warn, text);
    }
    if let Some(full) = windows.iter().find(|of| of.used >= of.calls) {
        let text = format!(
            "{used}: what is queued waits for room, at most {}; `lazaret status` says until when",
            written_span(Duration::from_secs_f64(full.per_seconds))
        );
        return Finding::new(&check, Health::Warn, text);
    }
    if let Some((calls, limit)) = exceeded(windows) {
        let text = format!(
            "{used}; that lets {calls} calls out in {} where Defender takes {} of one application: \
             lower budgets.quarantine, unless Microsoft has granted you more",
            written_span(limit.per.0),
            limit.calls
        );
        return Finding::new(&check, Health::Warn, text);
    }
    Finding::new(&check, Health::Ok, used)
}

/// The documented limit that these windows together do not keep, and how many calls they let out in
/// its time.
fn exceeded(windows: &[WindowLine]) -> Option<(u64, Budget)> {
    Budgets::default().quarantine.into_iter().find_map(|limit| {
        let calls = most(windows, limit.per.0.as_secs_f64())?;
        (calls > limit.calls.into()).then_some((calls, limit))
    })
}

/// The most calls that all of these windows let out within so many seconds.
fn most(windows: &[WindowLine], seconds: f64) -> Option<u64> {
    let each = |of: &WindowLine| {
        // As long as a slot is taken.
        let per = of.per_seconds * 1.001;
        let (turns, rest) = ((seconds / per).floor(), seconds % per);
        let last = match turns > 0.0 {
            true => most(windows, rest).unwrap_or(0),
            false => u64::MAX,
        };
        of.calls as u64 * turns as u64 + last.min(of.calls as u64)
    };
    windows.iter().map(each).min()
}

/// As a start would reckon now.
fn stored(config: &Config) -> Result<Vec<Finding>, StoreError> {
    let clock = SystemClock::new();
    let store = Chains::open(&config.store.sqlite)?;
    let wall_trusted = clock.wall_is_synchronised();
    let clocks = Clocks { boot_id: clock.boot_id(), wall_trusted };
    let mut findings = Vec::new();
    for tenant in &config.tenants {
        let limits = settings::limits(&tenant.budgets.quarantine);
        let window = limits.iter().map(|limit| limit.per).max().unwrap_or_default();
        let now = clock.now();
        let name = TenantName::new(&tenant.name);
        let attempts = store.attempts(&name, now, window)?;
        let limiter = Limiter::resume(limits, &attempts, now, clocks);
        let windows: Vec<_> = limiter
            .used(now.boot)
            .iter()
            .map(|used| {
                let Limit { calls, per } = used.limit;
                let per_seconds = per.as_secs_f64();
                WindowLine { used: used.calls as usize, calls: calls.get() as usize, per_seconds }
            })
            .collect();
        findings.push(judged(&tenant.name, &windows, 0.0));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_and_a_share_that_shrank_are_told() {
        let windows = |used| {
            let hour = WindowLine { used: 0, calls: 1500, per_seconds: 3600.0 };
            [WindowLine { used, calls: 100, per_seconds: 60.0 }, hour]
        };
        let of = |used, share| {
            let found = judged("contoso", &windows(used), share);
            (found.health, found.text)
        };
        assert_eq!(
            of(99, 100.0),
            (Health::Ok, "99 of 100 calls in 1m, 0 of 1500 calls in 1h".to_owned())
        );
        let (health, text) = of(100, 0.0);
        assert!(health == Health::Warn && text.contains("waits for room, at most 1m"), "{text}");
        let (health, text) = of(3, 81.0);
        assert!(health == Health::Warn && text.contains("after 429s only 81 %"), "{text}");
    }

    #[test]
    fn a_budget_above_what_defender_takes_is_told() {
        let says = |windows: &[(usize, f64)]| {
            let windows: Vec<_> = windows
                .iter()
                .map(|&(calls, per_seconds)| WindowLine { used: 0, calls, per_seconds })
                .collect();
            let found = judged("contoso", &windows, 0.0);
            (found.health == Health::Warn).then_some(found.text)
        };
        assert_eq!(says(&[(100, 60.0), (1500, 3600.0)]), None);
        assert_eq!(says(&[(1, 1.0), (1000, 3600.0)]), None, "60 in a minute");
        let text = says(&[(1500, 3600.0)]).unwrap();
        assert!(text.contains("1500 calls out in 1m where Defender takes 100"), "{text}");
        let text = says(&[(100, 60.0)]).unwrap();
        assert!(text.contains("6000 calls out in 1h where Defender takes 1500"), "{text}");
        let text = says(&[(30, 15.0), (1500, 3600.0)]).unwrap();
        assert!(text.contains("120 calls out in 1m"), "{text}");
        assert_eq!(says(&[(95, 59.0), (5, 1.0), (1500, 3600.0)]), None, "100 in a minute");
        assert_eq!(says(&[(30, 60.0), (1400, 3540.0)]), None, "1430 in an hour");
    }
}
