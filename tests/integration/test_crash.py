"""
Promise 1: killing any process at any moment loses no accepted recipient, and
a second transmission happens only where nobody can know how the first ended.
"""

import concurrent.futures
import http.client
import os
import signal
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

# A claim that is older than this is over, whoever made it.
CLAIM_S = 15 * 60
CONNECTIONS_MAX = 20
EVENT_DELIVERED = 4
OUTCOMES = {0: "open", 1: "delivered", 2: "deferred", 3: "bounced",
            4: "failed", 5: "unknown"}


class CrashPoints(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost
        self.crash = self.verpost.crash
        # The first crash after a start is followed by the next process at
        # once; one that came soon after another would be made to wait.
        if self.was_killed:
            self.verpost.stop()
            self.verpost.start()
        type(self).was_killed = True

    was_killed = False

    def tearDown(self):
        self.crash.disarm()

    def die_at(self, point, address):
        """One mail whose process is killed at the point; its id."""
        self.crash.arm(point)
        ident = self.mail(address, point)
        self.crash.kill()
        return ident

    def delivered_after(self, ident, address, seconds_later=0):
        """Waits, then returns how often it was transmitted."""
        if seconds_later:
            self.verpost.clock.advance(seconds_later)
        self.api.wait_event(ident, "delivered", 40)
        taken = self.sink.for_rcpt(address)
        self.assertEqual(len({t.message_id for t in taken}), 1,
                         "one email has one Message-ID, however often sent")
        return len(taken)

    def test_after_the_commit_before_the_push(self):
        """Nobody is told of it; the walk finds it. Sent once."""
        self.crash.arm("commit-before-push")
        with self.assertRaises((http.client.HTTPException, OSError)):
            killer = threading.Thread(target=self.crash.kill)
            killer.start()
            try:
                self.mail("commit@sink.zz", "commit-before-push")
            finally:
                killer.join()
        wait_until("httpd is back", lambda: self.back(), 20)
        self.verpost.clock.advance(11)
        self.sink.wait_for("commit@sink.zz", seconds=40)
        wait_until("it is finished", lambda: self.verpost.pg.value(
            "SELECT count(*) FROM recipients WHERE "
            "address = 'commit@sink.zz' AND status = 70") == "1")
        self.assertEqual(len(self.sink.for_rcpt("commit@sink.zz")), 1)

    def back(self):
        try:
            return self.api.request("GET", "/emails").status == 200
        except OSError:
            return False

    def test_after_the_lease(self):
        """The job goes back to the front at once. Sent once."""
        ident = self.die_at("lease-after", "lease@sink.zz")
        self.assertEqual(self.delivered_after(ident, "lease@sink.zz"), 1)

    def test_after_the_claim_was_asked_for(self):
        """It stands, unknown to the process that asked. Sent once, at once."""
        ident = self.die_at("claim-after", "claim@sink.zz")
        self.assertEqual(self.sink.for_rcpt("claim@sink.zz"), [])
        self.assertEqual(self.delivered_after(ident, "claim@sink.zz"), 1)
        self.assertEqual(self.attempts(ident), ["1:delivered"])

    def test_between_the_claim_and_the_dot(self):
        """It was not sent: the claim is taken back. Sent once, at once."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        asked = threading.Event()

        def wait_for_gate(_):
            asked.set()
            gate.wait(30)
            return "250 2.1.5 ok"

        self.sink.on_rcpt["rcpt@sink.zz"] = wait_for_gate
        ident = self.mail("rcpt@sink.zz", "killed in RCPT")
        self.assertTrue(asked.wait(20))
        self.kill_mta()
        del self.sink.on_rcpt["rcpt@sink.zz"]
        self.assertEqual(self.delivered_after(ident, "rcpt@sink.zz"), 1)
        self.assertEqual(self.attempts(ident), ["1:delivered"])

    def test_after_the_dot_before_the_reply(self):
        """Nobody can know, which is said at once; again after 15 minutes."""
        ident = self.die_at("dot-before-reply", "dot@sink.zz")
        self.sink.wait_for("dot@sink.zz")
        wait_until("it is recorded as unknown", lambda:
                   self.attempts(ident) == ["1:unknown"], 20)
        self.assertTrue(self.event_says_unknown(ident))
        self.assertIn("mx.sink.zz[", self.verpost.mail_sql(
            "SELECT mx FROM attempts WHERE recipient %s", ident))
        self.verpost.clock.advance(14 * 60)
        self.job_is_looked_at("dot@sink.zz")
        self.assertEqual(len(self.sink.for_rcpt("dot@sink.zz")), 1)
        self.assertEqual(self.delivered_after(ident, "dot@sink.zz", 90), 2)
        self.assertEqual(self.attempts(ident), ["1:unknown", "2:delivered"])

    def test_after_the_reply_before_its_commit(self):
        """The successor records what was said. Sent once."""
        ident = self.die_at("reply-before-commit", "reply@sink.zz")
        self.assertEqual(self.delivered_after(ident, "reply@sink.zz"), 1)
        self.assertEqual(self.attempts(ident), ["1:delivered"])
        self.assertIn("taken", self.verpost.mail_sql(
            "SELECT reply FROM attempts WHERE recipient %s", ident))

    def test_killed_once_more_while_it_settles(self):
        """The next successor finds the same, and settles it the same way."""
        self.crash.arm("reply-before-commit")
        ident = self.mail("twice@sink.zz", "killed twice")
        first = self.crash.wait()
        self.crash.arm("resolve-after")
        os.kill(first, signal.SIGKILL)
        self.crash.kill()
        self.assertEqual(self.delivered_after(ident, "twice@sink.zz"), 1)
        self.assertEqual(self.attempts(ident), ["1:delivered"])
        self.assertEqual(self.verpost.mail_sql(
            "SELECT count(*) FROM events WHERE kind = %d AND recipient %%s"
            % EVENT_DELIVERED, ident), "1")

    def test_after_the_commit_before_the_ack(self):
        """The job comes back and is found finished. Sent once."""
        ident = self.die_at("commit-before-ack", "ack@sink.zz")
        self.assertEqual(self.delivered_after(ident, "ack@sink.zz"), 1)
        wait_until("no job is left of it", self.no_jobs, 40)
        self.verpost.clock.advance(CLAIM_S + 60)
        self.assertEqual(self.attempts(ident), ["1:delivered"])
        self.assertEqual(len(self.sink.for_rcpt("ack@sink.zz")), 1)

    def test_a_refusal_read_while_postgres_was_away(self):
        """It waits in the process, and then in the file."""
        address = "refused@sink.zz"
        gate, asked = threading.Event(), threading.Event()
        self.addCleanup(gate.set)

        def refuse(_):
            asked.set()
            gate.wait(30)
            return "550 5.1.1 no such user here"

        self.sink.on_rcpt[address] = refuse
        ident = self.mail(address, "refused")
        self.assertTrue(asked.wait(20))
        self.world.pg.kill()
        gate.set()
        wait_until("the reply is read", lambda:
                   "no such user here" in self.verpost.process.log())
        self.kill_mta()
        # It is not asked again: not even once.
        self.sink.on_rcpt[address] = "250 2.1.5 ok"
        self.world.pg.start()
        wait_until("the database is back", self.back, 20)
        self.api.wait_event(ident, "bounced", 40)
        self.assertEqual(self.attempts(ident), ["1:bounced"])
        self.assertEqual(self.verpost.pg.value(
            "SELECT origin || ' ' || reason FROM suppressions WHERE "
            "address = '%s'" % address), "bounce no such user here")
        self.assertEqual(self.sink.for_rcpt(address), [])

    def test_a_claim_that_cannot_be_taken_back(self):
        """Not while Postgres is away; the next process knows of it."""
        gate, asked = threading.Event(), threading.Event()
        self.addCleanup(gate.set)

        def wait_for_gate(_):
            asked.set()
            gate.wait(30)
            return "250 2.1.5 ok"

        self.sink.on_rcpt["drain0@sink.zz"] = wait_for_gate
        # Should it come to have a connection of its own.
        self.sink.on_rcpt["drain1@sink.zz"] = wait_for_gate
        idents = [self.mail("drain0@sink.zz", "in RCPT")]
        self.assertTrue(asked.wait(20))
        idents.append(self.mail("drain1@sink.zz", "claimed behind it"))
        wait_until("it is claimed", lambda:
                   self.attempts(idents[1]) == ["1:open"], 20, 0.02)
        self.world.pg.kill()
        self.verpost.stop()
        gate.set()
        self.world.pg.start()
        self.verpost.start()
        for n, ident in enumerate(idents):
            self.assertEqual(
                self.delivered_after(ident, "drain%d@sink.zz" % n), 1)
            self.assertEqual(self.attempts(ident), ["1:delivered"])

    def test_the_file_is_deleted_while_it_is_down(self):
        """Only the claim is left: unknown, but not before it is over."""
        self.down_with_claim("gone@sink.zz", os.unlink)
        self.assertNotIn("slot.", self.new_log)

    def test_the_file_is_garbled_while_it_is_down(self):
        """The same, and the log says so."""
        def garble(path):
            with open(path, "r+b") as stream:
                stream.write(os.urandom(os.path.getsize(path)))

        self.down_with_claim("garbled@sink.zz", garble)
        self.assertIn("slot.ignored", self.new_log)

    def test_entries_are_garbled_while_it_is_down(self):
        """What does not fit its check value is not believed."""
        def garble(path):
            with open(path, "r+b") as stream:
                stream.seek(16384)
                stream.write(os.urandom(os.path.getsize(path) - 16384))

        self.down_with_claim("entries@sink.zz", garble)
        self.assertIn("slot.garbled", self.new_log)

    def down_with_claim(self, address, harm):
        """Killed after the dot; harm is done to the slot file meanwhile."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        at_dot = threading.Event()

        def wait_for_gate(_):
            at_dot.set()
            gate.wait(30)
            return "250 2.0.0 taken"

        self.sink.on_dot[address] = wait_for_gate
        ident = self.mail(address, "harm")
        self.assertTrue(at_dot.wait(20))
        self.verpost.kill()
        gate.set()
        before = len(self.verpost.process.log())
        harm(self.verpost.settings["run_dir"] + "/mta-0.slots")
        self.verpost.start()
        self.job_is_looked_at(address)
        self.new_log = self.verpost.process.log()[before:]
        self.assertEqual(self.attempts(ident), ["1:open"])
        self.assertEqual(len(self.sink.for_rcpt(address)), 1)
        self.verpost.clock.advance(CLAIM_S + 60)
        self.assertEqual(self.delivered_after(ident, address, 60), 2)
        self.assertEqual(self.attempts(ident), ["1:unknown", "2:delivered"])

    def kill_mta(self):
        pid, = self.verpost.processes("mta")
        os.kill(pid, signal.SIGKILL)

    def attempts(self, ident):
        """["1:unknown", "2:delivered"] of the only recipient."""
        text = self.verpost.mail_sql(
            "SELECT string_agg(n || ':' || coalesce(outcome, 0), ' ' "
            "ORDER BY n) FROM attempts WHERE recipient %s", ident) or ""
        return ["%s:%s" % (n, OUTCOMES[int(outcome)]) for n, outcome
                in (word.split(":") for word in text.split())]

    def event_says_unknown(self, ident):
        return "true" in self.verpost.mail_sql(
            "SELECT string_agg(data::json->>'outcome_unknown', ' ') FROM events "
            "WHERE recipient %s", ident)

    def job_is_looked_at(self, address):
        """A mail to the same domain that came later has been delivered."""
        other = "after." + address
        self.mail(other, "later")
        self.sink.wait_for(other)

    def no_jobs(self):
        for key in self.world.redis.command("KEYS", "q:*").split():
            if key.endswith((":r", ":t", ":h")) and int(
                    self.world.redis.command("ZCARD", key)) > 0:
                return False
        return True


class SlowHost(WorldTest):
    """A host that reads nothing of a message for a while."""

    options = {"sink": True}

    def test_a_message_of_which_a_part_was_sent(self):
        """What has no dot was not sent, however much of it was."""
        sink, address = self.world.sink, "slow@sink.zz"
        gate, at_data = threading.Event(), threading.Event()
        self.addCleanup(gate.set)

        def wait_for_gate(_):
            at_data.set()
            gate.wait(60)

        sink.on_data[address] = wait_for_gate
        ident = self.mail(address, "slow", text="a line of it\n" * 800000)
        self.assertTrue(at_data.wait(20))
        pid, = self.world.verpost.processes("mta")
        os.kill(pid, signal.SIGKILL)
        del sink.on_data[address]
        gate.set()
        self.api.wait_event(ident, "delivered", 40)
        self.assertEqual(len(sink.for_rcpt(address)), 1)
        self.assertEqual(self.world.verpost.mail_sql(
            "SELECT string_agg(outcome::text, ' ') FROM attempts "
            "WHERE recipient %s", ident), "1")


class UnderLoad(WorldTest):
    """Faults while many mails are in flight, at a server that is slow."""

    options = {"sink": True}
    count = 60

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost
        self.gate = threading.Event()

    def tearDown(self):
        self.gate.set()

    def slow(self, name):
        """Recipients whose final reply waits for the gate."""
        addresses = ["%s%d@sink.zz" % (name, n) for n in range(self.count)]

        def wait_for_gate(_):
            self.gate.wait(30)
            return "250 2.0.0 taken"

        for address in addresses:
            self.sink.on_dot[address] = wait_for_gate
        return addresses

    def post_all(self, addresses):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(
                lambda a: self.mail(a, "load"), addresses))

    def all_delivered(self, idents, seconds=60):
        # The first recipient's id is the email's plus one.
        wanted = ",".join("'%s'" % uuid.UUID(int=uuid.UUID(i).int + 1)
                          for i in idents)
        last = [time.monotonic()]

        def look():
            # 15 minutes for every open claim that nobody owns any more; not
            # while those that somebody owns are still being answered.
            if time.monotonic() - last[0] > 5:
                self.verpost.clock.advance(CLAIM_S + 60)
                last[0] = time.monotonic()
            return self.verpost.pg.value(
                "SELECT count(*) FROM recipients WHERE id IN (%s) "
                "AND status = 70" % wanted) == str(len(idents))

        wait_until("all are delivered", look, seconds, 0.2)

    def sent(self, addresses):
        return [len(self.sink.for_rcpt(a)) for a in addresses]

    def in_flight(self, addresses):
        wait_until("some are in flight", lambda: sum(self.sent(addresses)),
                   20)

    def test_postgres_killed_and_restarted(self):
        addresses = self.slow("pg")
        idents = self.post_all(addresses)
        self.in_flight(addresses)
        self.world.pg.kill()
        self.gate.set()
        answer = self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "late@sink.zz",
            "subject": "while away", "text": "x"})
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(answer.json["name"], "service_unavailable")
        self.world.pg.start()
        self.all_delivered(idents)
        self.assertEqual(self.sent(addresses), [1] * self.count)
        self.assertEqual(self.verpost.pg.value(
            "SELECT count(*) FROM recipients WHERE "
            "address = 'late@sink.zz'"), "0")

    def test_mta_killed_in_full_flow(self):
        """Sent again only what was recorded as unknown, and little of it."""
        addresses = ["flow%d@sink.zz" % n for n in range(300)]
        before = len(self.sink.taken)
        posting = concurrent.futures.ThreadPoolExecutor(1)
        posted = posting.submit(self.post_all, addresses)
        kills = (30, 110, 200)
        for count in kills:
            wait_until("%d are sent" % count, lambda n=count:
                       len(self.sink.taken) - before >= n, 40)
            pid, = wait_until("an mta runs", lambda:
                              self.verpost.processes("mta"), 20)
            os.kill(pid, signal.SIGKILL)
            wait_until("it is gone", lambda p=pid:
                       p not in self.verpost.processes("mta"))
        idents = posted.result()
        posting.shutdown()
        self.all_delivered(idents)
        unknown = {address: int(count) for address, count in
                   self.verpost.pg.sql(
                       "SELECT r.address, count(*) FROM attempts a "
                       "JOIN recipients r ON r.id = a.recipient "
                       "WHERE a.outcome = 5 AND r.address LIKE 'flow%' "
                       "GROUP BY 1")}
        for address, sent in zip(addresses, self.sent(addresses)):
            self.assertGreaterEqual(sent, 1)
            self.assertLessEqual(sent, 1 + unknown.get(address, 0))
        self.assertLessEqual(sum(unknown.values()),
                             CONNECTIONS_MAX * len(kills))

    def test_everything_killed_and_started(self):
        addresses = self.slow("all")
        idents = self.post_all(addresses)
        self.in_flight(addresses)
        self.verpost.kill()
        self.gate.set()
        self.verpost.start()
        self.all_delivered(idents)
        for count in self.sent(addresses):
            self.assertIn(count, (1, 2))

    def test_a_drain_loses_and_doubles_nothing(self):
        addresses = self.slow("drain")
        idents = self.post_all(addresses)
        self.in_flight(addresses)
        threading.Timer(0.3, self.gate.set).start()
        self.verpost.stop()
        self.verpost.start()
        self.all_delivered(idents)
        self.assertEqual(self.sent(addresses), [1] * self.count)


if __name__ == "__main__":
    runner.main()
