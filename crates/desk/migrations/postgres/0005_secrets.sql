-- Where what an answer has made is: sent again with it.
ALTER TABLE idempotency_keys ADD COLUMN location text;
-- A secret is shown once, so no answer that is sent again has one.
DELETE FROM idempotency_keys WHERE route = 'POST /v1/consumers';

-- The secret before this one, which signs too until then.
ALTER TABLE consumers ADD COLUMN previous_secret text;
ALTER TABLE consumers ADD COLUMN previous_until_ms bigint;
-- How often where events go, or what signs them, was set right: an attempt that began before then is no reason to wait.
ALTER TABLE consumers ADD COLUMN mended bigint NOT NULL DEFAULT 0;
