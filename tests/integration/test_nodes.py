"""
Two nodes on one PostgreSQL and Redis, each with a source of its own in the
same pool: they share the work, and one takes over what the other leaves.
"""

import concurrent.futures
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.counter import Counter  # noqa: E402
from harness.limits import LimitsTest  # noqa: E402
from harness.procs import Failed, directory, wait_until  # noqa: E402
from harness.proxy import Proxy  # noqa: E402
from harness.sink import Gate  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

CLAIM_S = 15 * 60
CONNECTIONS = 3
CLAIM_AHEAD = 4  # for each connection
REST = 24  # so that some are not claimed
HASTE = 5
DAILY = 35  # mails of a source
OPEN, DELIVERED, UNKNOWN = "0", "1", "5"


class TwoNodes(WorldTest):
    """Nodes a and b, each with its own source in the same pool."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world = cls.world
        cls.a, cls.pg = world.verpost, world.pg
        cls.source = {"node1": world.net + ".20", "node2": world.net + ".21"}
        cls.pg.sql("UPDATE sources SET node = 'node1'")
        cls.a.command("source add", cls.source["node2"], "--helo",
                      "out2.sender.zz", "--node", "node2")
        cls.b = world.add_node(cls.options.get("settings"))


class Nodes(TwoNodes):
    """Node a reaches its servers by ways that can be cut."""

    options = {"sink": True, "haste": HASTE,
               "shaping": "[default]\nsite_connections = %d\n"
                          "site_connection_rate = none\n" % CONNECTIONS}
    prefix = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sink = cls.world.sink
        # So that no mail stands behind another on a connection.
        cls.sink.pipelining = False
        cls.to_redis, cls.to_pg = cls.proxies()
        cls.a.stop()
        cls.a.settings.update(
            redis="unix:" + cls.to_redis.path, postgres='"%s"' % (
                cls.pg.conninfo("verpost", os.path.dirname(cls.to_pg.path))))
        cls.a.write_config()
        cls.a.start()

    @classmethod
    def proxies(cls):
        base = directory(cls.world.base + "/ways")
        name = "/.s.PGSQL.5432"
        ways = (Proxy(base + "/redis", cls.world.redis.path),
                Proxy(base + name, cls.pg.base + name))
        for way in ways:
            cls.addClassCleanup(way.stop)
        return ways

    def setUp(self):
        type(self).prefix += 1
        self.gates = []
        self.addCleanup(self.open_gates)
        self.both_send()

    def open_gates(self):
        for gate in self.gates:
            gate.open()

    # -- who sends

    def enable(self, *nodes):
        """Only these nodes have a source."""
        names = ",".join("'%s'" % n.settings["node"] for n in nodes)
        self.pg.sql("UPDATE sources SET enabled = node IN (%s)" % names)
        for node in (self.a, self.b):
            name = node.settings["node"]
            wait_until("%s has what it should" % name, lambda n=name: (
                self.pg.value("SELECT (w.id IS NOT NULL) = s.enabled "
                              "FROM sources s LEFT JOIN workers w "
                              "ON w.id = s.owner AND NOT w.dead "
                              "WHERE s.node = '%s'" % n) == "t"), 40)

    def both_send(self):
        self.enable(self.a, self.b)

    # -- mail

    def addresses(self, name, count):
        return ["%s%d-%d@sink.zz" % (name, self.prefix, n)
                for n in range(count)]

    def post(self, addresses, **more):
        """By way of both nodes; the ids."""
        def one(at):
            api = (self.a.api, self.b.api)[at[0] % 2]
            return api.send(**dict({
                "from": "hello@sender.zz", "to": at[1], "subject": "nodes",
                "text": "x"}, **more))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(one, enumerate(addresses)))

    def post_by(self, node, addresses):
        for address in addresses:
            node.api.send(**{"from": "hello@sender.zz", "to": address,
                             "subject": "nodes", "text": "x"})

    def gated(self, table, addresses, reply="250 2.0.0 taken"):
        gates = []
        for address in addresses:
            table[address] = Gate(reply)
            gates.append(table[address])
        self.gates += gates
        return gates

    def wait_reached(self, gates):
        for gate in gates:
            self.assertTrue(gate.reached.wait(20))

    def sent(self, addresses):
        return [len(self.sink.for_rcpt(a)) for a in addresses]

    def peers(self, addresses):
        """From where they came."""
        return [t.peer for a in addresses for t in self.sink.for_rcpt(a)]

    def attempts(self, addresses):
        """{address: outcomes in their order}"""
        found = dict.fromkeys(addresses, "")
        for address, outcomes in self.pg.sql(
                "SELECT r.address, string_agg(coalesce(a.outcome, 0)::text, "
                "'' ORDER BY a.n) FROM recipients r JOIN attempts a "
                "ON a.recipient = r.id GROUP BY 1"):
            if address in found:
                found[address] = outcomes
        return list(found.values())

    def all_are(self, addresses, status):
        names = ",".join("'%s'" % a for a in addresses)
        return self.pg.value(
            "SELECT count(*) FROM recipients WHERE address IN (%s) "
            "AND status = %d" % (names, status)) == str(len(addresses))

    def wait_delivered(self, addresses, seconds=40):
        try:
            wait_until("all are delivered",
                       lambda: self.all_are(addresses, 70), seconds, 0.05)
        except Failed as failed:
            raise Failed("%s; their attempts: %r" % (failed, dict(zip(
                addresses, self.attempts(addresses)))))

    def in_redis(self, *kinds):
        redis = self.world.redis
        return sum(int(redis.command("ZCARD", key))
                   for key in redis.command("KEYS", "q:*").split()
                   if key.rsplit(":", 1)[1] in kinds)

    def wait_nothing_left(self):
        try:
            wait_until("nobody holds anything any more",
                       lambda: self.in_redis("r", "t", "h", "p") == 0, 40)
        except Failed as failed:
            raise Failed("%s: %r" % (failed, {
                kind: self.in_redis(kind) for kind in "rthp"}))

    def held_by_a(self, name, waiting):
        """
        Claims of a before and behind the dot, one of the latter with
        exactly_once, and as many as waiting in its memory.
        """
        self.enable(self.a)
        before = self.addresses(name + "-rcpt", 1)
        behind = self.addresses(name + "-dot", 1)
        once = self.addresses(name + "-once", 1)
        rest = self.addresses(name + "-rest", waiting)
        gates = (self.gated(self.sink.on_rcpt, before)
                 + self.gated(self.sink.on_dot, behind + once))
        self.post(before + behind)
        self.post(once, delivery="exactly_once")
        self.wait_reached(gates)
        self.post(rest)
        held = waiting + CONNECTIONS
        wait_until("a holds them", lambda: self.in_redis("h") == held)
        return before, behind, once, rest

    def claims(self, source):
        return int(self.pg.value(
            "SELECT count(*) FROM attempts a JOIN sources s ON s.number = "
            "a.source WHERE a.outcome IS NULL AND s.address = '%s'" % source))

    def test_a_backlog_is_shared(self):
        """While the host is slow both send, and none has more than it can."""
        to = self.addresses("share", 200)
        gate = Gate("250 2.0.0 taken")
        self.gates.append(gate)
        self.sink.on_dot.update(dict.fromkeys(to, gate))
        self.post(to)
        most = CONNECTIONS * (1 + CLAIM_AHEAD)
        for source in self.source.values():
            wait_until("%s sends" % source, lambda s=source:
                       self.claims(s) >= CONNECTIONS)
            self.assertLessEqual(self.claims(source), most)
        gate.open()
        self.wait_delivered(to)
        self.assertEqual(self.sent(to), [1] * len(to))
        peers = self.peers(to)
        for source in self.source.values():
            self.assertGreaterEqual(peers.count(source), CONNECTIONS)
        self.wait_nothing_left()

    def test_a_name_is_of_one_node(self):
        """Who would take it from a node that lives does not start."""
        def restore():
            self.b.settings["node"] = "node2"
            self.b.write_config()
            self.b.start()

        self.b.stop()
        self.addCleanup(restore)
        self.b.settings["node"] = "node1"
        self.b.write_config()
        worker = self.a.worker()
        for command in ("check", "serve"):
            status, out, errors = self.b.command(command, check=False)
            self.assertEqual(status, 1)
            self.assertRegex(
                out + errors, "another verpost serves as node 'node1' "
                "\\(process %s of this machine\\): give each node a name"
                % "|".join(map(str, self.a.processes())))
        self.assertEqual(self.a.worker(), worker)
        # Its own check does not take it for another.
        self.assertNotIn("another verpost",
                         self.a.command("check", check=False)[1])

    def test_the_successor_in_the_slot_goes_on_at_once(self):
        before, behind, once, rest = self.held_by_a("mta", REST)
        pid, = self.a.processes("mta")
        os.kill(pid, signal.SIGKILL)
        self.open_gates()
        self.wait_delivered(before + rest)
        wait_until("the others are unknown", lambda: self.attempts(
            behind + once) == [UNKNOWN, UNKNOWN])
        self.assertEqual(self.sent(before + rest), [1] * (REST + 1))
        self.assertEqual(self.sent(behind + once), [1, 1])
        # What it had claimed was given back, not recorded.
        self.assertEqual(self.attempts(before + rest),
                         [DELIVERED] * (REST + 1))
        self.world.verpost.clock.advance(CLAIM_S + 60)
        self.wait_delivered(behind)
        self.assertEqual(self.sent(behind + once), [2, 1])
        self.wait_nothing_left()

    def test_a_node_that_is_gone_is_replaced_by_the_other(self):
        """Its jobs after the time of silence, its claims after 15 minutes."""
        before, behind, once, rest = self.held_by_a("node", REST)
        self.a.kill()
        ahead = [a for a, o in zip(rest, self.attempts(rest)) if o == OPEN]
        self.assertLessEqual(len(ahead), CONNECTIONS * CLAIM_AHEAD)
        rest = [a for a in rest if a not in ahead]
        claimed = before + behind + once + ahead
        self.open_gates()
        self.pg.sql("UPDATE sources SET enabled = node = 'node2'")
        self.wait_delivered(rest)
        self.assertEqual(set(self.peers(rest)), {self.source["node2"]})
        self.world.verpost.clock.advance(CLAIM_S - 120)
        more = self.addresses("more", 1)
        self.post_by(self.b, more)
        self.wait_delivered(more)
        self.assertEqual(self.attempts(claimed), [OPEN] * len(claimed))
        self.world.verpost.clock.advance(180)
        wait_until("they are unknown", lambda: self.attempts(claimed) == [
            UNKNOWN] * len(claimed), 40)
        self.assertTrue(self.all_failed(once))
        self.world.verpost.clock.advance(CLAIM_S + 60)
        self.wait_delivered(before + behind + ahead)
        self.assertEqual(self.sent(before + behind + once), [1, 2, 1])
        self.assertEqual(self.sent(rest + ahead), [1] * REST)
        self.pg.sql("UPDATE sources SET enabled = true")
        self.a.start()
        self.wait_nothing_left()

    def all_failed(self, addresses):
        email, = self.pg.sql(
            "SELECT email_of(id) FROM recipients WHERE address = '%s'"
            % addresses[0])
        shown = self.b.api.email(email[0])
        return (shown["last_event"] == "failed"
                and shown["recipients"][0]["outcome_unknown"])

    # -- cut off: its processes and its receivers are there

    def a_goes_on(self):
        self.enable(self.a)
        to = self.addresses("again", 3)
        self.post(to)
        self.wait_delivered(to)
        self.assertEqual(set(self.peers(to)), {self.source["node1"]})

    def a_leads(self):
        keeper, = self.b.processes("keeper")
        os.kill(keeper, signal.SIGSTOP)
        self.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory'")
        before = self.a.process.log().count("keeper.leader")
        wait_until("a leads", lambda: self.a.process.log().count(
            "keeper.leader") > before, 20)
        os.kill(keeper, signal.SIGCONT)

    def mails_from_a(self):
        with self.sink.lock:
            return self.sink.mail_peers.count(self.source["node1"])

    def cut_from_redis(self, name, stall):
        """It sends what it has, and gets nothing new, until it is back."""
        self.a_leads()
        before, behind, once, rest = self.held_by_a(name, REST)
        self.to_redis.cut(stall)
        self.addCleanup(self.to_redis.heal)
        self.enable(self.a, self.b)
        new = self.addresses(name + "-new", 8)
        self.post(new)
        self.open_gates()
        self.world.verpost.clock.advance(11)
        held = before + behind + once + rest
        self.wait_delivered(held + new)
        self.assertEqual(set(self.peers(held)), {self.source["node1"]})
        self.assertEqual(set(self.peers(new)), {self.source["node2"]})
        self.assertEqual(self.sent(held + new), [1] * len(held + new))
        self.to_redis.heal()
        self.wait_nothing_left()

    def test_from_redis_by_a_closed_door(self):
        self.cut_from_redis("closed", False)
        self.a_goes_on()

    def test_from_redis_in_silence(self):
        self.cut_from_redis("silent", True)

    def cut_from_postgres(self, name, stall):
        """
        It claims nothing and begins nothing; the other sends what waits
        there. Back again it hears that it is dead, and its successor records
        what it was answered meanwhile.
        """
        self.a_leads()
        before, behind, once, rest = self.held_by_a(name, REST)
        begun = before + behind + once
        old = self.a.worker()
        self.to_pg.cut(stall)
        self.addCleanup(self.to_pg.heal)
        self.pg.sql("UPDATE sources SET enabled = true")
        wait_until("a is dead to the others", lambda: self.pg.value(
            "SELECT dead FROM workers WHERE id = %s" % old) == "t", 40)
        ahead = [a for a, o in zip(rest, self.attempts(rest)) if o == OPEN]
        rest = [a for a in rest if a not in ahead]
        mails = self.mails_from_a()
        self.open_gates()
        wait_until("a has its answers", lambda: all(
            t.replied for a in begun for t in self.sink.for_rcpt(a))
            and self.sent(begun) == [1] * 3)
        self.wait_delivered(rest)
        self.assertEqual(set(self.peers(rest)), {self.source["node2"]})
        wait_until("a has closed its connections", lambda:
                   self.sink.open_from[self.source["node1"]] == 0)
        self.assertEqual(self.mails_from_a(), mails)
        self.to_pg.heal()
        self.wait_delivered(begun)
        wait_until("a has another worker", lambda: self.a.worker()
                   not in (None, old), 40)
        # Its claims are taken back: nobody waits for their end.
        self.wait_delivered(ahead)
        self.assertEqual(self.sent(begun + ahead + rest),
                         [1] * (REST + 3))
        self.assertEqual(self.attempts(begun + ahead),
                         [DELIVERED] * (3 + len(ahead)))
        self.assertIn("worker.declared_dead worker=%s" % old,
                      self.a.process.log())
        self.wait_nothing_left()

    def test_from_postgres_by_a_closed_door(self):
        self.cut_from_postgres("closed", False)
        self.a_goes_on()

    def test_from_postgres_in_silence(self):
        self.cut_from_postgres("silent", True)


class Limits(TwoNodes, LimitsTest):
    options = {"haste": HASTE, "settings": {"drain_time": "3s"},
               "shaping": """
