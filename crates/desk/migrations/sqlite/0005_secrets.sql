-- Where what an answer has made is: sent again with it.
ALTER TABLE idempotency_keys ADD COLUMN location TEXT;
-- A secret is shown once, so no answer that is sent again has one.
DELETE FROM idempotency_keys WHERE route = 'POST /v1/consumers';

-- The secret before this one, which signs too until then.
ALTER TABLE consumers ADD COLUMN previous_secret TEXT;
ALTER TABLE consumers ADD COLUMN previous_until_ms INTEGER;
-- How often where events go, or what signs them, was set right: an attempt that began before then is no reason to wait.
ALTER TABLE consumers ADD COLUMN mended INTEGER NOT NULL DEFAULT 0;
