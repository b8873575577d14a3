//! Watches for what does not happen: a source that falls silent, a credential that nobody renews.
//! Each goes on the record once, or once a day, and from there to whoever is to be told.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::config::Config;
use crate::domain::audit::{Actor, Change, What};
use crate::domain::ids::TenantName;
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::defender::DefenderApi;
use crate::io::store::SqliteStore;
use crate::io::{Clock as _, CredentialLine, Expiry, Noted, Record as _, Store as _, StoreError};
use crate::limits;

/// What is watched: of the configuration, and how it is at this moment.
#[derive(Clone, Debug, Default)]
struct Watch {
    /// Sources, and after how long without a receipt each counts as silent.
    sources: Vec<(String, Duration)>,
    /// Those that have an end.
    credentials: Vec<(TenantName, Expiry)>,
}

impl Watch {
    fn new(config: &Config) -> Self {
        let sources = config.sources.iter();
        let sources =
            sources.filter_map(|source| Some((source.name.clone(), source.silent_after?.0)));
        Self { sources: sources.collect(), credentials: Vec::new() }
    }

    /// Looks when credentials end. It reads their files: a certificate may have been replaced.
    async fn look(&mut self, apis: &Arc<[(TenantName, Arc<DefenderApi>)]>) {
        let apis = apis.clone();
        let ends = move || {
            let ends = apis.iter().filter_map(|(name, api)| Some((name.clone(), api.expires()?)));
            ends.collect()
        };
        if let Ok(ends) = tokio::task::spawn_blocking(ends).await {
            self.credentials = ends;
        }
    }

    /// What goes on the record now. `received` is when the newest receipt of each source came.
    fn seen(
        &self,
        received: &[(String, Wall)],
        noted: &[(Noted, Wall)],
        started: Wall,
        now: Wall,
    ) -> Vec<Change> {
        let noted = |what: &Noted| noted.iter().find(|(of, _)| of == what).map(|(_, at)| *at);
        let mut changes = Vec::new();
        for (source, after) in &self.sources {
            let newest = received.iter().find(|(name, _)| name == source).map(|(_, at)| *at);
            let silent = now.since(newest.unwrap_or(started)) >= *after
                && now.since(started) >= limits::SILENCE_AFTER_START.min(*after);
            let since_noted = noted(&Noted::Silent(source.clone()));
            let heard = since_noted.is_some_and(|at| newest.is_some_and(|newest| newest > at));
            let source = source.clone();
            if silent && since_noted.is_none() {
                let reason = match newest {
                    Some(at) => format!("nothing has come since {at}"),
                    None => "nothing has come from it yet".to_owned(),
                };
                changes.push(change(None, reason, now, What::SourceSilent { source }));
            } else if heard {
                let reason = "alerts come again".to_owned();
                changes.push(change(None, reason, now, What::SourceHeard { source }));
            }
        }
        for (tenant, expires) in &self.credentials {
            let Expiry { kind, at: expires } = *expires;
            let due = now + limits::CREDENTIAL_EXPIRING >= expires;
            let before = noted(&Noted::Expiring(tenant.clone()));
            let again = before.is_none_or(|at| now.since(at) >= limits::CREDENTIAL_NOTED_EVERY);
            if due && again {
                let reason = format!("its {} {}", kind.as_str(), expiring(expires, now));
                let what = What::CredentialExpiring { expires };
                changes.push(change(Some(tenant.clone()), reason, now, what));
            }
        }
        changes
    }
}

/// What a person should look at, for status, the worst first.
pub(super) fn of_credential(line: &CredentialLine, now: Wall) -> Vec<String> {
    let tenant = &line.tenant;
    let mut problems = Vec::new();
    if let Some(error) = &line.error {
        problems.push(format!("tenant {tenant}: {error}; to go on: lazaret doctor"));
    }
    if !line.roles_missing.is_empty() {
        let missing = line.roles_missing.join(", and ");
        problems.push(format!(
            "the application of tenant {tenant} lacks {missing}: grant it in Entra as an \
             application permission, with admin consent; it is seen within {} minutes",
            limits::ROLES_LOOK_EVERY.as_secs() / 60
        ));
    }
    if let Some(Expiry { kind, at }) = line.expires
        && now + limits::CREDENTIAL_EXPIRING >= at
    {
        let (what, ends) = (kind.as_str(), expiring(at, now));
        problems.push(format!("the {what} of tenant {tenant} {ends}: {}", kind.renewal()));
    }
    problems
}

fn expiring(expires: Wall, now: Wall) -> String {
    match expires.since(now).as_secs() / 86_400 {
        _ if expires <= now => format!("has expired at {expires}"),
        0 => format!("expires within a day, at {expires}"),
        days => format!("expires in {days} days, at {expires}"),
    }
}

fn change(tenant: Option<TenantName>, reason: String, at: Wall, what: What) -> Change {
    Change { tenant, actor: Actor::Lazaret, reason, at, what }
}

