"""
The memory for contents is bounded: with a budget of 1 MB, more than that is
sent all the same, large and small mixed, each whole, and several recipients
of one email share one copy.
"""

import hashlib
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

# Read beside the claim; too large for that; larger than the whole budget.
SIZES = (20000, 200000, 400000, 1500000)
ROUNDS = 6


def text_of(number, size):
    line = hashlib.sha256(b"%d" % number).hexdigest() + "\n"
    return (line * (size // len(line) + 1))[:size - 1] + "\n"


class Content(WorldTest):
    options = {"sink": True, "settings": {
        "in_hand_bytes_max": "1M", "recent_bytes_max": "0"}}

    def test_everything_arrives_whole(self):
        sent = {}
        for number in range(ROUNDS * len(SIZES)):
            size = SIZES[number % len(SIZES)]
            text, to = text_of(number, size), ["m%d-%d@sink.zz" % (number, n)
                                               for n in range(3)]
            ident = self.mail(to, "content", text=text)
            sent[ident] = (to, text)
        for ident, (to, text) in sent.items():
            self.api.wait_event(ident, "delivered", 120)
            for address in to:
                taken = self.world.sink.for_rcpt(address)
                self.assertEqual(len(taken), 1, address)
                body = taken[0].message.get_content()
                self.assertEqual(body.replace("\r\n", "\n"), text)

    def test_content_that_is_gone_defers_and_says_so(self):
        world = self.world
        mta = wait_until("there is an mta",
                         lambda: list(world.verpost.processes("mta")))
        for pid in mta:
            os.kill(pid, signal.SIGSTOP)
        ident = self.mail("gone@sink.zz", "gone", text="never")
        world.pg.sql("DELETE FROM email_contents WHERE id = '%s'" % ident)
        for pid in mta:
            os.kill(pid, signal.SIGCONT)
        self.api.wait_event(ident, "delivery_delayed", 60)
        wait_until("the reason is told", lambda: "content of the email" in str(
            self.api.email(ident)))
        self.assertEqual(world.sink.for_rcpt("gone@sink.zz"), [])


class Recent(WorldTest):
    """What a node accepted a moment ago it need not read back."""
    options = {"sink": True}

    def test_it_is_sent_from_memory(self):
        world = self.world
        world.verpost.command("queue hold", "domain", "sink.zz")
        text = text_of(1, 30000)
        ident = self.mail("kept@sink.zz", "kept", text=text)
        world.pg.sql("DELETE FROM email_contents WHERE id = '%s'" % ident)
        world.verpost.command("queue release", "domain", "sink.zz")
        self.api.wait_event(ident, "delivered", 60)
        taken = world.sink.for_rcpt("kept@sink.zz")
        self.assertEqual(len(taken), 1)
        self.assertEqual(taken[0].message.get_content().replace(
            "\r\n", "\n"), text)

    def test_after_a_restart_it_is_read_from_the_database(self):
        world = self.world
        world.verpost.command("queue hold", "domain", "sink.zz")
        text = text_of(2, 30000)
        ident = self.mail("again@sink.zz", "again", text=text)
        world.verpost.stop()
        world.verpost.start()
        world.verpost.command("queue release", "domain", "sink.zz")
        self.api.wait_event(ident, "delivered", 60)
        taken = world.sink.for_rcpt("again@sink.zz")
        self.assertEqual(taken[0].message.get_content().replace(
            "\r\n", "\n"), text)


if __name__ == "__main__":
    runner.main()
