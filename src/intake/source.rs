//! What intake knows of a source, and how many rows it keeps.

use std::sync::{Mutex, PoisonError};

use crate::domain::ids::TenantName;
use crate::domain::time::Wall;

/// What one source delivers, and for whom it speaks.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) format: String,
    /// Name and Entra tenant id.
    pub(super) tenants: Vec<(TenantName, uuid::Uuid)>,
}

/// How many rows of one kind may still be kept in this second.
pub(super) struct RowAllowance {
    per_second: u32,
    /// The second, and how many were kept in it.
    used: Mutex<(i64, u32)>,
}

impl RowAllowance {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, used: Mutex::new((0, 0)) }
    }

    pub(super) fn take(&self, now: Wall) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.0.div_euclid(1_000_000);
        if second > used.0 {
            *used = (second, 0);
        }
        let allowed = used.1 < self.per_second;
        used.1 += u32::from(allowed);
        allowed
    }
}

impl Source {
    /// A source of one format, by its name, that speaks for these tenants, by name and Entra
    /// tenant id.
    pub fn new(format: &str, tenants: Vec<(TenantName, uuid::Uuid)>) -> Self {
        Self { format: format.to_owned(), tenants }
    }

    /// The tenant an alert belongs to, or what it names that this source does not speak for.
    pub(super) fn tenant_of(&self, tenant_id: Option<&str>) -> Result<&TenantName, String> {
        match (tenant_id, &self.tenants[..]) {
            (Some(named), tenants) => {
                let id = uuid::Uuid::try_parse(named).ok();
                let known = tenants.iter().find(|(_, known)| Some(*known) == id);
                known.map(|(name, _)| name).ok_or_else(|| bounded(named, 64))
            }
            (None, [(only, _)]) => Ok(only),
            (None, _) => Err("(none: this source speaks for several)".to_owned()),
        }
    }
}

/// The start of untrusted text, without control characters.
fn bounded(text: &str, chars: usize) -> String {
    text.chars().take(chars).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
