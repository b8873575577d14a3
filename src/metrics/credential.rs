//! How credentials do.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::rows::{Seconds, Tenant};
use crate::io::Report;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindOf {
    tenant: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleOf {
    tenant: String,
    role: String,
}

#[derive(Debug, Default)]
pub(super) struct CredentialMetrics {
    expires_in: Family<KindOf, Seconds>,
    roles_missing: Family<RoleOf, Gauge>,
    token_failing: Family<Tenant, Gauge>,
}

impl CredentialMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Until a secret or a certificate ends; negative once it has ended";
        let expires_in = self.expires_in.clone();
        registry.register_with_unit("credential_expires_in", help, Unit::Seconds, expires_in);
        let help = "1 for each role that the application needs and does not have";
        registry.register("roles_missing", help, self.roles_missing.clone());
        let help = "1 where the last request for a token failed; an older one may still serve";
        registry.register("token_failing", help, self.token_failing.clone());
    }

    pub(super) fn absorb(&self, report: &Report) {
        // Kinds and roles come and go with what is in place.
        self.expires_in.clear();
        self.roles_missing.clear();
        for line in &report.credentials {
            let tenant = line.tenant.clone();
            if let Some(expiry) = line.expires {
                let of = KindOf { tenant: tenant.clone(), kind: expiry.kind.as_str() };
                let seconds = (expiry.at.0 - report.now.0) as f64 / 1e6;
                self.expires_in.get_or_create(&of).set(seconds);
            }
            for role in &line.roles_missing {
                let of = RoleOf { tenant: tenant.clone(), role: role.clone() };
                self.roles_missing.get_or_create(&of).set(1);
            }
            let failing = i64::from(line.error.is_some());
            self.token_failing.get_or_create(&Tenant { tenant }).set(failing);
        }
    }
}
