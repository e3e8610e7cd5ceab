//! The statements. Their clock is read where it may be, see the parent module.

/// The clock as it is when this is evaluated, in whole milliseconds.
macro_rules! clock {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// The clock as it was when the statement came, so before it saw anything: what is renewed while a
/// statement reads is not seen to have expired.
macro_rules! statement_clock {
    () => {
        "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
    };
}

/// The timeline: the first eight hexadecimal digits of the name of the log file that is written now.
/// A standby refuses to say, and so grants nothing.
macro_rules! timeline {
    () => {
        "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint"
    };
}

/// The columns of a lease.
macro_rules! lease {
    () => {
        "fence, since_ms, deadline_ms, active_ms, due_ms, claims"
    };
}

pub(super) const READ: &str = concat!(
    "SELECT ",
    statement_clock!(),
    ", 0::bigint, ",
    lease!(),
    " FROM pens WHERE topic = $1"
);

pub(super) const CLOCK: &str = concat!("SELECT ", clock!());

pub(super) const TIME: &str = concat!("SELECT ", clock!(), ", ", timeline!());

/// The lock is had in the inner query, which `OFFSET 0` keeps apart; the clock is read in the outer one.
pub(super) const LOCK_TO_WRITE: &str = concat!(
    "SELECT ",
    clock!(),
    ", ",
    timeline!(),
    ", ",
    lease!(),
    " FROM (SELECT * FROM pens WHERE topic = $1 OFFSET 0 FOR UPDATE) AS pen"
);

/// As above, but others may write under the same fence at the same time.
pub(super) const LOCK_FENCE: &str = concat!(
    "SELECT ",
    clock!(),
    ", ",
    timeline!(),
    ", ",
    lease!(),
    " FROM (SELECT * FROM pens WHERE topic = $1 OFFSET 0 FOR SHARE) AS pen"
);

/// Of a ticket, $3, only while there is one.
pub(super) const BEGIN_ROW: &str = "
    INSERT INTO pens (topic, fence, since_ms, deadline_ms, active_ms, claims)
    SELECT $1, 0, 0, 0, 0, $2 WHERE $3::text IS NULL OR EXISTS (SELECT FROM tickets WHERE id = $3)
    ON CONFLICT (topic) DO NOTHING";

/// What pens owe to consumers, of the rows of `told`: lines first, as all who lock both do. A line is
/// written also where it is there: whoever takes its last has to wait, and then sees what was added.
macro_rules! owe {
    () => {
        "called AS (
        INSERT INTO delivery_lines (consumer_id, line, next_ms)
        SELECT DISTINCT consumer, topic, ms FROM told, unnest(consumers) AS consumer
        ORDER BY topic, consumer
        ON CONFLICT (consumer_id, line) DO UPDATE SET line = excluded.line
    ), owed AS (
        INSERT INTO deliveries (consumer_id, event_id, line, seq, state, attempts)
        SELECT consumer, id, topic, seq, 'pending', 0 FROM told, unnest(consumers) AS consumer
    )"
    };
}

/// Appends the rows of `told` to the log.
macro_rules! append {
    () => {
        "appended AS (
        INSERT INTO pen_log (topic, seq, fence, type, rule, actor, at_ms, body, id, op, previous,
            is_signed_in, trace_id, traceparent, processed_ms)
        SELECT topic, seq, (body ->> 'fence')::bigint, body ->> 'type', body ->> 'rule',
            body #>> '{by,id}', ms, body, id, CASE WHEN previous IS NULL THEN 'created' ELSE 'updated' END,
            previous, is_signed_in, trace_id, traceparent, CASE WHEN consumers = '{}' THEN ms END
        FROM told
    )"
    };
}

