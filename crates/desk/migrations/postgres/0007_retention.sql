-- What is as old as the log may be is found in the two parts of the log, which have their times anyway.
DROP INDEX event_topics_occurred;

-- What was left behind of tickets that are gone, where nothing is kept of their topics any more; from now on it goes with the last of
-- that. Their ids never come again.
DELETE FROM pens WHERE claims #>> '{state,is}' = 'ended'
    AND NOT EXISTS (SELECT 1 FROM pen_log AS p WHERE p.topic = pens.topic)
    AND NOT EXISTS (SELECT 1 FROM event_topics AS t WHERE t.topic = pens.topic);
DELETE FROM topics WHERE topic LIKE 'tickets:________-____-____-____-____________'
    AND NOT EXISTS (SELECT 1 FROM tickets AS k WHERE k.id = substr(topics.topic, 9))
    AND NOT EXISTS (SELECT 1 FROM pens AS p WHERE p.topic = topics.topic)
    AND NOT EXISTS (SELECT 1 FROM pen_log AS p WHERE p.topic = topics.topic)
    AND NOT EXISTS (SELECT 1 FROM event_topics AS t WHERE t.topic = topics.topic);

-- How many tickets there are of each status, and how many of them nobody has, is in the index alone.
DROP INDEX tickets_status;
CREATE INDEX tickets_status ON tickets (status, created_ms, id, assigned_to_id);

-- Both parts of the log as before, but with those of pens that have no id: with a condition of its own a part is read as a whole
-- where the view is joined by ids.
CREATE OR REPLACE VIEW written AS
SELECT id, entity_type, entity_id, op, data, previous_data, identity_id, is_signed_in, trace_id, traceparent,
    occurred_ms, topic, seq, CAST(NULL AS text) AS change, CAST(NULL AS text) AS rule, CAST(NULL AS text) AS reason
FROM event_log
UNION ALL
SELECT id, CAST('pen' AS text), topic, op, CAST(body -> 'pen' AS text), CAST(previous AS text), actor, is_signed_in,
    trace_id, traceparent, at_ms, topic, seq, type, rule, CAST(body ->> 'reason' AS text)
FROM pen_log;
