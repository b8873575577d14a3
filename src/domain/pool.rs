//! Who of many callers may call now: the pool of calls in flight of the whole process.
//!
//! A pool of a fixed size can't keep tenants apart: as many sick ones as it has places, each with
//! one call that hangs, shut everybody out. So each tenant has some places of its own, that nobody
//! else can take, and only those beyond them are shared. What is promised:
//!
//! - In flight are at most [`Pool::places`] calls.
//! - Whatever other tenants do, the first [`OWN_PLACES`] calls of a tenant never wait.
//! - A tenant's further calls wait at most until enough of *its own* have ended, and mostly not
//!   even that: of the shared places nobody takes more than a share of what is then free, so those
//!   who hold many leave some to those who hold few. Whoever has the fewest in flight goes first,
//!   of these who came first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ids::TenantName;
use crate::limits::{OWN_PLACES, PLACES_PER_TENANT, SHARED_PLACES, SHARED_PLACES_SHARE};

/// Counts calls in flight. Tenants of which nothing is in flight and nothing waits take no memory.
#[derive(Debug)]
pub struct Pool {
    shared_free: usize,
    callers: BTreeMap<TenantName, Caller>,
    /// Callers with someone waiting: by calls in flight, then by who has waited longest.
    waiting: BTreeSet<(usize, Ticket, TenantName)>,
    tickets: u64,
}

#[derive(Debug, Default)]
struct Caller {
    in_flight: usize,
    waiting: VecDeque<Ticket>,
}

/// A call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What whoever wants to call is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is in flight.
    Now,
    /// It is in flight once this ticket comes out of [`Pool::leave`].
    Waits(Ticket),
}

impl Pool {
    /// All places are free.
    pub fn new() -> Self {
        Self::of(SHARED_PLACES)
    }

    fn of(shared: usize) -> Self {
        Self { shared_free: shared, callers: BTreeMap::new(), waiting: BTreeSet::new(), tickets: 0 }
    }

    /// The most calls that may be in flight at once for so many tenants.
    pub const fn places(tenants: usize) -> usize {
        let own = OWN_PLACES.saturating_mul(tenants);
        let most = PLACES_PER_TENANT.saturating_mul(tenants);
        let all = own.saturating_add(SHARED_PLACES);
        if most < all { most } else { all }
    }

    /// A call of this tenant wants to begin.
    pub fn enter(&mut self, tenant: &TenantName) -> Entered {
        let in_flight = self.callers.get(tenant).map_or(0, |caller| caller.in_flight);
        // Nobody waits who may go. So whoever may go overtakes only those with more in flight.
        if self.may_go(in_flight) {
            self.go(tenant);
            return Entered::Now;
        }
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.change(tenant, |caller| caller.waiting.push_back(ticket));
        Entered::Waits(ticket)
    }

    /// A call of this tenant has ended. The calls of these tickets are in flight now.
    pub fn leave(&mut self, tenant: &TenantName) -> Vec<Ticket> {
        let mut left = false;
        self.change(tenant, |caller| {
            left = caller.in_flight > 0;
            caller.in_flight = caller.in_flight.saturating_sub(1);
        });
        debug_assert!(left, "{tenant} had nothing in flight");
        if left && self.in_flight_of(tenant) >= OWN_PLACES {
            self.shared_free += 1;
        }
        let mut gone = Vec::new();
        while let Some((in_flight, ticket, tenant)) = self.waiting.first().cloned()
            && self.may_go(in_flight)
        {
            self.change(&tenant, |caller| {
                caller.waiting.pop_front();
            });
            self.go(&tenant);
            gone.push(ticket);
        }
        gone
    }

    /// Whoever holds this ticket waits no more. Nothing happens where it is not waiting.
    pub fn give_up(&mut self, tenant: &TenantName, ticket: Ticket) {
        self.change(tenant, |caller| caller.waiting.retain(|other| *other != ticket));
    }

    /// Calls in flight, of all tenants.
    pub fn in_flight(&self) -> usize {
        self.callers.values().map(|caller| caller.in_flight).sum()
    }

    fn in_flight_of(&self, tenant: &TenantName) -> usize {
        self.callers.get(tenant).map_or(0, |caller| caller.in_flight)
    }

    /// Whether a tenant with so many in flight may have one more.
    fn may_go(&self, in_flight: usize) -> bool {
        match in_flight.checked_sub(OWN_PLACES) {
            None => true,
            Some(borrowed) => borrowed * SHARED_PLACES_SHARE < self.shared_free,
        }
    }

    fn go(&mut self, tenant: &TenantName) {
        if self.in_flight_of(tenant) >= OWN_PLACES {
            self.shared_free -= 1;
        }
        self.change(tenant, |caller| caller.in_flight += 1);
    }

    /// Every change of a caller, so that its place in the line is that of its numbers.
    fn change(&mut self, tenant: &TenantName, change: impl FnOnce(&mut Caller)) {
        let caller = self.callers.entry(tenant.clone()).or_default();
        if let Some(first) = caller.waiting.front() {
            self.waiting.remove(&(caller.in_flight, *first, tenant.clone()));
        }
        change(caller);
        if let Some(first) = caller.waiting.front() {
            self.waiting.insert((caller.in_flight, *first, tenant.clone()));
        } else if caller.in_flight == 0 {
            self.callers.remove(tenant);
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
