//! From the configuration to each part's own settings. What only a part can tell to be wrong, such
//! as a secret that does not fit its scheme, is found here, before anything starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{credential, files};
use crate::config::{
    Budget, Config, HmacDigest, HmacEncoding, Kafka, Kind, Proof, Protocol, Security, Source, Start,
};
use crate::config::{Budgets, Tenant, Tls, Verify, WebhookTls};
use crate::domain::cloud::Cloud;
use crate::domain::decision::JoinBounds;
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::join::Waits;
use crate::domain::limiter::Limit;
use crate::domain::lookup;
use crate::domain::signature::TimestampHeader;
use crate::domain::signature::{
    Algorithm, Encoding, Entra, HmacScheme, Scheme, Seal, Subjects, Template,
};
use crate::domain::time::Wall;
use crate::failpoint;
use crate::formats::Formats;
use crate::intake;
use crate::io::{Clock, defender, issuer, kafka};
use crate::rules::{self, Loaded, Problem};
use crate::serve::CertificateFiles;

/// How long a call to Defender may take, from its start to the end of its answer. Nobody sets it: a
/// call that is given up too early is looked for before Defender has begun with it.
pub fn call_timeout() -> Duration {
    failpoint::span("defender.timeout", crate::limits::CALL_TIMEOUT)
}

/// Formats of which an alert may be read at Defender before it is judged.
const READ_AT_DEFENDER: [&str; 2] = ["defender-alert", "sentinel-incident"];

const TOLERANCE: Duration = Duration::from_secs(300);

type Settled<T> = Result<T, String>;

/// Reads the rules and runs their tests. The text of an error names every mistake.
pub fn rules(config: &Config, now: Wall) -> Settled<Loaded> {
    let loaded = rules::load(&config.rules, now).map_err(|problems| problems.to_string())?;
    tell(&loaded.warnings);
    Ok(loaded)
}

/// Logs the warnings of a rule set.
pub fn tell(warnings: &[Problem]) {
    for warning in warnings {
        tracing::warn!("{}", warning.title());
    }
}

/// A webhook source's scheme with its secrets.
pub fn seal(verify: &Verify) -> Settled<Seal> {
    let mut secrets = Vec::new();
    for secret in verify.secrets() {
        secrets.push(secret.read().map_err(|why| why.to_string())?);
    }
    let scheme = scheme(verify)?;
    Seal::new(scheme, &secrets).map_err(|why| why.to_string())
}

fn scheme(verify: &Verify) -> Settled<Scheme> {
    Ok(match verify {
        Verify::StandardWebhooks { .. } => Scheme::StandardWebhooks,
        Verify::Github { .. } => Scheme::Github,
        Verify::Slack { .. } => Scheme::Slack,
        Verify::Stripe { .. } => Scheme::Stripe,
        Verify::Bearer { .. } => Scheme::Bearer,
        Verify::None {} => Scheme::None,
        Verify::Entra { tenant, audience, applications, cloud, login } => {
            let login = entra_login(*cloud, login.as_deref())?;
            let entra = Entra::new(*tenant, &login, audience.clone(), applications.clone());
            Scheme::Entra(Box::new(entra.map_err(|why| why.to_string())?))
        }
        Verify::MutualTls { subjects } => {
            Scheme::MutualTls(Subjects::parse(subjects).map_err(|why| why.to_string())?)
        }
        Verify::Hmac {
            header,
            digest,
            encoding,
            prefix,
            signed,
            timestamp_header,
            id_header,
            tolerance,
            ..
        } => {
            let tolerance = tolerance.map_or(TOLERANCE, |span| span.0);
            let timestamp =
                timestamp_header.clone().map(|header| TimestampHeader { header, tolerance });
            Scheme::Hmac(Box::new(HmacScheme {
                header: header.clone(),
                algorithm: match digest {
                    HmacDigest::Sha256 => Algorithm::Sha256,
                    HmacDigest::Sha512 => Algorithm::Sha512,
                },
                encoding: match encoding {
                    HmacEncoding::Hex => Encoding::Hex,
                    HmacEncoding::Base64 => Encoding::Base64,
                },
                prefix: prefix.clone(),
                signs: Template::parse(signed).map_err(|why| why.to_string())?,
                timestamp,
                id: id_header.clone(),
            }))
        }
    })
}

fn entra_login(cloud: Cloud, login: Option<&str>) -> Settled<String> {
    let usual = cloud.hosts(None).map_err(|why| why.to_string())?.login;
    Ok(login.map_or(usual, str::to_owned))
}

/// Whose keys the tokens of a webhook source are checked with; `None` where it takes none.
pub fn issuer(verify: &Verify) -> Settled<Option<issuer::Settings>> {
    let Verify::Entra { tenant, cloud, login, .. } = verify else { return Ok(None) };
    let login = entra_login(*cloud, login.as_deref())?;
    issuer::Settings::new(*tenant, &login).map(Some).map_err(|why| why.to_string())
}

