"""
Many mails to many domains whose hosts drop the connection at seeded points,
with Redis emptied and the mta ended and killed in between: every accepted
mail ends, and none is sent twice unless its outcome was recorded as unknown.
"""

import concurrent.futures
import os
import random
import signal
import socketserver
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

SEED = int(os.environ.get("VERPOST_TEST_SEED", "7"))
DOMAINS = 30
MAILS = 600
CLAIM_S = 15 * 60
# What the host does before it answers, and how often, in percent.
FAULTS = (("banner", 3), ("EHLO", 2), ("MAIL", 3), ("RCPT", 2), ("DATA", 2),
          ("body", 1), ("dot", 1))


class Session(socketserver.StreamRequestHandler):
    """Closes, or says 421 first, at a point that the dice choose."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def fault(self, point):
        with self.server.lock:
            dice = self.server.dice
            chance = dict(FAULTS)[point] if self.server.faulty else 0
            hit, polite = dice.random() * 100 < chance, dice.random() < 0.3
        if hit and polite and point != "dot":
            self.say("421 4.3.2 not now")
        return hit

    def handle(self):
        try:
            self.session()
        except OSError:
            pass

    def session(self):
        if self.fault("banner"):
            return
        self.say("220 stress ESMTP")
        rcpt = None
        while True:
            line = self.rfile.readline(4096).decode("latin-1")
            verb = line[:4].upper()
            if not line or verb in dict(FAULTS) and self.fault(verb):
                return
            if verb == "EHLO":
                self.say("250-stress\r\n250 PIPELINING")
            elif verb == "RCPT":
                rcpt = line[line.index("<") + 1:line.index(">")]
                self.say("250 ok")
            elif verb == "DATA":
                self.say("354 go")
                if not self.body(rcpt):
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def body(self, rcpt):
        if self.fault("body"):
            return False
        line = b""
        while line != b".\r\n":
            line = self.rfile.readline(1 << 20)
            if not line:
                return False
        with self.server.lock:
            count = self.server.taken.get(rcpt, 0)
            self.server.taken[rcpt] = count + 1
        if self.fault("dot"):
            return False
        self.say("250 taken")
        return True


class Hosts(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 200

    def __init__(self, address):
        super().__init__(address, Session)
        self.lock, self.dice = threading.Lock(), random.Random(SEED)
        self.taken, self.faulty = {}, True


class Stress(WorldTest):
    options = {"settings": {"retry_first": "1s", "retry_longest": "5s",
                            "mta_processes": "2"},
               "shaping": "[default]\nsite_connections = 5\n"}

    def setUp(self):
        world = self.world
        self.hosts = Hosts((world.net + ".50", MX_PORT))
        self.addCleanup(self.hosts.server_close)
        self.addCleanup(self.hosts.shutdown)
        threading.Thread(target=self.hosts.serve_forever,
                         daemon=True).start()
        records = []
        for n in range(DOMAINS):
            records += ["d%d IN MX 10 mx.d%d" % (n, n),
                        "mx.d%d IN A %s.50" % (n, world.net)]
        world.dns.add(*records)
        world.verpost.command("source add", world.net + ".21", "--helo",
                              "out.sender.zz")

    def count(self, where):
        return int(self.world.verpost.pg.value(
            "SELECT count(*) FROM recipients WHERE " + where))

    def end_mtas(self, signo):
        for pid in self.world.verpost.processes("mta"):
            os.kill(pid, signo)

    def wait_open(self, most, seconds=60):
        wait_until("at most %d are unfinished" % most, lambda: self.count(
            "finished_at IS NULL") <= most, seconds, 0.1)

    def trouble(self):
        """One thing after the other, each while mail is in flight."""
        self.wait_open(MAILS * 9 // 10)
        self.world.redis.command("FLUSHALL")
        self.wait_open(MAILS * 8 // 10)
        self.end_mtas(signal.SIGTERM)
        self.wait_open(MAILS * 7 // 10)
        self.end_mtas(signal.SIGKILL)
        self.wait_open(MAILS * 6 // 10)
        self.world.redis.command("FLUSHALL")

    def drive(self):
        """Time passes only when nothing moves any more."""
        last, since = None, time.monotonic()

        def look():
            nonlocal last, since
            now = (self.count("finished_at IS NULL"),
                   sum(self.hosts.taken.values()))
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > 3:
                self.world.verpost.clock.advance(CLAIM_S + 60)
                since = time.monotonic()
            return now[0] == 0

        wait_until("all are finished", look, 150, 0.2)

    def unknown(self):
        """{address: attempts whose outcome nobody knows}"""
        pairs = self.world.verpost.pg.value(
            "SELECT coalesce(string_agg(address || '|' || n, ' '), '') "
            "FROM (SELECT r.address, count(*) AS n FROM attempts a "
            "JOIN recipients r ON r.id = a.recipient WHERE a.outcome = 5 "
            "GROUP BY 1) x").split()
        return dict(pair.split("|") for pair in pairs)

    def test_every_mail_ends_and_only_the_unknown_are_doubled(self):
        to = ["u%d@d%d.zz" % (n, n % DOMAINS) for n in range(MAILS)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda a: self.mail(a, "stress"), to))
        self.trouble()
        self.drive()
        self.assertEqual(self.count("status = 70"), MAILS)
        unknown = self.unknown()
        for address in to:
            sent = self.hosts.taken.get(address, 0)
            self.assertGreaterEqual(sent, 1, address)
            self.assertLessEqual(
                sent, 1 + int(unknown.get(address, 0)), address)


if __name__ == "__main__":
    runner.main()
