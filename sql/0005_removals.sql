-- 0005: an account or a domain goes only when none of its mail waits: what goes
-- with it are the holds that keep the mail back, and the key that signs it.

-- How many unfinished recipients there are from this id on, or 100000; of one
-- domain of the account, or 0: of all.
CREATE FUNCTION waiting_of(of_account int, of_domain int, since uuid)
RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT count(*) FROM (SELECT FROM recipients r
	    WHERE r.finished_at IS NULL AND r.id >= since
	    AND r.flow >> 1 = of_account
	    AND (of_domain = 0 OR EXISTS (SELECT FROM emails e
	        WHERE e.id = email_of(r.id) AND e.domain = of_domain))
	    LIMIT 100000) w
$$;

-- Removes the domain of the account, or with 0 the account. Gives how many
-- recipients wait, and then removes nothing; NULL when there is no such thing.
--
-- The lock waits for those who are accepting mail, and those who come later
-- wait for it and find no domain (store/accept.c). What was committed behind
-- the first look got its id moments ago, so the second one, in which nobody
-- can accept anything, is short however much waits. Behind a transaction that
-- hangs nobody waits for long: those who accept would wait behind the lock.
CREATE FUNCTION remove_sender(of_account int, of_domain int) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
	waiting bigint := waiting_of(of_account, of_domain, day_floor(0));
BEGIN
	IF waiting = 0 THEN
		LOCK TABLE ONLY emails IN SHARE MODE;
		waiting := waiting_of(of_account, of_domain,
		    id_floor(now() - interval '1 hour'));
	END IF;
	IF waiting > 0 THEN
		RETURN waiting;
	END IF;
	IF of_domain = 0 THEN
		DELETE FROM accounts WHERE number = of_account;
	ELSE
		DELETE FROM domains WHERE number = of_domain
		    AND account = of_account;
	END IF;
	RETURN CASE WHEN FOUND THEN 0 END;
END
$$;