pub fn kafka(
    config: &Config,
    source: &Source,
    kafka: &Kafka,
    clock: Arc<dyn Clock>,
) -> Settled<kafka::Settings> {
    for key in kafka.librdkafka.keys() {
        kafka::check_passed_through(key).map_err(|why| format!("librdkafka: {why}"))?;
    }
    let body_bytes_max = usize::try_from(config.limits.body.0).unwrap_or(usize::MAX);
    Ok(kafka::Settings {
        source: SourceName::new(&source.name),
        node: config.node.clone(),
        brokers: kafka.brokers.clone(),
        topics: kafka.topics.clone(),
        group: kafka.group.clone().unwrap_or_else(|| format!("lazaret-{}", source.name)),
        start: match kafka.start {
            Start::Earliest => kafka::Start::Earliest,
            Start::Latest => kafka::Start::Latest,
        },
        security: security(config, &kafka.security, &kafka.brokers, clock)?,
        body_bytes_max,
        passed_through: kafka.librdkafka.clone(),
    })
}

/// How brokers are spoken to, with the password, or with what gets tokens.
pub(super) fn security(
    config: &Config,
    security: &Security,
    brokers: &[String],
    clock: Arc<dyn Clock>,
) -> Settled<kafka::Security> {
    let login = || -> Settled<kafka::Login> {
        let (Some(username), Some(password)) = (&security.username, &security.password) else {
            return Err("SASL needs username and password".into());
        };
        Ok(kafka::Login {
            mechanism: match security.mechanism.as_deref() {
                Some("PLAIN") => kafka::Mechanism::Plain,
                Some("SCRAM-SHA-256") => kafka::Mechanism::ScramSha256,
                Some("SCRAM-SHA-512") => kafka::Mechanism::ScramSha512,
                other => return Err(format!("mechanism {other:?} is unknown")),
            },
            username: username.clone(),
            password: password.read().map_err(|why| why.to_string())?,
        })
    };
    let ca = security.ca.clone();
    Ok(match security.protocol {
        Protocol::Plaintext => kafka::Security::Plaintext,
        Protocol::Ssl => kafka::Security::Ssl { ca },
        Protocol::SaslPlaintext => kafka::Security::SaslPlaintext(login()?),
        Protocol::SaslSsl if security.credential.is_some() => {
            let tokens = credential::broker_tokens(config, security, brokers, clock)?;
            kafka::Security::Token { tokens, ca }
        }
        Protocol::SaslSsl => kafka::Security::SaslSsl { login: login()?, ca },
    })
}

/// The HTTP client of all tenants, with as many idle connections of each host as are left to it.
pub fn http(config: &Config) -> Settled<defender::Http> {
    let idle = files::idle_per_host(files::hosts(config));
    defender::Http::new(call_timeout(), idle).map_err(|why| why.to_string())
}

/// Whom a tenant's calls go to.
pub struct Called {
    pub api: String,
    /// Where its tokens come from; `None` for a managed identity, unless one is named.
    pub login: Option<String>,
    pub scope: String,
}

/// Where a tenant's Defender and its login are.
pub fn hosts(tenant: &Tenant) -> Settled<Called> {
    let usual = tenant.cloud.hosts(tenant.region).map_err(|why| why.to_string())?;
    let is_managed = matches!(tenant.credential().proof(), Proof::Managed(_));
    Ok(Called {
        api: tenant.api.clone().unwrap_or(usual.api),
        login: tenant.login.clone().or((!is_managed).then_some(usual.login)),
        scope: tenant.scope.clone().unwrap_or(usual.scope),
    })
}

/// One tenant's API and login. Its first token is fetched after `token_after`, if no call needs it
/// before. `needs` says which roles are looked for in its tokens.
pub fn defender(
    tenant: &Tenant,
    token_after: Duration,
    http: defender::Http,
    clock: Arc<dyn Clock>,
    needs: Option<defender::Needs>,
) -> Settled<defender::Settings> {
    let Called { api, login, scope } = hosts(tenant)?;
    Ok(defender::Settings {
        tenant: TenantName::new(&tenant.name),
        entra_tenant: tenant.id,
        credential: credential::credential(tenant)?,
        api,
        login,
        scope,
        needs,
        token_after,
        http,
        clock,
    })
}

/// Whether a source of this tenant may bring alerts that are read at Defender.
pub fn reads_alerts(config: &Config, tenant: &Tenant) -> bool {
    let mut sources = config.sources.iter().filter(|source| source.tenants.contains(&tenant.name));
    sources.any(|source| READ_AT_DEFENDER.contains(&source.format()))
}

/// The formats that sources name, with the names of the sources.
pub fn named_formats(config: &Config) -> Vec<(String, String)> {
    let named = |source: &Source| (source.name.clone(), source.format().to_owned());
    config.sources.iter().map(named).collect()
}

/// Whether each of them is built in, or one of the rules' directory.
pub fn check_formats(named: &[(String, String)], formats: &Formats) -> Settled<()> {
    for (source, format) in named {
        let found = formats.find(format);
        found.map_err(|why| format!("source {source}: format: {why}"))?;
    }
    Ok(())
}

