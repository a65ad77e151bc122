"""
Every limit holds exactly, for each source, whatever happens: two mta
processes, killed and restarted, with Redis emptied in between.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.counter import Counter, most_within  # noqa: E402
from harness.limits import DAY_S, LimitsTest  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.sink import Gate  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

MAX_AGE_S = 72 * 3600
RATE, RATE_S = 20, 4

SHAPING = """
[default]
site_connections = 30
provider_daily = 0
[provider daily]
domains = daily.zz
mx = mx.daily.zz
provider_daily = 25
[provider prov]
mx = one.prov.zz two.prov.zz
provider_connections = 3
provider_connection_rate = 12/4s
provider_mail_rate = 20/4s
[provider closed]
domains = closed.zz
mx = mx.closed.zz
provider_mail_rate = 1/d
[site mx.slow.zz]
site_mail_rate = 1/d
[site mx.rate.zz]
site_mail_rate = 20/4s
[site mx.conn.zz]
site_connections = 3
site_connection_rate = 12/4s
connection_mails = 4
"""


class Limits(LimitsTest):
    options = {"settings": {"mta_processes": "2", "drain_time": "3s"},
               "shaping": SHAPING}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world = cls.world
        cls.counters = {
            name: Counter("%s.%d" % (world.net, host), MX_PORT, delay)
            for name, host, delay in (("rate", 51, 0), ("conn", 52, 0.4),
                                      ("prov", 53, 0.05),
                                      ("daily", 54, 0))}
        world.dns.add(
            "slow IN MX 10 mx.slow", "mx.slow IN A %s.54" % world.net,
            "closed IN MX 10 mx.closed", "mx.closed IN A %s.54" % world.net,
            "rest IN MX 10 mx.rest", "mx.rest IN A %s.99" % world.net,
            "daily IN MX 10 mx.daily",
            "mx.daily IN A %s.54" % world.net,
            "rate IN MX 10 mx.rate", "mx.rate IN A %s.51" % world.net,
            "conn IN MX 10 mx.conn", "mx.conn IN A %s.52" % world.net,
            "prov1 IN MX 10 a.one.prov", "a.one.prov IN A %s.53" % world.net,
            "prov2 IN MX 10 b.two.prov", "b.two.prov IN A %s.53" % world.net)
        world.verpost.command("source add", world.net + ".21", "--helo",
                              "out.sender.zz")
        wait_until("both sources are owned", lambda: world.verpost.pg.value(
            "SELECT count(DISTINCT owner) FROM sources") == "2")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        for counter in cls.counters.values():
            counter.stop()

    def end_mtas(self, signo):
        old = set(self.world.verpost.processes("mta"))
        for pid in old:
            os.kill(pid, signo)
        wait_until("others have taken their place", lambda: len(
            set(self.world.verpost.processes("mta")) - old) == 2)

    def trouble(self, counter):
        """Each in the middle of the sending."""
        wait_until("30 are sent", lambda: counter.mails() >= 30, 60)
        self.end_mtas(signal.SIGKILL)
        wait_until("40 are sent", lambda: counter.mails() >= 40, 60)
        self.world.redis.command("FLUSHALL")
        wait_until("50 are sent", lambda: counter.mails() >= 50, 60)
        self.end_mtas(signal.SIGTERM)

    def redis_why(self, lane):
        """What the workers say about a lane of the first pool."""
        fields = self.world.redis.command("HGETALL", "q:{p1.%s}:m" % lane)
        return fields.count("why:")

    def left_in(self, lane):
        return int(self.world.redis.command("ZCARD", "q:{p1.%s}:r" % lane))

    def under_way(self):
        return int(self.world.verpost.pg.value(
            "SELECT count(*) FROM attempts WHERE outcome IS NULL"))

    def is_used_up(self):
        """Both have taken all of the newest day, and say so, and nothing is
        on its way any more. What they say alone may be of the day before."""
        return (self.world.verpost.pg.value(
            "SELECT count(*) FROM source_quota WHERE taken = cap AND day = "
            "(SELECT max(day) FROM source_quota)") == "2"
                and self.redis_why("daily") >= 2
                and self.left_in("daily") > 0 and self.under_way() == 0)

    def test_a_daily_limit_holds_through_kills_and_over_days(self):
        """What a kill interrupts costs its unit: so days are not counted."""
        counter = self.counters["daily"]
        to = ["d%d@daily.zz" % n for n in range(110)]
        self.post(to)
        wait_until("some are sent", lambda: counter.mails() >= 10)
        self.end_mtas(signal.SIGKILL)
        self.world.redis.command("FLUSHALL")
        before, days = {}, 1
        while True:
            wait_until("the day is used up, or all is sent", lambda:
                       self.unfinished() == 0 or self.is_used_up(), 60)
            now = self.mails_of(counter)
            for source, mails in now.items():
                self.assertLessEqual(mails - before.get(source, 0), 25, source)
            if self.unfinished() == 0:
                break
            self.assertEqual(self.shown_of_limits(), [25, 25])
            if days == 1:
                self.end_mtas(signal.SIGTERM)
            before, days = now, days + 1
            self.assertLess(days, 8)
            self.next_day()
            wait_until("it goes on, or all is sent", lambda:
                       counter.mails() > sum(before.values())
                       or self.unfinished() == 0, 60)
        self.assertGreaterEqual(days, 3)
        self.assertEqual(set(counter.taken), set(to), self.strange())

    def shown_of_limits(self):
        """What both sources have used of the provider's day, by source."""
        rows = self.world.verpost.command_json("queue", "--by", "limit")
        self.assertEqual({(row["provider"], row["daily_limit"])
                          for row in rows}, {("daily", 25)})
        return [row["used_today"]
                for row in sorted(rows, key=lambda row: row["source"])]

    def strange(self):
        """Those that did not end well."""
        return self.world.pg.sql(
            "SELECT r.address, r.status, r.attempts, r.finished_at, a.* "
            "FROM recipients r LEFT JOIN attempts a ON a.recipient = r.id "
            "WHERE r.status <> 70")

    def test_mail_past_its_age_ends_wherever_it_waits(self):
        """In memory, for its turn, in a closed lane, for a host that rests."""
        to = ["x%d@%s.zz" % (n, name) for n in range(6)
              for name in ("slow", "closed", "rest")]
        idents = [self.mail(address, "age") for address in to]
        wait_until("a lane says why it is closed",
                   lambda: self.redis_why("closed") >= 2, 30)
        wait_until("a host rests", lambda: self.world.verpost.pg.value(
            "SELECT count(*) > 0 FROM attempts WHERE outcome IS NOT NULL")
            == "t")
        # Less than one an hour is a limit, too.
        slow, = [row for row in self.world.verpost.command_json(
            "queue", "--by", "site") if row["site"] == "mx.slow.zz"]
        self.assertIn(slow["ceiling_per_hour"], (1, 2))
        self.assertIsNone(slow["rate_per_s"])
        self.world.verpost.clock.advance(MAX_AGE_S + 60)
        for ident in idents:
            email = self.api.wait_event(ident, "failed", 30)
            self.assertEqual(email["recipients"][0]["reason"], "expired")
        self.assertFalse(any("@closed" in rcpt or "@slow" in rcpt
                             for rcpt in self.counters["daily"].taken))

    def test_rates_and_connections_are_never_passed(self):
        to = []
        for n in range(90):
            to += ["r%d@rate.zz" % n, "c%d@conn.zz" % n,
                   "p%d@prov%d.zz" % (n, 1 + n % 2)]
        self.post(to)
        self.trouble(self.counters["rate"])
        self.drive(5, self.end_claims)
        rate, conn, prov = (self.counters[n] for n in ("rate", "conn", "prov"))
        self.assertEqual(
            set(rate.taken) | set(conn.taken) | set(prov.taken), set(to))
        self.check_rate(rate.mail_times, RATE, RATE_S)
        self.check_rate(prov.mail_times, RATE, RATE_S)
        self.check_rate(prov.connect_times, 12, 4)
        self.check_rate(conn.connect_times, 12, 4)
        for source in conn.most_open:
            self.assertLessEqual(conn.most_open[source], 3)
            self.assertLessEqual(prov.most_open[source], 3)
        self.assertLessEqual(conn.most_mails, 4)
        # They are limits, and not a standstill.
        for counter in (rate, prov):
            for moments in counter.mail_times.values():
                self.assertGreaterEqual(
                    most_within(moments, RATE_S), RATE * 0.6)
        self.assertEqual(max(conn.most_open.values()), 3)
        self.assertEqual(conn.most_mails, 4)


