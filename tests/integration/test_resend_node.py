"""
The official resend package from npm sends, reads back, and verifies webhooks
by its base URL alone. Version 6.4.2 is the newest that runs on the Node.js 18
of Debian 12.
"""

import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner  # noqa: E402
from harness.postfix import parsed  # noqa: E402
from harness.procs import run  # noqa: E402
from harness.world import WorldTest  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


class TheOfficialClient(WorldTest):
    options = {"postfix": True}

    @classmethod
    def setUpClass(cls):
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise unittest.SkipTest("node or npm is missing")
        super().setUpClass()
        cls.dir = os.path.join(cls.world.base, "resend-node")
        shutil.copytree(os.path.join(HERE, "resend-node"), cls.dir)
        status, out, errors = run(
            ["npm", "ci", "--no-audit", "--no-fund", "--prefix", cls.dir,
             "--cache", cls.world.base + "/npm-cache"],
            check=False, seconds=180)
        if status != 0:
            said = [line for line in (errors + out).split("\n")
                    if "code" in line or "request" in line]
            raise unittest.SkipTest("the npm registry is not to be had: "
                                    + "; ".join(said[:3]))

    def call(self, what, **fields):
        url = "http://%s:%d" % (self.api.address, self.api.port)
        _, out, _ = run(
            ["node", self.dir + "/client.mjs"],
            text_in=json.dumps(dict(fields, do=what)),
            env={"RESEND_BASE_URL": url, "RESEND_API_KEY": self.api.key})
        result = json.loads(out)
        self.assertNotIn("thrown", result, result)
        return result["returned"]

    def test_it_sends_and_reads_back(self):
        sent = self.call("send", payload={
            "from": "Café <hello@sender.zz>", "to": ["known@remote.zz"],
            "subject": "From the client: grüße", "html": "<p>Hello</p>",
            "replyTo": "answers@sender.zz",
            "tags": [{"name": "kind", "value": "test"}],
            "attachments": [
                {"filename": "a.txt", "bytes": [104, 105, 10]},
                {"filename": "b.txt", "content": "aGV5Cg=="}]})
        self.assertIsNone(sent["error"], sent)
        ident = sent["data"]["id"]
        raw = self.world.postfix.wait_for("From the client: grüße")
        files = {part.get_filename(): part.get_content()
                 for part in parsed(raw).iter_attachments()}
        self.assertEqual(files["a.txt"].strip(), "hi")
        self.assertEqual(files["b.txt"].strip(), "hey")
        self.api.wait_event(ident, "delivered")
        read = self.call("get", id=ident)
        self.assertIsNone(read["error"], read)
        self.assertEqual(read["data"]["id"], ident)
        self.assertEqual(read["data"]["object"], "email")
        self.assertEqual(read["data"]["last_event"], "delivered")
        self.assertEqual(read["data"]["to"], ["known@remote.zz"])
        self.assertEqual(read["data"]["reply_to"], ["answers@sender.zz"])
        self.assertEqual(read["data"]["html"], "<p>Hello</p>")

    def test_it_lists_in_pages(self):
        wanted = [self.mail("known@remote.zz", "page %d" % n)
                  for n in range(3)]
        seen, after = [], None
        while not set(wanted) <= set(seen):
            options = {"limit": 2}
            if after is not None:
                options["after"] = after
            page = self.call("list", options=options)
            self.assertIsNone(page["error"], page)
            self.assertEqual(page["data"]["object"], "list")
            ids = [item["id"] for item in page["data"]["data"]]
            self.assertTrue(ids, "the pages end before all were seen")
            self.assertLessEqual(len(ids), 2)
            self.assertFalse(set(ids) & set(seen))
            seen += ids
            after = ids[-1]

    def test_it_is_told_what_is_wrong(self):
        answer = self.call("send", payload={
            "from": "hello@not-ours.zz", "to": "known@remote.zz",
            "subject": "x", "text": "x"})
        self.assertIsNone(answer["data"])
        self.assertEqual(answer["error"]["name"], "validation_error")
        self.assertEqual(answer["error"]["statusCode"], 403)
        self.assertIn("not-ours.zz", answer["error"]["message"])

    def test_it_is_told_what_is_not_here_yet(self):
        for what, said in (("batch", "POST /emails for each"),
                           ("addDomain", "verpost domain add"),
                           ("listKeys", "verpost key add")):
            answer = self.call(what)
            self.assertIsNone(answer["data"])
            self.assertEqual(answer["error"]["name"], "not_implemented")
            self.assertEqual(answer["error"]["statusCode"], 501)
            self.assertIn(said, answer["error"]["message"])

    def test_it_cancels_what_is_held_and_not_what_was_sent(self):
        verpost = self.world.verpost
        verpost.command("queue hold", "domain", "remote.zz")
        sent = self.call("send", payload={
            "from": "hello@sender.zz", "to": "known@remote.zz",
            "subject": "never mind", "text": "x"})
        ident = sent["data"]["id"]
        answer = self.call("cancel", id=ident)
        self.assertIsNone(answer["error"], answer)
        self.assertEqual(answer["data"], {"object": "email", "id": ident})
        self.assertEqual(self.call("get", id=ident)["data"]["last_event"],
                         "canceled")
        verpost.command("queue release", "domain", "remote.zz")
        after = self.mail("known@remote.zz", "after it")
        self.api.wait_event(after, "delivered")
        answer = self.call("cancel", id=after)
        self.assertIsNone(answer["data"])
        self.assertIn(answer["error"]["statusCode"], (409, 422))
        self.assertEqual(self.world.postfix.with_subject("never mind"), [])

    def test_an_idempotency_key_sends_once(self):
        payload = {"from": "hello@sender.zz", "to": "known@remote.zz",
                   "subject": "only once", "text": "x"}
        options = {"idempotencyKey": "order/77"}
        first = self.call("send", payload=payload, options=options)
        second = self.call("send", payload=payload, options=options)
        self.assertIsNone(first["error"], first)
        self.assertEqual(first["data"]["id"], second["data"]["id"])
        self.api.wait_event(first["data"]["id"], "delivered")
        self.assertEqual(
            len(self.world.postfix.with_subject("only once")), 1)

    def test_it_verifies_webhooks(self):
        made = self.call("addWebhook", payload={
            "endpoint": self.world.receiver.url + "/client",
            "events": ["email.delivered"]})
        self.assertIsNone(made["error"], made)
        secret = made["data"]["signing_secret"]
        ident = self.mail("known@remote.zz", "for the webhook")
        got = self.world.receiver.wait_for(ident, "email.delivered")
        body = got.body.decode()
        event = self.call("verify", body=body, secret=secret, headers={
            "id": got.headers["svix-id"],
            "timestamp": got.headers["svix-timestamp"],
            "signature": got.headers["svix-signature"]})
        self.assertEqual(event["type"], "email.delivered")
        self.assertEqual(event["data"]["email_id"], ident)
        event = self.call("verifyStandard", body=body, secret=secret,
                          headers={name: got.headers[name] for name in (
                              "webhook-id", "webhook-timestamp",
                              "webhook-signature")})
        self.assertEqual(event["data"]["to"], ["known@remote.zz"])
        listed = self.call("listWebhooks")
        self.assertIn(made["data"]["id"],
                      [hook["id"] for hook in listed["data"]["data"]])
        removed = self.call("removeWebhook", id=made["data"]["id"])
        self.assertIsNone(removed["error"], removed)


if __name__ == "__main__":
    runner.main()
