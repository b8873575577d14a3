//! Each tenant: a token, and the roles in it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout, timeout_at};

use super::hosts::Seen;
use super::secrets::{is_unread, not_asked};
use super::{Finding, Health};
use crate::app::settings;
use crate::config::{Config, Tenant};
use crate::io::clock::SystemClock;
use crate::io::defender::{DefenderApi, Http, Reads, missing_roles};
use crate::limits::{DOCTOR_ASK, DOCTOR_SIDE_BY_SIDE, DOCTOR_WITHIN};

/// What a managed identity's tokens come from.
const METADATA: &str = "the metadata service of this machine";

/// Every tenant, some side by side, within [`DOCTOR_WITHIN`]. Those whose login does not answer are
/// not asked: why it does not is told once. `files` is whether a rule asks about files.
pub(super) async fn all(config: &Config, seen: &Seen, files: bool) -> Vec<Finding> {
    let http = match settings::http(config) {
        Ok(http) => http,
        Err(why) => return vec![Finding::new("tenant", Health::Fail, why)],
    };
    let until = sleep(DOCTOR_WITHIN).deadline();
    let asked = config.tenants.iter().map(|tenant| {
        let http = http.clone();
        async move {
            let check = format!("tenant {}", tenant.name);
            let login = settings::hosts(tenant).ok().and_then(|hosts| hosts.login);
            let login = login.as_deref().unwrap_or(METADATA);
            if seen.is_down(login) {
                let text = format!("no token was asked for: {login} fails above");
                return Finding::new(&check, Health::Warn, text);
            }
            let asked = timeout_at(until, timeout(DOCTOR_ASK, token(config, tenant, http, files)));
            match asked.await {
                Ok(Ok(finding)) => finding,
                Ok(Err(_)) => {
                    let seconds = DOCTOR_ASK.as_secs();
                    let text = format!("{login} gives no token within {seconds} s: try it again");
                    Finding::new(&check, Health::Fail, text)
                }
                Err(_) => {
                    let text = "no token was asked for: there was no time left";
                    Finding::new(&check, Health::Warn, text)
                }
            }
        }
    });
    futures_util::stream::iter(asked).buffered(DOCTOR_SIDE_BY_SIDE).collect().await
}

pub(super) async fn token(config: &Config, tenant: &Tenant, http: Http, files: bool) -> Finding {
    let check = format!("tenant {}", tenant.name);
    if is_unread(tenant.credential().secrets()) {
        return not_asked(&check, "no token was asked for");
    }
    let clock = Arc::new(SystemClock::new());
    let settings = match settings::defender(tenant, Duration::ZERO, http, clock, None) {
        Ok(settings) => settings,
        Err(why) => return Finding::new(&check, Health::Fail, why),
    };
    let login = settings.login.as_deref().unwrap_or(METADATA);
    let urls = format!("of {login}, for calls to {}", settings.api);
    let api = match DefenderApi::new(settings) {
        Ok(api) => api,
        Err(why) => return Finding::new(&check, Health::Fail, why),
    };
    let roles = match api.roles().await {
        Ok(roles) => roles,
        Err(why) => return Finding::new(&check, Health::Fail, format!("{why}; asked {urls}")),
    };
    let missing = missing_roles(&roles, reads(config, tenant, files));
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

/// What this tenant's token is to allow: `files` is whether a rule asks about files.
fn reads(config: &Config, tenant: &Tenant, files: bool) -> Reads {
    Reads { alerts: settings::reads_alerts(config, tenant), files }
}
