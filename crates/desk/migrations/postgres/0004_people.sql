-- Name and id in lower case, for the search. Whoever is known already, and has letters there that the database does
-- not know the lower case of, gets them when they come next.
ALTER TABLE people ADD COLUMN folded text NOT NULL DEFAULT '';
UPDATE people SET folded = lower(name || chr(31) || id);
-- The staff is few among many.
CREATE INDEX people_role ON people (role);
