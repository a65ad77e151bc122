"""
What becomes of a recipient whose attempt did not end with a plain yes or no:
why it waits and how long, the next host, claims that get old, delivery at least
once and exactly once.
"""

import datetime
import os
import smtplib
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.peer import ENVELOPE, HELLO, TAKE, Peer  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import MX_PORT, WorldTest  # noqa: E402

# A claim that is older than this is over, whoever made it.
CLAIM_S = 15 * 60

REPORT = (
    "From: MAILER-DAEMON@sink.zz\r\nSubject: report\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status;"
    " boundary=b\r\n\r\n--b\r\n\r\nThis is a report.\r\n--b\r\n"
    "Content-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.sink.zz\r\n\r\n"
    "Final-Recipient: rfc822; %s\r\nAction: %s\r\nStatus: %s\r\n"
    "Diagnostic-Code: smtp; 550 %s said later\r\n\r\n--b--\r\n")


class ExactlyOnce(WorldTest):
    options = {"sink": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.add_webhook("email.failed", "email.delivered",
                              "email.bounced", "email.delivery_delayed")

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost

    def tearDown(self):
        self.verpost.crash.disarm()

    def lost(self, name, delivery="exactly_once"):
        """A mail whose final reply never comes; (its id, its address)."""
        address = name + "@sink.zz"
        self.sink.on_dot[address] = None
        return self.mail(address, name, delivery=delivery), address

    def check_unknown(self, ident):
        email = self.api.wait_event(ident, "failed", 40)
        recipient = email["recipients"][0]
        self.assertEqual(email["delivery"], "exactly_once")
        self.assertEqual(recipient["status"], "failed")
        self.assertEqual(recipient["reason"], "outcome_unknown")
        self.assertIs(recipient["outcome_unknown"], True)
        self.assertIsNone(recipient["retry_at"])
        hook = self.world.receiver.wait_for(ident, "email.failed")
        failed = hook.event["data"]["failed"]
        self.assertEqual(failed["reason"], "outcome_unknown")
        self.assertIs(failed["outcome_unknown"], True)

    def report(self, address, action, status):
        taken = self.sink.wait_for(address)[0]
        with smtplib.SMTP(*self.verpost.smtp_in) as link:
            link.sendmail("", [taken.mail_from],
                          REPORT % (address, action, status, status))

    def check_settled(self, ident, status):
        self.api.wait_event(ident, status)
        recipient = self.api.email(ident)["recipients"][0]
        self.assertEqual(recipient["status"], status)
        self.assertIs(recipient["outcome_unknown"], False)
        self.assertIsNone(recipient["reason"])
        self.world.receiver.wait_for(ident, "email." + status)

    def test_a_lost_reply_ends_it_after_one_transmission(self):
        ident, address = self.lost("lost")
        self.check_unknown(ident)
        self.verpost.clock.advance(CLAIM_S + 60)
        self.api.wait_event(self.mail("after@sink.zz", "s"), "delivered")
        self.assertEqual(len(self.sink.for_rcpt(address)), 1)

    def test_at_least_once_says_so_and_goes_again(self):
        ident, address = self.lost("again", "at_least_once")
        email = self.api.wait_event(ident, "delivery_delayed")
        self.assertEqual(email["delivery"], "at_least_once")
        self.assertIs(email["recipients"][0]["outcome_unknown"], True)
        hook = self.world.receiver.wait_for(ident, "email.delivery_delayed")
        self.assertIs(hook.event["data"]["delay"]["outcome_unknown"], True)
        del self.sink.on_dot[address]
        self.verpost.clock.advance(CLAIM_S + 60)
        email = self.api.wait_event(ident, "delivered", 40)
        self.assertIs(email["recipients"][0]["outcome_unknown"], False)
        self.assertEqual(len(self.sink.for_rcpt(address)), 2)

    def test_what_was_certainly_not_taken_goes_again(self):
        self.sink.on_dot["soon@sink.zz"] = "451 4.3.0 not now"
        ident = self.mail("soon@sink.zz", "s", delivery="exactly_once")
        self.api.wait_event(ident, "delivery_delayed")
        del self.sink.on_dot["soon@sink.zz"]
        self.verpost.clock.advance(2 * 3600)
        self.api.wait_event(ident, "delivered", 40)

    def test_a_later_report_settles_it(self):
        for action, code, status in (("failed", "5.1.1", "bounced"),
                                     ("delivered", "2.0.0", "delivered"),
                                     ("relayed", "2.0.0", "delivered")):
            with self.subTest(action):
                ident, address = self.lost("r" + action)
                self.check_unknown(ident)
                self.report(address, action, code)
                self.check_settled(ident, status)

    def test_a_report_that_it_takes_longer_settles_nothing(self):
        ident, address = self.lost("slow")
        self.check_unknown(ident)
        self.report(address, "delayed", "4.4.1")
        wait_until("the report was read", lambda: self.verpost.pg.value(
            "SELECT count(*) FROM returns WHERE kind = 'delayed' "
            "AND processed_at IS NOT NULL") != "0")
        self.check_unknown(ident)

    def test_a_report_settles_what_would_go_again(self):
        ident, address = self.lost("once", "at_least_once")
        self.api.wait_event(ident, "delivery_delayed")
        self.report(address, "delivered", "2.0.0")
        self.check_settled(ident, "delivered")
        self.verpost.clock.advance(CLAIM_S + 60)
        self.api.wait_event(self.mail("later@sink.zz", "s"), "delivered")
        self.assertEqual(len(self.sink.for_rcpt(address)), 1)

    def test_a_process_killed_after_the_dot_ends_it_too(self):
        self.verpost.crash.arm("dot-before-reply")
        ident = self.mail("killed@sink.zz", "s", delivery="exactly_once")
        self.verpost.crash.kill()
        self.sink.wait_for("killed@sink.zz")
        self.verpost.clock.advance(CLAIM_S + 60)
        self.check_unknown(ident)
        self.assertEqual(len(self.sink.for_rcpt("killed@sink.zz")), 1)

    def test_a_large_body_keeps_it(self):
        """It is read by a child: the member must come through."""
        self.sink.on_dot["large@sink.zz"] = None
        ident = self.mail("large@sink.zz", "s", delivery="exactly_once",
                          text="line of text\n" * 200000)
        self.check_unknown(ident)

    def test_an_unknown_word_is_refused(self):
        answer = self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "x@sink.zz", "subject": "s",
            "text": "x", "delivery": "twice"})
        self.assertEqual(answer.status, 400, answer)
        self.assertIn("delivery: 'twice'", answer.json["message"])


