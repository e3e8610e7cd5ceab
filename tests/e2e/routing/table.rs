//! The table.

use penholder_tests::CANARY;
use serde_json::{Value, json};

/// Somebody asks for something: who, method and path, body. `{T}` is the row's ticket, `{U}` one of `cat`, `{M}` what was
/// last made before.
pub(super) type Step = (&'static str, &'static str, Value);

/// One request, and who hears of it.
pub(super) struct Row {
    pub(super) what: &'static str,
    /// Whose the row's ticket is; a guest's, when none.
    pub(super) owner: Option<&'static str>,
    /// Whether the request makes the ticket.
    pub(super) creates: bool,
    pub(super) before: Vec<Step>,
    pub(super) act: Step,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) status: u16,
    /// In their order.
    pub(super) told: Vec<Told>,
}

/// An event, and how each listener hears it.
pub(super) struct Told {
    pub(super) event: &'static str,
    /// A letter for each of [`LISTENERS`]: `S` as the staff, `P` as the public, `.` not at all, `-` may not listen.
    pub(super) to: String,
    /// The fields of the staff beside those that all events have. `"*"` is any value.
    pub(super) staff: Value,
    /// Those of the public.
    pub(super) public: Value,
}

/// Topics, and who listens there, in the order of the letters.
pub(super) const LISTENERS: [(&str, &str); 14] = [
    ("tickets:all", "sam"),
    ("tickets:all", "ada"),
    ("tickets:user:ann", "ann"),
    ("tickets:user:ann", "sam"),
    ("tickets:user:new", "new"),
    ("tickets:user:old", "old"),
    ("tickets:user:idle", "idle"),
    ("tickets:user:cat", "cat"),
    ("tickets:{T}", "sam"),
    ("tickets:{T}", "ann"),
    ("tickets:{T}", "vic"),
    ("tickets:{T}", "gus"),
    ("tickets:{U}", "cat"),
    ("tickets:{U}", "sam"),
];

/// Whom most events are told: all who may see the ticket.
//                    all  owner  new, old, idle, cat  ticket  another
const ALL: &str = "SS   PS     ....                 SPPP    ..";
/// An event of the staff alone.
const STAFF: &str = "SS   .S     ....                 S...    ..";
/// A note, which no person's topic hears of.
const NOTE: &str = "SS   ..     ....                 S...    ..";
/// An event of the ticket's topic alone.
const TOPIC: &str = "..   ..     ....                 SPPP    ..";
/// One of it for the staff.
const HIDDEN: &str = "..   ..     ....                 S...    ..";
/// Of a ticket that a guest has opened.
const NOBODYS: &str = "SS  ..     ....                 S-PP    ..";
const NOBODYS_STAFF: &str = "SS .. .... S-.. ..";

impl Row {
    fn new(what: &'static str, act: Step) -> Self {
        let (before, headers, told) = (Vec::new(), Vec::new(), Vec::new());
        let status = if act.1.starts_with("POST") { 201 } else { 200 };
        Self { what, owner: Some("ann"), creates: false, before, act, headers, status, told }
    }

    fn of(mut self, owner: Option<&'static str>) -> Self {
        self.owner = owner;
        self
    }

    fn creates(mut self) -> Self {
        self.creates = true;
        self
    }

