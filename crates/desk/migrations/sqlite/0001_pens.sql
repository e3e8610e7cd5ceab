-- One counter per topic, which numbers all of its durable events without gaps. A sequence would not do:
-- it gives numbers out of the order of commits, and a reader who goes on from the last misses some.
CREATE TABLE topics (
    topic TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per topic that ever had a pen. Rows are never deleted, or the fence would start again.
CREATE TABLE pens (
    topic TEXT PRIMARY KEY,
    fence INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    active_ms INTEGER NOT NULL,
    -- When there is something to do; null while the pen is free.
    due_ms INTEGER,
    -- The person who has it, whether or not the deadline has passed.
    holder TEXT,
    claims TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pens_due ON pens (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX pens_holder ON pens (holder) WHERE holder IS NOT NULL;

CREATE TABLE pen_log (
    topic TEXT NOT NULL,
    seq INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    type TEXT NOT NULL,
    rule TEXT NOT NULL,
    -- Who did it; null for the clock.
    actor TEXT,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (topic, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX pen_log_at ON pen_log (at_ms);

CREATE TABLE pen_drafts (
    topic TEXT NOT NULL,
    author TEXT NOT NULL,
    left_by TEXT NOT NULL,
    left_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    draft BLOB NOT NULL,
    PRIMARY KEY (topic, author)
) STRICT;
CREATE INDEX pen_drafts_expires ON pen_drafts (expires_ms);
