"""What tests of limits do with a world and its counters (counter.py)."""

import concurrent.futures
import time

from .counter import most_within
from .procs import wait_until
from .world import WorldTest

CLAIM_S = 15 * 60
DAY_S = 86400
# The counter may read a little late or early: by at most this part.
SLACK = 0.95


class LimitsTest(WorldTest):
    def post(self, to):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda a: self.mail(a, "limits"), to))

    def unfinished(self):
        return int(self.world.pg.value(
            "SELECT count(*) FROM recipients WHERE finished_at IS NULL"))

    def drive(self, still_s, pass_time, seconds=150):
        """Until all is finished; lets time pass when nothing moves."""
        last, since = None, time.monotonic()

        def look():
            nonlocal last, since
            now = self.unfinished(), self.world.pg.value(
                "SELECT count(*) FROM attempts")
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > still_s:
                pass_time()
                since = time.monotonic()
            return now[0] == 0

        wait_until("all are finished", look, seconds, 0.2)

    def end_claims(self):
        """What a killed process had claimed is free after its time."""
        self.world.verpost.clock.advance(CLAIM_S + 60)

    def next_day(self):
        clock = self.world.verpost.clock
        now = time.time() + clock.offset_ms / 1000
        clock.advance(DAY_S - now % DAY_S + 60)

    def check_rate(self, times, most, seconds):
        self.assertEqual(len(times), 2, "both sources were used")
        for source, moments in times.items():
            self.assertLessEqual(
                most_within(moments, seconds * SLACK), most, source)

    def mails_of(self, counter):
        with counter.lock:
            return {source: len(times)
                    for source, times in counter.mail_times.items()}
