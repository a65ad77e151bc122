"""
Clients that get it wrong, on purpose or not: each is told what to do, nothing
is accepted by half, and the next client is served as before.
"""

import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

GOOD = {"from": "hello@sender.zz", "to": "x@sink.zz", "subject": "s",
        "text": "t"}

# What is changed in GOOD, what may be answered, what the message must name.
# None as a value takes the field away.
FIELDS = [
    ({"from": None}, (422,), "from"),
    ({"to": None}, (422,), "to"),
    ({"subject": None}, (422,), "subject"),
    ({"text": None}, (422,), "text"),
    ({"from": 7}, (400, 422), "from"),
    ({"to": {"a": 1}}, (400, 422), "to"),
    ({"to": []}, (400, 422), "to"),
    ({"to": ["x@sink.zz", 5]}, (400, 422), "to"),
    ({"subject": ["s"]}, (400, 422), "subject"),
    ({"html": True}, (400, 422), "html"),
    ({"headers": []}, (400, 422), "headers"),
    ({"headers": {"X-A": 1}}, (400, 422), "X-A"),
    ({"tags": "no"}, (400, 422), "tags"),
    ({"tags": [{"name": "a b", "value": "v"}]}, (400, 422), "tags"),
    ({"attachments": {}}, (400, 422), "attachments"),
    ({"attachments": [{"filename": "a"}]}, (400, 422), "attachments"),
    ({"attachments": [{"filename": "a", "content": "%%%"}]}, (400, 422),
     "attachments"),
    ({"to": ["u%d@sink.zz" % n for n in range(51)]}, (400, 422), "to"),
    ({"to": ["u%d@sink.zz" % n for n in range(10000)]}, (400, 422), "to"),
    ({"to": "no address"}, (400, 422), "to"),
    ({"to": "a@b@c.zz"}, (400, 422), "to"),
    ({"to": "x@"}, (400, 422), "to"),
    ({"to": "@sink.zz"}, (400, 422), "to"),
    ({"to": "x@-bad-.zz"}, (400, 422), "to"),
    ({"to": "a" * 65 + "@sink.zz"}, (400, 422), "to"),
    ({"cc": "nope"}, (400, 422), "cc"),
    ({"bcc": ["nope"]}, (400, 422), "bcc"),
    ({"reply_to": "nope"}, (400, 422), "reply_to"),
    ({"from": "hello"}, (400, 403, 422), "from"),
    ({"from": "hello@unverified.zz"}, (403,), "unverified.zz"),
    ({"subject": "a\r\nBcc: victim@sink.zz"}, (400, 422), "subject"),
    ({"subject": "a\nX: y"}, (400, 422), "subject"),
    ({"from": "A\r\nBcc: v@sink.zz <hello@sender.zz>"}, (400, 422), "from"),
    ({"from": "hello@sender.zz\r\nBcc: v@sink.zz"}, (400, 422), "from"),
    ({"to": "x@sink.zz\r\nRCPT TO:<v@sink.zz>"}, (400, 422), "to"),
    ({"to": "A\nB <x@sink.zz>"}, (400, 422), "to"),
    ({"reply_to": "x@sink.zz\nX: y"}, (400, 422), "reply_to"),
    ({"headers": {"X-A": "b\r\nBcc: v@sink.zz"}}, (400, 422), "X-A"),
    ({"headers": {"X-A\r\nBcc": "v@sink.zz"}}, (400, 422), "header"),
    ({"headers": {"X A": "b"}}, (400, 422), "header"),
    ({"headers": {"X-A:": "b"}}, (400, 422), "header"),
    ({"tags": [{"name": "a\nb", "value": "v"}]}, (400, 422), "tags"),
    ({"attachments": [{"filename": "a\r\nX: y", "content": "YQ=="}]},
     (400, 422), "filename"),
    ({"attachments": [{"filename": "a", "content": "YQ==",
                       "content_type": "text/plain\r\nX: y"}]},
     (400, 422), "content_type"),
    ({"attachments": [{"filename": "a", "content": "YQ==",
                       "content_id": "a>\r\nX: y"}]}, (400, 422),
     "content_id"),
    ({"subject": "nul \u0000 here"}, (400, 422), ""),
    ({"text": "nul \u0000 here"}, (400, 422), ""),
]

BODIES = [
    b"", b"{", b"[]", b"null", b"5", b"{}", b"[" * 100000,
    b'{"a":' * 5000, b'{"from":"hello@sender.zz"} trailing',
    b"{'from': 1}", b'{"subject": "\xff\xfe"}', b'{"subject": "\\ud800"}',
    b'{"text": "' + b"x" * 1000, b'{"a":1,"a":2}', b"\x00" * 64,
    b'{"from":NaN}',
]


