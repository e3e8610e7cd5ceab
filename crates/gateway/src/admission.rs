//! How many connections there may be: in all, from one address, and of one person.
//!
//! A TCP connection is counted as an [`Arrival`] from accept on, before its first byte: whoever says nothing
//! costs a file too. When it becomes a WebSocket it gives that place back and holds a [`Permit`].

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::config::Server;
use crate::telemetry::metrics;

/// How many TCP connections may stand beside each WebSocket that is allowed: a client of long polling, which
/// is counted as a connection too, asks over one and posts over another. The file limit of
/// `deploy/penholder.service` has room for both.
pub(crate) const ARRIVALS_PER_CONNECTION: u64 = 2;

/// Counts the open connections.
#[derive(Clone, Debug)]
pub(crate) struct Admission(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    places: Places,
    by_user: DashMap<Arc<str>, u64>,
    by_user_max: u64,
    arrivals: Places,
}

/// Places in all, and of one address.
#[derive(Debug)]
struct Places {
    total: AtomicU64,
    total_max: u64,
    by_address: DashMap<IpAddr, u64>,
    by_address_max: u64,
}

/// Why there is no room. Trying again later can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The replica is full.
    Replica,
    /// This address has as many as it may.
    Address,
    /// This person has as many as they may.
    User,
}

/// One counted connection; dropping it gives its places back.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: Arc<Counts>,
    address: IpAddr,
    user: Arc<str>,
}

/// One counted TCP connection that is no WebSocket; dropping it gives its place back.
#[derive(Debug)]
pub(crate) struct Arrival {
    counts: Arc<Counts>,
    /// None behind a trusted proxy, where many people share it.
    address: Option<IpAddr>,
}

impl Admission {
    pub(crate) fn new(server: &Server) -> Self {
        let (total_max, by_address_max) =
            (server.connections_max.number(), server.connections_per_address_max.number());
        let arrivals = |max: u64| max.saturating_mul(ARRIVALS_PER_CONNECTION);
        Self(Arc::new(Counts {
            places: Places::new(total_max, by_address_max),
            by_user: DashMap::new(),
            by_user_max: server.connections_per_user_max.number(),
            arrivals: Places::new(arrivals(total_max), arrivals(by_address_max)),
        }))
    }

    /// Counts a TCP connection in, or says what is full. One without an address, as all those of a trusted
    /// proxy, takes a place of all only.
    pub(crate) fn arrive(&self, address: Option<IpAddr>) -> Result<Arrival, NoRoom> {
        let counts = &self.0;
        counts.arrivals.take(address)?;
        metrics::arrived();
        Ok(Arrival { counts: Arc::clone(counts), address })
    }

    /// Counts a connection in, or says what is full.
    pub(crate) fn admit(&self, address: IpAddr, user: &str) -> Result<Permit, NoRoom> {
        let counts = &self.0;
        let user: Arc<str> = user.into();
        counts.places.take(Some(address))?;
        if !take(&counts.by_user, Arc::clone(&user), counts.by_user_max) {
            counts.places.give_back(Some(address));
            return Err(NoRoom::User);
        }
        metrics::connected();
        Ok(Permit { counts: Arc::clone(counts), address, user })
    }

    /// Whether the replica has as many connections as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.total() >= self.0.places.total_max
    }

    /// The number of open connections.
    pub(crate) fn total(&self) -> u64 {
        self.0.places.total.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Whose connection it is, and the network that it came from.
    pub(crate) fn holder(&self) -> (&Arc<str>, IpAddr) {
        (&self.user, network(self.address))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        give_back(&self.counts.by_user, Arc::clone(&self.user));
        self.counts.places.give_back(Some(self.address));
        metrics::disconnected();
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.counts.arrivals.give_back(self.address);
        metrics::departed();
    }
}

impl Places {
    fn new(total_max: u64, by_address_max: u64) -> Self {
        Self { total: AtomicU64::new(0), total_max, by_address: DashMap::new(), by_address_max }
    }

