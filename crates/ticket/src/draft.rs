//! What callers say, and what of it is taken: parsed here once, trusted from here on.

use penholder_lease::PersonId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::id::{CommentId, TicketId};
use crate::person::Audience;
use crate::refusal::{Field, Refusal};
use crate::status::Status;
use crate::ticket::{Category, Guest, Priority, Ticket};

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 255;
/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 20_000;
/// Longest comment, in characters.
pub const CONTENT_CHARS_MAX: usize = 10_000;
/// Longest reason of a change of status, in characters.
pub const REASON_CHARS_MAX: usize = 1_000;
/// Longest name of a person or attachment, e-mail address, or id of a person, in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Longest URL of an attachment, in characters.
pub const URL_CHARS_MAX: usize = 2_048;
/// Largest metadata, in bytes of JSON.
pub const METADATA_BYTES_MAX: usize = 8 * 1024;
/// Most attachments of a ticket.
pub const TICKET_ATTACHMENTS_MAX: usize = 5;
/// Most attachments of a comment.
pub const COMMENT_ATTACHMENTS_MAX: usize = 3;
/// Most tickets that are changed together.
pub const BULK_LEN_MAX: usize = 100;

/// A field that can be left out, emptied or filled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Left out: it stays.
    #[default]
    Absent,
    /// `null`: it is emptied.
    Null,
    /// It gets this value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

impl<T> Patch<T> {
    /// Reads a value that cannot be emptied.
    fn required<U>(
        self,
        field: Field,
        read: impl FnOnce(T) -> Result<U, Refusal>,
    ) -> Result<Option<U>, Refusal> {
        match self {
            Self::Absent => Ok(None),
            Self::Null => Err(Refusal::invalid(field, "it cannot be null")),
            Self::Value(value) => read(value).map(Some),
        }
    }
}

/// A file that belongs to a ticket or comment, as it is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it is: an `http` or `https` URL.
    pub url: String,
    /// What it is called.
    pub name: String,
    /// How long it is, in bytes.
    pub size: u64,
}

/// A ticket as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TicketDraft {
    /// What it is about.
    pub title: String,
    /// What is the matter.
    pub description: String,
    /// A [`Category`]; `general` when absent.
    pub category: Option<String>,
    /// A [`Priority`]; `medium` when absent.
    pub priority: Option<String>,
    /// Whose it is.
    pub user_id: Option<String>,
    /// Who made it without being known; never together with `user_id`.
    pub guest: Option<Guest>,
    /// Whatever the application keeps with it.
    pub metadata: Option<Map<String, Value>>,
    /// Files.
    pub attachments: Vec<File>,
}

/// A ticket that may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) user_id: Option<PersonId>,
    pub(crate) guest: Option<Guest>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) attachments: Vec<File>,
}

impl TicketDraft {
    /// Reads a draft.
    ///
    /// # Errors
    ///
    /// The first field that is not as it must be.
    pub fn check(self) -> Result<NewTicket, Refusal> {
        let one_owner = "a ticket has a user or a guest, not both";
        if self.user_id.is_some() && self.guest.is_some() {
            return Err(Refusal::invalid(Field::Guest, one_owner));
        }
        Ok(NewTicket {
            title: title(self.title)?,
            description: description(self.description)?,
            category: self.category.map_or(Ok(Category::General), |word| category(&word))?,
            priority: self.priority.map_or(Ok(Priority::Medium), |word| priority(&word))?,
            user_id: self.user_id.map(|id| person(id, Field::User)).transpose()?,
            guest: self.guest.map(guest).transpose()?,
            metadata: metadata(self.metadata.unwrap_or_default())?,
            attachments: attachments(self.attachments, TICKET_ATTACHMENTS_MAX)?,
        })
    }
}

impl NewTicket {
    /// Returns the title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the files, in order.
    #[must_use]
    pub fn attachments(&self) -> &[File] {
        &self.attachments
    }
}

/// What a caller wants to be different about a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TicketPatch {
    /// Title.
    pub title: Patch<String>,
    /// Description.
    pub description: Patch<String>,
    /// Category.
    pub category: Patch<String>,
    /// Priority.
    pub priority: Patch<String>,
    /// Status; through the machine like any other change of it.
    pub status: Patch<String>,
    /// Metadata, all of it; `null` empties it.
    pub metadata: Patch<Map<String, Value>>,
}

