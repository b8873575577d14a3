//! Secrets: whether each can be read, by whom, and how long it is good for.

use std::os::unix::fs::PermissionsExt as _;

use super::{Finding, Health};
use crate::app::credential::credential;
use crate::config::{Config, Kind, Secret, Verify};
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::{Clock as _, CredentialKind, Expiry};
use crate::limits::{CREDENTIAL_EXPIRING, DOCTOR_EXPIRING};

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

/// Tokens, client secrets and certificates that have expired, or will soon.
pub(super) fn expiring(config: &Config) -> Vec<Finding> {
    let now = SystemClock::new().now().wall;
    let mut findings = Vec::new();
    for token in &config.listen.admin.tokens {
        let Some(at) = token.expires().filter(|at| *at < now + DOCTOR_EXPIRING) else { continue };
        let verb = if at < now { "expired" } else { "expires" };
        let text = format!("{} {verb} on {at}: lazaret token new makes the next one", token.name);
        findings.push(Finding::new("token", Health::Warn, text));
    }
    for tenant in &config.tenants {
        // One that can't be read is told as a secret.
        let expires = credential(tenant).ok().and_then(|credential| credential.expires());
        findings.extend(expires.and_then(|end| of_credential(&tenant.name, end, now)));
    }
    findings
}

/// A secret's by the date in the configuration: no token tells.
fn of_credential(tenant: &str, end: Expiry, now: Wall) -> Option<Finding> {
    let Expiry { kind, at } = end;
    let (health, verb) = match at {
        _ if at <= now => (Health::Fail, "has expired"),
        _ if at < now + CREDENTIAL_EXPIRING => (Health::Warn, "expires"),
        _ => return None,
    };
    let check = format!("credential {tenant}");
    let at = at.to_string();
    let text = match kind {
        CredentialKind::Secret => format!(
            "the client secret {verb} on {at:.10}: make the next one in Entra, then set it and its \
             `expires`"
        ),
        CredentialKind::Certificate => format!(
            "the certificate {verb} on {at:.10}: give the next one to the application in Entra, \
             then put it and its key in place of the old ones"
        ),
    };
    Some(Finding::new(&check, health, text))
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
pub(super) fn is_unread<'s>(mut secrets: impl Iterator<Item = &'s Secret>) -> bool {
    secrets.any(|secret| secret.read().is_err())
}

/// Where a check needs a secret that can't be read, which is told once.
pub(super) fn not_asked(check: &str, what: &str) -> Finding {
    Finding::new(check, Health::Warn, format!("{what}: it needs a secret that fails above"))
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
pub(super) fn open_to_others(secret: &Secret) -> Option<String> {
    let path = secret.file()?;
    let open = std::fs::metadata(path).ok()?.permissions().mode() & 0o077 != 0;
    open.then(|| format!("{0}: others may read {1}: chmod 600 {1}", secret.key(), path.display()))
}