pub fn intake(config: &Config) -> Settled<intake::Settings> {
    let tenants: HashMap<&str, uuid::Uuid> =
        config.tenants.iter().map(|tenant| (tenant.name.as_str(), tenant.id)).collect();
    let mut sources = HashMap::new();
    for source in &config.sources {
        let of = source.tenants.iter();
        let of = of.map(|name| (TenantName::new(name), tenants[name.as_str()])).collect();
        sources.insert(SourceName::new(&source.name), intake::Source::new(source.format(), of));
    }
    Ok(intake::Settings {
        sources,
        ceiling: config.mode.0,
        breakers: config
            .tenants
            .iter()
            .map(|tenant| (TenantName::new(&tenant.name), tenant.breakers()))
            .collect(),
        alert_age_max: config.limits.alert_age.0,
        expire_queued: config.expire.queued.0,
        expire_held: config.expire.held.0,
        no_match_rows_per_second: config.limits.no_match_rows.0,
        cache: config.dedupe.cache,
        join: JoinBounds {
            remembers: config.limits.alert_age.0.max(config.join.expire.0),
            waits: Waits { settle: config.join.settle.0, expire: config.join.expire.0 },
            alerts: config.join.alerts,
            bytes: config.join.bytes.0,
        },
    })
}

/// The budget's limits. The configuration has refused what is none.
pub fn limits(budgets: &[Budget]) -> Vec<Limit> {
    budgets.iter().filter_map(|budget| Limit::new(budget.calls, budget.per.0)).collect()
}

/// The limits of what Defender is asked.
pub fn asking(budgets: &Budgets) -> lookup::Budgets {
    let Budgets { alerts, machines, files, .. } = budgets;
    let [alerts, machines, files] = [alerts, machines, files].map(|of| limits(of));
    lookup::Budgets { alerts, machines, files }
}

/// The files of the webhook listener's TLS.
pub fn webhook_tls(tls: &WebhookTls) -> CertificateFiles {
    let WebhookTls { certificate, key, client_ca } = tls.clone();
    CertificateFiles { certificate, key, client_ca }
}

/// Those of the admin listener's.
pub fn admin_tls(tls: &Tls) -> CertificateFiles {
    let Tls { certificate, key } = tls.clone();
    CertificateFiles { certificate, key, client_ca: None }
}

/// A webhook source, with what its deliveries are checked with.
pub struct WebhookSource {
    pub name: SourceName,
    pub seal: Seal,
    pub issuer: Option<issuer::Settings>,
    pub origins: Vec<String>,
}

/// Every webhook source by name.
pub fn webhooks(config: &Config) -> Settled<Vec<WebhookSource>> {
    let mut sources = Vec::new();
    for source in &config.sources {
        if let Kind::Webhook(webhook) = source.kind() {
            let wrong = |why: String| format!("source {}: {why}", source.name);
            let seal = seal(webhook.verify()).map_err(wrong)?;
            let issuer = issuer(webhook.verify()).map_err(wrong)?;
            let (name, origins) = (SourceName::new(&source.name), webhook.origins.clone());
            sources.push(WebhookSource { name, seal, issuer, origins });
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Where the keys come from for a source with these keys beside the usual ones.
    fn keys_of(more: &str) -> Settled<String> {
        let id = "11111111-2222-3333-4444-555555555555";
        let signed = "verify: {scheme: standard-webhooks, secrets: [{file: secrets/siem}]}";
        let verify = format!(
            "verify: {{scheme: entra, tenant: {id}, audience: a, applications: [{id}]{more}}}"
        );
        let text = include_str!("../../lazaret.example.yaml").replacen(signed, &verify, 1);
        let config = Config::parse(&text, Path::new("lazaret.yaml")).unwrap();
        let Kind::Webhook(webhook) = config.sources[0].kind() else { panic!("it is a webhook") };
        seal(webhook.verify())?;
        let issuer = issuer(webhook.verify())?.expect("it takes tokens");
        Ok(issuer.url().replacen(id, "ID", 1))
    }

    #[test]
    fn keys_come_from_the_login_of_the_cloud_unless_another_is_named() {
        let at = |login: &str| Ok(format!("{login}/ID/discovery/v2.0/keys"));
        assert_eq!(keys_of(""), at("https://login.microsoftonline.com"));
        assert_eq!(keys_of(", cloud: gcc"), at("https://login.microsoftonline.com"));
        for cloud in ["gcc-high", "dod"] {
            let more = format!(", cloud: {cloud}");
            assert_eq!(keys_of(&more), at("https://login.microsoftonline.us"));
        }
        assert_eq!(keys_of(", login: 'http://127.0.0.1:7'"), at("http://127.0.0.1:7"));
        let open = keys_of(", login: 'http://login.example'").unwrap_err();
        assert!(open.contains("loopback"), "{open}");
    }
}
