"""
Mail hosts that want to do harm: replies without an end, octets that are no
SMTP, TLS that is none, DNS answers without measure. Each recipient has a clear
outcome, the process stays small, and mail for others goes as before.
"""

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
from harness.procs import wait_until, write  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

DELAYED, BOUNCED, DELIVERED = "delivery_delayed", "bounced", "delivered"
RSS_KB_MAX = 80000
MB = 1 << 20

GREETING = [b"220 peer\r\n", "EHLO"]
TLS = GREETING + [b"250-peer\r\n250 STARTTLS\r\n", "STARTTLS",
                  b"220 go\r\n"]
LINE = ("flood", b"2" * 65536, 10 * MB)
LINES = ("flood", b"250-more\r\n" * 6000, 10 * MB)


def slowly(octets, pause):
    return [step for octet in octets for step in (
        bytes([octet]), lambda: time.sleep(pause))]


# name, what the host does (a list for each connection), how the email ends,
# how many transmissions the host has seen, what is said of it.
CASES = [
    ("lineehlo", [GREETING + [LINE]], DELAYED, 0, "too long"),
    ("linemail", [HELLO + ["MAIL", LINE]], DELAYED, 0, "too long"),
    ("linercpt", [HELLO + ENVELOPE[:3] + [LINE]], DELAYED, 0, "too long"),
    ("linedata", [HELLO + ENVELOPE + ["DATA", LINE]], DELAYED, 0,
     "too long"),
    ("linedot", [HELLO + TAKE + [LINE]], DELAYED, 1, "too long"),
    ("line10mb", [HELLO + TAKE + [b"250 " + b"x" * (10 * MB) + b"\r\n"]],
     DELAYED, 1, "too long"),
    ("linesehlo", [GREETING + [LINES]], DELAYED, 0, "too "),
    ("linesmail", [HELLO + ["MAIL", LINES]], DELAYED, 0, "too "),
    ("linesdot", [HELLO + TAKE + [LINES]], DELAYED, 1, "too "),
    ("nuls", [[b"220 p\0\r\n", "EHLO", b"250-p\0\0\r\n250 SIZE\0 1\r\n"]
              + ["MAIL", b"250 \0\0\r\n", "RCPT", b"250 \0ok\0\r\n", "DATA",
                 b"354 \0\r\n", ("body",), b"250 \0taken\r\n", "QUIT"]],
     DELIVERED, 1, ""),
    ("nulsonly", [HELLO + ["MAIL", b"\0" * MB + b"\r\n"]], DELAYED, 0,
     ""),
    ("code000", [HELLO + ["MAIL", b"000 ok\r\n"]], DELAYED, 0,
     "protocol error"),
    ("code999", [HELLO + TAKE + [b"999 ok\r\n"]], DELAYED, 1,
     "protocol error"),
    ("code199", [HELLO + ENVELOPE[:3] + [b"199 ok\r\n"]], DELAYED, 0,
     "protocol error"),
    ("mail354", [HELLO + ["MAIL", b"354 go on\r\n"]], DELAYED, 0,
     "protocol error"),
    ("rcpt220", [HELLO + TAKE[:3] + [b"2200 ok\r\n"]], DELAYED, 0,
     "protocol error"),
    ("codesmix", [HELLO + TAKE + [b"250-ok\r\n550 no\r\n"]], DELAYED, 1,
     "protocol error"),
    # All replies of a good delivery before the first command.
    ("ahead", [[b"220 peer\r\n250 peer\r\n250 ok\r\n250 ok\r\n354 go\r\n"
                b"250 taken\r\n", lambda: time.sleep(0.5)]], DELAYED, 0, ""),
    ("aheadpipe", [PIPELINED[:-1] + [
        b"250-peer\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n"
        b"250 taken\r\n", lambda: time.sleep(0.5)]], DELAYED, 0, ""),
    ("slow", [slowly(b"220 p\r\n", 0.1) + ["EHLO"]
              + slowly(b"250 p\r\n", 0.1) + ENVELOPE + ["DATA"]
              + slowly(b"354 g\r\n", 0.1) + [("body",)]
              + slowly(b"250 t\r\n", 0.1) + ["QUIT"]], DELIVERED, 1, ""),
    ("tlsgarbage", [TLS + [lambda: time.sleep(0.1), os.urandom(65536)],
                    GOOD], DELIVERED, 1, ""),
    ("tlsflood", [TLS + [lambda: time.sleep(0.1),
                         ("flood", b"\x16\x03\x03\x40\x00" + b"\0" * 16384,
                          10 * MB)], GOOD], DELIVERED, 1, ""),
    ("tlsplain", [TLS + [lambda: time.sleep(0.1), b"250 ok\r\n" * 1000],
                  GOOD], DELIVERED, 1, ""),
    ("tlsinjected", [TLS[:-1] + [b"220 go\r\n250-peer\r\n250 AUTH\r\n"],
                     GOOD], DELIVERED, 1, ""),
    # No word more: given up after 30 s, and never waited for again.
    ("tlsstall", [TLS + [lambda: time.sleep(35)], GOOD], DELIVERED, 1, ""),
    ("tlsbigcert", [TLS + [("starttls",)] + GOOD[1:], GOOD], DELIVERED, 1,
     ""),
]