pub(super) fn start(
    config: &Config,
    parts: &Parts,
    apis: &[Arc<DefenderApi>],
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let mut watch = Watch::new(config);
    let names = config.tenants.iter().map(|tenant| TenantName::new(&tenant.name));
    let apis: Arc<[_]> = names.zip(apis.iter().cloned()).collect();
    let (store, clock, stop) = (parts.store.clone(), parts.clock.clone(), stop.clone());
    tokio::spawn(async move {
        let started = clock.now().wall;
        let mut look = interval(limits::SILENCE_LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            watch.look(&apis).await;
            if let Err(why) = once(&watch, &store, &clock, started).await {
                tracing::error!(%why, "silent sources and credentials could not be looked at");
            }
        }
    })
}

async fn once(
    watch: &Watch,
    store: &Arc<SqliteStore>,
    clock: &SystemClock,
    started: Wall,
) -> Result<(), StoreError> {
    if watch.sources.is_empty() && watch.credentials.is_empty() {
        return Ok(());
    }
    let (received, noted) = (store.received().await?, store.noted().await?);
    let changes = watch.seen(&received, &noted, started, clock.now().wall);
    if !changes.is_empty() {
        store.apply(None, changes).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::CredentialKind;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: Wall = Wall(1_790_000_000_000_000);

    fn watch() -> Watch {
        let expiry = Expiry { kind: CredentialKind::Certificate, at: START + 40 * 24 * HOUR };
        let credentials = vec![(TenantName::new("contoso"), expiry)];
        Watch { sources: vec![("siem".to_owned(), HOUR)], credentials }
    }

    fn seen(newest: Option<Wall>, noted: &[(Noted, Wall)], now: Wall) -> Vec<What> {
        let received: Vec<_> = newest.map(|at| ("siem".to_owned(), at)).into_iter().collect();
        watch().seen(&received, noted, START, now).into_iter().map(|change| change.what).collect()
    }

    #[test]
    fn a_source_is_silent_once_and_heard_once() {
        let silent = || What::SourceSilent { source: "siem".to_owned() };
        let minute = HOUR / 60;
        assert_eq!(seen(None, &[], START + 59 * minute), []);
        assert_eq!(seen(None, &[], START + HOUR), [silent()]);
        let newest = START + minute;
        assert_eq!(seen(Some(newest), &[], START + HOUR), []);
        assert_eq!(seen(Some(newest), &[], newest + HOUR), [silent()]);
        let noted = [(Noted::Silent("siem".to_owned()), newest + HOUR)];
        assert_eq!(seen(Some(newest), &noted, newest + 9 * HOUR), []);
        let heard = What::SourceHeard { source: "siem".to_owned() };
        let again = newest + 9 * HOUR;
        assert_eq!(seen(Some(again), &noted, again + minute), [heard]);
    }

    #[test]
    fn after_a_start_a_silent_source_gets_time_to_speak() {
        let long_ago = START - 9 * HOUR;
        assert_eq!(seen(Some(long_ago), &[], START + HOUR / 5), []);
        assert_eq!(seen(Some(long_ago), &[], START + HOUR / 4).len(), 1);
    }

    #[test]
    fn a_credential_is_noted_once_a_day_from_a_month_before() {
        let day = 24 * HOUR;
        let at = |days: u32, noted: &[(Noted, Wall)]| {
            let now = START + days * day;
            seen(Some(now), noted, now)
        };
        assert_eq!(at(9, &[]), []);
        let expires = START + 40 * day;
        assert_eq!(at(10, &[]), [What::CredentialExpiring { expires }]);
        let noted = [(Noted::Expiring(TenantName::new("contoso")), START + 10 * day + HOUR)];
        assert_eq!(at(11, &noted), []);
        assert_eq!(at(12, &noted).len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_credential_is_said_with_what_to_do() {
        let day = 24 * HOUR;
        let expires = Some(Expiry { kind: CredentialKind::Certificate, at: START + 40 * day });
        let line = CredentialLine { tenant: "contoso".to_owned(), expires, ..Default::default() };
        assert_eq!(of_credential(&line, START), [""; 0]);
        let said = of_credential(&line, START + 38 * day).remove(0);
        let says = "the certificate of tenant contoso expires in 2 days";
        assert!(said.starts_with(says) && said.contains("upload a new certificate"), "{said}");
        assert!(of_credential(&line, START + 41 * day)[0].contains("has expired"));
        let error = Some("no token: AADSTS7000222".to_owned());
        let missing = vec!["File.Read.All".to_owned()];
        let said = of_credential(&CredentialLine { error, roles_missing: missing, ..line }, START);
        assert!(said[0].starts_with("tenant contoso: no token: AADSTS7000222"), "{said:?}");
        let says = "the application of tenant contoso lacks File.Read.All: grant it";
        assert!(said[1].starts_with(says), "{said:?}");
    }
}
