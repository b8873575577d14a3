//! From a tenant of the configuration to what gets its tokens.

use std::sync::Arc;

use super::Parts;
use super::settings::{self, call_timeout};
use crate::config::{Config, Identity, Proof, Secret, Security, Tenant, host};
use crate::domain::candidate::Subject;
use crate::domain::ids::TenantName;
use crate::io::defender::{self, BrokerSettings, Credential, Http, Needs, ReadSecret, Reads};
use crate::io::{BrokerTokens, Clock};

/// A tenant's credential. What it is made of is read, and read again for each token.
pub fn credential(tenant: &Tenant) -> Result<Arc<Credential>, String> {
    let read = |secret: &Secret| -> ReadSecret {
        let secret = secret.clone();
        Arc::new(move || secret.read().map_err(|why| why.to_string()))
    };
    let credential = match tenant.credential().proof() {
        Proof::Secret { client_id, secret, expires } => {
            Credential::secret(client_id, read(secret), expires.map(|date| date.0))?
        }
        Proof::Certificate { client_id, certificate, key } => {
            let place = format!("{}: {}", certificate.key(), certificate.place());
            Credential::certificate(client_id, place, read(certificate), key.map(read))?
        }
        Proof::Workload { client_id, token } => Credential::federated(client_id, read(token))?,
        Proof::Managed(Identity::System) => Credential::managed(None),
        Proof::Managed(Identity::Assigned(client_id)) => Credential::managed(Some(client_id)),
    };
    Ok(Arc::new(credential))
}

/// Tokens for brokers that are signed in at with a tenant's credential.
pub(super) fn broker_tokens(
    config: &Config,
    security: &Security,
    brokers: &[String],
    clock: Arc<dyn Clock>,
) -> Result<BrokerTokens, String> {
    let name = security.credential.as_deref().unwrap_or_default();
    let tenant = config.tenants.iter().find(|tenant| tenant.name == name);
    let tenant = tenant.ok_or_else(|| format!("credential: there is no tenant {name}"))?;
    let broker = brokers.first().ok_or("brokers: name at least one")?;
    let settings = BrokerSettings {
        tenant: TenantName::new(name),
        entra_tenant: tenant.id,
        credential: credential(tenant)?,
        login: settings::hosts(tenant)?.login,
        host: host(broker).to_owned(),
        http: Http::new(call_timeout(), 1).map_err(|why| why.to_string())?,
        clock,
    };
    defender::broker_tokens(settings).map_err(|why| why.to_string())
}

/// What Defender is asked for a tenant besides machines, by the rules in force.
pub(super) fn needs(config: &Config, tenant: &Tenant, parts: &Parts) -> Needs {
    let (alerts, rules) = (settings::reads_alerts(config, tenant), parts.rules.clone());
    Arc::new(move || Reads { alerts, files: rules.load().ruleset.may_ask(Subject::File) })
}
