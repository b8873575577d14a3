//! The checks themselves, in the order in which one depends on another.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::super::client::{self, Service};
use super::super::style::counted;
use super::{Finding, Health};
use crate::app::{self, settings};
use crate::config::{Channel, Config, Kind, Secret, Target, Tenant, Verify};
use crate::domain::audit::Role;
use crate::domain::candidate::Subject;
use crate::io::clock::SystemClock;
use crate::io::defender::{DefenderApi, Reads, missing_roles};
use crate::io::store::Db;
use crate::io::{Clock as _, Report, kafka};
use crate::rules;
use crate::serve::Certificate;

pub async fn all(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::new("configuration", Health::Ok, "readable, every key known")];
    findings.extend(secrets(config));
    findings.extend(expiring(config));
    findings.extend(webhooks(config));
    findings.extend(issuers(config).await);
    findings.push(rules(config));
    findings.push(clock());
    findings.extend(store(config).await);
    for tenant in &config.tenants {
        findings.push(token(config, tenant).await);
    }
    findings.extend(kafka_sources(config).await);
    findings.extend(channels(config));
    findings
}

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

/// Every secret, with where one comes from that is missing.
pub(super) fn secrets(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &config.sources {
        findings.extend(match source.kind() {
            Kind::Webhook(webhook) => webhook
                .verify()
                .secrets()
                .iter()
                .map(|secret| check_secret(secret, new_secret(webhook.verify())))
                .collect::<Vec<_>>(),
            Kind::Kafka(kafka) => {
                let password = kafka.security.password.iter();
                password
                    .map(|secret| check_secret(secret, "the broker's operator has it"))
                    .collect()
            }
        });
    }
    let tenants = config.tenants.iter().flat_map(|tenant| tenant.credential().secrets());
    findings.extend(tenants.map(|secret| check_secret(secret, of_entra(secret))));
    for token in &config.listen.admin.tokens {
        let how = format!("`lazaret token new --name {} --role ROLE` makes one", token.name);
        findings.extend(token.secret().map(|secret| check_secret(secret, &how)));
    }
    findings
}

/// Where a part of a tenant's credential comes from.
fn of_entra(secret: &Secret) -> &'static str {
    match secret.key().rsplit('.').next() {
        Some("secret") => "it is a client secret of the application in Entra",
        Some("workload_identity") => "it is a token that Kubernetes, or another issuer, puts there",
        _ => "docs/credentials.md has how to make a certificate and its key",
    }
}

/// How to make a secret that sender and service are to share, or whose it is.
fn new_secret(verify: &Verify) -> &'static str {
    match verify {
        Verify::StandardWebhooks { .. } => {
            "the sender has it, or `openssl rand -base64 32 | sed s/^/whsec_/` makes one for both"
        }
        Verify::Slack { .. } | Verify::Stripe { .. } => "the sender shows it",
        _ => "the sender has it, or `openssl rand -base64 32` makes one for both",
    }
}

/// Whether one of these has been told already.
fn is_unread<'s>(mut secrets: impl Iterator<Item = &'s Secret>) -> bool {
    secrets.any(|secret| secret.read().is_err())
}

/// Where a check needs a secret that can't be read, which is told once.
fn not_asked(check: &str, what: &str) -> Finding {
    Finding::new(check, Health::Warn, format!("{what}: it needs a secret that fails above"))
}

/// Tokens that have expired, or will within this time.
fn expiring(config: &Config) -> Vec<Finding> {
    const SOON: Duration = Duration::from_secs(14 * 86_400);
    let now = SystemClock::new().now().wall;
    let mut findings = Vec::new();
    for token in &config.listen.admin.tokens {
        let Some(at) = token.expires().filter(|at| *at < now + SOON) else { continue };
        let verb = if at < now { "expired" } else { "expires" };
        let text = format!("{} {verb} on {at}: lazaret token new makes the next one", token.name);
        findings.push(Finding::new("token", Health::Warn, text));
    }
    findings
}

/// `origin` says where one comes from that is missing.
fn check_secret(secret: &Secret, origin: &str) -> Finding {
    if let Err(why) = secret.read() {
        let is_missing = secret.file().is_none_or(|path| !path.exists());
        let origin = if is_missing { format!("; {origin}") } else { String::new() };
        return Finding::new("secret", Health::Fail, format!("{why}{origin}"));
    }
    match open_to_others(secret) {
        Some(text) => Finding::new("secret", Health::Warn, text),
        None => Finding::new("secret", Health::Ok, format!("{}: {}", secret.key(), secret.place())),
    }
}

/// What to say of a secret in a file that others may read.
fn open_to_others(secret: &Secret) -> Option<String> {
    let path = secret.file()?;
    let open = std::fs::metadata(path).ok()?.permissions().mode() & 0o077 != 0;
    open.then(|| format!("{0}: others may read {1}: chmod 600 {1}", secret.key(), path.display()))
}

