"""
verpost dev: everything by itself, nothing that leaves the machine. It runs in
a network namespace that has only lo.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import (Process, directory, run, scratch,  # noqa: E402
                           wait_until)
from harness.verpost import PROGRAM, Answer  # noqa: E402

# Runs inside the namespace, where the API is; one request per run.
_REQUEST = """
import http.client, json, sys
call = json.load(sys.stdin)
link = http.client.HTTPConnection(call["host"], call["port"], timeout=30)
link.request(call["method"], call["path"], call["body"], call["headers"])
got = link.getresponse()
body = got.read().decode("utf-8", "replace")
print(json.dumps([got.status, body]))
"""


class Dev:
    """verpost dev in a name space of its own."""

    def __init__(self, data, log, prefix=()):
        self.data = data
        self.process = Process("dev", [
            "unshare", "--net", "--", "sh", "-c",
            'ip link set lo up && exec "$0" "$@"'] + list(prefix) + [
            PROGRAM, "dev", "--data", data], log)

    def ready(self, seconds=60):
        path = os.path.join(self.data, "dev.json")

        def up():
            self.process.must_run()
            try:
                with open(path) as stream:
                    self.info = json.load(stream)
                return self.request("GET", "/emails").status == 200
            except (OSError, ValueError, subprocess.CalledProcessError):
                return False

        wait_until("verpost dev answers", up, seconds, 0.2)
        return self

    def inside(self, argv, text=None):
        return subprocess.run(
            ["nsenter", "--net", "--target", str(self.process.pid)] + argv,
            input=text, text=True, capture_output=True, timeout=60,
            check=True).stdout

    def request(self, method, path, body=None):
        host, port = self.info["http"].rsplit("/", 1)[-1].split(":")
        out = self.inside(["/usr/bin/python3", "-c", _REQUEST], json.dumps({
            "host": host, "port": int(port), "method": method, "path": path,
            "body": None if body is None else json.dumps(body),
            "headers": {"Authorization": "Bearer " + self.info["api_key"],
                        "User-Agent": "t",
                        "Content-Type": "application/json"}}))
        status, text = json.loads(out)
        return Answer(status, {}, text.encode())

    def mail(self, to, subject="s"):
        answer = self.request("POST", "/emails", {
            "from": "hello@" + self.info["domain"], "to": to,
            "subject": subject, "text": "x"})
        if answer.status != 200:
            raise AssertionError("POST /emails: %r" % answer)
        return answer.json["id"]

    def event(self, ident):
        return self.request("GET", "/emails/" + ident).json["last_event"]

    def wait_event(self, ident, event, seconds=30):
        wait_until("%s becomes %s" % (ident, event),
                   lambda: self.event(ident) == event, seconds, 0.2)

    def stop(self):
        self.process.send(signal.SIGINT)
        return self.process.wait(60)


def left_over(directory_name):
    """Processes that still have a directory in their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/cmdline" % name) as stream:
                    line = stream.read()
            except OSError:
                continue
            if directory_name in line:
                found.append((name, line))
    return found


