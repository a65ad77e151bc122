-- Why an attempt was deferred (outcome/classify.h; NULL: it was not), and what
-- was said on the wire: bounded, without the message and without secrets.
ALTER TABLE attempts
	ADD COLUMN class smallint,
	ADD COLUMN transcript text;
