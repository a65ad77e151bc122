"""
What grows, and what an idle system does.

backlog  a million recipients queued: see backlog.py;
slow     connections to a server that answers each message a minute later:
         memory of the one mta that holds them;
idle     a message every 50 ms over a connection that is open: from the answer
         in the client's hands to MAIL FROM at the far end. Postfix beside it.
"""

import os
import resource

from backlog import backlog
from harness.procs import Failed, wait_until
from measure import SINK_PORT, Bench
import ours

ALL_SLOW_S = 60
IDLE_MESSAGES, IDLE_PER_S = 300, 20


def open_connections(port):
    """To that port, established, as the kernel has them."""
    with open("/proc/net/tcp") as stream:
        return sum(1 for line in stream
                   if line.split()[2].endswith(":%04X" % port)
                   and line.split()[3] == "01")


def slow(args):
    bench = Bench(args)
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
    before, name = side.mta_memory(), bench.new_run()
    sink = bench.start_sink(name, args.slow,
                            ("-w", str(ALL_SLOW_S * 1000)))
    bench.start_load(side, "http", name, args.slow, args.connections)
    wait_until("%d messages wait for their replies" % args.slow,
               lambda: sink.must_run() and bench.sent() >= args.slow,
               ALL_SLOW_S)
    count = open_connections(SINK_PORT)
    each_kb = (side.mta_memory() - before) / max(count, 1) * 1024
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
    wait_until("all have arrived", lambda: bench.sent() >= IDLE_MESSAGES
               and not load.running(), 60)
    sink.stop()
    mails, answers = read_log(base + ".mail"), read_log(base + ".answer")
    return sorted((mails[n] - answers[n]) / 1e6 for n in answers)


def idle(args):
    import peer
    bench = Bench(args)
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
