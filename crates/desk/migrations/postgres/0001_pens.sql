-- One counter per topic, which numbers all of its durable events without gaps. A sequence would not do:
-- it gives numbers out of the order of commits, and a reader who goes on from the last misses some.
CREATE TABLE topics (
    topic text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL
);

-- One row per topic that ever had a pen. Rows are never deleted, or the fence would start again.
CREATE TABLE pens (
    topic text COLLATE "C" PRIMARY KEY,
    fence bigint NOT NULL,
    since_ms bigint NOT NULL,
    deadline_ms bigint NOT NULL,
    active_ms bigint NOT NULL,
    -- When there is something to do; null while the pen is free.
    due_ms bigint,
    -- The person who has it, whether or not the deadline has passed.
    holder text COLLATE "C",
    claims jsonb NOT NULL
);
CREATE INDEX pens_due ON pens (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX pens_holder ON pens (holder) WHERE holder IS NOT NULL;

CREATE TABLE pen_log (
    topic text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    fence bigint NOT NULL,
    type text NOT NULL,
    rule text NOT NULL,
    -- Who did it; null for the clock.
    actor text COLLATE "C",
    at_ms bigint NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (topic, seq)
);
CREATE INDEX pen_log_at ON pen_log (at_ms);

CREATE TABLE pen_drafts (
    topic text COLLATE "C" NOT NULL,
    author text COLLATE "C" NOT NULL,
    left_by jsonb NOT NULL,
    left_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    draft bytea NOT NULL,
    PRIMARY KEY (topic, author)
);
CREATE INDEX pen_drafts_expires ON pen_drafts (expires_ms);
