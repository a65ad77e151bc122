"""
One process per slot, one owner per source: whoever takes over waits for the
one before, and who was declared dead sends nothing more.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.counter import Counter  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.sink import Gate  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

CLAIM_S = 15 * 60


class HandoverTest(WorldTest):
    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost
        self.pg = self.verpost.pg

    def gate(self, table, address, reply):
        gate = table[address] = Gate(reply)
        self.addCleanup(gate.open)
        return gate

    def sent(self, address):
        return len(self.sink.for_rcpt(address))

    def worker_of(self, pid):
        return self.pg.value("SELECT max(id) FROM workers WHERE pid = %d "
                             "AND role = 'mta'" % pid)

    def owner_of(self, address):
        return self.pg.value("SELECT owner FROM sources WHERE "
                             "host(address) = '%s'" % address)


class MasterKilled(HandoverTest):
    options = {"sink": True}

    def test_the_next_one_waits_for_the_orphan(self):
        """The orphan ends its transaction; its successor begins then."""
        gate = self.gate(self.sink.on_dot, "orphan@sink.zz", "250 2.0.0 taken")
        ident = self.mail("orphan@sink.zz", "master killed")
        self.assertTrue(gate.reached.wait(20))
        orphan, = self.verpost.processes("mta")
        worker = self.worker_of(orphan)
        os.kill(self.verpost.process.pid, signal.SIGKILL)
        self.verpost.process.popen.wait()
        self.verpost.start()
        wait_until("the next one waits for the slot", lambda:
                   "slot.waits" in self.verpost.process.log())
        self.assertEqual(self.worker_count(), 1)
        gate.open()
        self.api.wait_event(ident, "delivered", 20)
        wait_until("the slot has another worker", lambda:
                   self.live_worker() not in (None, worker))
        self.assertEqual(self.sent("orphan@sink.zz"), 1)
        self.api.wait_event(self.mail("next@sink.zz", "by the next"),
                            "delivered")

    def worker_count(self):
        return int(self.pg.value(
            "SELECT count(*) FROM workers WHERE role = 'mta' AND NOT dead"))

    def live_worker(self):
        return self.pg.value("SELECT max(id) FROM workers WHERE "
                             "role = 'mta' AND NOT dead")


class OtherBoot(HandoverTest):
    options = {"sink": True}

    def test_rows_of_another_boot_are_dead_at_once(self):
        """The machine was down: nothing of it can still be running."""
        self.verpost.kill()
        self.pg.sql(
            "INSERT INTO workers (node, role, boot_id, slot, pid, started_at, "
            "seen_at) VALUES ('node1', 'mta', 'another', 5, 1, "
            "clock_timestamp(), clock_timestamp() + interval '1 hour'), "
            "('node9', 'mta', 'another', 0, 1, clock_timestamp(), "
            "clock_timestamp() + interval '1 hour')")
        self.verpost.start()
        wait_until("it is dead", lambda: self.pg.value(
            "SELECT dead FROM workers WHERE slot = 5") == "t")
        self.assertEqual(self.pg.value(
            "SELECT dead FROM workers WHERE node = 'node9'"), "f")
        self.api.wait_event(self.mail("boot@sink.zz", "after the boot"),
                            "delivered")


class SourceMoves(HandoverTest):
    """Two processes: the sources are dealt out by their order."""

    options = {"sink": True, "haste": 5, "settings": {
        "mta_processes": "2", "connection_idle": "1s"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.second = cls.world.net + ".21"
        cls.world.verpost.command("source add", cls.second, "--helo",
                                  "out2.sender.zz")

    def test_its_connections_end_before_its_owner_changes(self):
        first = self.world.net + ".20"
        wait_until("both are owned, by two", lambda: len({
            self.owner_of(first), self.owner_of(self.second)} - {None, ""}) == 2)
        old = self.owner_of(self.second)
        gate, ident, address = self.held_from(self.second)
        # The second one becomes the first in the order.
        self.pg.sql("UPDATE sources SET enabled = false WHERE "
                    "host(address) = '%s'" % first)
        wait_until("the first has no owner", lambda:
                   self.owner_of(first) in (None, ""))
        self.assertEqual(self.owner_of(self.second), old)
        self.wait_for_beats()
        self.assertEqual(self.owner_of(self.second), old)
        gate.open()
        self.api.wait_event(ident, "delivered")
        wait_until("it has another owner", lambda:
                   self.owner_of(self.second) not in (old, None, ""), 30)
        self.assertEqual(self.sent(address), 1)
        self.api.wait_event(self.mail("moved@sink.zz", "by the other"),
                            "delivered")

    def held_from(self, source):
        """
        A mail that waits for the reply to its dot on a connection from there:
        which process leases it, and so from where it leaves, is chance.
        """
        for n in range(50):
            address = "held%d@sink.zz" % n
            gate = self.gate(self.sink.on_dot, address, "250 2.0.0 taken")
            ident = self.mail(address, "held")
            self.assertTrue(gate.reached.wait(20))
            if self.pg.value(
                    "SELECT host(s.address) FROM attempts a JOIN sources s "
                    "ON s.number = a.source WHERE a.outcome IS NULL "
                    "AND email_of(a.recipient) = '%s'" % ident) == source:
                return gate, ident, address
            gate.open()
            self.api.wait_event(ident, "delivered")
        raise AssertionError("no mail left from %s" % source)

    def wait_for_beats(self):
        """Every process has looked for its sources once more."""
        then = self.pg.value("SELECT max(seen_at) FROM workers WHERE "
                             "role = 'mta' AND NOT dead")
        for _ in range(2):
            wait_until("both have beaten", lambda: self.pg.value(
                "SELECT count(*) FROM workers WHERE role = 'mta' AND NOT dead "
                "AND seen_at > '%s'" % then) == "2", 20)
            then = self.pg.value("SELECT max(seen_at) FROM workers WHERE "
                                 "role = 'mta' AND NOT dead")


class Stopped(HandoverTest):
    """
    Two nodes, one source; the owner is stopped until it counts as dead, and
    with it its master, which would kill it long before.
    """

    options = {"sink": True, "haste": 5,
               "shaping": "[default]\nsite_connections = 1\n"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.add_node()

    def test_one_that_wakes_up_sends_nothing_more(self):
        """
        One mail stands before its dot, others behind it. When the process
        goes on it may end that transaction, whose claim is its own; the
        others are not its any more.
        """
        addresses = ["stop%d@sink.zz" % n for n in range(12)]
        gate = self.gate(self.sink.on_rcpt, addresses[0], "250 2.1.5 ok")
        begun = len(self.sink.mails)
        idents = [self.mail(addresses[0], "stopped")]
        self.assertTrue(gate.reached.wait(20))
        idents += [self.mail(a, "stopped") for a in addresses[1:]]
        pid, = self.verpost.processes("mta")
        old = self.worker_of(pid)
        wait_until("it holds them", lambda: self.pg.value(
            "SELECT count(*) FROM attempts WHERE worker = %s "
            "AND outcome IS NULL" % old) >= "2")
        master = self.verpost.process.pid
        os.kill(master, signal.SIGSTOP)
        os.kill(pid, signal.SIGSTOP)
        gate.open()
        wait_until("it is declared dead", lambda: self.pg.value(
            "SELECT dead FROM workers WHERE id = %s" % old) == "t", 60)
        wait_until("the other node has the source", lambda: self.owner_of(
            self.world.net + ".20") not in (None, "", old), 30)
        os.kill(pid, signal.SIGCONT)
        os.kill(master, signal.SIGCONT)
        wait_until("it ended", lambda: pid not in
                   self.verpost.processes("mta"), 20)
        wait_until("its successor is there", lambda: self.pg.value(
            "SELECT count(*) FROM workers WHERE node = 'node1' AND "
            "role = 'mta' AND NOT dead") == "1")
        # What it had claimed waits for the end of a claim at the longest.
        self.verpost.clock.advance(CLAIM_S + 60)
        for ident in idents:
            self.api.wait_event(ident, "delivered", 40)
        self.assertEqual([self.sent(a) for a in addresses[1:]],
                         [1] * (len(addresses) - 1))
        # Its dot may have left, and the end have come before the reply.
        unknown = int(self.verpost.mail_sql(
            "SELECT count(*) FROM attempts WHERE outcome = 5 "
            "AND recipient %s", idents[0]))
        self.assertEqual(self.sent(addresses[0]), 1 + unknown)
        link = self.sink.mails[begun]
        self.assertEqual(self.sink.mails[begun:].count(link), 1,
                         "the stopped process began another transaction")


class StoppedAlone(HandoverTest):
    """Only the owner is stopped: its master is there, and ends it."""

    options = {"haste": 5, "shaping": "[default]\nsite_connections = 2\n"
                                      "site_connection_rate = none\n"}

    def setUp(self):
        self.verpost = self.world.verpost
        self.pg = self.verpost.pg
        self.world.add_node()
        # As long as it keeps its replies its connections are in use.
        self.counter = Counter(self.world.net + ".51", MX_PORT, 3600)
        self.addCleanup(self.counter.stop)
        self.world.dns.add("count IN MX 10 mx.count",
                           "mx.count IN A %s.51" % self.world.net)

    def test_its_connections_end_before_others_begin(self):
        first = ["first%d@count.zz" % n for n in range(2)]
        for address in first:
            self.mail(address, "held")
        wait_until("both are in use", lambda: self.counter.total() == 2)
        pid, = self.verpost.processes("mta")
        old = self.worker_of(pid)
        os.kill(pid, signal.SIGSTOP)
        self.counter.delay = 0
        more = ["more%d@count.zz" % n for n in range(6)]
        idents = [self.mail(address, "more") for address in more]
        for ident in idents:
            self.api.wait_event(ident, "delivered", 40)
        self.assertNotIn(self.owner_of(self.world.net + ".20"), (None, old))
        self.assertIn("child.stuck", self.verpost.process.log())
        self.assertEqual(max(self.counter.most_open.values()), 2)


if __name__ == "__main__":
    runner.main()
