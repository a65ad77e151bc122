"""The operator's commands and the checks of a configuration."""

import json
import os
import re
import shutil
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import run, wait_until, write  # noqa: E402
from harness.verpost import PROGRAM, records_of  # noqa: E402
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

    def test_who_may_only_read_is_told_what_is_wrong(self):
        pg = self.world.pg
        for name, said in (("reader", "this Postgres takes no changes"),
                           ("other", "use the one that owns the tables")):
            pg.sql("CREATE ROLE %s LOGIN; GRANT SELECT ON ALL TABLES IN "
                   "SCHEMA public TO %s" % (name, name))
            if name == "reader":
                pg.sql("ALTER ROLE reader SET default_transaction_read_only "
                       "= on")
            path = write(self.verpost.base + "/reader.conf", "".join(
                "%s = %s\n" % item for item in dict(
                    self.verpost.settings, postgres='"%s"' % re.sub(
                        "user=[a-z]+", "user=" + name,
                        pg.conninfo("verpost"))).items()))
            status, text = self.run_command(
                "queue hold", "domain", "read.zz", "-c", path)
            self.assertEqual(status, 1, text)
            self.assertIn(said, text)
            status, text = self.run_command("queue", "-c", path)
            self.assertEqual(status, 0, text)
        self.assertEqual(self.run_command("queue rules")[1],
                         "Nothing is on hold or being canceled.\n")

    def test_an_account_that_is_not_there_is_named(self):
        self.assertEqual(
            self.run_command("queue hold", "account", "nobody"),
            (1, "verpost: there is no account 'nobody': 'verpost account "
                "list' lists them\n"))

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

    def test_check_lists_every_mistake_at_once(self):
        path = write(self.verpost.base + "/wrong.conf",
                     "mode = production\nredis = localhost\n\n"
                     "mx_private = 10.0.0.0\ncolour = blue\n"
                     "smtp_in_listen = mx.example:25\n")
        status, out, _ = self.verpost.command("check", "-c", path, "--json",
                                              check=False)
        self.assertEqual(status, 1)
        rows = json.loads(out)
        self.assertEqual({row["finding"] for row in rows}, {"bad"})
        for line, said in ((1, "simulator, log, live"),
                           (2, "unix:/path, not 'localhost'"),
                           (4, "networks like 10.0.0.0/8"),
                           (5, "verpost check --example"),
                           (6, "addresses with ports")):
            with self.subTest(line):
                texts = [row["text"] for row in rows
                         if row["text"].startswith("%s:%d: " % (path, line))]
                self.assertEqual(len(texts), 1, out)
                self.assertIn(said, texts[0])

    def checked(self, **settings):
        """What check says of this node with other settings."""
        with open(self.verpost.config) as stream:
            lines = [line for line in stream
                     if line.split("=")[0].strip() not in settings]
        lines += ["%s = %s\n" % one for one in settings.items()]
        path = write(self.verpost.base + "/other.conf", "".join(lines))
        status, out, _ = self.verpost.command("check", "-c", path, "--json",
                                              check=False)
        return status, json.loads(out)

    def test_check_lists_every_mistake_of_the_shaping_file(self):
        path = write(self.verpost.base + "/wrong-shaping.conf",
                     "[default]\nsite_connections = many\n\n"
                     "[provider Big]\n[provider a]\ndomains = A.test\n")
        for name, said in (
                (path, [":2: site_connections", ":4: a provider's name",
                        ":6: domains of provider a"]),
                (path + "-none", [": cannot open it"])):
            status, rows = self.checked(shaping_file=name)
            self.assertEqual(status, 1)
            texts = [row["text"] for row in rows
                     if (row["finding"], row["what"]) == ("bad",
                                                          "shaping_file")]
            self.assertEqual(len(texts), len(said), texts)
            for text, begin in zip(texts, said):
                self.assertEqual(text[:len(name + begin)], name + begin)

    def test_check_refuses_what_serve_refuses(self):
        theirs = self.verpost.base + "/theirs"
        os.makedirs(theirs, exist_ok=True)
        os.chown(theirs, 1, 1)
        alone = self.verpost.base + "/alone"
        with socket.socket() as taken:
            taken.bind((self.world.net + ".10", 0))
            taken.listen()
            port = "%s:%d" % taken.getsockname()
            for what, said, settings in (
                    ("user", "adduser", {"user": "nobody-of-that-name"}),
                    ("user", "root itself", {"user": "root"}),
                    ("run_dir", "belongs to uid 1", {"run_dir": theirs}),
                    ("state_dir", "belongs to uid 1", {"state_dir": theirs}),
                    ("key_file", "verpost keyfile create",
                     {"key_file": "/none"}),
                    ("smtp_in_cert", "/none", {"smtp_in_cert": "/none",
                                               "smtp_in_key": "/none"}),
                    # A master that runs has its ports: so, another one.
                    ("http_listen", "in use", {"run_dir": alone,
                                               "http_listen": port})):
                with self.subTest(what, **settings):
                    status, rows = self.checked(**settings)
                    self.assertEqual(status, 1)
                    texts = [row["text"] for row in rows
                             if row["what"] == what
                             and row["finding"] == "bad"]
                    self.assertEqual(len(texts), 1, rows)
                    self.assertIn(said, texts[0])

    def test_check_tries_the_addresses_while_one_runs(self):
        status, text = self.run_command("check")
        self.assertIn("verpost runs (process %d): 0 bad"
                      % self.verpost.process.pid, text)
        self.assertNotIn("can start", text)
        self.assertRegex(text, r"http_listen +\S+ is in use: by the verpost")
        status, rows = self.checked(http_listen="192.0.2.1:80")
        self.assertEqual(status, 1)
        texts = [row["text"] for row in rows
                 if row["what"] == "http_listen" and row["finding"] == "bad"]
        self.assertEqual(len(texts), 1, rows)
        self.assertIn("192.0.2.1:80", texts[0])

    def test_check_warns_of_what_a_live_node_should_not_have(self):
        database = self.verpost.pg.create_database("bare")
        with open(self.verpost.config) as stream:
            lines = [line for line in stream if line.split("=")[0].strip()
                     not in ("postgres", "http_listen", "mode")]
        lines += ["mode = live\n", "http_listen = 0.0.0.0:0\n",
                  'postgres = "%s"\n' % database]
        path = write(self.verpost.base + "/bare.conf", "".join(lines))
        self.verpost.command("migrate", "-c", path)
        self.verpost.command("source add", self.world.net + ".20", "--helo",
                             "a.zz", "-c", path)
        _, out, _ = self.verpost.command("check", "--json", "-c", path,
                                         check=False)
        said = {row["what"]: row["text"] for row in json.loads(out)
                if row["finding"] == "warning"}
        self.assertIn("loopback",
                      said["source %s.20" % self.world.net])
        self.assertIn("domain verify", said["domains"])
        self.assertIn("key add", said["keys"])
        self.assertIn("0.0.0.0:0 is not loopback", said["http_listen"])

    def test_check_asks_with_the_rights_of_the_user(self):
        """A socket that root may use and the workers may not."""
        private = self.verpost.base + "/private"
        os.makedirs(private, mode=0o700, exist_ok=True)
        os.symlink(self.verpost.redis.path, private + "/redis.sock")
        status, rows = self.checked(redis="unix:%s/redis.sock" % private)
        self.assertEqual(status, 0, rows)
        found = [row for row in rows if row["what"] == "redis"]
        self.assertEqual(found[0]["finding"], "warning", rows)
        self.assertIn("denied", found[0]["text"])
        self.assertFalse(found[0]["text"].startswith("redis:"), found)

    def test_check_sees_a_lock_file_that_this_user_cannot_open(self):
        run_dir = self.verpost.base + "/of-root-once"
        os.makedirs(run_dir, exist_ok=True)
        shutil.chown(run_dir, "nobody")
        write(run_dir + "/verpost.pid", "", 0o600)
        path = write(self.verpost.base + "/once.conf",
                     "run_dir = %s\n" % run_dir)
        status, out, _ = run(["setpriv", "--reuid", "nobody",
                              "--clear-groups", PROGRAM, "check", "--json",
                              "-c", path], check=False)
        self.assertEqual(status, 1)
        texts = [row["text"] for row in json.loads(out)
                 if row["what"] == "run_dir" and row["finding"] == "bad"]
        self.assertEqual(len(texts), 1, out)
        self.assertIn("verpost.pid: Permission denied", texts[0])

    def test_check_by_root_looks_whether_the_user_could_start_it(self):
        """The tests' key file is root's, who starts serve here."""
        alone = self.verpost.base + "/alone-too"
        free = self.world.net + ".10:0"
        settings = {"node": "alone-too", "run_dir": alone,
                    "http_listen": free, "smtp_in_listen": free,
                    "simulator_listen": free}
        keys = self.verpost.settings["key_file"]

        def found():
            status, rows = self.checked(**settings)
            self.assertEqual(status, 0, rows)
            _, out, _ = self.verpost.command(
                "check", "-c", self.verpost.base + "/other.conf")
            said = [row["text"] for row in rows
                    if (row["what"], row["finding"]) == ("key_file",
                                                         "warning")]
            return said, out
        said, out = found()
        self.assertEqual(len(said), 1, out)
        self.assertIn("can be read by root, not by nobody", said[0])
        self.assertIn("verpost can start by root, but not by its unit: 0 bad",
                      out)
        self.assertRegex(out, "ok +user +nobody: .* as root")
        shutil.chown(keys, "nobody")
        try:
            said, out = found()
        finally:
            os.chown(keys, 0, -1)
        self.assertEqual(said, [])
        self.assertIn("verpost can start: 0 bad", out)

    def test_a_key_file_made_by_root_is_its_users(self):
        theirs = self.verpost.base + "/etc-of-nobody"
        os.makedirs(theirs)
        shutil.chown(theirs, "nobody", "nogroup")
        path = theirs + "/keys"
        _, out, _ = self.verpost.command("keyfile create", path)
        self.assertIn("created for nobody", out)
        was, of_dir = os.stat(path), os.stat(theirs)
        self.assertEqual((was.st_uid, was.st_gid, was.st_mode & 0o7777),
                         (of_dir.st_uid, of_dir.st_gid, 0o600))

    def test_the_path_of_a_key_file_may_be_any(self):
        path = self.verpost.base + '/a "key" \\ file'
        self.assertEqual(self.verpost.command_json("keyfile create", path),
                         {"key_file": path})

    def test_a_key_file_that_may_not_be_read_says_whose_it_is(self):
        status, out, errors = run(
            ["setpriv", "--reuid", "nobody", "--clear-groups", PROGRAM,
             "domain", "add", "denied.zz", "-c", self.verpost.config],
            check=False)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("keys: Permission denied: belongs to root, not to "
                      "nobody: run this as root", errors)

    def test_check_refuses_the_run_dir_of_another_node_that_runs(self):
        status, rows = self.checked(node="another")
        self.assertEqual(status, 1)
        texts = [row["text"] for row in rows if row["what"] == "run_dir"
                 and row["finding"] == "bad"]
        self.assertEqual(len(texts), 1, rows)
        self.assertIn("is that of node 'node1', which runs (process %d)"
                      % self.verpost.process.pid, texts[0])
        self.assertNotIn("running", [row["what"] for row in rows])
        in_use = [row["what"] for row in rows if row["finding"] == "bad"
                  and "in use" in row["text"]]
        self.assertIn("http_listen", in_use)

    def test_commands_before_migrate_say_so(self):
        with open(self.verpost.config) as stream:
            lines = [line for line in stream
                     if not line.startswith("postgres ")]
        lines.append('postgres = "%s"\n'
                     % self.verpost.pg.create_database("unmigrated"))
        path = write(self.verpost.base + "/empty.conf", "".join(lines))
        for words in (["source list"], ["domain list"], ["key list"],
                      ["account list"], ["simulator list"],
                      ["suppression list"],
                      ["source add", "192.0.2.1", "--helo", "a.zz"]):
            with self.subTest(words):
                status, out, errors = self.verpost.command(
                    *words, "-c", path, check=False)
                self.assertEqual(status, 1)
                self.assertIn("run 'verpost migrate'", errors)
                self.assertNotIn("relation", out + errors)

    def test_a_postgres_that_cannot_be_reached_is_one_line(self):
        with open(self.verpost.config) as stream:
            text = stream.read()
        socket_dir = re.search(r"host=([^ \"]+)", text).group(1)
        for where, said in (
                ("host=/nonexistent", "is it running"),
                ("host=%s user=nobody_of_that_name" % socket_dir,
                 "sudo -u verpost"),
                ("host=localhost", "hostaddr=ADDRESS")):
            path = write(self.verpost.base + "/away.conf", re.sub(
                r"(?m)^postgres .*$",
                'postgres = "%s dbname=verpost"' % where, text))
            for words in (["account list"], ["migrate"]):
                with self.subTest(where, words=words):
                    status, out, errors = self.verpost.command(
                        *words, "-c", path, check=False)
                    self.assertEqual(status, 1)
                    self.assertEqual((out + errors).count("\n"), 1, errors)
                    self.assertIn(said, errors)

    def test_the_help_of_webhooks_names_every_kind_of_event(self):
        _, text = self.run_command("webhook add", "http://127.0.0.1:9/",
                                   "--events", "nonsense")
        kinds = re.findall(r" (email\.\w+)", text)
        self.assertGreater(len(kinds), 5, text)
        _, text = self.run_command("webhook add", "--help")
        self.assertEqual(set(re.findall(r"email\.\w+", text)), set(kinds))
        self.assertNotIn("...", text)

    def test_an_mx_that_nobody_can_publish_is_not_printed(self):
        with open(self.verpost.config) as stream:
            lines = [line for line in stream
                     if line.split("=")[0].strip() not in
                     ("mode", "smtp_in_hostname")]
        lines += ["mode = log\n", "smtp_in_hostname = shortname\n"]
        path = write(self.verpost.base + "/short.conf", "".join(lines))
        _, out, _ = self.verpost.command("domain add", "short.zz", "-c", path,
                                         "--account", "tester")
        self.assertNotIn("shortname", out)
        self.assertIn("set smtp_in_hostname", out)
        status, out, errors = self.verpost.command(
            "domain verify", "short.zz", "-c", path, check=False)
        self.assertEqual(status, 1)
        self.assertIn("set smtp_in_hostname", errors)
        self.verpost.command("domain remove", "short.zz", "--yes")

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
        spare = self.world.net + ".99"
        added = self.verpost.command_json("source add", spare, "--helo",
                                          "spare.sender.zz", "--node", "gone",
                                          "--daily", "50")
        self.assertEqual(added, dict(added, address=spare, pool="default",
                                     weight=1, daily=50))
        changed = self.verpost.command_json(
            "source set", spare, "--weight", "7", "--daily", "100")
        self.assertEqual(changed, dict(added, weight=7, daily=100))
        self.assertIn(changed, self.verpost.command_json("source list"))
        self.assertEqual(self.verpost.command_json("source remove", spare),
                         {"removed": spare})
        status, text = self.run_command("account remove", "second")
        self.assertEqual(status, 1)
        self.assertIn("its domains and their DKIM keys (0), API keys (1), "
                      "webhooks (0) and suppressions (0), for good: say "
                      "--yes", text)
        self.verpost.command("account remove", "second", "--yes")
        status, text = self.run_command("account remove", "second", "--yes")
        self.assertNotEqual(status, 0)
        self.assertIn("second", text)

    def test_a_name_is_a_line_that_can_be_shown(self):
        for bad in ("", " ", "a\nb", "a\x1b[2J", "a\x7f", "a\u0085b",
                    b"a\xff".decode("utf-8", "surrogateescape"), "x" * 101):
            for command in ("account add", "key add"):
                with self.subTest(command, name=bad):
                    if (command, bad) == ("key add", " "):
                        continue
                    status, text = self.run_command(command, bad)
                    self.assertEqual(status, 2)
                    self.assertIn("control characters", text)
            for words in (["source add", "192.0.2.77", "--helo", "far.zz"],
                          ["source set", self.world.net + ".20"]):
                with self.subTest(words[0], name=bad):
                    if bad == " ":
                        continue
                    status, text = self.run_command(*words, "--pool", bad)
                    self.assertEqual(status, 2)
                    self.assertIn("control characters", text)
        name = 'B\u00fccher "& S\u00f6hne" \\ x'
        self.assertEqual(
            self.verpost.command_json("account add", name)["name"], name)
        self.verpost.command("account remove", name, "--yes")

    def test_a_source_is_removed_while_an_mta_owns_it(self):
        address = self.world.net + ".98"
        self.verpost.command("source add", address, "--helo",
                             "spare.sender.zz")

        def state():
            return [row["state"] for row
                    in self.verpost.command_json("source list")
                    if row["address"] == address]
        wait_until("an mta owns it", lambda: state() == ["in use"], 30)
        status, text = self.run_command("source remove", address)
        self.assertEqual(status, 0, text)
        self.assertIn("gives it up", text)
        self.assertEqual(state(), [])
        ident = self.mail("still@sink.zz", "s")
        self.api.wait_event(ident, "delivered")

    def test_a_source_that_is_elsewhere_is_added_with_a_warning(self):
        status, out, errors = self.verpost.command(
            "source add", "192.0.2.77", "--helo", "far.sender.zz")
        self.assertIn("192.0.2.77 is not an address of this machine", errors)
        here = {row["address"]: row["on_this_machine"] for row
                in self.verpost.command_json("source list")}
        self.assertEqual(here["192.0.2.77"], "no")
        row = self.verpost.command_json("source list")[-1]
        self.assertEqual((row["address"], row["weight"], row["node"]),
                         ("192.0.2.77", 1, None))
        self.assertIn("yes", here.values())
        self.verpost.command("source remove", "192.0.2.77")
        _, _, errors = self.verpost.command(
            "source add", "192.0.2.77", "--helo", "far.sender.zz", "--node",
            "another", "--pool", "apart")
        self.assertRegex(errors, r"^warning: no node named 'another' runs: "
                         r".*\nThis one is 'node1' .*\n$")
        self.verpost.command("source remove", "192.0.2.77")

    def test_what_an_account_is_answered_can_be_changed(self):
        self.verpost.command("account set", "tester", "--suppressed-answer",
                             "200")
        answers = [row["suppressed_answer"] for row
                   in self.verpost.command_json("account list")
                   if row["name"] == "tester"]
        self.assertEqual(answers, [200])
        self.verpost.command("account set", "tester", "--suppressed-answer",
                             "422")
        for words, said in (
                ([], "nothing to set"),
                (["--suppressed-answer", "300"], "must be 200 or 422"),
                (["--weight", "3"], "--weight 3: must be 1, 2, 4"),
                (["--weight", "256"], "--weight")):
            status, text = self.run_command("account set", "tester", *words)
            self.assertEqual(status, 2)
            self.assertIn(said, text)
        status, text = self.run_command("account set", "tester",
                                        "--broadcast-pool", "none")
        self.assertEqual(status, 1)
        self.assertIn("none: no such pool", text)

    def test_help_of_what_is_no_command_is_an_error(self):
        status, text = self.run_command("help", "frobnicate")
        self.assertEqual(status, 2)
        self.assertIn("no command 'frobnicate'", text)
        status, _ = self.run_command("help", "domain", "add")
        self.assertEqual(status, 0)

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
        self.verpost.command("domain remove", "partly.zz", "--yes")

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

    def test_suppressions_of_an_origin_that_is_none_are_refused(self):
        status, text = self.run_command("suppression list", "--origin", "foo")
        self.assertEqual(status, 2)
        self.assertIn("bounce, complaint or manual, not 'foo'", text)
        status, text = self.run_command("suppression list", "--origin",
                                        "complaint")
        self.assertEqual(status, 0, text)

    def test_a_domain_that_is_there_already_is_said_to_be_whose(self):
        self.verpost.command("account add", "owner")
        self.verpost.command("domain add", "owned.zz", "--account", "owner")
        status, text = self.run_command("domain add", "owned.zz", "--account",
                                        "tester")
        self.assertEqual(status, 1)
        self.assertIn("'owned.zz' is there already, of account 'owner'", text)
        self.verpost.command("account remove", "owner", "--yes")

    def test_a_source_can_be_given_to_a_node_and_to_all_again(self):
        address = self.world.net + ".97"
        self.verpost.command("source add", address, "--helo", "to.sender.zz",
                             "--pool", "apart")

        def node():
            return [row["node"] for row
                    in self.verpost.command_json("source list")
                    if row["address"] == address]
        self.assertEqual(node(), [None])
        _, _, errors = self.verpost.command("source set", address, "--node",
                                            "far")
        self.assertIn("no node named 'far' runs", errors)
        self.assertEqual(node(), ["far"])
        self.verpost.command("source set", address, "--weight", "3")
        self.assertEqual(node(), ["far"])
        _, _, errors = self.verpost.command("source set", address, "--node",
                                            "none")
        self.assertEqual((node(), errors), ([None], ""))
        self.verpost.command("source remove", address)

    def test_what_is_wrong_with_a_command_line_ends_with_2(self):
        for words in (["queue", "--by", "foo"], ["source set", "192.0.2.1"],
                      ["queue hold", "planet", "x"], ["account set", "tester"],
                      ["source add", "192.0.2.1"], ["source add", "x"],
                      ["source set", "192.0.2.1", "--weight", "0"],
                      ["trace", "x.zz", "--for", "soon"],
                      ["webhook add", "http://127.0.0.1:9/", "--events", "x"],
                      ["suppression add", "nobody"], ["domain show", "-"],
                      ["key remove", "x"], ["no-such-command"],
                      ["domain add", "x.zz", "--no-such-option"]):
            with self.subTest(words):
                status, text = self.run_command(*words)
                self.assertEqual(status, 2, text)

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
