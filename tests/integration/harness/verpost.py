"""Verpost as the tests see it: its commands, its processes, its API."""

import http.client
import json
import os
import signal
import struct

from .procs import (Failed, Process, children_of, directory, own, run,
                    wait_until, write)
from .storage import port_open

PROGRAM = os.environ.get("VERPOST", "verpost")
# It stands in src/bin of the build directory, where test programs are too.
BUILD = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(PROGRAM))))
HTTP_PORT, SMTP_IN_PORT, SIMULATOR_PORT = 18025, 12525, 18027


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.raw = status, headers, body

    @property
    def json(self):
        return json.loads(self.raw)

    def __repr__(self):
        return "%d %s" % (self.status, self.raw[:500].decode("latin-1"))


class Api:
    """A client of the HTTP API; one connection per request."""

    def __init__(self, address, port, key):
        self.address, self.port, self.key = address, port, key

    def request(self, method, path, body=None, headers=None, seconds=30):
        send = {"User-Agent": "verpost-test"}
        if self.key is not None:
            send["Authorization"] = "Bearer " + self.key
        if body is not None:
            send["Content-Type"] = "application/json"
            if not isinstance(body, (bytes, str)):
                body = json.dumps(body)
        send.update(headers or {})
        link = http.client.HTTPConnection(self.address, self.port,
                                          timeout=seconds)
        try:
            link.request(method, path, body, send)
            got = link.getresponse()
            return Answer(got.status, {k.lower(): v for k, v
                                       in got.getheaders()}, got.read())
        finally:
            link.close()

    def send(self, **fields):
        """Posts an email that must be accepted; its id."""
        answer = self.request("POST", "/emails", fields)
        if answer.status != 200:
            raise Failed("POST /emails: %r" % answer)
        return answer.json["id"]

    def email(self, ident):
        answer = self.request("GET", "/emails/" + ident)
        if answer.status != 200:
            raise Failed("GET /emails/%s: %r" % (ident, answer))
        return answer.json

    def wait_event(self, ident, last_event, seconds=20):
        return wait_until(
            "%s becomes %s" % (ident, last_event),
            lambda: self.email(ident)["last_event"] == last_event
            and self.email(ident), seconds, 0.05)


class TestClock:
    """Shifts the time of every process that was started with its env."""

    def __init__(self, path):
        self.path, self.offset_ms = path, 0
        self._write()

    def _write(self):
        mode = "r+b" if os.path.exists(self.path) else "w+b"
        with open(self.path, mode) as stream:
            stream.write(struct.pack("=q", self.offset_ms))
        os.chmod(self.path, 0o644)

    def advance(self, seconds):
        self.offset_ms += int(seconds * 1000)
        self._write()


class CrashPoints:
    """Stops a process at a named point; the test then kills it there."""

    def __init__(self, base):
        self.point = write(base + "/crash-point", "")
        self.reached = write(base + "/crash-reached", "", 0o666)

    def arm(self, name):
        write(self.reached, "", 0o666)
        write(self.point, name + "\n")

    def disarm(self):
        write(self.point, "")

    def wait(self, seconds=20):
        """The number of the process that stands at the point."""
        def look():
            with open(self.reached) as stream:
                words = stream.read().split()
            return words and int(words[0])

        return wait_until("a process reaches the crash point", look, seconds)

    def kill(self):
        pid = self.wait()
        self.disarm()
        os.kill(pid, signal.SIGKILL)
        return pid


