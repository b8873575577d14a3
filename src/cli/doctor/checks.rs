//! All checks, in the order in which one depends on another.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{
    Finding, Health, budget, certificates, channels, clock, disk, files, hosts, kafka, listeners,
    machine, rules, secrets, service, store, tenants,
};
use crate::config::Config;
use crate::limits::DOCTOR_WITHIN;

/// What needs the network, and what reads the whole store, goes side by side.
pub async fn all(config: Arc<Config>) -> Vec<Finding> {
    let mut findings = vec![Finding::new("configuration", Health::Ok, "readable, every key known")];
    findings.extend(secrets::secrets(&config));
    findings.extend(secrets::expiring(&config));
    findings.extend(files::account(&config));
    findings.extend(files::modes(&config));
    findings.extend(listeners::webhooks(&config));
    findings.push(listeners::admin(&config));
    findings.extend(certificates::all(&config));
    let (rules, asks_for_files) = rules::rules(&config);
    findings.push(rules);
    findings.push(machine::open_files(&config));
    findings.push(machine::memory());
    let dir = config.store.sqlite.clone();
    let disk = spawn_blocking(move || disk::all(&dir));
    let service = service::ask(&config).await;
    findings.extend(service::told(&config, &service).await);
    let (store, disk, budget, network, issuers, kafka) = tokio::join!(
        store::verified(&config),
        timeout(DOCTOR_WITHIN, disk),
        budget::all(&config, service.report()),
        async {
            let seen = hosts::all(&config).await;
            let tenants = tenants::all(&config, &seen, asks_for_files).await;
            (seen, tenants)
        },
        listeners::issuers(&config),
        kafka::all(&config),
    );
    let (hosts, tenants) = network;
    findings.push(store);
    match disk {
        Ok(Ok(disk)) => findings.extend(disk),
        Ok(Err(why)) => findings.push(Finding::new("disk", Health::Fail, why)),
        Err(_) => {
            let text = "it hangs: neither its room nor a sync could be seen; look at `dmesg`";
            findings.push(Finding::new("disk", Health::Fail, text));
        }
    }
    findings.push(clock::clock(hosts.clocks()));
    findings.extend(hosts.findings);
    findings.extend(tenants);
    findings.extend(budget);
    findings.extend(issuers);
    findings.extend(kafka);
    findings.extend(channels::channels(&config));
    findings
}
