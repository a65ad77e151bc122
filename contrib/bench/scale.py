"""
What grows, and what an idle system does.

backlog  a million recipients queued for a provider that takes one mail a
         minute: accepting and sending other mail beside them, memory, the first
         delivery after a start and the longest pause after FLUSHALL, once that
         provider takes all of it;
slow     connections to a server that answers each message a minute later:
         memory of the one mta that holds them;
idle     a message every 50 ms over a connection that is open: from the answer
         in the client's hands to MAIL FROM at the far end. Postfix beside it.
"""

import os
import resource
import time

from harness.procs import Failed, wait_until, write
from measure import SINK_PORT, report
import ours
import tally

SLOW_PARENT = "slow.zz"
SLOW_LANE = "[provider slow]\ndomains = d0.slow.zz\nmx = mx.slow.zz\n"
CLOSED = ours.SHAPING + SLOW_LANE + "provider_mail_rate = 1/m\n"
OPEN = ours.SHAPING + SLOW_LANE
PER_MESSAGE = 100  # recipients
BACKLOG_LOG_FILES = 260
ALL_SLOW_S = 60
# What a million accepted at once make by themselves is not what is measured: the
# walk looks once at what is 10 s old, and autovacuum comes within a minute.
YOUNG_S = 30
IDLE_MESSAGES, IDLE_PER_S = 300, 20


def sent(bench):
    t = tally.Tally(bench.tally_path)
    return t.done + t.repeated + t.foreign


def mta_memory(side):
    pids = wait_until("there is an mta",
                      lambda: list(side.verpost.processes("mta")))
    return max(tally.memory_mb(pid, alone=True) for pid in pids)


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
    last, since, longest = sent(bench), time.monotonic(), 0.0
    end = since + seconds
    while time.monotonic() < end:
        now = sent(bench)
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
        peak[0] = max(peak[0], mta_memory(side))

    begin = time.monotonic()
    side.verpost.spawn()
    wait_until("the first mail of the backlog arrives",
               lambda: side.verpost.process.must_run() and sent(bench), 60)
    first = time.monotonic() - begin
    time.sleep(5)
    watch()
    side.ask("FLUSHALL")
    pause = longest_pause(bench, 20, watch)
    sink.stop()
    return first, pause, peak[0]


def backlog(bench, args):
    print("\n== %d recipients queued" % args.backlog, flush=True)
    side = ours.Side(bench, args, {"recipients_max": str(PER_MESSAGE)}, CLOSED,
                     BACKLOG_LOG_FILES)
    side.dns.add("d0.slow IN MX 10 mx.slow",
                 "mx.slow IN A " + bench.sink_address)
    side.start()
    bench.once(side, "http", max(200, args.messages // 10), args.connections)
    empty = bench.once(side, "http", args.messages, args.connections)
    report("Verpost, nothing queued", empty)
    took, name = fill(bench, side, args.backlog)
    octets, jobs = side.watch_queue()
    print("\n  %d recipients queued in %.0f s (%.0f/s): %.0f octets of Redis "
          "each" % (jobs, took, jobs / took, octets), flush=True)
    side.pg.sql("VACUUM (ANALYZE)")
    time.sleep(YOUNG_S)
    full = bench.once(side, "http", args.messages, args.connections)
    report("Verpost, with them queued", full)
    memory = mta_memory(side)
    first, pause, peak = start_over(bench, side, name)
    print("\n  first delivery %.1f s after the start; longest pause %.1f s "
          "after FLUSHALL; an mta had %.0f MB with them queued, and %.0f MB at "
          "most while it sent them" % (first, pause, memory, peak))
    side.stop()
    return ["verpost_backlog=%d" % jobs,
            "verpost_backlog_per_s=%.0f" % full["rate"],
            "verpost_backlog_share=%.2f" % (full["rate"] / empty["rate"]),
            "verpost_backlog_accept_share=%.2f" % (
                full["accept_rate"] / empty["accept_rate"]),
            "verpost_redis_octets_per_job=%.0f" % octets,
            "verpost_backlog_mta_mb=%.0f" % peak,
            "verpost_first_after_start_s=%.1f" % first,
            "verpost_pause_after_flushall_s=%.1f" % pause]


def open_connections(port):
    """To that port, established, as the kernel has them."""
    with open("/proc/net/tcp") as stream:
        return sum(1 for line in stream
                   if line.split()[2].endswith(":%04X" % port)
                   and line.split()[3] == "01")


def slow(bench, args):
    print("\n== %d slow connections of one mta" % args.slow, flush=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    args.mta_processes = 1
    side = ours.Side(bench, args, {
        "in_hand_max": str(args.slow * 2), "recent_bytes_max": "0",
    }, "[default]\nsite_connections = %d\nsite_connection_rate = none\n"
       "provider_connections = 0\nprovider_connection_rate = none\n"
       "site_mail_rate = none\nprovider_mail_rate = none\n" % args.slow)
    side.start()
    before, name = mta_memory(side), bench.new_run()
    sink = bench.start_sink(name, args.slow,
                            ("-w", str(ALL_SLOW_S * 1000)))
    bench.start_load(side, "http", name, args.slow, args.connections)
    wait_until("%d messages wait for their replies" % args.slow,
               lambda: sink.must_run() and sent(bench) >= args.slow,
               ALL_SLOW_S)
    count = open_connections(SINK_PORT)
    each_kb = (mta_memory(side) - before) / max(count, 1) * 1024
    print("\n  %d open, %.1f kB each (the mta before: %.0f MB)" % (
        count, each_kb, before))
    if count < args.slow:
        raise Failed("only %d of %d connections were open at once" % (
            count, args.slow))
    sink.stop()
    side.stop()
    return ["verpost_connections=%d" % count,
            "verpost_kb_per_connection=%.1f" % each_kb]


def read_log(path):
    with open(path) as stream:
        return {int(n): int(ns) for n, ns in map(str.split, stream)}


def idle_once(bench, side, protocol):
    """Milliseconds, sorted."""
    name = bench.new_run()
    base = os.path.join(bench.base, name)
    sink = bench.start_sink(name, IDLE_MESSAGES, ("-l", base + ".mail"))
    load = bench.start_load(side, protocol, name, IDLE_MESSAGES, 1, (
        "-q", str(IDLE_PER_S), "-l", base + ".answer"))
    wait_until("all have arrived", lambda: sent(bench) >= IDLE_MESSAGES
               and not load.running(), 60)
    sink.stop()
    mails, answers = read_log(base + ".mail"), read_log(base + ".answer")
    return sorted((mails[n] - answers[n]) / 1e6 for n in answers)


def idle(bench, args):
    import peer
    print("\n== idle: from the answer to MAIL FROM", flush=True)
    lines, sides = [], []
    if args.only != "peer":
        sides.append(("verpost", ours.Side(bench, args), "http"))
        sides[-1][1].start()
    if args.only != "verpost":
        sides.append(("postfix", peer.Peer(
            bench, args.peer_connections, args.tls, True), "smtp"))
    for name, side, protocol in sides:
        idle_once(bench, side, protocol)
        took = idle_once(bench, side, protocol)
        half, most = took[len(took) // 2], took[len(took) * 95 // 100]
        print("  %-8s median %.1f ms, 95 of 100 within %.1f ms" % (
            name, half, most))
        lines += ["%s_idle_ms=%.1f" % (name, half)]
        side.stop()
    return lines


MEASURES = {"backlog": backlog, "slow": slow, "idle": idle}