/// Writes a lease, and if there are events, counts the topic on by $9 and appends them, $10, under a trace.
///
/// Who wants them is asked when the row of the pen has been locked and before the counter is: in the order of
/// all who lock these, or two would wait for each other.
pub(super) const KEEP: &str = concat!(
    "WITH kept AS (
        UPDATE pens SET fence = $2, since_ms = $3, deadline_ms = $4, active_ms = $5, due_ms = $6,
            holder = $7, claims = $8
        WHERE topic = $1
    ), heard AS MATERIALIZED (
        SELECT consumers_wanting('pen.created') AS created, consumers_wanting('pen.updated') AS updated
        WHERE $9 > 0
    ), counted AS (
        INSERT INTO topics AS t (topic, seq) SELECT $1, $9::bigint FROM heard
        ON CONFLICT (topic) DO UPDATE SET seq = t.seq + $9 RETURNING seq
    ), told AS MATERIALIZED (
        SELECT $1 AS topic, seq - $9 + place AS seq, event -> 'body' AS body,
            (event #>> '{body,at}')::bigint AS ms, event ->> 'id' AS id,
            nullif(event -> 'previous', 'null') AS previous,
            (event ->> 'is_signed_in')::bigint AS is_signed_in,
            $11::text AS trace_id, $12::text AS traceparent,
            CASE event ->> 'op' WHEN 'created' THEN created ELSE updated END AS consumers
        FROM heard, counted, jsonb_array_elements($10) WITH ORDINALITY AS event (event, place)
    ), ",
    append!(),
    ", ",
    owe!(),
    " SELECT seq, EXISTS (SELECT FROM told WHERE consumers <> '{}') FROM counted"
);

/// Grants a pen that is free: topic, time to live, holder, claims, the request that must not have been
/// answered before, the event, its id, whether the holder is no guest, the trace, and the ticket, without which no pen of it is
/// granted. What of the event depends on the clock and the fence is filled in here.
///
/// A row that is free stays so by itself, so no deadline is compared. The clock is read in the branch
/// that writes, and there after the lock.
pub(super) const ACQUIRE_FREE: &str = concat!(
    "WITH granted AS (
        INSERT INTO pens AS pen
            (topic, fence, since_ms, deadline_ms, active_ms, due_ms, holder, claims)
        SELECT $1, (line << 40) + 1, ms, ms + $2, ms, ms + $2, $3, $4
        FROM (SELECT ",
    clock!(),
    " AS ms, ",
    timeline!(),
    " AS line OFFSET 0) AS time
        WHERE $11::text IS NULL OR EXISTS (SELECT FROM tickets WHERE id = $11)
        ON CONFLICT (topic) DO UPDATE SET
            (fence, since_ms, deadline_ms, active_ms, due_ms) = (
                SELECT greatest(pen.fence, (line << 40) | (pen.fence & ((1::bigint << 40) - 1))) + 1,
                    ms, ms + $2, ms, ms + $2
                FROM (SELECT ",
    clock!(),
    " AS ms, ",
    timeline!(),
    " AS line OFFSET 0) AS time
            ),
            fence_before = pen.fence,
            holder = $3,
            claims = jsonb_set($4, '{spent}', pen.claims -> 'spent')
        WHERE pen.claims #>> '{state,is}' = 'free'
            AND ($5::jsonb IS NULL OR NOT pen.claims -> 'spent' @> $5)
        RETURNING fence, fence_before, since_ms, deadline_ms
    ), heard AS MATERIALIZED (
        SELECT granted.*, consumers_wanting(
            CASE fence_before WHEN 0 THEN 'pen.created' ELSE 'pen.updated' END) AS consumers
        FROM granted
    ), counted AS (
        INSERT INTO topics AS t (topic, seq) SELECT $1, 1 FROM heard
        ON CONFLICT (topic) DO UPDATE SET seq = t.seq + 1 RETURNING seq
    ), told AS MATERIALIZED (
        SELECT $1 AS topic, seq, fence, since_ms AS ms, deadline_ms, $7::text AS id,
            $6 || jsonb_build_object('fence', fence::text, 'at', since_ms, 'pen',
                ($6 -> 'pen') || jsonb_build_object(
                    'fence', fence::text, 'since', since_ms, 'deadline', deadline_ms)) AS body,
            CASE WHEN fence_before <> 0 THEN jsonb_build_object('state', 'free', 'holder', NULL,
                'session', NULL, 'fence', fence_before::text, 'since', NULL, 'deadline', NULL,
                'queue', '[]'::jsonb) END AS previous,
            $8::bigint AS is_signed_in, $9::text AS trace_id, $10::text AS traceparent, consumers
        FROM heard, counted
    ), ",
    append!(),
    ", ",
    owe!(),
    " SELECT fence, ms, deadline_ms, seq, consumers <> '{}' FROM told"
);

/// Gives a pen back: topic, session, fence, how many requests are remembered, the event's id, and the trace. Only
/// where nobody waits and it is plain that a decision would do just that. The clock is read after the lock.
pub(super) const RELEASE: &str = concat!(
    "WITH timed AS MATERIALIZED (
        SELECT locked.*, ",
    clock!(),
    " AS ms FROM (
            SELECT topic, claims -> 'state' -> 'tenure' AS tenure, since_ms AS held_since_ms,
                deadline_ms AS held_until_ms,
                CASE WHEN jsonb_array_length(claims -> 'spent') < $4 THEN claims -> 'spent'
                    ELSE (claims -> 'spent') - 0 END AS spent
            FROM pens WHERE topic = $1 OFFSET 0 FOR UPDATE
        ) AS locked
    ), released AS (
        UPDATE pens AS pen SET since_ms = ms, deadline_ms = ms, active_ms = ms, due_ms = NULL,
            holder = NULL, claims = jsonb_build_object(
                'state', jsonb_build_object('is', 'free', 'released_by', $2::text),
                'queue', '[]'::jsonb,
                'spent', CASE WHEN tenure ->> 'request_id' IS NULL THEN pen.claims -> 'spent'
                    ELSE spent || jsonb_build_array(jsonb_build_object('session', $2::text,
                        'request_id', tenure -> 'request_id', 'fence', pen.fence::text)) END)
        FROM timed
        WHERE pen.topic = timed.topic AND pen.fence = $3
            AND pen.claims #>> '{state,is}' = 'held'
            AND pen.claims #>> '{state,tenure,holder,session}' = $2
            AND pen.claims -> 'queue' = '[]'
            AND pen.deadline_ms > ms
        RETURNING pen.topic, pen.fence, ms, held_since_ms, held_until_ms, tenure -> 'holder' AS holder
    ), heard AS MATERIALIZED (
        SELECT released.*, consumers_wanting('pen.updated') AS consumers FROM released
    ), counted AS (
        INSERT INTO topics AS t (topic, seq) SELECT topic, 1 FROM heard
        ON CONFLICT (topic) DO UPDATE SET seq = t.seq + 1 RETURNING seq
    ), told AS MATERIALIZED (
        SELECT topic, seq, ms, consumers, $5::text AS id, jsonb_build_object(
            'type', 'released', 'rule', 'released', 'by', holder -> 'person', 'fence', fence::text,
            'at', ms,
            'pen', jsonb_build_object('state', 'free', 'holder', NULL, 'session', NULL,
                'fence', fence::text, 'since', NULL, 'deadline', NULL, 'queue', '[]'::jsonb)) AS body,
            jsonb_build_object('state', 'held', 'holder', holder -> 'person',
                'session', holder -> 'session', 'fence', fence::text, 'since', held_since_ms,
                'deadline', held_until_ms, 'queue', '[]'::jsonb) AS previous,
            (holder ->> 'role' <> 'guest')::int::bigint AS is_signed_in,
            $6::text AS trace_id, $7::text AS traceparent
        FROM heard, counted
    ), ",
    append!(),
    ", ",
    owe!(),
    " SELECT seq, body, consumers <> '{}' FROM told"
);

