"""One run of load generator, the side under test and sink; what it took."""

import os
import random
import time

from harness import dkimcheck
from harness.procs import (Failed, Process, directory, run, scratch, subnet,
                           wait_until)
from harness.storage import port_open
import tally

SINK_PORT = 10025
DOMAIN = "sender.zz"
PARENT = "rcpt.zz"
SAMPLES = 20
STALLED_S = 60


class Bench:
    """args: build, size, domains, tls; a directory and addresses of its own."""

    def __init__(self, args):
        self.args = args
        self.base, self.net = scratch(), subnet()
        self.tools = os.path.join(args.build, "contrib", "bench")
        self.sink_address = self.net + ".30"
        self.runs = 0
        self.certificate = []
        if args.tls:
            key, cert = self.base + "/sink.key", self.base + "/sink.crt"
            run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                 "-days", "2", "-subj", "/CN=sink.zz", "-keyout", key,
                 "-out", cert])
            self.certificate = ["-c", cert, "-k", key]

    def new_run(self):
        self.runs += 1
        return "r%d%06d" % (self.runs, random.randrange(10 ** 6))

    def start_sink(self, name, messages, options=()):
        self.tally_path = os.path.join(self.base, name + ".sink")
        self.samples = directory(os.path.join(self.base, name + ".mails"))
        sink = Process("sink", [
            self.tools + "/sink", "-t", self.tally_path, "-r", name, "-s",
            self.samples, "-e", str(max(1, messages // SAMPLES))]
            + self.certificate + list(options)
            + ["%s:%d" % (self.sink_address, SINK_PORT)],
            os.path.join(self.base, name + ".sink.log"))
        wait_until("the sink listens", lambda: sink.must_run() and port_open(
            self.sink_address, SINK_PORT))
        return sink

    def start_load(self, side, protocol, name, messages, connections,
                   options=(), parent=PARENT):
        load = Process("load", [
            self.tools + "/load", "-t", os.path.join(
                self.base, name + ".load"), "-n", str(messages), "-c",
            str(connections), "-r", name, "-b", str(self.args.size), "-d",
            str(self.args.domains), "-m", parent, "-f", "bench@" + DOMAIN]
            + side.load_options() + list(options) + [protocol, side.where],
            os.path.join(self.base, name + ".load.log"))
        return load

    def sent(self):
        """What the sink of the present run has taken."""
        t = tally.Tally(self.tally_path)
        return t.done + t.repeated + t.foreign

    def once(self, side, protocol, messages, connections):
        """One run. side: where, parts(), txt. Returns what was measured."""
        watch = getattr(side, "watch_queue", None)
        name = self.new_run()
        sink = self.start_sink(name, messages)
        load_path = os.path.join(self.base, name + ".load")
        parts = dict(side.parts(), sink=sink.pid)
        before = {part: cpu(pid) for part, pid in parts.items()}
        busy = tally.machine_busy_seconds()
        load = self.start_load(side, protocol, name, messages, connections)
        result = self.wait(name, load, load_path, messages, watch)
        used = {part: cpu(pid) - before[part] for part, pid in parts.items()}
        result["busy"] = tally.machine_busy_seconds() - busy
        result["load_cpu"] = result.pop("load_ticks")
        used["load"] = result["load_cpu"]
        result["cpu"] = used
        result["memory"] = {p: memory(pid) for p, pid in parts.items()
                            if p != "sink"}
        sink.stop()
        result["verified"] = self.verify(side)
        return result

    def wait(self, name, load, load_path, messages, watch):
        """Until the sink has them all; fails when it stops growing."""
        last, changed, peak, queued = 0, time.monotonic(), 0.0, None
        if watch:
            watch(begin=True)
        while True:
            if load.running():
                peak = max(peak, tally.cpu_seconds(load.pid))
            sunk = tally.Tally(self.tally_path)
            if sunk.done >= messages:
                break
            if sunk.done != last:
                last, changed = sunk.done, time.monotonic()
            if time.monotonic() - changed > STALLED_S:
                raise Failed("%s: the sink stopped at %d of %d\n%s" % (
                    name, sunk.done, messages, load.log()))
            if watch:
                queued = max(queued or (0, 0), watch(),
                             key=lambda pair: pair[1])
            time.sleep(0.25 if watch else 0.05)
        wait_until("the load ends", lambda: not load.running())
        if load.popen.returncode != 0:
            raise Failed("%s: %s" % (name, load.log()))
        handed = tally.Tally(load_path)
        seconds = (sunk.last_ns - handed.first_ns) / 1e9
        return {
            "messages": messages, "seconds": seconds,
            "rate": messages / seconds, "repeated": sunk.repeated,
            "bytes": sunk.bytes,
            "foreign": sunk.foreign, "load_ticks": peak, "queued": queued,
            "accept_rate": messages / (
                (handed.last_ns - handed.first_ns) / 1e9),
            "accept": (handed.percentile_ms(50), handed.percentile_ms(99)),
            "through": (sunk.percentile_ms(50), sunk.percentile_ms(99))}

    def verify(self, side):
        """How many of the samples carry a signature that verifies: all, or
        the run has failed. None where the side does not sign."""
        if not side.txt:
            return None
        names = sorted(os.listdir(self.samples))
        good = 0
        for name in names:
            with open(os.path.join(self.samples, name), "rb") as stream:
                good += bool(dkimcheck.by_dkimpy(stream.read(), side.txt))
        if not names or good != len(names):
            raise Failed("%d of %d sampled signatures verify: %s" % (
                good, len(names), self.samples))
        return good


def cpu(pid):
    """pid: of a tree, or ("alone", pids)."""
    if isinstance(pid, tuple):
        return sum(tally.cpu_seconds(p, alone=True) for p in pid[1])
    return tally.cpu_seconds(pid)


def memory(pid):
    if isinstance(pid, tuple):
        return sum(tally.memory_mb(p, alone=True) for p in pid[1])
    return tally.memory_mb(pid)


def each(r):
    """Processor time of all parts for one message, in seconds."""
    return sum(r["cpu"].values()) / r["messages"]


def report(title, r):
    n = r["messages"]
    print("\n%s: %.0f messages/s (%d in %.1f s; accepted at %.0f/s)" % (
        title, r["rate"], n, r["seconds"], r["accept_rate"]))
    print("  accept p50 %.1f ms, p99 %.1f ms; end to end p50 %.0f ms, "
          "p99 %.0f ms" % (r["accept"] + r["through"]))
    total = sum(r["cpu"].values())
    for part, seconds in sorted(r["cpu"].items(), key=lambda i: -i[1]):
        print("  %-12s %6.0f us CPU per message" % (
            part, seconds / n * 1e6))
    print("  %-12s %6.0f" % ("sum", total / n * 1e6))
    print("  %-12s %6.0f (busy time of all processors)" % (
        "machine", r["busy"] / n * 1e6))
    print("  memory at the end: " + ", ".join(
        "%s %.0f MB" % item for item in sorted(r["memory"].items())))
    if r.get("queued"):
        print("  Redis: %.0f octets per job, with %d queued" % r["queued"])
    print("  received twice: %d; signatures verified: %s" % (
        r["repeated"], "none made" if r["verified"] is None
        else "all %d sampled" % r["verified"]), flush=True)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as stream:
        for line in stream:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    _, speed, _ = run(["sh", "-c", "openssl speed -seconds 2 rsa2048 "
                       "2>/dev/null | tail -n 1"])
    words = speed.split()
    rsa = words[5] if len(words) > 5 else "?"
    return "%s, %d processors; openssl: %s RSA-2048 signatures/s on one" % (
        model, os.cpu_count(), rsa)
