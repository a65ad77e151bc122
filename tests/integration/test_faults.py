"""What happens when the servers around Verpost fail, and when they return."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import Failed, run, wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402


class Faults(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost

    def post(self, to, **more):
        return self.api.request("POST", "/emails", dict({
            "from": "hello@sender.zz", "to": to, "subject": "s",
            "text": "x"}, **more))

    def test_redis_down_accepts_and_delivers_later(self):
        self.world.redis.stop()
        try:
            idents = [self.mail("down%d@sink.zz" % n, "s") for n in range(5)]
        finally:
            self.world.redis.start()
        for n, ident in enumerate(idents):
            self.api.wait_event(ident, "delivered", 40)
            self.assertEqual(
                len(self.sink.for_rcpt("down%d@sink.zz" % n)), 1)

    def test_redis_that_hangs_does_not_hold_up_an_answer(self):
        self.world.redis.pause()
        try:
            began = time.monotonic()
            ident = self.mail("hang@sink.zz", "s")
            self.assertLess(time.monotonic() - began, 5)
        finally:
            self.world.redis.resume()
        self.api.wait_event(ident, "delivered", 40)
        self.assertEqual(len(self.sink.for_rcpt("hang@sink.zz")), 1)

    def test_redis_that_is_full_when_it_is_connected_to(self):
        """It does not even take the functions; later it does."""
        redis = self.world.redis
        before = len(self.verpost.process.log())
        redis.command("FUNCTION", "FLUSH")
        redis.command("CONFIG", "SET", "maxmemory", "1")
        try:
            redis.command("CLIENT", "KILL", "TYPE", "normal")
            wait_until("each says so", lambda: all(
                "%s/0 queue.refused" % role in
                self.verpost.process.log()[before:]
                for role in ("mta", "keeper", "httpd")))
            ident = self.mail("full@sink.zz", "s")
        finally:
            redis.command("CONFIG", "SET", "maxmemory", "0")
        self.api.wait_event(ident, "delivered", 40)
        self.assertEqual(len(self.sink.for_rcpt("full@sink.zz")), 1)

    def in_redis(self, *kinds):
        redis = self.world.redis
        return sum(int(redis.command("ZCARD", key))
                   for key in redis.command("KEYS", "q:*").split()
                   if key.rsplit(":", 1)[1] in kinds)

    def test_what_is_in_flight_when_redis_forgets_is_sent_once(self):
        """The walk enqueues it once more while its host still thinks."""
        self.world.dns.add("other IN MX 10 mx.other",
                           "mx.other IN A %s.31" % self.world.net)
        gate = threading.Event()
        self.sink.on_dot["think@sink.zz"] = lambda _: (
            gate.wait(60) and "250 2.0.0 taken")
        ident = self.mail("think@sink.zz", "s")
        self.sink.wait_for("think@sink.zz")
        self.world.redis.command("FLUSHALL")
        self.verpost.clock.advance(11)
        wait_until("the walk has found it", lambda: "added=1 " in
                   self.verpost.process.log(), 40)
        wait_until("it is leased again", lambda: self.in_redis("h") == 1, 40)
        self.api.wait_event(self.mail("next@other.zz", "s"), "delivered", 40)
        gate.set()
        self.api.wait_event(ident, "delivered", 40)
        # Behind whatever else this host was to be sent.
        self.api.wait_event(self.mail("last@sink.zz", "s"), "delivered", 40)
        self.assertEqual(len(self.sink.for_rcpt("think@sink.zz")), 1)

    def lane_of(self, address):
        self.api.wait_event(self.mail(address, "s"), "delivered")
        return self.verpost.pg.value(
            "SELECT 'q:{p' || pool || '.' || lane || '}:r' FROM recipients "
            "WHERE address = '%s'" % address)

    def test_a_key_of_somebody_else_stops_one_lane_only(self):
        """And what belongs there goes when the key has gone."""
        names = ["lane%d" % n for n in range(8)]
        self.world.dns.add(*("%s IN MX 10 mx.sink" % name for name in names))
        key = self.lane_of("first@sink.zz")
        other = next(name for name in names
                     if self.lane_of("first@%s.zz" % name) != key)
        self.world.redis.command("SET", key, "x")
        waits = self.mail("waits@sink.zz", "s")
        try:
            wait_until("the log names the key", lambda: any(
                "queue.refused" in line and key[:-1] in line
                and "WRONGTYPE" in line
                for line in self.verpost.process.log().splitlines()))
            self.world.redis.command("FLUSHDB")  # all others are lost, too
            self.world.redis.command("SET", key, "x")
            goes = self.mail("goes@%s.zz" % other, "s")
            self.verpost.clock.advance(11)
            self.api.wait_event(goes, "delivered", 40)
            self.assertEqual(self.sink.for_rcpt("waits@sink.zz"), [])
        finally:
            self.world.redis.command("DEL", key)
        self.api.wait_event(waits, "delivered", 40)
        self.assertEqual(len(self.sink.for_rcpt("waits@sink.zz")), 1)

    def test_dns_failing_defers(self):
        self.world.dns.add("fresh IN MX 10 mx.sink")
        self.world.dns.fail()
        try:
            ident = self.mail("x@fresh.zz", "s")
            self.api.wait_event(ident, "delivery_delayed", 60)
        finally:
            self.world.dns.heal()
        self.verpost.clock.advance(600)
        self.api.wait_event(ident, "delivered", 60)

    def test_postgres_down_is_503_and_nothing_half_done(self):
        before = self.verpost.pg.value("SELECT count(*) FROM emails")
        self.world.pg.stop()
        try:
            answer = self.post("pg@sink.zz")
            self.assertEqual(answer.status, 503, answer)
            self.assertEqual(answer.json["name"], "service_unavailable")
            self.assertTrue(answer.json["message"])
        finally:
            self.world.pg.start()
        self.assertEqual(
            self.verpost.pg.value("SELECT count(*) FROM emails"), before)
        wait_until("it accepts again",
                   lambda: self.post("pg2@sink.zz").status == 200, 20)
        self.sink.wait_for("pg2@sink.zz", seconds=30)
        self.assertEqual(self.sink.for_rcpt("pg@sink.zz"), [])

    def in_flight(self, count):
        """Accepted mail, some at its final dot, the rest claimed or not;
        ({address: id}, what lets the replies go)"""
        gate, flight = threading.Event(), {}
        self.addCleanup(gate.set)
        for n in range(count):
            to = "flight%d@sink.zz" % n
            self.sink.on_dot[to] = lambda _: (
                gate.wait(60) and "250 2.0.0 taken")
            flight[to] = self.post(to).json["id"]
        wait_until("some are at the dot", lambda: any(
            self.sink.for_rcpt(to) for to in flight))
        return flight, gate

    def test_postgres_that_hangs_is_503_in_time_and_once(self):
        """
        Every kind of request; POST with a key is repeated afterwards. What was
        on its way to Postgres may be done when that wakes up, but wholly and
        once.
        """
        calls = (("GET", "/health", None), ("GET", "/emails", None),
                 ("GET", "/domains", None), ("GET", "/webhooks", None),
                 ("GET", "/suppressions", None),
                 ("POST", "/suppressions", {"email": "frozen@sink.zz"}),
                 ("POST", "/emails", {
                     "from": "hello@sender.zz", "to": "frost@sink.zz",
                     "subject": "frost", "text": "x"}))

        def ask(call):
            began = time.monotonic()
            answer = self.api.request(
                *call, headers={"Idempotency-Key": "frost"}, seconds=60)
            return answer, time.monotonic() - began

        flight, gate = self.in_flight(40)
        self.world.pg.pause()
        gate.set()  # their replies come while nothing can be recorded
        try:
            with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
                answers = list(pool.map(ask, reversed(calls)))[::-1]
        finally:
            self.world.pg.resume()
        for call, (answer, seconds) in zip(calls, answers):
            with self.subTest(call[:2]):
                self.assertEqual(answer.status, 503, answer)
                self.assertLess(seconds, 40)
        health, seconds = answers[0]
        self.assertEqual(health.json, {"status": "unavailable",
                                       "postgres": "does not answer"})
        self.assertLess(seconds, 10)
        again = wait_until("it accepts again", lambda: (
            lambda a: a if a.status == 200 else None)(ask(calls[-1])[0]), 30)
        self.api.wait_event(again.json["id"], "delivered", 40)
        self.api.wait_event(self.mail("thawed@sink.zz", "s"), "delivered", 40)
        self.assertEqual(len(self.sink.for_rcpt("frost@sink.zz")), 1)
        for to, ident in flight.items():
            self.api.wait_event(ident, "delivered", 40)
            self.assertEqual(len(self.sink.for_rcpt(to)), 1)
            self.assertEqual(self.verpost.mail_sql(
                "SELECT string_agg(outcome::text, ' ') FROM attempts "
                "WHERE recipient %s", ident), "1")
        self.assertEqual(self.verpost.pg.value(
            "SELECT count(*) FROM recipients WHERE address ="
            " 'frost@sink.zz'"), "1")

    def test_a_refused_one_among_two_hundred_hurts_nobody_else(self):
        """Also the two that share a key but not a body: one is taken."""
        def one(n):
            more = {}
            if n in (50, 150):
                more = {"subject": "differs %d" % n}
            headers = {"Idempotency-Key": "same"} if more else {}
            to = "not an address" if n == 100 else "batch%d@sink.zz" % n
            return self.api.request("POST", "/emails", dict({
                "from": "hello@sender.zz", "to": to, "subject": "s",
                "text": "x"}, **more), headers).status

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(one, range(200)))
        special = sorted([statuses[50], statuses[150]])
        self.assertEqual(special, [200, 409])
        self.assertIn(statuses[100], (400, 422))
        rest = [s for n, s in enumerate(statuses) if n not in (50, 100, 150)]
        self.assertEqual(set(rest), {200})

    def test_a_poison_row_is_refused_alone(self):
        """
        A row that the database refuses although every check passed: the
        batch is repeated item by item.
        """
        self.verpost.pg.sql(
            "ALTER TABLE recipients ADD CONSTRAINT poison "
            "CHECK (address <> 'poison@sink.zz')")
        try:
            with concurrent.futures.ThreadPoolExecutor(40) as pool:
                answers = list(pool.map(
                    lambda n: self.post("poison@sink.zz" if n == 20
                                        else "beside%d@sink.zz" % n),
                    range(40)))
        finally:
            self.verpost.pg.sql(
                "ALTER TABLE recipients DROP CONSTRAINT poison")
        for n, answer in enumerate(answers):
            if n == 20:
                self.assertGreaterEqual(answer.status, 500, answer)
                self.assertTrue(answer.json["message"])
            else:
                self.assertEqual(answer.status, 200, answer)

    def test_sigterm_drains_and_ends(self):
        ident = self.mail("drain@sink.zz", "s")
        self.verpost.stop()
        self.assertEqual(self.verpost.processes(), {})
        self.verpost.start()
        self.api.wait_event(ident, "delivered", 30)

    def test_a_killed_child_is_started_again(self):
        for role in ("httpd", "mta", "smtpd", "hooks", "keeper", "parser"):
            with self.subTest(role):
                before = wait_until("a " + role, lambda:
                                    self.verpost.processes(role))
                pid = next(iter(before))
                os.kill(pid, 9)
                wait_until("another " + role, lambda: set(
                    self.verpost.processes(role)) - set(before), 20)
        ident = self.mail("after@sink.zz", "s")
        self.api.wait_event(ident, "delivered", 40)


class DiskFull(WorldTest):
    """PostgreSQL on a small file system of its own that fills up."""

    options = {"sink": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ballast = None
        world = cls.world
        world.verpost.process.stop()
        world.pg.stop()
        data, aside = world.pg.data, world.pg.data + ".aside"
        os.rename(data, aside)
        os.mkdir(data)
        status, _, errors = run(
            ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", data],
            check=False)
        if status != 0:
            os.rmdir(data)
            os.rename(aside, data)
            import unittest
            raise unittest.SkipTest("mount: " + errors.strip())
        cls.addClassCleanup(subprocess.run, ["umount", "-l", data])
        run(["cp", "-a", aside + "/.", data])
        run(["chown", "postgres:postgres", data])
        os.chmod(data, 0o700)
        world.pg.start()
        world.verpost.start()
        cls.ballast = data + "/ballast"

    def test_a_full_disk_refuses_clearly_and_loses_nothing(self):
        first = self.mail("before@sink.zz", "s")
        with open(self.ballast, "wb") as stream:
            try:
                while True:
                    stream.write(b"\0" * 65536)
                    stream.flush()
            except OSError:
                pass
        accepted, refused = [], None
        body = "x" * 200000
        for n in range(60):
            answer = self.api.request("POST", "/emails", {
                "from": "hello@sender.zz", "to": "full%d@sink.zz" % n,
                "subject": "s", "text": body})
            if answer.status != 200:
                refused = answer
                break
            accepted.append((n, answer.json["id"]))
        self.assertIsNotNone(refused, "the disk did not fill up")
        self.assertIn(refused.status, (500, 503), refused)
        self.assertTrue(refused.json["message"])
        os.unlink(self.ballast)
        try:
            self.world.pg.process.must_run()
        except Failed:
            self.world.pg.start()
        last = wait_until("it accepts again", lambda: self.accepted_now(), 60)
        for ident in [first, last] + [i for _, i in accepted]:
            self.api.wait_event(ident, "delivered", 60)
        for n, _ in accepted:
            self.assertEqual(
                len(self.sink_of("full%d@sink.zz" % n)), 1)

    def sink_of(self, address):
        return self.world.sink.for_rcpt(address)

    def accepted_now(self):
        answer = self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "after@sink.zz",
            "subject": "s", "text": "x"})
        return answer.json["id"] if answer.status == 200 else None


if __name__ == "__main__":
    runner.main()