# What the host says to RCPT, the class of it, and the least and most seconds
# until the next attempt.
CLASSES = [
    ("grey", "451 4.7.1 Greylisted, try again in 7 minutes", "greylisted",
     420, 504),
    ("full", "452 4.2.2 Mailbox is full", "mailbox_full", 2880, 4320),
    ("rate", "450 4.2.1 You send too fast", "rate_limited", 480, 720),
    ("policy", "451 4.7.26 Unauthenticated", "policy", 1440, 2160),
    ("other", "451 4.3.0 Queue file write error", "other", 48, 72),
    ("bye", "421 4.3.2 Closing down", "connection", 48, 72),
]


class Classes(WorldTest):
    options = {"sink": True, "settings": {"retry_first": "1m"}}

    def test_why_it_waits_says_how_long(self):
        sink, idents = self.world.sink, []
        for name, reply, *_ in CLASSES:
            sink.on_rcpt[name + "@sink.zz"] = reply
            idents.append(self.mail(name + "@sink.zz", name))
        for case, ident in zip(CLASSES, idents):
            name, _, delay_class, least, most = case
            with self.subTest(name):
                self.api.wait_event(ident, "delivery_delayed", 40)
                recipient = self.api.email(ident)["recipients"][0]
                last = recipient["last_attempt"]
                self.assertEqual(last["class"], delay_class)
                pause = (when(recipient["retry_at"])
                         - when(last["finished_at"])).total_seconds()
                self.assertGreaterEqual(pause, least - 1)
                self.assertLessEqual(pause, most + 1)

    def test_what_does_not_wait_has_no_class(self):
        ident = self.mail("well@sink.zz", "s")
        email = self.api.wait_event(ident, "delivered")
        self.assertIsNone(email["recipients"][0]["last_attempt"]["class"])


