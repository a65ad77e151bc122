"""All that one test file needs, started once and ended with it."""

import os
import re
import sys
import unittest

from . import verpost
from .names import Dns
from .postfix import Postfix
from .procs import scratch, subnet, wait_until
from .sink import Sink
from .storage import Postgres, Redis
from .webhook import Receiver

MX_PORT = 10025

# What tests kill ends by SIGKILL; nothing else may end that way, nor may a
# sanitizer have anything to say.
CRASHED = re.compile(
    r"child\.end .*signal=(?!Killed)|Sanitizer|runtime error:|invariant")


class World:
    """
    net.2 nsd, .3 unbound, .10 Verpost's doors, .20 its source, .30 Postfix
    for remote.zz, .31 the sink for sink.zz, .40 the webhook endpoint.
    """

    def __init__(self, postfix=False, sink=False, settings=None,
                 shaping=None, haste=1):
        self.base, self.net = scratch(), subnet()
        self.pg, self.redis = Postgres(self.base), Redis(self.base)
        self.dns = Dns(self.base, self.net)
        self.receiver = Receiver(self.net + ".40")
        self.postfix = self.sink = None
        names = ["mx.remote IN A %s.30" % self.net,
                 "remote IN MX 10 mx.remote",
                 "mx.sink IN A %s.31" % self.net,
                 "sink IN MX 10 mx.sink",
                 "out.sender IN A %s.20" % self.net,
                 "nomail IN MX 0 ."]
        self.dns.add(*names)
        self.shaping, self.haste = shaping, haste
        self.verpost = verpost.Verpost(self.base, self.net, self.pg,
                                       self.redis, self.dns, settings,
                                       shaping=shaping, haste=haste)
        self.nodes = [self.verpost]
        self.verpost.set_up()
        if postfix:
            self.postfix = Postfix(
                self.base, self.net + ".30", "remote.zz",
                {self.return_host(): "%s:%d" % self.verpost.smtp_in})
        if sink:
            self.sink = Sink(self.net + ".31", MX_PORT)
        self.verpost.start()
        self.api = self.verpost.api

    def return_host(self):
        return self.verpost.return_host

    def add_node(self, settings=None):
        """A second node, running, on .11."""
        node = verpost.Verpost(self.base, self.net, self.pg, self.redis,
                               self.dns, settings, name="node2",
                               shaping=self.shaping, haste=self.haste,
                               beside=self.verpost)
        self.nodes.append(node)
        node.start()
        wait_until("the second node has a worker", node.worker)
        return node

    def add_webhook(self, *events, path="/hook"):
        """Registers the receiver; the signing secret."""
        answer = self.api.request("POST", "/webhooks", {
            "endpoint": self.receiver.url + path, "events": list(events)})
        if answer.status != 201:
            raise AssertionError("POST /webhooks: %r" % answer)
        return answer.json["signing_secret"]

    def stop(self):
        for part in [n.process for n in self.nodes] + [self.postfix]:
            if part is not None:
                part.stop()
        for part in (self.sink, self.receiver):
            if part is not None:
                part.stop()
        self.dns.unbound.stop()
        self.dns.nsd.stop()
        self.redis.stop()
        self.pg.stop()


class WorldTest(unittest.TestCase):
    """A test class with one World for all its cases."""

    options = {}
    world = None

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(verpost.PROGRAM):
            raise unittest.SkipTest("no program at %s" % verpost.PROGRAM)
        cls.world = World(**cls.options)
        cls.api = cls.world.api

    @classmethod
    def tearDownClass(cls):
        if cls.world is not None:
            cls.world.stop()
            for node in cls.world.nodes:
                cls.look_for_crashes(node.process.log())

    @staticmethod
    def look_for_crashes(log):
        found = [line for line in log.splitlines() if CRASHED.search(line)]
        if found:
            raise AssertionError("a process came to grief:\n%s\n%s" % (
                "\n".join(found[:10]), log[-6000:]))

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and self.world:
            for node in self.world.nodes:
                if node.process is not None:
                    sys.stdout.write("--- %s's log ends with\n%s---\n" % (
                        node.settings["node"], node.process.log()[-6000:]))
        return result

    def mail(self, to, subject, **more):
        """An ordinary email to one recipient, accepted; its id."""
        fields = {"from": "Sender <hello@sender.zz>", "to": to,
                  "subject": subject, "text": "Hello,\nthis is a test.\n"}
        fields.update(more)
        return self.api.send(**fields)
