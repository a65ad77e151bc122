"""
verpost serve as a set of processes: who they are, that the dead come back,
how all of it ends, and what it takes when idle.
"""

import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import (Process, children_of, scratch,  # noqa: E402
                           subnet, wait_until, write)
from harness.storage import Postgres, Redis, port_open  # noqa: E402
from harness.verpost import PROGRAM, Api, Verpost  # noqa: E402

ROLES = ["hooks", "httpd", "keeper", "mta", "parser", "simulator", "smtpd"]


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open("/proc/%d/status" % pid) as stream:
        return dict(line.rstrip("\n").split(":\t", 1)
                    for line in stream if ":\t" in line)


def alive(pid):
    try:
        return not status_of(pid)["State"].startswith("Z")
    except (OSError, KeyError):
        return False


def pss_kb(pid):
    with open("/proc/%d/smaps_rollup" % pid) as stream:
        return int(re.search(r"^Pss:\s+(\d+)", stream.read(), re.M).group(1))


class MasterTest(unittest.TestCase):
    """Servers for all cases; each case starts the node it needs."""

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(PROGRAM):
            raise unittest.SkipTest("no program at %s" % PROGRAM)
        cls.base, cls.net = scratch(), subnet()
        cls.pg, cls.redis = Postgres(cls.base), Redis(cls.base)
        cls.node = Verpost(cls.base, cls.net, cls.pg, cls.redis,
                           settings={"mode": "simulator"})
        cls.node.command("account add", "tester")
        cls.node.command("source add", cls.net + ".20", "--helo", "a.test")
        cls.node.command("domain add", "sender.zz", "--unchecked")
        cls.node.api = Api(*cls.node.http, cls.node.command_json(
            "key add", "k")["key"])
        cls.usual = dict(cls.node.settings)

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()
        cls.pg.stop()

    def setUp(self):
        self.node.settings = dict(self.usual)
        self.node.write_config()

    def tearDown(self):
        if self.node.process is not None:
            self.node.process.stop(signal.SIGTERM, 20)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and \
                self.node.process is not None:
            print("--- the log ends with\n%s---"
                  % self.node.process.log()[-4000:])

    def start(self):
        """A node of which every role is ready."""
        if os.path.exists(self.node.log):
            os.unlink(self.node.log)
        self.node.start()
        self.wait_log(r"master\.ready")
        return self.node.process

    def wait_log(self, pattern, count=1, seconds=20):
        return wait_until(
            "the log says %s" % pattern,
            lambda: len(re.findall(pattern, self.node.process.log()))
            >= count, seconds)

    def roles(self):
        """{name and number: pid}"""
        return {title.replace("verpost: ", ""): pid for pid, title
                in children_of(self.node.process.pid).items()
                if title.startswith("verpost: ")}

    def mail(self, to="delivered@example.net"):
        return self.node.api.send(**{"from": "a@sender.zz", "to": to,
                                     "subject": "s", "text": "t"})

    def refused(self, seconds=30):
        """What serve says when it does not start."""
        log = self.base + "/refused"
        write(log, "")
        process = Process("verpost", [PROGRAM, "serve", "-c",
                                      self.node.config], log)
        status = process.wait(seconds)
        process.kill()
        self.assertEqual(status, 1, process.log())
        return process.log()


