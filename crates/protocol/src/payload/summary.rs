//! Who has edit priority on a topic, and how sure that is.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::person::PersonBrief;
use super::presence::{Mode, Status};
use crate::json::Json;

super::words! {
    /// How sure a summary is. Edit priority advises; it never authorises a write.
    pub enum Certainty {
        /// Some replica has not confirmed it yet.
        Provisional = "provisional",
        /// Every live replica has seen what it rests on.
        Confirmed = "confirmed",
        /// A partition healed and brought an earlier claimant.
        Contested = "contested",
    }
}

/// One person of a topic, whatever the number of their sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SummaryPerson {
    /// The person's key, the token's `sub`.
    pub key: String,
    /// Who it is.
    #[cfg_attr(feature = "typescript", ts(type = "UserCard"))]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::UserCard))]
    pub user: Json,
    /// When the earliest of the sessions joined.
    pub joined_at: u64,
    /// How many sessions; at least 1.
    pub active_sessions: u64,
    /// `edit` when at least one session may edit.
    pub mode: Mode,
    /// The liveliest of the sessions.
    pub status: Status,
}

/// `presence_summary`: the same for all who watch a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PresenceSummary {
    /// Everybody, in order of `(joined_at, key)`; in crowd mode only some.
    pub presences: Vec<SummaryPerson>,
    /// Who has edit priority; null when nobody here may edit.
    pub prior_user_presence: Option<SummaryPerson>,
    /// Which of that person's sessions has it.
    pub prior_session: Option<String>,
    /// How sure this is.
    pub certainty: Certainty,
    /// How many keys are present, shown here or not.
    pub count: u64,
    /// Whether `presences` shows them all; false in crowd mode.
    pub full: bool,
}

/// The summary for one viewer, as the join reply and HTTP give it. Where nobody may edit, the viewer is
/// its `prior_user_presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ViewerSummary {
    /// What everybody sees.
    #[serde(flatten)]
    pub summary: PresenceSummary,
    /// The viewer's own person; null when it is not present.
    pub current_user_presence: Option<SummaryPerson>,
    /// Whether the viewer may go ahead and edit, as far as presence can tell.
    pub has_presence_edit_priority: bool,
    /// The viewer's own other session that has priority in place of this one, to tell a person which
    /// tab; null otherwise.
    pub priority_in_session: Option<String>,
}

/// By hand, because serde's `flatten` cannot read spliced JSON.
impl<'de> Deserialize<'de> for ViewerSummary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Own {
            current_user_presence: Option<SummaryPerson>,
            has_presence_edit_priority: bool,
            priority_in_session: Option<String>,
        }
        let text = Json::deserialize(deserializer)?;
        let own: Own = text.parse_into().map_err(D::Error::custom)?;
        Ok(ViewerSummary {
            summary: text.parse_into().map_err(D::Error::custom)?,
            current_user_presence: own.current_user_presence,
            has_presence_edit_priority: own.has_presence_edit_priority,
            priority_in_session: own.priority_in_session,
        })
    }
}

/// One topic of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicRow {
    /// The topic.
    pub topic: String,
    /// How many keys are present.
    pub count: u64,
    /// The names of the first, at most 3.
    pub names: Vec<String>,
    /// Who has the pen.
    pub holder: Option<PersonBrief>,
    /// Who has edit priority.
    pub prior: Option<PersonBrief>,
}

/// `summaries`: topics in the order asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Summaries {
    /// One row per topic.
    pub data: Vec<TopicRow>,
}
