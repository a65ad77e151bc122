"""
Whose turn it is when much waits for one provider: a single mail goes before a
campaign of a hundred thousand, accounts share by their weights, and a stream
leaves by the addresses of its pool.
"""

import concurrent.futures
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.verpost import Api  # noqa: E402
from harness.procs import wait_until  # noqa: E402
from harness.world import WorldTest  # noqa: E402

CAMPAIGN = 100000
PER_EMAIL = 100
# Usually 20 to 50: a mail under way and four claimed on each of two
# connections, and what goes until the schedule is asked and the claim is
# committed. The rest is for machines where these take their time.
NEXT_SLOTS = 200
SHARED = 1000

SHAPING = """
[default]
site_connections = 2
site_connection_rate = none
site_mail_rate = none
connection_mails = 0
[provider big]
domains = sink.zz
mx = mx.sink.zz
provider_connections = 2
provider_connection_rate = none
provider_mail_rate = none
"""


class World(WorldTest):
    options = {"sink": True, "shaping": SHAPING, "settings": {
        "recipients_max": str(PER_EMAIL)}}

    def setUp(self):
        self.sink = self.world.sink
        self.verpost = self.world.verpost

    def campaign(self, api, name, count):
        def post(n):
            return api.send(**{
                "from": "News <news@%s>" % self.domain_of(api),
                "to": ["%s%dx%d@sink.zz" % (name, n, i)
                       for i in range(PER_EMAIL)],
                "subject": "news", "text": "news", "stream": "broadcast"})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(post, range(count // PER_EMAIL)))

    domains = {}

    def domain_of(self, api):
        return self.domains.get(api.key, "sender.zz")

    def account(self, name, weight):
        self.verpost.command("account add", name)
        self.verpost.command("account set", name, "--weight", str(weight))
        self.verpost.add_domain(name + ".zz", name)
        key = self.verpost.command_json(
            "key add", "k", "--account", name)["key"]
        self.domains[key] = name + ".zz"
        return Api(*self.verpost.http, key)


class Campaign(World):
    def test_a_single_mail_goes_before_a_campaign(self):
        self.campaign(self.api, "c", CAMPAIGN)
        wait_until("the campaign is on its way",
                   lambda: len(self.sink.taken) > 50)
        self.assertLess(len(self.sink.taken), CAMPAIGN // 2)
        for n in range(5):
            ident = self.mail("single%d@sink.zz" % n, "reset")
            before = len(self.sink.taken)
            self.api.wait_event(ident, "delivered", 30)
            order = [t.rcpt[0] for t in list(self.sink.taken)]
            at = order.index("single%d@sink.zz" % n)
            self.assertLess(at - before, NEXT_SLOTS)
        # Of what stands in line for so long it is known how fast it leaves.
        wait_until("the rate is shown", self.rate, 60)

    def rate(self):
        return [row for row in self.verpost.command_json(
            "queue", "--by", "site") if row["rate_per_s"] is not None]


class Shares(World):
    def test_accounts_share_by_their_weights(self):
        light, heavy = self.account("light", 1), self.account("heavy", 4)
        self.verpost.command("queue hold", "domain", "sink.zz")
        self.campaign(light, "l", 2 * SHARED)
        self.campaign(heavy, "h", 2 * SHARED)
        before = len(self.sink.taken)
        self.verpost.command("queue release", "domain", "sink.zz")
        wait_until("some of both are sent",
                   lambda: len(self.sink.taken) > before + SHARED, 60)
        # Not before both are in the schedule: the first come alone.
        taken = [t.rcpt[0][0] for t in
                 list(self.sink.taken)[before + SHARED // 2:before + SHARED]]
        share = taken.count("h") / len(taken)
        self.assertGreater(share, 0.7)
        self.assertLess(share, 0.9)

    def test_a_stream_leaves_by_its_pool(self):
        self.verpost.command("source add", self.world.net + ".21", "--helo",
                             "out.sender.zz", "--pool", "news")
        _, _, errors = self.verpost.command(
            "account set", "tester", "--broadcast-pool", "nws", check=False)
        self.assertIn("--broadcast-pool nws: no such pool", errors)
        self.verpost.command("account set", "tester", "--broadcast-pool",
                             "news")
        shown = self.verpost.command_json("account list")
        row = next(r for r in shown if r["name"] == "tester")
        self.assertEqual((row["broadcast_pool"], row["weight"]), ("news", 1))

        def by_pool():
            ident = self.mail("pool@sink.zz", "pool", stream="broadcast")
            self.api.wait_event(ident, "delivered", 60)
            self.assertEqual(self.api.email(ident)["stream"], "broadcast")
            return self.sink.for_rcpt("pool@sink.zz")[-1].peer.endswith(".21")

        self.verpost.command("queue cancel", "account", "light", check=False)
        self.verpost.command("queue cancel", "account", "heavy", check=False)
        wait_until("it is known everywhere", by_pool, 30)
        ident = self.mail("one@sink.zz", "one")
        self.api.wait_event(ident, "delivered", 30)
        self.assertTrue(self.sink.for_rcpt("one@sink.zz")[-1].peer.endswith(
            ".20"))


if __name__ == "__main__":
    runner.main()
