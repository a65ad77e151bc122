"""
What a hostile client, sender of bounces, or neighbour tries. Each case says
what must come of it; afterwards every process must be the one it was.
"""

import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner, verpost  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

# What ends a line somewhere, or turns it around on a screen.
ODD = ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028",
       "\u2029", "\ufeff", "\u202e", "\U0001f600"]

# The fields that a message of ours may have.
OURS = {"from", "to", "cc", "reply-to", "subject", "date", "message-id",
        "mime-version", "content-type", "content-transfer-encoding",
        "dkim-signature", "x-verpost-ref", "x-a", "in-reply-to"}

# Ends of a message to one server or another, but not by RFC 5321.
ENDS = [b"\r\n.\n", b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\r",
        b"\r\n.\r\r\n", b"\n.\r", b"\r.\r"]

SIZE = 1900000


def fields_with(odd):
    evil = "a" + odd + "Bcc: v@sink.zz"
    return [
        {"subject": evil},
        {"from": evil + " <hello@sender.zz>"},
        {"from": '"' + evil + '" <hello@sender.zz>'},
        {"cc": "x" + odd + "y <cc@sink.zz>"},
        {"reply_to": "x" + odd + "y <r@x.zz>"},
        {"headers": {"X-A": evil}},
        {"headers": {"X-A" + odd + "Bcc": "v@sink.zz"}},
        {"headers": {"In-Reply-To": "<a" + odd + "b@c.zz>"}},
        {"attachments": [{"filename": "a" + odd + "b", "content": "YQ=="}]},
        {"attachments": [{"filename": "a", "content": "YQ==",
                          "content_type": "text/plain; x=y" + odd + "X: y"}]},
        {"attachments": [{"filename": "a", "content": "YQ==",
                          "content_id": "a" + odd + "b"}]},
        {"text": "a" + odd + ".\r\n.\n" + odd + "QUIT\r\n"},
        {"html": "<p>a" + odd + ".\r\n.\n" + odd + "QUIT\r\n"},
    ]


