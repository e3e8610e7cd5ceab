-- The topic of what was written, and the number of the write there: what a consumer is told of it, also when the
-- topic has let go of it.
ALTER TABLE event_log ADD COLUMN topic TEXT;
ALTER TABLE event_log ADD COLUMN seq INTEGER;
-- Whether the person is one who has signed in, and no guest.
ALTER TABLE event_log ADD COLUMN is_signed_in INTEGER NOT NULL DEFAULT 1;
UPDATE event_log SET topic = t.topic, seq = t.seq_staff FROM event_topics AS t
WHERE t.event_id = event_log.id AND t.topic <> 'tickets:all' AND t.topic NOT LIKE 'tickets:user:%';
CREATE INDEX event_log_topic ON event_log (topic, seq);

-- Who is sent events. What is replayed begins after (`replay_ms`, `replay_id`) or at `replay_seq` of a topic, and ends
-- with `replay_until_ms`, which is null while nothing is.
CREATE TABLE consumers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    filter TEXT NOT NULL,
    kind TEXT NOT NULL,
    url TEXT,
    secret TEXT,
    state TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    replay_topic TEXT,
    replay_seq INTEGER NOT NULL DEFAULT 0,
    replay_ms INTEGER NOT NULL DEFAULT 0,
    replay_id TEXT NOT NULL DEFAULT '',
    replay_until_ms INTEGER
) STRICT;

-- What is owed to a consumer, and what came of it. Written in the transaction of the event.
CREATE TABLE deliveries (
    consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL REFERENCES event_log (id) ON DELETE CASCADE,
    line TEXT NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_ms INTEGER,
    last_ms INTEGER,
    next_ms INTEGER,
    status INTEGER,
    error TEXT,
    PRIMARY KEY (consumer_id, event_id)
) STRICT;
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_pending ON deliveries (consumer_id, line, seq, event_id) WHERE state = 'pending';
CREATE INDEX deliveries_state ON deliveries (consumer_id, state, event_id);

-- One row for each line of a consumer in which something waits. Whoever adds to a line or takes from it writes this
-- row, so that nobody misses what the other has done. `claim` is whose turn it is, until `next_ms`.
CREATE TABLE delivery_lines (
    consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
    line TEXT NOT NULL,
    next_ms INTEGER NOT NULL,
    claim TEXT,
    PRIMARY KEY (consumer_id, line)
) STRICT;
CREATE INDEX delivery_lines_next ON delivery_lines (consumer_id, next_ms);
