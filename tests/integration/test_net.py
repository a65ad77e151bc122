"""net/ against real servers: nsd behind unbound, Python's HTTP(S) server, and
name servers that misbehave as only a script can."""

import http.server
import os
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import procs, runner  # noqa: E402
from harness.names import Dns  # noqa: E402
from harness.verpost import BUILD  # noqa: E402

PROBE = os.path.join(BUILD, "tests/integration/net_probe")


class Probe:
    """Talks with net_probe in lines."""

    def __init__(self, *args):
        self.popen = subprocess.Popen(
            [PROBE, *map(str, args)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)

    def say(self, *lines):
        self.popen.stdin.write("".join(line + "\n" for line in lines))
        self.popen.stdin.flush()

    def hear(self):
        line = self.popen.stdout.readline()
        if not line:
            raise procs.Failed("net_probe ended: %s" % self.popen.wait())
        return line.rstrip("\n")

    def ask(self, line):
        self.say(line)
        return self.hear()

    def close(self):
        self.popen.stdin.close()
        self.popen.stdout.close()
        status = self.popen.wait(20)
        if status != 0:
            raise procs.Failed("net_probe ended with %d" % status)


class Answer:
    def __init__(self, line):
        words = line.split(" ", 5)
        assert words[0] == "answer", line
        self.name, self.result, self.trust, self.ttl = words[1:5]
        self.ttl = int(self.ttl)
        rest = words[5] if len(words) > 5 else ""
        self.records = [r for r in rest.split(",") if r]
        self.why = rest


@unittest.skipUnless(os.path.exists("/usr/sbin/nsd"),
                     "apt-get install nsd")
@unittest.skipUnless(os.path.exists("/usr/sbin/unbound"),
                     "apt-get install unbound")
class RealServers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = procs.subnet()
        cls.dns = Dns(procs.scratch(), cls.net)
        many = ["many IN MX %d m%d.many" % (i % 500 + 1, i)
                for i in range(2000)]
        cls.dns.set([
            "mail IN MX 20 mx2.mail", "mail IN MX 10 MX1.mail",
            "mx1.mail IN A 192.0.2.1", "mx1.mail IN AAAA 2001:db8::1",
            "null IN MX 0 .",
            "only IN A 192.0.2.3",
            "alias IN CNAME mail",
            "spf IN TXT \"v=spf1 \" \"-all\"",
            "broken IN NS ns.broken", "ns.broken IN A %s.99" % cls.net,
        ] + many)
        cls.probe = Probe("dns", cls.dns.address, 5000)

    @classmethod
    def tearDownClass(cls):
        cls.probe.close()
        cls.dns.unbound.stop()
        cls.dns.nsd.stop()

    def ask(self, kind, name):
        return Answer(self.probe.ask("ask %s %s" % (kind, name)))

    def test_mx_come_in_order_and_in_lower_case(self):
        got = self.ask("MX", "Mail.zz")
        self.assertEqual(got.result, "ok")
        self.assertEqual(got.records, ["10:mx1.mail.zz.", "20:mx2.mail.zz."])

    def test_a_null_mx_is_the_root(self):
        self.assertEqual(self.ask("MX", "null.zz").records, ["0:."])

    def test_a_name_with_an_address_only_has_no_mx(self):
        self.assertEqual(self.ask("MX", "only.zz").result, "nodata")
        self.assertEqual(self.ask("A", "only.zz").records, ["192.0.2.3"])

    def test_both_families(self):
        self.assertEqual(self.ask("A", "mx1.mail.zz").records, ["192.0.2.1"])
        self.assertEqual(self.ask("AAAA", "mx1.mail.zz").records,
                         ["2001:db8::1"])

    def test_an_alias_leads_on(self):
        self.assertEqual(len(self.ask("MX", "alias.zz").records), 2)

    def test_texts_are_joined(self):
        self.assertEqual(self.ask("TXT", "spf.zz").records, ["v=spf1 -all"])

    def test_what_is_not_there_is_final(self):
        self.assertEqual(self.ask("MX", "nobody.zz").result, "nxdomain")

    def test_a_broken_delegation_is_for_later(self):
        # Servers that are not there: unbound goes on trying.
        self.assertEqual(self.ask("MX", "x.broken.zz").result, "failed")
        # One that does not know the zone: unbound says SERVFAIL.
        got = self.ask("MX", "x.lame")
        self.assertEqual(got.result, "failed")
        self.assertIn("SERVFAIL", got.why)

    def test_very_many_records_come_over_tcp_and_are_cut(self):
        got = self.ask("MX", "many.zz")
        self.assertEqual(got.result, "ok")
        self.assertEqual(len(got.records), 64)
        self.assertTrue(got.records[0].startswith("1:"), got.records[0])

    def test_no_domain_names(self):
        for name in ("a..b", "a\\000b.zz", "x" * 64 + ".zz", "h\xe4.zz"):
            got = Answer(self.probe.ask("ask MX " + name))
            self.assertEqual((got.result, got.why),
                             ("failed", "not a domain name"))


class FakeServer:
    """A name server on UDP and TCP; answer(question) gives the octets of the
    answer, or None to say nothing."""

    def __init__(self, answer):
        self.questions, self.answer = [], answer
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.udp.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                question, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            self.questions.append(question)
            answer = self.answer(question)
            if answer is not None:
                self.udp.sendto(answer, peer)

    def close(self):
        self.udp.close()


def question_end(question):
    at = 12
    while question[at] != 0:
        at += question[at] + 1
    return at + 5


def reply(question, ttl=60, ad=False, rcode=0):
    """One MX 10 mx.x, or none."""
    flags = 0x8180 | (0x20 if ad else 0) | rcode
    count = 1 if rcode == 0 else 0
    head = question[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0)
    body = question[12:question_end(question)]
    if count:
        body += b"\xc0\x0c" + struct.pack(">HHIHH", 15, 1, ttl, 8, 10) \
            + b"\x02mx\x01x\x00"
    return head + body


class OddServers(unittest.TestCase):
    def start(self, answer, timeout_ms=15000):
        self.server = FakeServer(answer)
        self.probe = Probe("dns", self.server.address, timeout_ms)
        self.addCleanup(self.server.close)
        self.addCleanup(self.probe.close)

    def test_the_same_question_is_asked_once(self):
        go = threading.Event()

        def answer(question):
            go.wait(10)
            return reply(question)
        self.start(answer)
        self.probe.say(*["ask MX Example.com", "ask MX example.COM"] * 50)
        procs.wait_until("a question", lambda: self.server.questions)
        go.set()
        for _ in range(100):
            got = Answer(self.probe.hear())
            self.assertEqual(got.records, ["10:mx.x."])
        # And from the cache, still without a question.
        Answer(self.probe.ask("ask MX example.com"))
        self.assertEqual(len(self.server.questions), 1)
        # Another type is another question.
        self.probe.ask("ask A example.com")
        self.assertEqual(len(self.server.questions), 2)

    def test_an_answer_holds_as_long_as_its_ttl(self):
        self.start(lambda question: reply(question, ttl=100))
        # Whole seconds, rounded down: one may have begun meanwhile.
        self.assertIn(Answer(self.probe.ask("ask MX a.x")).ttl, (99, 100))
        self.probe.ask("later 40")
        self.assertIn(Answer(self.probe.ask("ask MX a.x")).ttl, (58, 59, 60))
        self.assertEqual(len(self.server.questions), 1)
        self.probe.ask("later 61")
        self.assertIn(Answer(self.probe.ask("ask MX a.x")).ttl, (99, 100))
        self.assertEqual(len(self.server.questions), 2)
        self.probe.ask("flush")
        self.probe.ask("ask MX a.x")
        self.assertEqual(len(self.server.questions), 3)

    def test_silence_ends_in_time(self):
        self.start(lambda question: None, timeout_ms=700)
        began = time.monotonic()
        got = Answer(self.probe.ask("ask MX a.x"))
        self.assertEqual(got.result, "failed")
        self.assertIn("in time", got.why)
        self.assertLess(time.monotonic() - began, 3)
        # Asked again by c-ares meanwhile: a packet may be lost.
        self.assertGreater(len(self.server.questions), 1)

    def test_nobody_there_is_a_failure(self):
        self.start(reply)
        self.server.close()
        probe = Probe("dns", "127.0.0.1:1", 5000)
        self.assertEqual(Answer(probe.ask("ask MX a.x")).result, "failed")
        probe.close()

    def test_the_ad_bit_is_asked_for_and_read(self):
        # As a validating server does: AD only for who understands it.
        self.start(lambda q: reply(q, ad=bool(q[3] & 0x20)))
        self.assertEqual(Answer(self.probe.ask("ask MX a.x")).trust, "secure")
        self.start(lambda q: reply(q, ad=False))
        self.assertEqual(Answer(self.probe.ask("ask MX a.x")).trust, "open")
        # EDNS with 1232 octets.
        self.assertIn(b"\x00\x00\x29\x04\xd0", self.server.questions[0])

    def test_garbage_and_foreign_answers_are_passed_over(self):
        def answer(question):
            if len(self.server.questions) == 1:
                return reply(question)[:20]
            if len(self.server.questions) == 2:
                return b"\xff" * 40
            return reply(question)
        self.start(answer, timeout_ms=3000)
        got = Answer(self.probe.ask("ask MX a.x"))
        self.assertIn(got.result, ("ok", "failed"))
        self.probe.ask("later 10")
        self.probe.ask("ask MX a.x")
        self.assertEqual(Answer(self.probe.ask("ask MX a.x")).result, "ok")

    def test_a_refusal_is_remembered_for_a_moment(self):
        self.start(lambda question: reply(question, rcode=5))
        got = Answer(self.probe.ask("ask MX a.x"))
        self.assertEqual(got.result, "failed")
        self.assertIn("REFUSED", got.why)
        asked = len(self.server.questions)
        self.probe.ask("ask MX a.x")
        self.assertEqual(len(self.server.questions), asked)
        self.probe.ask("later 6")
        self.probe.ask("ask MX a.x")
        self.assertGreater(len(self.server.questions), asked)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.server.seen.append((self.path, dict(self.headers), self.rfile.read(
            int(self.headers.get("Content-Length", 0)))))
        self.server.peers.add(self.client_address)
        if self.path == "/stall":
            self.server.stalled.wait(20)
            self.close_connection = True
            return
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/somewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            self.close_connection = True
            return
        body = b"x" * (1000000 if self.path == "/large" else 2)
        self.send_response(410 if self.path == "/gone" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass  # the large one is cut off by the other side

    def log_message(self, *_):
        pass


class HttpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def serve(certificate=None):
    server = HttpServer(("127.0.0.1", 0), Handler)
    server.seen, server.peers = [], set()
    server.stalled = threading.Event()
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate + ".crt", certificate + ".key")
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Fetching(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = serve()
        cls.url = "http://127.0.0.1:%d" % cls.server.server_address[1]

    def start(self, allowed="127.0.0.0/8", timeout_ms=5000, answer_max=1000,
              ca_file=""):
        probe = Probe("fetch", allowed, timeout_ms, answer_max, ca_file)
        self.addCleanup(probe.close)
        return probe

    def test_a_body_is_posted_whole_over_a_kept_connection(self):
        probe = self.start()
        self.server.seen.clear()
        self.server.peers.clear()
        for _ in range(3):
            self.assertEqual(probe.ask("post %s/ok some body" % self.url),
                             "result 200 none 2 ")
        path, headers, body = self.server.seen[0]
        self.assertEqual((path, body), ("/ok", b"some body"))
        self.assertEqual(headers["X-Probe"], "1")
        self.assertNotIn("Expect", headers)
        self.assertEqual(len(self.server.peers), 1)

    def test_many_at_once(self):
        probe = self.start()
        probe.say(*["post %s/ok x" % self.url] * 100)
        for _ in range(100):
            self.assertEqual(probe.hear(), "result 200 none 2 ")

    def test_statuses_are_told_and_redirects_are_not_followed(self):
        probe = self.start()
        self.server.seen.clear()
        self.assertEqual(probe.ask("post %s/gone x" % self.url),
                         "result 410 none 2 ")
        self.assertEqual(probe.ask("post %s/redirect x" % self.url),
                         "result 302 none 0 ")
        self.assertEqual(len(self.server.seen), 2)

    def test_a_long_answer_is_cut_and_a_short_one_is_no_answer(self):
        probe = self.start()
        self.assertEqual(probe.ask("post %s/large x" % self.url),
                         "result 200 none 1000 ")
        self.assertRegex(probe.ask("post %s/cut x" % self.url),
                         "^result 0 net 2 .")

    def test_silence_ends_in_time_and_holds_up_nobody(self):
        probe = self.start(timeout_ms=600)
        probe.say("post %s/stall x" % self.url, "post %s/ok x" % self.url)
        self.assertEqual(probe.hear(), "result 200 none 2 ")
        self.assertRegex(probe.hear(), "^result 0 timeout 0 ")
        self.server.stalled.set()

    def test_a_cancelled_request_is_silent(self):
        probe = self.start()
        self.assertEqual(probe.ask("cancel %s/ok x" % self.url), "cancelled")
        self.assertEqual(probe.ask("post %s/ok x" % self.url),
                         "result 200 none 2 ")

    def test_the_guard_looks_at_the_address_in_use(self):
        probe = self.start(allowed="")
        self.server.seen.clear()
        port = self.server.server_address[1]
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]",
                     "0.0.0.0", "2130706433", "0x7f.1", "127.1"):
            got = probe.ask("post http://%s:%d/ok x" % (host, port))
            self.assertRegex(got, "^result 0 denied 0 .* is refused: ", host)
        self.assertEqual(self.server.seen, [])

    def test_only_http_and_https(self):
        probe = self.start()
        for url in ("file:///etc/passwd", "gopher://127.0.0.1/", "ftp://x/",
                    "", "http://"):
            got = probe.ask("post %s x" % url)
            self.assertRegex(got, "^result 0 (syntax|net|dns) ", url)

    def test_no_proxy_is_taken_from_the_environment(self):
        os.environ["http_proxy"] = os.environ["ALL_PROXY"] = \
            "http://127.0.0.1:1"
        try:
            probe = self.start()
            self.assertEqual(probe.ask("post %s/ok x" % self.url),
                             "result 200 none 2 ")
        finally:
            del os.environ["http_proxy"], os.environ["ALL_PROXY"]

    def test_nobody_there_and_no_such_name(self):
        probe = self.start()
        self.assertRegex(probe.ask("post http://127.0.0.1:1/ x"),
                         "^result 0 net ")
        self.assertRegex(probe.ask("post http://nobody.invalid/ x"),
                         "^result 0 dns ")