class Life(MasterTest):
    def test_every_role_has_a_name_and_no_privileges(self):
        process = self.start()
        roles = self.roles()
        self.assertEqual(sorted(roles), [r + " 0" for r in ROLES])
        for name, pid in roles.items():
            with self.subTest(name):
                status = status_of(pid)
                self.assertEqual(set(status["Uid"].split()), {"65534"})
                self.assertEqual(set(status["Gid"].split()), {"65534"})
                self.assertEqual(status["Groups"].strip(), "")
                self.assertEqual(int(status["CapPrm"], 16), 0)
                self.assertEqual(int(status["CapEff"], 16), 0)
                self.assertEqual(status["NoNewPrivs"].strip(), "1")
                self.assertEqual(status["Name"], name)
        self.assertEqual(status_of(roles["parser 0"])["Seccomp"], "2")
        self.assertEqual(status_of(process.pid)["Name"], "master")

    def test_a_role_holds_no_port_but_its_own(self):
        self.start()
        def sockets(pid):
            found = set()
            for fd in os.listdir("/proc/%d/fd" % pid):
                try:
                    target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                except OSError:
                    continue
                if target.startswith("socket:"):
                    found.add(target[8:-1])
            return found

        listening = {}
        with open("/proc/net/tcp") as stream:
            for line in stream.readlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    listening[words[9]] = int(words[1].split(":")[1], 16)
        ports = {name: {listening[s] for s in sockets(pid)
                        if s in listening}
                 for name, pid in self.roles().items()}
        self.assertEqual(ports.pop("httpd 0"), {self.node.http[1]})
        self.assertEqual(ports.pop("smtpd 0"), {self.node.smtp_in[1]})
        self.assertEqual(len(ports.pop("simulator 0")), 1)
        for name, held in ports.items():
            self.assertEqual(held, set(), name)

    def test_a_killed_child_is_back_at_once_then_after_a_pause(self):
        self.start()
        for name in ("mta 0", "httpd 0", "parser 0", "keeper 0"):
            with self.subTest(name):
                first = self.roles()[name]
                os.kill(first, signal.SIGKILL)
                began = time.monotonic()
                second = wait_until(
                    name + " is back", lambda: self.roles().get(name)
                    not in (None, first) and self.roles()[name], 5)
                self.assertLess(time.monotonic() - began, 0.9)
                os.kill(second, signal.SIGKILL)
                began = time.monotonic()
                wait_until(
                    name + " is back again", lambda: self.roles().get(name)
                    not in (None, first, second), 5)
                self.assertGreater(time.monotonic() - began, 0.9)
        self.wait_log("child.end.*signal=Killed", 8)
        ident = self.mail()
        self.node.api.wait_event(ident, "delivered")

    def test_a_child_that_stands_still_is_killed_and_replaced(self):
        self.node.env["VERPOST_TEST_HASTE"] = "5"
        self.addCleanup(self.node.env.pop, "VERPOST_TEST_HASTE")
        self.start()
        before = self.roles()
        stopped = ("mta 0", "parser 0")
        for name in stopped:
            os.kill(before[name], signal.SIGSTOP)
        for name in stopped:
            wait_until(name + " is another process", lambda n=name:
                       self.roles().get(n) not in (None, before[n]), 40)
            self.wait_log("child.stuck .*child=\"%s\" pid=%d "
                          % (name, before[name]))
        for name in set(ROLES) - {"mta", "parser"}:
            self.assertEqual(before[name + " 0"], self.roles()[name + " 0"])
        self.node.api.wait_event(self.mail(), "delivered")

    def test_a_master_that_was_stopped_too_kills_nobody(self):
        """The machine was paused; its children go on some time after it."""
        self.node.env["VERPOST_TEST_HASTE"] = "5"
        self.addCleanup(self.node.env.pop, "VERPOST_TEST_HASTE")
        process = self.start()
        before = self.roles()
        wait_until("both have beaten", lambda: self.node.pg.value(
            "SELECT count(DISTINCT role) FROM workers WHERE NOT dead") == "2")
        for pid in [process.pid] + list(before.values()):
            os.kill(pid, signal.SIGSTOP)
        wait_until("nobody was seen for longer than a child may stand still",
                   lambda: self.node.pg.value(
                       "SELECT max(seen_at) < clock_timestamp() - "
                       "interval '4 s' FROM workers WHERE NOT dead") == "t")
        for pid in [process.pid] + list(before.values()):
            os.kill(pid, signal.SIGCONT)
        self.node.api.wait_event(self.mail(), "delivered")
        self.assertEqual(self.roles(), before)
        self.assertNotIn("child.stuck", process.log())

    def test_a_drain_finishes_what_has_begun(self):
        self.node.settings["drain_time"] = "20s"
        self.node.write_config()
        process = self.start()
        # The simulator answers the final dot after five seconds.
        ident = self.mail("slow@example.net")
        wait_until("it is being sent", lambda: self.node.mail_sql(
            "SELECT count(*) FROM attempts WHERE recipient %s", ident)
            == "1", 10)
        began = time.monotonic()
        process.send(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.node.mail_sql(
            "SELECT count(*) FROM attempts WHERE recipient %s "
            "AND outcome = 1", ident), "1")
        self.assertEqual(children_of(process.pid), {})

    def test_what_does_not_end_in_time_is_killed(self):
        self.node.settings["drain_time"] = "1s"
        self.node.write_config()
        process = self.start()
        os.kill(self.roles()["mta 0"], signal.SIGSTOP)
        process.send(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)
        self.assertIn("did not end in time", process.log())

    def test_a_second_signal_does_not_wait(self):
        self.node.settings["drain_time"] = "60s"
        self.node.write_config()
        process = self.start()
        os.kill(self.roles()["mta 0"], signal.SIGSTOP)
        process.send(signal.SIGTERM)
        self.wait_log(r"master\.stop")
        process.send(signal.SIGTERM)
        self.assertEqual(process.wait(5), 0)

    def test_after_the_master_is_killed_nobody_is_left_and_it_starts_again(
            self):
        process = self.start()
        pids = list(self.roles().values())
        os.kill(process.pid, signal.SIGKILL)
        process.popen.wait()
        # While they end, the next one waits for their ports.
        self.start()
        wait_until("all children have ended",
                   lambda: not any(alive(p) for p in pids), 15)
        self.node.api.wait_event(self.mail(), "delivered")

    def test_one_run_dir_has_one_master(self):
        process = self.start()
        said = self.refused()
        self.assertIn("process %d" % process.pid, said)
        self.assertIn("run_dir", said)
        self.assertTrue(port_open(*self.node.http))

    def test_the_lock_of_a_root_is_no_obstacle_to_its_user(self):
        """Tried as root first, then under a service manager."""
        self.start().stop(signal.SIGTERM, 20)
        path = self.node.settings["run_dir"] + "/verpost.pid"
        self.assertEqual(os.stat(path).st_uid, pwd.getpwnam("nobody").pw_uid)

    def test_a_lock_that_is_let_go_is_waited_for(self):
        run_dir = self.node.settings["run_dir"]
        os.makedirs(run_dir, exist_ok=True)
        shutil.chown(run_dir, "nobody")
        with open(run_dir + "/verpost.pid", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.exists(self.node.log):
                os.unlink(self.node.log)
            self.node.spawn()
            self.wait_log(r"lock\.wait")
        self.wait_log(r"master\.ready")

    def test_asked_to_stop_while_it_starts_it_ends_in_order(self):
        """A PostgreSQL that takes the connection and says nothing."""
        path = self.base + "/mute"
        os.makedirs(path, exist_ok=True)
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(path + "/.s.PGSQL.5432")
            os.chmod(path + "/.s.PGSQL.5432", 0o777)
            mute.listen()
            mute.settimeout(30)
            self.node.settings["postgres"] = "host=%s user=x" % path
            self.node.write_config()
            self.node.spawn()
            # The process that asks has come so far.
            with mute.accept()[0]:
                self.node.process.send(signal.SIGTERM)
                self.assertEqual(self.node.process.wait(20), 0)
        self.assertIn("asked to stop", self.node.process.log())
        # Nobody is left with the lock.
        with open(self.node.settings["run_dir"] + "/verpost.pid") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_redis_that_is_away_is_no_reason_to_wait(self):
        self.node.settings["redis"] = "unix:%s/no-redis" % self.base
        self.node.write_config()
        self.start()
        lines = re.findall(r"^.*what=redis .*$", self.node.process.log(),
                           re.M)
        # The reason is known, so no time-out was waited for.
        self.assertIn("No such file", lines[0])

    def test_a_port_in_use_is_named(self):
        with socket.socket() as other:
            other.bind(self.node.smtp_in)
            other.listen()
            said = self.refused()
        self.assertIn("smtp_in", said)
        self.assertIn("%s:%d" % self.node.smtp_in, said)
        self.assertIn("in use", said)


class Reload(MasterTest):
    def test_new_settings_take_effect_one_child_after_another(self):
        process = self.start()
        before = self.roles()
        self.node.settings.update(mta_processes="2", hooks_processes="0")
        self.node.write_config()
        process.send(signal.SIGHUP)
        self.wait_log(r"master\.reloaded", seconds=30)
        after = wait_until(
            "there are two mta and no hooks", lambda: "mta 1" in self.roles()
            and "hooks 0" not in self.roles() and self.roles())
        for name in ("httpd 0", "mta 0", "smtpd 0", "parser 0", "keeper 0",
                     "simulator 0"):
            self.assertNotEqual(before[name], after[name], name)
        self.assertNotIn("child.end.*error", process.log())
        self.node.api.wait_event(self.mail(), "delivered")
        self.node.settings.update(mta_processes="1", hooks_processes="1")
        self.node.write_config()
        process.send(signal.SIGHUP)
        self.wait_log(r"master\.reloaded", 2, 30)
        wait_until("all is as before", lambda: sorted(self.roles())
                   == [r + " 0" for r in ROLES])
        self.node.api.wait_event(self.mail(), "delivered")

    def test_a_bad_file_changes_nothing(self):
        process = self.start()
        before = self.roles()
        for wrong in ("mta_processes = many", "nonsense = 1",
                      "key_file = /nonexistent"):
            with self.subTest(wrong):
                lines = [line for line in open(self.node.config)
                         if line.split(" ")[0] != wrong.split(" ")[0]]
                write(self.node.config, "".join(lines) + wrong + "\n")
                count = process.log().count("nothing changed")
                process.send(signal.SIGHUP)
                self.wait_log("nothing changed", count + 1)
                self.assertEqual(self.roles(), before)
                self.node.write_config()

    def test_ports_wait_for_a_restart_and_the_log_says_so(self):
        process = self.start()
        self.node.settings["http_listen"] = self.net + ".11:18026"
        self.node.write_config()
        process.send(signal.SIGHUP)
        self.wait_log(r"master\.reloaded", seconds=30)
        self.assertRegex(process.log(), "setting=http_listen")
        self.assertTrue(port_open(*self.node.http))

    def test_debug_lines_can_be_switched(self):
        process = self.start()
        self.assertNotIn(" debug ", process.log())
        process.send(signal.SIGUSR1)

        def loud():
            self.node.api.wait_event(self.mail(), "delivered")
            return " debug mta/0 " in process.log()

        wait_until("there are debug lines", loud, 20, 0.2)


class Supervision(MasterTest):
    def test_systemd_is_told(self):
        path = self.base + "/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(20)
            self.node.env.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
            try:
                process = self.start()

                def heard(wanted):
                    wait_until("systemd hears " + wanted, lambda: wanted in
                               notify.recv(4096).decode(), 20, 0)

                heard("READY=1")
                heard("WATCHDOG=1")
                heard("WATCHDOG=1")
                process.send(signal.SIGHUP)
                heard("RELOADING=1")
                heard("READY=1")
                process.send(signal.SIGTERM)
                heard("STOPPING=1")
                self.assertEqual(process.wait(20), 0)
            finally:
                del self.node.env["NOTIFY_SOCKET"]
                del self.node.env["WATCHDOG_USEC"]
                os.unlink(path)

    def test_idle_it_takes_less_than_100_MB(self):
        with open(PROGRAM, "rb") as stream:
            if b"__asan_init" in stream.read():
                self.skipTest("built with a sanitizer")
        process = self.start()
        self.node.api.wait_event(self.mail(), "delivered")
        pids = [process.pid] + list(self.roles().values())
        total = sum(pss_kb(pid) for pid in pids)
        print("idle: %d kB in %d processes" % (total, len(pids)))
        self.assertLess(total, 100 * 1024)


class Keeper(MasterTest):
    def days(self, table="emails"):
        return {row[0] for row in self.pg.sql(
            "SELECT relname FROM pg_class WHERE relname LIKE '%s_2%%' "
            "AND relkind = 'r'" % table)}

    def test_one_node_leads_and_another_takes_over(self):
        first = self.start()
        self.wait_log("keeper.leader")
        other = Verpost(self.base, subnet(), self.pg_again(), self.redis,
                        settings={"mode": "simulator"}, name="node2")
        other.start()
        try:
            wait_until("node2 runs", lambda: "master.ready"
                       in other.process.log())
            self.assertNotIn("keeper.leader", other.process.log())
            os.kill(first.pid, signal.SIGTERM)
            first.wait(20)
            wait_until("node2 leads", lambda: "keeper.leader"
                       in other.process.log(), 20)
        finally:
            other.stop()

    def pg_again(self):
        """The same database under another node's hands."""
        class Same:
            def create_database(_, name):
                return self.usual["postgres"].strip('"')
        return Same()

    def test_days_are_made_ahead_also_when_the_clock_jumps(self):
        self.start()
        self.wait_log("keeper.leader")
        before = self.days()
        self.node.clock.advance(20 * 86400)
        try:
            wait_until("there are new days",
                       lambda: len(self.days() - before) >= 10, 20)
            self.node.api.wait_event(self.mail(), "delivered")
        finally:
            self.node.clock.advance(-20 * 86400)

    def test_mail_that_nobody_takes_expires(self):
        self.node.settings.update(mta_processes="0", max_age="1h")
        self.node.write_config()
        self.start()
        ident = self.mail()
        time_ahead = 2 * 3600
        self.assertEqual(self.node.api.email(ident)["last_event"], "queued")
        self.node.clock.advance(time_ahead)
        try:
            got = self.node.api.wait_event(ident, "failed", 30)
            self.assertEqual(got["recipients"][0]["reason"], "expired")
            self.assertEqual(self.node.mail_sql(
                "SELECT count(*) FROM attempts WHERE recipient %s "
                "AND outcome IS NULL", ident), "0")
        finally:
            self.node.clock.advance(-time_ahead)

    def test_old_days_go(self):
        self.node.settings.update(retention="1d", retention_content="1d",
                                  retention_returns="1d",
                                  retention_simulator="1d")
        self.node.write_config()
        self.start()
        self.wait_log("keeper.leader")
        self.node.api.wait_event(self.mail(), "delivered")
        before = self.days()
        self.node.stop()
        self.node.clock.advance(30 * 86400)
        try:
            self.start()
            wait_until("old days are gone",
                       lambda: not self.days() & before, 30)
            self.node.api.wait_event(self.mail(), "delivered")
        finally:
            self.node.clock.advance(-30 * 86400)
            self.node.stop()
            # So that the cases behind this one find their day again.
            self.node.command("migrate")


class Refusals(MasterTest):
    def test_tables_that_are_not_there(self):
        self.node.settings["postgres"] = '"%s"' % self.pg.create_database(
            "empty")
        self.node.write_config()
        self.assertIn("verpost migrate", self.refused())

    def test_a_database_that_is_away(self):
        self.node.settings["postgres"] = '"host=/nonexistent user=x"'
        self.node.write_config()
        said = self.refused()
        self.assertIn("postgres", said)
        self.assertIn("/nonexistent", said)

    def test_a_user_that_is_not_there(self):
        self.node.settings["user"] = "nobody-of-that-name"
        self.node.write_config()
        said = self.refused()
        self.assertIn("nobody-of-that-name", said)
        self.assertIn("adduser", said)

    def test_root_as_the_user(self):
        self.node.settings["user"] = "root"
        self.node.write_config()
        self.assertIn("root", self.refused())

    def test_a_run_dir_of_somebody_else(self):
        path = self.base + "/theirs"
        os.makedirs(path)
        os.chown(path, 1, 1)
        self.node.settings["run_dir"] = path
        self.node.write_config()
        self.assertIn("belongs to uid 1", self.refused())

    def test_a_key_file_that_others_can_read(self):
        path = self.base + "/open-keys"
        with open(self.node.settings["key_file"]) as stream:
            write(path, stream.read(), 0o644)
        self.node.settings["key_file"] = path
        self.node.write_config()
        self.assertIn("open-keys", self.refused())

    def test_live_with_a_domain_that_nobody_looked_at(self):
        self.node.settings["mode"] = "live"
        self.node.write_config()
        said = self.refused()
        self.assertIn("sender.zz", said)
        self.assertIn("domain verify", said)

    def test_live_without_a_source_of_its_own(self):
        self.node.command("domain remove", "sender.zz", "--yes")
        self.node.command("source remove", self.net + ".20")
        self.node.settings["mode"] = "live"
        self.node.write_config()
        try:
            said = self.refused()
        finally:
            self.node.settings["mode"] = "simulator"
            self.node.write_config()
            self.node.command("source add", self.net + ".20", "--helo",
                              "a.test")
            self.node.command("domain add", "sender.zz", "--unchecked")
        self.assertIn("source add", said)


if __name__ == "__main__":
    runner.main()
