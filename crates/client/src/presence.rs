//! Who is present on a topic, folded from `presence_state` and `presence_diff`.
//!
//! The fold is that of npm `phoenix`'s presence.js: a state replaces everything; a diff that comes
//! before the first state waits for it; joins are applied before leaves, so that an update in one diff
//! never makes anybody vanish; a key whose last meta leaves is gone.
//!
//! ```
//! use penholder_client::presence::Fold;
//! use penholder_protocol::{Json, JsonLimits, Payload};
//!
//! let json = |text| Payload::Json(Json::parse(text, &JsonLimits::WIDEST).unwrap());
//! let mut here = Fold::strict();
//! here.apply("presence_state", &json(r#"{"ann":{"metas":[{"phx_ref":"1"}]}}"#))?;
//! here.apply("presence_diff", &json(
//!     r#"{"joins":{"bob":{"metas":[{"phx_ref":"2"}]}},"leaves":{"ann":{"metas":[{"phx_ref":"1"}]}}}"#,
//! ))?;
//! assert_eq!(here.keys().collect::<Vec<_>>(), ["bob"]);
//! assert!(here.take_anomalies().is_empty());
//! # Ok::<(), penholder_client::presence::FoldError>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use penholder_protocol::{
    Json, Payload, PayloadError, PresenceDiff, PresenceMeta, PresenceState, ServerEvent,
};
use serde::Deserialize;

/// The list of who is present, as far as the events say.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// Never an empty list; within a key the oldest first.
    entries: Metas,
    sync: Sync,
    strictness: Strictness,
    anomalies: Vec<Anomaly>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    phx_ref: String,
    meta: Json,
}

type Metas = BTreeMap<String, Vec<Entry>>;

#[derive(Clone, Debug)]
struct Diff {
    joins: Metas,
    leaves: Metas,
}

#[derive(Clone, Debug)]
enum Sync {
    /// No state yet; the diffs that came are kept.
    Waiting(Vec<Diff>),
    Synced,
}

impl Default for Sync {
    fn default() -> Self {
        Sync::Waiting(Vec::new())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Strictness {
    /// As a user interface wants it.
    #[default]
    Lenient,
    /// As a test wants it.
    Strict,
}

/// What a server that keeps its promise never does; seen in strict mode only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Anomaly {
    /// A diff came before the first state.
    #[error("a diff before the first state")]
    DiffBeforeState,
    /// A meta joined that is there already: the diff was sent twice, or the state had it.
    #[error("{phx_ref} of {key} joined although it is present")]
    JoinOfPresent {
        /// Whose meta.
        key: String,
        /// Which one.
        phx_ref: String,
    },
    /// A meta left that is not there: its join was lost, or the leave was sent twice.
    #[error("{phx_ref} of {key} left although it is absent")]
    LeaveOfAbsent {
        /// Whose meta.
        key: String,
        /// Which one.
        phx_ref: String,
    },
    /// One ref names two metas that are present at once.
    #[error("{phx_ref} is the ref of two metas, one of them of {key}")]
    RefTwice {
        /// Whose meta was the second.
        key: String,
        /// Which ref.
        phx_ref: String,
    },
    /// A key came without a meta.
    #[error("{key} has no meta")]
    NoMeta {
        /// Which key.
        key: String,
    },
}

/// A presence event that is none. The server is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// It is binary.
    #[error("the event is binary")]
    Binary,
    /// It has another shape.
    #[error(transparent)]
    Shape(#[from] PayloadError),
    /// A meta has no `phx_ref`, without which it can never leave.
    #[error("a meta of {key} has no phx_ref")]
    NoRef {
        /// Whose meta.
        key: String,
    },
}

impl Fold {
    /// A fold that notes every [`Anomaly`]; [`Fold::default`] notes none.
    pub fn strict() -> Fold {
        Fold { strictness: Strictness::Strict, ..Fold::default() }
    }

    /// Applies an event of a channel; one that is not about presence changes nothing.
    ///
    /// # Errors
    ///
    /// [`FoldError`]; the fold is then as it was before.
    pub fn apply(&mut self, event: &str, payload: &Payload) -> Result<(), FoldError> {
        if event == ServerEvent::PresenceState.as_str() {
            self.apply_state(payload.as_json().ok_or(FoldError::Binary)?)
        } else if event == ServerEvent::PresenceDiff.as_str() {
            self.apply_diff(payload.as_json().ok_or(FoldError::Binary)?)
        } else {
            Ok(())
        }
    }

    /// Applies the payload of a `presence_state`.
    ///
    /// # Errors
    ///
    /// [`FoldError`]; the fold is then as it was before.
    pub fn apply_state(&mut self, state: &Json) -> Result<(), FoldError> {
        let state = read(state.parse_into()?)?;
        self.entries.clear();
        self.note_refs_twice(&state);
        for (key, metas) in state {
            if metas.is_empty() {
                self.note(|| Anomaly::NoMeta { key: key.clone() });
            } else {
                self.entries.insert(key, metas);
            }
        }
        if let Sync::Waiting(diffs) = std::mem::replace(&mut self.sync, Sync::Synced) {
            for diff in diffs {
                self.fold(diff);
            }
        }
        Ok(())
    }

