"""
The SMTP engine against mail hosts that misbehave at every step: a clear
outcome, bounded memory, and no other destination disturbed.
"""

import concurrent.futures
import os
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.peer import (ENVELOPE, GOOD, HELLO, PIPELINED, TAKE,  # noqa: E402
                          Peer)
from harness.procs import wait_until  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

RETRY_S = 3600
DELAYED, BOUNCED, DELIVERED = "delivery_delayed", "bounced", "delivered"

# name, what the only host of the domain does, how the email ends, how many
# transmissions it has seen, what must stand in the recipient's last reply.
CASES = [
    ("greeting554", [b"554 5.7.1 go away\r\n"], DELAYED, 0, "go away"),
    ("greeting421", [b"421 4.3.2 busy\r\n"], DELAYED, 0, "busy"),
    ("greetinghttp", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], DELAYED, 0,
     "protocol error"),
    ("greetingclose", [("close",)], DELAYED, 0, "closed"),
    ("greetingflood", [("flood", b"220-still greeting\r\n", 4 << 20)],
     DELAYED, 0, ""),
    ("greetingline", [("flood", b"2" * 65536, 10 << 20)], DELAYED, 0, ""),
    ("greetingnul", [b"220 \0\0\0 peer\r\n", "EHLO", b"250 peer\r\n"]
     + TAKE + [b"250 ok\r\n", "QUIT"], DELIVERED, 1, ""),
    ("greetingcode", [b"999 peer\r\n"], DELAYED, 0, "protocol error"),
    ("unasked", [b"220 peer\r\n250 unasked\r\n250 more\r\n"], DELAYED, 0, ""),
    ("ehlo550", [b"220 peer\r\n", "EHLO", b"550 5.7.1 no\r\n"], DELAYED, 0,
     "no"),
    ("ehlo502", [b"220 peer\r\n", "EHLO", b"502 what\r\n", "HELO",
                 b"250 peer\r\n"] + TAKE + [b"250 ok\r\n", "QUIT"],
     DELIVERED, 1, ""),
    ("ehloclose", [b"220 peer\r\n", "EHLO"], DELAYED, 0, "closed"),
    ("mail451", HELLO + ["MAIL", b"451 4.7.1 later\r\n"], DELAYED, 0,
     "later"),
    ("mail550", HELLO + ["MAIL", b"550 5.1.8 bad sender\r\n"], BOUNCED, 0,
     "bad sender"),
    ("mailclose", HELLO + ["MAIL"], DELAYED, 0, "closed"),
    ("rcpt450", HELLO + ["MAIL", b"250 ok\r\n", "RCPT",
                         b"450 4.2.1 greylisted\r\n"], DELAYED, 0,
     "greylisted"),
    ("rcpt552", HELLO + ["MAIL", b"250 ok\r\n", "RCPT",
                         b"552 5.2.2 full\r\n"], BOUNCED, 0, "full"),
    ("rcptmangled", HELLO + ["MAIL", b"250 ok\r\n", "RCPT",
                             b"25O O for zero\r\n"], DELAYED, 0,
     "protocol error"),
    ("data451", HELLO + ENVELOPE + ["DATA", b"451 4.3.0 not now\r\n"],
     DELAYED, 0, "not now"),
    ("data554", HELLO + ENVELOPE + ["DATA", b"554 5.7.1 policy\r\n"],
     BOUNCED, 0, "policy"),
    ("data250", HELLO + ENVELOPE + ["DATA", b"250 what?\r\n"], DELAYED, 0,
     "protocol error"),
    ("dot451", HELLO + TAKE + [b"451 4.3.0 disk\r\n"], DELAYED, 1, "disk"),
    ("dot554", HELLO + TAKE + [b"554 5.6.0 content\r\n"], BOUNCED, 1,
     "content"),
    ("dot421", HELLO + TAKE + [b"421 4.3.2 leaving\r\n"], DELAYED, 1,
     "leaving"),
    ("dotclose", HELLO + TAKE, DELAYED, 1, "closed"),
    ("dotgarbage", HELLO + TAKE + [b"\0\1\2 what\r\n"], DELAYED, 1,
     "protocol error"),
    ("dotearly", HELLO + TAKE[:-2] + [b"354 go on\r\n250 taken\r\n",
                                      ("body",), b"554 no\r\n"],
     DELAYED, 0, "before the message was sent"),
    # RFC 2920 section 3.1: RCPT was refused, DATA taken all the same.
    ("lonelydot", PIPELINED + ["MAIL", "RCPT", "DATA",
                               b"250 ok\r\n550 5.1.1 nobody\r\n354 go\r\n",
                               ".", b"554 5.5.1 no recipients\r\n"],
     BOUNCED, 0, "nobody"),
    ("pipelined421", PIPELINED + ["MAIL", "RCPT", "DATA",
                                  b"421 4.3.2 closing\r\n"], DELAYED, 0,
     "closing"),
    ("multiline", HELLO + ["MAIL", b"250 ok\r\n", "RCPT",
                           b"550-5.1.8 first\r\n550 5.1.8 second\r\n"],
     BOUNCED, 0, "first second"),
]


