//! The pen: who may edit a topic, and the fencing token that proves it.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::person::PersonBrief;
use crate::code::UnknownName;
use crate::json::Json;

super::words! {
    /// Whether somebody has the pen.
    pub enum PenState {
        /// Nobody has.
        Free = "free",
        /// The holder has.
        Held = "held",
        /// The holder has until the deadline, then somebody else.
        Draining = "draining",
        /// The holder's connection is lost; it is kept until the deadline.
        Reserved = "reserved",
    }
}

super::words! {
    /// What has happened to a pen.
    pub enum PenChange {
        /// Somebody got it.
        Granted = "granted",
        /// The holder keeps it for longer.
        Renewed = "renewed",
        /// The holder gave it back.
        Released = "released",
        /// Its deadline passed.
        Expired = "expired",
        /// Somebody asked the holder to give way.
        Requested = "requested",
        /// The holder said no.
        Declined = "declined",
        /// Somebody takes it over; the holder has until the deadline to save.
        Draining = "draining",
        /// The holder gave it to somebody, in place of `granted`.
        HandedOver = "handed_over",
        /// The take-over is done, in place of `granted`.
        TakenOver = "taken_over",
        /// An administrator took it away.
        Revoked = "revoked",
        /// The holder's connection was lost; it is kept for them until the deadline.
        Reserved = "reserved",
        /// The holder is back, or has it back, with the same fence.
        Resumed = "resumed",
    }
}

super::words! {
    /// Why it has happened.
    pub enum PenRule {
        /// Nobody had it.
        Free = "free",
        /// The holder gave it back.
        Released = "released",
        /// Nobody renewed it in time.
        Expired = "expired",
        /// The holder showed no input for too long.
        Idle = "idle",
        /// First in the queue.
        Queue = "queue",
        /// The holder gave it.
        HandedOver = "handed_over",
        /// The holder did not answer a request in time.
        RequestTimeout = "request_timeout",
        /// A role that may.
        TakenOver = "taken_over",
        /// Another session of the person who had it.
        SamePerson = "same_person",
        /// A program gave way to a human.
        AiYields = "ai_yields",
        /// An administrator.
        Revoked = "revoked",
        /// Back in time.
        Resumed = "resumed",
        /// A connection was lost.
        Disconnected = "disconnected",
        /// What it is of was deleted: nobody gets it any more.
        Deleted = "deleted",
    }
}

super::words! {
    /// What a holder says to whoever asks for the pen.
    pub enum PenAnswerWord {
        /// Gives it away.
        HandOver = "hand_over",
        /// Keeps it.
        Decline = "decline",
    }
}

/// A fencing token: a number of up to 64 bits, larger at each grant of a topic. In JSON it is a decimal
/// string without sign or leading zeros, for it may pass 2^53.
///
/// ```
/// use penholder_protocol::Fence;
///
/// assert_eq!("9007199254740993".parse(), Ok(Fence(9_007_199_254_740_993)));
/// for wrong in ["", "07", "+7", "-7", "7.0", " 7", "18446744073709551616"] {
///     assert!(wrong.parse::<Fence>().is_err(), "{wrong:?}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(type = "string"))]
pub struct Fence(pub u64);

impl FromStr for Fence {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Fence, UnknownName> {
        let fence = text.parse().map(Fence).map_err(|_| UnknownName)?;
        // One spelling each, so that tokens compared as text compare the same.
        if fence.to_string() == text { Ok(fence) } else { Err(UnknownName) }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Fence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Fence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fence, which is a decimal number in a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Fence, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Fence {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Fence {}

/// Somebody who waits for the pen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenWaiting {
    /// The token's `sub`.
    pub id: String,
    /// A name to show.
    pub name: String,
    /// When the holder has to have answered them; null for who only waits, or was declined.
    pub answer_by: Option<u64>,
}

/// The pen of a topic at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pen {
    /// Whether somebody has it.
    pub state: PenState,
    /// Who has it.
    pub holder: Option<PersonBrief>,
    /// In which session.
    pub session: Option<String>,
    /// The largest that was ever granted; `"0"` when none was.
    pub fence: Fence,
    /// Since when the holder has it.
    pub since: Option<u64>,
    /// Until when, if nothing happens.
    pub deadline: Option<u64>,
    /// Who waits, the next one first.
    pub queue: Vec<PenWaiting>,
}

/// `pen`: what has happened to the pen, and the pen after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenEvent {
    /// The number of the event in the topic. One that is not above the last seen is a repetition.
    pub seq: u64,
    /// What.
    #[serde(rename = "type")]
    pub kind: PenChange,
    /// Why.
    pub rule: PenRule,
    /// By whom; null when by the clock.
    pub by: Option<PersonBrief>,
    /// The tenure that begins, goes on or ends.
    pub fence: Fence,
    /// When.
    pub at: u64,
    /// What they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub reason: Option<String>,
    /// The pen right after it.
    pub pen: Pen,
}

