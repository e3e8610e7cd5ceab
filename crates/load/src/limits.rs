//! What the operating system allows this process, raised as far as it may be.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the tool needs beside one for each client.
const DESCRIPTORS_BESIDE: u64 = 200;

/// Clients of one source address: far fewer than the ports that the kernel draws from, so that those
/// of closed connections, which it keeps for a minute, are never missed.
const CLIENTS_PER_ADDRESS: u32 = 4000;

/// Raises the limit on open files to the hard one, for this process and the servers that it starts.
///
/// # Errors
///
/// The hard limit has no room for that many clients.
pub(crate) fn raise_open_files(clients: u32) -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    let needed = u64::from(clients) + DESCRIPTORS_BESIDE;
    let most = maximum.unwrap_or(u64::MAX);
    ensure!(
        needed <= most,
        "{clients} clients need {needed} open files and {most} are allowed; raise the hard limit \
         (ulimit -Hn) or ask for fewer with --clients"
    );
    Ok(())
}

/// The address that a client connects from: several of the loopback network, as each has its own
/// ephemeral ports. `None` leaves it to the kernel, where the server is elsewhere.
pub(crate) fn source(server: IpAddr, client: u32) -> Option<IpAddr> {
    let is_loopback = matches!(server, IpAddr::V4(address) if address.is_loopback());
    let host = u8::try_from(1 + client / CLIENTS_PER_ADDRESS).unwrap_or(u8::MAX);
    (is_loopback && cfg!(target_os = "linux")).then(|| Ipv4Addr::new(127, 0, 0, host).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_serves_so_many_clients_and_then_the_next_one() {
        let server = Ipv4Addr::LOCALHOST.into();
        assert_eq!(source(server, 0), Some(Ipv4Addr::LOCALHOST.into()));
        let next = source(server, CLIENTS_PER_ADDRESS);
        assert_eq!(next, Some(Ipv4Addr::new(127, 0, 0, 2).into()));
        assert_eq!(source(Ipv4Addr::new(10, 0, 0, 1).into(), 0), None);
    }

    #[test]
    fn more_clients_than_descriptors_are_refused_with_the_remedy() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let Some(most) = maximum.and_then(|most| u32::try_from(most).ok()) else { return };
        let error = raise_open_files(most).unwrap_err().to_string();
        assert!(error.contains("ulimit -Hn"), "{error}");
    }
}
