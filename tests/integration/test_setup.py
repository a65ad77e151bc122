"""Setting up: the scripts, and what the commands say on the way to first mail."""

import os
import shutil
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import run, scratch, wait_until, write  # noqa: E402
from harness.verpost import Api  # noqa: E402
from harness.world import WorldTest  # noqa: E402

SOURCE = os.environ.get("VERPOST_SOURCE") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../..")


class Scripts(unittest.TestCase):
    """In a copy, so that nothing is built or installed if they go on."""

    def setUp(self):
        self.root = scratch() + "/verpost"
        os.makedirs(self.root + "/contrib")
        for name in ("check", "quickstart"):
            shutil.copy(os.path.join(SOURCE, "contrib", name),
                        self.root + "/contrib/" + name)
        write(self.root + "/contrib/build-deps",
              "#!/bin/sh\necho it began\nexit 1\n", 0o755)

    def test_a_configured_source_tree_is_told_before_anything_else(self):
        write(self.root + "/config.status", "")
        for name in ("check", "quickstart"):
            with self.subTest(name):
                status, out, errors = run(
                    [self.root + "/contrib/" + name], check=False)
                self.assertNotEqual(status, 0)
                self.assertEqual(out, "")
                self.assertEqual(errors.count("\n"), 1, errors)
                self.assertIn("run 'make distclean' in %s first"
                              % os.path.realpath(self.root), errors)
        self.assertEqual(sorted(os.listdir(self.root)),
                         ["config.status", "contrib"])

    def test_one_that_is_not_configured_is_taken(self):
        for name in ("check", "quickstart"):
            with self.subTest(name):
                _, out, errors = run([self.root + "/contrib/" + name],
                                     check=False)
                self.assertIn("it began", out + errors)

    def test_a_group_of_packages_that_is_none_fails(self):
        for action in ("list", "install"):
            with self.subTest(action):
                status, out, errors = run(
                    [os.path.join(SOURCE, "contrib/build-deps"), action,
                     "run", "foo"], check=False)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("no group 'foo'", errors)


