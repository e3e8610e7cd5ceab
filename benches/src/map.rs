//! The least that one process could do: a map of topics to maps of sessions. Nothing replicates, no
//! operation has a name, nobody is told anything, and a list has no order.

use std::collections::HashMap;

use penholder_presence::{Key, Meta, SessionId, Topic};

use crate::contender::Presences;
use crate::people::Names;

/// Who is where, in standard maps.
#[derive(Debug, Default)]
pub struct Map {
    topics: HashMap<Topic, HashMap<SessionId, (Key, Meta)>>,
}

impl Presences for Map {
    type Change = Option<(Key, Meta)>;

    fn empty(_replica: &str) -> Self {
        Self::default()
    }

    fn track(&mut self, names: Names, meta: Meta) -> Self::Change {
        let Names { topic, key, session } = names;
        self.topics.entry(topic).or_default().insert(session, (key, meta))
    }

    fn update(&mut self, names: &Names, meta: Meta) -> Self::Change {
        let (key, old) = self.topics.get_mut(&names.topic)?.get_mut(&names.session)?;
        Some((key.clone(), std::mem::replace(old, meta)))
    }

    fn untrack(&mut self, names: &Names) -> Self::Change {
        let sessions = self.topics.get_mut(&names.topic)?;
        let gone = sessions.remove(&names.session);
        if sessions.is_empty() {
            self.topics.remove(&names.topic);
        }
        gone
    }

    fn list(&self, topic: &Topic) -> u64 {
        let sessions = self.topics.get(topic).into_iter().flat_map(HashMap::values);
        sessions.map(|(_, meta)| meta.joined_at.0).fold(0, u64::wrapping_add)
    }

    fn count(&self, topic: &Topic) -> usize {
        self.topics.get(topic).map_or(0, HashMap::len)
    }
}
