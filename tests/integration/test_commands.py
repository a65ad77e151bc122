"""The operator's commands and the checks of a configuration."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until, write  # noqa: E402
from harness.verpost import records_of  # noqa: E402
from harness.world import WorldTest  # noqa: E402


class Commands(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.verpost = self.world.verpost

    def run_command(self, name, *operands):
        status, out, errors = self.verpost.command(name, *operands,
                                                   check=False)
        return status, out + errors

    def test_check_explains_a_good_configuration(self):
        status, text = self.run_command("check")
        self.assertEqual(status, 0, text)
        self.assertIn("postgres", text)

    def test_check_refuses_what_is_wrong_with_the_line_number(self):
        with open(self.verpost.config) as stream:
            good = stream.read()
        lines = good.count("\n")
        for wrong, said in [("htpp_listen = 127.0.0.1:1", "http_listen"),
                            ("mta_processes = many", "mta_processes"),
                            ("mta_processes = 9999", "mta_processes"),
                            ("max_age = 3 lightyears", "max_age"),
                            ("mode = production", "mode"),
                            ("no equals sign", "="),
                            ("node = twice", "node")]:
            with self.subTest(wrong):
                path = write(self.verpost.base + "/wrong.conf",
                             good + wrong + "\n")
                status, out, errors = self.verpost.command(
                    "check", "-c", path, check=False)
                self.assertNotEqual(status, 0)
                self.assertIn(":%d:" % (lines + 1), out + errors)
                self.assertIn(said, out + errors)

    def test_serve_refuses_it_too(self):
        path = write(self.verpost.base + "/wrong.conf", "nonsense = 1\n")
        status, out, errors = self.verpost.command("serve", "-c", path,
                                                   check=False)
        self.assertNotEqual(status, 0)
        self.assertIn(":1:", out + errors)

    def test_what_is_added_is_listed_and_can_be_removed(self):
        self.verpost.command("account add", "second")
        names = [row["name"] for row
                 in self.verpost.command_json("account list")]
        self.assertEqual(sorted(names), ["second", "tester"])
        key = self.verpost.command_json("key add", "extra", "--account",
                                        "second")["key"]
        rows = self.verpost.command_json("key list", "--account", "second")
        self.assertEqual([row["name"] for row in rows], ["extra"])
        self.assertNotIn(key, str(rows))
        hook = self.verpost.command_json(
            "webhook add", "http://127.0.0.1:9/", "--account", "second",
            "--events", "email.bounced")
        self.assertTrue(hook["signing_secret"].startswith("whsec_"))
        self.verpost.command("webhook remove", hook["id"], "--account",
                             "second")
        self.assertEqual(self.verpost.command_json(
            "webhook list", "--account", "second"), [])
        self.verpost.command("source add", self.world.net + ".99", "--helo",
                             "spare.sender.zz")
        self.verpost.command("source remove", self.world.net + ".99")
        self.verpost.command("account remove", "second")
        status, text = self.run_command("account remove", "second")
        self.assertNotEqual(status, 0)
        self.assertIn("second", text)

    def test_a_removed_key_no_longer_works(self):
        made = self.verpost.command_json("key add", "short-lived",
                                         "--account", "tester")["key"]
        headers = {"Authorization": "Bearer " + made}
        self.assertEqual(self.api.request(
            "GET", "/emails", headers=headers).status, 200)
        row = next(r for r in self.verpost.command_json(
            "key list", "--account", "tester") if r["name"] == "short-lived")
        self.verpost.command("key remove", row["id"], "--account", "tester")
        wait_until("the key is refused", lambda: self.api.request(
            "GET", "/emails", headers=headers).status in (401, 403), 20)

    def test_migrate_runs_again_without_harm(self):
        before = self.verpost.pg.value("SELECT count(*) FROM pg_class")
        self.verpost.command("migrate")
        self.assertEqual(
            self.verpost.pg.value("SELECT count(*) FROM pg_class"), before)

    def test_domain_verify_says_per_record_what_is_missing(self):
        self.verpost.command("domain add", "partly.zz", "--account",
                             "tester")
        status, text = self.run_command("domain verify", "partly.zz")
        self.assertNotEqual(status, 0, text)
        for word in ("DKIM", "SPF", "missing", "_domainkey.partly.zz"):
            self.assertIn(word, text)
        answer = self.api.request("POST", "/emails", {
            "from": "x@partly.zz", "to": "x@sink.zz", "subject": "s",
            "text": "t"})
        self.assertEqual(answer.status, 403, answer)
        shown = self.verpost.command_json("domain show", "partly.zz")
        self.world.dns.add(*records_of(shown["records"]))
        status, text = self.run_command("domain verify", "partly.zz")
        self.assertEqual(status, 0, text)
        self.assertIn("partly.zz is verified", text)
        self.verpost.command("domain remove", "partly.zz")

    def test_a_suppression_by_hand_holds_and_can_be_lifted(self):
        self.verpost.command("suppression add", "Left@sink.zz", "--reason",
                             "asked us to")
        rows = self.verpost.command_json("suppression list")
        self.assertIn("left@sink.zz", [row["address"] for row in rows])
        answer = self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "to": "left@SINK.zz", "subject": "s",
            "text": "t"})
        self.assertEqual(answer.status, 422, answer)
        both = self.api.send(**{
            "from": "hello@sender.zz", "to": ["left@sink.zz", "on@sink.zz"],
            "subject": "s", "text": "t"})
        self.world.sink.wait_for("on@sink.zz")
        self.assertEqual(self.api.wait_event(both, "suppressed")["to"],
                         ["left@sink.zz", "on@sink.zz"])
        self.verpost.command("suppression remove", "left@sink.zz")
        ident = self.mail("left@sink.zz", "s")
        self.api.wait_event(ident, "delivered")
        self.assertEqual(len(self.world.sink.for_rcpt("left@sink.zz")), 1)

    def test_unknown_commands_and_options_say_what_there_is(self):
        for words in (["frobnicate"], ["domain"], ["domain add"],
                      ["domain add", "x.zz", "--no-such-option"]):
            with self.subTest(words):
                status, text = self.run_command(*words)
                self.assertNotEqual(status, 0)
                self.assertTrue(text.strip())

    def test_secrets_are_in_no_process_list_and_no_log(self):
        ident = self.mail("secret@sink.zz", "s")
        self.api.wait_event(ident, "delivered")
        for pid in [self.verpost.process.pid] + list(
                self.verpost.processes()):
            for name in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (pid, name), "rb") as stream:
                    self.assertNotIn(self.api.key.encode(), stream.read())
        self.assertNotIn(self.api.key, self.verpost.process.log())


if __name__ == "__main__":
    runner.main()
