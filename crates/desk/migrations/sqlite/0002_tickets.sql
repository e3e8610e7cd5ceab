-- How many of a topic's events were for the staff alone: its number for the public is `seq` less these. So what
-- counts `seq` on, the log of pens too, counts for both. Up to `pruned` events are gone from the log.
ALTER TABLE topics ADD COLUMN staff_only INTEGER NOT NULL DEFAULT 0;
ALTER TABLE topics ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;

-- Who is known: whose token was seen, or whom the application has named.
CREATE TABLE people (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL
) STRICT;

CREATE TABLE tickets (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    user_id TEXT,
    guest TEXT,
    assigned_to_id TEXT REFERENCES people (id),
    comment_count INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    version INTEGER NOT NULL,
    resolved_ms INTEGER,
    closed_ms INTEGER,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    public_updated_ms INTEGER NOT NULL,
    -- Title and description in lower case, for the search.
    folded TEXT NOT NULL
) STRICT;
CREATE INDEX tickets_created ON tickets (created_ms, id);
CREATE INDEX tickets_updated ON tickets (updated_ms, id);
CREATE INDEX tickets_public_updated ON tickets (public_updated_ms, id);
CREATE INDEX tickets_status ON tickets (status, created_ms, id);
CREATE INDEX tickets_user ON tickets (user_id, created_ms, id);
CREATE INDEX tickets_assignee ON tickets (assigned_to_id, created_ms, id);

-- How many tickets have had a slug made of the same title. A slug never comes twice.
CREATE TABLE slugs (
    slug TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;

CREATE TABLE ticket_history (
    ticket_id TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    reason TEXT,
    by_person TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (ticket_id, position)
) STRICT, WITHOUT ROWID;

-- What a comment answers may be gone: no reference.
CREATE TABLE comments (
    id TEXT PRIMARY KEY,
    ticket_id TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    author_id TEXT,
    parent_id TEXT,
    depth INTEGER NOT NULL,
    content TEXT NOT NULL,
    audience TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX comments_ticket ON comments (ticket_id, created_ms, id);

CREATE TABLE attachments (
    id TEXT PRIMARY KEY,
    ticket_id TEXT NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    comment_id TEXT REFERENCES comments (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
CREATE INDEX attachments_ticket ON attachments (ticket_id);
CREATE INDEX attachments_comment ON attachments (comment_id);

-- One row for each write. Bodies are JSON without the `seq`, which each topic and audience has its own of.
CREATE TABLE event_log (
    id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    op TEXT NOT NULL,
    data TEXT NOT NULL,
    previous_data TEXT,
    audience TEXT NOT NULL,
    identity_id TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    trace_id TEXT,
    traceparent TEXT,
    occurred_ms INTEGER NOT NULL,
    processed_ms INTEGER,
    staff_body TEXT NOT NULL,
    public_body TEXT
) STRICT;
CREATE INDEX event_log_trace ON event_log (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX event_log_occurred ON event_log (occurred_ms);

-- One row for each topic that a write is told to. Without a public number it is for the staff alone. Bodies
-- are null where they are those of the write.
CREATE TABLE event_topics (
    topic TEXT NOT NULL,
    seq_staff INTEGER NOT NULL,
    seq_public INTEGER,
    event_id TEXT NOT NULL REFERENCES event_log (id),
    occurred_ms INTEGER NOT NULL,
    staff_body TEXT,
    public_body TEXT,
    PRIMARY KEY (topic, seq_staff)
) STRICT;
CREATE UNIQUE INDEX event_topics_public ON event_topics (topic, seq_public)
    WHERE seq_public IS NOT NULL;
CREATE INDEX event_topics_staff_only ON event_topics (topic, seq_staff) WHERE seq_public IS NULL;
CREATE INDEX event_topics_event ON event_topics (event_id);
CREATE INDEX event_topics_occurred ON event_topics (occurred_ms);

-- Answers to requests that a caller may repeat.
CREATE TABLE idempotency_keys (
    caller TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, route, key)
) STRICT;
CREATE INDEX idempotency_keys_at ON idempotency_keys (at_ms);
