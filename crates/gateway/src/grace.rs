//! How many lost connections may leave sessions behind, which keep their places for `grace`.
//!
//! Connections that are open are counted (see [`crate::admission`]), but those that were lost are not open:
//! whoever connects, joins and breaks off, again and again, would fill a topic with people who are not there.
//! So a person and an address have a budget: as many at once as they may have connections, and as many more
//! in each `grace`. Beyond it the sessions of a lost connection end at once.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Config;

/// The budgets of all persons and addresses.
#[derive(Debug)]
pub(crate) struct Grace {
    by_user: DefaultKeyedRateLimiter<Arc<str>>,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
}

impl Grace {
    pub(crate) fn new(config: &Config) -> Self {
        let (server, grace) = (&config.server, config.presence.grace.duration());
        Self {
            by_user: limiter(server.connections_per_user_max.as_u32(), grace),
            by_address: limiter(server.connections_per_address_max.as_u32(), grace),
        }
    }

    /// Charges a lost connection; returns whether its sessions may wait.
    pub(crate) fn allow(&self, user: &Arc<str>, network: IpAddr) -> bool {
        // Of a person without budget the address is not charged.
        self.by_user.check_key(user).is_ok() && self.by_address.check_key(&network).is_ok()
    }

    /// Forgets those whose budget is whole again.
    pub(crate) fn tidy(&self) {
        self.by_user.retain_recent();
        self.by_address.retain_recent();
    }
}

fn limiter<K: Clone + Eq + Hash>(most: u32, grace: Duration) -> DefaultKeyedRateLimiter<K> {
    let burst = NonZeroU32::new(most).unwrap_or(NonZeroU32::MIN);
    let each = (grace / burst.get()).max(Duration::from_nanos(1));
    let quota = Quota::with_period(each).unwrap_or(Quota::per_second(burst));
    RateLimiter::keyed(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn grace(text: &str) -> Grace {
        Grace::new(&toml::from_str(text).unwrap())
    }

    fn network(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn a_person_and_an_address_have_as_many_as_connections_and_others_are_not_charged() {
        let grace = grace(
            "[server]\nconnections_per_user_max = 2\nconnections_per_address_max = 3\n\
             [presence]\ngrace = \"10m\"",
        );
        let allow = |user: &str, last| grace.allow(&user.into(), network(last));
        assert!(allow("ann", 1) && allow("ann", 1));
        assert!(!allow("ann", 1) && !allow("ann", 2));
        assert!(allow("bob", 1), "ann's refusals cost the address nothing");
        assert!(!allow("cy", 1) && allow("cy", 2));
    }

    #[test]
    fn whose_budget_is_whole_again_is_forgotten() {
        let grace = grace("[presence]\ngrace = \"0s\"");
        (0..100).for_each(|n| assert!(grace.allow(&n.to_string().into(), network(n))));
        grace.tidy();
        assert_eq!((grace.by_user.len(), grace.by_address.len()), (0, 0));
    }
}
