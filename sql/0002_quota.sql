-- Daily limits. Redis holds no counter: blocks are taken here, by the owner of
-- the source, and used up in its memory.

ALTER TABLE sources ADD COLUMN daily_limit int CHECK (daily_limit > 0);

-- What was handed out of a UTC day. provider '': all mail of the source.
CREATE TABLE source_quota (
	source   int NOT NULL REFERENCES sources ON DELETE CASCADE,
	day      int NOT NULL,                 -- since 1970-01-01
	provider text NOT NULL,
	cap      int NOT NULL,                 -- when the last block was taken
	taken    int NOT NULL CHECK (taken >= 0),
	PRIMARY KEY (source, day, provider)
);