    fn after(mut self, before: Step) -> Self {
        self.before.push(before);
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn told(self, event: &'static str, to: &str, fields: Value) -> Self {
        let public = fields.clone();
        self.told_as(event, to, (fields, public))
    }

    fn told_as(mut self, event: &'static str, to: &str, (staff, public): (Value, Value)) -> Self {
        let to = to.split_whitespace().collect();
        self.told.push(Told { event, to, staff, public });
        self
    }

    /// Nobody hears anything.
    fn refused(self, status: u16) -> Self {
        self.status(status)
    }
}

/// Text that only the staff may see.
fn hidden(what: &str) -> String {
    format!("{CANARY} {what}")
}

fn patch(fields: Value) -> Step {
    ("sam", "PATCH /v1/tickets/{T}", fields)
}

fn to(status: &str) -> Step {
    ("sam", "POST /v1/tickets/{T}/transitions", json!({"to": status, "reason": "so it is"}))
}

fn assign(agent: &str) -> Step {
    ("ada", "PUT /v1/tickets/{T}/assignee", json!({"user_id": agent}))
}

fn comment(by: &'static str) -> Step {
    (by, "POST /v1/tickets/{T}/comments", json!({"content": "a word"}))
}

fn note() -> Step {
    let body = json!({"content": hidden("note"), "is_internal": true});
    ("sam", "POST /v1/tickets/{T}/comments", body)
}

fn changed(from: &str, to: &str, reason: Option<&str>) -> Value {
    json!({"old_status": from, "new_status": to, "reason": reason})
}

/// The fields of `ticket_assigned`, for the staff and for the public.
fn assigned(old: Option<&str>, new: Option<&str>) -> (Value, Value) {
    let name = |id: Option<&str>| id.map(crate::desk::name);
    let names = json!({"old_assignee_name": name(old), "new_assignee_name": name(new)});
    let mut staff = names.clone();
    (staff["old_assignee_id"], staff["new_assignee_id"]) = (json!(old), json!(new));
    (staff, names)
}

/// A comment as its event has it.
fn said(by: Option<&str>, content: &str, is_internal: bool) -> Value {
    json!({"comment": {"id": "*", "ticket_id": "*", "author_id": by, "parent_id": null, "depth": 0,
        "content": content, "is_internal": is_internal, "created_at": "*", "updated_at": "*"}})
}

pub(super) fn rows() -> Vec<Row> {
    [made(), fields(), statuses(), assignments(), comments(), notes(), bulk(), pens(), refused()]
        .into_iter()
        .flatten()
        .collect()
}

fn made() -> Vec<Row> {
    let body = json!({"title": "T", "description": "d"});
    let guests = json!({"title": "T", "description": "d", "metadata": {"m": hidden("of the desk")},
        "guest": {"name": "Gus", "email": "gus@example.org"}});
    let remove = || ("ada", "DELETE /v1/tickets/{T}", Value::Null);
    vec![
        Row::new("a customer's ticket is made", ("ann", "POST /v1/tickets", body)).creates().told(
            "ticket_created",
            ALL,
            json!({}),
        ),
        Row::new("a guest's ticket is made", ("ada", "POST /v1/tickets", guests))
            .of(None)
            .creates()
            .told("ticket_created", NOBODYS, json!({})),
        Row::new("a ticket is taken away", remove()).status(204).told(
            "ticket_deleted",
            ALL,
            json!({}),
        ),
        Row::new("a guest's ticket is taken away", remove()).of(None).status(204).told(
            "ticket_deleted",
            NOBODYS,
            json!({}),
        ),
    ]
}

fn fields() -> Vec<Row> {
    let metadata = json!({"m": hidden("new")});
    let both = json!({"title": ["T", "New"], "metadata": "*"});
    vec![
        Row::new("its title", patch(json!({"title": "New"}))).told(
            "ticket_updated",
            ALL,
            json!({"changes": {"title": ["T", "New"]}}),
        ),
        Row::new("a guest's title", patch(json!({"description": "New"}))).of(None).told(
            "ticket_updated",
            NOBODYS,
            json!({"changes": {"description": ["d", "New"]}}),
        ),
        Row::new(
            "its title and its metadata",
            patch(json!({"title": "New", "metadata": metadata})),
        )
        .told_as(
            "ticket_updated",
            ALL,
            (json!({"changes": both}), json!({"changes": {"title": ["T", "New"]}})),
        ),
        Row::new("nothing but its metadata", patch(json!({"metadata": metadata}))).told(
            "ticket_updated",
            STAFF,
            json!({"changes": {"metadata": "*"}}),
        ),
        Row::new("its metadata, taken away from a guest's", patch(json!({"metadata": null})))
            .of(None)
            .told("ticket_updated", NOBODYS_STAFF, json!({"changes": {"metadata": "*"}})),
        Row::new("its priority", patch(json!({"priority": "urgent"}))).told(
            "ticket_priority_changed",
            ALL,
            json!({"old_priority": "medium", "new_priority": "urgent"}),
        ),
        Row::new(
            "category, metadata, priority and status together",
            patch(json!({"category": "billing", "metadata": metadata, "priority": "low",
                "status": "in_progress"})),
        )
        .told_as(
            "ticket_updated",
            ALL,
            (
                json!({"changes": {"category": ["general", "billing"], "metadata": "*"}}),
                json!({"changes": {"category": ["general", "billing"]}}),
            ),
        )
        .told(
            "ticket_priority_changed",
            ALL,
            json!({"old_priority": "medium", "new_priority": "low"}),
        )
        .told("ticket_status_changed", ALL, changed("open", "in_progress", None)),
        Row::new("metadata and priority", patch(json!({"metadata": metadata, "priority": "high"})))
            .told("ticket_updated", STAFF, json!({"changes": {"metadata": "*"}}))
            .told(
                "ticket_priority_changed",
                ALL,
                json!({"old_priority": "medium", "new_priority": "high"}),
            ),
        Row::new("what is the same already", patch(json!({"title": "T", "priority": "medium"})))
            .refused(200),
    ]
}

fn statuses() -> Vec<Row> {
    let reason = Some("so it is");
    vec![
        Row::new("a transition", to("resolved")).status(200).told(
            "ticket_status_changed",
            ALL,
            changed("open", "resolved", reason),
        ),
        Row::new("a guest's ticket is closed", to("closed")).of(None).status(200).told(
            "ticket_status_changed",
            NOBODYS,
            changed("open", "closed", reason),
        ),
        Row::new("it is opened again", to("open")).after(to("closed")).status(200).told(
            "ticket_status_changed",
            ALL,
            changed("closed", "open", reason),
        ),
        Row::new("a status by an update", patch(json!({"status": "waiting_for_user"}))).told(
            "ticket_status_changed",
            ALL,
            changed("open", "waiting_for_user", None),
        ),
    ]
}

fn assignments() -> Vec<Row> {
    let begun = || changed("open", "in_progress", None);
    let away = ("ada", "DELETE /v1/tickets/{T}/assignee", Value::Null);
    vec![
        Row::new("an open ticket is assigned", assign("new"))
            .told_as("ticket_assigned", "SS PS S... SPPP ..", assigned(None, Some("new")))
            .told("ticket_status_changed", ALL, begun()),
        Row::new("it goes from one to another", assign("new")).after(assign("old")).told_as(
            "ticket_assigned",
            "SS PS SS.. SPPP ..",
            assigned(Some("old"), Some("new")),
        ),
        Row::new("it is taken away from its assignee", away.clone()).after(assign("old")).told_as(
            "ticket_assigned",
            "SS PS .S.. SPPP ..",
            assigned(Some("old"), None),
        ),
        Row::new("a guest's ticket is assigned", assign("new"))
            .of(None)
            .told_as("ticket_assigned", "SS .. S... S-PP ..", assigned(None, Some("new")))
            .told("ticket_status_changed", NOBODYS, begun()),
        Row::new("one that waits is assigned", assign("new"))
            .after(to("waiting_for_user"))
            .told_as("ticket_assigned", "SS PS S... SPPP ..", assigned(None, Some("new"))),
        Row::new("an agent's own ticket is assigned to them", assign("new"))
            .of(Some("new"))
            .told_as("ticket_assigned", "SS .. S... S-PP ..", assigned(None, Some("new")))
            .told("ticket_status_changed", "SS .. S... S-PP ..", begun()),
        Row::new("to whom it is assigned already", assign("old")).after(assign("old")).refused(200),
        Row::new("nobody has it, and it is taken away", away).refused(200),
    ]
}

fn comments() -> Vec<Row> {
    let edit = ("ada", "PATCH /v1/comments/{M}", json!({"content": "another word"}));
    let remove = |by| (by, "DELETE /v1/comments/{M}", Value::Null);
    vec![
        Row::new("its owner comments", comment("ann")).told(
            "comment_created",
            ALL,
            said(Some("ann"), "a word", false),
        ),
        Row::new("an agent comments", comment("sam")).told(
            "comment_created",
            ALL,
            said(Some("sam"), "a word", false),
        ),
        Row::new("a guest comments", comment("gus")).of(None).told(
            "comment_created",
            NOBODYS,
            said(None, "a word", false),
        ),
        Row::new("a comment is answered once, though it was sent twice", comment("ann"))
            .header("idempotency-key", "{T}")
            .told("comment_created", ALL, said(Some("ann"), "a word", false)),
        Row::new("a comment says something else", edit).after(comment("ann")).told(
            "comment_updated",
            ALL,
            said(Some("ann"), "another word", false),
        ),
        Row::new(
            "a comment says what it said",
            ("ann", "PATCH /v1/comments/{M}", json!({"content": "a word"})),
        )
        .after(comment("ann"))
        .refused(200),
        Row::new("a comment is taken away", remove("ann")).after(comment("ann")).status(204).told(
            "comment_deleted",
            ALL,
            said(Some("ann"), "a word", false),
        ),
        Row::new("a guest's comment is taken away", remove("ada"))
            .of(None)
            .after(comment("gus"))
            .status(204)
            .told("comment_deleted", NOBODYS, said(None, "a word", false)),
    ]
}

fn notes() -> Vec<Row> {
    let edit = || ("sam", "PATCH /v1/comments/{M}", json!({"content": hidden("other note")}));
    let remove = || ("ada", "DELETE /v1/comments/{M}", Value::Null);
    vec![
        Row::new("a note", note()).told(
            "internal_note_created",
            NOTE,
            said(Some("sam"), &hidden("note"), true),
        ),
        Row::new("a note on a guest's ticket", note()).of(None).told(
            "internal_note_created",
            NOBODYS_STAFF,
            said(Some("sam"), &hidden("note"), true),
        ),
        Row::new("a note says something else", edit()).after(note()).told(
            "comment_updated",
            STAFF,
            said(Some("sam"), &hidden("other note"), true),
        ),
        Row::new("a note is taken away", remove()).after(note()).status(204).told(
            "comment_deleted",
            STAFF,
            said(Some("sam"), &hidden("note"), true),
        ),
        Row::new("a note on a guest's ticket is taken away", remove())
            .of(None)
            .after(note())
            .status(204)
            .told("comment_deleted", NOBODYS_STAFF, said(Some("sam"), &hidden("note"), true)),
    ]
}

fn bulk() -> Vec<Row> {
    let many = |changes: Value| {
        ("ada", "POST /v1/tickets/bulk", json!({"ids": ["{T}", "{U}"], "changes": changes}))
    };
    let given = (
        json!({"tickets": "*", "changes": {"assigned_to_id": "new", "assignee_name": "The new"}}),
        json!({"tickets": "*", "changes": {"assignee_name": "The new"}}),
    );
    let urgent = json!({"tickets": "*", "changes": {"priority": "urgent"}});
    vec![
        Row::new("many", many(json!({"priority": "urgent"}))).status(200).told(
            "tickets_bulk_updated",
            "SS PS ...P SPPP PS",
            urgent.clone(),
        ),
        Row::new("many, one a guest's", many(json!({"priority": "urgent"})))
            .of(None)
            .status(200)
            .told("tickets_bulk_updated", "SS .. ...P S-PP PS", urgent.clone()),
        Row::new("many are assigned", many(json!({"assigned_to_id": "new"})))
            .status(200)
            .told_as("tickets_bulk_updated", "SS PS ...P SPPP PS", given),
        Row::new("many of one owner", many(json!({"priority": "urgent"})))
            .of(Some("cat"))
            .status(200)
            .told("tickets_bulk_updated", "SS .. ...P S-PP PS", urgent.clone()),
        Row::new("many, of which one is urgent already", many(json!({"priority": "urgent"})))
            .after(patch(json!({"priority": "urgent"})))
            .status(200)
            .told("tickets_bulk_updated", "SS .. ...P .... PS", urgent),
        Row::new("many, of which one may not", many(json!({"status": "in_progress"})))
            .after(to("closed"))
            .refused(409),
        Row::new("many, with one that is not there", (
            "ada",
            "POST /v1/tickets/bulk",
            json!({"ids": ["{T}", "01890a5d-ac96-774b-bcce-b302099a8057"], "changes": {"priority": "low"}}),
        ))
        .refused(404),
    ]
}

fn pens() -> Vec<Row> {
    let acquire = || ("sam", "POST /v1/pens/tickets:{T}/acquire", json!({"reason": "mine"}));
    vec![
        Row::new("the pen", acquire()).status(200).told("pen", TOPIC, json!({"type": "granted"})),
        Row::new(
            "a write without the pen",
            ("ada", "PATCH /v1/tickets/{T}", json!({"title": "New"})),
        )
        .after(acquire())
        .told(
            "collision",
            HIDDEN,
            json!({"holder": {"id": "sam", "name": "The sam", "kind": "human"},
                    "writer": {"id": "ada", "name": "The ada", "kind": "human"}, "fence": "*",
                    "presented": null}),
        )
        .told("ticket_updated", ALL, json!({"changes": {"title": ["T", "New"]}})),
        Row::new(
            "a write under a stale fence",
            ("ada", "PATCH /v1/tickets/{T}", json!({"title": "New"})),
        )
        .after(acquire())
        .header("penholder-fence", "0")
        .refused(409),
    ]
}

fn refused() -> Vec<Row> {
    vec![
        Row::new("a transition that there is not", to("in_progress"))
            .after(to("closed"))
            .refused(409),
        Row::new("a write to another version", patch(json!({"title": "New"})))
            .header("if-match", "\"7\"")
            .refused(412),
        Row::new(
            "an update whose status may not be",
            patch(json!({"title": "New", "status": "in_progress"})),
        )
        .after(to("closed"))
        .refused(409),
        Row::new("an assignee whom nobody knows", assign("nobody")).refused(422),
        Row::new("a customer as assignee", assign("ann")).refused(422),
        Row::new("a comment on a closed ticket", comment("ann")).after(to("closed")).refused(409),
        Row::new(
            "the metadata of a customer",
            (
                "ann",
                "POST /v1/tickets",
                json!({"title": "T", "description": "d", "metadata": {"m": hidden("word")}}),
            ),
        )
        .refused(422),
        Row::new(
            "a note of a customer",
            (
                "ann",
                "POST /v1/tickets/{T}/comments",
                json!({"content": "a word", "is_internal": true}),
            ),
        )
        .refused(403),
        Row::new("a customer's update", ("ann", "PATCH /v1/tickets/{T}", json!({"title": "New"})))
            .refused(403),
        Row::new("a stranger's comment", comment("cat")).refused(404),
        Row::new("a customer takes it away", ("ann", "DELETE /v1/tickets/{T}", Value::Null))
            .refused(403),
        Row::new(
            "an agent's edit of another's comment",
            ("idle", "PATCH /v1/comments/{M}", json!({"content": "another word"})),
        )
        .after(comment("sam"))
        .refused(403),
    ]
}
