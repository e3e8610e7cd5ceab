-- How many of a topic's events were for the staff alone: its number for the public is `seq` less these. So what
-- counts `seq` on, the log of pens too, counts for both. Up to `pruned` events are gone from the log.
ALTER TABLE topics ADD COLUMN staff_only bigint NOT NULL DEFAULT 0;
ALTER TABLE topics ADD COLUMN pruned bigint NOT NULL DEFAULT 0;

-- Who is known: whose token was seen, or whom the application has named.
CREATE TABLE people (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL
);

CREATE TABLE tickets (
    id text COLLATE "C" PRIMARY KEY,
    title text NOT NULL,
    description text NOT NULL,
    category text NOT NULL,
    status text NOT NULL,
    priority text NOT NULL,
    slug text COLLATE "C" NOT NULL UNIQUE,
    user_id text COLLATE "C",
    guest text,
    assigned_to_id text COLLATE "C" REFERENCES people,
    comment_count bigint NOT NULL,
    metadata text NOT NULL,
    version bigint NOT NULL,
    resolved_ms bigint,
    closed_ms bigint,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL,
    public_updated_ms bigint NOT NULL,
    -- Title and description in lower case, for the search.
    folded text NOT NULL
);
CREATE INDEX tickets_created ON tickets (created_ms, id);
CREATE INDEX tickets_updated ON tickets (updated_ms, id);
CREATE INDEX tickets_public_updated ON tickets (public_updated_ms, id);
CREATE INDEX tickets_status ON tickets (status, created_ms, id);
CREATE INDEX tickets_user ON tickets (user_id, created_ms, id);
CREATE INDEX tickets_assignee ON tickets (assigned_to_id, created_ms, id);

-- How many tickets have had a slug made of the same title. A slug never comes twice.
CREATE TABLE slugs (
    slug text COLLATE "C" PRIMARY KEY,
    count bigint NOT NULL
);

CREATE TABLE ticket_history (
    ticket_id text COLLATE "C" NOT NULL REFERENCES tickets ON DELETE CASCADE,
    position bigint NOT NULL,
    from_status text,
    to_status text NOT NULL,
    reason text,
    by_person text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (ticket_id, position)
);

-- What a comment answers may be gone: no reference.
CREATE TABLE comments (
    id text COLLATE "C" PRIMARY KEY,
    ticket_id text COLLATE "C" NOT NULL REFERENCES tickets ON DELETE CASCADE,
    author_id text COLLATE "C",
    parent_id text COLLATE "C",
    depth bigint NOT NULL,
    content text NOT NULL,
    audience text NOT NULL,
    created_ms bigint NOT NULL,
    updated_ms bigint NOT NULL
);
CREATE INDEX comments_ticket ON comments (ticket_id, created_ms, id);

CREATE TABLE attachments (
    id text COLLATE "C" PRIMARY KEY,
    ticket_id text COLLATE "C" NOT NULL REFERENCES tickets ON DELETE CASCADE,
    comment_id text COLLATE "C" REFERENCES comments ON DELETE CASCADE,
    url text NOT NULL,
    name text NOT NULL,
    size bigint NOT NULL,
    position bigint NOT NULL
);
CREATE INDEX attachments_ticket ON attachments (ticket_id);
CREATE INDEX attachments_comment ON attachments (comment_id);

-- One row for each write. Bodies are JSON without the `seq`, which each topic and audience has its own of.
CREATE TABLE event_log (
    id text COLLATE "C" PRIMARY KEY,
    event text NOT NULL,
    entity_type text NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    op text NOT NULL,
    data text NOT NULL,
    previous_data text,
    audience text NOT NULL,
    identity_id text COLLATE "C" NOT NULL,
    actor_kind text NOT NULL,
    trace_id text COLLATE "C",
    traceparent text,
    occurred_ms bigint NOT NULL,
    processed_ms bigint,
    staff_body text NOT NULL,
    public_body text
);
CREATE INDEX event_log_trace ON event_log (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX event_log_occurred ON event_log (occurred_ms);

-- One row for each topic that a write is told to. Without a public number it is for the staff alone. Bodies
-- are null where they are those of the write.
CREATE TABLE event_topics (
    topic text COLLATE "C" NOT NULL,
    seq_staff bigint NOT NULL,
    seq_public bigint,
    event_id text COLLATE "C" NOT NULL REFERENCES event_log,
    occurred_ms bigint NOT NULL,
    staff_body text,
    public_body text,
    PRIMARY KEY (topic, seq_staff)
);
CREATE UNIQUE INDEX event_topics_public ON event_topics (topic, seq_public)
    WHERE seq_public IS NOT NULL;
CREATE INDEX event_topics_staff_only ON event_topics (topic, seq_staff) WHERE seq_public IS NULL;
CREATE INDEX event_topics_event ON event_topics (event_id);
CREATE INDEX event_topics_occurred ON event_topics (occurred_ms);

-- Answers to requests that a caller may repeat.
CREATE TABLE idempotency_keys (
    caller text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    request_hash text NOT NULL,
    status bigint NOT NULL,
    body text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at_ms);
