//! What an input of the target says.

use serde::{Deserialize, Serialize};

/// How many steps are read, and how many an input may ask for.
const STEPS_MAX: usize = 96;

/// What happens, in its order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Whether outsiders also lie about the members.
    pub(crate) lies: bool,
    /// Whether the cluster has three members, and not two.
    pub(crate) third: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// A session of a member joins a topic, or changes there.
    Come { at: u8, topic: u8, session: u8 },
    /// A session of a member leaves all its topics.
    Go { at: u8, session: u8 },
    /// Time passes, in units of 16 ms.
    Wait { units: u8 },
    /// From one member to another nothing passes any more.
    Cut { from: u8, to: u8 },
    /// Everything passes again.
    Join,
    /// What is under way is lost.
    Lose,
    /// A member ends, after it said so or not, and starts again.
    Restart { at: u8, says: u8 },
    /// A member hears bytes.
    Hear { at: u8, bytes: Vec<u8> },
    /// A member hears again what a member has said, with some bytes replaced.
    Echo { at: u8, message: u8, edits: Vec<(u16, u8)> },
    /// A member hears an outsider.
    Say { at: u8, speech: Speech },
}

/// A message of an outsider.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Speech {
    /// Who speaks, or says so.
    pub(crate) name: u8,
    pub(crate) incarnation: u8,
    /// How much larger its number is than that of the message before.
    pub(crate) skip: u8,
    pub(crate) body: Body,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    Ask {
        reads: u8,
        digest: Vec<Life>,
    },
    Deltas(Vec<Interval>),
    Heartbeat {
        digest: Vec<(Life, u64)>,
        farewells: Vec<(u8, u8, u64)>,
    },
    Request(Vec<Want>),
    Repair {
        as_of: u64,
        base: u64,
        interval: Interval,
    },
    /// In a version to come.
    Later {
        version: u8,
        kind: u8,
        rest: Vec<u8>,
    },
}

/// What has been seen of a replica.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) name: u8,
    pub(crate) incarnation: u8,
    pub(crate) upto: u64,
    /// Gaps and spans beyond it.
    pub(crate) cloud: Vec<(u64, u64)>,
}

/// Operations of one replica.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interval {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) covers: Life,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// How many counters lie between it and the one before.
    pub(crate) skip: u64,
    pub(crate) flags: u8,
    pub(crate) topic: u8,
    pub(crate) session: u8,
    pub(crate) joined: i64,
    /// What it says about itself, in bytes.
    pub(crate) custom: u16,
    /// The resumes of its session, when there were any.
    pub(crate) generation: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Want {
    pub(crate) name: u8,
    pub(crate) incarnation: u8,
    pub(crate) have: u64,
    /// As of which operation, and firsts and lengths of what is missing of it.
    pub(crate) staged: Option<(u64, Vec<(u64, u64)>)>,
}

impl Plan {
    /// Reads any bytes: a byte that begins no step is passed over.
    pub(crate) fn decode(data: &[u8]) -> Self {
        let Some((&switches, mut rest)) = data.split_first() else { return Self::default() };
        let mut steps = Vec::new();
        while !rest.is_empty() && steps.len() < STEPS_MAX {
            match postcard::take_from_bytes(rest) {
                Ok((step, behind)) => {
                    steps.push(step);
                    rest = behind;
                }
                Err(_) => rest = &rest[1..],
            }
        }
        Self { lies: switches & 1 != 0, third: switches & 2 != 0, steps }
    }

    /// Writes a plan that is read back.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.lies) | u8::from(self.third) << 1];
        for step in &self.steps {
            bytes = postcard::to_extend(step, bytes).expect("a Vec takes every byte");
        }
        bytes
    }
}
