"""
A full queue: what is too much is refused with 429 and a time to wait, what was
accepted is delivered, and then there is room again. Also without Redis.
"""

import concurrent.futures
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

QUEUE_MAX = 1000
AT_ONCE = 50


class Pressure(WorldTest):
    options = {"sink": True, "settings": {"queue_max": str(QUEUE_MAX)}}

    def post(self, name, count=AT_ONCE):
        return self.api.request("POST", "/emails", {
            "from": "hello@sender.zz", "subject": "s", "text": "x",
            "to": ["%s-%d@sink.zz" % (name, n) for n in range(count)]})

    def fill(self, name):
        """Until the first refusal: (ids, the refusal)."""
        ids = []
        for number in range(2 * QUEUE_MAX // AT_ONCE):
            answer = self.post("%s%d" % (name, number))
            if answer.status != 200:
                return ids, answer
            ids.append(answer.json["id"])
        self.fail("%d recipients were accepted" % (len(ids) * AT_ONCE))

    def stop_mta(self, stop):
        """And its master, which would kill it after a while."""
        mtas = wait_until("there is an mta", lambda: list(
            self.world.verpost.processes("mta")))
        for pid in [self.world.verpost.process.pid] + mtas:
            os.kill(pid, signal.SIGSTOP if stop else signal.SIGCONT)

    def check_refusal(self, answer):
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.json["name"], "rate_limit_exceeded")
        self.assertIn("queue_max", answer.json["message"])
        self.assertIn(int(answer.headers["retry-after"]), range(1, 61))

    def test_a_full_queue_is_bounded_and_loses_nothing(self):
        self.stop_mta(True)
        try:
            ids, refusal = self.fill("full")
            self.check_refusal(refusal)
            # Also between two counts. A job whose answer was lost counts
            # until it is found, so less is possible.
            self.assertLessEqual(len(ids) * AT_ONCE, QUEUE_MAX)
            self.assertGreater(len(ids), 0)
        finally:
            self.stop_mta(False)
        for ident in ids:
            self.api.wait_event(ident, "delivered", 60)
        wait_until("there is room again",
                   lambda: self.post("again", 1).status == 200, 20)

    def test_the_bound_holds_without_redis(self):
        self.world.redis.stop()
        try:
            ids, refusal = self.fill("away")
            self.check_refusal(refusal)
        finally:
            self.world.redis.start()
        self.assertLessEqual(len(ids) * AT_ONCE, QUEUE_MAX)
        for ident in ids:
            self.api.wait_event(ident, "delivered", 60)

    def test_those_that_come_at_once_do_not_pass_together(self):
        """Each has its place from when it is let in, not from its commit."""
        self.assertEqual(self.post("known", 1).status, 200)
        self.world.pg.pause()
        try:
            with concurrent.futures.ThreadPoolExecutor(60) as pool:
                calls = [pool.submit(self.post, "once%d" % n)
                         for n in range(60)]
                # The others at once; or none before it goes on, when the key
                # must be looked up again: then all are let in together.
                concurrent.futures.wait(calls, timeout=3)
                self.world.pg.resume()
                answers = [call.result() for call in calls]
        finally:
            self.world.pg.resume()
        accepted = [a for a in answers if a.status == 200]
        self.assertLessEqual(len(accepted) * AT_ONCE, QUEUE_MAX)
        for answer in answers:
            if answer.status != 200:
                self.check_refusal(answer)
        for answer in accepted:
            self.api.wait_event(answer.json["id"], "delivered", 60)


if __name__ == "__main__":
    runner.main()