    fn take(&self, address: Option<IpAddr>) -> Result<(), NoRoom> {
        let is_below = |total| (total < self.total_max).then_some(total + 1);
        self.total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_below)
            .map_err(|_| NoRoom::Replica)?;
        let has_room = address
            .is_none_or(|address| take(&self.by_address, network(address), self.by_address_max));
        if !has_room {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::Address);
        }
        Ok(())
    }

    fn give_back(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            give_back(&self.by_address, network(address));
        }
        self.total.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What counts as one address. A host on IPv6 has a network of 64 bits to itself, and could come from
/// another address of it each time.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn take<K: Eq + Hash>(counts: &DashMap<K, u64>, key: K, max: u64) -> bool {
    let mut count = counts.entry(key).or_insert(0);
    let has_room = *count < max;
    *count += u64::from(has_room);
    has_room
}

fn give_back<K: Eq + Hash>(counts: &DashMap<K, u64>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::Config;

    fn admission(config: &str) -> Admission {
        let config: Config = toml::from_str(config).unwrap();
        Admission::new(&config.server)
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn each_bound_holds_at_the_limit_and_frees_with_the_permit() {
        let admission = admission(
            "[server]\nconnections_max = 3\nconnections_per_address_max = 2\nconnections_per_user_max = 2",
        );
        let first = admission.admit(address(1), "ada").unwrap();
        let _second = admission.admit(address(1), "bob").unwrap();
        assert_eq!(admission.admit(address(1), "cy").unwrap_err(), NoRoom::Address);
        let _third = admission.admit(address(2), "ada").unwrap();
        assert_eq!(admission.admit(address(3), "cy").unwrap_err(), NoRoom::Replica);
        drop(first);
        assert_eq!(admission.total(), 2);
        let _fourth = admission.admit(address(2), "ada").unwrap();
        drop(_third);
        let _fifth = admission.admit(address(3), "cy").unwrap();
        drop(_fifth);
    }

    #[test]
    fn a_refusal_leaves_no_trace() {
        let admission = admission("[server]\nconnections_per_user_max = 1");
        let first = admission.admit(address(1), "ada").unwrap();
        assert_eq!(admission.admit(address(2), "ada").unwrap_err(), NoRoom::User);
        drop(first);
        assert_eq!(admission.total(), 0);
        assert!(admission.0.places.by_address.is_empty() && admission.0.by_user.is_empty());
    }
    #[test]
    fn those_who_say_nothing_are_bounded_and_leave_room_for_those_who_do() {
        let admission = admission(
            "[server]\nconnections_max = 2\nconnections_per_address_max = 1\nconnections_per_user_max = 9",
        );
        let arrive = |last| admission.arrive(Some(address(last)));
        let both = (arrive(1).unwrap(), arrive(1).unwrap());
        assert_eq!(arrive(1).unwrap_err(), NoRoom::Address);
        let permit = admission.admit(address(1), "ada").unwrap();
        let others = (arrive(2).unwrap(), admission.arrive(None).unwrap());
        assert_eq!(arrive(3).unwrap_err(), NoRoom::Replica);
        assert_eq!(admission.arrive(None).unwrap_err(), NoRoom::Replica);
        drop((both, others, permit));
        let arrivals = &admission.0.arrivals;
        assert_eq!(arrivals.total.load(Ordering::Relaxed), 0);
        assert!(arrivals.by_address.is_empty());
    }

    #[test]
    fn a_trusted_proxy_has_no_bound_of_its_own() {
        let admission = admission("[server]\nconnections_per_address_max = 1");
        let through: Result<Vec<_>, _> = (0..100).map(|_| admission.arrive(None)).collect();
        assert_eq!(through.unwrap().len(), 100);
    }

    #[test]
    fn a_host_on_ipv6_is_one_address_whichever_it_comes_from() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(parse("2001:db8:1:2::7")), network(parse("2001:db8:1:2:a:b:c:d")));
        assert_ne!(network(parse("2001:db8:1:2::7")), network(parse("2001:db8:1:3::7")));
        assert_eq!(network(parse("::ffff:10.0.0.1")), parse("10.0.0.1"));
        assert_ne!(network(parse("10.0.0.1")), network(parse("10.0.0.2")));
    }
}
