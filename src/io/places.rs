//! Places for calls to Defender, in the order that [`Pool`] decides. Whoever calls holds one from
//! before the call until after its answer: attempts, lists, cancels and questions alike, since each
//! takes a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::ids::TenantName;
use crate::domain::pool::{Entered, Pool, Ticket};

/// The pool of this process. Clones share it.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    pool: Pool,
    waiting: HashMap<Ticket, (TenantName, oneshot::Sender<Place>)>,
}

/// A call in flight; dropped when it is over.
#[must_use]
pub struct Place {
    places: Places,
    tenant: TenantName,
}

/// A call that waits; dropped where nobody wants it any more.
struct Waiting<'a> {
    places: &'a Places,
    tenant: &'a TenantName,
    ticket: Ticket,
}

impl Places {
    /// Waits for its turn. Whoever stops waiting has lost it.
    pub async fn place(&self, tenant: &TenantName) -> Place {
        let (ticket, turn) = {
            let mut state = self.lock();
            match state.pool.enter(tenant) {
                Entered::Now => return self.of(tenant),
                Entered::Waits(ticket) => {
                    let (to, turn) = oneshot::channel();
                    state.waiting.insert(ticket, (tenant.clone(), to));
                    (ticket, turn)
                }
            }
        };
        let _waiting = Waiting { places: self, tenant, ticket };
        turn.await.expect("who waits is in the table until its turn")
    }

    fn of(&self, tenant: &TenantName) -> Place {
        Place { places: self.clone(), tenant: tenant.clone() }
    }

    /// The pool is whole after each of its calls, and nothing panics between two of them.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let turns: Vec<_> = {
            let mut state = self.places.lock();
            let tickets = state.pool.leave(&self.tenant);
            tickets.iter().filter_map(|ticket| state.waiting.remove(ticket)).collect()
        };
        for (tenant, turn) in turns {
            // A place that nobody takes any more comes back and is dropped, hence free again: not
            // under the lock.
            drop(turn.send(self.places.of(&tenant)));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            state.pool.give_up(self.tenant, self.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::limits::{OWN_PLACES, SHARED_PLACES};

    fn tenant(n: usize) -> TenantName {
        TenantName::new(&format!("t{n}"))
    }

    /// Of which all own places are taken.
    const ONE: usize = SHARED_PLACES;

    /// Every shared place is taken, one by each of these.
    fn full(places: &Places) -> Vec<Place> {
        let others = (0..SHARED_PLACES).flat_map(|n| [n; OWN_PLACES + 1]);
        let calls = [ONE; OWN_PLACES].into_iter().chain(others);
        calls.map(|n| places.place(&tenant(n)).now_or_never().expect("there is room")).collect()
    }

    #[test]
    fn a_place_that_is_dropped_goes_to_who_waits() {
        let places = Places::default();
        let mut held = full(&places);
        let one = tenant(ONE);
        let mut first = Box::pin(places.place(&one));
        let mut second = Box::pin(places.place(&one));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(held.pop());
        assert!(second.as_mut().now_or_never().is_none(), "the first one goes first");
        let place = first.now_or_never().expect("its turn has come");
        drop(place);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn who_stops_waiting_loses_its_turn_and_no_place() {
        let places = Places::default();
        let mut held = full(&places);
        let one = tenant(ONE);
        let mut gone = Box::pin(places.place(&one));
        let mut late = Box::pin(places.place(&one));
        let mut next = Box::pin(places.place(&one));
        for waits in [&mut gone, &mut late, &mut next] {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        drop(gone);
        drop(held.pop());
        // Its turn has come, and it does not look.
        drop(late);
        assert!(next.now_or_never().is_some());
        drop(held);
        assert_eq!(places.lock().pool.in_flight(), 0);
        assert!(places.lock().waiting.is_empty());
    }
}