GARBAGE = b"\0\1 what\r\n"

# What the first of two hosts does.
NEXT_HOST = {
    "banner421": [b"421 4.3.2 busy\r\n"],
    "banner554": [b"554 5.7.1 go away\r\n"],
    "bannerclose": [],
    "bannergarbage": [GARBAGE],
    "ehlo550": [b"220 peer\r\n", "EHLO", b"550 5.7.1 no\r\n"],
    "ehloclose": [b"220 peer\r\n", "EHLO"],
    "mailclose": HELLO + ["MAIL"],
    "mailgarbage": HELLO + ["MAIL", GARBAGE],
    "rcptclose": HELLO + ENVELOPE[:3],
    "rcptgarbage": HELLO + ENVELOPE[:3] + [GARBAGE],
    "dataclose": HELLO + ENVELOPE + ["DATA"],
    "datagarbage": HELLO + ENVELOPE + ["DATA", b"250 what?\r\n"],
}
# The mail was looked at, or may have been taken.
NO_NEXT_HOST = {
    "mail421": HELLO + ["MAIL", b"421 4.3.2 closing\r\n"],
    "mail451": HELLO + ["MAIL", b"451 4.3.0 later\r\n"],
    "rcpt450": HELLO + ENVELOPE[:3] + [b"450 4.2.1 later\r\n"],
    "data451": HELLO + ENVELOPE + ["DATA", b"451 4.3.0 later\r\n"],
    "dot451": HELLO + TAKE + [b"451 4.3.0 later\r\n"],
    "dot421": HELLO + TAKE + [b"421 4.3.2 later\r\n"],
    "dotclose": HELLO + TAKE,
    "dotgarbage": HELLO + TAKE + [GARBAGE],
}