/// Changes that may be made if the ticket allows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) category: Option<Category>,
    pub(crate) priority: Option<Priority>,
    pub(crate) status: Option<Status>,
    pub(crate) metadata: Option<Map<String, Value>>,
}

impl TicketPatch {
    /// Reads a patch.
    ///
    /// # Errors
    ///
    /// The first field that is not as it must be.
    pub fn check(self) -> Result<Changes, Refusal> {
        Ok(Changes {
            title: self.title.required(Field::Title, title)?,
            description: self.description.required(Field::Description, description)?,
            category: self.category.required(Field::Category, |word| category(&word))?,
            priority: self.priority.required(Field::Priority, |word| priority(&word))?,
            status: self.status.required(Field::Status, |word| status(&word))?,
            metadata: match self.metadata {
                Patch::Absent => None,
                Patch::Null => Some(Map::new()),
                Patch::Value(map) => Some(metadata(map)?),
            },
        })
    }
}

/// What a caller wants to be different about many tickets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BulkPatch {
    /// Category.
    pub category: Patch<String>,
    /// Priority.
    pub priority: Patch<String>,
    /// Status; each through the machine.
    pub status: Patch<String>,
    /// Assignee; `null` takes them away.
    pub assigned_to_id: Patch<String>,
}

/// Changes that may be made to many tickets if each allows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BulkChanges {
    pub(crate) category: Option<Category>,
    pub(crate) priority: Option<Priority>,
    pub(crate) status: Option<Status>,
    /// To whom they are to be assigned; the inner one is none where they are taken away from everybody.
    pub assignee_id: Option<Option<PersonId>>,
}

impl BulkChanges {
    /// Whether a field of a ticket would be different that is written under its pen. Status and assignee are not: whoever
    /// has the pen does not keep others from them.
    #[must_use]
    pub fn rewrites(&self, ticket: &Ticket) -> bool {
        self.category.is_some_and(|it| it != ticket.category)
            || self.priority.is_some_and(|it| it != ticket.priority)
    }

    /// Whether there is a field among them that is written under the pen.
    #[must_use]
    pub fn need_pen(&self) -> bool {
        self.category.is_some() || self.priority.is_some()
    }
}

impl BulkPatch {
    /// Reads a patch.
    ///
    /// # Errors
    ///
    /// The first field that is not as it must be.
    pub fn check(self) -> Result<BulkChanges, Refusal> {
        Ok(BulkChanges {
            category: self.category.required(Field::Category, |word| category(&word))?,
            priority: self.priority.required(Field::Priority, |word| priority(&word))?,
            status: self.status.required(Field::Status, |word| status(&word))?,
            assignee_id: match self.assigned_to_id {
                Patch::Absent => None,
                Patch::Null => Some(None),
                Patch::Value(id) => Some(Some(person(id, Field::Assignee)?)),
            },
        })
    }
}

/// A comment as a caller asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommentDraft {
    /// What it says.
    pub content: String,
    /// What it answers.
    pub parent_id: Option<String>,
    /// Whether it is for the staff only.
    pub is_internal: bool,
    /// Files.
    pub attachments: Vec<File>,
}

/// A comment that may be made if its ticket allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComment {
    pub(crate) content: String,
    /// What it answers.
    pub parent_id: Option<CommentId>,
    pub(crate) audience: Audience,
    pub(crate) attachments: Vec<File>,
}

impl CommentDraft {
    /// Reads a draft.
    ///
    /// # Errors
    ///
    /// The first field that is not as it must be.
    pub fn check(self) -> Result<NewComment, Refusal> {
        let unknown = Refusal::invalid(Field::Parent, "there is no such comment on this ticket");
        Ok(NewComment {
            content: content(self.content)?,
            parent_id: match self.parent_id {
                None => None,
                Some(id) => Some(CommentId::parse(&id).ok_or(unknown)?),
            },
            audience: if self.is_internal { Audience::Staff } else { Audience::Public },
            attachments: attachments(self.attachments, COMMENT_ATTACHMENTS_MAX)?,
        })
    }
}

impl NewComment {
    /// Returns the files, in order.
    #[must_use]
    pub fn attachments(&self) -> &[File] {
        &self.attachments
    }
}

/// Reads what a comment is to say.
///
/// # Errors
///
/// It is empty or too long.
pub fn content(text: String) -> Result<String, Refusal> {
    words(text, CONTENT_CHARS_MAX, Field::Content, "1 to 10000 characters, no U+0000")
}

