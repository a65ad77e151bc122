"""Private PostgreSQL and Redis servers on Unix sockets."""

import os
import signal
import socket

from .procs import (Failed, Process, children_of, directory, run,
                    wait_until)

PG_BIN = "/usr/lib/postgresql/15/bin"


class Postgres:
    """
    A cluster of its own; root hands it to the user postgres. settings:
    "name=value" in place of those for tests.
    """

    stop_signal = signal.SIGINT

    def __init__(self, base, settings=()):
        self.settings = [word for one in settings or (
            # What matters is what a killed process leaves, not a dead disk.
            "fsync=off", "max_connections=60") for word in ("-c", one)]
        self.user = "postgres" if os.getuid() == 0 else None
        self.base = directory(os.path.join(base, "pg"), self.user)
        self.data = os.path.join(self.base, "data")
        self.log = os.path.join(self.base, "log")
        run([PG_BIN + "/initdb", "-D", self.data, "-A", "trust", "-U",
             "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            user=self.user)
        self.process = None
        self.start()

    def start(self):
        self.process = Process("postgres", [
            PG_BIN + "/postgres", "-D", self.data, "-k", self.base,
            "-c", "listen_addresses=", "-c", "unix_socket_permissions=0777",
            "-c", "log_min_messages=warning"] + self.settings,
            self.log, user=self.user)
        # The fast shutdown does not wait for clients.
        self.process.stop_signal = self.stop_signal
        wait_until("postgres accepts", self.ready, 30)

    def ready(self):
        self.process.must_run()
        status, _, _ = run([PG_BIN + "/pg_isready", "-q", "-h", self.base],
                           check=False)
        return status == 0

    def stop(self):
        self.process.stop(self.stop_signal)

    def kill(self):
        """As a crash would: no shutdown, recovery at the next start."""
        self.process.stop(signal.SIGQUIT)

    # While the server itself stands still it makes no process that is missed,
    # and one that ended stays, as nobody else waits for it.

    def pause(self):
        self.process.send(signal.SIGSTOP)
        for pid in children_of(self.process.pid):
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in children_of(self.process.pid):
            os.kill(pid, signal.SIGCONT)
        self.process.send(signal.SIGCONT)

    def create_database(self, name):
        self.sql('CREATE DATABASE "%s"' % name, "postgres")
        return self.conninfo(name)

    def conninfo(self, name, host=None):
        return "host=%s dbname=%s user=postgres" % (host or self.base, name)

    def sql(self, statement, database="verpost"):
        """Rows as lists of text."""
        _, out, _ = run(["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v",
                         "ON_ERROR_STOP=1", "-h", self.base, "-U", "postgres",
                         "-d", database, "-c", statement])
        return [line.split("\t") for line in out.splitlines() if line]

    def value(self, statement, database="verpost"):
        rows = self.sql(statement, database)
        return rows[0][0] if rows else None


class Redis:
    """durable: with the append-only file, as a real one should be."""

    def __init__(self, base, durable=False):
        self.durable = durable
        self.base = directory(os.path.join(base, "redis"))
        self.path = os.path.join(self.base, "s")
        self.log = os.path.join(self.base, "log")
        self.process = None
        self.start()

    def start(self):
        self.process = Process("redis", [
            "redis-server", "--port", "0", "--unixsocket", self.path,
            "--unixsocketperm", "777", "--dir", self.base, "--save", "",
            "--appendonly", "yes" if self.durable else "no", "--daemonize", "no"], self.log)
        wait_until("redis answers", self.ready)

    def ready(self):
        self.process.must_run()
        try:
            return self.command("PING") == "PONG"
        except (OSError, Failed):
            return False

    def command(self, *words):
        """One command; its answer as redis-cli prints it."""
        _, out, _ = run(["redis-cli", "-s", self.path] + list(words))
        return out.strip()

    def stop(self):
        self.process.stop()
        # A socket without a server answers as a server that is away does.
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def pause(self):
        self.process.send(signal.SIGSTOP)

    def resume(self):
        self.process.send(signal.SIGCONT)


def port_open(host, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
