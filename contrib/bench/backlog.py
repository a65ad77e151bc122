"""
A million recipients queued, for a provider that takes one mail a minute.

Two nodes run side by side, each with a PostgreSQL and a Redis of its own: one
with the million, one without. What each can do is measured in turns, so that
whatever else changes on the machine meanwhile changes both: accepting alone
(mail for that provider, so that none of it is sent), and accepting and sending
other mail at once. Then memory, the first delivery after a start, and the
longest pause after FLUSHALL, once that provider takes everything.
"""

import os
import statistics
import time

from harness.procs import wait_until, write
from measure import Bench, cpu, report
import ours
import tally

SLOW_PARENT = "slow.zz"
SLOW_LANE = "[provider slow]\ndomains = d0.slow.zz\nmx = mx.slow.zz\n"
CLOSED = ours.SHAPING + SLOW_LANE + "provider_mail_rate = 1/m\n"
OPEN = ours.SHAPING + SLOW_LANE
PER_MESSAGE = 100  # recipients
LOG_FILES = 320
TURNS = 3
# What a million accepted at once make by themselves is not what is measured: the
# walk looks once at what is 10 s old, and autovacuum comes within a minute.
YOUNG_S = 30


def fill(bench, side, count):
    """count recipients for the provider that takes nothing; how long it took,
    and the name of the run."""
    name, size = bench.new_run(), bench.args.size
    bench.args.size = 200
    before, begin = side.jobs(), time.monotonic()
    side.watch_queue(begin=True)
    load = bench.start_load(side, "http", name, count // PER_MESSAGE,
                            bench.args.connections,
                            ("-R", str(PER_MESSAGE)), SLOW_PARENT)
    wait_until("%d recipients are queued" % count, lambda: not load.running()
               and side.jobs() - before >= count * 0.999, 900)
    bench.args.size = size
    return time.monotonic() - begin, name


def longest_pause(bench, seconds, watch):
    last, since, longest = bench.sent(), time.monotonic(), 0.0
    end = since + seconds
    while time.monotonic() < end:
        now = bench.sent()
        if now != last:
            longest = max(longest, time.monotonic() - since)
            last, since = now, time.monotonic()
        watch()
        time.sleep(0.005)
    return max(longest, time.monotonic() - since)


def start_over(bench, side, name):
    """Seconds from the start to the first delivery out of the backlog, and the
    longest pause after FLUSHALL; the most memory of an mta meanwhile."""
    side.verpost.stop(60)
    write(side.verpost.settings["shaping_file"], OPEN)
    sink, peak = bench.start_sink(name, 1000000), [0.0]

    def watch():
        peak[0] = max(peak[0], side.mta_memory())

    begin = time.monotonic()
    side.verpost.spawn()
    wait_until("the first mail of the backlog arrives",
               lambda: side.verpost.process.must_run() and bench.sent(), 60)
    first = time.monotonic() - begin
    time.sleep(5)
    watch()
    side.ask("FLUSHALL")
    pause = longest_pause(bench, 20, watch)
    sink.stop()
    return first, pause, peak[0]


def new_side(args):
    bench = Bench(args)
    side = ours.Side(bench, args, {"recipients_max": str(PER_MESSAGE)}, CLOSED,
                     LOG_FILES)
    side.dns.add("d0.slow IN MX 10 mx.slow",
                 "mx.slow IN A " + bench.sink_address)
    side.start()
    bench.once(side, "http", max(200, args.messages // 10), args.connections)
    return bench, side


def accept(bench, side, args):
    """Accepts mail that nothing can be sent of: (messages a second, processor
    time for one in microseconds, without the load's own)."""
    name = bench.new_run()
    parts = side.parts().values()
    before = sum(map(cpu, parts))
    load = bench.start_load(side, "http", name, args.messages,
                            args.connections, (), SLOW_PARENT)
    wait_until("all are accepted", lambda: not load.running(), 300, 0.05)
    handed = tally.Tally(os.path.join(bench.base, name + ".load"))
    seconds = (handed.last_ns - handed.first_ns) / 1e9
    return (handed.done / seconds,
            (sum(map(cpu, parts)) - before) / handed.done * 1e6)


class Turns:
    """What one node did in its turns."""

    def __init__(self, title, bench, side):
        self.title, self.bench, self.side = title, bench, side
        self.accepting, self.both = [], []

    def accept(self, args):
        self.accepting.append(accept(self.bench, self.side, args))
        print("\nVerpost, %s, accepting only: %.0f messages/s, %.0f us CPU "
              "each" % ((self.title,) + self.accepting[-1]), flush=True)

    def accept_and_send(self, args):
        self.both.append(self.bench.once(self.side, "http", args.messages,
                                         args.connections))
        report("Verpost, " + self.title, self.both[-1])

    def accepted_per_s(self):
        return [rate for rate, _ in self.accepting]

    def sent_per_s(self):
        return [r["rate"] for r in self.both]

    def accepted_beside_per_s(self):
        return [r["accept_rate"] for r in self.both]


def share(full, empty):
    """The median of what the turns show, each beside its own other."""
    return statistics.median(a / b for a, b in zip(full, empty))


def take_turns(empty, full, args):
    for n in range(TURNS):
        order = (empty, full) if n % 2 == 0 else (full, empty)
        for node in order:
            node.accept(args)
        for node in order:
            node.accept_and_send(args)


def backlog(args):
    print("\n== %d recipients queued" % args.backlog, flush=True)
    empty = Turns("nothing queued", *new_side(args))
    full = Turns("with them queued", *new_side(args))
    bench, side = full.bench, full.side
    took, name = fill(bench, side, args.backlog)
    octets, jobs = side.watch_queue()
    print("\n  %d recipients queued in %.0f s (%.0f/s): %.0f octets of Redis "
          "each" % (jobs, took, jobs / took, octets), flush=True)
    side.pg.sql("VACUUM (ANALYZE)")
    time.sleep(YOUNG_S)
    take_turns(empty, full, args)
    empty.side.stop()
    memory = side.mta_memory()
    first, pause, peak = start_over(bench, side, name)
    print("\n  first delivery %.1f s after the start; longest pause %.1f s "
          "after FLUSHALL; an mta had %.0f MB with them queued, and %.0f MB at "
          "most while it sent them" % (first, pause, memory, peak))
    side.stop()
    return ["verpost_backlog=%d" % jobs,
            "verpost_backlog_per_s=%.0f" % statistics.median(
                full.sent_per_s()),
            "verpost_backlog_share=%.2f" % share(
                full.sent_per_s(), empty.sent_per_s()),
            "verpost_backlog_accept_per_s=%.0f" % statistics.median(
                full.accepted_per_s()),
            "verpost_backlog_accept_share=%.2f" % share(
                full.accepted_per_s(), empty.accepted_per_s()),
            "verpost_backlog_accept_beside_share=%.2f" % share(
                full.accepted_beside_per_s(), empty.accepted_beside_per_s()),
            "verpost_redis_octets_per_job=%.0f" % octets,
            "verpost_backlog_mta_mb=%.0f" % max(memory, peak),
            "verpost_first_after_start_s=%.1f" % first,
            "verpost_pause_after_flushall_s=%.1f" % pause]
