//! The call that cancels a machine action.

use super::*;
use crate::domain::answer::CancelAnswer;
use crate::domain::ids::MachineActionId;
use crate::simulator::{Effect, Endpoint, Fault, Machine, Trouble};

impl World {
    async fn cancel(&self, id: &str) -> CancelAnswer {
        let id = MachineActionId::parse(id).unwrap();
        self.api.cancel(Permit::for_tests(), id, "Recalled by Lazaret: harmless".to_owned()).await
    }

    /// A machine action that stays pending.
    async fn pending(&self) -> String {
        self.simulator.set_machine(MACHINE, Machine { offline: true, ..Machine::default() });
        match self.quarantine().await {
            Answer::Accepted { machine_action } => machine_action.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_pending_action_is_cancelled_and_a_second_time_refused() {
    let world = World::new().await;
    let id = world.pending().await;
    assert_eq!(world.cancel(&id).await, CancelAnswer::Done);
    assert!(
        matches!(world.cancel(&id).await, CancelAnswer::Refused { text } if text.contains("final"))
    );
    assert!(matches!(world.cancel("ma-2").await, CancelAnswer::NotFound { .. }));
    let shown = &world.simulator.machine_actions()[0];
    assert_eq!(shown["cancellationComment"], "Recalled by Lazaret: harmless");
}

#[tokio::test]
async fn one_call_is_made_whatever_comes_back_and_none_for_an_id_that_could_steer() {
    let world = World::new().await;
    let id = world.pending().await;
    for trouble in [Trouble::Drop, Trouble::status(503), Trouble::status(302), Trouble::status(403)]
    {
        world.simulator.fault(Fault::next(Endpoint::Cancel, Effect::None, trouble.clone()));
        let answer = world.cancel(&id).await;
        assert!(matches!(answer, CancelAnswer::Failed { .. }), "{trouble:?}: {answer:?}");
    }
    assert_eq!(world.simulator.calls_to(Endpoint::Cancel).len(), 4);
    for steering in ["..", "a/../b", "a?b"] {
        assert!(matches!(world.cancel(steering).await, CancelAnswer::Refused { .. }), "{steering}");
    }
    assert_eq!(world.simulator.calls_to(Endpoint::Cancel).len(), 4);
}
