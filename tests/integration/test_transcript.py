"""
What is said on the wire: kept with each attempt, and shown live by "verpost
trace".
"""

import json
import os
import re
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.peer import ENVELOPE, HELLO, TAKE, Peer  # noqa: E402
from harness.procs import (Process, directory, run, wait_until,  # noqa: E402
                           write)
from harness.storage import Redis  # noqa: E402
from harness.verpost import PROGRAM, Api  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402


class Transcripts(WorldTest):
    options = {"sink": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hosts = 100

    def host(self, name, *script, preference=10):
        type(self).hosts += 1
        address = "%s.%d" % (self.world.net, self.hosts)
        self.world.dns.add("mx%d.%s IN A %s" % (preference, name, address),
                           "%s IN MX %d mx%d.%s" % (
                               name, preference, preference, name))
        peer = Peer(address, MX_PORT, *script)
        self.addCleanup(peer.stop)
        return "mx%d.%s.zz[%s:%d]" % (preference, name, address, MX_PORT)

    def attempts(self, ident):
        answer = self.api.request("GET", "/emails/%s/attempts" % ident)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json["object"], "list")
        return answer.json["data"]

    def said(self, ident, number=1):
        return self.attempts(ident)[number - 1]["transcript"]

    def test_every_line_of_an_attempt_is_kept(self):
        host = self.host("plain", HELLO + TAKE + [
            b"250-2.0.0 taken\r\n250 2.0.0 as 7\r\n", "QUIT"])
        ident = self.mail("user@plain.zz", "s", text="hello")
        self.api.wait_event(ident, "delivered")
        said = self.said(ident)
        self.assertRegex(
            said, r"\A\* " + re.escape(host) + "\n"
            "< 220 peer ESMTP\n> EHLO out.sender.zz\n< 250-peer\n"
            "< 250 SIZE 10000000\n"
            r"> MAIL FROM:<b-[a-z2-7]{44}@bounces.sender.zz> SIZE=\d+"
            "\n< 250 2.1.0 ok\n> RCPT TO:<user@plain.zz>\n< 250 2.1.5 ok\n"
            "> DATA\n< 354 go on\n"
            r"> <\d{3,4} octets>" "\n> .\n< 250-2.0.0 taken\n"
            r"< 250 2.0.0 as 7\n\Z")
        self.assertNotIn("hello", said)
        first = self.attempts(ident)[0]
        self.assertEqual(first["outcome"], "delivered")
        self.assertEqual(first["stage"], "end of data")
        self.assertEqual(first["address"], "user@plain.zz")
        self.assertEqual(first["number"], 1)
        self.assertIsNone(first["class"])

    def test_mails_of_one_connection_have_each_their_own(self):
        gate = threading.Event()
        self.sink.on_dot["one@sink.zz"] = lambda _: (
            gate.wait(20) and "250 2.0.0 first")
        idents = [self.mail("%s@sink.zz" % name, "s")
                  for name in ("one", "two", "three")]
        self.sink.on_rcpt["two@sink.zz"] = "550 5.1.1 nobody"
        gate.set()
        for ident, name in zip(idents, ("one", "two", "three")):
            self.api.wait_event(
                ident, "bounced" if name == "two" else "delivered")
            said = self.said(ident)
            self.assertEqual(said.count("MAIL FROM"), 1, said)
            self.assertEqual(said.count("RCPT TO"), 1, said)
            self.assertIn("> RCPT TO:<%s@sink.zz>" % name, said)
            self.assertIn("< 220 sink ESMTP\n> EHLO", said)

    def test_what_a_host_says_is_harmless_and_bounded(self):
        self.host("rude", HELLO + ENVELOPE[:3] + [
            b"450-caf\xc3\xa9 \x1b[31m \\ \xff\r\n"]
            + [b"450-" + b"x" * 400 + b"\r\n"] * 50 + [b"450 end\r\n"])
        ident = self.mail("user@rude.zz", "s")
        self.api.wait_event(ident, "delivery_delayed")
        said = self.said(ident)
        self.assertIn("< 450-caf\\xc3\\xa9 \\x1b[31m \\x5c \\xff\n", said)
        self.assertIn("octets more]", said)
        self.assertIn("octets left out]", said)
        self.assertLess(len(said), 4200)
        self.assertTrue(said.endswith("< 450 end\n"), said)

    def test_a_host_that_cannot_be_talked_to_has_one_too(self):
        first = self.host("trouble", [b"554 5.7.1 go away\r\n"])
        second = self.host("trouble", [], preference=20)
        ident = self.mail("user@trouble.zz", "s")
        self.api.wait_event(ident, "delivery_delayed")
        self.assertEqual(
            self.said(ident), "* %s\n< 554 5.7.1 go away\n* %s\n"
            "* the host closed the connection\n" % (first, second))

    def test_a_lost_link_is_noted(self):
        self.host("lost", HELLO + TAKE)
        ident = self.mail("user@lost.zz", "s")
        self.api.wait_event(ident, "delivery_delayed")
        self.assertTrue(self.said(ident).endswith(
            " octets>\n> .\n* the host closed the connection\n"))

    def test_each_attempt_and_each_recipient_has_its_own(self):
        self.sink.on_rcpt["again@sink.zz"] = "451 4.3.0 not now"
        ident = self.mail(["again@sink.zz", "other@sink.zz"], "s")
        wait_until("one has two attempts", lambda: sum(
            a["address"] == "again@sink.zz" and a["outcome"] is not None
            for a in self.attempts(ident)) >= 2, 30)
        del self.sink.on_rcpt["again@sink.zz"]
        self.api.wait_event(ident, "delivered", 40)
        email = self.api.email(ident)
        by_rcpt = {r["address"]: r["id"] for r in email["recipients"]}
        one = self.attempts(by_rcpt["again@sink.zz"])
        self.assertEqual([a["number"] for a in one],
                         list(range(1, len(one) + 1)))
        self.assertEqual(one[0]["class"], "other")
        self.assertEqual(len(self.attempts(by_rcpt["other@sink.zz"])), 1)
        self.assertEqual(len(self.attempts(ident)), len(one) + 1)

    def test_strangers_see_nothing(self):
        ident = self.mail("mine@sink.zz", "s")
        run([PROGRAM, "account", "add", "-c", self.world.verpost.config,
             "other"], env=self.world.verpost.env)
        key = self.world.verpost.command_json(
            "key add", "theirs", "--account", "other")["key"]
        other = Api(*self.world.verpost.http, key)
        for path in (ident, "01890000-0000-7000-8000-000000000080"):
            answer = other.request("GET", "/emails/%s/attempts" % path)
            self.assertEqual(answer.status, 404, answer)
        self.assertEqual(self.api.request(
            "GET", "/emails/nonsense/attempts").status, 422)

    @property
    def sink(self):
        return self.world.sink


