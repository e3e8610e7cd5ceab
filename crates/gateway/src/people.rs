//! Whoever comes with a token is made known to the tickets, so that they can be assigned to them.
//!
//! Each person is written once in the life of the process, and again when a token gives them another name or
//! role than the one before. Those who connect wait in a queue and are written many at a time: a storm of reconnects costs the store
//! some statements, not one for each of them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use penholder_desk::{KnownPerson, Tickets};
use penholder_lease::{PersonId, Role};
use rustc_hash::FxHasher;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::auth::Identity;
use crate::pens::log_away;

/// How many are remembered as known. Beyond that all are forgotten, and written once more.
const REMEMBERED_MAX: usize = 100_000;

/// How many wait to be written. Who finds no place is written when they come again.
const WAITING_MAX: usize = 4_096;

/// How many are written at a time.
const AT_ONCE: usize = 256;

/// What the last token of each person said of them.
type Known = Arc<Mutex<BTreeMap<PersonId, u64>>>;

/// The people who have come. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct People {
    store: Tickets,
    known: Known,
    waiting: Sender<KnownPerson>,
}

impl People {
    /// Begins to write them; that ends with the last clone. Needs a tokio runtime.
    pub(crate) fn start(store: Tickets) -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        let known = Known::default();
        tokio::spawn(write(store.clone(), queue, Arc::clone(&known)));
        Self { store, known, waiting }
    }

    /// Makes somebody known some time soon, without waiting.
    pub(crate) fn seen(&self, identity: &Identity) {
        let Some(person) = person(identity) else { return };
        if is_known(&self.known, &person) {
            return;
        }
        match self.waiting.try_send(person) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => tracing::debug!("somebody is made known later"),
        }
    }

    /// Makes somebody known before it returns, if the store lets it.
    pub(crate) async fn meet(&self, identity: &Identity) {
        let Some(person) = person(identity) else { return };
        if is_known(&self.known, &person) {
            return;
        }
        let people = [person];
        match self.store.put_people(&people).await {
            Ok(()) => remember(&self.known, &people),
            Err(error) => log_away(&error),
        }
    }
}

/// Guests are known to nobody, and what cannot be kept is no name.
fn person(identity: &Identity) -> Option<KnownPerson> {
    let card = &identity.card;
    let claimant = penholder_hub::claimant(card.id.as_str().into(), card.as_ref().clone());
    let (role, person) = (claimant.role, claimant.person);
    let is_kept = role != Role::Guest && ![&card.id, &card.name].iter().any(|it| it.contains('\0'));
    is_kept.then(|| KnownPerson { id: PersonId::clone(&person.id), name: person.name, role })
}

fn mark(person: &KnownPerson) -> u64 {
    let mut hasher = FxHasher::default();
    (&person.name, person.role).hash(&mut hasher);
    hasher.finish()
}

fn is_known(known: &Known, person: &KnownPerson) -> bool {
    known.lock().get(&person.id) == Some(&mark(person))
}

fn remember(known: &Known, people: &[KnownPerson]) {
    let mut known = known.lock();
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
    known.extend(people.iter().map(|person| (person.id.clone(), mark(person))));
}

async fn write(store: Tickets, mut queue: Receiver<KnownPerson>, known: Known) {
    let mut people = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut people, AT_ONCE).await > 0 {
        people.retain(|person| !is_known(&known, person));
        match store.put_people(&people).await {
            Ok(()) => remember(&known, &people),
            Err(error) => log_away(&error),
        }
        people.clear();
    }
}
