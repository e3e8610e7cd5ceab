-- The topic of what was written, and the number of the write there: what a consumer is told of it, also when the
-- topic has let go of it.
ALTER TABLE event_log ADD COLUMN topic text COLLATE "C";
ALTER TABLE event_log ADD COLUMN seq bigint;
-- Whether the person is one who has signed in, and no guest.
ALTER TABLE event_log ADD COLUMN is_signed_in bigint NOT NULL DEFAULT 1;
UPDATE event_log SET topic = t.topic, seq = t.seq_staff FROM event_topics AS t
WHERE t.event_id = event_log.id AND t.topic <> 'tickets:all' AND t.topic NOT LIKE 'tickets:user:%';
CREATE INDEX event_log_topic ON event_log (topic, seq);

-- Who is sent events. What is replayed begins after (`replay_ms`, `replay_id`) or at `replay_seq` of a topic, and ends
-- with `replay_until_ms`, which is null while nothing is.
CREATE TABLE consumers (
    id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    filter text NOT NULL,
    kind text NOT NULL,
    url text,
    secret text,
    state text NOT NULL,
    created_ms bigint NOT NULL,
    replay_topic text COLLATE "C",
    replay_seq bigint NOT NULL DEFAULT 0,
    replay_ms bigint NOT NULL DEFAULT 0,
    replay_id text COLLATE "C" NOT NULL DEFAULT '',
    replay_until_ms bigint
);

-- What is owed to a consumer, and what came of it. Written in the transaction of the event.
CREATE TABLE deliveries (
    consumer_id text COLLATE "C" NOT NULL REFERENCES consumers ON DELETE CASCADE,
    event_id text COLLATE "C" NOT NULL REFERENCES event_log ON DELETE CASCADE,
    line text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    state text NOT NULL,
    attempts bigint NOT NULL,
    first_ms bigint,
    last_ms bigint,
    next_ms bigint,
    status bigint,
    error text,
    PRIMARY KEY (consumer_id, event_id)
);
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_pending ON deliveries (consumer_id, line, seq, event_id) WHERE state = 'pending';
CREATE INDEX deliveries_state ON deliveries (consumer_id, state, event_id);

-- One row for each line of a consumer in which something waits. Whoever adds to a line or takes from it writes this
-- row, so that nobody misses what the other has done. `claim` is whose turn it is, until `next_ms`.
CREATE TABLE delivery_lines (
    consumer_id text COLLATE "C" NOT NULL REFERENCES consumers ON DELETE CASCADE,
    line text COLLATE "C" NOT NULL,
    next_ms bigint NOT NULL,
    claim text COLLATE "C",
    PRIMARY KEY (consumer_id, line)
);
CREATE INDEX delivery_lines_next ON delivery_lines (consumer_id, next_ms);