class Trace(WorldTest):
    options = {"sink": True}

    def trace(self, target, *more):
        """A running trace, of which all mta processes know."""
        log = "%s/trace.%s.%s" % (self.world.base, target, self.id())
        process = Process("trace", [
            PROGRAM, "trace", "-c", self.world.verpost.config, target, *more],
            log, env=self.world.verpost.env)
        self.addCleanup(process.kill)
        return process

    def until_seen(self, process, text):
        """Mails until the trace shows them: a question takes its time."""
        def look():
            self.api.wait_event(self.mail("seen@sink.zz", "s"), "delivered")
            return process.must_run() and text in process.log()

        wait_until("%s is traced" % text, look, 20, 0.2)

    def test_what_is_said_to_a_domain_a_host_or_a_site_is_shown(self):
        for target in ("sink.zz", "mx.sink.zz"):
            with self.subTest(target):
                process = self.trace(target)
                self.until_seen(process, "> RCPT TO:<seen@sink.zz>")
                lines = process.log().splitlines()
                self.assertTrue(lines)
                for line in lines:
                    self.assertRegex(
                        line, r"\A\d\d:\d\d:\d\d\.\d{3} \S+/0 mx\.sink\.zz"
                        r"\[[0-9.]+:10025\] #\d+ [<>*] ")
                self.assertIn(" octets>", process.log())
                self.assertNotIn("this is a test", process.log())
                self.assertNotIn("Subject", process.log())

    def test_each_line_can_be_an_object(self):
        process = self.trace("sink.zz", "--json")
        self.until_seen(process, "RCPT TO:<seen@sink.zz>")
        said = [json.loads(line) for line in process.log().splitlines()[:-1]]
        line = next(s for s in said if s["text"].startswith("RCPT TO"))
        self.assertEqual(
            [line[k] for k in ("process", "who", "text")],
            ["node1/0", ">", "RCPT TO:<seen@sink.zz>"])
        self.assertRegex(line["host"], r"\Amx\.sink\.zz\[")
        self.assertRegex(line["connection"], r"\A#\d+\Z")

    def test_what_is_said_to_others_is_not_shown(self):
        self.world.dns.add("quiet IN MX 10 mx.quiet",
                           "mx.quiet IN A %s.31" % self.world.net)
        quiet, loud = self.trace("quiet.zz"), self.trace("sink.zz")
        self.until_seen(loud, "seen@sink.zz")
        ident = self.mail("one@quiet.zz", "s")
        self.api.wait_event(ident, "delivered")
        wait_until("it is shown", lambda: "one@quiet.zz" in quiet.log())
        self.assertNotIn("seen@sink.zz", quiet.log())
        self.assertNotIn("one@quiet.zz", loud.log())

    def test_it_ends_by_itself_and_leaves_nothing_behind(self):
        process = self.trace("sink.zz", "--for", "1s")
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(self.world.redis.command("KEYS", "*trace*"), "")

    def test_that_nobody_listens_is_said_once(self):
        redis = Redis(directory(self.world.base + "/beside"))
        self.addCleanup(redis.stop)
        path = write(self.world.base + "/beside.conf", "".join(
            "%s = %s\n" % item for item in dict(
                self.world.verpost.settings,
                redis="unix:" + redis.path).items()))
        _, _, errors = self.world.verpost.command(
            "trace", "-c", path, "sink.zz", "--for", "3s")
        self.assertEqual(errors.count("no mta process listens"), 1, errors)

    def test_nonsense_is_refused(self):
        for operands in (["not a domain"], ["sink.zz", "--for", "never"],
                         ["sink.zz", "--for", "2d"]):
            status, _, errors = self.world.verpost.command(
                "trace", *operands, check=False)
            self.assertNotEqual(status, 0)
            self.assertIn("verpost", errors)

    def test_nobody_can_ask_for_more_than_a_few(self):
        """Who can publish may say anything: bounded, and no crash."""
        redis = self.world.redis
        for n in range(30):
            redis.command("PUBLISH", "trace.ask",
                          "%016d sink.zz" % n)
        for odd in ("", " ", "x", "a b", "A" * 16 + " x.zz", "a" * 16 + " ",
                    "a" * 16 + " " + "x" * 300, "a" * 5000,
                    "0123456789abcdef \n\x01"):
            redis.command("PUBLISH", "trace.ask", odd)
        ident = self.mail("still@sink.zz", "s")
        self.api.wait_event(ident, "delivered")


if __name__ == "__main__":
    runner.main()