/// What `run` would refuse at the webhook listener: secrets that do not fit, certificates.
pub(super) fn webhooks(config: &Config) -> Option<Finding> {
    let listen = config.listen.webhooks.as_ref()?;
    let secrets = config.sources.iter().filter_map(|source| match source.kind() {
        Kind::Webhook(webhook) => Some(webhook.verify().secrets()),
        Kind::Kafka(_) => None,
    });
    let unread = is_unread(secrets.flatten());
    if let Err(why) = settings::webhooks(config)
        && !unread
    {
        return Some(Finding::new("webhooks", Health::Fail, why));
    }
    let own = listen.tls.as_ref().map(settings::webhook_tls);
    let admin = config.listen.admin.tls.as_ref().map(settings::admin_tls);
    for files in [own, admin].into_iter().flatten() {
        let is_missing = !(files.certificate.exists() && files.key.exists());
        if let Err(why) = Certificate::load(files) {
            let how = match is_missing {
                true => "; certificate and key are PEM files that your certificate authority gives",
                false => "",
            };
            return Some(Finding::new("webhooks", Health::Fail, format!("{why}{how}")));
        }
    }
    if listen.tls.is_none() && !listen.address.ip().is_loopback() {
        let text = "served without TLS beyond loopback: put TLS before it, or name a certificate";
        return Some(Finding::new("webhooks", Health::Warn, text));
    }
    if unread {
        return Some(not_asked("webhooks", "not known whether every secret fits its scheme"));
    }
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}/webhooks/SOURCE", listen.address);
    let text = format!("every secret fits its scheme; senders post to {url}");
    Some(Finding::new("webhooks", Health::Ok, text))
}

/// Whether the keys that tokens are checked with can be had.
pub(super) async fn issuers(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &config.sources {
        let Kind::Webhook(webhook) = source.kind() else { continue };
        // What is wrong with the settings is told above.
        let Ok(Some(issuer)) = settings::issuer(webhook.verify()) else { continue };
        let check = format!("tokens {}", source.name);
        findings.push(match issuer.fetch().await {
            Ok(keys) => {
                let (count, url) = (keys.count(), issuer.url());
                let text = format!("keys to check them with: {count}, from {url}");
                Finding::new(&check, Health::Ok, text)
            }
            Err(why) => {
                let how = "let this machine reach it, or mend `tenant`, `cloud` or `login`; until \
                           then deliveries are answered 503";
                Finding::new(&check, Health::Fail, format!("{why}: {how}"))
            }
        });
    }
    findings
}

fn rules(config: &Config) -> Finding {
    let loaded = rules::load(&config.rules, SystemClock::new().now().wall);
    if let Ok(loaded) = &loaded {
        let named = settings::named_formats(config);
        if let Err(why) = settings::check_formats(&named, &loaded.formats) {
            return Finding::new("rules", Health::Fail, why);
        }
    }
    match loaded.map(|loaded| loaded.ruleset) {
        Ok(rules) if rules.is_empty() => {
            let text = format!("{} holds no rule: nothing will match", config.rules.display());
            Finding::new("rules", Health::Warn, text)
        }
        Ok(rules) => Finding::new(
            "rules",
            Health::Ok,
            format!(
                "{}: {}; all tests that they have pass",
                config.rules.display(),
                counted(rules.len(), "rule")
            ),
        ),
        Err(problems) => {
            let check = format!("`lazaret rules check {}` shows all", config.rules.display());
            Finding::new("rules", Health::Fail, format!("{}; {check}", problems.brief()))
        }
    }
}

fn clock() -> Finding {
    if SystemClock::new().wall_is_synchronised() {
        return Finding::new("clock", Health::Ok, "synchronised");
    }
    let text = "the kernel says the clock is not synchronised: run an NTP client, else signatures \
                are refused and windows wait longer after a reboot";
    Finding::new("clock", Health::Warn, text)
}

async fn store(config: &Config) -> Vec<Finding> {
    match client::find(config, Role::View).await {
        Ok(Service::Running(service)) => {
            let report: Result<Report, _> = service.get("/status", client::NO_QUERY).await;
            match report {
                Ok(report) if report.problems.is_empty() => {
                    let text = format!("running at {}, no problems", service.url());
                    return vec![Finding::new("service", Health::Ok, text)];
                }
                Ok(report) => {
                    let warn = |text| Finding::new("service", Health::Warn, text);
                    return report.problems.iter().map(warn).collect();
                }
                Err(why) => return vec![Finding::new("service", Health::Fail, why)],
            }
        }
        Ok(Service::Stopped) => {}
        Err(why) => return vec![Finding::new("service", Health::Fail, why)],
    }
    let text = format!("stopped: nothing listens at {}", config.listen.admin.address);
    let mut findings = vec![Finding::new("service", Health::Ok, text)];
    if !config.store.sqlite.join("lazaret.db").exists() {
        findings.push(Finding::new("store", Health::Ok, "none yet; `lazaret run` makes it"));
        return findings;
    }
    findings.push(match verify(config) {
        Ok(()) => Finding::new("store", Health::Ok, "every checksum and every chain verifies"),
        Err(why) => Finding::new("store", Health::Fail, why),
    });
    findings.push(sync_time(config));
    findings
}

