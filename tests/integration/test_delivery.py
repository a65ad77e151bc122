"""
The main job: posted over HTTP, delivered to Postfix over SMTP, and what comes
back from it turned into statuses, suppressions and webhooks.
"""

import base64
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import dkimcheck, runner  # noqa: E402
from harness.postfix import parsed  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.webhook import signed_rightly  # noqa: E402
from harness.world import WorldTest  # noqa: E402

ALL_EVENTS = ("email.sent", "email.delivered", "email.delivery_delayed",
              "email.bounced", "email.failed", "email.suppressed")


class Delivery(WorldTest):
    options = {"postfix": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postfix, cls.hooks = cls.world.postfix, cls.world.receiver
        cls.secret = cls.world.add_webhook(*ALL_EVENTS)

    def suppressed(self, address):
        listed = self.world.verpost.command_json("suppression list")
        return [row for row in listed if row["address"] == address]

    def test_a_posted_email_arrives_and_its_signature_verifies(self):
        ident = self.mail("Known User <known@remote.zz>", "first light")
        raw = self.postfix.wait_for("first light")
        message = parsed(raw)
        self.assertEqual(message["From"], "Sender <hello@sender.zz>")
        self.assertEqual(message["To"], "Known User <known@remote.zz>")
        self.assertIn("Hello,\nthis is a test.", message.get_content())
        self.assertTrue(message["Message-ID"].endswith("@sender.zz>"))
        self.assertTrue(message["Date"])
        self.assertTrue(dkimcheck.by_dkimpy(raw, self.world.verpost.txt))
        self.assertEqual(dkimcheck.by_mail_dkim(
            raw, self.world.dns.resolver), "pass")
        tags = dkimcheck.signature_tags(raw)
        self.assertEqual(tags["a"], "rsa-sha256")
        self.assertEqual(tags["d"], "sender.zz")
        signed = tags["h"].lower().split(":")
        # Named once more than it stands there: nobody can add a second one.
        for field in ("from", "to", "subject", "date", "message-id"):
            self.assertEqual(signed.count(field), 2, field)
        self.assertIn("x-verpost-ref", signed)
        self.api.wait_event(ident, "delivered")

    def test_it_uses_tls_its_own_source_and_a_return_path_of_its_own(self):
        self.mail(["known@remote.zz"], "how it came")
        message = parsed(self.postfix.wait_for("how it came"))
        token_address = message["Return-Path"]
        self.assertRegex(token_address, r"^<b-[a-z2-7]{44}@%s>$"
                         % self.world.return_host().replace(".", r"\."))
        received = message.get_all("Received")[0]
        self.assertIn("out.sender.zz", received)
        self.assertIn("[%s.20]" % self.world.net, received)
        self.assertIn("ESMTPS", received)

    def test_delivered_has_its_webhooks_signed_under_both_names(self):
        ident = self.mail("known@remote.zz", "tell me")
        for kind in ("email.sent", "email.delivered"):
            got = self.hooks.wait_for(ident, kind)
            self.assertTrue(signed_rightly(got, self.secret, "webhook"))
            self.assertTrue(signed_rightly(got, self.secret, "svix"))
            data = got.event["data"]
            self.assertEqual(data["to"], ["known@remote.zz"])
            self.assertEqual(data["subject"], "tell me")
            self.assertEqual(data["from"], "Sender <hello@sender.zz>")

    def test_every_part_of_an_email_comes_through(self):
        picture = bytes(range(256)) * 40
        self.mail("known@remote.zz", "Grüße aus Köln — ✓ " + "lang " * 30,
                  html="<p>Hällo <b>you</b></p>"
                       "<img src=\"cid:pic\"><p>end</p>",
                  text="plain wörds\n.\n..dots\nFrom here\n",
                  cc="copy@remote.zz", reply_to=["r1@sender.zz"],
                  headers={"X-Own": "välue", "X-Entity-Ref-ID": "77"},
                  attachments=[
                      {"filename": "bericht-ä.bin",
                       "content": base64.b64encode(picture).decode()},
                      {"filename": "p.png", "content_id": "pic",
                       "content_type": "image/png",
                       "content": base64.b64encode(b"\x89PNG").decode()}])

        def arrived():
            return [m for m in self.postfix.received()
                    if str(parsed(m)["Subject"]).startswith("Grüße aus")]

        raw = wait_until("the large one arrives", arrived)[0]
        message = parsed(raw)
        self.assertEqual(message["Subject"],
                         ("Grüße aus Köln — ✓ " + "lang " * 30).rstrip())
        self.assertEqual(message["Cc"], "copy@remote.zz")
        self.assertEqual(message["Reply-To"], "r1@sender.zz")
        self.assertEqual(message["X-Own"], "välue")
        self.assertEqual(message["X-Entity-Ref-ID"], "77")
        self.assertEqual(message.get_body(("plain",)).get_content(),
                         "plain wörds\n.\n..dots\nFrom here\n")
        self.assertIn("Hällo <b>you</b>",
                      message.get_body(("html",)).get_content())
        files = {p.get_filename(): p for p in message.walk()
                 if p.get_filename()}
        self.assertEqual(files["bericht-ä.bin"].get_content(), picture)
        self.assertEqual(files["p.png"]["Content-ID"], "<pic>")
        self.assertLess(max(map(len, raw.split(b"\n"))), 999)
        self.assertTrue(dkimcheck.by_dkimpy(raw, self.world.verpost.txt))
        self.assertEqual(dkimcheck.by_mail_dkim(
            raw, self.world.dns.resolver), "pass")

    def test_text_is_made_from_html_unless_it_is_empty(self):
        self.api.send(**{"from": "hello@sender.zz", "to": "known@remote.zz",
                         "subject": "html only",
                         "html": "<h1>Big</h1><p>one &amp; two</p>"})
        message = parsed(self.postfix.wait_for("html only"))
        text = message.get_body(("plain",)).get_content()
        self.assertIn("one & two", text)
        self.api.send(**{"from": "hello@sender.zz", "to": "known@remote.zz",
                         "subject": "html alone", "text": "",
                         "html": "<p>x</p>"})
        message = parsed(self.postfix.wait_for("html alone"))
        self.assertIsNone(message.get_body(("plain",)))

    def test_each_recipient_has_a_return_path_and_nobody_sees_bcc(self):
        ident = self.api.send(**{
            "from": "hello@sender.zz", "to": "known@remote.zz",
            "bcc": "known+hidden@remote.zz", "cc": "unknown1@remote.zz",
            "subject": "for three", "text": "x"})
        raw = self.postfix.wait_for("for three")
        self.assertNotIn(b"hidden", raw.split(b"\n\n")[0].replace(
            b"X-Original-To", b"").replace(b"Delivered-To", b""))
        count = self.world.verpost.mail_sql(
            "SELECT count(*) FROM recipients WHERE id %s", ident)
        self.assertEqual(count, "3")

    def said_of_bounce(self, ident):
        """By the API, and to the operator."""
        return (self.api.email(ident)["recipients"][0]["bounce"],
                self.world.verpost.command_json(
                    "queue show", ident)["recipients"][0]["why"])

    def test_an_unknown_user_bounces_by_dsn_and_is_not_asked_again(self):
        ident = self.mail("nobody-here@remote.zz", "will come back")
        self.api.wait_event(ident, "bounced", 30)
        got = self.hooks.wait_for(ident, "email.bounced")
        self.assertTrue(signed_rightly(got, self.secret))
        self.assertEqual(got.event["data"]["to"], ["nobody-here@remote.zz"])
        self.assertEqual(got.event["data"]["bounce"]["type"], "Permanent")
        self.assertIn("unknown user", got.event["data"]["bounce"]["message"])
        # It was delivered first: the remote server took it. Webhooks come in
        # no order.
        self.hooks.wait_for(ident, "email.delivered")
        bounce, why = self.said_of_bounce(ident)
        self.assertEqual(bounce["message"],
                         got.event["data"]["bounce"]["message"])
        self.assertEqual([bounce[k] for k in ("reported_later", "status")],
                         [True, "5.1.1"])
        self.assertRegex(bounce["at"], r"^20.*\+00$")
        self.assertRegex(why, r"^bounced at 20\S+Z: .*unknown user.*, "
                         r"reported by \S+$")
        rows = self.suppressed("nobody-here@remote.zz")
        self.assertEqual([row["origin"] for row in rows], ["bounce"])

        answer = self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "Nobody-Here@REMOTE.zz",
            "subject": "again", "text": "x"})
        self.assertEqual(answer.status, 422, answer)
        self.assertEqual(answer.json["name"], "email_suppressed")
        again = answer.json["id"]
        self.assertEqual(self.api.email(again)["last_event"], "suppressed")
        self.hooks.wait_for(again, "email.suppressed")
        self.assertEqual(self.world.verpost.mail_sql(
            "SELECT count(*) FROM attempts WHERE recipient %s", again), "0")

    def test_a_user_refused_at_rcpt_bounces_at_once(self):
        ident = self.mail("refused@remote.zz", "not wanted")
        self.api.wait_event(ident, "bounced")
        got = self.hooks.wait_for(ident, "email.bounced")
        self.assertIn("no such user here",
                      got.event["data"]["bounce"]["message"])
        bounce, why = self.said_of_bounce(ident)
        self.assertEqual([bounce[k] for k in ("reported_later", "code")],
                         [False, 550])
        self.assertRegex(why, r"^bounced at 20\S+Z: 550 .*no such user here"
                         r".*, said \S+\[\S+$")
        self.assertEqual(len(self.suppressed("refused@remote.zz")), 1)
        self.assertFalse(self.hooks.of(ident, "email.delivered"))

    def test_a_4xx_is_tried_again_later(self):
        ident = self.mail("later@remote.zz", "not now")
        self.hooks.wait_for(ident, "email.delivery_delayed")
        self.assertEqual(self.api.email(ident)["last_event"],
                         "delivery_delayed")
        wait_until("a second attempt", lambda: int(
            self.world.verpost.mail_sql(
                "SELECT count(*) FROM attempts WHERE recipient %s", ident))
            >= 2)
        self.assertEqual(self.suppressed("later@remote.zz"), [])

    def test_what_dns_says_for_good_ends_it(self):
        for domain in ("no-such-domain.zz", "nomail.zz"):
            with self.subTest(domain):
                ident = self.mail("x@" + domain, "nowhere " + domain)
                self.api.wait_event(ident, "failed")
                got = self.hooks.wait_for(ident, "email.failed")
                self.assertTrue(got.event["data"]["failed"]["reason"])

    def test_mail_of_a_domain_without_mx_goes_to_its_address(self):
        self.world.dns.add("direct IN A %s.30" % self.world.net)
        ident = self.mail("x@direct.zz", "by address")
        # Postfix does not relay for it: that it said so is the proof.
        self.api.wait_event(ident, "bounced")
        got = self.hooks.wait_for(ident, "email.bounced")
        self.assertIn("Relay access denied",
                      got.event["data"]["bounce"]["message"])
        self.assertEqual(self.suppressed("x@direct.zz"), [])

    def test_only_addresses_with_our_token_are_received(self):
        import smtplib
        host = self.world.return_host()
        with smtplib.SMTP(*self.world.verpost.smtp_in) as link:
            link.ehlo("remote.zz")
            link.mail("")
            for stranger in ("someone@" + host, "b-" + "a" * 44 + "@" + host,
                             "user@elsewhere.zz"):
                code, _ = link.rcpt(stranger)
                self.assertEqual(code // 100, 5, stranger)
            for ours in ("postmaster@" + host, "abuse@" + host):
                code, _ = link.rcpt(ours)
                self.assertEqual(code, 250, ours)


if __name__ == "__main__":
    runner.main()
