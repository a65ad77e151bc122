"""What verpost queue and verpost queue show tell the operator."""

import json
import os
import re
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until, write  # noqa: E402
from harness.world import WorldTest  # noqa: E402


class Backlog(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost

    def rows(self, *words):
        return self.verpost.command_json("queue", *words)

    def row(self, name, *words):
        """The one row whose first column is that."""
        found = [row for row in self.rows(*words)
                 if next(iter(row.values())) == name]
        self.assertEqual(len(found), 1, self.rows(*words))
        return found[0]

    def nothing_waits(self):
        wait_until("nothing waits", lambda: self.rows() == [], 30)

    def test_groups_of_what_waits(self):
        self.sink.on_rcpt["busy@sink.zz"] = "451 4.7.1 come back later"
        busy = self.mail("busy@sink.zz", "deferred")
        self.api.wait_event(busy, "delivery_delayed")
        self.verpost.command("queue hold", "domain", "nomail.zz",
                             "--reason", "their wish")
        self.mail(["x@nomail.zz", "y@nomail.zz", "z@NoMail.zz"], "held")
        wait_until("they are parked", lambda: self.row(
            "others")["on_hold"] == 3)
        others = self.row("others")
        self.assertEqual(
            [others["waiting"], others["delayed_because"]],
            [4, "3 on hold: domain nomail.zz (their wish)"])
        self.assertIn(others["oldest_age_s"], range(600))
        self.assertIsNone(others["ceiling_per_source_per_hour"])
        domain = self.row("nomail.zz", "--by", "domain")
        self.assertEqual(
            [domain[k] for k in ("waiting", "on_hold", "delayed_because",
                                 "last_reply")],
            [3, 3, "on hold: domain nomail.zz (their wish)", None])
        domain = self.row("sink.zz", "--by", "domain")
        self.assertEqual(domain["on_hold"], 0)
        self.assertIn("451 come back later (mx.sink.zz[",
                      domain["last_reply"])
        self.assertEqual(self.row("tester", "--by", "account")["waiting"],
                         4)
        self.assertEqual(sum(int(row["waiting"]) for row
                             in self.rows("--by", "lane")), 4)
        self.assertEqual(len(self.rows("--by", "domain", "--limit", "1")), 1)
        # What a process says of a lane that it does not ask.
        lane = self.verpost.pg.value("SELECT lane FROM recipients "
                                     "WHERE address = 'busy@sink.zz'")
        key = "q:{p1.%s}:m" % lane
        why = "why:" + self.verpost.worker()
        self.world.redis.command("HSET", key, why,
                                 "daily limit reached 1893456000000")
        self.assertEqual(
            self.row("default/" + lane, "--by", "lane")["delayed_because"],
            "daily limit reached until 2030-01-01T00:00:00.000Z")
        self.world.redis.command("HSET", key, why,
                                 "daily limit reached 1577836800000")
        self.assertEqual(
            self.row("default/" + lane, "--by", "lane")["delayed_because"],
            "daily limit reached")
        self.world.redis.command("HDEL", key, why)
        # Who sends for the pool no more is not asked.
        self.world.redis.command("HSET", key, "why:99", "rate limit 0")
        self.assertIsNone(self.row("default/" + lane, "--by", "lane")[
            "delayed_because"])
        self.world.redis.command("HDEL", key, "why:99")
        # A text for people, too.
        _, out, _ = self.verpost.command("queue")
        head, line = out.splitlines()[:2]
        self.assertRegex(head, " oldest +ceiling +delayed_because ")
        self.assertRegex(line, r" (\d+m)?\d+s +- +3 on hold: domain ")
        status, _, errors = self.verpost.command("queue", "--by", "colour",
                                                 check=False)
        self.assertNotEqual(status, 0)
        self.assertIn("--by", errors)
        self.verpost.command("queue release", "domain", "nomail.zz")
        del self.sink.on_rcpt["busy@sink.zz"]
        self.verpost.clock.advance(3600)
        self.api.wait_event(busy, "delivered")
        self.nothing_waits()

    def test_what_processes_have_in_hand(self):
        gate = threading.Event()

        def wait_for_gate(_):
            gate.wait(60)
            return "250 2.0.0 taken"

        self.sink.on_dot["slow@sink.zz"] = wait_for_gate
        ident = self.mail("slow@sink.zz", "slow")
        self.sink.wait_for("slow@sink.zz")
        source = self.world.net + ".20"
        site = self.row("mx.sink.zz", "--by", "site")
        self.assertEqual(site["sending"], 1)
        self.assertIn(site["connections"], [1, 2])
        row = self.row(source, "--by", "source")
        self.assertEqual([row["sending"], row["delayed_because"]],
                         [1, None])
        # There is no backlog that would have shown it.
        self.assertEqual([site["rate_per_s"], row["rate_per_s"]],
                         [None, None])
        # Nobody tells for longer than somebody asks.
        self.assertLessEqual(int(self.world.redis.command(
            "PTTL", "state:asked")), 10000)
        gate.set()
        self.api.wait_event(ident, "delivered")
        self.verpost.command("queue hold", "source", source,
                             "--reason", "listed")
        self.assertEqual(self.row(source, "--by", "source")[
            "delayed_because"], "on hold (listed)")
        _, out, _ = self.verpost.command("queue release", "source", source)
        self.assertIn("sends from it again", out)

    def tell(self, *destinations):
        """As if the mta had them in hand; it is silent meanwhile."""
        mta, = wait_until("there is an mta",
                          lambda: list(self.verpost.processes("mta")))
        for pid in (self.verpost.process.pid, mta):
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(os.kill, pid, signal.SIGCONT)
        worker = self.verpost.pg.value(
            "SELECT id FROM workers WHERE pid = %d AND NOT dead" % mta)
        told = [dict({"site": "mx.sink.zz", "waiting": 0, "claimed": 0,
                      "connections": 1, "rate": 12,
                      "ceiling_per_hour": 7200, "resting_until": 0}, **d)
                for d in destinations]
        self.world.redis.command("SET", "state:" + worker, json.dumps(
            {"worker": int(worker), "at": 0, "destinations": told}))
        self.addCleanup(self.world.redis.command, "DEL", "state:" + worker,
                        "state:asked")

    def test_a_removed_source_is_shown_while_it_has_something(self):
        source = self.world.net + ".20"
        self.tell({"source": source, "waiting": 3},
                  {"source": "192.0.2.7"},
                  {"source": "192.0.2.8", "claimed": 1})
        rows = {row["source"]: row for row in self.rows("--by", "source")}
        self.assertEqual(set(rows), {source, "192.0.2.8"})
        self.assertEqual(
            [rows[source]["rate_per_s"], rows[source]["ceiling_per_hour"],
             rows[source]["delayed_because"]], [12, 7200, None])
        self.assertEqual(rows["192.0.2.8"]["delayed_because"],
                         "removed: what is under way ends")
        # Each number has its unit.
        _, out, _ = self.verpost.command("queue", "--by", "source")
        self.assertRegex(out, r"%s +3 +0 +1 +12/s +7200/h " % source)
        _, out, _ = self.verpost.command("queue", "--by", "site")
        self.assertRegex(out, r"mx\.sink\.zz +3 +1 +3 +36/s +21600/h ")

    def test_a_source_rests_when_all_it_sends_to_does(self):
        source = self.world.net + ".20"
        until = 4102444800000
        rests = {"source": source, "site": "mx.dead.zz",
                 "resting_until": until, "last_failure": "refused"}
        self.tell(rests, {"source": source, "claimed": 1})
        self.assertEqual(
            [[self.row(*words)[k] for k in ("delayed_because",
                                            "last_failure")]
             for words in ((source, "--by", "source"),
                           ("mx.dead.zz", "--by", "site"),
                           ("mx.sink.zz", "--by", "site"))],
            [[None, "refused"],
             ["rests until 2100-01-01T00:00:00.000Z", "refused"],
             [None, None]])
        self.tell(rests, dict(rests, site="mx.a.zz", resting_until=until + 1))
        self.assertEqual(
            self.row(source, "--by", "source")["delayed_because"],
            "mx.dead.zz rests until 2100-01-01T00:00:00.000Z")

    def test_without_redis_nothing_is_made_up(self):
        path = write(self.verpost.base + "/noredis.conf", "".join(
            "%s = %s\n" % item for item in dict(
                self.verpost.settings, redis="unix:/nonexistent").items()))
        status, out, errors = self.verpost.command(
            "queue", "-c", path, "--by", "site", check=False)
        self.assertEqual([status, out], [1, ""])
        self.assertIn("Redis at unix:/nonexistent does not answer", errors)
        row, = self.rows("-c", path, "--by", "source")
        self.assertEqual([row[k] for k in ("source", "waiting", "sending",
                                           "connections")],
                         [self.world.net + ".20", None, None, None])

    def test_mail_that_was_not_tried_tells_what_others_were_told(self):
        self.world.dns.add("mx.dead IN A %s.35" % self.world.net,
                           "dead IN MX 10 mx.dead")
        tried = self.mail("tried@dead.zz", "refused")
        self.api.wait_event(tried, "delivery_delayed")
        ident = self.mail("behind@Dead.zz", "not tried")
        recipient, = self.verpost.command_json("queue show", ident)[
            "recipients"]
        self.assertEqual(recipient["attempts"], 0)
        self.assertRegex(
            recipient["why"], r"\Awaits for its turn; another of its domain: "
            r"connecting to [0-9.:]+: Connection refused, at "
            r"mx\.dead\.zz\[[0-9.:]+\], at 20[-0-9T:.]+Z\Z")
        self.verpost.command("queue cancel", "domain", "dead.zz")
        self.nothing_waits()

    def why_of_one(self, ident):
        """What queue, queue --by ... and queue show say; it is the same."""
        lane = self.rows("--by", "lane")[0]
        found = {self.row("others")["delayed_because"],
                 lane["delayed_because"],
                 self.verpost.command_json(
                     "queue show", ident)["recipients"][0]["why"]}
        self.assertEqual(len(found), 1, found)
        why = found.pop()
        for by in ("domain", "account"):
            self.assertEqual(
                [row["delayed_because"] for row in self.rows("--by", by)],
                [lane["name"] + ": " + why])
        return why

    def test_a_pool_from_which_nothing_is_sent_says_so(self):
        source = self.world.net + ".20"
        self.verpost.command("queue hold", "source", source,
                             "--reason", "listed")
        ident = self.mail("stuck@sink.zz", "waits for a source")
        wait_until("it is in the schedule again", lambda: self.row(
            "others")["delayed_because"] is not None, 30)
        self.assertEqual(
            self.why_of_one(ident), "no source of pool default sends; %s: "
            "on hold (listed)" % source)
        _, _, errors = self.verpost.command("source set", source,
                                            "--pool", "spare")
        self.assertIn("pool default has no source", errors)
        self.assertEqual(self.why_of_one(ident), "pool default has no source")
        _, _, errors = self.verpost.command("source set", source,
                                            "--weight", "2")
        self.assertEqual(errors, "")
        self.verpost.command("source set", source, "--pool", "default",
                             "--weight", "1")
        self.verpost.command("queue release", "source", source)
        self.api.wait_event(ident, "delivered", 30)
        self.nothing_waits()

    def test_show_says_why_it_was_given_up(self):
        def why(ident):
            return [r["why"] for r in self.verpost.command_json(
                "queue show", ident)["recipients"]]

        failed = self.mail("x@nowhere.zz", "no such domain")
        self.api.wait_event(failed, "failed")
        self.assertEqual(why(failed)[0].partition(": ")[0], "dns")
        self.assertIn("domain", why(failed)[0].partition(": ")[2])
        self.verpost.command("suppression add", "s@sink.zz")
        self.addCleanup(self.verpost.command, "suppression remove",
                        "s@sink.zz")
        both = self.mail(["s@sink.zz", "t@sink.zz"], "one of them")
        wait_until("the other is delivered", lambda: "delivered" in [
            r["status"] for r in self.api.email(both)["recipients"]])
        self.assertEqual(why(both), [
            "the address is suppressed: manual", None])

    def on_hold(self, ident):
        """How many are on hold and why, by each kind of group; why, of the
        first recipient."""
        groups = [self.rows("--by", by) for by in (
            "provider", "lane", "domain", "account")]
        self.assertEqual([len(rows) for rows in groups], [1] * 4, groups)
        whys = {self.verpost.command_json("queue show", ident)[
                    "recipients"][0]["why"],
                self.api.email(ident)["recipients"][0]["delayed_because"]}
        self.assertEqual(len(whys), 1, whys)
        return [(rows[0]["on_hold"], rows[0]["delayed_because"])
                for rows in groups], whys.pop()

    def hold(self, *words):
        self.verpost.command("queue hold", *words)
        self.addCleanup(self.verpost.command, "queue release", *words[:2],
                        check=False)

    def test_every_hold_is_told_wherever_somebody_looks(self):
        wish, shop = "domain nomail.zz (their wish)", "account tester (unpaid)"
        self.hold("domain", "NoMail.zz", "--reason", "their wish")
        ident = self.mail("part@nomail.zz", "held", tags=[
            {"name": "kind", "value": "news"}])
        wait_until("it is parked", lambda: self.rows()[0]["ready"] == 0)
        groups, why = self.on_hold(ident)
        self.assertEqual(groups, [(1, "on hold: " + wish)] * 4)
        self.assertEqual(why, "on hold: " + wish)
        # What a lane says is not what makes it wait.
        lane_why = "why:" + self.verpost.worker()
        key = "q:{p1.%s}:m" % self.verpost.mail_sql(
            "SELECT lane FROM recipients WHERE id %s", ident)
        self.world.redis.command("HSET", key, lane_why, "rate limit 0")
        self.assertEqual(self.on_hold(ident)[0], groups)
        self.hold("account", "tester", "--reason", "unpaid")
        groups, why = self.on_hold(ident)
        self.assertEqual(groups, [(1, "on hold: %s, %s" % (wish, shop))] * 4)
        self.assertEqual(why, "on hold: %s, %s" % (wish, shop))
        # Of another domain, and released before it is parked for the other.
        self.verpost.command("queue release", "domain", "nomail.zz")
        groups, why = self.on_hold(ident)
        self.assertEqual(groups, [(1, "on hold: " + shop)] * 4)
        self.hold("domain", "sink.zz")
        self.hold("domain", "nomail.zz", "--account", "tester")
        self.assertEqual(self.on_hold(ident)[1],
                         "on hold: %s, domain nomail.zz" % shop)
        other = self.mail("other@sink.zz", "of another domain")
        self.assertEqual(
            [self.row(domain, "--by", "domain")["delayed_because"]
             for domain in ("sink.zz", "nomail.zz")],
            ["on hold: %s, domain sink.zz" % shop,
             "on hold: %s, domain nomail.zz" % shop])
        self.hold("domain", "nomail.zz")
        row = self.row("tester", "--by", "account")
        self.assertEqual(
            [row["on_hold"], row["delayed_because"]],
            [2, "on hold: 4 holds, see 'verpost queue rules'"])
        self.world.redis.command("HDEL", key, lane_why)
        for words in (("domain", "nomail.zz", "--account", "tester"),
                      ("domain", "nomail.zz"), ("domain", "sink.zz"),
                      ("account", "tester")):
            self.verpost.command("queue release", *words)
        self.api.wait_event(ident, "failed")
        self.api.wait_event(other, "delivered")
        self.nothing_waits()

    def test_what_a_tag_holds_only_lanes_know(self):
        self.hold("tag", "kind=news", "--reason", "wrong price")
        ident = self.mail("tag@nomail.zz", "held", tags=[
            {"name": "kind", "value": "news"}])
        wait_until("it is parked",
                   lambda: self.rows()[0]["on_hold"] == 1, 30)
        why = "on hold: tag kind=news (wrong price)"
        self.assertEqual(self.on_hold(ident), (
            [(1, why)] * 2 + [(None, "perhaps " + why)] * 2, why))
        self.verpost.command("queue release", "tag", "kind=news")
        self.api.wait_event(ident, "failed")
        self.nothing_waits()

    def test_the_tag_of_an_account_holds_nothing_of_another(self):
        self.verpost.command("account add", "beside")
        self.addCleanup(self.verpost.command, "account remove", "beside",
                        "--yes")
        self.hold("tag", "kind=news", "--account", "beside")
        self.addCleanup(self.verpost.command, "queue release", "tag",
                        "kind=news", "--account", "beside")
        self.verpost.command("queue hold", "domain", "nomail.zz")
        ident = self.mail("tag@nomail.zz", "held")
        self.sink.on_rcpt["tag@sink.zz"] = "451 4.2.1 later"
        late = self.mail("tag@sink.zz", "late")
        self.api.wait_event(late, "delivery_delayed")
        row = self.row("tester", "--by", "account")
        self.assertEqual([row["on_hold"], row["delayed_because"]],
                         [1, "1 on hold: domain nomail.zz"])
        # Whose mail for a domain is, nobody has looked.
        self.assertEqual(
            self.row("sink.zz", "--by", "domain")["delayed_because"],
            "perhaps on hold: tag kind=news")
        self.verpost.command("queue cancel", "account", "tester")
        self.verpost.command("queue release", "domain", "nomail.zz")
        for one in (ident, late):
            self.api.wait_event(one, "canceled")
        self.nothing_waits()

    def test_all_about_one_email(self):
        self.sink.on_rcpt["one@sink.zz"] = "451 4.2.1 later"
        self.verpost.command("queue hold", "domain", "nomail.zz")
        ident = self.mail(["one@sink.zz", "two@nomail.zz"], "two")
        wait_until("one was tried", lambda: self.verpost.mail_sql(
            "SELECT count(*) FROM attempts WHERE outcome = 2 "
            "AND recipient %s", ident) >= "1")
        found = self.verpost.command_json("queue show", ident)
        self.assertEqual(found["id"], ident)
        first, second = found["recipients"]
        self.assertEqual([first["address"], first["status"]],
                         ["one@sink.zz", "deferred"])
        self.assertEqual(second["why"], "on hold: domain nomail.zz")
        attempt = found["attempts"][0]
        self.assertEqual(
            [attempt[k] for k in ("recipient", "attempt", "outcome", "code",
                                  "status", "reply", "source")],
            [1, 1, "deferred", 451, "4.2.1", "later",
             self.world.net + ".20"])
        self.assertEqual([a["source"] for a in self.api.request(
            "GET", "/emails/%s/attempts" % ident).json["data"]],
            [self.world.net + ".20"])
        self.assertIsNone(attempt["tls"])
        self.assertNotIn("transcript", attempt)
        attempt = self.verpost.command_json(
            "queue show", "--transcript", ident)["attempts"][0]
        self.assertIn("\n> RCPT TO:<one@sink.zz>\n", attempt["transcript"])
        # By everything that is printed anywhere.
        message_id = self.api.email(ident)["message_id"]
        self.assertRegex(message_id, "^<gm_.*@sender.zz>$")
        for name in (message_id, message_id.strip("<>"),
                     message_id[1:].partition("@")[0],
                     message_id[1:].partition("@")[0].upper()):
            self.assertEqual(self.verpost.command_json(
                "queue show", name)["id"], ident, name)
        # A return path is one recipient's.
        path = re.search("MAIL FROM:(<b-[^>]*>)", attempt["transcript"])[1]
        for name in (path, path[1:].partition("@")[0]):
            self.assertEqual([r["address"] for r in self.verpost.command_json(
                "queue show", name)["recipients"]], ["one@sink.zz"])
        # Of one recipient only.
        only = self.api.email(ident)["recipients"][1]["id"]
        found = self.verpost.command_json("queue show", only)
        self.assertEqual([r["recipient"] for r in found["recipients"]],
                         [2])
        self.assertEqual(found["attempts"], [])
        _, out, _ = self.verpost.command("queue show", ident)
        self.assertIn("on hold", out)
        self.assertNotIn("RCPT TO", out)
        _, out, _ = self.verpost.command("queue show", "--transcript", ident)
        self.assertIn("Recipient 1, attempt 1:", out)
        self.assertIn("RCPT TO:<one@sink.zz>", out)
        for wrong, said in (("x", "no id"), ("<x@sender.zz>", "no id"), (
                "01a214ae-1b85-77a2-957e-5951ff5a4d00", "no email"), (
                "%s%02x" % (ident[:-2], int(ident[-2:], 16) + 9),
                "no recipient 9")):
            status, _, errors = self.verpost.command(
                "queue show", wrong, check=False)
            self.assertNotEqual(status, 0)
            self.assertIn(said, errors)
        self.verpost.command("queue release", "domain", "nomail.zz")
        del self.sink.on_rcpt["one@sink.zz"]
        self.verpost.clock.advance(3600)
        self.nothing_waits()


class WithoutRedis(WorldTest):
    options = {"sink": True}

    def test_the_database_still_tells(self):
        verpost = self.world.verpost
        self.world.redis.stop()
        ident = self.mail("away@sink.zz", "no schedule")
        status, out, errors = verpost.command("queue", "--json")
        self.assertEqual(status, 0)
        self.assertIn("Redis at", errors)
        self.assertIn('"waiting":1', out)
        _, out, errors = verpost.command("queue show", ident)
        self.assertIn("waits for its turn", out)
        verpost.command("queue hold", "domain", "sink.zz")
        status, out, errors = verpost.command("queue release", "domain",
                                              "sink.zz")
        self.assertIn("when Redis answers", errors)
        self.world.redis.start()
        verpost.clock.advance(11)
        self.api.wait_event(ident, "delivered", 40)


if __name__ == "__main__":
    runner.main()