class BadInput(WorldTest):
    options = {"sink": True,
               "settings": {"http_request_time": "3s",
                            "http_body_max": "45M"}}

    def setUp(self):
        self.before = self.count()

    def tearDown(self):
        self.assertEqual(self.count(), self.before, "something was accepted")
        answer = self.api.request("GET", "/emails?limit=1")
        self.assertEqual(answer.status, 200, answer)

    def count(self):
        return self.world.verpost.pg.value("SELECT count(*) FROM emails")

    def check_error(self, answer, statuses, name=None):
        self.assertIn(answer.status, statuses, answer)
        error = answer.json
        self.assertEqual(error["statusCode"], answer.status)
        self.assertTrue(error["name"])
        self.assertTrue(error["message"])
        if name is not None:
            self.assertEqual(error["name"], name)

    def test_fields(self):
        for change, statuses, names in FIELDS:
            body = dict(GOOD)
            for key, value in change.items():
                if value is None:
                    del body[key]
                else:
                    body[key] = value
            with self.subTest(str(change)[:80]):
                answer = self.api.request("POST", "/emails", body)
                self.check_error(answer, statuses)
                self.assertIn(names.lower(), answer.json["message"].lower())
                self.assertLess(len(answer.raw), 4000)

    def test_bodies_that_are_not_an_email(self):
        for body in BODIES:
            with self.subTest(body[:30]):
                answer = self.api.request("POST", "/emails", body)
                self.check_error(answer, (400, 422))

    def test_keys(self):
        key = self.api.key
        cases = [(None, 401, "missing_api_key"),
                 ("re_wrong", 403, "invalid_api_key"),
                 (key[:-1], 403, "invalid_api_key"),
                 (key + "x", 403, "invalid_api_key"),
                 ("", 401, None), ("x" * 5000, None, None)]
        for wrong, status, name in cases:
            with self.subTest(str(wrong)[:20]):
                headers = {"Authorization": "Bearer " + wrong} \
                    if wrong is not None else {}
                self.api.key = None
                try:
                    answer = self.api.request("POST", "/emails", GOOD,
                                              headers)
                finally:
                    self.api.key = key
                self.check_error(answer, (status,) if status
                                 else range(400, 500), name)

    def test_unknown_ids_paths_and_methods(self):
        nobody = "018f2f00-0000-7000-8000-000000000000"
        for method, path, status in [
                ("GET", "/emails/" + nobody, 404),
                ("GET", "/emails/not-an-id", 422),
                ("GET", "/nothing", 404),
                ("GET", "/emails/../../etc/passwd", 404),
                ("GET", "/emails/%2e%2e%2f", None),
                ("GET", "/emails?limit=0", 422),
                ("GET", "/emails?limit=101", 422),
                ("GET", "/emails?limit=x", 422),
                ("GET", "/emails?after=nope", 422),
                ("GET", "/emails?after=%s&before=%s" % (nobody, nobody),
                 None),
                ("PUT", "/emails", 405),
                ("DELETE", "/webhooks/" + nobody, 404)]:
            with self.subTest(method + " " + path):
                answer = self.api.request(method, path)
                self.check_error(answer, (status,) if status
                                 else range(400, 500))

    def test_a_body_of_100_megabytes_is_refused_before_it_is_read(self):
        with socket.create_connection(self.world.verpost.http) as link:
            link.sendall(self.head("Content-Length: 104857600"))
            self.assertEqual(self.status(link), 413)
        with socket.create_connection(self.world.verpost.http) as link:
            link.settimeout(20)
            link.sendall(self.head("Transfer-Encoding: chunked"))
            piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            try:
                for _ in range(1600):
                    link.sendall(piece)
            except OSError:
                pass  # it may stop reading at its limit
            self.assertIn(self.status(link), (413, None))

    def head(self, *lines, method="POST", path="/emails"):
        return ("\r\n".join((
            "%s %s HTTP/1.1" % (method, path), "Host: x", "User-Agent: t",
            "Content-Type: application/json",
            "Authorization: Bearer " + self.api.key) + lines)
            + "\r\n\r\n").encode()

    def status(self, link):
        """The status of the answer; None when there was none."""
        link.settimeout(20)
        got = b""
        try:
            while b"\r\n" not in got:
                more = link.recv(4096)
                if not more:
                    break
                got += more
        except OSError:
            pass
        return int(got.split(b" ")[1]) if got.startswith(b"HTTP/") else None

    def test_odd_framing_is_refused(self):
        body = json.dumps(GOOD).encode()
        size = len(body)
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        key = "Authorization: Bearer " + self.api.key
        cases = [
            (("Content-Length: %d" % size, "Content-Length: %d" % (size - 1)),
             body),
            (("Content-Length: %d, %d" % (size, size),), body),
            (("Content-Length: +%d" % size,), body),
            (("Content-Length: 0x%x" % size,), body),
            (("Content-Length: -1",), body),
            (("Content-Length: 99999999999999999999",), body),
            (("Content-Length : %d" % size,), body),
            (("Content-Length: %d" % size, "Transfer-Encoding: chunked"),
             chunk),
            (("Transfer-Encoding: gzip, chunked",), chunk),
            (("Transfer-Encoding: chunked, chunked",), chunk),
            (("Transfer-Encoding: xchunked",), chunk),
            (("Transfer-Encoding: chunked",),
             b"0x%x\r\n%s\r\n0\r\n\r\n" % (size, body)),
            (("Transfer-Encoding: chunked",),
             b"+%x\r\n%s\r\n0\r\n\r\n" % (size, body)),
            (("Transfer-Encoding: chunked",),
             b"%x\n%s\n0\n\n" % (size, body)),
            (("Transfer-Encoding: chunked",),
             b"fffffffffffffffff\r\n" + body),
            (("Content-Length: %d" % size, "X-Folded: a\r\n b"), body),
            (("Content-Length: %d" % size, "X-Nul: a\0b"), body),
            (("Content-Length: %d" % size, key), body),
        ]
        for lines, sent in cases:
            with self.subTest(str(lines) + str(sent[:12])):
                with socket.create_connection(
                        self.world.verpost.http) as link:
                    link.sendall(self.head(*lines) + sent)
                    self.assertIn(self.status(link), (400, 413, 501, None))

    def test_request_lines_and_heads_that_are_wrong(self):
        good = self.head("Content-Length: 2")
        for raw in [
                b"GET /emails HTTP/1.1\r\n\r\n",          # no Host
                b"GARBAGE\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                good[:-2] + b"X: " + b"a" * 200000 + b"\r\n\r\n",
                good[:-2] + b"A: b\r\n" * 20000 + b"\r\n",
                b"GET /emails%00 HTTP/1.1\r\nHost: x\r\n\r\n"]:
            with self.subTest(raw[:40]):
                with socket.create_connection(
                        self.world.verpost.http) as link:
                    try:
                        link.sendall(raw)
                        link.shutdown(socket.SHUT_WR)
                    except OSError:
                        pass
                    status = self.status(link)
                    self.assertTrue(status is None or status >= 400, status)

    def test_a_slow_drip_is_cut_off(self):
        with socket.create_connection(self.world.verpost.http) as link:
            link.settimeout(0.5)
            link.sendall(self.head("Content-Length: 1000"))
            began = time.monotonic()

            def closed():
                try:
                    link.sendall(b"x")
                    return not link.recv(4096)
                except TimeoutError:
                    return False
                except OSError:
                    return True

            wait_until("the drip is cut", closed, 15, 0)
            self.assertLess(time.monotonic() - began, 12)

    def test_many_silent_connections_do_not_lock_others_out(self):
        links = [socket.create_connection(self.world.verpost.http)
                 for _ in range(300)]
        try:
            self.assertEqual(
                self.api.request("GET", "/emails?limit=1").status, 200)
        finally:
            for link in links:
                link.close()

    def test_the_return_path_port_survives_rubbish(self):
        for raw in [b"\x00" * 5000, b"EHLO x\r\n" * 3000, b"A" * 100000,
                    b"MAIL FROM:<>\r\nDATA\r\n.\r\n",
                    b"EHLO x\r\nMAIL FROM:<\xff\xfe>\r\nQUIT\r\n",
                    b"EHLO x\r\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\n"]:
            with self.subTest(raw[:20]):
                with socket.create_connection(
                        self.world.verpost.smtp_in) as link:
                    link.settimeout(5)
                    try:
                        link.sendall(raw)
                        link.shutdown(socket.SHUT_WR)
                        while link.recv(65536):
                            pass
                    except OSError:
                        pass
        self.assertEqual(self.world.verpost.pg.value(
            "SELECT count(*) FROM returns"), "0")
        with socket.create_connection(self.world.verpost.smtp_in) as link:
            self.assertTrue(link.recv(100).startswith(b"220"))


if __name__ == "__main__":
    runner.main()
