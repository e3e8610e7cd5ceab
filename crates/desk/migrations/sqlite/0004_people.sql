-- Name and id in lower case, for the search. Whoever is known already gets more than the letters of ASCII in lower
-- case when they come next.
ALTER TABLE people ADD COLUMN folded TEXT NOT NULL DEFAULT '';
UPDATE people SET folded = lower(name || char(31) || id);
-- The staff is few among many.
CREATE INDEX people_role ON people (role);
