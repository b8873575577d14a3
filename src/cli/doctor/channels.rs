//! The channels that tell people what happens.

use std::sync::Arc;

use super::secrets::open_to_others;
use super::{Finding, Health};
use crate::app;
use crate::config::{Channel, Config, Target};
use crate::io::clock::SystemClock;

/// Everything that a message needs and that can be seen without sending one.
pub(super) fn channels(config: &Config) -> Vec<Finding> {
    let clock: Arc<dyn crate::io::Clock> = Arc::new(SystemClock::new());
    let finding = |channel: &Channel| {
        let (name, check) = (&channel.name, format!("notify {}", channel.name));
        let try_it = format!("`lazaret notify test --channel {name}`");
        if let Err(why) = app::notify::channel(config, channel, &clock) {
            let text = format!("{why}; mend it, then try it with {try_it}");
            return Finding::new(&check, Health::Fail, text);
        }
        let mut open = channel.secrets().filter_map(open_to_others);
        if let Some(text) = open.next() {
            return Finding::new(&check, Health::Warn, text);
        }
        let is_there = match channel.target() {
            Target::Webhook(_) => "its URL and its secrets can be used",
            Target::Kafka(_) => "its brokers and its topic are named",
        };
        let text = format!("{is_there}; not asked: {try_it} sends a message");
        Finding::new(&check, Health::Ok, text)
    };
    config.notify.iter().map(finding).collect()
}
