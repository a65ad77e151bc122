"""Reads what tally.h describes, and what /proc says about processes."""

import os
import struct

BUCKETS = 320
_FORMAT = "7Q%dQ" % BUCKETS
_TICK = os.sysconf("SC_CLK_TCK")


class Tally:
    def __init__(self, path):
        with open(path, "rb") as stream:
            values = struct.unpack(_FORMAT, stream.read())
        (self.done, self.repeated, self.foreign, self.failed, self.first_ns,
         self.last_ns, self.bytes) = values[:7]
        self.latency = values[7:]

    def percentile_ms(self, percent):
        """The upper end of the bucket in which it falls."""
        rank, seen = sum(self.latency) * percent / 100, 0
        for bucket, count in enumerate(self.latency):
            seen += count
            if count and seen >= rank:
                return _upper_us(bucket) / 1000
        return 0.0


def _upper_us(bucket):
    if bucket < 16:
        return bucket + 1
    power, rest = divmod(bucket - 16, 8)
    return (8 + rest + 1) << (power + 1)


def _stat(pid):
    with open("/proc/%d/stat" % pid) as stream:
        text = stream.read()
    return text[text.rindex(")") + 2:].split()


def _parents():
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found[int(name)] = int(_stat(int(name))[1])
            except OSError:
                pass
    return found


def tree(root):
    """A process and all that descend from it."""
    parents = _parents()
    pids, grown = {root}, True
    while grown:
        more = {p for p, parent in parents.items() if parent in pids}
        grown = not more <= pids
        pids |= more
    return pids


def cpu_seconds(root, alone=False):
    """Processor time of a tree, with that of children already gone."""
    ticks = 0
    for pid in [root] if alone else tree(root):
        try:
            ticks += sum(int(v) for v in _stat(pid)[11:15])
        except OSError:
            pass
    return ticks / _TICK


def machine_busy_seconds():
    """user, nice, system, irq, softirq and steal of all processors."""
    with open("/proc/stat") as stream:
        values = [int(v) for v in stream.readline().split()[1:9]]
    return (sum(values) - values[3] - values[4]) / _TICK


def memory_mb(root, alone=False):
    """Proportional set size: shared pages are counted once."""
    total = 0
    for pid in [root] if alone else tree(root):
        try:
            with open("/proc/%d/smaps_rollup" % pid) as stream:
                for line in stream:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total / 1024
