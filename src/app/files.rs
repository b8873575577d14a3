//! Open files, sockets among them: how many the service may need at once, and how many it may have.
//! A service without any left accepts nothing and calls nobody.

use std::collections::BTreeSet;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::settings;
use crate::config::{Config, Kind, Target, Verify};
use crate::domain::pool::Pool;
use crate::limits::{CHANNEL_FILES, IDLE_CONNECTIONS, KAFKA_FILES, OTHER_FILES};

/// Raises the soft limit of this process to the hard one, and says what it then may have: `None`
/// is no limit. Where it can't be raised, the log says so.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(why) => {
            tracing::warn!(%why, "the limit of open files could not be raised");
            current
        }
    }
}

/// What a start could raise the limit to. `None` is no limit.
pub fn may_have() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Why so many are too few for this configuration, and what to do. `None` where they are enough.
pub fn too_few(config: &Config, may_have: Option<u64>) -> Option<String> {
    let (may_have, needed) = (may_have?, needed(config));
    (may_have < needed).then(|| {
        format!(
            "{may_have} open files are allowed, and up to {needed} may be needed at once: raise \
             LimitNOFILE of the unit, or ulimit -Hn; or lower limits.connections"
        )
    })
}

/// The most files and sockets that this configuration can lead to at once: every listener full,
/// every tenant's answers hanging.
pub fn needed(config: &Config) -> u64 {
    let listeners = 1 + usize::from(config.listen.webhooks.is_some());
    let tenants = config.tenants.len();
    let hosts = hosts(config);
    let mut channels = config.notify.iter().map(|channel| match channel.target() {
        Target::Webhook(_) => CHANNEL_FILES,
        Target::Kafka(_) => KAFKA_FILES,
    });
    let sources = config.sources.iter().map(|source| match source.kind() {
        Kind::Kafka(_) => KAFKA_FILES,
        Kind::Webhook(webhook) if matches!(webhook.verify(), Verify::Entra { .. }) => CHANNEL_FILES,
        Kind::Webhook(_) => 0,
    });
    let files = listeners * config.limits.connections
        + Pool::places(tenants)
        // One login each, and what idles.
        + tenants
        + hosts * idle_per_host(hosts)
        + channels.by_ref().sum::<usize>()
        + sources.sum::<usize>()
        + OTHER_FILES;
    files as u64
}

/// How many idle connections of each host are kept, so that all together stay bounded.
pub fn idle_per_host(hosts: usize) -> usize {
    (IDLE_CONNECTIONS / hosts.max(1)).max(1)
}

/// Hosts of Defender and of logins, of all tenants.
pub fn hosts(config: &Config) -> usize {
    let hosts = config.tenants.iter().filter_map(|tenant| settings::hosts(tenant).ok());
    hosts
        .flat_map(|hosts| hosts.login.into_iter().chain([hosts.api]))
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tenants: usize) -> Config {
        let mut text = "node: lazaret-1
mode: observe
rules: rules
store: {sqlite: data}
listen:
  webhooks: {address: 127.0.0.1:8443}
  admin: {address: 127.0.0.1:9443}
sources:
  - name: siem
    tenants: [t0]
    webhook: {format: defender-alert, verify: {scheme: none}}
limits: {connections: 100}
tenants:
"
        .to_owned();
        for n in 0..tenants {
            text += &format!(
                "  - name: t{n}
    id: 11111111-2222-3333-4444-{n:012}
    credential: {{client_id: 66666666-7777-8888-9999-000000000000, secret: {{file: s}}}}
"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lazaret.yaml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn what_is_needed_grows_with_tenants_and_not_with_their_idle_connections() {
        let one = needed(&config(1));
        let thousand = needed(&config(1000));
        // Both listeners full, calls and logins, idle connections of two hosts, the rest.
        assert_eq!(one, 200 + 19 + 1 + 256 + OTHER_FILES as u64);
        assert_eq!(thousand, 200 + (4 * 1000 + 1024) + 1000 + 256 + OTHER_FILES as u64);
    }

    #[test]
    fn idle_connections_are_bounded_however_many_hosts_there_are() {
        for hosts in [1, 2, 7, 256] {
            assert!(hosts * idle_per_host(hosts) <= IDLE_CONNECTIONS);
        }
        assert_eq!(idle_per_host(1000), 1);
    }

    #[test]
    fn too_few_are_told_with_what_to_do() {
        let config = config(1000);
        assert_eq!(too_few(&config, None), None);
        assert_eq!(too_few(&config, Some(needed(&config))), None);
        let text = too_few(&config, Some(1024)).unwrap();
        assert!(text.contains("1024 open files") && text.contains("LimitNOFILE"), "{text}");
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let hard = may_have();
        assert_eq!(raise(), hard);
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
