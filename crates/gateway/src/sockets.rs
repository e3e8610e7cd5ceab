//! The open connections of each person, so that a revocation finds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use penholder_protocol::CloseCode;

use crate::auth::Identity;
use crate::shard::Outbox;

/// The open connections, by the subject of their tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets(Arc<Open>);

#[derive(Debug, Default)]
struct Open {
    by_user: DashMap<Arc<str>, Vec<Socket>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Socket {
    number: u64,
    /// As its newest token describes it.
    identity: Identity,
    outbox: Arc<Outbox>,
}

/// One connection in the table; dropping it takes it out.
#[derive(Debug)]
pub(crate) struct Entered {
    open: Arc<Open>,
    user: Arc<str>,
    number: u64,
}

impl Sockets {
    pub(crate) fn enter(&self, identity: &Identity, outbox: &Arc<Outbox>) -> Entered {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let user: Arc<str> = identity.subject().into();
        let socket = Socket { number, identity: identity.clone(), outbox: Arc::clone(outbox) };
        // Most people have one.
        let sockets = || Vec::with_capacity(1);
        self.0.by_user.entry(Arc::clone(&user)).or_insert_with(sockets).push(socket);
        Entered { open: Arc::clone(&self.0), user, number }
    }

    /// Ends the connections whose tokens `is_revoked` names; returns how many. Those of `user` alone are
    /// looked at where one is given. Nothing follows but the end.
    pub(crate) fn end(&self, user: Option<&str>, is_revoked: impl Fn(&Identity) -> bool) -> usize {
        let end_those = |sockets: &Vec<Socket>| {
            let revoked = sockets.iter().filter(|socket| is_revoked(&socket.identity));
            revoked.map(|socket| socket.outbox.end(CloseCode::TokenExpired.into())).count()
        };
        match user {
            Some(user) => self.0.by_user.get(user).map_or(0, |sockets| end_those(&sockets)),
            None => self.0.by_user.iter().map(|sockets| end_those(&sockets)).sum(),
        }
    }
}

impl Entered {
    /// Notes a fresh token of the same person.
    pub(crate) fn renew(&self, identity: &Identity) {
        if let Some(mut sockets) = self.open.by_user.get_mut(&self.user) {
            let own = sockets.iter_mut().find(|socket| socket.number == self.number);
            own.into_iter().for_each(|socket| socket.identity = identity.clone());
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Entry::Occupied(mut sockets) = self.open.by_user.entry(Arc::clone(&self.user)) {
            sockets.get_mut().retain(|socket| socket.number != self.number);
            if sockets.get().is_empty() {
                sockets.remove();
            }
        }
    }
}