/// A time to live, as a client asks for it. What no pen can have parses too, so that it is answered with
/// the code of its own, `invalid_ttl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(type = "number"))]
pub enum TtlMs {
    /// So many milliseconds. Whether that is in range is for the server's policy to say.
    Of(u64),
    /// Something else: negative, fractional, too large, a string.
    Impossible,
}

impl Serialize for TtlMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            TtlMs::Of(ms) => serializer.serialize_u64(*ms),
            TtlMs::Impossible => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> Deserialize<'de> for TtlMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Json::deserialize(deserializer)?;
        Ok(value.as_str().parse().map_or(TtlMs::Impossible, TtlMs::Of))
    }
}

/// `pen_acquire`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenAcquire {
    /// How long the grant lasts without renewal, in milliseconds: 1000 to `pen.ttl_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub ttl_ms: Option<TtlMs>,
    /// Whether to wait in the queue while somebody else has it; false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
    /// What the person says; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Names this attempt, so that a repetition gives the same fence; at most 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// `pen_renew` and `pen_release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenHeld {
    /// The fence that the session holds.
    pub fence: Fence,
}

/// `pen_request`, `pen_take_over`, and over HTTP a revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenReason {
    /// What the person says; at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `pen_answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PenAnswer {
    /// The fence that the session holds.
    pub fence: Fence,
    /// What the holder says.
    pub answer: PenAnswerWord,
    /// To whom it is handed over, by session or person; absent: whoever asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub to: Option<String>,
    /// What the person says; at most 512 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub reason: Option<String>,
}

/// `pen_draft`: with a draft, leaves it in escrow; without, fetches the one that is there.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenDraft {
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
}

/// Shows nothing of the text.
impl fmt::Debug for PenDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PenDraft({:?} bytes)", self.draft.as_ref().map(String::len))
    }
}

/// The reply to `pen_acquire`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenAcquireReply {
    /// Whether the session has the pen now.
    pub granted: bool,
    /// The pen.
    pub pen: Pen,
    /// Proof of the grant, where it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub receipt: Option<String>,
    /// The place in the queue, 1 for the next one; null without `wait`. Absent where it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "place")]
    #[cfg_attr(feature = "typescript", ts(optional, type = "number | null"))]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub place: Option<Option<u64>>,
}

/// A field that is absent, null or a number.
mod place {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        place: &Option<Option<u64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        place.flatten().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<u64>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

/// The reply to `pen_renew`, `pen_release` and `pen_answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenReply {
    /// The pen.
    pub pen: Pen,
    /// Proof of the grant with the new deadline, where the session holds the pen after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub receipt: Option<String>,
}

/// The reply to `pen_request`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenRequestReply {
    /// The pen.
    pub pen: Pen,
    /// Until when the holder may answer; null when there was nobody to ask, or they gave way at once.
    pub answer_by: Option<u64>,
    /// Proof of the grant, where the holder gave way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub receipt: Option<String>,
}

/// The reply to `pen_take_over`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenTakeOverReply {
    /// The pen.
    pub pen: Pen,
    /// Until when the holder may save; absent when the session has the pen already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub draining_until: Option<u64>,
    /// Proof of the grant, where the session has the pen already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(optional))]
    pub receipt: Option<String>,
}

/// The reply to `pen_draft`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PenDraftReply {
    /// The text; null when there is none that this person may read.
    pub draft: Option<String>,
    /// Who left it.
    pub left_by: Option<PersonBrief>,
    /// When.
    pub at: Option<u64>,
}

/// Shows nothing of the text.
impl fmt::Debug for PenDraftReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PenDraftReply")
            .field("left_by", &self.left_by)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
