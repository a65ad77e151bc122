"""Where webhooks go, and where they do not."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import run, wait_until  # noqa: E402
from harness.webhook import Receiver, signed_rightly  # noqa: E402
from harness.world import WorldTest  # noqa: E402


class Webhooks(WorldTest):
    options = {"sink": True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        base = cls.world.base
        cls.certificate = (base + "/hook.crt", base + "/hook.key")
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-subj", "/CN=hook.zz", "-addext",
             "subjectAltName=IP:%s.41" % cls.world.net, "-keyout",
             cls.certificate[1], "-out", cls.certificate[0]])
        cls.world.verpost.stop()
        cls.world.verpost.settings["webhook_ca_file"] = cls.certificate[0]
        cls.world.verpost.write_config()
        cls.world.verpost.start()

    def register(self, url, *events):
        return self.api.request("POST", "/webhooks", {
            "endpoint": url, "events": list(events)})

    def state(self, ident):
        """tries, delivered, last status, last error of the one delivery."""
        return self.world.verpost.mail_sql(
            "SELECT concat_ws(' ', tries, delivered, last_status, "
            "last_error) FROM webhook_deliveries WHERE recipient %s", ident)

    def test_https_is_verified_against_the_given_authority(self):
        receiver = Receiver(self.world.net + ".41", self.certificate)
        made = self.register(receiver.url, "email.delivered")
        self.assertEqual(made.status, 201, made)
        try:
            ident = self.mail("https@sink.zz", "s")
            got = receiver.wait_for(ident, "email.delivered")
            self.assertTrue(signed_rightly(got, made.json["signing_secret"]))
        finally:
            self.api.request("DELETE", "/webhooks/" + made.json["id"])
            receiver.stop()

    def test_a_redirect_is_a_failure_and_is_not_followed(self):
        receiver = Receiver(self.world.net + ".42")
        receiver.answers = [302]
        made = self.register(receiver.url + "/first", "email.delivered")
        try:
            ident = self.mail("redirect@sink.zz", "s")
            wait_until("the refusal is recorded", lambda: "302" in (
                self.state(ident) or ""))
            self.assertEqual([r.path for r in receiver.requests], ["/first"])
        finally:
            self.api.request("DELETE", "/webhooks/" + made.json["id"])
            receiver.stop()

    def test_only_the_events_that_were_asked_for_come(self):
        receiver = Receiver(self.world.net + ".43")
        made = self.register(receiver.url, "email.bounced")
        try:
            self.world.sink.on_rcpt["gone@sink.zz"] = "550 5.1.1 gone"
            fine = self.mail("fine@sink.zz", "s")
            self.api.wait_event(fine, "delivered")
            gone = self.mail("gone@sink.zz", "s")
            receiver.wait_for(gone, "email.bounced")
            self.assertEqual({r.kind for r in receiver.requests},
                             {"email.bounced"})
        finally:
            self.api.request("DELETE", "/webhooks/" + made.json["id"])
            receiver.stop()

    def test_a_removed_webhook_gets_nothing_more(self):
        receiver = Receiver(self.world.net + ".44")
        made = self.register(receiver.url, "email.delivered")
        answer = self.api.request("DELETE", "/webhooks/" + made.json["id"])
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json["deleted"])
        ident = self.mail("removed@sink.zz", "s")
        self.api.wait_event(ident, "delivered")
        self.assertEqual(receiver.requests, [])
        receiver.stop()

    def test_endpoints_that_make_no_sense_are_refused(self):
        for url, events in [("ftp://x.zz/", ["email.sent"]),
                            ("not a url", ["email.sent"]),
                            ("http://", ["email.sent"]),
                            ("http://x.zz/\r\nX: y", ["email.sent"]),
                            ("https://x.zz/", []),
                            ("https://x.zz/", ["email.nonsense"]),
                            ("https://x.zz/" + "a" * 5000, ["email.sent"])]:
            with self.subTest(url[:40]):
                answer = self.register(url, *events)
                self.assertIn(answer.status, (400, 422), answer)
                self.assertTrue(answer.json["message"])


    def test_a_member_that_is_none_is_refused_and_the_right_one_named(self):
        for body, said in (
                ({"url": "https://x.zz/", "events": ["email.sent"]},
                 "url: is not a member of a webhook: did you mean endpoint?"),
                ({"endpoint": "https://x.zz/", "events": ["email.sent"],
                  "nonsense": 1}, "nonsense: is not a member")):
            answer = self.api.request("POST", "/webhooks", body)
            self.assertEqual(answer.status, 422, answer)
            self.assertIn(said, answer.json["message"])
        answer = self.register("https://x.zz/", "email.nonsense")
        for kind in ("sent", "delivered", "delivery_delayed", "bounced",
                     "failed", "suppressed"):
            self.assertIn("email." + kind, answer.json["message"])


class PrivateAddresses(WorldTest):
    """Without webhook_private: nothing on this machine is spoken to."""

    @classmethod
    def setUpClass(cls):
        cls.options = {"sink": True, "settings": {"webhook_private": '""'}}
        super().setUpClass()

    def test_they_are_refused_at_connect(self):
        receiver = Receiver(self.world.net + ".45")
        made = self.api.request("POST", "/webhooks", {
            "endpoint": receiver.url, "events": ["email.delivered"]})
        self.assertEqual(made.status, 400, made)
        self.assertIn("webhook_private", made.json["message"])
        status, _, errors = self.world.verpost.command(
            "webhook add", receiver.url, check=False)
        self.assertEqual(status, 1)
        self.assertIn("webhook_private", errors)
        # A name may lead anywhere, and somewhere else tomorrow.
        made = self.api.request("POST", "/webhooks", {
            "endpoint": receiver.url.replace(self.world.net + ".45",
                                             "localhost"),
            "events": ["email.delivered"]})
        self.assertEqual(made.status, 201, made)
        ident = self.mail("guard@sink.zz", "s")
        wait_until("the refusal is recorded", lambda: int(
            self.world.verpost.mail_sql(
                "SELECT max(tries) FROM webhook_deliveries "
                "WHERE recipient %s", ident) or 0) >= 1)
        self.assertEqual(receiver.requests, [])
        receiver.stop()


if __name__ == "__main__":
    runner.main()
