-- The log of pens is the pens' part of the event log: it has of each event what `event_log` has of a write. Rows of
-- before have no `id`, and no consumer is sent them. `previous` is the pen before; null of a topic's very first event.
ALTER TABLE pen_log ADD COLUMN id TEXT;
ALTER TABLE pen_log ADD COLUMN op TEXT;
ALTER TABLE pen_log ADD COLUMN previous TEXT;
-- Whether whoever did it is one who has signed in, and no guest.
ALTER TABLE pen_log ADD COLUMN is_signed_in INTEGER NOT NULL DEFAULT 1;
ALTER TABLE pen_log ADD COLUMN trace_id TEXT;
ALTER TABLE pen_log ADD COLUMN traceparent TEXT;
ALTER TABLE pen_log ADD COLUMN processed_ms INTEGER;
CREATE UNIQUE INDEX pen_log_id ON pen_log (id) WHERE id IS NOT NULL;
CREATE INDEX pen_log_trace ON pen_log (trace_id) WHERE trace_id IS NOT NULL;

-- What is owed may be of either part of the log: no reference. Triggers do what a reference would.
CREATE TABLE owed (
    consumer_id TEXT NOT NULL REFERENCES consumers (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
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
INSERT INTO owed SELECT consumer_id, event_id, line, seq, state, attempts, first_ms, last_ms, next_ms, status, error
FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE owed RENAME TO deliveries;
CREATE INDEX deliveries_event ON deliveries (event_id);
CREATE INDEX deliveries_pending ON deliveries (consumer_id, line, seq, event_id) WHERE state = 'pending';
CREATE INDEX deliveries_state ON deliveries (consumer_id, state, event_id);

CREATE TRIGGER event_log_gone AFTER DELETE ON event_log BEGIN
    DELETE FROM deliveries WHERE event_id = OLD.id;
END;
CREATE TRIGGER pen_log_gone AFTER DELETE ON pen_log WHEN OLD.id IS NOT NULL BEGIN
    DELETE FROM deliveries WHERE event_id = OLD.id;
END;

-- Both parts of the log, as consumers and traces read them.
CREATE VIEW written AS
SELECT id, entity_type, entity_id, op, data, previous_data, identity_id, is_signed_in, trace_id, traceparent,
    occurred_ms, topic, seq, CAST(NULL AS TEXT) AS change, CAST(NULL AS TEXT) AS rule, CAST(NULL AS TEXT) AS reason
FROM event_log
UNION ALL
SELECT id, CAST('pen' AS TEXT), topic, op, CAST(body -> 'pen' AS TEXT), previous, actor, is_signed_in, trace_id,
    traceparent, at_ms, topic, seq, type, rule, CAST(body ->> 'reason' AS TEXT)
FROM pen_log WHERE id IS NOT NULL;

-- Who wants which events of pens, as their filters say.
CREATE VIEW pen_consumers AS
SELECT c.id AS consumer, o.op FROM consumers AS c, (SELECT 'created' AS op UNION ALL SELECT 'updated') AS o
WHERE c.state <> 'removed' AND (' ' || c.filter || ' ' LIKE '% * %' OR ' ' || c.filter || ' ' LIKE '% pen.* %'
    OR ' ' || c.filter || ' ' LIKE '% pen.' || o.op || ' %');
