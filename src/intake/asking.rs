//! How whoever asks Defender is woken, and what hinders them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::domain::ids::TenantName;

/// Of all tenants' askers.
#[derive(Default)]
pub struct Asking {
    bell: Notify,
    troubles: Mutex<BTreeMap<TenantName, String>>,
}

impl Asking {
    /// There may be something new to ask.
    pub(super) fn ring(&self) {
        self.bell.notify_waiters();
    }

    pub(super) fn rung(&self) -> Notified<'_> {
        self.bell.notified()
    }

    pub(super) fn trouble(&self, tenant: &TenantName, trouble: Option<&str>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => troubles.insert(tenant.clone(), trouble.to_owned()),
            None => troubles.remove(tenant),
        };
    }

    /// Why Defender does not tell what it is asked, by tenant.
    pub fn troubles(&self) -> BTreeMap<TenantName, String> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
