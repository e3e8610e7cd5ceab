-- The log of pens is the pens' part of the event log: it has of each event what `event_log` has of a write. Rows of
-- before have no `id`, and no consumer is sent them. `previous` is the pen before; null of a topic's very first event.
ALTER TABLE pen_log ADD COLUMN id text COLLATE "C";
ALTER TABLE pen_log ADD COLUMN op text;
ALTER TABLE pen_log ADD COLUMN previous jsonb;
-- Whether whoever did it is one who has signed in, and no guest.
ALTER TABLE pen_log ADD COLUMN is_signed_in bigint NOT NULL DEFAULT 1;
ALTER TABLE pen_log ADD COLUMN trace_id text COLLATE "C";
ALTER TABLE pen_log ADD COLUMN traceparent text;
ALTER TABLE pen_log ADD COLUMN processed_ms bigint;
CREATE UNIQUE INDEX pen_log_id ON pen_log (id) WHERE id IS NOT NULL;
CREATE INDEX pen_log_trace ON pen_log (trace_id) WHERE trace_id IS NOT NULL;

-- The fence that the last grant of a free pen has found: of one statement, which cannot return it otherwise.
ALTER TABLE pens ADD COLUMN fence_before bigint NOT NULL DEFAULT 0;

-- What is owed may be of either part of the log: no reference. Triggers do what a reference would.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_event_id_fkey;

CREATE FUNCTION forget_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM deliveries WHERE event_id = OLD.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER event_log_gone AFTER DELETE ON event_log FOR EACH ROW EXECUTE FUNCTION forget_deliveries();
CREATE TRIGGER pen_log_gone AFTER DELETE ON pen_log FOR EACH ROW WHEN (OLD.id IS NOT NULL)
    EXECUTE FUNCTION forget_deliveries();

-- Both parts of the log, as consumers and traces read them.
CREATE VIEW written AS
SELECT id, entity_type, entity_id, op, data, previous_data, identity_id, is_signed_in, trace_id, traceparent,
    occurred_ms, topic, seq, CAST(NULL AS text) AS change, CAST(NULL AS text) AS rule, CAST(NULL AS text) AS reason
FROM event_log
UNION ALL
SELECT id, CAST('pen' AS text), topic, op, CAST(body -> 'pen' AS text), CAST(previous AS text), actor, is_signed_in,
    trace_id, traceparent, at_ms, topic, seq, type, rule, CAST(body ->> 'reason' AS text)
FROM pen_log WHERE id IS NOT NULL;

-- Who the consumers are and what they want, or who wants an event of this name; none of them comes, goes or changes its
-- filter before the transaction ends. Each statement of a function sees what was committed before it, so the second sees
-- all that the first has waited for, though the statement that calls the function began before. The lock is the one of
-- `consumers/outbox.rs`.
CREATE FUNCTION consumers_roster() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(5793157890305912435);
    RETURN (
        SELECT coalesce(string_agg(id || ' ' || filter, E'\n' ORDER BY id), '')
        FROM consumers WHERE state <> 'removed'
    );
END
$$;

CREATE FUNCTION consumers_wanting(event text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(5793157890305912435);
    RETURN ARRAY(
        SELECT id FROM consumers
        WHERE state <> 'removed' AND string_to_array(filter, ' ') && ARRAY['*', split_part(event, '.', 1) || '.*', event]
        ORDER BY id
    );
END
$$;
