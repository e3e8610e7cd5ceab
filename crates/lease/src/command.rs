//! What can be asked of a pen, and what the answers are.

use crate::claimant::{Claimant, Person, RequestId, SessionId};
use crate::fence::Fence;
use crate::time::StoreMs;

/// Most people that wait for one pen.
pub const QUEUE_LEN_MAX: usize = 100;

/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 512;

/// Longest request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// How many request ids of past tenures a pen remembers. A repetition that comes later than so many
/// tenures is taken for a new request.
pub const SPENT_LEN_MAX: usize = 16;

/// The shortest time to live that a client may ask for.
pub const TTL_MS_MIN: u64 = 1_000;

/// What to do when somebody else has the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfHeld {
    /// Answer that it is held.
    #[default]
    Return,
    /// Wait in the queue.
    Wait,
}

/// How a pen is acquired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Time to live; the policy's when absent.
    pub ttl_ms: Option<u64>,
    /// What to do when somebody else has it.
    pub if_held: IfHeld,
    /// What the client calls this attempt. Repeated, it never begins a second tenure.
    pub request_id: Option<RequestId>,
    /// What the person says.
    pub reason: Option<String>,
}

/// To whom a holder hands the pen over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The first who has asked, else the first in the queue.
    Asker,
    /// Somebody in the queue, by session or person.
    Waiting(String),
    /// Anybody who may edit; the caller has seen to that.
    Anybody(Claimant),
}

/// What a holder says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Takes the pen away from themselves.
    HandOver(Recipient),
    /// Keeps it; those who asked keep their places in the queue.
    Decline,
}

/// Something that happens to a pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Somebody wants it.
    Acquire {
        /// Who.
        claimant: Claimant,
        /// How.
        terms: Terms,
    },
    /// The holder wants to keep it.
    Renew {
        /// The holder's session.
        session: SessionId,
        /// The holder's fence.
        fence: Fence,
        /// How long ago the person last touched the thing; a holder who is idle keeps the old deadline.
        input_ms_ago: u64,
    },
    /// The holder gives it back.
    Release {
        /// The holder's session.
        session: SessionId,
        /// The holder's fence.
        fence: Fence,
    },
    /// Somebody asks the holder to give way, and waits in the queue.
    Request {
        /// Who.
        claimant: Claimant,
        /// What they say.
        reason: Option<String>,
    },
    /// The holder answers.
    Answer {
        /// The holder's session.
        session: SessionId,
        /// The holder's fence.
        fence: Fence,
        /// What.
        answer: Answer,
        /// What they say.
        reason: Option<String>,
    },
    /// Somebody takes it, if their role may.
    TakeOver {
        /// Who.
        claimant: Claimant,
        /// What they say.
        reason: Option<String>,
    },
    /// An administrator takes it away; the caller has seen to it that they may.
    Revoke {
        /// Who.
        by: Person,
        /// What they say.
        reason: Option<String>,
    },
    /// What the pen is of is deleted: nobody has it any more, and nobody ever will.
    End {
        /// By whom.
        by: Person,
    },
    /// A session's connection was lost.
    Disconnect {
        /// Which.
        session: SessionId,
    },
    /// A session ended with a goodbye.
    Leave {
        /// Which.
        session: SessionId,
    },
    /// A session that was lost is back.
    Resume {
        /// Which.
        session: SessionId,
    },
    /// Time has passed; sent when [`due`](crate::Lease::due) says so, and harmless at any time.
    Tick,
}

/// What came of a command that was in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The session has the pen, newly or still.
    Granted {
        /// Its fence.
        fence: Fence,
        /// Until when, unless it is renewed.
        deadline: StoreMs,
    },
    /// Somebody else has it, or takes it over already.
    Held {
        /// The place in the queue, 1 for the next one; none without waiting.
        place: Option<usize>,
    },
    /// This attempt was answered before, and the tenure that it began is over.
    Lapsed,
    /// The holder has it until then. The old deadline when they are idle or have to give way.
    Renewed {
        /// Until when.
        deadline: StoreMs,
    },
    /// The session does not have it any more.
    Released,
    /// The holder has been asked.
    Asked {
        /// Until when they may answer.
        answer_by: StoreMs,
    },
    /// There is nobody else to ask.
    NobodyHolds,
    /// It was handed over.
    HandedOver,
    /// Whoever asked was told no.
    Declined,
    /// The holder has until then to save; after that it goes to whoever has asked.
    Draining {
        /// Until when.
        until: StoreMs,
    },
    /// Nobody has it by right of the old holder any more.
    Revoked,
    /// There is nothing to have a pen of any more.
    Ended,
    /// What the session had is reserved, or it had nothing.
    Disconnected,
    /// What was due has been done.
    Settled,
}

/// Why a command was not in order. Trying the same again does not help, but for `QueueFull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The session does not hold the pen under that fence.
    #[error("the pen is not held under this fence")]
    LeaseLost,
    /// The role may not take pens over.
    #[error("not allowed to take the pen over")]
    NotAuthorized,
    /// As many wait as may.
    #[error("{QUEUE_LEN_MAX} people wait already")]
    QueueFull,
    /// The reason is too long.
    #[error("the reason is longer than {REASON_BYTES_MAX} bytes")]
    ReasonTooLong,
    /// The request id is too long.
    #[error("the request id is longer than {REQUEST_ID_BYTES_MAX} bytes")]
    RequestIdTooLong,
    /// The time to live is not what the policy allows.
    #[error("the time to live is out of range")]
    InvalidTtl,
    /// Nobody has asked for the pen.
    #[error("nobody has asked for the pen")]
    NobodyAsked,
    /// Who should get it does not wait for it, or has it already.
    #[error("no such recipient")]
    UnknownRecipient,
    /// What the pen was of is gone, and the pen with it.
    #[error("what the pen was of is gone")]
    Ended,
}
