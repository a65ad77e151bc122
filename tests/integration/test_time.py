"""Days pass in seconds: the webhook schedule and the life of an email."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

# Pauses between the tries of a webhook, in seconds.
SCHEDULE = (5, 300, 1800, 7200, 18000, 36000, 36000)


class Time(WorldTest):
    options = {"sink": True}

    def setUp(self):
        self.sink, self.verpost = self.world.sink, self.world.verpost
        self.hooks, self.clock = self.world.receiver, self.world.verpost.clock

    def tries(self, ident):
        return self.hooks.of(ident, "email.delivered")

    def test_webhooks_are_tried_eight_times_over_more_than_a_day(self):
        self.world.add_webhook("email.delivered")
        self.hooks.answers = [500] * 100
        ident = self.mail("hook@sink.zz", "s")
        for number, pause in enumerate(SCHEDULE, 1):
            wait_until("try %d" % number,
                       lambda: len(self.tries(ident)) >= number, 20)
            if pause < 60:  # on a slow machine it may be over by now
                self.clock.advance(pause * 1.15)
                continue
            self.settled(ident, number)
            # Nothing before its time ...
            self.clock.advance(pause * 0.9)
            self.settled(ident, number)
            self.assertEqual(len(self.tries(ident)), number)
            # ... and not much later: up to a tenth is added.
            self.clock.advance(pause * 0.25)
        wait_until("the last try", lambda: len(self.tries(ident)) == 8, 20)
        wait_until("it is over", lambda: self.verpost.mail_sql(
            "SELECT count(*) FROM webhook_deliveries WHERE recipient %s "
            "AND next_at IS NULL AND NOT delivered AND tries = 8",
            ident) == "1")
        tries = self.tries(ident)
        self.assertEqual(len({t.id for t in tries}), 1)
        self.assertEqual(len({t.body for t in tries}), 1)
        self.assertGreater(
            int(tries[-1].headers["webhook-timestamp"])
            - int(tries[0].headers["webhook-timestamp"]), 24 * 3600)
        self.hooks.answers = []

    def settled(self, ident, number):
        wait_until("try %d is recorded" % number, lambda:
                   self.verpost.mail_sql(
                       "SELECT max(tries) FROM webhook_deliveries "
                       "WHERE recipient %s AND kind = 4", ident)
                   == str(number))

    def test_an_email_expires_after_72_hours(self):
        self.world.add_webhook("email.failed", path="/expiry")
        self.sink.on_rcpt["never@sink.zz"] = "451 4.3.0 not today"
        ident = self.mail("never@sink.zz", "s")
        self.api.wait_event(ident, "delivery_delayed")
        for _ in range(5):
            before = self.attempts(ident)
            self.clock.advance(5 * 3600)
            wait_until("another attempt",
                       lambda: self.attempts(ident) > before, 30)
        self.assertEqual(self.api.email(ident)["last_event"],
                         "delivery_delayed")
        self.clock.advance(48 * 3600)
        self.api.wait_event(ident, "failed", 60)
        got = self.hooks.wait_for(ident, "email.failed")
        self.assertEqual(got.event["data"]["failed"], {
            "reason": "expired",
            "message": "not delivered within the time allowed"})
        ended = self.attempts(ident)
        self.check_last(ident, ended, 451, False)
        shown = self.verpost.command_json("queue show", ident)
        self.assertEqual(shown["recipients"][0]["why"], "expired: not today")
        self.assertEqual({a["outcome"] for a in shown["attempts"]},
                         {"deferred"})
        self.clock.advance(24 * 3600)
        other = self.mail("other@sink.zz", "s")
        self.api.wait_event(other, "delivered", 30)
        self.assertEqual(self.attempts(ident), ended)

    def check_last(self, ident, number, code, is_unknown):
        """What ended it was no attempt: the last one tells what was said."""
        recipient = self.api.email(ident)["recipients"][0]
        self.assertEqual(
            [recipient["reason"], recipient["outcome_unknown"]],
            ["expired", is_unknown])
        self.assertEqual(
            [recipient["last_attempt"][k] for k in ("number", "code")],
            [number, code])

    def test_what_expires_may_have_been_taken(self):
        self.sink.on_dot["taken@sink.zz"] = None
        ident = self.mail("taken@sink.zz", "its reply never comes")
        self.api.wait_event(ident, "delivery_delayed", 30)
        self.clock.advance(73 * 3600)
        self.api.wait_event(ident, "failed", 60)
        self.check_last(ident, 1, 0, True)

    def test_z_a_clock_far_ahead_finds_its_days(self):
        """Last by name: what came before is long over then."""
        for n in range(8):
            self.clock.advance(50 * 24 * 3600)
            ident = self.mail("day%d@sink.zz" % n, "s")
        self.api.wait_event(ident, "delivered", 60)

    def attempts(self, ident):
        return int(self.verpost.mail_sql(
            "SELECT attempts FROM recipients WHERE id %s", ident))


if __name__ == "__main__":
    runner.main()
