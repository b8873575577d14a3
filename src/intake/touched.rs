//! Whose relays hear of what was taken.

use std::collections::BTreeSet;

use crate::domain::decision::{Answered, Decision};
use crate::domain::ids::{ActionId, EffectKey, TenantName};

/// Only tenants whose effects were touched: a thousand others would each read the store. None where
/// nothing was decided that a relay could go on with.
pub(super) fn tenants<'e>(
    answer: &Answered,
    effects: &'e [(EffectKey, ActionId)],
) -> BTreeSet<&'e TenantName> {
    let acts = answer.alerts.iter().flat_map(|alert| &alert.candidates).any(|candidate| {
        matches!(candidate.decision, Decision::Act { .. } | Decision::Duplicate { .. })
    });
    let touched = effects.iter().filter(|_| acts || answer.acts_elsewhere);
    touched.map(|(key, _)| &key.tenant).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::decision::{AlertAnswer, CandidateAnswer, Fate};
    use crate::domain::ids::{MachineId, Sha1};

    fn action(number: u128) -> ActionId {
        ActionId(Uuid::from_u128(number))
    }

    fn answered(decision: Decision) -> Answered {
        let (machine, sha1) = (String::new(), String::new());
        let candidates = vec![CandidateAnswer { machine, sha1, decision }];
        let (alert, reason) = ("a-1".to_owned(), String::new());
        let alerts = vec![AlertAnswer { alert, fate: Fate::NoMatch, reason, candidates }];
        Answered { alerts, ..Answered::default() }
    }

    /// File 1 on machine `machine` of a tenant.
    fn of(tenant: &str, machine: u8) -> (EffectKey, ActionId) {
        let key = EffectKey {
            tenant: TenantName::new(tenant),
            machine: MachineId::from_bytes([machine; 20]),
            sha1: Sha1::from_bytes([1; 20]),
        };
        (key, action(machine.into()))
    }

    #[test]
    fn only_relays_of_tenants_whose_effects_were_touched_hear_each_once() {
        let effects = [of("contoso", 1), of("fabrikam", 2), of("contoso", 3)];
        let expected = ["contoso", "fabrikam"].map(TenantName::new);
        let acts = Decision::Act { action: action(1), rules: Vec::new(), released: false };
        let raised = Decision::Duplicate { of: action(1), why: String::new() };
        for decision in [acts, raised] {
            assert!(tenants(&answered(decision.clone()), &effects).into_iter().eq(&expected));
            assert!(tenants(&answered(decision), &[]).is_empty(), "nobody else");
        }
        let none = Decision::NoMatch { why: String::new() };
        assert!(tenants(&answered(none.clone()), &effects).is_empty(), "nothing to go on with");
        let elsewhere = Answered { acts_elsewhere: true, ..answered(none) };
        assert!(tenants(&elsewhere, &effects).into_iter().eq(&expected));
    }
}