def rss_kb(pid):
    with open("/proc/%d/status" % pid) as stream:
        return next(int(line.split()[1]) for line in stream
                    if line.startswith("VmRSS"))


class Engine(WorldTest):
    options = {"sink": True, "settings": {"retry_first": "%ds" % RETRY_S}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world, records, cls.hosts = cls.world, [], 100
        cls.peers = {}
        for name, script, *_ in CASES:
            cls.peers[name] = cls.make(name, records, script)
        cls.peers["refused"] = None
        records.append("mx.refused IN A %s.99" % world.net)
        records.append("refused IN MX 10 mx.refused")
        cls.more_peers(records)
        world.dns.add(*records)

    @classmethod
    def make(cls, name, records, *scripts, tls=None):
        cls.hosts += 1
        address = "%s.%d" % (cls.world.net, cls.hosts)
        records.append("mx.%s IN A %s" % (name, address))
        records.append("%s IN MX 10 mx.%s" % (name, name))
        return Peer(address, MX_PORT, *scripts, tls=tls)

    @classmethod
    def more_peers(cls, records):
        world = cls.world
        cls.first = cls.make("first", records, [b"554 not here\r\n"])
        records.append("first IN MX 20 mx.sink")
        cls.unknown = cls.make("unknown", records, HELLO + TAKE, GOOD)
        cls.nobody = cls.make("nobody", records, HELLO + [
            "MAIL", b"250 ok\r\n", "RCPT", b"550 5.1.1 no such user\r\n"])
        cls.slam = cls.make("slam", records, HELLO + ["MAIL", ("close",)])
        cls.gate = threading.Event()
        cls.few = cls.make(
            "few", records, HELLO + ["MAIL", lambda: cls.gate.wait(30)]
            + [b"250 ok\r\n"] + TAKE[2:] + [b"250 ok\r\n"]
            + (TAKE + [b"250 ok\r\n"]) * 30,
            [b"421 4.7.0 too many connections\r\n"])
        cls.halt_over = threading.Event()
        cls.halt = cls.make("halt", records, HELLO + (
            TAKE + [lambda: cls.halt_over.wait(60), b"250 ok\r\n"]) * 1000)
        cert = world.base + "/peer.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-keyout", cert, "-out", cert + ".crt", "-days", "2", "-subj",
             "/CN=peer.zz"], check=True, stderr=subprocess.DEVNULL)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert + ".crt", cert)
        offer = [b"220 peer\r\n", "EHLO", b"250-peer\r\n250 STARTTLS\r\n",
                 "STARTTLS"]
        cls.tls = cls.make("tls", records, offer + [
            b"220 go\r\n", ("starttls",)] + GOOD[1:], tls=tls)
        cls.tlsbroken = cls.make("tlsbroken", records, offer + [
            b"220 go\r\n", ("close",)], GOOD)
        cls.tlsrefused = cls.make(
            "tlsrefused", records, offer + [b"454 4.7.0 not now\r\n"], GOOD)
        cls.tlsinjected = cls.make("tlsinjected", records, offer + [
            b"220 go\r\n250-injected\r\n250 PIPELINING\r\n"], GOOD)
        records.append("many IN MX 10 mx.sink")
        records += ["many IN MX %d mx%d.refused" % (20 + n, n)
                    for n in range(300)]
        records += ["c%d IN CNAME c%d" % (n, n + 1) for n in range(30)]
        records += ["loop IN CNAME loop2", "loop2 IN CNAME loop",
                    "loopmx IN MX 10 loop"]

    @classmethod
    def tearDownClass(cls):
        for peer in cls.peers.values():
            if peer is not None:
                peer.stop()
        super().tearDownClass()

    def recipient(self, ident):
        return self.api.email(ident)["recipients"][0]

    def test_every_step_has_its_outcome(self):
        sent = [(case, self.mail("user@%s.zz" % case[0], case[0]))
                for case in CASES]
        for (name, _, event, transmissions, text), ident in sent:
            with self.subTest(name):
                self.api.wait_event(ident, event, 60)
                self.assertEqual(
                    len(self.peers[name].transmissions), transmissions)
                self.assertEqual(self.peers[name].errors, [])
                said = str(self.recipient(ident))
                self.assertIn(text, said)

    def test_after_all_that_the_engine_is_small_and_well(self):
        """Runs after the cases (by name): 14 MB of greetings were read."""
        for pid in self.world.verpost.processes("mta"):
            self.assertLess(rss_kb(pid), 80000)
        ident = self.mail("well@sink.zz", "still here")
        self.api.wait_event(ident, DELIVERED)

    def test_the_next_host_takes_what_the_first_does_not(self):
        ident = self.mail("user@first.zz", "s")
        self.api.wait_event(ident, DELIVERED)
        self.assertEqual(len(self.world.sink.for_rcpt("user@first.zz")), 1)
        self.assertGreaterEqual(self.first.connections, 1)

    def test_a_refused_connection_defers(self):
        ident = self.mail("user@refused.zz", "s")
        self.api.wait_event(ident, DELAYED)
        self.assertIn("refused", str(self.recipient(ident)))

    def test_an_unknown_outcome_waits_15_minutes_then_goes_again(self):
        ident = self.mail("user@unknown.zz", "s")
        self.api.wait_event(ident, DELAYED)
        self.world.verpost.clock.advance(14 * 60)
        self.mail_and_wait("before15@sink.zz")
        self.assertEqual(len(self.unknown.transmissions), 1)
        self.world.verpost.clock.advance(2 * 60)
        self.api.wait_event(ident, DELIVERED, 30)
        self.assertEqual(len(self.unknown.transmissions), 2)

    def mail_and_wait(self, to):
        self.api.wait_event(self.mail(to, "s"), DELIVERED)

    def test_a_host_that_slams_the_door_is_left_alone(self):
        """A connection that was of no use makes the destination rest."""
        idents = [self.mail("user%d@slam.zz" % n, "s") for n in range(30)]
        wait_until("one is deferred", lambda: any(
            self.api.email(i)["last_event"] == DELAYED for i in idents))
        time.sleep(2)  # what must not happen cannot be waited for
        self.assertLess(self.slam.connections, 20)

    def test_a_host_that_takes_few_connections_gets_few(self):
        idents = [self.mail("user%d@few.zz" % n, "s") for n in range(12)]
        try:
            self.few.wait_connections(2)
            time.sleep(2)  # as above
            self.assertLess(self.few.connections, 12)
        finally:
            self.gate.set()
        for ident in idents:
            self.api.wait_event(ident, DELIVERED)
        self.assertEqual(len(self.few.transmissions), 12)

    def longest_wait(self):
        """Of the jobs that wait for their time; not of those deferred."""
        redis = self.world.redis
        now = time.time() + self.world.verpost.clock.offset_ms / 1000
        keys = [k for k in redis.command("KEYS", "q:*").split()
                if k.endswith(":t")]
        due = [redis.command(
            "EVAL", "return redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], "
            "0, 'WITHSCORES', 'LIMIT', 0, 1)[2]", "1", key,
            str((now + RETRY_S / 2) * 1000)) for key in keys]
        return max((float(one) / 1000 - now for one in due if one), default=0)

    def test_a_halt_puts_nothing_off_for_longer_than_it_lasts(self):
        """
        Turns are reckoned by what a host did last, and it did nothing; at
        first by the limit of a site, 100 a second.
        """
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            idents = list(pool.map(lambda n: self.mail(
                "user%d@halt.zz" % n, "s"), range(700)))
        try:
            while time.monotonic() < began + 15:
                wait = self.longest_wait()
                self.assertLess(
                    wait, max(time.monotonic() - began, 700 / 100) + 2)
        finally:
            self.halt_over.set()
        for ident in idents:
            self.api.wait_event(ident, DELIVERED, 60)
        self.assertEqual(len(self.halt.transmissions), 700)

    def test_an_unknown_user_is_suppressed_from_then_on(self):
        ident = self.mail("x@nobody.zz", "s")
        self.api.wait_event(ident, BOUNCED)
        answer = self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "X@nobody.zz",
            "subject": "again", "text": "x"})
        self.assertEqual(answer.status, 422, answer)
        self.assertEqual(answer.json["name"], "email_suppressed")
        self.assertEqual(self.nobody.connections, 1)

    def test_tls_is_used_when_offered(self):
        ident = self.mail("user@tls.zz", "s")
        self.api.wait_event(ident, DELIVERED)
        self.assertEqual(len(self.tls.transmissions), 1)
        self.assertEqual(self.tls.connections, 1)
        self.assertEqual(self.world.verpost.mail_sql(
            "SELECT left(tls, 5) FROM attempts WHERE recipient %s", ident),
            "TLSv1")

    def test_tls_that_breaks_is_done_without(self):
        for peer, name in ((self.tlsbroken, "tlsbroken"),
                           (self.tlsrefused, "tlsrefused"),
                           (self.tlsinjected, "tlsinjected")):
            with self.subTest(name):
                ident = self.mail("user@%s.zz" % name, "s")
                self.api.wait_event(ident, DELIVERED)
                self.assertEqual(len(peer.transmissions), 1)
                self.assertEqual(peer.connections, 2)

    def test_a_null_mx_and_no_such_domain_are_final(self):
        for to in ("user@nomail.zz", "user@nosuch.zz"):
            with self.subTest(to):
                ident = self.mail(to, "s")
                email = self.api.wait_event(ident, "failed")
                self.assertEqual(email["recipients"][0]["reason"], "dns")

    def test_three_hundred_hosts_and_cname_loops_hurt_nobody(self):
        idents = [self.mail("user@%s.zz" % name, "s")
                  for name in ("loop", "loopmx", "c0")]
        ident = self.mail("user@many.zz", "s")
        self.api.wait_event(ident, DELIVERED)
        for one in idents:
            wait_until("it ends or is deferred", lambda: self.api.email(one)[
                "last_event"] in (DELAYED, "failed"), 40)

    def test_a_host_on_a_forbidden_address_is_not_connected_to(self):
        self.world.dns.add("private IN MX 10 mx.private",
                           "mx.private IN A 10.1.2.3")
        ident = self.mail("user@private.zz", "s")
        self.api.wait_event(ident, "failed")
        self.assertIn("may not connect", str(self.recipient(ident)))


class BehindADot(WorldTest):
    options = {"sink": True}

    def test_a_mail_does_not_wait_for_the_reply_to_another(self):
        gate = threading.Event()

        def wait_for_gate(_):
            gate.wait(60)
            return "250 2.0.0 taken"

        self.world.sink.on_dot["slow@sink.zz"] = wait_for_gate
        slow = self.mail("slow@sink.zz", "slow")
        wait_until("its dot is out",
                   lambda: self.world.sink.for_rcpt("slow@sink.zz"))
        quick = self.mail("quick@sink.zz", "quick")
        self.api.wait_event(quick, "delivered", 30)
        gate.set()
        self.api.wait_event(slow, "delivered", 30)


if __name__ == "__main__":
    runner.main()