class UsedUp(WorldTest):
    """One source has sent what it may in a day, another has not."""

    options = {"sink": True}
    DAILY, MAILS = 3, 20

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world = cls.world
        for words in (("source set", "20", "--daily", str(cls.DAILY)),
                      ("source add", "21", "--helo", "out.sender.zz")):
            world.verpost.command(
                words[0], "%s.%s" % (world.net, words[1]), *words[2:])
        # Who knows of the second has read with it what the first may send.
        wait_until("the second source is owned", lambda:
                   "source.owned address=%s.21 " % world.net
                   in world.verpost.process.log(), 30)

    def send(self, name):
        to = ["%s%d@sink.zz" % (name, n) for n in range(self.MAILS)]
        return self.mail(to, name), to

    def check_delivered(self, ident, to, by_limited):
        wait_until("all are delivered", lambda: {
            r["status"] for r in self.api.email(ident)["recipients"]}
            == {"delivered"}, 30)
        self.assertEqual(sum(
            self.world.sink.for_rcpt(address)[0].peer
            == self.world.net + ".20" for address in to), by_limited)

    def test_the_other_sends_what_is_left(self):
        self.check_delivered(*self.send("left"), self.DAILY)


class UsedUpOfTwo(LimitsTest):
    """
    The same with a process for each source. Which of them leases a mail is
    chance, and the limited one may find none: so the other source is on hold
    until that one has used its day up.
    """

    # One mail at a time.
    options = {"sink": True, "haste": 5,
               "shaping": "[default]\nsite_connections = 1\n"
                          "[site mx.slow.zz]\nsite_mail_rate = 1/d\n",
               "settings": {"mta_processes": "2"}}
    DAILY, MAILS = 3, 20

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        net, verpost = cls.world.net, cls.world.verpost
        cls.limited, cls.other = net + ".20", net + ".21"
        cls.world.dns.add("slow IN MX 10 mx.slow",
                          "mx.slow IN A %s.31" % net)
        verpost.command("source set", cls.limited, "--daily", str(cls.DAILY))
        verpost.command("source add", cls.other, "--helo", "out.sender.zz")
        cls.beats()

    @classmethod
    def beats(cls):
        """What was in the database before, all processes know then."""
        pg = cls.world.verpost.pg
        for _ in range(2):
            then = pg.value("SELECT max(seen_at) FROM workers")
            wait_until("all have beaten", lambda: pg.value(
                "SELECT bool_and(seen_at > '%s') FROM workers WHERE "
                "role = 'mta' AND NOT dead" % then) == "t", 20)

    def setUp(self):
        """A new day, and only the limited source sends."""
        self.verpost, self.sink = self.world.verpost, self.world.sink
        self.next_day()
        self.verpost.command("queue hold", "source", self.other)
        wait_until("only the limited one is owned", lambda: (
            self.owner_of(self.limited), self.owner_of(self.other)) == (
                self.pid_in_slot(0), None), 30)
        self.begun = len(self.sink.mail_peers)
        self.said = self.times_said()

    def owner_of(self, address):
        """The number of the process."""
        found = self.verpost.pg.value(
            "SELECT w.pid FROM sources s JOIN workers w ON w.id = s.owner "
            "WHERE NOT w.dead AND host(s.address) = '%s'" % address)
        return int(found) if found else None

    def pid_in_slot(self, slot):
        return next((pid for pid, title in self.verpost.processes(
            "mta").items() if title.split()[-1] == str(slot)), None)

    def times_said(self):
        """That the day of the limited source is used up."""
        return self.verpost.process.log().count(" quota.used_up source=1 ")

    def mails_from(self, address):
        return self.sink.mail_peers[self.begun:].count(address)

    def taken(self):
        return int(self.verpost.pg.value(
            "SELECT coalesce(max(taken), 0) FROM source_quota WHERE day = "
            "(SELECT floor(extract(epoch FROM now()) / 86400 + %f))" % (
                self.verpost.clock.offset_ms / 86400000)))

    def send(self, name):
        to = ["%s%d@sink.zz" % (name, n) for n in range(self.MAILS)]
        return to, lambda: self.mail(to, name)

    def check_used_up(self):
        wait_until("its day is used up", lambda:
                   self.times_said() > self.said, 30)
        wait_until("all of it was sent", lambda:
                   self.mails_from(self.limited) >= self.DAILY)
        self.assertEqual(self.days_shown("source"), {
            self.limited: (self.DAILY, self.DAILY), self.other: (None, None)})
        self.assertEqual(self.days_shown("limit"), {
            self.limited: (self.DAILY, self.DAILY)})

    def days_shown(self, by):
        return {row["source"]: (row["used_today"], row["daily_limit"])
                for row in self.verpost.command_json("queue", "--by", by)}

    def why_of(self, ident):
        """What makes it wait, wherever that is told."""
        command = self.verpost.command_json
        shown = command("queue show", ident)["recipients"]
        return ({row["delayed_because"] for row in command("queue")}
                | {row["delayed_because"]
                   for row in command("queue", "--by", "source")
                   if row["source"] == self.limited}
                | {r["why"] for r in shown if r["status"] == "queued"}
                | {r["delayed_because"]
                   for r in self.api.email(ident)["recipients"]
                   if r["status"] == "queued"})

    def check_why(self, ident):
        """The limit opens when the day is over, at the next look it is as
        closed as before."""
        now = time.time() + self.verpost.clock.offset_ms / 1000
        end = time.strftime("%Y-%m-%dT00:00:00.000Z",
                            time.gmtime(now + DAY_S))
        for _ in range(2):
            wait_until("all say when the day is over", lambda: self.why_of(
                ident) == {"daily limit until " + end}, 30)
            said = self.times_said()
            self.verpost.clock.advance(60)
            wait_until("it was looked at again",
                       lambda: self.times_said() > said)

    def let_the_other_send(self, ident, to, by_limited):
        self.verpost.command("queue release", "source", self.other)
        wait_until("all are delivered", lambda: {
            r["status"] for r in self.api.email(ident)["recipients"]}
            == {"delivered"}, 30)
        self.assertEqual(self.mails_from(self.limited), self.DAILY)
        self.assertEqual([self.sink.for_rcpt(a)[0].peer for a in to].count(
            self.limited), by_limited)

    def test_the_other_process_sends_what_is_left(self):
        to, post = self.send("two")
        ident = post()
        self.check_used_up()
        self.check_why(ident)
        self.let_the_other_send(ident, to, self.DAILY)

    def test_what_a_killed_process_had_in_hand_is_used(self):
        """Of the three one is under way then, one in hand, one not taken."""
        to, post = self.send("killed")
        gate = Gate("250 2.1.5 ok")
        self.addCleanup(gate.open)
        self.sink.on_rcpt.update(dict.fromkeys(to, gate))
        ident = post()
        self.assertTrue(gate.reached.wait(20))
        wait_until("the next one is asked for", lambda: self.taken() == 2)
        self.beats()
        killed = self.owner_of(self.limited)
        os.kill(killed, signal.SIGKILL)
        wait_until("it has a successor", lambda: self.owner_of(
            self.limited) not in (killed, None), 30)
        gate.open()
        self.check_used_up()
        self.let_the_other_send(ident, to, self.DAILY - 1)

    def test_what_waits_for_a_slow_site_holds_nothing_of_the_day(self):
        """One such a day: none before the limited process is a day old."""
        slow = self.mail("last@slow.zz", "slow")
        wait_until("it waits in memory", lambda: [
            row for row in self.verpost.command_json("queue", "--by", "site")
            if row["site"] == "mx.slow.zz" and row["waiting"] == 1], 30)
        to, post = self.send("beside")
        ident = post()
        self.check_used_up()
        self.verpost.command("queue cancel", "domain", "slow.zz")
        self.let_the_other_send(ident, to, self.DAILY)
        self.api.wait_event(slow, "canceled")


if __name__ == "__main__":
    runner.main()