class DevCommand(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(PROGRAM):
            raise unittest.SkipTest("no program at %s" % PROGRAM)
        status, _, errors = run(["unshare", "--net", "true"], check=False)
        if status != 0:
            raise unittest.SkipTest("no network namespace: "
                                    + errors.strip())
        cls.base = scratch()
        cls.dev = Dev(cls.base + "/data", cls.base + "/log").ready()

    @classmethod
    def tearDownClass(cls):
        cls.dev.process.stop(signal.SIGINT, 30)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for path in (self.dev.process.log_path,
                         self.dev.data + "/verpost.log"):
                with open(path, errors="replace") as stream:
                    print("--- %s ends with\n%s" % (
                        path, stream.read()[-4000:]))
        return result

    def test_dev_json_is_for_its_owner_alone(self):
        path = self.dev.data + "/dev.json"
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        for key in ("http", "smtp_in", "api_key", "domain"):
            self.assertTrue(self.dev.info[key], key)

    def test_it_listens_on_loopback_only(self):
        out = self.dev.inside(["ss", "-Hltn"])
        self.assertTrue(out.strip())
        for line in out.splitlines():
            self.assertRegex(line.split()[3], r"^(127\.|\[::1\])", line)

    def test_the_database_servers_have_no_port(self):
        out = self.dev.inside(["ss", "-Hltnp"])
        self.assertNotIn("postgres", out)
        self.assertNotIn("redis", out)

    def test_the_simulator_acts_out_every_outcome(self):
        wanted = {"delivered": "delivered", "bounced": "bounced",
                  "bounced-later": "bounced", "rejected": "bounced",
                  "code-552-5.3.4": "bounced", "anything": "delivered",
                  "DELIVERED+label": "delivered"}
        idents = {who: self.dev.mail(who + "@example.net")
                  for who in wanted}
        for who, event in wanted.items():
            with self.subTest(who):
                self.dev.wait_event(idents[who], event, 60)

    def test_deferred_is_delayed_first_and_then_delivered(self):
        ident = self.dev.mail("deferred@example.net")
        self.dev.wait_event(ident, "delivery_delayed", 20)
        # The first pause is a minute, with a fifth more or less.
        self.dev.wait_event(ident, "delivered", 120)

    def test_captured_mail_can_be_listed_and_read(self):
        ident = self.dev.mail("reader@example.net", "to be read")
        self.dev.wait_event(ident, "delivered")

        def listed():
            _, out, _ = run([PROGRAM, "simulator", "list", "--json", "-c",
                             self.dev.info["config"]])
            return [row for row in json.loads(out)
                    if row["to"] == "reader@example.net"]

        row = wait_until("the mail is listed", listed)[0]
        _, raw, _ = run([PROGRAM, "simulator", "show", row["id"], "-c",
                         self.dev.info["config"]])
        self.assertIn("Subject: to be read", raw)
        self.assertIn("DKIM-Signature:", raw)
        # Also by the email, and by the recipient: its last octet is 1 more.
        recipient = ident[:-2] + "%02x" % (int(ident[-2:], 16) + 1)
        for other in (ident, recipient):
            self.assertEqual(self.show(other), (0, raw))
        status, said = self.show(ident[:-2] + "%02x" % (
            int(ident[-2:], 16) + 2))
        self.assertEqual(status, 1)
        self.assertIn("simulator list", said)

    def show(self, ident):
        status, out, errors = run([PROGRAM, "simulator", "show", ident, "-c",
                                   self.dev.info["config"]], check=False)
        return status, out + errors

    def test_of_several_captured_mails_there_is_a_list(self):
        ident = self.dev.mail(["one@example.net", "two@example.net"], "s")
        self.dev.wait_event(ident, "delivered")

        def both():
            status, said = self.show(ident)
            return status == 1 and "there are 2 mails" in said and said

        said = wait_until("both are there", both)
        self.assertIn("one@example.net", said)
        self.assertIn("two@example.net", said)

    def test_the_way_to_send_from_a_new_domain_is_told(self):
        """Each step says the next one, and the last one works."""
        config = ["-c", self.dev.info["config"]]
        _, said, _ = run([PROGRAM, "domain", "add", "new.test"] + config)
        self.assertIn("domain verify new.test --unchecked\n", said)
        body = {"from": "a@new.test", "to": "delivered@example.net",
                "subject": "s", "text": "t"}
        answer = self.dev.request("POST", "/emails", body)
        self.assertEqual(answer.status, 403)
        self.assertIn("verpost domain verify new.test", str(answer.json))
        status, _, errors = run([PROGRAM, "domain", "verify", "new.test"]
                                + config, check=False)
        self.assertEqual(status, 1)
        self.assertIn("domain verify new.test --unchecked", errors)
        _, said, _ = run([PROGRAM, "domain", "verify", "new.test",
                          "--unchecked"] + config)
        self.assertIn("within seconds", said)

        def accepted():
            return self.dev.request("POST", "/emails", body).status == 200

        wait_until("the domain may send", accepted, 20)


class DevLife(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        DevCommand.setUpClass.__func__(cls)
        cls.dev.process.stop(signal.SIGINT, 60)

    def one_life(self, data, check=None, prefix=()):
        log = scratch() + "/log"
        dev = Dev(data, log, prefix)
        try:
            dev.ready()
            result = check(dev) if check else None
            status = dev.stop()
            self.assertEqual(status, 0, dev.process.log()[-3000:])
        finally:
            dev.process.kill()
        wait_until("all it started has ended",
                   lambda: not left_over(data), 10)
        return result

    def test_started_again_it_finds_its_data(self):
        data = scratch() + "/data"

        def send(dev):
            ident = dev.mail("delivered@example.net")
            dev.wait_event(ident, "delivered")
            return ident, dev.info["api_key"]

        ident, key = self.one_life(data, send)

        def find(dev):
            self.assertEqual(dev.event(ident), "delivered")
            self.assertEqual(dev.info["api_key"], key)

        self.one_life(data, find)

    def test_after_being_killed_it_starts_again(self):
        data = scratch() + "/data"
        dev = Dev(data, scratch() + "/log").ready()
        ident = dev.mail("delivered@example.net")
        dev.process.kill()
        wait_until("all it started has ended",
                   lambda: not left_over(data), 30)
        self.one_life(data, lambda dev: dev.wait_event(ident, "delivered"))

    def test_asked_to_stop_while_it_sets_up_it_goes_no_further(self):
        data = scratch() + "/data"
        dev = Dev(data, scratch() + "/log")
        try:
            # Signals are held back by now; the cluster is being made.
            wait_until("it has begun",
                       lambda: os.path.exists(data + "/runtime"), 30, 0.002)
            dev.process.send(signal.SIGTERM)
            self.assertEqual(dev.process.wait(60), 0, dev.process.log())
        finally:
            dev.process.kill()
        # The last thing that the set-up writes.
        self.assertFalse(os.path.exists(data + "/dev.json"))
        wait_until("all it started has ended",
                   lambda: not left_over(data), 10)

    def test_a_very_long_path(self):
        self.one_life(directory(os.path.join(
            scratch(), *["a-rather-long-name"] * 12)) + "/data")

    def test_below_a_directory_that_others_cannot_enter(self):
        closed = directory(scratch() + "/closed", mode=0o700)
        self.one_life(closed + "/data")

    def test_as_an_ordinary_user(self):
        base = scratch()
        data = directory(base + "/home", "nobody") + "/data"
        self.one_life(data, prefix=[
            "setpriv", "--reuid=nobody", "--regid=nogroup",
            "--clear-groups", "--"])


if __name__ == "__main__":
    runner.main()