class Hosts(WorldTest):
    options = {"sink": True, "settings": {"retry_first": "1h"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.peers, records = {}, []
        for name, script in {**NEXT_HOST, **NO_NEXT_HOST}.items():
            address = "%s.%d" % (cls.world.net, 101 + len(cls.peers))
            records += ["mx.%s IN A %s" % (name, address),
                        "%s IN MX 10 mx.%s" % (name, name),
                        "%s IN MX 20 mx.sink" % name]
            cls.peers[name] = Peer(address, MX_PORT, script)
        records += ["mx.refused IN A %s.99" % cls.world.net,
                    "refused IN MX 10 mx.refused", "refused IN MX 20 mx.sink"]
        cls.world.dns.add(*records)

    @classmethod
    def tearDownClass(cls):
        for peer in cls.peers.values():
            peer.stop()
        super().tearDownClass()

    def sent(self, name):
        return len(self.world.sink.for_rcpt("user@%s.zz" % name))

    def test_trouble_with_one_host_is_the_next_ones_turn(self):
        names = ["refused", *NEXT_HOST]
        idents = [self.mail("user@%s.zz" % name, "s") for name in names]
        for name, ident in zip(names, idents):
            with self.subTest(name):
                self.api.wait_event(ident, "delivered", 40)
                self.assertEqual(self.sent(name), 1)
                if name in self.peers:
                    self.assertGreaterEqual(self.peers[name].connections, 1)

    def test_a_mail_that_was_looked_at_stays_with_its_host(self):
        idents = [self.mail("user@%s.zz" % name, "s") for name in NO_NEXT_HOST]
        for name, ident in zip(NO_NEXT_HOST, idents):
            with self.subTest(name):
                self.api.wait_event(ident, "delivery_delayed", 40)
                self.assertEqual(self.sent(name), 0)
                self.assertLessEqual(len(self.peers[name].transmissions), 1)


class Renewal(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.verpost = self.world.verpost

    def host(self, name, last, *script):
        address = "%s.%d" % (self.world.net, last)
        self.world.dns.add("mx.%s IN A %s" % (name, address),
                           "%s IN MX 10 mx.%s" % (name, name))
        peer = Peer(address, MX_PORT, *script)
        self.addCleanup(peer.stop)
        return peer

    def claimed_at(self, ident):
        return self.verpost.mail_sql(
            "SELECT claimed_at FROM attempts WHERE recipient %s", ident)

    def test_a_slow_transaction_keeps_its_claim(self):
        """Each step takes over three minutes, all together ten."""
        gates = [threading.Event() for _ in range(3)]
        at = [threading.Event() for _ in range(3)]

        def step(n):
            def wait():
                at[n].set()
                gates[n].wait(30)
            return wait

        peer = self.host("slow", 101, HELLO + [
            "MAIL", step(0), b"250 ok\r\n", "RCPT", step(1), b"250 ok\r\n",
            "DATA", step(2), b"354 go\r\n", ("body",), b"250 taken\r\n"])
        ident = self.mail("user@slow.zz", "s", delivery="exactly_once")
        for n in range(3):
            self.assertTrue(at[n].wait(20))
            before = self.claimed_at(ident)
            self.verpost.clock.advance(200)
            gates[n].set()
            if n < 2:  # the next step waits, so that this can be seen
                wait_until("the claim is renewed",
                           lambda: self.claimed_at(ident) != before)
        email = self.api.wait_event(ident, "delivered")
        self.assertEqual(email["recipients"][0]["attempts"], 1)
        self.assertEqual(len(peer.transmissions), 1)

    def test_no_dot_of_a_claim_that_was_not_renewed_in_time(self):
        """As after a pause of the process: four minutes in one go."""
        gate, there = threading.Event(), threading.Event()
        peer = self.host("paused", 102, HELLO + ENVELOPE + [
            "DATA", lambda: there.set() or gate.wait(30), b"354 go\r\n",
            ("body",), b"250 taken\r\n"])
        ident = self.mail("user@paused.zz", "s")
        self.assertTrue(there.wait(20))
        self.verpost.clock.advance(4 * 60 + 1)
        gate.set()
        email = self.api.wait_event(ident, "delivery_delayed")
        self.assertIn("4 minutes", str(email["recipients"][0]))
        self.assertEqual(peer.transmissions, [])

    def test_a_claim_that_was_taken_for_over_is_not_renewed(self):
        gate, there = threading.Event(), threading.Event()
        seen = threading.Event()
        peer = self.host("over", 103, HELLO + [
            "MAIL", lambda: there.set() or gate.wait(30), b"250 ok\r\n",
            "RCPT", lambda: seen.wait(30), b"450 4.2.1 no\r\n"])
        ident = self.mail("user@over.zz", "s", delivery="exactly_once")
        self.assertTrue(there.wait(20))
        self.verpost.mail_sql("UPDATE attempts SET outcome = 5, "
                              "finished_at = now() WHERE recipient %s", ident)
        self.verpost.clock.advance(200)
        gate.set()
        wait_until("it was not renewed", lambda: "claim.not_renewed" in
                   self.verpost.process.log())
        seen.set()
        self.api.wait_event(ident, "delivery_delayed")
        self.assertEqual(peer.transmissions, [])


def when(text):
    return datetime.datetime.fromisoformat(text)


if __name__ == "__main__":
    runner.main()
