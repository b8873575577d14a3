//! What `run` would refuse at the listeners, and whose keys the tokens of senders are checked with.

use futures_util::future::join_all;

use super::secrets::{is_unread, not_asked};
use super::{Finding, Health};
use crate::app::{audit, settings};
use crate::config::{Config, Kind};
use crate::io::issuer;
use crate::serve::{Certificate, CertificateFiles};

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
    if let Some(why) = listen.tls.as_ref().map(settings::webhook_tls).and_then(unusable) {
        return Some(Finding::new("webhooks", Health::Fail, why));
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

/// What `run` would refuse at the admin listener: its certificate, and tokens that the record could
/// not tell apart.
pub(super) fn admin(config: &Config) -> Finding {
    let listen = &config.listen.admin;
    if let Some(why) = listen.tls.as_ref().map(settings::admin_tls).and_then(unusable) {
        return Finding::new("admin", Health::Fail, why);
    }
    if is_unread(listen.tokens.iter().filter_map(|token| token.secret())) {
        return not_asked("admin", "not known whether two tokens are the same");
    }
    match audit::configured(config) {
        Ok(tokens) => {
            let text = format!("at {}, {} tokens, no two the same", listen.address, tokens.len());
            Finding::new("admin", Health::Ok, text)
        }
        Err(why) => Finding::new("admin", Health::Fail, why),
    }
}

/// Why a listener can't serve with these files.
fn unusable(files: CertificateFiles) -> Option<String> {
    let is_missing = !(files.certificate.exists() && files.key.exists());
    let how = match is_missing {
        true => "; certificate and key are PEM files that your certificate authority gives",
        false => "",
    };
    Certificate::load(files).err().map(|why| format!("{why}{how}"))
}

/// Whether the keys that tokens are checked with can be had: of all sources side by side.
pub(super) async fn issuers(config: &Config) -> Vec<Finding> {
    let asked = config.sources.iter().filter_map(|source| {
        let Kind::Webhook(webhook) = source.kind() else { return None };
        // What is wrong with the settings is told above.
        let issuer = settings::issuer(webhook.verify()).ok().flatten()?;
        Some(keys(format!("tokens {}", source.name), issuer))
    });
    join_all(asked).await
}

async fn keys(check: String, issuer: issuer::Settings) -> Finding {
    match issuer.fetch().await {
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
    }
}