/// Renews the pens of many: topics, sessions, fences, milliseconds since the last input, ids of the events, traces.
/// Only where it is plain that a decision would do just that; the others are left out of the answer.
///
/// What is locked is left out as well, so that nobody waits here with rows that others wait for; each row's clock is read
/// after its lock.
pub(super) const RENEW: &str = concat!(
    "WITH asked AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[],
            $7::text[])
            WITH ORDINALITY AS asked
            (topic, session, fence, input_ms_ago, id, trace_id, traceparent, place)
    ), timed AS MATERIALIZED (
        SELECT locked.*, ",
    clock!(),
    " AS ms FROM (
            SELECT asked.*, (pen.claims #>> '{state,tenure,ttl_ms}')::bigint AS ttl_ms,
                pen.deadline_ms AS held_until_ms
            FROM pens AS pen JOIN asked ON pen.topic = asked.topic COLLATE \"C\"
            ORDER BY pen.topic OFFSET 0 FOR UPDATE OF pen SKIP LOCKED
        ) AS locked
    ), renewed AS (
        UPDATE pens AS pen SET deadline_ms = ms + ttl_ms, due_ms = ms + ttl_ms,
            active_ms = greatest(pen.active_ms, ms - input_ms_ago)
        FROM timed
        WHERE pen.topic = timed.topic COLLATE \"C\" AND pen.fence = timed.fence
            AND pen.claims #>> '{state,is}' = 'held'
            AND pen.claims #>> '{state,tenure,holder,session}' = timed.session
            AND pen.claims -> 'queue' = '[]'
            AND pen.deadline_ms > ms AND pen.deadline_ms < ms + ttl_ms
        RETURNING pen.*, place, ms, held_until_ms, id, trace_id, traceparent
    ), heard AS MATERIALIZED (
        SELECT consumers_wanting('pen.updated') AS consumers
        FROM (SELECT count(*) AS renewals FROM renewed) AS counted WHERE renewals > 0
    ), counted AS (
        INSERT INTO topics AS t (topic, seq) SELECT topic, 1 FROM heard, renewed ORDER BY topic
        ON CONFLICT (topic) DO UPDATE SET seq = t.seq + 1 RETURNING topic, seq
    ), shown AS (
        SELECT renewed.*, seq, consumers, claims #> '{state,tenure,holder}' AS tenant,
            jsonb_build_object('state', 'held',
                'holder', claims #> '{state,tenure,holder,person}',
                'session', claims #> '{state,tenure,holder,session}', 'fence', fence::text,
                'since', since_ms, 'deadline', deadline_ms, 'queue', claims -> 'queue') AS pen
        FROM heard, renewed JOIN counted USING (topic)
    ), told AS MATERIALIZED (
        SELECT topic, place, seq, ms, id, trace_id, traceparent, consumers, jsonb_build_object(
            'type', 'renewed', 'rule', claims #> '{state,tenure,rule}', 'by', tenant -> 'person',
            'fence', fence::text, 'at', ms, 'pen', pen) AS body,
            pen || jsonb_build_object('deadline', held_until_ms) AS previous,
            (tenant ->> 'role' <> 'guest')::int::bigint AS is_signed_in
        FROM shown
    ), ",
    append!(),
    ", ",
    owe!(),
    " SELECT place, seq, body, consumers <> '{}' FROM told"
);

