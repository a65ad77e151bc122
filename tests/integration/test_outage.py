"""
PostgreSQL and Redis fail in every way that they know while mail is accepted
and sent by two processes: nothing is lost, nothing goes out twice, nothing
goes out without a claim, and all is over soon after.
"""

import os
import shutil
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.counter import Counter  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.storage import Redis  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

DOMAINS = 4
# An answer of the database is awaited for 30 s.
ANSWER_S = 35
RSS_KB_MAX = 100000


class Host(Counter):
    """Also counts the transactions begun for each recipient."""

    def __init__(self, *where, **more):
        self.begun = {}
        super().__init__(*where, **more)

    def line(self, link, line):
        super().line(link, line)
        if not link.in_body and line[:4].upper() == "RCPT":
            self.begun[link.rcpt] = self.begun.get(link.rcpt, 0) + 1


class Load:
    """Clients that post one mail after the other until they are stopped."""

    def __init__(self, test, name, clients=6):
        self.test, self.name = test, name
        self.lock, self.number, self.ended = threading.Lock(), 0, False
        self.answers = {}  # address -> (status, seconds, answer)
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ended:
            with self.lock:
                self.number += 1
                to = "%s%d@d%d.zz" % (self.name, self.number,
                                      self.number % DOMAINS)
            began = time.monotonic()
            answer = self.test.api.request("POST", "/emails", {
                "from": "hello@sender.zz", "to": to, "subject": "s",
                "text": "x"}, seconds=60)
            self.answers[to] = (answer.status, time.monotonic() - began,
                                answer)
            # A client that is told to come again does not come at once.
            time.sleep(0.02 if answer.status == 200 else 0.1)

    def end(self):
        self.ended = True
        for thread in self.threads:
            thread.join()

    def of(self, *statuses):
        return [to for to, answer in list(self.answers.items())
                if answer[0] in statuses]

    def wait_for(self, more, *statuses):
        """Until so many more were answered like that."""
        before = len(self.of(*statuses))
        wait_until("%d more answers of %s" % (more, statuses), lambda: len(
            self.of(*statuses)) >= before + more, ANSWER_S)