fn verify(config: &Config) -> Result<(), String> {
    let mut db = Db::open(&config.store.sqlite, config.limits.queue).map_err(|w| w.to_string())?;
    let mut faults = db.verify_chains().map_err(|why| why.to_string())?;
    faults.extend(db.verify_rows().map_err(|why| why.to_string())?);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// How long the disk takes to make a page durable: every acknowledgement waits for it.
fn sync_time(config: &Config) -> Finding {
    let path = config.store.sqlite.join("doctor.tmp");
    let timed = (|| {
        let mut file = std::fs::File::create(&path)?;
        let clock = SystemClock::new();
        let started = clock.now().boot;
        for _ in 0..10 {
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
        }
        std::fs::remove_file(&path)?;
        std::io::Result::Ok(clock.now().boot.since(started) / 10)
    })();
    match timed {
        Err(why) => Finding::new("disk", Health::Fail, format!("cannot write and sync: {why}")),
        Ok(each) if each > Duration::from_millis(20) => {
            let text = format!("a sync takes {} ms: use a faster disk", each.as_millis());
            Finding::new("disk", Health::Warn, text)
        }
        Ok(each) => Finding::new("disk", Health::Ok, format!("a sync takes {each:.1?}")),
    }
}

pub(super) async fn token(config: &Config, tenant: &Tenant) -> Finding {
    let check = format!("tenant {}", tenant.name);
    if is_unread(tenant.credential().secrets()) {
        return not_asked(&check, "no token was asked for");
    }
    let clock = Arc::new(SystemClock::new());
    let settings = settings::http(config)
        .and_then(|http| settings::defender(tenant, Duration::ZERO, http, clock, None));
    let settings = match settings {
        Ok(settings) => settings,
        Err(why) => return Finding::new(&check, Health::Fail, why),
    };
    let login = settings.login.as_deref().unwrap_or("the metadata service of this machine");
    let urls = format!("of {login}, for calls to {}", settings.api);
    let api = match DefenderApi::new(settings) {
        Ok(api) => api,
        Err(why) => return Finding::new(&check, Health::Fail, why),
    };
    let roles = match api.roles().await {
        Ok(roles) => roles,
        Err(why) => return Finding::new(&check, Health::Fail, format!("{why}; asked {urls}")),
    };
    let missing = missing_roles(&roles, reads(config, tenant));
    if !missing.is_empty() {
        // Without those for machines nothing works at all.
        let any_call_works = missing_roles(&roles, Reads::default()).is_empty();
        let health = if any_call_works { Health::Warn } else { Health::Fail };
        let missing = missing.join(", and ");
        let text = format!("the token lacks {missing}: grant it to the application and consent");
        return Finding::new(&check, health, text);
    }
    Finding::new(&check, Health::Ok, format!("a token with the roles that are needed, {urls}"))
}

/// Whether a source of this tenant has alerts that may be read at Defender, and whether a rule asks
/// about files. Rules that do not load are another check's.
fn reads(config: &Config, tenant: &Tenant) -> Reads {
    let loaded = rules::load(&config.rules, SystemClock::new().now().wall);
    let files = loaded.is_ok_and(|loaded| loaded.ruleset.may_ask(Subject::File));
    Reads { alerts: settings::reads_alerts(config, tenant), files }
}

async fn kafka_sources(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &config.sources {
        let Kind::Kafka(kafka) = source.kind() else { continue };
        let check = format!("kafka {}", source.name);
        if is_unread(kafka.security.password.iter()) {
            findings.push(not_asked(&check, "the brokers were not asked"));
            continue;
        }
        let settings = match settings::kafka(config, source, kafka, Arc::new(SystemClock::new())) {
            Ok(settings) => settings,
            Err(why) => {
                findings.push(Finding::new(&check, Health::Fail, why));
                continue;
            }
        };
        let probe = tokio::task::spawn_blocking(move || kafka::probe(&settings)).await;
        findings.push(match probe {
            Ok(Ok(text)) => Finding::new(&check, Health::Ok, text),
            Ok(Err(why)) => Finding::new(&check, Health::Fail, why),
            Err(why) => Finding::new(&check, Health::Fail, why),
        });
    }
    findings
}