# What the DNS says of a domain; how the email ends.
NAMES = [
    ("zero", ["zero IN MX 1 mx.zero", "mx.zero IN A 0.0.0.0"], "failed",
     "may not connect"),
    ("link", ["link IN MX 1 mx.link", "mx.link IN A 169.254.169.254"],
     "failed", "may not connect"),
    # We own no IPv6 source that could reach it.
    ("only6", ["only6 IN MX 1 mx.only6", "mx.only6 IN AAAA ::1"], "failed",
     "that we send from"),
    ("nohost", ['nohost IN TXT "x"'], "failed", "neither MX nor address"),
    ("cnamemx", ["cnamemx IN MX 1 cx", "cx IN CNAME cy", "cy IN CNAME cx"],
     None, ""),
    ("mx2500", ["mx2500 IN MX 1 mx.sink"] + [
        "mx2500 IN MX 9 h%d" % n for n in range(2500)], DELIVERED, ""),
    # More than fits into any answer.
    ("mx10000", ["mx10000 IN MX 1 mx.sink"] + [
        "mx10000 IN MX 9 h%d.mx10000" % n for n in range(10000)], None, ""),
]


class Hostile(WorldTest):
    options = {"sink": True, "settings": {"retry_first": "1h"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        world, records = cls.world, []
        cls.peers, cls.most_rss, cls.over = {}, 0, threading.Event()
        tls = cls.big_certificate()
        dribble = [lambda: cls.over.wait(1), b"2"] * 600
        for name, scripts, *_ in CASES + [("dribble", [dribble])]:
            address = "%s.%d" % (world.net, 101 + len(cls.peers))
            cls.peers[name] = Peer(address, MX_PORT, *scripts, tls=tls)
            records += ["mx.%s IN A %s" % (name, address),
                        "%s IN MX 10 mx.%s" % (name, name)]
        for _, more, *_ in NAMES:
            records += more
        world.dns.add(*records)

    @classmethod
    def big_certificate(cls):
        """Of more than a megabyte, and good otherwise."""
        base = cls.world.base + "/big"
        names = "\n".join("DNS.%d = %s.peer%d.zz" % (n, "x" * 60, n)
                          for n in range(16000))
        write(base + ".cnf", "[req]\ndistinguished_name = dn\nprompt = no\n"
              "x509_extensions = ext\n[dn]\nCN = peer.zz\n[ext]\n"
              "subjectAltName = @names\n[names]\n" + names + "\n")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-config", base + ".cnf", "-keyout", base + ".key", "-out",
             base + ".crt", "-days", "2"], check=True,
            stderr=subprocess.DEVNULL)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(base + ".crt", base + ".key")
        assert os.path.getsize(base + ".crt") > MB
        return tls

    @classmethod
    def tearDownClass(cls):
        cls.over.set()
        for peer in cls.peers.values():
            peer.stop()
        super().tearDownClass()

    def look_at_memory(self):
        for pid in self.world.verpost.processes("mta"):
            with open("/proc/%d/status" % pid) as stream:
                rss = next(int(line.split()[1]) for line in stream
                           if line.startswith("VmHWM"))
            self.assertLess(rss, RSS_KB_MAX)

    def recipient(self, ident):
        return self.api.email(ident)["recipients"][0]

    def test_each_has_its_outcome_and_nobody_else_notices(self):
        mta = self.world.verpost.processes("mta")
        self.mail("user@dribble.zz", "an octet a second, and no end")
        sent = [(case, self.mail("user@%s.zz" % case[0], case[0]))
                for case in CASES]
        for n in range(40):
            began = time.monotonic()
            self.api.wait_event(self.mail("beside%d@sink.zz" % n, "s"),
                                DELIVERED)
            self.assertLess(time.monotonic() - began, 5)
        for (name, _, event, transmissions, text), ident in sent:
            with self.subTest(name):
                self.api.wait_event(ident, event, 60)
                self.assertEqual(
                    len(self.peers[name].transmissions), transmissions)
                self.assertEqual(self.peers[name].errors, [])
                self.assertIn(text, str(self.recipient(ident)))
        self.look_at_memory()
        self.assertEqual(self.world.verpost.processes("mta"), mta)

    def test_names_without_measure_or_to_forbidden_places(self):
        sent = [(case, self.mail("user@%s.zz" % case[0], "s"))
                for case in NAMES]
        self.api.wait_event(self.mail("names@sink.zz", "s"), DELIVERED)
        for (name, _, event, text), ident in sent:
            with self.subTest(name):
                if event is None:
                    wait_until("it ends or is deferred", lambda: self.api.
                               email(ident)["last_event"] in (
                                   DELAYED, DELIVERED, "failed"), 40)
                else:
                    self.api.wait_event(ident, event, 40)
                self.assertIn(text, str(self.recipient(ident)))
        self.look_at_memory()


if __name__ == "__main__":
    runner.main()