    /// Applies the payload of a `presence_diff`.
    ///
    /// # Errors
    ///
    /// [`FoldError`]; the fold is then as it was before.
    pub fn apply_diff(&mut self, diff: &Json) -> Result<(), FoldError> {
        let PresenceDiff { joins, leaves } = diff.parse_into()?;
        let diff = Diff { joins: read(joins)?, leaves: read(leaves)? };
        match &mut self.sync {
            Sync::Synced => self.fold(diff),
            Sync::Waiting(diffs) => {
                diffs.push(diff);
                self.note(|| Anomaly::DiffBeforeState);
            }
        }
        Ok(())
    }

    /// Whether there was a state since the start or the last [`Fold::desync`].
    pub fn is_synced(&self) -> bool {
        matches!(self.sync, Sync::Synced)
    }

    /// Says that the topic is being joined again: diffs wait for the next state, as presence.js has
    /// it. Until then the list stays as it is.
    pub fn desync(&mut self) {
        self.sync = Sync::default();
    }

    /// Who is present, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The metas of a key, oldest first; none when it is absent.
    pub fn metas(&self, key: &str) -> impl Iterator<Item = &Json> {
        self.entries.get(key).into_iter().flatten().map(|entry| &entry.meta)
    }

    /// What the server stamped on each session of a key.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] from a server that stamps something else.
    pub fn sessions(&self, key: &str) -> Result<Vec<PresenceMeta>, PayloadError> {
        self.metas(key).map(Json::parse_into).collect()
    }

    /// Every `(key, phx_ref)` that is present: what two folds of one topic agree on.
    pub fn refs(&self) -> BTreeSet<(&str, &str)> {
        let refs = self.entries.iter().flat_map(|(key, metas)| {
            metas.iter().map(move |entry| (key.as_str(), entry.phx_ref.as_str()))
        });
        refs.collect()
    }

    /// What was wrong since the last call, in order; always empty unless [`Fold::strict`].
    pub fn take_anomalies(&mut self) -> Vec<Anomaly> {
        std::mem::take(&mut self.anomalies)
    }

    /// Joins first, then leaves.
    fn fold(&mut self, Diff { joins, leaves }: Diff) {
        self.note_refs_twice(&joins);
        for (key, metas) in joins {
            if metas.is_empty() {
                self.note(|| Anomaly::NoMeta { key: key.clone() });
                continue;
            }
            for entry in metas {
                self.join(&key, entry);
            }
        }
        for (key, metas) in leaves {
            if metas.is_empty() {
                self.note(|| Anomaly::NoMeta { key: key.clone() });
            }
            for entry in metas {
                self.leave(&key, entry);
            }
        }
    }

    fn join(&mut self, key: &str, entry: Entry) {
        let present = self.entries.get(key);
        if present.is_some_and(|metas| metas.iter().any(|meta| meta.phx_ref == entry.phx_ref)) {
            let (key, phx_ref) = (key.to_owned(), entry.phx_ref.clone());
            self.note(|| Anomaly::JoinOfPresent { key, phx_ref });
        }
        let metas = self.entries.entry(key.to_owned()).or_default();
        metas.retain(|meta| meta.phx_ref != entry.phx_ref);
        metas.push(entry);
    }

    fn leave(&mut self, key: &str, entry: Entry) {
        let before = self.entries.get(key).map_or(0, Vec::len);
        if let Some(metas) = self.entries.get_mut(key) {
            metas.retain(|meta| meta.phx_ref != entry.phx_ref);
        }
        let after = self.entries.get(key).map_or(0, Vec::len);
        if after == 0 {
            self.entries.remove(key);
        }
        if after == before {
            let (key, phx_ref) = (key.to_owned(), entry.phx_ref);
            self.note(|| Anomaly::LeaveOfAbsent { key, phx_ref });
        }
    }

    /// A ref is unique, so it comes once in a message and names nothing of another key.
    fn note_refs_twice(&mut self, coming: &Metas) {
        if self.strictness == Strictness::Lenient {
            return;
        }
        let mut owners: BTreeMap<&str, &str> =
            self.refs().into_iter().map(|(k, r)| (r, k)).collect();
        let mut twice = Vec::new();
        let mut fresh = BTreeSet::new();
        for (key, metas) in coming {
            for Entry { phx_ref, .. } in metas {
                let owner = *owners.entry(phx_ref).or_insert(key);
                if !fresh.insert(phx_ref) || owner != key {
                    twice.push(Anomaly::RefTwice { key: key.clone(), phx_ref: phx_ref.clone() });
                }
            }
        }
        self.anomalies.extend(twice);
    }

    fn note(&mut self, anomaly: impl FnOnce() -> Anomaly) {
        if self.strictness == Strictness::Strict {
            self.anomalies.push(anomaly());
        }
    }
}

fn read(state: PresenceState) -> Result<Metas, FoldError> {
    #[derive(Deserialize)]
    struct Named {
        phx_ref: String,
    }
    let mut read = Metas::new();
    for (key, entry) in state {
        let mut metas = Vec::with_capacity(entry.metas.len());
        for meta in entry.metas {
            match meta.parse_into() {
                Ok(Named { phx_ref }) => metas.push(Entry { phx_ref, meta }),
                Err(_) => return Err(FoldError::NoRef { key }),
            }
        }
        read.insert(key, metas);
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