class Verpost:
    """
    One node with a database of its own in pg, or another one beside the
    first. settings: lines that differ from the tests' defaults. shaping: text
    of its shaping.conf. haste: by what its silences are shorter.
    """

    def __init__(self, base, net, pg, redis, dns=None, settings=None,
                 name="node1", shaping=None, haste=1, beside=None):
        self.base = directory(os.path.join(base, name))
        self.net, self.pg, self.redis, self.dns = net, pg, redis, dns
        doors = net + (".10" if beside is None else ".11")
        self.http = (doors, HTTP_PORT)
        self.smtp_in = (doors, SMTP_IN_PORT)
        self.config = self.base + "/verpost.conf"
        self.log = self.base + "/log"
        self.clock = (TestClock(self.base + "/clock") if beside is None
                      else beside.clock)
        self.crash = CrashPoints(self.base)
        self.env = {"VERPOST_TEST_CLOCK": self.clock.path,
                    "VERPOST_CRASH_POINT": self.crash.point,
                    "VERPOST_CRASH_REACHED": self.crash.reached,
                    "VERPOST_TEST_HASTE": str(haste)}
        own(directory(self.base + "/state"), "nobody")
        self.settings = {
            "mode": "live",
            "node": name,
            "run_dir": self.base + "/run",
            "state_dir": self.base + "/state",
            "user": "nobody",
            "key_file": self.base + "/keys",
            "postgres": '"%s"' % (
                pg.create_database("verpost") if beside is None
                else pg.conninfo("verpost")),
            "redis": "unix:" + redis.path,
            "http_listen": "%s:%d" % self.http,
            "smtp_in_listen": "%s:%d" % self.smtp_in,
            "smtp_in_hostname": "mx.sender.zz",
            "simulator_listen": "%s:%d" % (doors, SIMULATOR_PORT),
            "smtp_port": "10025",
            "mx_private": "127.0.0.0/8",
            "webhook_private": "127.0.0.0/8",
            "retry_first": "1s",
            "drain_time": "5s",
            "log_level": "info",
        }
        if dns is not None:
            self.settings["dns_servers"] = dns.address
        if shaping is not None:
            self.settings["shaping_file"] = write(
                self.base + "/shaping.conf", shaping)
        if beside is not None:
            self.settings["key_file"] = beside.settings["key_file"]
        self.settings.update(settings or {})
        self.write_config()
        self.process = self.api = None
        if beside is None:
            self.command("keyfile create")
            self.command("migrate")
        else:
            self.api = Api(*self.http, beside.api.key)

    def write_config(self):
        write(self.config, "".join(
            "%s = %s\n" % item for item in self.settings.items()))

    def command(self, name, *operands, check=True):
        """Runs "verpost <name> <operands>"; (status, output, errors)."""
        return run([PROGRAM] + name.split() + ["-c", self.config]
                   + list(operands), check=check, env=self.env)

    def command_json(self, name, *operands):
        _, out, _ = self.command(name, "--json", *operands)
        return json.loads(out)

    def set_up(self, domain="sender.zz", account="tester"):
        """An account, a verified domain with its DNS records, a key."""
        self.command("account add", account)
        self.command("source add", self.net + ".20", "--helo",
                     "out." + domain)
        self.add_domain(domain, account)
        self.key = self.command_json(
            "key add", "integration", "--account", account)["key"]
        self.api = Api(*self.http, self.key)

    def add_domain(self, domain, account="tester"):
        self.command("domain add", domain, "--account", account)
        shown = self.command_json("domain show", domain)
        self.return_host = next(r["name"] for r in shown["records"]
                                if r["type"] == "MX")
        self.txt = {r["name"]: r["value"] for r in shown["records"]
                    if r["type"] == "TXT"}
        self.dns.add(*records_of(shown["records"]),
                     "mx.sender IN A " + self.smtp_in[0])
        self.command("domain verify", domain)

    def spawn(self):
        self.process = Process("verpost", [
            PROGRAM, "serve", "-c", self.config], self.log, env=self.env)

    def start(self):
        self.spawn()
        wait_until("verpost answers", lambda: self.process.must_run()
                   and self.answers(), 30)
        return self

    def answers(self):
        """The master opens the doors before anybody is there."""
        try:
            return Api(*self.http, None).request("GET", "/health", seconds=10)
        except OSError:
            return None

    def stop(self, seconds=30):
        """A drain; the master must end by itself, and well."""
        self.process.send(signal.SIGTERM)
        status = self.process.wait(seconds)
        self.process.kill()
        if status != 0:
            raise Failed("verpost ended with %d:\n%s" % (
                status, self.process.log()[-3000:]))

    def kill(self):
        """Every process of it at once, as when a machine loses power."""
        self.process.kill()
        # Its children end a little later than the master.
        wait_until("its ports are closed", lambda: not port_open(*self.http)
                   and not port_open(*self.smtp_in))

    def worker(self, role="mta"):
        """The number of the one that lives, as text; None."""
        return self.pg.value(
            "SELECT id FROM workers WHERE node = '%s' AND role = '%s' "
            "AND NOT dead" % (self.settings["node"], role))

    def processes(self, role=""):
        """{pid: title} of the children whose title has role in it."""
        return {pid: title for pid, title
                in children_of(self.process.pid).items() if role in title}

    def mail_sql(self, text, ident):
        """One value about an email: %s in text becomes its range of ids."""
        low = "'%s'::uuid" % ident
        high = "'%s'::uuid" % (
            ident[:-2] + "%02x" % (int(ident[-2:], 16) | 0x7f))
        return self.pg.value(text.replace(
            "%s", "BETWEEN %s AND %s" % (low, high)))


def records_of(records):
    """What "domain show" asks for, as lines of the zone zz."""
    lines = []
    for record in records:
        name = record["name"].rstrip(".")
        if name.endswith(".zz"):
            name = name[:-len(".zz")]
        value = record["value"]
        if record["type"] == "TXT":
            value = " ".join('"%s"' % value[i:i + 250]
                             for i in range(0, len(value), 250))
        elif record["type"] == "MX":
            value = "%d %s." % (record["priority"], value.rstrip("."))
        lines.append("%s IN %s %s" % (name, record["type"], value))
    return lines