/// Reads the reason of a change of status.
///
/// # Errors
///
/// It is too long.
pub fn reason(text: Option<String>) -> Result<Option<String>, Refusal> {
    let text = text.filter(|text| !text.is_empty());
    let rule = "at most 1000 characters, no U+0000";
    text.map(|text| bounded(text, REASON_CHARS_MAX, Field::Reason, rule)).transpose()
}

/// Reads a status.
///
/// # Errors
///
/// There is no such status.
pub fn status(word: &str) -> Result<Status, Refusal> {
    Status::from_word(word).ok_or(Refusal::invalid(Field::Status, "there is no such status"))
}

/// Reads a priority.
///
/// # Errors
///
/// There is no such priority.
pub fn priority(word: &str) -> Result<Priority, Refusal> {
    Priority::from_word(word).ok_or(Refusal::invalid(Field::Priority, "there is no such priority"))
}

/// Reads a category.
///
/// # Errors
///
/// There is no such category.
pub fn category(word: &str) -> Result<Category, Refusal> {
    Category::from_word(word).ok_or(Refusal::invalid(Field::Category, "there is no such category"))
}

/// Reads the id of a person.
///
/// # Errors
///
/// It is empty or too long.
pub fn person(id: String, field: Field) -> Result<PersonId, Refusal> {
    words(id, NAME_CHARS_MAX, field, "1 to 255 characters, no U+0000").map(PersonId::from)
}

/// Reads the name of a person.
///
/// # Errors
///
/// It is empty or too long.
pub fn name(text: String) -> Result<String, Refusal> {
    words(text, NAME_CHARS_MAX, Field::Name, "1 to 255 characters, no U+0000")
}

/// Reads which tickets are to be changed together; each once, in the order of their ids.
///
/// # Errors
///
/// There are none or too many.
pub fn bulk_ids(ids: &[TicketId]) -> Result<Vec<TicketId>, Refusal> {
    if ids.is_empty() || ids.len() > BULK_LEN_MAX {
        return Err(Refusal::invalid(Field::Ids, "1 to 100 tickets"));
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn title(text: String) -> Result<String, Refusal> {
    words(text, TITLE_CHARS_MAX, Field::Title, "1 to 255 characters, no U+0000")
}

fn description(text: String) -> Result<String, Refusal> {
    words(text, DESCRIPTION_CHARS_MAX, Field::Description, "1 to 20000 characters, no U+0000")
}

fn guest(guest: Guest) -> Result<Guest, Refusal> {
    let rule = "a name and an e-mail address of 1 to 255 characters, no U+0000";
    let email = words(guest.email, NAME_CHARS_MAX, Field::Guest, rule)?;
    if !email.contains('@') {
        return Err(Refusal::invalid(Field::Guest, rule));
    }
    Ok(Guest { name: words(guest.name, NAME_CHARS_MAX, Field::Guest, rule)?, email })
}

fn metadata(map: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let refused = |rule| Err(Refusal::invalid(Field::Metadata, rule));
    if map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)) {
        return refused("no U+0000");
    }
    if Value::Object(map.clone()).to_string().len() > METADATA_BYTES_MAX {
        return refused("at most 8192 bytes of JSON");
    }
    Ok(map)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn attachments(files: Vec<File>, max: usize) -> Result<Vec<File>, Refusal> {
    let rule =
        "each a URL of http or https, a name and a size; at most 5 of a ticket, 3 of a comment";
    if files.len() > max {
        return Err(Refusal::invalid(Field::Attachments, rule));
    }
    let check = |file: File| {
        let web = file.url.starts_with("https://") || file.url.starts_with("http://");
        if !web || i64::try_from(file.size).is_err() {
            return Err(Refusal::invalid(Field::Attachments, rule));
        }
        let url = words(file.url, URL_CHARS_MAX, Field::Attachments, rule)?;
        let name = words(file.name, NAME_CHARS_MAX, Field::Attachments, rule)?;
        Ok(File { url, name, size: file.size })
    };
    files.into_iter().map(check).collect()
}

/// Reads a text that says something.
fn words(
    text: String,
    chars_max: usize,
    field: Field,
    rule: &'static str,
) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::invalid(field, rule));
    }
    bounded(text, chars_max, field, rule)
}

fn bounded(
    text: String,
    chars_max: usize,
    field: Field,
    rule: &'static str,
) -> Result<String, Refusal> {
    if text.contains('\0') || text.chars().count() > chars_max {
        return Err(Refusal::invalid(field, rule));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
