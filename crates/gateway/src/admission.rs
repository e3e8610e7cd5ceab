//! How many connections there may be: in all, from one address, and of one person.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::config::Server;
use crate::telemetry::metrics;

/// Counts the open connections.
#[derive(Clone, Debug)]
pub(crate) struct Admission(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    total: AtomicU64,
    total_max: u64,
    by_address: DashMap<IpAddr, u64>,
    by_address_max: u64,
    by_user: DashMap<Arc<str>, u64>,
    by_user_max: u64,
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

impl Admission {
    pub(crate) fn new(server: &Server) -> Self {
        Self(Arc::new(Counts {
            total: AtomicU64::new(0),
            total_max: server.connections_max.number(),
            by_address: DashMap::new(),
            by_address_max: server.connections_per_address_max.number(),
            by_user: DashMap::new(),
            by_user_max: server.connections_per_user_max.number(),
        }))
    }

    /// Counts a connection in, or says what is full.
    pub(crate) fn admit(&self, address: IpAddr, user: &str) -> Result<Permit, NoRoom> {
        let counts = &self.0;
        let user: Arc<str> = user.into();
        let is_below = |total| (total < counts.total_max).then_some(total + 1);
        counts
            .total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_below)
            .map_err(|_| NoRoom::Replica)?;
        if !take(&counts.by_address, address, counts.by_address_max) {
            counts.total.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::Address);
        }
        if !take(&counts.by_user, Arc::clone(&user), counts.by_user_max) {
            give_back(&counts.by_address, address);
            counts.total.fetch_sub(1, Ordering::Relaxed);
            return Err(NoRoom::User);
        }
        metrics::connected();
        Ok(Permit { counts: Arc::clone(counts), address, user })
    }

    /// Whether the replica has as many connections as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.total() >= self.0.total_max
    }

    /// The number of open connections.
    pub(crate) fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        give_back(&self.counts.by_user, Arc::clone(&self.user));
        give_back(&self.counts.by_address, self.address);
        self.counts.total.fetch_sub(1, Ordering::Relaxed);
        metrics::disconnected();
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
        assert!(admission.0.by_address.is_empty() && admission.0.by_user.is_empty());
    }
}
