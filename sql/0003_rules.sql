-- 0003: holds and cancels of everything that goes to a domain, comes from an
-- account, has a tag or would leave from a source (include/store/rules.h).
--
-- A rule is one row, however many mails it is about: whoever reads a job, walks
-- or asks for a status applies it.

CREATE TABLE rules (
	-- A hold's is the score of what is parked for it (queue/functions.lua).
	number     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id         uuid NOT NULL UNIQUE,
	kind       text NOT NULL CHECK (kind IN ('hold', 'cancel')),
	scope      text NOT NULL
	           CHECK (scope IN ('domain', 'account', 'tag', 'source')),
	-- A-labels in lower case; name; name or name=value; address
	value      text NOT NULL,
	account    int REFERENCES accounts ON DELETE CASCADE, -- NULL: of any
	reason     text NOT NULL DEFAULT '',
	issued_at  timestamptz NOT NULL, -- a cancel covers what is older
	expires_at timestamptz,          -- NULL: until it is released
	CHECK (kind = 'hold' OR scope <> 'source'),
	CHECK (scope <> 'account' OR account IS NOT NULL)
);
CREATE UNIQUE INDEX rules_holds
	ON rules (scope, value, coalesce(account, 0)) WHERE kind = 'hold';

-- Counts the changes. A claim carries the number under which its job was looked
-- at and is only made when that still stands: from the commit of a rule on
-- nothing more is sent against it, although every process has a list of its
-- own.
CREATE TABLE rule_state (
	one        boolean PRIMARY KEY DEFAULT true CHECK (one),
	generation int NOT NULL
);
INSERT INTO rule_state (generation) VALUES (0);

CREATE FUNCTION rules_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE rule_state SET generation = generation + 1 WHERE one;
	RETURN NULL;
END
$$;
CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE ON rules
	FOR EACH ROW EXECUTE FUNCTION rules_changed();

-- The smallest id of a moment (id_floor of model/id.h).
CREATE FUNCTION id_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
	    || '00000000000000000000')::uuid
$$;
