"""Setting up: the scripts, and what the commands say on the way to first mail."""

import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import run, scratch, wait_until, write  # noqa: E402
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


if __name__ == "__main__":
    runner.main()