pub(super) const HELD_BY: &str = concat!(
    "SELECT topic, ",
    statement_clock!(),
    ", ",
    lease!(),
    " FROM pens WHERE holder = $1 ORDER BY topic LIMIT $2"
);

pub(super) const LOG: &str =
    "SELECT seq, body FROM pen_log WHERE topic = $1 AND seq > $2 ORDER BY seq LIMIT $3";

/// The first $1 that are due or will be, and those that lie further ahead than anything may, $2, as if
/// they were due now.
pub(super) const DUE: &str = concat!(
    "WITH time AS MATERIALIZED (SELECT ",
    statement_clock!(),
    " AS ms)
    (SELECT topic, due_ms, ms FROM pens, time WHERE due_ms IS NOT NULL ORDER BY due_ms LIMIT $1)
    UNION ALL
    (SELECT topic, ms, ms FROM pens, time
    WHERE due_ms > (SELECT ms + $2 FROM time) ORDER BY due_ms DESC LIMIT $1)"
);

pub(super) const LEAVE_DRAFT: &str = concat!(
    "INSERT INTO pen_drafts AS d (topic, author, left_by, left_ms, expires_ms, draft)
    SELECT $1, $2, $3, ms, ms + $4, $5 FROM (SELECT ",
    clock!(),
    " AS ms OFFSET 0) AS time
    ON CONFLICT (topic, author) DO UPDATE SET left_by = excluded.left_by,
        left_ms = excluded.left_ms, expires_ms = excluded.expires_ms, draft = excluded.draft
    RETURNING left_ms"
);

/// The reader's own draft before another's, which only who holds the pen may have, and only with $3.
pub(super) const DRAFT: &str = concat!(
    "SELECT draft, left_by, left_ms FROM pen_drafts
    WHERE topic = $1 AND expires_ms > ",
    statement_clock!(),
    " AND (author = $2 OR $3 AND EXISTS (
        SELECT FROM pens WHERE topic = $1 AND holder = $2 AND deadline_ms > ",
    statement_clock!(),
    "))
    ORDER BY author = $2 DESC, left_ms DESC LIMIT 1"
);