class Senders(WorldTest):
    """Which addresses a domain is sent from, and what its SPF lacks."""

    def setUp(self):
        self.verpost = self.world.verpost
        self.published = list(self.world.dns.records)
        self.host = self.world.return_host()

    def tearDown(self):
        if self.world.dns.records != self.published:
            self.world.dns.set(self.published)
        for row in self.verpost.command_json("source list"):
            if row["address"] != self.world.net + ".20":
                self.verpost.command("source remove", row["address"])
        self.assertEqual(self.verify()[0], 0)

    def verify(self, *more):
        status, out, errors = self.verpost.command(
            "domain verify", "sender.zz", *more, check=False)
        return status, out + errors

    def post(self):
        return self.api.request("POST", "/emails", {
            "from": "x@sender.zz", "to": "delivered@resend.dev",
            "subject": "s", "text": "t"}).status

    def add_source(self, last, *more):
        address = "%s.%d" % (self.world.net, last)
        _, _, errors = self.verpost.command(
            "source add", address, "--helo", "out%d.sender.zz" % last, *more)
        return address, errors

    def publish(self, old, new):
        self.world.dns.set([line.replace(old, new)
                            for line in self.published])

    def test_a_source_that_spf_lacks_takes_no_domain_out_of_service(self):
        address, errors = self.add_source(21)
        self.assertIn("%s (sender.zz): add ip4:%s\n" % (self.host, address),
                      errors)
        self.assertIn("It sends at once, with those records or without",
                      errors)
        self.assertIn("'verpost queue hold source %s'\nbefore 'verpost "
                      "source add'" % address, errors)
        status, text = self.verify()
        self.assertEqual(status, 1, text)
        self.assertIn("warning SPF: incomplete", text)
        self.assertIn("add ip4:%s:" % address, text)
        self.assertIn("sender.zz stays verified", text)
        self.assertEqual(self.post(), 200)
        self.publish(" -all", " ip4:%s -all" % address)
        self.assertEqual(self.verify()[0], 0)
        # It was found in the record: nothing is lacking any more.
        self.verpost.command("source remove", address)
        self.assertNotIn("SPF", self.add_source(21)[1])

    def test_only_the_pools_of_its_account_count(self):
        address, errors = self.add_source(22, "--pool", "apart")
        self.assertNotIn("SPF", errors)
        shown = str(self.verpost.command_json("domain show", "sender.zz"))
        self.assertNotIn(address, shown)
        self.assertEqual(self.verify()[0], 0)
        term = "(sender.zz): add ip4:%s\n" % address
        try:
            _, _, errors = self.verpost.command(
                "account set", "tester", "--broadcast-pool", "apart")
            self.assertIn(term, errors)
            self.assertIn(address, str(self.verpost.command_json(
                "domain show", "sender.zz")))
        finally:
            self.verpost.command("account set", "tester", "--broadcast-pool",
                                 "default")
        _, _, errors = self.verpost.command("source set", address, "--pool",
                                            "default")
        self.assertIn(term, errors)
        _, _, errors = self.verpost.command("source set", address, "--weight",
                                            "2")
        self.assertNotIn("SPF", errors)

    def test_a_domain_that_goes_out_of_service_is_said_to(self):
        self.world.dns.set([line for line in self.published
                            if "_domainkey.sender" not in line])
        self.assertIn("sender.zz was verified, and now is "
                      "partially_verified", self.verify()[1])
        wait_until("nothing is accepted", lambda: self.post() == 403, 15)
        status, text = self.verify()
        self.assertEqual(status, 1)
        self.assertIn("BAD     DKIM: missing", text)
        self.assertIn("sender.zz is partially_verified: it may not send",
                      text)
        self.world.dns.set(self.published)
        self.assertIn("it may send within seconds", self.verify()[1])
        wait_until("it is accepted", lambda: self.post() == 200, 15)

    def test_without_dns_nothing_changes_and_it_says_whom_it_asked(self):
        with open(self.verpost.config) as stream:
            lines = [line for line in stream
                     if not line.startswith("dns_servers")]
        lines.append("dns_servers = %s.4:54\n" % self.world.net)
        path = write(self.verpost.base + "/no-dns.conf", "".join(lines))
        status, text = self.verify("-c", path)
        self.assertEqual(status, 1, text)
        self.assertIn("nothing could be looked up, and sender.zz stays "
                      "verified: %s.4:54 gave no answer" % self.world.net,
                      text)
        self.assertNotIn("BAD", text)
        self.assertEqual(self.verpost.command_json(
            "domain show", "sender.zz")["status"], "verified")


class Session:
    """A connection that keeps a transaction open."""

    def __init__(self, pg):
        self.psql = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h",
             pg.base, "-U", "postgres", "-d", "verpost"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, text):
        """The lines that it gives, when it is done."""
        self.psql.stdin.write(text + ";\n\\echo .\n")
        self.psql.stdin.flush()
        return list(iter(lambda: self.psql.stdout.readline() or ".\n",
                         ".\n"))

    def close(self):
        self.psql.communicate()


class Meanwhile:
    """What a function gives that is called in a thread."""

    def __init__(self, function):
        self.result = None
        self.thread = threading.Thread(target=self._call, args=(function,))
        self.thread.start()

    def _call(self, function):
        self.result = function()

    def get(self):
        self.thread.join(60)
        return self.result


