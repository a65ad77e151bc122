"""Verpost's side: its own PostgreSQL and Redis, one node, live mode."""

import socket

from harness.names import Dns
from harness.procs import wait_until
from harness.storage import Postgres, Redis
from harness.verpost import Verpost
from measure import DOMAIN, PARENT, SINK_PORT
import tally

# What a machine of this size should have anyway; fsync and synchronous_commit
# stay on.
POSTGRES = ("max_connections=60", "shared_buffers=4GB", "max_wal_size=8GB",
            "min_wal_size=6GB", "fsync=on", "synchronous_commit=on")
LOG_FILES = 80  # of 16 MB: more than one run writes
# What the machine can do is asked, not what a receiver would take.
SHAPING = "[default]\nsite_connections = 20\nconnection_mails = 1000\n"
ROLES = ("httpd", "mta", "smtpd", "hooks", "keeper", "parser", "simulator")


class Side:
    """
    settings, shaping: beside or in place of what is right for speed.
    log_files: of the database, that have been written before.
    """

    def __init__(self, bench, args, settings=None, shaping=SHAPING,
                 log_files=LOG_FILES):
        base, net = bench.base, bench.net
        self.pg = Postgres(base, POSTGRES)
        self.redis = Redis(base, durable=True)
        self.dns = Dns(base, net, ttl_s=3600)
        self.add_names(bench, args)
        self.verpost = Verpost(base, net, self.pg, self.redis, self.dns, {
            "mta_processes": str(args.mta_processes),
            "smtp_port": str(SINK_PORT),
            "retry_first": "1m",
            "log_level": "warn",
            **(settings or {}),
        }, shaping=shaping)
        for n in range(1, args.mta_processes):
            self.verpost.command("source add", "%s.%d" % (net, 20 + n),
                                 "--helo", "out%d.%s" % (n, DOMAIN))
        self.verpost.set_up(DOMAIN)
        self.age(log_files)
        self.txt = self.verpost.txt
        self.where = "%s:%d" % self.verpost.http
        self.link = None
        self.zsets = ["q:{p1.%s}:%s" % (lane, zset)
                      for lane in ["h%d" % n for n in range(16)] + ["slow"]
                      for zset in "rthp"]

    def add_names(self, bench, args):
        """Each recipient domain with an exchanger of its own."""
        below = PARENT[:-len(".zz")]
        lines = []
        for n in range(args.domains):
            lines += ["d%d.%s IN MX 10 mx%d.%s" % (n, below, n, below),
                      "mx%d.%s IN A %s" % (n, below, bench.sink_address)]
        self.dns.add(*lines)

    def start(self):
        self.verpost.start()

    def load_options(self):
        return ["-a", self.verpost.key]

    def parts(self):
        found = {"postgres": self.pg.process.pid,
                 "redis": self.redis.process.pid,
                 "master": ("alone", [self.verpost.process.pid])}
        for pid, title in self.verpost.processes().items():
            role = next((r for r in ROLES if r in title), "other")
            found.setdefault(role, ("alone", []))[1].append(pid)
        return found

    def jobs(self):
        return sum(int(self.ask("ZCARD", key)[1:]) for key in self.zsets)

    def watch_queue(self, begin=False):
        """(octets in Redis per job, jobs queued) since the beginning."""
        used = int(next(line for line in self.ask("INFO", "memory").split(
            "\r\n") if line.startswith("used_memory:")).split(":")[1])
        if begin:
            self.before = used, self.jobs()
            return 0, 0
        jobs = self.jobs() - self.before[1]
        return (used - self.before[0]) / max(jobs, 1), jobs

    def ask(self, *words):
        """Over one connection: a redis-cli for each would take its share of
        the processors that are measured."""
        if self.link is None:
            self.link = socket.socket(socket.AF_UNIX)
            self.link.connect(self.redis.path)
            self.lines = self.link.makefile("rb")
        self.link.sendall(("*%d\r\n" % len(words) + "".join(
            "$%d\r\n%s\r\n" % (len(w), w) for w in words)).encode())
        head = self.lines.readline().decode()
        if not head.startswith("$"):
            return head.rstrip()
        return self.lines.read(int(head[1:]) + 2).decode()

    def mta_memory(self):
        """Of the one mta that has most, in MB."""
        pids = wait_until("there is an mta",
                          lambda: list(self.verpost.processes("mta")))
        return max(tally.memory_mb(pid, alone=True) for pid in pids)

    def age(self, log_files):
        """
        A database that has been running for a while writes over the files of
        its log; a new one fills each with zeros first, which would double
        what accepting costs.
        """
        self.pg.sql("SELECT pg_logical_emit_message(false, '', ''), "
                    "pg_switch_wal() FROM generate_series(1, %d)" % log_files)
        self.pg.sql("CHECKPOINT")

    def stop(self):
        self.verpost.process.stop()
        self.dns.unbound.stop()
        self.dns.nsd.stop()
        self.redis.stop()
        self.pg.stop()