[default]
site_connections = 30
[provider daily]
domains = daily.zz
mx = mx.daily.zz
provider_daily = 15
[site mx.rate.zz]
site_mail_rate = 20/4s
[site mx.conn.zz]
site_connections = 3
site_connection_rate = 12/4s
connection_mails = 4
"""}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.counters, records = {}, []
        for name, host, delay in (("rate", 51, 0), ("conn", 52, 0.4),
                                  ("daily", 53, 0)):
            address = "%s.%d" % (cls.world.net, host)
            cls.counters[name] = Counter(address, MX_PORT, delay)
            cls.addClassCleanup(cls.counters[name].stop)
            records += ["%s IN MX 10 mx.%s" % (name, name),
                        "mx.%s IN A %s" % (name, address)]
        cls.world.dns.add(*records)
        for node in (cls.a, cls.b):
            cls.limit_day(node, cls.source[node.settings["node"]])

    @staticmethod
    def limit_day(node, address):
        """Its owner hears of it with a heartbeat, and says so."""
        said = "source.owned address=%s " % address
        wait_until("it is owned", lambda: said in node.process.log())
        before = node.process.log().count(said)
        node.command("source set", address, "--daily", str(DAILY))
        wait_until("its owner knows the limit", lambda:
                   node.process.log().count(said) > before)

    def setUp(self):
        self.counted = {}

    def total(self):
        return sum(c.mails() for c in self.counters.values())

    def so_far(self):
        return {(name, source): mails
                for name, counter in self.counters.items()
                for source, mails in self.mails_of(counter).items()}

    def end_day(self):
        """Of what was sent since the last one nothing is too much."""
        now = self.so_far()
        day = {key: mails - self.counted.get(key, 0)
               for key, mails in now.items()}
        for source in self.source.values():
            self.assertLessEqual(day.get(("daily", source), 0), 15)
            self.assertLessEqual(sum(
                mails for key, mails in day.items() if key[1] == source),
                DAILY, source)
        self.counted = now
        self.days += 1
        self.next_day()

    def trouble(self):
        wait_until("20 are sent", lambda: self.total() >= 20, 60)
        self.a.kill()
        self.a.start()
        wait_until("40 are sent", lambda: self.total() >= 40, 60)
        self.world.redis.command("FLUSHALL")
        wait_until("60 are sent", lambda: self.total() >= 60, 60)
        for pid in self.b.processes("mta"):
            os.kill(pid, signal.SIGKILL)

    def test_limits_hold_over_both_nodes_and_their_ends(self):
        to = ["%s%d@%s.zz" % (name, n, name) for n in range(40)
              for name in self.counters]
        self.days = 0
        self.post(to)
        self.trouble()
        self.drive(3, self.end_day)
        self.end_day()
        self.assertGreaterEqual(self.days, 2)
        rate, conn, daily = (self.counters[n] for n in (
            "rate", "conn", "daily"))
        self.assertEqual(
            set(rate.taken) | set(conn.taken) | set(daily.taken), set(to))
        self.check_rate(rate.mail_times, 20, 4)
        self.check_rate(conn.connect_times, 12, 4)
        self.assertEqual(len(daily.mail_times), 2)
        self.assertEqual(max(conn.most_open.values()), 3)
        self.assertEqual(conn.most_mails, 4)


if __name__ == "__main__":
    runner.main()
