//! Lists of topics that somebody wants the rows of.

use penholder_protocol::{ErrorCode, ErrorReply, TopicName};

use crate::auth::{Capabilities, Capability};

/// Most topics of one list.
const TOPICS_MAX: usize = 200;

/// The topics of a list, if each may be viewed.
///
/// A list with one topic too many, or one that may not be viewed, is refused as a whole: rows that
/// are silently missing would look like topics that nobody is on.
pub(crate) fn watchable(
    names: &[String],
    capabilities: impl Fn(&TopicName) -> Capabilities,
) -> Result<Vec<TopicName>, ErrorReply> {
    let refused = |code: ErrorCode, message: String| ErrorReply::new(code).message(message);
    if names.is_empty() || names.len() > TOPICS_MAX {
        let message = format!("topics holds 1 to {TOPICS_MAX} names");
        return Err(refused(ErrorCode::InvalidPayload, message));
    }
    let mut topics: Vec<TopicName> = Vec::with_capacity(names.len());
    for name in names {
        let topic = TopicName::parse(name)
            .map_err(|error| refused(ErrorCode::InvalidTopic, format!("{name:?}: {error}")))?;
        if !capabilities(&topic).allow(Capability::View) {
            let message = format!("the token does not allow to view {topic}");
            return Err(refused(ErrorCode::NotAuthorized, message));
        }
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    Ok(topics)
}
