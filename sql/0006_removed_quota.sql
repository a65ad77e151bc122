-- 0006: what was handed out of a day to a source that was removed. Receivers
-- know an address, not our number of it: when it is added again on that day it
-- goes on from there (store/sources.c).
CREATE TABLE removed_quota (
	address  inet NOT NULL,
	day      int NOT NULL,
	provider text NOT NULL,
	cap      int NOT NULL,
	taken    int NOT NULL,
	PRIMARY KEY (address, day, provider)
);
