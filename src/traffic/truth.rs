//! What must come of an incident. It knows what happened and what was told of it, and reads nothing
//! of what was written.

use super::Call;
use super::model::{Alert, Entity, Hash, Met, Severity, Status, Told};

/// What is due for one file of an alert.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Call(Call),
    /// The rule is for it, and it can't be acted on, because of this.
    Incomplete(&'static str),
    Nothing,
}

/// The rule, and what has to be known for a call. What is not told can't lead to one, and what is
/// told leads to the machine where the file was.
pub(super) fn of(alert: &Alert, met: &Met) -> Due {
    let severe = matches!(alert.severity, Severity::Medium | Severity::High);
    let detected = met.entity == Entity::File && met.status == Status::Detected;
    if !severe || !detected || !alert.tenant_is_known {
        return Due::Nothing;
    }
    if !alert.has_info {
        return Due::Incomplete("incomplete without AlertInfo");
    }
    match met.hash {
        Hash::Both | Hash::Column | Hash::Nested => {}
        Hash::Nowhere | Hash::Zeros => return Due::Incomplete("incomplete without a hash"),
        Hash::Differs(_) => return Due::Incomplete("incomplete since hashes differ"),
    }
    if met.told == Told::Nowhere {
        if alert.machines.is_empty() {
            return Due::Incomplete("incomplete without a machine");
        }
        if alert.named().len() > 1 {
            return Due::Incomplete("incomplete since there are several machines");
        }
    }
    Due::Call(Call {
        tenant: alert.tenant.clone(),
        machine: met.machine.id.clone(),
        sha1: met.file.sha1.clone(),
    })
}
