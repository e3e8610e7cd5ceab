//! Lists of topics that somebody wants the rows of.

use penholder_protocol::{ErrorCode, ErrorReply, TopicName};

use crate::app::App;
use crate::auth::Caller;

/// Most topics of one list.
const TOPICS_MAX: usize = 200;

/// A list of topics that somebody may look at.
#[derive(Debug)]
pub(crate) struct Watchable {
    /// Each once, in the order asked.
    pub(crate) topics: Vec<TopicName>,
    /// Those of them that are theirs as the owner's of the ticket, which may end.
    pub(crate) owned: Vec<TopicName>,
}

/// The topics of a list, if each may be viewed.
///
/// A list with one topic too many, or one that may not be viewed, is refused as a whole: rows that
/// are silently missing would look like topics that nobody is on.
pub(crate) async fn watchable(
    app: &App,
    caller: &Caller,
    names: &[String],
) -> Result<Watchable, ErrorReply> {
    let topics = read(names)?;
    let owned = app.may_view_all(caller, &topics).await?;
    Ok(Watchable { topics, owned })
}

fn read(names: &[String]) -> Result<Vec<TopicName>, ErrorReply> {
    let refused = |code: ErrorCode, message: String| ErrorReply::new(code).message(message);
    if names.is_empty() || names.len() > TOPICS_MAX {
        let message = format!("topics holds 1 to {TOPICS_MAX} names");
        return Err(refused(ErrorCode::InvalidPayload, message));
    }
    let mut topics: Vec<TopicName> = Vec::with_capacity(names.len());
    for name in names {
        let topic = TopicName::parse(name)
            .map_err(|error| refused(ErrorCode::InvalidTopic, format!("{name:?}: {error}")))?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    Ok(topics)
}
