"""Holds and cancels of all mail of a kind: verpost queue hold, cancel, ..."""

import collections
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

HOUR = 3600


class RulesTest(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost

    def tearDown(self):
        for rule in self.rules():
            if rule["kind"] == "hold":
                self.release(rule["scope"], rule["value"])

    def rules(self):
        return self.verpost.command_json("queue rules")

    def hold(self, scope, value, *more):
        self.verpost.command("queue hold", scope, value, *more)

    def release(self, scope, value, *more):
        self.verpost.command("queue release", scope, value, *more)

    def cancel(self, scope, value, *more):
        self.verpost.command("queue cancel", scope, value, *more)

    def who_canceled(self, ident):
        """What is told of it everywhere, of the first recipient."""
        found = self.api.email(ident)
        self.assertEqual(found["last_event"], "canceled")
        first = found["recipients"][0]
        self.assertEqual(first["status"], "canceled")
        return first["canceled"], self.verpost.command_json(
            "queue show", ident)["recipients"][0]["why"]

    def assert_never_tried(self, ident):
        """Not in what the API says, nor in what the operator is shown."""
        for recipient in self.api.email(ident)["recipients"]:
            self.assertEqual(recipient["attempts"], 0)
            self.assertIsNone(recipient["last_attempt"])
        self.assertEqual(self.api.request(
            "GET", "/emails/%s/attempts" % ident).json["data"], [])
        shown = self.verpost.command_json("queue show", ident)
        self.assertEqual(shown["attempts"], [])
        self.assertEqual({r["attempts"] for r in shown["recipients"]}, {0})

    def in_zsets(self, kinds):
        """How many members the zsets of these kinds have in all lanes."""
        keys = [key for key in self.world.redis.command("KEYS", "q:*").split()
                if key[-1] in kinds]
        return sum(int(self.world.redis.command("ZCARD", key))
                   for key in keys)

    def wait_parked(self, count, seconds=30):
        wait_until("%d are parked" % count,
                   lambda: self.in_zsets("p") == count, seconds, 0.1)

    def wait_no_jobs(self):
        wait_until("no job is left", lambda: self.in_zsets("rthp") == 0, 30)

    def kill_mta(self):
        for pid in self.verpost.processes("mta"):
            os.kill(pid, signal.SIGKILL)


class Rules(RulesTest):
    def test_a_domain_waits_and_others_do_not(self):
        self.hold("domain", "SINK.zz", "--reason", "they asked us to")
        rule, = self.rules()
        self.assertEqual(
            [rule[k] for k in ("kind", "scope", "value", "reason", "until")],
            ["hold", "domain", "sink.zz", "they asked us to", None])
        held = self.mail("held@sink.zz", "held")
        self.wait_parked(1)
        other = self.mail("other@nomail.zz", "not held")
        self.api.wait_event(other, "failed")
        self.assertEqual(self.sink.for_rcpt("held@sink.zz"), [])
        _, said, _ = self.verpost.command("queue release", "domain",
                                          "sink.zz")
        # The keeper may have been first.
        self.assertRegex(said, "1 recipient that waited|what waited for it")
        self.api.wait_event(held, "delivered")
        self.assertEqual(self.rules(), [])
        self.wait_no_jobs()

    def test_an_account_a_tag_and_a_tag_with_its_value(self):
        spring = [{"name": "campaign", "value": "spring"}]
        autumn = [{"name": "campaign", "value": "autumn"}]
        for scope, value, waits, goes in [
                ("account", "tester", {}, None),
                ("tag", "campaign", {"tags": autumn}, {}),
                ("tag", "campaign=spring", {"tags": spring},
                 {"tags": autumn})]:
            with self.subTest(scope + " " + value):
                self.hold(scope, value)
                held = self.mail("held@sink.zz", "held", **waits)
                self.wait_parked(1)
                if goes is not None:
                    self.api.wait_event(
                        self.mail("goes@sink.zz", "goes", **goes),
                        "delivered")
                self.release(scope, value)
                self.api.wait_event(held, "delivered")

    def test_what_was_done_is_told_to_programs_too(self):
        made = self.verpost.command_json(
            "queue hold", "domain", "SINK.zz", "--account", "tester",
            "--reason", "ticket 7", "--for", "2h")
        listed, = [r for r in self.rules() if r["kind"] == "hold"]
        self.assertEqual(made, listed)
        self.assertEqual(
            [made[k] for k in ("kind", "scope", "value", "account",
                               "reason")],
            ["hold", "domain", "sink.zz", "tester", "ticket 7"])
        # Again: the same one, with another reason and no end.
        again = self.verpost.command_json("queue hold", "domain", "sink.zz",
                                          "--account", "tester")
        self.assertEqual(again, dict(made, reason="", until=None))
        ident = self.mail("told@sink.zz", "held")
        self.wait_parked(1)
        ended = self.verpost.command_json(
            "queue release", "domain", "sink.zz", "--account", "tester")
        # The keeper may have been first.
        self.assertIn(ended.pop("given_back"), (0, 1))
        self.assertEqual(ended, again)
        self.api.wait_event(ident, "delivered")
        cancels = [self.verpost.command_json("queue cancel", "tag", "a=b")
                   for _ in range(2)]
        self.assertEqual(cancels,
                         [r for r in self.rules() if r["value"] == "a=b"])
        self.assertNotEqual(cancels[0]["id"], cancels[1]["id"])
        self.verpost.pg.sql("DELETE FROM rules")

    def test_of_one_account_only(self):
        self.verpost.command("account add", "quiet")
        _, out, _ = self.verpost.command("queue hold", "domain", "sink.zz",
                                         "--account", "quiet")
        self.assertIn("'verpost queue release domain sink.zz --account "
                      "quiet'", out)
        self.api.wait_event(self.mail("loud@sink.zz", "goes"), "delivered")
        self.release("domain", "sink.zz", "--account", "quiet")

    def test_a_source_that_is_held_sends_nothing(self):
        source = self.world.net + ".20"
        self.hold("source", source)
        ident = self.mail("source@sink.zz", "waits for its source")
        # Refused at its claim, or not leased any more.
        wait_until("it is back", lambda: self.in_zsets("h") == 0
                   and self.in_zsets("rt") == 1, 30)
        self.assertEqual(self.sink.for_rcpt("source@sink.zz"), [])
        self.release("source", source)
        self.api.wait_event(ident, "delivered", 30)

    def test_a_cancel_covers_what_was_accepted_before_it(self):
        self.hold("domain", "sink.zz")
        before = self.mail("before@sink.zz", "too early")
        self.wait_parked(1)
        self.world.add_webhook("email.canceled")
        self.cancel("domain", "sink.zz", "--reason", "wrong price")
        rule, = (r["id"] for r in self.rules() if r["kind"] == "cancel")
        after = self.mail("after@sink.zz", "late enough")
        # Parked, so nobody leases it: the walk finds it.
        told = self.world.receiver.wait_for(before, "email.canceled", 40)
        by, why = self.who_canceled(before)
        self.assertRegex(by.pop("at"), r"^20\d\d-\d\d-\d\d \d\d:.*\+00$")
        self.assertEqual(by, {
            "by": "operator", "rule": rule, "scope": "domain",
            "value": "sink.zz", "reason": "wrong price"})
        by["message"] = "canceled by the operator: domain sink.zz (wrong price)"
        self.assertEqual(told.event["data"]["canceled"], by)
        self.assertRegex(why, r"^canceled by the operator: domain sink\.zz "
                         r"\(wrong price\), rule %s, at 20\S+Z$" % rule)
        self.assert_never_tried(before)
        self.release("domain", "sink.zz")
        self.api.wait_event(after, "delivered")
        self.assertEqual(self.sink.for_rcpt("before@sink.zz"), [])
        self.assertEqual(self.verpost.mail_sql(
            "SELECT string_agg(kind::text, ' ' ORDER BY kind) FROM events "
            "WHERE recipient %s", before), "9")
        self.wait_no_jobs()

    def test_what_waits_for_its_next_attempt_is_cancelled(self):
        self.sink.on_rcpt["later@sink.zz"] = "451 4.7.1 not now"
        ident = self.mail("later@sink.zz", "deferred", tags=[
            {"name": "kind", "value": "news"}])
        self.api.wait_event(ident, "delivery_delayed")
        del self.sink.on_rcpt["later@sink.zz"]
        self.cancel("tag", "kind=news")
        wait_until("it is over", lambda: self.verpost.mail_sql(
            "SELECT status FROM recipients WHERE id %s", ident) == "50", 40)
        recipient, = self.api.email(ident)["recipients"]
        self.assertEqual(recipient["canceled"]["value"], "kind=news")
        self.assertNotIn("reason", recipient["canceled"])
        # The one that there was, and no other.
        self.assertEqual(
            [recipient["attempts"], recipient["last_attempt"]["reply"]],
            [1, "not now"])
        self.assertEqual([a["outcome"] for a in self.api.request(
            "GET", "/emails/%s/attempts" % ident).json["data"]], ["deferred"])
        self.verpost.clock.advance(HOUR)
        self.wait_no_jobs()
        self.assertEqual(self.sink.for_rcpt("later@sink.zz"), [])

    def test_a_hold_ends_by_itself(self):
        self.hold("domain", "sink.zz", "--for", "2h")
        ident = self.mail("time@sink.zz", "held for a time")
        self.wait_parked(1)
        self.verpost.clock.advance(2 * HOUR + 1)
        self.api.wait_event(ident, "delivered", 30)
        self.assertEqual(self.rules(), [])

    def test_max_age_goes_on_while_held(self):
        self.hold("domain", "sink.zz")
        ident = self.mail("old@sink.zz", "held for too long")
        self.wait_parked(1)
        self.verpost.clock.advance(100 * HOUR)
        found = self.api.wait_event(ident, "failed", 40)
        self.assertEqual(found["recipients"][0]["reason"], "expired")
        self.wait_no_jobs()

    def test_a_command_that_was_killed_is_made_good(self):
        """As if it had ended between its commit and the end of its work."""
        self.hold("domain", "sink.zz")
        ident = self.mail("keeper@sink.zz", "held")
        self.wait_parked(1)
        self.verpost.pg.sql("DELETE FROM rules")
        self.api.wait_event(ident, "delivered", 30)

    def test_redis_forgets_what_is_parked(self):
        self.hold("domain", "sink.zz")
        ident = self.mail("flush@sink.zz", "held")
        self.wait_parked(1)
        self.world.redis.command("FLUSHALL")
        self.verpost.clock.advance(11)  # then the walk sees it
        self.wait_parked(1)
        self.assertEqual(self.sink.for_rcpt("flush@sink.zz"), [])
        self.release("domain", "sink.zz")
        self.api.wait_event(ident, "delivered")

    def test_nothing_is_claimed_after_the_command(self):
        """Not even what had been read and stood in line by then."""
        gate = threading.Event()
        addresses = ["line%d@sink.zz" % n for n in range(200)]

        def wait_for_gate(_):
            gate.wait(30)
            return "250 2.0.0 taken"

        for address in addresses:
            self.sink.on_dot[address] = wait_for_gate
        for n in range(0, 200, 50):
            self.mail(addresses[n:n + 50], "in line")
        wait_until("some are being sent", lambda: sum(
            len(self.sink.for_rcpt(a)) for a in addresses) > 0)
        self.hold("domain", "sink.zz")
        claimed = self.attempts()
        gate.set()
        # Given back are those that had not begun when the rule was read.
        wait_until("all are sent or parked", lambda: self.attempts(
            "outcome = 1") + self.in_zsets("p") == 200, 30, 0.1)
        self.assertIn(self.attempts("outcome = 1"), range(1, claimed + 1))
        self.assertEqual(self.attempts("outcome IS NULL"), 0)
        self.release("domain", "sink.zz")
        wait_until("all are delivered", lambda:
                   self.attempts("outcome = 1") == 200, 60)
        self.assertEqual({len(self.sink.for_rcpt(a)) for a in addresses},
                         {1})

    def attempts(self, which="true"):
        return int(self.verpost.pg.value(
            "SELECT count(*) FROM attempts a JOIN recipients r "
            "ON r.id = a.recipient WHERE r.address LIKE 'line%%' AND %s"
            % which))

    def test_a_source_that_is_none_is_held_with_a_warning(self):
        _, _, errors = self.verpost.command("queue hold", "source",
                                            "192.0.2.77")
        self.assertIn("no source 192.0.2.77", errors)
        self.release("source", "192.0.2.77")
        _, _, errors = self.verpost.command("queue hold", "source",
                                            self.world.net + ".20")
        self.assertEqual(errors, "")
        self.release("source", self.world.net + ".20")

    def test_commands_that_are_wrong_say_so(self):
        for words, said in [
                (("hold", "planet", "mars"), "scope"),
                (("hold", "domain", "not a domain"), "domain"),
                (("hold", "domain"), "SCOPE VALUE"),
                (("hold", "account", "nobody"), "nobody"),
                (("hold", "source", "x"), "x"),
                (("hold", "tag", "=x"), "tag"),
                (("hold", "tag", ""), "tag"),
                (("hold", "tag", "campaign = spring"), "no mail can have"),
                (("cancel", "tag", "campaign="), "no mail can have"),
                (("cancel", "tag", "a\nb"), "no mail can have"),
                (("release", "tag", "a b"), "no hold"),
                (("hold", "domain", "sink.zz", "--for", "soon"), "--for"),
                (("hold", "account", "tester", "--account", "tester"),
                 "--account"),
                (("release", "domain", "free.zz"), "no hold"),
                (("cancel", "source", "192.0.2.1"), "no source")]:
            with self.subTest(" ".join(words)):
                status, out, errors = self.verpost.command(
                    "queue " + words[0], *words[1:], check=False)
                self.assertNotEqual(status, 0)
                self.assertIn(said, out + errors)
        self.assertEqual(self.rules(), [])


class Status(RulesTest):
    """What GET /emails/{id} and GET /emails say about mail that waits."""

    def recipient(self, ident):
        return self.api.email(ident)["recipients"][0]

    def test_a_cancel_is_told_before_anybody_comes_across_the_mail(self):
        self.hold("domain", "sink.zz")
        tags = [{"name": "kind", "value": "soon"}]
        ident = self.mail("soon@sink.zz", "to be cancelled", tags=tags)
        other = self.mail("other@sink.zz", "of another kind")
        self.wait_parked(2)
        self.verpost.process.send(signal.SIGSTOP)
        for pid in self.verpost.processes("keeper"):
            os.kill(pid, signal.SIGSTOP)
        try:
            self.cancel("tag", "kind=soon")
            later = self.mail("later@sink.zz", "accepted since", tags=tags)
            found = self.api.email(ident)
            listed = {e["id"]: e["last_event"] for e in
                      self.api.request("GET", "/emails").json["data"]}
            self.assertEqual(self.verpost.mail_sql(
                "SELECT status FROM recipients WHERE id %s", ident), "20")
        finally:
            for pid in self.verpost.processes("keeper"):
                os.kill(pid, signal.SIGCONT)
            self.verpost.process.send(signal.SIGCONT)
        self.assertEqual(found["last_event"], "canceled")
        self.assertEqual(
            [listed[i] for i in (ident, other, later)],
            ["canceled", "queued", "queued"])
        self.assertEqual(found["recipients"][0]["status"], "canceled")
        self.assertEqual(found["recipients"][0]["canceled"]["value"],
                         "kind=soon")
        self.assertIsNone(found["recipients"][0]["delayed_because"])
        wait_until("the walk has come by", lambda: self.verpost.mail_sql(
            "SELECT status FROM recipients WHERE id %s", ident) == "50", 40)

    def test_why_it_is_not_delivered_yet(self):
        self.hold("domain", "sink.zz", "--reason", "ticket 4711")
        held = self.mail("why@sink.zz", "held")
        self.assertEqual(self.recipient(held)["delayed_because"],
                         "on hold: domain sink.zz (ticket 4711)")
        self.wait_parked(1)
        self.sink.on_rcpt["why@sink.zz"] = "451 4.7.1 come back later"
        self.release("domain", "sink.zz")
        self.api.wait_event(held, "delivery_delayed")
        self.assertRegex(
            self.recipient(held)["delayed_because"],
            r"^next attempt at 20.*Z: 451 4\.7\.1 come back later, "
            r"said mx\.sink\.zz\[.*")
        del self.sink.on_rcpt["why@sink.zz"]
        gate = threading.Event()

        def wait_for_gate(_):
            gate.wait(30)
            return "250 2.0.0 taken"

        self.sink.on_dot["why@sink.zz"] = wait_for_gate
        self.verpost.clock.advance(HOUR)
        self.sink.wait_for("why@sink.zz")
        self.assertEqual(self.recipient(held)["delayed_because"],
                         "being sent from %s.20" % self.world.net)
        _, out, _ = self.verpost.command("queue show", held)
        self.assertIn("being sent from %s.20" % self.world.net, out)
        gate.set()
        self.api.wait_event(held, "delivered")
        self.assertIsNone(self.recipient(held)["delayed_because"])


    def test_what_its_lane_says(self):
        mta, = self.verpost.processes("mta")
        for pid in (self.verpost.process.pid, mta):
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(os.kill, pid, signal.SIGCONT)
        ident = self.mail("lane@sink.zz", "waits")
        self.assertEqual(self.recipient(ident)["delayed_because"],
                         "waits for its turn")
        key = "q:{p1.%s}:m" % self.verpost.mail_sql(
            "SELECT lane FROM recipients WHERE id %s", ident)
        why = "why:" + self.verpost.worker()
        self.world.redis.command("HSET", key, why,
                                 "daily limit reached 1893456000000")
        wait_until("it is told", lambda: self.recipient(ident)[
            "delayed_because"] == "daily limit reached until "
            "2030-01-01T00:00:00.000Z", 10)
        self.world.redis.command("HDEL", key, why)
        for pid in (mta, self.verpost.process.pid):
            os.kill(pid, signal.SIGCONT)
        self.api.wait_event(ident, "delivered", 30)

    def test_that_nobody_sends_from_its_pool(self):
        source = self.world.net + ".20"
        self.hold("source", source)
        ident = self.mail("pool@sink.zz", "waits")
        wait_until("it is told", lambda: self.recipient(ident)[
            "delayed_because"] == "no address of its pool sends at the "
            "moment", 20)
        self.release("source", source)
        self.api.wait_event(ident, "delivered", 30)


class CancelOne(RulesTest):
    def post(self, ident, status):
        answer = self.api.request("POST", "/emails/%s/cancel" % ident, b"",
                                  {"Content-Type": "application/json"})
        self.assertEqual(answer.status, status, answer)
        return answer.json

    def test_what_waits_is_canceled_at_once(self):
        self.hold("domain", "sink.zz")
        ident = self.mail(["a@sink.zz", "b@sink.zz"], "never mind")
        self.wait_parked(2)
        self.assertIsNone(self.api.email(ident)["recipients"][0]["canceled"])
        self.world.add_webhook("email.canceled")
        self.assertEqual(self.post(ident, 200),
                         {"object": "email", "id": ident})
        by, why = self.who_canceled(ident)
        self.assertEqual(by["by"], "sender")
        self.assertEqual(by["at"],
                         self.api.email(ident)["recipients"][0]["finished_at"])
        self.assertRegex(why, r"^canceled by the sender, at 20\S+Z$")
        self.assert_never_tried(ident)
        told = self.world.receiver.wait_for(ident, "email.canceled")
        self.assertEqual(told.event["data"]["canceled"], {
            "by": "sender", "message": "canceled by the sender"})
        self.wait_no_jobs()
        self.assertEqual(self.post(ident, 200)["id"], ident)
        self.assertEqual(self.verpost.mail_sql(
            "SELECT count(*) FROM events WHERE kind = 9 "
            "AND recipient %s", ident), "2")
        self.release("domain", "sink.zz")
        self.verpost.clock.advance(HOUR)
        self.assertEqual(self.sink.for_rcpt("a@sink.zz"), [])

    def statuses(self, ident):
        return [r["status"] for r in self.api.email(ident)["recipients"]]

    def test_what_is_being_sent_cannot_be_canceled(self):
        gate = threading.Event()

        def wait_for_gate(_):
            gate.wait(30)
            return "250 2.0.0 taken"

        self.sink.on_dot["now@sink.zz"] = wait_for_gate
        self.hold("domain", "nomail.zz")
        ident = self.mail(["now@sink.zz", "later@nomail.zz"], "half")
        self.sink.wait_for("now@sink.zz")
        no = self.post(ident, 409)
        self.assertEqual(no["name"], "resource_locked")
        self.assertIn("1 of 2 recipients are being sent", no["message"])
        self.assertEqual(self.statuses(ident), ["queued", "canceled"])
        gate.set()
        wait_until("it is over", lambda: self.statuses(ident)
                   == ["delivered", "canceled"])
        self.post(ident, 200)
        self.release("domain", "nomail.zz")
        self.wait_no_jobs()
        self.assertEqual(self.statuses(ident), ["delivered", "canceled"])

    def test_what_is_finished_or_not_there(self):
        ident = self.mail("done@sink.zz", "too late")
        self.api.wait_event(ident, "delivered")
        no = self.post(ident, 422)
        self.assertEqual(no["name"], "invalid_parameter")
        self.assertIn("nothing to cancel", no["message"])
        self.assertEqual(self.api.email(ident)["last_event"], "delivered")
        self.post("01a214ae-1b85-77a2-957e-5951ff5a4d00", 404)
        self.post("nonsense", 422)
        # A recipient's id is no email's.
        self.post(self.api.email(ident)["recipients"][0]["id"], 404)

    def test_of_another_account_it_is_not_found(self):
        self.hold("domain", "sink.zz")
        ident = self.mail("mine@sink.zz", "not yours")
        self.verpost.command("account add", "stranger")
        key = self.verpost.command_json("key add", "x", "--account",
                                        "stranger")["key"]
        answer = self.api.request("POST", "/emails/%s/cancel" % ident, b"", {
            "Authorization": "Bearer " + key})
        self.assertEqual(answer.status, 404)
        self.assertEqual(self.api.email(ident)["last_event"], "queued")
        self.post(ident, 200)


class InLine(RulesTest):
    """What is claimed ahead while the only connection is slow."""

    options = {"sink": True, "shaping": "[default]\nsite_connections = 1\n"}

    def wait_known(self):
        """Until the mta has read the rules that are there now."""
        generation = self.verpost.pg.value("SELECT generation FROM rule_state")
        wait_until("the rules are known", lambda: any(
            "mta/0" in line and "rules.read" in line
            and "generation=" + generation in line.split()
            for line in self.verpost.process.log().splitlines()), 20, 0.1)

    def test_it_is_not_sent_once_the_hold_is_known(self):
        asked, gate = threading.Event(), threading.Event()
        self.addCleanup(gate.set)
        self.sink.on_rcpt["slow@sink.zz"] = lambda _: asked.set() or (
            gate.wait(30) and "250 2.1.5 ok")
        slow = self.mail("slow@sink.zz", "is being sent")
        self.assertTrue(asked.wait(20))
        ahead = [self.mail("ahead%d@sink.zz" % n, "claimed ahead")
                 for n in range(2)]
        wait_until("they are claimed", lambda: self.verpost.pg.value(
            "SELECT count(*) FROM attempts WHERE outcome IS NULL") == "3")
        self.hold("domain", "sink.zz")
        self.wait_known()
        gate.set()
        self.api.wait_event(slow, "delivered")
        self.wait_parked(2)
        for n in range(2):
            self.assertEqual(self.sink.for_rcpt("ahead%d@sink.zz" % n), [])
        self.release("domain", "sink.zz")
        for ident in ahead:
            self.api.wait_event(ident, "delivered")


class TenThousand(RulesTest):
    """Faults while 10,000 recipients are held, cancelled and released, by two
    mta processes."""

    options = {"sink": True, "settings": {"mta_processes": "2"}}
    emails, each = 200, 50

    def address(self, n):
        return "m%d@sink.zz" % n

    def post_all(self):
        for n in range(self.emails):
            tag = "news" if n % 2 else "offer"
            self.mail([self.address(n * self.each + i)
                       for i in range(self.each)], "many",
                      tags=[{"name": "kind", "value": tag}])

    def with_status(self, number):
        return int(self.verpost.pg.value(
            "SELECT count(*) FROM recipients WHERE status = %d" % number))

    def each_once_or_unknown(self):
        """The tagged offers never, the others as often as can be known."""
        unknown = dict(self.verpost.pg.sql(
            "SELECT r.address, count(*) FROM attempts a JOIN recipients r "
            "ON r.id = a.recipient WHERE a.outcome = 5 GROUP BY 1"))
        taken = collections.Counter(t.rcpt[0] for t in self.sink.taken)
        for n in range(self.emails * self.each):
            address = self.address(n)
            if n // self.each % 2 == 0:
                self.assertEqual(taken[address], 0, address)
            else:
                self.assertIn(taken[address], range(
                    1, 2 + int(unknown.get(address, 0))), address)

    def test_held_cancelled_and_released(self):
        total = self.emails * self.each
        self.verpost.command("source add", self.world.net + ".21", "--helo",
                             "second.sender.zz")
        wait_until("both have a source", lambda: self.verpost.pg.value(
            "SELECT count(DISTINCT owner) FROM sources") == "2", 30)
        self.hold("domain", "sink.zz")
        self.post_all()
        self.kill_mta()
        self.wait_parked(total, 120)
        self.world.redis.command("FLUSHALL")
        self.kill_mta()
        self.verpost.clock.advance(11)
        self.wait_parked(total, 120)
        self.assertEqual(self.sink.taken, [])
        started = time.monotonic()
        self.cancel("tag", "kind=offer")
        self.assertLess(time.monotonic() - started, 5,
                        "one row, however much it is about")
        self.world.redis.command("FLUSHALL")
        self.kill_mta()
        wait_until("half of them are cancelled",
                   lambda: self.with_status(50) == total // 2, 180, 0.5)
        self.assertEqual(self.sink.taken, [])
        self.wait_parked(total // 2, 120)
        self.release("domain", "sink.zz")
        wait_until("some go out", lambda: len(self.sink.taken) > 100, 60)
        self.kill_mta()
        self.world.redis.command("FLUSHALL")
        # What was claimed when it was killed is open for 15 minutes.
        self.verpost.clock.advance(16 * 60)
        wait_until("the others are delivered",
                   lambda: self.with_status(70) == total // 2, 300, 0.5)
        self.assertEqual(self.with_status(50), total // 2)
        self.each_once_or_unknown()
        self.wait_no_jobs()


if __name__ == "__main__":
    runner.main()
