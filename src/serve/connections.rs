//! How many connections are open, in all and from each address.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use super::ConnectionLimits;

pub struct Connections {
    total: usize,
    per_address: usize,
    strangers_make_room: bool,
    open: Mutex<Open>,
    gauge: Gauge,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Those that nobody has vouched for, by the order in which they came.
    strangers: BTreeMap<u64, (IpAddr, CancellationToken)>,
    next: u64,
}

/// Counts until it is dropped.
pub struct Admitted {
    connections: Arc<Connections>,
    address: IpAddr,
    number: u64,
    /// It has to make room.
    pub cut: CancellationToken,
}

/// Which limit one more connection would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Total,
    Address,
}

impl Connections {
    /// `gauge` shows how many are open.
    pub fn new(limits: &ConnectionLimits, gauge: Gauge) -> Arc<Self> {
        let ConnectionLimits { total, per_address, strangers_make_room, .. } = *limits;
        Arc::new(Self { total, per_address, strangers_make_room, open: Mutex::default(), gauge })
    }

    /// Counts one more connection. Where a limit is reached and strangers make room, the oldest of
    /// those that count against it is cut instead: else anyone could keep people out by idling.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Exceeded> {
        let address = host(address);
        let mut open = self.open();
        let from_there = open.by_address.get(&address).copied().unwrap_or(0);
        let exceeded = match (open.total >= self.total, from_there >= self.per_address) {
            (_, true) => Some(Exceeded::Address),
            (true, false) => Some(Exceeded::Total),
            (false, false) => None,
        };
        if let Some(exceeded) = exceeded {
            let mut strangers = open.strangers.iter();
            let counts = |of: IpAddr| exceeded == Exceeded::Total || of == address;
            let oldest = strangers.find(|(_, (of, _))| self.strangers_make_room && counts(*of));
            let oldest = oldest.map(|(number, _)| *number).ok_or(exceeded)?;
            if let Some((_, cut)) = open.strangers.remove(&oldest) {
                cut.cancel();
            }
        }
        *open.by_address.entry(address).or_default() += 1;
        open.total += 1;
        let (number, cut) = (open.next, CancellationToken::new());
        open.next += 1;
        open.strangers.insert(number, (address, cut.clone()));
        self.gauge.inc();
        Ok(Admitted { connections: Arc::clone(self), address, number, cut })
    }

    /// The counts are whole between any two statements that could panic.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Lets its connection be vouched for.
    pub fn guest(&self) -> Guest {
        Guest { connections: Arc::clone(&self.connections), number: self.number }
    }
}

/// The connection of a request, as an extension of it.
#[derive(Clone)]
pub struct Guest {
    connections: Arc<Connections>,
    number: u64,
}

impl Guest {
    /// From now on it makes room for no other.
    pub fn is_known(&self) {
        self.connections.open().strangers.remove(&self.number);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.strangers.remove(&self.number);
        open.total -= 1;
        self.connections.gauge.dec();
        if let Some(from_there) = open.by_address.get_mut(&self.address) {
            *from_there -= 1;
            if *from_there == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

impl Exceeded {
    pub fn reason(self) -> &'static str {
        match self {
            Exceeded::Total => "total",
            Exceeded::Address => "address",
        }
    }
}

/// What one host is commonly given: an IPv4 address, or an IPv6 /64.
pub fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_can_not_take_what_is_meant_for_all() {
        let connections = Connections::new(&limits(3, 2), Gauge::default());
        let first = connections.admit(address("192.0.2.1")).ok();
        let _second = connections.admit(address("::ffff:192.0.2.1")).ok().unwrap();
        assert_eq!(connections.admit(address("192.0.2.1")).err(), Some(Exceeded::Address));
        let _other = connections.admit(address("192.0.2.2")).ok().unwrap();
        assert_eq!(connections.admit(address("192.0.2.3")).err(), Some(Exceeded::Total));
        assert_eq!(connections.gauge.get(), 3);
        drop(first);
        assert_eq!(connections.gauge.get(), 2);
        assert!(connections.admit(address("192.0.2.1")).is_ok());
    }

    fn limits(total: usize, per_address: usize) -> ConnectionLimits {
        ConnectionLimits { total, per_address, ..ConnectionLimits::default() }
    }

    #[test]
    fn the_oldest_stranger_makes_room_and_who_is_known_does_not() {
        let limits = ConnectionLimits { strangers_make_room: true, ..limits(3, 2) };
        let connections = Connections::new(&limits, Gauge::default());
        let admit = |of: &str| connections.admit(address(of)).ok().unwrap();
        let (other, first, second) = (admit("192.0.2.9"), admit("192.0.2.1"), admit("192.0.2.1"));
        first.guest().is_known();
        let third = admit("192.0.2.1");
        let cut = |admitted: &Admitted| admitted.cut.is_cancelled();
        assert_eq!([&other, &first, &second, &third].map(cut), [false, false, true, false]);
        drop(second);
        third.guest().is_known();
        assert_eq!(connections.admit(address("192.0.2.1")).err(), Some(Exceeded::Address));
        let _fourth = admit("192.0.2.2");
        assert!(cut(&other), "the limit over all is everybody's");
    }

    #[test]
    fn a_host_does_not_multiply_by_its_ipv6_network() {
        let connections = Connections::new(&limits(9, 1), Gauge::default());
        let one = connections.admit(address("2001:db8:0:1::1")).ok().unwrap();
        assert_eq!(connections.admit(address("2001:db8:0:1::2")).err(), Some(Exceeded::Address));
        assert!(connections.admit(address("2001:db8:0:2::1")).is_ok());
        drop(one);
        assert!(connections.open().by_address.is_empty());
    }
}
