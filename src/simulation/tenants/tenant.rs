//! One tenant in the process.

use std::collections::VecDeque;
use std::time::Duration;

use super::CLIENT_TIMEOUT;
use super::defender::{Defender, Trouble};
use super::rows::Rows;
use crate::domain::action::Resumed;
use crate::domain::dice::Dice;
use crate::domain::dispatcher::{Dispatcher, DispatcherSettings, Effect, Event};
use crate::domain::ids::TenantName;
use crate::domain::limiter::Limit;
use crate::domain::time::{BootId, Clocks, Now};
use crate::domain::tracker::TrackerSettings;
use crate::limits;

/// A dispatcher with its rows, its Defender, and what it has still to do.
pub struct Tenant {
    pub name: TenantName,
    pub dispatcher: Dispatcher,
    pub rows: Rows,
    pub defender: Defender,
    /// Of its alerts, and of its Defender: these are asked in an order that others may change.
    pub alerts: Dice,
    pub dice: Dice,
    pub events: VecDeque<Event>,
    pub effects: VecDeque<Effect>,
    /// It waits for the writer, and steps no further.
    pub waits: bool,
    pub token: u64,
}

pub const BOOT: BootId = BootId([1; 16]);

impl Tenant {
    /// With nothing open.
    pub fn new(seed: u64, tenant: usize, trouble: Trouble, now: Now) -> Self {
        let name = TenantName::new(&format!("t{tenant}"));
        let limit = |calls, per| Limit::new(calls, Duration::from_secs(per)).expect("a limit");
        let limits = vec![limit(100, 60), limit(1500, 3600)];
        let settings = DispatcherSettings {
            tenant: name.clone(),
            quarantine: limits.clone(),
            reserve: 0,
            machine_actions: limits,
            client_timeout: CLIENT_TIMEOUT,
            tracker: TrackerSettings {
                every: Duration::from_secs(30),
                wait: Duration::from_secs(60),
                page: limits::LIST_PAGE,
            },
        };
        let clocks = Clocks { boot_id: BOOT, wall_trusted: true };
        let (dispatcher, _nothing_open) =
            Dispatcher::resume(settings, Resumed::default(), now, clocks);
        let mut dice = Dice::new(seed ^ (tenant as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self {
            rows: Rows::new(name.clone()),
            name,
            dispatcher,
            defender: Defender::new(trouble),
            alerts: Dice::new(dice.roll()),
            dice,
            events: VecDeque::new(),
            effects: VecDeque::new(),
            waits: false,
            token: 0,
        }
    }
}