class Outage(WorldTest):
    options = {"settings": {"mta_processes": "2"},
               "shaping": "[default]\nsite_connections = 1\n"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world = cls.world
        cls.host = Host(world.net + ".50", MX_PORT, delay=0.05)
        cls.addClassCleanup(cls.host.stop)
        for n in range(DOMAINS):
            world.dns.records += ["d%d IN MX 10 mx.d%d" % (n, n),
                                  "mx.d%d IN A %s.50" % (n, world.net)]
        world.dns.add()
        world.verpost.command("source add", world.net + ".21", "--helo",
                              "out.sender.zz")
        wait_until("both processes have a source", lambda: world.pg.value(
            "SELECT count(DISTINCT owner) FROM sources") == "2", 30)

    def setUp(self):
        self.pg, self.redis = self.world.pg, self.world.redis
        self.clock = self.world.verpost.clock

    def load(self, name):
        load = Load(self, name)
        self.addCleanup(load.end)
        load.wait_for(100, 200)
        self.wait_sent(20)
        return load

    def wait_sent(self, more):
        before = self.host.total()
        wait_until("%d more are sent" % more, lambda: self.host.total()
                   >= before + more, 40)

    def jobs(self, redis=None):
        redis = redis or self.redis
        return {key: int(redis.command("ZCARD", key))
                for key in redis.command("KEYS", "q:*").split()
                if key[-2:] in (":r", ":t", ":h")}

    def check_rss(self):
        for role in ("mta", "httpd", "keeper"):
            for pid in self.world.verpost.processes(role):
                with open("/proc/%d/status" % pid) as stream:
                    rss = next(int(line.split()[1]) for line in stream
                               if line.startswith("VmRSS"))
                self.assertLess(rss, RSS_KB_MAX, role)

    def check_all(self, load):
        """Soon over; each accepted one was sent once, and each was claimed."""
        load.end()
        self.check_rss()
        self.clock.advance(11)  # the young walk's time
        wait_until("all is final", lambda: self.pg.value(
            "SELECT count(*) FROM recipients WHERE finished_at IS NULL")
            == "0", 60, 0.2)
        rows = {address: (status, int(n)) for address, status, n in
                self.pg.sql("SELECT address, status, (SELECT count(*) FROM "
                            "attempts a WHERE a.recipient = r.id) "
                            "FROM recipients r WHERE address LIKE '%s%%'"
                            % load.name)}
        for to in load.of(200):
            self.assertEqual(rows[to], ("70", 1), to)
            self.assertEqual(self.host.taken[to], 1, to)
        for to, times in list(self.host.begun.items()):
            if to.startswith(load.name):
                self.assertIn(to, rows)
                self.assertEqual(times, 1, to)
        # Told to come again: not there, or there by a lost answer, and once.
        for to in load.of(503):
            self.assertLessEqual(self.host.taken.get(to, 0), 1, to)
        for to, (status, seconds, answer) in load.answers.items():
            self.assertIn(status, (200, 503), answer)
            self.assertLess(seconds, ANSWER_S, to)
            if status == 503:
                self.assertEqual(answer.json["name"], "service_unavailable")
                self.assertIn("database", answer.json["message"])
        self.check_rss()
        wait_until("no job is left", lambda: sum(self.jobs().values()) == 0,
                   20)

    def test_postgres_frozen_for_a_minute(self):
        """It answers nobody and closes nothing, as when its disk hangs."""
        load = self.load("frozen")
        self.pg.pause()
        since = time.monotonic()
        try:
            wait_until("the hosts are quiet", lambda: self.is_quiet(1), 20)
            began = self.host.mails()
            load.wait_for(4, 503)
            wait_until("a minute is over",
                       lambda: time.monotonic() - since > 60, 60)
            self.assertEqual(self.host.mails(), began)
        finally:
            self.pg.resume()
        self.wait_sent(20)
        self.check_all(load)

    def test_postgres_stopped_and_started(self):
        load = self.load("stop")
        self.pg.stop()
        try:
            load.wait_for(20, 503)
            # What was claimed before has gone; now nothing more begins.
            wait_until("the hosts are quiet", lambda: self.is_quiet(1), 20)
            began = self.host.mails()
            load.wait_for(20, 503)
            self.assertEqual(self.host.mails(), began)
        finally:
            self.pg.start()
        load.wait_for(100, 200)
        self.wait_sent(50)
        self.check_all(load)

    def is_quiet(self, seconds):
        before = self.host.mails()
        time.sleep(seconds)  # what does not happen cannot be waited for
        return self.host.mails() == before

    def test_what_gets_too_old_while_postgres_is_away_is_not_sent(self):
        """Whatever stage it was in; what had been sent is delivered."""
        load = self.load("old")
        # From now on more comes than goes, however slow this machine is.
        self.addCleanup(setattr, self.host, "delay", self.host.delay)
        self.host.delay = 0.5
        load.wait_for(150, 200)
        load.end()
        self.pg.stop()
        try:
            wait_until("the hosts are quiet", lambda: self.is_quiet(1), 20)
            began = self.host.mails()
            self.clock.advance(73 * 3600)
            self.assertTrue(self.is_quiet(2))  # each stage looks once a second
        finally:
            self.pg.start()
        wait_until("all is final", lambda: self.pg.value(
            "SELECT count(*) FROM recipients WHERE finished_at IS NULL")
            == "0", 40, 0.2)
        self.assertEqual(self.host.mails(), began)
        expired = 0
        for to, status, reason in self.pg.sql(
                "SELECT address, status, reason FROM recipients "
                "WHERE address LIKE 'old%'"):
            sent = self.host.taken.get(to, 0)
            self.assertIn((sent, status, reason), (
                (1, "70", ""), (0, "60", "expired")), to)
            expired += sent == 0
        self.assertGreater(expired, 10)

    def test_redis_flushed_started_empty_and_with_an_old_dump(self):
        """From that, what was sent comes back, and what came is missing."""
        load = self.load("forgets")
        self.redis.command("FLUSHALL")
        load.wait_for(50, 200)
        self.redis.process.kill()
        os.unlink(self.redis.path)
        load.wait_for(50, 200)
        self.redis.start()
        load.wait_for(50, 200)
        self.wait_sent(50)
        self.redis.command("SAVE")
        dump = self.redis.base + "/dump.rdb"
        shutil.copy(dump, dump + ".old")
        load.wait_for(50, 200)
        self.wait_sent(100)
        self.redis.stop()
        load.wait_for(20, 200)
        shutil.move(dump + ".old", dump)
        self.redis.start()
        os.unlink(dump)
        self.assertGreater(sum(self.jobs().values()), 0)
        load.wait_for(50, 200)
        self.assertEqual(load.of(503), [])
        self.check_all(load)

    def test_redis_failed_over_to_a_replica_that_is_behind(self):
        load = self.load("replica")
        replica = Redis(self.world.base + "/replica")
        self.addCleanup(replica.stop)
        host = self.world.net + ".60"
        with socket.create_server((host, 0)) as probe:
            port = probe.getsockname()[1]
        self.redis.command("CONFIG", "SET", "bind", host)
        self.redis.command("CONFIG", "SET", "port", str(port))
        self.redis.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        replica.command("REPLICAOF", host, str(port))
        wait_until("it has all", lambda: "master_link_status:up" in
                   replica.command("INFO", "replication"), 20)
        replica.command("REPLICAOF", "NO", "ONE")
        behind = sum(self.jobs(replica).values())
        self.assertGreater(behind, 0)
        load.wait_for(100, 200)
        self.wait_sent(100)
        # The master is gone, and its address leads to the replica.
        self.redis.stop()
        load.wait_for(20, 200)
        os.rename(replica.path, self.redis.path)
        self.addCleanup(self.redis.start)
        load.wait_for(50, 200)
        self.assertEqual(load.of(503), [])
        self.check_all(load)
        replica.stop()


if __name__ == "__main__":
    runner.main()
