-- 0001: the first tables.
--
-- Identifiers are UUIDv7 (include/model/id.h). Everything that grows with mail
-- is partitioned by the UTC day in the id; a recipient, its attempts, events
-- and webhook deliveries lie in the day of their email, whenever they happen.
-- Numbers of statuses and event kinds: include/model/status.h.
-- Times that decide about mail are parameters from the one clock of the house
-- (include/base/clock.h); no statement here asks now() for them.

CREATE TABLE accounts (
	number            int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id                uuid NOT NULL UNIQUE,
	name              text NOT NULL UNIQUE,
	-- 422 (ours) or 200 (Resend's) when every recipient is suppressed
	suppressed_answer smallint NOT NULL DEFAULT 422
	                  CHECK (suppressed_answer IN (200, 422)),
	-- log2 of the share in fair queueing
	weight_log2       smallint NOT NULL DEFAULT 0
	                  CHECK (weight_log2 BETWEEN 0 AND 7),
	created_at        timestamptz NOT NULL
);

-- Keys are random (128 bits and more): a plain SHA-256 of them is enough.
CREATE TABLE api_keys (
	id           uuid PRIMARY KEY,
	account      int NOT NULL REFERENCES accounts ON DELETE CASCADE,
	name         text NOT NULL,
	hash         bytea NOT NULL UNIQUE,
	prefix       text NOT NULL,           -- shown in lists: "re_ab12..."
	permission   text NOT NULL DEFAULT 'full_access'
	             CHECK (permission IN ('full_access', 'sending_access')),
	domain       int,                     -- only this one may send, or NULL
	created_at   timestamptz NOT NULL,
	last_used_at timestamptz
);

CREATE TABLE pools (
	number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name   text NOT NULL UNIQUE
);
INSERT INTO pools (name) VALUES ('default');

-- A worker is one life of one process; its number is never used twice. It is
-- the holder number in Redis and the fencing token everywhere.
CREATE TABLE workers (
	id         int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	node       text NOT NULL,
	role       text NOT NULL,
	slot       smallint NOT NULL,
	boot_id    text NOT NULL,
	pid        int NOT NULL,
	started_at timestamptz NOT NULL,
	seen_at    timestamptz NOT NULL,
	dead       boolean NOT NULL DEFAULT false
);
CREATE INDEX workers_alive ON workers (node, role, slot) WHERE NOT dead;

CREATE TABLE sources (
	number     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id         uuid NOT NULL UNIQUE,
	address    inet NOT NULL UNIQUE,
	helo       text NOT NULL,
	pool       int NOT NULL REFERENCES pools,
	weight     smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
	node       text,                      -- only this node may own it, or NULL
	owner      int REFERENCES workers,    -- the mta that sends from it
	enabled    boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL
);

CREATE TABLE domains (
	number           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id               uuid NOT NULL UNIQUE,
	account          int NOT NULL REFERENCES accounts ON DELETE CASCADE,
	name             text NOT NULL UNIQUE, -- A-labels, lower case
	return_path_host text NOT NULL,        -- <label>.<name>, MX points to us
	status           text NOT NULL DEFAULT 'not_started'
	                 CHECK (status IN ('not_started', 'pending', 'verified',
	                 'failed', 'partially_verified')),
	-- what the last check found per record, as the API shows it
	checks           jsonb NOT NULL DEFAULT '[]',
	checked_at       timestamptz,
	created_at       timestamptz NOT NULL
);
ALTER TABLE api_keys ADD FOREIGN KEY (domain) REFERENCES domains ON DELETE CASCADE;

CREATE TABLE dkim_keys (
	id          uuid PRIMARY KEY,
	domain      int NOT NULL REFERENCES domains ON DELETE CASCADE,
	selector    text NOT NULL,
	algorithm   text NOT NULL DEFAULT 'rsa-sha256',
	private_key bytea NOT NULL,            -- sealed, "dkim_keys.private_key:<id>"
	public_txt  text NOT NULL,             -- value of the TXT record
	active      boolean NOT NULL DEFAULT true,
	created_at  timestamptz NOT NULL,
	UNIQUE (domain, selector)
);

-- stream: 0 transactional, 1 broadcast
CREATE TABLE streams (
	account     int NOT NULL REFERENCES accounts ON DELETE CASCADE,
	stream      smallint NOT NULL CHECK (stream IN (0, 1)),
	pool        int NOT NULL REFERENCES pools,
	weight_log2 smallint NOT NULL CHECK (weight_log2 BETWEEN 0 AND 7),
	PRIMARY KEY (account, stream)
);

CREATE TABLE suppressions (
	account    int NOT NULL REFERENCES accounts ON DELETE CASCADE,
	address    text NOT NULL,              -- lower case (mail_address_add_key)
	scope      smallint NOT NULL DEFAULT -1, -- a stream, or -1: all
	id         uuid NOT NULL UNIQUE,
	origin     text NOT NULL CHECK (origin IN ('bounce', 'complaint', 'manual')),
	reason     text NOT NULL DEFAULT '',   -- the evidence: reply or note
	recipient  uuid,                       -- whose outcome it was
	created_at timestamptz NOT NULL,
	expires_at timestamptz,                -- NULL: never
	PRIMARY KEY (account, address, scope)
);

CREATE TABLE idempotency_keys (
	account    int NOT NULL,
	endpoint   smallint NOT NULL,          -- 1 POST /emails
	key        text NOT NULL,
	body_hash  bytea NOT NULL,
	email      uuid NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (account, endpoint, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE webhooks (
	id         uuid PRIMARY KEY,
	account    int NOT NULL REFERENCES accounts ON DELETE CASCADE,
	url        text NOT NULL,
	events     int NOT NULL,               -- bit n: event kind n
	secret     bytea NOT NULL,             -- sealed, "webhooks.secret:<id>"
	enabled    boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL
);
CREATE INDEX webhooks_account ON webhooks (account);

-- What grows with mail. -----------------------------------------------------

CREATE TABLE emails (
	id              uuid NOT NULL,         -- ends in seven zero bits
	account         int NOT NULL,
	domain          int NOT NULL,
	stream          smallint NOT NULL,
	recipient_count smallint NOT NULL,
	content_bytes   int NOT NULL,
	created_at      timestamptz NOT NULL,
	message_id      text,                  -- set by the sender, else derived
	-- The record of mail/content.h without html, text and attachments:
	-- lists and webhooks read only this.
	head            bytea NOT NULL,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
ALTER TABLE emails ALTER COLUMN head SET STORAGE EXTERNAL;
CREATE INDEX emails_account ON emails (account, id);

-- The record of mail/content.h in rows of at most 8,000 octets, PLAIN: no
-- TOAST and no compression (measured: pglz halves the rate of accepting).
CREATE TABLE email_contents (
	id    uuid NOT NULL,                   -- the email's
	n     smallint NOT NULL,               -- 0, 1, ...
	chunk bytea NOT NULL,
	PRIMARY KEY (id, n)
) PARTITION BY RANGE (id);
ALTER TABLE email_contents ALTER COLUMN chunk SET STORAGE PLAIN;

-- pool, lane, flow and flags do not change while a job exists: the member of
-- the Redis schedule is rebuilt from them octet for octet.
CREATE TABLE recipients (
	id          uuid NOT NULL,             -- the email's + n
	expires_at  timestamptz NOT NULL,      -- accepted or due + max age
	flow        int NOT NULL,              -- account * 2 + stream
	pool        int NOT NULL,
	flags       smallint NOT NULL,         -- queue/member.h
	field       smallint NOT NULL,         -- 0 to, 1 cc, 2 bcc
	status      smallint NOT NULL,
	attempts    smallint NOT NULL DEFAULT 0,
	retry_at    timestamptz,               -- not before; NULL: now
	finished_at timestamptz,
	lane        text NOT NULL,             -- provider name, or h0..h15
	address     text NOT NULL,             -- local@domain as on the wire
	reason      text,                      -- failed: FAIL_*; suppressed: origin
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX recipients_unfinished ON recipients (id)
	WHERE finished_at IS NULL;

-- Inserted as the claim, before MAIL FROM; (recipient, n) says who may send.
-- An open row (outcome NULL) of a process that is gone: the outcome is unknown.
CREATE TABLE attempts (
	recipient   uuid NOT NULL,
	n           smallint NOT NULL,
	worker      int NOT NULL,
	source      int,
	claimed_at  timestamptz NOT NULL,
	finished_at timestamptz,
	outcome     smallint,                  -- delivered, deferred, ... (outcome/verdict.h)
	stage       smallint,                  -- smtp/client.h
	code        smallint,                  -- reply code, 0 when local
	status      text,                      -- enhanced status
	reply       text,                      -- what was said, bounded
	mx          text,                      -- host name and address
	tls         text,
	PRIMARY KEY (recipient, n)
) PARTITION BY RANGE (recipient);

CREATE TABLE events (
	recipient uuid NOT NULL,
	at        timestamptz NOT NULL,
	account   int NOT NULL,
	dedupe    int NOT NULL,                -- attempt number; 0 for once only
	kind      smallint NOT NULL,
	data      text,                        -- JSON, only what the kind adds
	PRIMARY KEY (recipient, kind, dedupe)
) PARTITION BY RANGE (recipient);

-- Written in the statement that writes the event, one per endpoint that wants
-- it: what is due is sent, whoever crashes. next_at NULL: over.
CREATE TABLE webhook_deliveries (
	recipient   uuid NOT NULL,
	kind        smallint NOT NULL,
	dedupe      int NOT NULL,
	webhook     uuid NOT NULL,
	id          uuid NOT NULL DEFAULT gen_random_uuid(), -- webhook-id header
	tries       smallint NOT NULL DEFAULT 0,
	next_at     timestamptz,
	delivered   boolean NOT NULL DEFAULT false,
	last_status smallint,
	last_error  text,
	last_at     timestamptz,
	PRIMARY KEY (recipient, kind, dedupe, webhook)
) PARTITION BY RANGE (recipient);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at)
	WHERE next_at IS NOT NULL;
CREATE INDEX webhook_deliveries_webhook
	ON webhook_deliveries (webhook, recipient);

-- Mail received on the return-path port, committed before its 250.
CREATE TABLE returns (
	id           uuid NOT NULL,
	mail_from    text NOT NULL,
	rcpt_to      text NOT NULL,
	recipient    uuid,                     -- from a token that verified
	peer         text NOT NULL,
	raw          bytea NOT NULL,
	tries        smallint NOT NULL DEFAULT 0, -- times the parser was given it
	due_at       timestamptz,              -- to be worked on; NULL: over
	processed_at timestamptz,
	kind         text,                     -- failed, delayed, none, ...
	detail       text,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
ALTER TABLE returns ALTER COLUMN raw SET COMPRESSION lz4;
CREATE INDEX returns_due ON returns (due_at) WHERE due_at IS NOT NULL;

-- Mail that the simulator took, for verpost simulator list|show.
CREATE TABLE simulator_mails (
	id        uuid NOT NULL,
	mail_from text NOT NULL,
	rcpt_to   text NOT NULL,
	outcome   text NOT NULL,               -- what it acted out
	raw       bytea NOT NULL,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
ALTER TABLE simulator_mails ALTER COLUMN raw SET COMPRESSION lz4;

-- The email of a recipient: the last seven bits are its number there.
CREATE FUNCTION email_of(recipient uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT (left(recipient::text, 34) || CASE WHEN
	    get_byte(uuid_send(recipient), 15) >= 128 THEN '80' ELSE '00' END)::uuid
$$;

-- Partitions. ----------------------------------------------------------------

CREATE FUNCTION day_floor(day int) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT (lpad(to_hex(day::bigint * 86400000), 12, '0')
	    || '00000000000000000000')::uuid
$$;

CREATE FUNCTION day_name(parent text, day int) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT parent || '_' || to_char(
	    date '1970-01-01' + day, 'YYYYMMDD')
$$;

-- Makes the partitions of the days first..last (days since 1970-01-01) that
-- do not exist; returns how many it made. A table is made on its own and then
-- attached, because CREATE TABLE ... PARTITION OF would lock out all readers
-- and writers of the parent.
CREATE FUNCTION make_partitions(first int, last int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
	parent text;
	part   text;
	made   int := 0;
	opts   text;
BEGIN
	PERFORM pg_advisory_xact_lock(6217431);
	FOREACH parent IN ARRAY ARRAY['emails', 'email_contents', 'recipients',
	    'attempts', 'events', 'webhook_deliveries', 'returns',
	    'simulator_mails'] LOOP
		opts := CASE parent
		    WHEN 'recipients' THEN ' WITH (fillfactor = 80)'
		    WHEN 'attempts' THEN ' WITH (fillfactor = 70)'
		    ELSE '' END;
		FOR day IN first..last LOOP
			part := day_name(parent, day);
			CONTINUE WHEN to_regclass(part) IS NOT NULL;
			EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)%s',
			    part, parent, opts);
			EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I '
			    'FOR VALUES FROM (%L) TO (%L)', parent, part,
			    day_floor(day), day_floor(day + 1));
			made := made + 1;
		END LOOP;
	END LOOP;
	RETURN made;
END
$$;

-- The days for which a table has partitions.
CREATE FUNCTION partition_days(parent text) RETURNS SETOF int
LANGUAGE sql STABLE AS $$
	SELECT to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01'
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = parent::regclass
	ORDER BY 1
$$;

-- Drops days before the given ones; returns how many tables went. A day with
-- an unfinished recipient, a delivery that waits or a return not worked on
-- stays. Content goes no later than its email. A lock that is not had within
-- two seconds ends it: the caller comes again.
CREATE FUNCTION drop_partitions(mail int, content int, back int, simulator int)
RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
	day     int;
	parent  text;
	dropped int := 0;
	busy    boolean;
BEGIN
	PERFORM pg_advisory_xact_lock(6217431);
	PERFORM set_config('lock_timeout', '2s', true);
	FOR day IN SELECT d FROM partition_days('simulator_mails') d
	    WHERE d < simulator LOOP
		EXECUTE format('DROP TABLE %I', day_name('simulator_mails', day));
		dropped := dropped + 1;
	END LOOP;
	FOR day IN SELECT d FROM partition_days('returns') d WHERE d < back LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %I '
		    'WHERE due_at IS NOT NULL)', day_name('returns', day))
		    INTO busy;
		CONTINUE WHEN busy;
		EXECUTE format('DROP TABLE %I', day_name('returns', day));
		dropped := dropped + 1;
	END LOOP;
	FOR day IN SELECT d FROM partition_days('recipients') d
	    WHERE d < greatest(mail, content) LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %I '
		    'WHERE finished_at IS NULL) OR EXISTS (SELECT FROM %I '
		    'WHERE next_at IS NOT NULL)', day_name('recipients', day),
		    day_name('webhook_deliveries', day)) INTO busy;
		CONTINUE WHEN busy;
		IF to_regclass(day_name('email_contents', day)) IS NOT NULL THEN
			EXECUTE format('DROP TABLE %I',
			    day_name('email_contents', day));
			dropped := dropped + 1;
		END IF;
		CONTINUE WHEN day >= mail;
		FOREACH parent IN ARRAY ARRAY['webhook_deliveries', 'events',
		    'attempts', 'recipients', 'emails'] LOOP
			EXECUTE format('DROP TABLE %I', day_name(parent, day));
			dropped := dropped + 1;
		END LOOP;
	END LOOP;
	RETURN dropped;
END
$$;
