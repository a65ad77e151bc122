"""Processes, directories and waiting: nothing a test starts outlives it."""

import atexit
import ctypes
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_live = []


class Failed(AssertionError):
    """Something did not come up, or did not happen in time."""


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def wait_until(what, condition, seconds=15.0, every=0.02):
    """Polls until condition() is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed("%s: not within %g s" % (what, seconds))
        time.sleep(every)


class Process:
    """A child in its own process group; its output goes to a file."""

    def __init__(self, name, argv, log, user=None, env=None, cwd="/"):
        self.name, self.log_path = name, log
        extra = {}
        if user is not None:
            extra = {"user": user, "group": user, "extra_groups": []}
        full = dict(os.environ)
        full.update(env or {})
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, env=full, cwd=cwd,
                preexec_fn=_die_with_parent, **extra)
        self.pid = self.popen.pid
        _live.append(self)

    def running(self):
        return self.popen.poll() is None

    def log(self):
        with open(self.log_path, errors="replace") as stream:
            return stream.read()

    def must_run(self):
        if not self.running():
            raise Failed("%s ended with %s:\n%s" % (
                self.name, self.popen.returncode, self.log()[-3000:]))
        return True

    def send(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds=30):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed("%s did not end within %g s" % (self.name, seconds))

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Asks it to end; what is left of its group is then killed."""
        self.send(number)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        if self in _live:
            _live.remove(self)


def _end_all(*_):
    while _live:
        process = _live[-1]
        process.stop(getattr(process, "stop_signal", signal.SIGTERM), 5)


def _end_on_signal(number, _frame):
    _end_all()
    sys.exit(128 + number)


atexit.register(_end_all)
signal.signal(signal.SIGTERM, _end_on_signal)
signal.signal(signal.SIGHUP, _end_on_signal)


def run(argv, check=True, text_in=None, env=None, seconds=60, user=None):
    """Runs a command to its end; returns (status, output, errors)."""
    full = dict(os.environ)
    full.update(env or {})
    extra = {}
    if user is not None:
        extra = {"user": user, "group": user, "extra_groups": []}
    done = subprocess.run(argv, input=text_in, text=True, env=full, cwd="/",
                          capture_output=True, timeout=seconds, **extra)
    if check and done.returncode != 0:
        raise Failed("%s: status %d\n%s%s" % (
            " ".join(argv), done.returncode, done.stdout, done.stderr))
    return done.returncode, done.stdout, done.stderr


def children_of(pid):
    """The direct children of a process, as {pid: command line}."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, errors="replace") as stream:
                stat = stream.read()
            with open("/proc/%s/cmdline" % name,
                      errors="replace") as stream:
                title = stream.read().replace("\0", " ").strip()
        except OSError:
            continue
        if int(stat[stat.rindex(")") + 2:].split()[1]) == pid:
            found[int(name)] = title
    return found


def scratch():
    """A directory that other users may pass through, gone at exit."""
    path = tempfile.mkdtemp(prefix="verpost-test-")
    os.chmod(path, 0o755)
    if not os.environ.get("VERPOST_TEST_KEEP"):
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        # Servers end before their files go: atexit runs backwards.
        atexit.register(_end_all)
    return path


def subnet():
    """127.a.b: hosts of this test run's own, port clashes with nobody."""
    chosen = random.Random(os.getpid() ^ time.time_ns())
    return "127.%d.%d" % (chosen.randint(16, 250), chosen.randint(1, 250))


def own(path, user):
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)


def write(path, text, mode=0o644, owner=None):
    with open(path, "w") as stream:
        stream.write(text)
    os.chmod(path, mode)
    if owner is not None:
        own(path, owner)
    return path


def directory(path, owner=None, mode=0o755):
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)
    if owner is not None:
        own(path, owner)
    return path
