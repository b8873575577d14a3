//! How many connections are open, in all and from each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

pub struct Connections {
    total: usize,
    per_address: usize,
    open: Mutex<Open>,
    gauge: Gauge,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Counts until it is dropped.
pub struct Admitted {
    connections: Arc<Connections>,
    address: IpAddr,
}

/// Which limit one more connection would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Total,
    Address,
}

impl Connections {
    /// `gauge` shows how many are open.
    pub fn new(total: usize, per_address: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { total, per_address, open: Mutex::default(), gauge })
    }

    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Exceeded> {
        let address = host(address);
        let mut open = self.open();
        if open.total >= self.total {
            return Err(Exceeded::Total);
        }
        let from_there = open.by_address.entry(address).or_default();
        if *from_there >= self.per_address {
            return Err(Exceeded::Address);
        }
        *from_there += 1;
        open.total += 1;
        self.gauge.inc();
        Ok(Admitted { connections: Arc::clone(self), address })
    }

    /// The counts are whole between any two statements that could panic.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.connections.open();
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
        let connections = Connections::new(3, 2, Gauge::default());
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

    #[test]
    fn a_host_does_not_multiply_by_its_ipv6_network() {
        let connections = Connections::new(9, 1, Gauge::default());
        let one = connections.admit(address("2001:db8:0:1::1")).ok().unwrap();
        assert_eq!(connections.admit(address("2001:db8:0:1::2")).err(), Some(Exceeded::Address));
        assert!(connections.admit(address("2001:db8:0:2::1")).is_ok());
        drop(one);
        assert!(connections.open().by_address.is_empty());
    }
}
