"""verpost dev beside, and after, another one on the same directory."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import children_of, run, scratch, wait_until  # noqa: E402
from harness.verpost import PROGRAM  # noqa: E402
from test_dev import Dev  # noqa: E402


def first_line(path):
    with open(path) as stream:
        return stream.readline().strip()


def ended(pid):
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Leftover(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(PROGRAM):
            raise unittest.SkipTest("no program at %s" % PROGRAM)
        status, _, errors = run(["unshare", "--net", "true"], check=False)
        if status != 0:
            raise unittest.SkipTest("no network namespace: "
                                    + errors.strip())

    def setUp(self):
        base = scratch()
        self.data = base + "/data"
        self.log = base + "/log"
        self.dev = Dev(self.data, self.log).ready()

    def tearDown(self):
        self.dev.process.stop(signal.SIGINT, 60)

    def servers(self):
        """Numbers of PostgreSQL, Redis and the master."""
        master = next(pid for pid, title
                      in children_of(self.dev.info["pid"]).items()
                      if title.startswith("verpost: master"))
        return [int(first_line(self.data + "/postgres/postmaster.pid")),
                int(first_line(self.data + "/redis/redis.pid")), master]

    def test_a_second_one_on_the_same_directory_says_so(self):
        status, out, errors = run([PROGRAM, "dev", "--data", self.data],
                                  check=False)
        self.assertEqual(status, 1)
        self.assertIn(str(self.dev.info["pid"]), out + errors)
        self.assertIn(self.data, out + errors)
        self.assertEqual(self.dev.request("GET", "/emails").status, 200)

    def test_a_second_quickstart_says_that_and_nothing_else(self):
        """Not what the first one had written, nor steps before it."""
        with open(self.data + "/dev.log", "w") as stream:
            stream.write("Verpost is ready\n")
        contrib = os.environ["VERPOST_SOURCE"] + "/contrib"
        for command in (
                [contrib + "/quickstart", "--data", self.data],
                # Of the directory it is started in, which is the root.
                [contrib + "/quickstart", "--data", self.data[1:]],
                ["/usr/bin/python3", "-B", contrib + "/demo.py", "--once",
                 PROGRAM, self.data]):
            with self.subTest(command[0]):
                status, out, errors = run(command, check=False)
                self.assertEqual(status, 1)
                self.assertNotIn("is ready", out + errors)
                self.assertEqual(len(errors.strip().split("\n")), 1, errors)
                self.assertIn("process %d" % self.dev.info["pid"], errors)
                self.assertIn(self.data, errors)
                self.assertNotIn("/" + self.data, errors)
        self.assertEqual(self.dev.request("GET", "/emails").status, 200)

    def test_servers_that_outlive_it_do_not_block_the_next_start(self):
        pids = self.servers()
        key = self.dev.info["api_key"]
        # Stopped, they cannot follow when it dies.
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self.dev.process.kill()
        runtime = first_line(self.data + "/runtime")
        self.assertTrue(os.path.isdir(runtime))
        self.dev = Dev(self.data, self.log).ready()
        for pid in pids:
            self.assertTrue(ended(pid), pid)
        self.assertFalse(os.path.exists(runtime))
        self.assertEqual(self.dev.info["api_key"], key)
        ident = self.dev.mail("delivered@example.net")
        self.dev.wait_event(ident, "delivered")

    def test_a_stranger_with_a_recorded_number_is_left_alone(self):
        self.dev.process.stop(signal.SIGINT, 60)
        for name in ("postgres/postmaster.pid", "redis/redis.pid"):
            with open(os.path.join(self.data, name), "w") as stream:
                stream.write("%d\n" % os.getpid())
        os.unlink(self.data + "/postgres/postmaster.pid")
        self.dev = Dev(self.data, self.log).ready()
        self.assertEqual(self.dev.request("GET", "/emails").status, 200)

    def test_a_server_that_dies_is_started_again(self):
        postgres, redis, master = self.servers()
        for pid in (redis, postgres, master):
            os.kill(pid, signal.SIGKILL)
            wait_until("it is gone", lambda: ended(pid))

            def works():
                try:
                    ident = self.dev.mail("delivered@example.net")
                    self.dev.wait_event(ident, "delivered", 15)
                    return True
                except (AssertionError, OSError, json.JSONDecodeError,
                        subprocess.CalledProcessError):
                    return False

            wait_until("mail goes again", works, 60, 0.5)

    def test_a_stop_leaves_nothing(self):
        pids = self.servers()
        runtime = first_line(self.data + "/runtime")
        self.dev.process.send(signal.SIGTERM)
        self.assertEqual(self.dev.process.wait(60), 0)
        for pid in pids:
            self.assertTrue(ended(pid), pid)
        self.assertFalse(os.path.exists(runtime))


if __name__ == "__main__":
    runner.main()