def fill(head, again):
    return (head + again * (SIZE // len(again))).encode()


STATUS = (
    "Subject: failed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report;"
    " report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry\r\n"
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.sink.zz\r\n\r\nFinal-Recipient: rfc822; x@y.zz"
    "\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n")
MIXED = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

# Mail that is work without end to a parser that goes down its stack, or
# looks at everything again for each line.
BOMBS = [
    fill("To: ", "g:"),
    fill("To: x\r\n", " g:((\r\n"),
    fill("From: ", "(("),
    fill("Subject: x\r\n", " y\r\n"),
    fill("Subject: ", "=?utf-8?q?=FF=FE?= "),
    fill("", "X: y\r\n"),
    fill(MIXED, "--b\r\n\r\n"),
    fill(MIXED, "--b\r\n" + MIXED),
    fill("", "Content-Type: message/rfc822\r\n\r\n"),
    fill("Content-Type: multipart/report; ", "a*1*=%41; "),
    fill(STATUS[:-2] + "X: ", "y"),
    "".join("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
            % (n, n) for n in range(20000)).encode(),
]


class Attack(WorldTest):
    options = {"sink": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        verpost.run([verpost.PROGRAM, "account", "add", "-c",
                     cls.world.verpost.config, "other"],
                    env=cls.world.verpost.env)
        key = cls.world.verpost.command_json(
            "key add", "theirs", "--account", "other")["key"]
        cls.other = verpost.Api(*cls.world.verpost.http, key)

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost
        wait_until("all roles have their names", lambda: all(
            ": " in title for title in self.verpost.processes().values()))
        self.before = self.verpost.processes()

    def tearDown(self):
        self.assertEqual(self.verpost.processes(), self.before)

    def token(self, name):
        """A delivered mail; (its id, its return path)."""
        ident = self.mail(name + "@sink.zz", "s")
        taken = self.sink.wait_for(name + "@sink.zz")[0]
        self.api.wait_event(ident, "delivered")
        return ident, taken.mail_from.encode()

    def talk(self, rcpt, data, mail_from=b""):
        """Hands over one mail and more; what the server said, as lines."""
        got = b""
        with socket.create_connection(self.verpost.smtp_in) as link:
            link.settimeout(20)
            try:
                link.sendall(b"EHLO x\r\nMAIL FROM:<" + mail_from
                             + b">\r\nRCPT TO:<" + rcpt + b">\r\nDATA\r\n"
                             + data)
                while True:
                    more = link.recv(65536)
                    if not more:
                        break
                    got += more
            except OSError:
                pass  # cut off for what was sent
        return got.split(b"\r\n")

    def bounce(self, rcpt, raw, mail_from=b""):
        said = self.talk(rcpt, raw + b"\r\n.\r\nQUIT\r\n", mail_from)
        self.assertIn(b"250 2.0.0 Ok", said)

    def returns(self, condition="true"):
        return int(self.verpost.pg.value(
            "SELECT count(*) FROM returns WHERE " + condition))

    def check_message(self, raw):
        head = raw.split(b"\r\n\r\n")[0]
        self.assertNotRegex(raw, rb"\r(?!\n)|(?<!\r)\n|\0")
        self.assertLess(max(map(len, raw.split(b"\r\n"))), 999)
        self.assertTrue(raw.isascii())
        self.assertNotRegex(head, rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
        for line in re.sub(rb"\r\n[ \t]", b" ", head).split(b"\r\n"):
            self.assertIn(line.split(b":")[0].decode().lower(), OURS)

    def test_no_field_injects_a_line(self):
        wanted = []
        for n, odd in enumerate(ODD):
            for m, change in enumerate(fields_with(odd)):
                body = {"from": "hello@sender.zz", "subject": "s",
                        "to": "i%d.%d@sink.zz" % (n, m), "text": "t"}
                body.update(change)
                answer = self.api.request("POST", "/emails", body)
                with self.subTest(change):
                    self.assertIn(answer.status, (200, 400, 422))
                if answer.status == 200:
                    wanted.append((body["to"], change))
        # Letters of some script are no line ends: those went through.
        self.assertGreater(len(wanted), 40)
        for to, change in wanted:
            with self.subTest(change):
                self.check_message(self.sink.wait_for(to)[0].raw)
        self.assertEqual(self.sink.for_rcpt("v@sink.zz"), [])

    def test_a_header_beyond_ascii_needs_smtputf8(self):
        for n, change in enumerate((
                {"from": "h\u00fc@sender.zz"}, {"reply_to": "h\u00fc@x.zz"},
                {"cc": "h\u00fc@sink.zz"})):
            to = "utf%d@sink.zz" % n
            email = self.api.wait_event(
                self.mail(to, "s", **change), "failed")
            self.assertEqual(email["recipients"][0]["reason"], "content")
            self.assertEqual(self.sink.for_rcpt(to), [])

    def test_nobody_sees_or_touches_what_another_account_has(self):
        ident = self.mail("mine@sink.zz", "s")
        hook = self.api.request("POST", "/webhooks", {
            "endpoint": self.world.receiver.url,
            "events": ["email.failed"]}).json["id"]
        block = self.api.request("POST", "/suppressions", {
            "email": "block@sink.zz"}).json["id"]
        domain = self.api.request("GET", "/domains").json["data"][0]["id"]
        for method, path in [
                ("GET", "/emails/" + ident), ("GET", "/webhooks/" + hook),
                ("PATCH", "/webhooks/" + hook),
                ("DELETE", "/webhooks/" + hook),
                ("GET", "/suppressions/" + block),
                ("GET", "/suppressions/block@sink.zz"),
                ("DELETE", "/suppressions/" + block),
                ("DELETE", "/suppressions/block@sink.zz"),
                ("GET", "/domains/" + domain)]:
            with self.subTest(method + " " + path):
                body = {"endpoint": "http://evil.zz/"} \
                    if method == "PATCH" else None
                answer = self.other.request(method, path, body)
                self.assertEqual(answer.status, 404, answer)
        for path in ("/emails", "/emails?after=" + ident,
                     "/emails?before=" + ident, "/webhooks",
                     "/suppressions", "/domains"):
            with self.subTest(path):
                self.assertEqual(
                    self.other.request("GET", path).json["data"], [])
        answer = self.other.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "x@sink.zz", "subject": "s",
            "text": "t"})
        self.assertEqual(answer.status, 403)
        for path in ("/webhooks/" + hook, "/suppressions/" + block):
            self.assertEqual(self.api.request("GET", path).status, 200)

    def test_no_second_message_hides_in_a_first(self):
        _, rcpt = self.token("smuggle")
        for end in ENDS:
            with self.subTest(end):
                before = self.returns()
                said = self.talk(
                    rcpt, b"Subject: 1\r\n\r\nx" + end + b"MAIL FROM:<>\r\n"
                    b"RCPT TO:<" + rcpt + b">\r\nDATA\r\nSubject: 2\r\n\r\n"
                    b"y\r\n.\r\nQUIT\r\n")
                self.assertTrue(any(line[:3] == b"521" for line in said),
                                said)
                self.assertEqual(self.returns(), before)

    def test_pipelined_mails_are_all_taken(self):
        _, rcpt = self.token("pipe")
        before = self.returns()
        again = (b"MAIL FROM:<>\r\nRCPT TO:<" + rcpt
                 + b">\r\nDATA\r\nx: y\r\n.\r\n")
        said = self.talk(rcpt, b"x: y\r\n.\r\n" + again * 99 + b"QUIT\r\n")
        self.assertEqual(said.count(b"250 2.0.0 Ok"), 100)
        self.assertEqual(self.returns(), before + 100)

    def test_a_bounce_from_no_address_is_read(self):
        ident, rcpt = self.token("daemon")
        self.bounce(rcpt.upper(), STATUS.encode() + b"--b--",
                    b"MAILER-DAEMON")
        self.api.wait_event(ident, "bounced")
        self.assertEqual(
            self.returns("mail_from = 'MAILER-DAEMON'"), 1)

    def test_bombs_harm_neither_the_parser_nor_what_comes_after(self):
        _, rcpt = self.token("bomb")
        ident, last = self.token("after")
        for bomb in BOMBS:
            self.bounce(rcpt, bomb)
        self.bounce(last, STATUS.encode() + b"--b--")
        self.api.wait_event(ident, "bounced", 60)
        wait_until("all are read", lambda: self.returns(
            "processed_at IS NULL") == 0, 60)
        self.assertEqual(self.returns("detail = 'parser failed'"), 0)

    def test_an_address_does_not_speak_to_the_terminal(self):
        """U+009B begins an escape sequence, as ESC [ does."""
        address = "x\u009b31m\u0085y@sink.zz"
        ident = self.mail(address, "s")
        self.api.wait_event(ident, "failed")  # the sink has no SMTPUTF8
        _, shown, _ = self.verpost.command("queue show", ident)
        self.assertIn(" x?31m?y@sink.zz ", shown)
        _, shown, _ = self.verpost.command("queue show", "--json", ident)
        self.assertIn("x\\u009b31m\\u0085y@", shown)
        self.assertEqual(json.loads(shown)["recipients"][0]["address"],
                         address)
        answer = self.api.request("GET", "/emails/" + ident)
        self.assertNotIn("\u009b", answer.raw.decode())
        self.assertEqual(answer.json["to"], [address])


if __name__ == "__main__":
    runner.main()
