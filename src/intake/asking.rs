//! How whoever asks Defender is woken, and what hinders them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::ids::TenantName;

/// Of all tenants' askers.
#[derive(Default)]
pub struct Asking {
    bells: Mutex<BTreeMap<TenantName, Arc<Notify>>>,
    troubles: Mutex<BTreeMap<TenantName, String>>,
}

impl Asking {
    /// There may be something new to ask for this tenant. Whoever is busy hears it afterwards.
    pub(super) fn ring(&self, tenant: &TenantName) {
        self.bell_of(tenant).notify_one();
    }

    pub(super) fn bell_of(&self, tenant: &TenantName) -> Arc<Notify> {
        let mut bells = lock(&self.bells);
        if let Some(bell) = bells.get(tenant) {
            return bell.clone();
        }
        bells.entry(tenant.clone()).or_default().clone()
    }

    pub(super) fn trouble(&self, tenant: &TenantName, trouble: Option<&str>) {
        let mut troubles = lock(&self.troubles);
        match trouble {
            Some(trouble) => troubles.insert(tenant.clone(), trouble.to_owned()),
            None => troubles.remove(tenant),
        };
    }

    /// Why Defender does not tell what it is asked, by tenant.
    pub fn troubles(&self) -> BTreeMap<TenantName, String> {
        lock(&self.troubles).clone()
    }
}

/// What a panic left behind here is whole: every change is one of the table.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