class Removals(WorldTest):
    """An account and a domain stay while mail of theirs waits."""

    options = {"sink": True}

    def setUp(self):
        self.verpost, self.pg = self.world.verpost, self.world.pg

    def add(self, name):
        """An account with a domain; the door for it."""
        self.verpost.command("account add", name)
        self.verpost.add_domain(name + ".zz", name)
        return Api(*self.verpost.http, self.verpost.command_json(
            "key add", "its", "--account", name)["key"])

    def post(self, api, name):
        return api.request("POST", "/emails", {
            "from": "x@%s.zz" % name, "to": name + "@sink.zz",
            "subject": "s", "text": "t"})

    def remove(self, what, name):
        status, out, errors = self.verpost.command(
            what + " remove", name, "--yes", check=False)
        return status, out + errors

    def wait_locked(self, table):
        wait_until("somebody waits for " + table, lambda: self.pg.value(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
            "'%s'::regclass" % table) != "0")

    def test_what_is_on_hold_is_never_sent_by_a_removal(self):
        api = self.add("beta")
        self.verpost.command("queue hold", "account", "beta", "--reason",
                             "legal")
        ident = self.post(api, "beta").json["id"]
        status, text = self.remove("domain", "beta.zz")
        self.assertEqual(status, 1)
        self.assertIn("'beta.zz' stays: mail from it waits for 1 recipients",
                      text)
        self.assertIn("'verpost queue cancel account beta'", text)
        status, text = self.remove("account", "beta")
        self.assertEqual(status, 1)
        self.assertIn("'beta' stays: its mail waits for 1 recipients", text)
        self.assertIn("'verpost queue cancel account beta'", text)
        # Of another domain of the account nothing waits.
        self.verpost.add_domain("gamma.zz", "beta")
        self.assertEqual(self.remove("domain", "gamma.zz")[0], 0)
        self.assertIn("legal", [rule["reason"] for rule in
                                self.verpost.command_json("queue rules")])
        self.verpost.command("queue cancel", "account", "beta")
        api.wait_event(ident, "canceled")
        wait_until("the domain goes",
                   lambda: self.remove("domain", "beta.zz")[0] == 0)
        # What is kept of its mail still ends in it.
        self.assertRegex(api.request("GET", "/emails/" + ident).json[
            "message_id"], r"^<gm_[0-9a-z]{26}@beta\.zz>$")
        self.assertEqual(self.remove("account", "beta")[0], 0)
        self.assertEqual(self.world.sink.for_rcpt("beta@sink.zz"), [])

    def test_a_domain_is_removed_only_with_yes(self):
        self.verpost.command("domain add", "yes.zz", "--account", "tester")
        self.verpost.command("key add", "narrow", "--account", "tester",
                             "--domain", "yes.zz")
        status, _, errors = self.verpost.command("domain remove", "yes.zz",
                                                 check=False)
        self.assertEqual(status, 1)
        self.assertIn("its DKIM keys (1) and the API keys that send for it "
                      "alone (1), for good: say --yes", errors)
        self.verpost.command("domain show", "yes.zz")
        self.assertEqual(self.remove("domain", "yes.zz")[0], 0)
        self.assertNotIn("yes.zz", str(self.verpost.command_json(
            "domain list")))

    def test_mail_that_is_being_accepted_keeps_its_account(self):
        api = self.add("busy")
        self.verpost.command("queue hold", "account", "busy")
        other = Session(self.pg)
        self.addCleanup(other.close)
        other.run("BEGIN; LOCK TABLE ONLY recipients IN SHARE MODE")
        answer = Meanwhile(lambda: self.post(api, "busy"))
        self.wait_locked("recipients")
        removal = Meanwhile(lambda: self.remove("account", "busy"))
        self.wait_locked("emails")
        other.run("COMMIT")
        self.assertEqual(answer.get().status, 200)
        status, text = removal.get()
        self.assertEqual(status, 1, text)
        self.assertIn("waits for 1 recipients", text)

    def test_mail_that_comes_during_a_removal_is_refused(self):
        api = self.add("late")
        # Its key and domain are known to httpd from now on.
        api.wait_event(self.post(api, "late").json["id"], "delivered")
        number = self.pg.value("SELECT number FROM accounts WHERE name = "
                               "'late'")
        other = Session(self.pg)
        self.addCleanup(other.close)
        self.assertEqual(other.run("BEGIN; SELECT remove_sender(%s, 0)"
                                   % number), ["0\n"])
        answer = Meanwhile(lambda: self.post(api, "late"))
        self.wait_locked("emails")
        other.run("COMMIT")
        self.assertEqual(answer.get().status, 403)
        self.assertIn("late.zz is not one of this account",
                      answer.get().json["message"])
        self.assertEqual(self.pg.value(
            "SELECT count(*) FROM emails WHERE account = " + number), "1")


if __name__ == "__main__":
    runner.main()