@unittest.skipUnless(shutil.which("openssl"), "apt-get install openssl")
class FetchingSecurely(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stem = os.path.join(procs.scratch(), "server")
        procs.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                   "-subj", "/CN=localhost", "-addext",
                   "subjectAltName=DNS:localhost",
                   "-keyout", cls.stem + ".key", "-out", cls.stem + ".crt"])
        cls.server = serve(cls.stem)
        cls.port = cls.server.server_address[1]

    def post(self, host, ca_file):
        probe = Probe("fetch", "127.0.0.0/8 ::1", 5000, 1000, ca_file)
        try:
            return probe.ask("post https://%s:%d/ok x" % (host, self.port))
        finally:
            probe.close()

    def test_a_certificate_of_a_known_issuer_is_taken(self):
        self.assertEqual(self.post("localhost", self.stem + ".crt"),
                         "result 200 none 2 ")

    def test_an_unknown_issuer_or_another_name_is_not(self):
        self.assertRegex(self.post("localhost", ""), "^result 0 tls ")
        self.assertRegex(self.post("127.0.0.1", self.stem + ".crt"),
                         "^result 0 tls ")


class Idle(unittest.TestCase):
    def test_a_thousand_idle_connections_are_cheap(self):
        address = procs.subnet() + ".1:10025"
        probe = Probe("idle", address, 1000)
        self.assertEqual(probe.hear(), "listening")
        host, port = address.split(":")
        clients = []
        for _ in range(1000):
            client = socket.create_connection((host, int(port)), 5)
            self.assertEqual(client.recv(100), b"220 probe\r\n")
            client.sendall(b"NOOP\r\n")
            self.assertEqual(client.recv(100), b"250 OK\r\n")
            client.sendall(b"half a comm")
            clients.append(client)
        each = float(probe.ask("report").rsplit(" ", 1)[1])
        print("idle connection: %.1f kB" % each)
        self.assertLess(each, 8)
        for client in clients:
            client.close()
        probe.close()


if __name__ == "__main__":
    runner.main(needs_root=False)
