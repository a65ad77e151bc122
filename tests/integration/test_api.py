"""
The resources of the API, one by one, on a node that accepts and delivers
nothing: what is answered, what stands in the database, and that large bodies
hold nobody up.
"""

import base64
import json
import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import runner, verpost  # noqa: E402
from harness.procs import scratch, subnet, wait_until  # noqa: E402
from harness.storage import Postgres, Redis  # noqa: E402

GOOD = {"from": "Me <me@sender.zz>", "to": ["a@example.com"],
        "subject": "Hi", "text": "Hello"}
UUID = "01a201ae-5dd4-7714-bb03-c3444d710600"


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(verpost.PROGRAM):
            raise unittest.SkipTest("no program at %s" % verpost.PROGRAM)
        base = scratch()
        cls.pg, cls.redis = Postgres(base), Redis(base)
        cls.node = verpost.Verpost(base, subnet(), cls.pg, cls.redis,
                                   settings={"mode": "simulator",
                                             "mta_processes": "0",
                                             "smtpd_processes": "0"})
        cls.node.command("account add", "tester")
        for domain in ("sender.zz", "second.zz", "pending.zz"):
            cls.node.command("domain add", domain, "--account", "tester")
        cls.pg.sql("UPDATE domains SET status = 'verified'"
                   " WHERE name <> 'pending.zz'")
        cls.api = cls.client()
        cls.node.start()

    @classmethod
    def tearDownClass(cls):
        cls.node.process.stop()
        cls.redis.stop()
        cls.pg.stop()

    @classmethod
    def client(cls, *options):
        key = cls.node.command_json("key add", "test", "--account", "tester",
                                    *options)["key"]
        return verpost.Api(*cls.node.http, key)

    def ask(self, status, method, path, body=None, api=None, **headers):
        """The answer's JSON; its status must be that."""
        answer = (api or self.api).request(
            method, path, body,
            {k.replace("_", "-"): v for k, v in headers.items()})
        self.assertEqual(answer.status, status, answer)
        return answer.json

    def refused(self, status, name, *request, **more):
        error = self.ask(status, *request, **more)
        self.assertEqual((error["statusCode"], error["name"]),
                         (status, name), error)
        return error["message"]

    def post(self, status=200, api=None, key=None, **fields):
        headers = {} if key is None else {"Idempotency_Key": key}
        return self.ask(status, "POST", "/emails", dict(GOOD, **fields), api,
                        **headers)

    def emails(self):
        return int(self.pg.value("SELECT count(*) FROM emails"))

    # ---- emails

    def test_an_email_reads_back_as_it_was_posted(self):
        ident = self.post(
            to=["a@example.com", "Bé <b@example.com>", "A@example.com"],
            cc="c@example.net", bcc=["d@example.net"],
            reply_to="r@sender.zz", html="<p>x</p>", text=None,
            tags=[{"name": "n", "value": "v"}],
            headers={"X-A": "1"})["id"]
        got = self.ask(200, "GET", "/emails/" + ident)
        self.assertEqual(
            {k: got[k] for k in got if k not in (
                "recipients", "message_id", "created_at")},
            {"object": "email", "id": ident, "from": "Me <me@sender.zz>",
             "to": ["a@example.com", "Bé <b@example.com>", "A@example.com"],
             "cc": ["c@example.net"], "bcc": ["d@example.net"],
             "reply_to": ["r@sender.zz"], "subject": "Hi",
             "html": "<p>x</p>", "text": None, "scheduled_at": None,
             "last_event": "queued", "tags": [{"name": "n", "value": "v"}],
             "delivery": "at_least_once", "stream": "transactional"})
        self.assertRegex(got["message_id"], r"^<gm_[0-9a-z]{26}@sender\.zz>$")
        self.assertRegex(got["created_at"],
                         r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00$")
        # One recipient per address, in the order to, cc, bcc.
        self.assertEqual(
            [(r["address"], r["field"], r["status"])
             for r in got["recipients"]],
            [("a@example.com", "to", "queued"),
             ("b@example.com", "to", "queued"),
             ("c@example.net", "cc", "queued"),
             ("d@example.net", "bcc", "queued")])

    def test_both_forms_of_an_id_and_all_versions_of_a_path(self):
        ident = self.post()["id"]
        other = self.ask(200, "GET", "/emails/" + ident)["message_id"]
        for path in ("/emails/", "/v1/emails/", "/api/v1/emails/"):
            for form in (ident, ident.upper(), other[1:30]):
                self.assertEqual(
                    self.ask(200, "GET", path + form)["id"], ident)

    def test_pages_show_every_email_once(self):
        posted = [self.post()["id"] for _ in range(25)]
        seen, cursor = [], ""
        while len(seen) < len(posted):
            page = self.ask(200, "GET", "/emails?limit=10" + cursor)
            self.assertEqual(page["object"], "list")
            self.assertNotIn("html", page["data"][0])
            seen += [row["id"] for row in page["data"]]
            cursor = "&after=" + seen[-1]
        self.assertEqual(seen[:25], posted[::-1])
        page = self.ask(200, "GET", "/emails?limit=5&before=" + seen[10])
        self.assertEqual([row["id"] for row in page["data"]], seen[5:10])
        self.assertTrue(page["has_more"])
        for query in ("limit=0", "limit=101", "limit=x", "after=x",
                      "after=%s&before=%s" % (UUID, UUID)):
            self.refused(422, "invalid_parameter", "GET", "/emails?" + query)

    def test_a_broken_record_hides_nothing_else(self):
        posted = [self.post()["id"] for _ in range(3)]
        self.pg.sql("UPDATE emails SET head = '' WHERE id = '%s'" % posted[1])
        self.pg.sql("DELETE FROM email_contents WHERE id = '%s'" % posted[1])
        rows = self.ask(200, "GET", "/emails?limit=3")["data"]
        self.assertEqual([row["id"] for row in rows], posted[::-1])
        self.assertEqual([row["subject"] for row in rows], ["Hi", None, "Hi"])
        got = self.ask(200, "GET", "/emails/" + posted[1])
        self.assertEqual(
            [got[k] for k in ("from", "to", "subject", "message_id", "html")],
            [None] * 5)
        self.assertEqual([r["address"] for r in got["recipients"]],
                         ["a@example.com"])
        self.assertIn("email.unreadable email=" + posted[1],
                      self.node.process.log())

    def test_what_is_not_there_or_not_ours(self):
        self.refused(404, "not_found", "GET", "/emails/" + UUID)
        self.refused(422, "invalid_parameter", "GET", "/emails/x")
        ident = self.post()["id"]
        self.node.command("account add", "stranger")
        key = self.node.command_json("key add", "--account", "stranger")
        stranger = verpost.Api(*self.node.http, key["key"])
        self.refused(404, "not_found", "GET", "/emails/" + ident,
                     api=stranger)
        self.refused(403, "validation_error", "POST", "/emails", GOOD,
                     api=stranger)

    def test_only_verified_domains_send(self):
        before = self.emails()
        for domain, said in (("pending.zz", "not verified"),
                             ("foreign.zz", "not one of this account"),
                             ("sub.sender.zz", "not one of this account")):
            text = self.refused(403, "validation_error", "POST", "/emails",
                                {**GOOD, "from": "x@" + domain})
            self.assertIn(said, text)
        bound = self.client("--domain", "second.zz")
        self.refused(403, "validation_error", "POST", "/emails", GOOD,
                     api=bound)
        self.assertEqual(self.emails(), before)
        self.post(api=bound, **{"from": "x@second.zz"})

    def test_a_sending_key_only_sends(self):
        sending = self.client("--sending")
        ident = self.post(api=sending)["id"]
        for path in ("/emails/" + ident, "/emails", "/webhooks",
                     "/suppressions", "/domains"):
            self.refused(401, "restricted_api_key", "GET", path, api=sending)

    def test_the_shapes_of_an_attachment_are_the_same_file(self):
        data = bytes(range(256)) * 3
        text = base64.b64encode(data).decode()
        chunks = []
        for content in (text, list(data),
                        {"type": "Buffer", "data": list(data)},
                        "\n".join(text[i:i + 76]
                                  for i in range(0, len(text), 76))):
            ident = self.post(attachments=[
                {"filename": "a.bin", "content": content}])["id"]
            chunks += self.pg.sql("SELECT encode(chunk, 'hex') FROM"
                                  " email_contents WHERE id = '%s'" % ident)
        self.assertEqual(len(chunks), 4)
        self.assertEqual([row == chunks[0] for row in chunks], [True] * 4)
        self.assertIn(data.hex(), chunks[0][0])

    def test_an_empty_body_is_refused_where_one_is_needed(self):
        self.refused(400, "validation_error", "POST", "/emails", b"")
        self.ask(200, "GET", "/emails", b"", Content_Type="application/json")

    def test_an_unknown_member_is_refused_by_its_name(self):
        before = self.emails()
        for name, meant in (("reply-to", "reply_to"), ("replyTo", "reply_to"),
                            ("body", "html or text")):
            text = self.refused(422, "invalid_parameter", "POST", "/emails",
                                {**GOOD, name: "x@sender.zz"})
            self.assertEqual(text, "%s: is not a member of an email: did you "
                             "mean %s?" % (name, meant))
        text = self.refused(422, "invalid_parameter", "POST", "/emails",
                            self.large(2000000, replyTo="x@sender.zz"))
        self.assertIn("did you mean reply_to?", text)
        self.assertEqual(self.emails(), before)

    def test_what_is_not_here_yet_says_so(self):
        """Calls of the official clients that have no route here."""
        one = "/" + UUID
        for method, path in (
                ("POST", "/emails/batch"), ("GET", "/emails/metrics"),
                ("PATCH", "/emails" + one),
                ("GET", "/emails/receiving"),
                ("GET", "/emails/receiving" + one),
                ("POST", "/domains"), ("PATCH", "/domains" + one),
                ("DELETE", "/domains" + one),
                ("POST", "/domains%s/verify" % one),
                ("GET", "/api-keys"), ("POST", "/v1/api-keys"),
                ("DELETE", "/api-keys" + one), ("POST", "/audiences"),
                ("GET", "/audiences%s/contacts/a@b.zz" % one),
                ("PATCH", "/contacts" + one), ("POST", "/broadcasts"),
                ("POST", "/broadcasts%s/send" % one),
                ("POST", "/templates%s/publish" % one),
                ("GET", "/topics"), ("GET", "/segments"),
                ("POST", "/contact-properties"), ("GET", "/logs"),
                ("POST", "/suppressions/batch/add")):
            text = self.refused(501, "not_implemented", method, path,
                                {} if method in ("POST", "PATCH") else None)
            self.assertRegex(text, "^Verpost does not have .+ yet: .{10,}")
        self.refused(404, "not_found", "GET", "/contactsx")
        self.refused(405, "method_not_allowed", "DELETE", "/emails")

    def test_who_closes_its_sending_side_is_answered(self):
        body = json.dumps(GOOD).encode()
        with socket.create_connection(self.node.http, 20) as link:
            link.sendall(b"POST /emails HTTP/1.1\r\nHost: x\r\n"
                         b"Authorization: Bearer %s\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (
                             self.api.key.encode(), len(body), body))
            link.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        ident = json.loads(answer.split(b"\r\n\r\n", 1)[1])["id"]
        self.ask(200, "GET", "/emails/" + ident)

    # ---- idempotency

    def test_a_key_means_one_email(self):
        before = self.emails()
        first = self.post(key="one")
        self.assertEqual(self.post(key="one"), first)
        self.assertEqual(self.emails(), before + 1)
        self.refused(409, "invalid_idempotent_request", "POST", "/emails",
                     {**GOOD, "subject": "other"}, Idempotency_Key="one")
        self.assertNotEqual(self.post(key="two"), first)
        self.refused(400, "invalid_idempotency_key", "POST", "/emails", GOOD,
                     Idempotency_Key="x" * 257)

    def test_many_at_once_with_one_key_are_one_email(self):
        before, answers = self.emails(), []

        def post():
            answers.append(self.api.request(
                "POST", "/emails", GOOD, {"Idempotency-Key": "race"}))

        threads = [threading.Thread(target=post) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.emails(), before + 1)
        ids = {a.json["id"] for a in answers if a.status == 200}
        self.assertEqual(len(ids), 1)
        self.assertEqual({a.json["name"] for a in answers
                          if a.status != 200} -
                         {"concurrent_idempotent_requests"}, set())

    # ---- suppressions

    def test_a_suppressed_address_is_not_written_to(self):
        self.ask(201, "POST", "/suppressions", {"email": "No@example.com"})
        error = self.post(422, key="sup", to="nO@example.com")
        self.assertEqual((error["name"], error["code"], error["statusCode"]),
                         ("email_suppressed", "EMAIL_SUPPRESSED", 422))
        got = self.ask(200, "GET", "/emails/" + error["id"])
        self.assertEqual(got["last_event"], "suppressed")
        self.assertEqual(self.post(422, key="sup", to="nO@example.com"),
                         error)
        # Some are not: accepted, and the status tells which.
        ident = self.post(to=["no@example.com", "yes@example.com"])["id"]
        got = self.ask(200, "GET", "/emails/" + ident)
        self.assertEqual([r["status"] for r in got["recipients"]],
                         ["suppressed", "queued"])
        self.ask(200, "DELETE", "/suppressions/no%40example.com")
        self.post(to="no@example.com")

    def test_an_account_can_have_resends_answer(self):
        self.ask(201, "POST", "/suppressions", {"email": "r@example.com"})
        try:
            self.pg.sql("UPDATE accounts SET suppressed_answer = 200")
            answer = wait_until("the setting is read", lambda: (
                lambda a: a if a.status == 200 else None)(
                    self.api.request("POST", "/emails",
                                     {**GOOD, "to": "r@example.com"})))
        finally:
            self.pg.sql("UPDATE accounts SET suppressed_answer = 422")
        self.assertEqual(
            self.ask(200, "GET", "/emails/" + answer.json["id"])
            ["last_event"], "suppressed")

    def test_suppressions_come_and_go(self):
        made = self.ask(201, "POST", "/suppressions",
                        {"email": "S <s+1@example.com>"})
        self.assertEqual(made["object"], "suppression")
        for name in (made["id"], "s%2B1%40example.com", "s+1@EXAMPLE.com"):
            got = self.ask(200, "GET", "/suppressions/" + name)
            self.assertEqual((got["id"], got["email"], got["origin"]),
                             (made["id"], "s+1@example.com", "manual"))
        again = self.ask(201, "POST", "/suppressions",
                         {"email": "s+1@example.com"})
        self.assertEqual(again["id"], made["id"])
        self.assertIn(made["id"], [row["id"] for row in self.ask(
            200, "GET", "/suppressions?origin=manual&limit=100")["data"]])
        self.assertEqual(self.ask(
            200, "GET", "/suppressions?origin=complaint")["data"], [])
        self.assertEqual(
            self.ask(200, "DELETE", "/suppressions/" + made["id"]),
            {"object": "suppression", "id": made["id"], "deleted": True})
        self.refused(404, "not_found", "GET", "/suppressions/" + made["id"])
        self.refused(404, "not_found", "DELETE",
                     "/suppressions/" + made["id"])
        self.refused(422, "missing_required_field", "POST", "/suppressions",
                     {})
        self.refused(400, "validation_error", "POST", "/suppressions",
                     {"email": "nobody"})
        self.refused(422, "invalid_parameter", "GET",
                     "/suppressions?origin=other")

    # ---- webhooks, domains, health

    def test_webhooks_come_change_and_go(self):
        made = self.ask(201, "POST", "/webhooks", {
            "endpoint": "https://hooks.example.com/in",
            "events": ["email.delivered", "email.sent"]})
        self.assertRegex(made["signing_secret"], r"^whsec_[A-Za-z0-9+/]{32}$")
        got = self.ask(200, "GET", "/webhooks/" + made["id"])
        self.assertEqual(
            (got["endpoint"], got["events"], got["status"],
             got["signing_secret"]),
            ("https://hooks.example.com/in",
             ["email.sent", "email.delivered"], "enabled",
             made["signing_secret"]))
        self.ask(200, "PATCH", "/webhooks/" + made["id"],
                 {"status": "disabled", "events": ["email.bounced"]})
        second = self.ask(201, "POST", "/webhooks", {
            "endpoint": "http://hooks.example.com",
            "events": ["email.failed"]})
        page = self.ask(200, "GET", "/webhooks?limit=1")
        self.assertEqual([w["id"] for w in page["data"]], [second["id"]])
        self.assertTrue(page["has_more"])
        page = self.ask(200, "GET", "/webhooks?after=" + second["id"])
        self.assertEqual(
            [(w["id"], w["status"], w["events"]) for w in page["data"]],
            [(made["id"], "disabled", ["email.bounced"])])
        for ident in (made["id"], second["id"]):
            self.assertTrue(self.ask(
                200, "DELETE", "/webhooks/" + ident)["deleted"])
            self.refused(404, "not_found", "GET", "/webhooks/" + ident)

    def test_an_endpoint_that_cannot_work_is_refused_at_once(self):
        made = self.ask(201, "POST", "/webhooks", {
            "endpoint": "https://hooks.example.com:8443/in?x=a@b",
            "events": ["email.sent"]})
        rows = self.pg.value("SELECT count(*) FROM webhooks")
        for url, said in (("https://me:pw@hooks.example.com/", "password"),
                          ("https://hooks.example.com:65536/", "port"),
                          ("https://hooks.example.com:0/", "port"),
                          ("https://hooks.example.com/#a", "fragment"),
                          ("https:///in", "no host"),
                          ("gopher://hooks.example.com", "http")):
            self.assertIn(said, self.refused(
                400, "validation_error", "POST", "/webhooks",
                {"endpoint": url, "events": ["email.sent"]}))
            self.assertIn(said, self.refused(
                400, "validation_error", "PATCH", "/webhooks/" + made["id"],
                {"endpoint": url}))
            status, _, errors = self.node.command(
                "webhook add", url, "--account", "tester", check=False)
            self.assertNotEqual(status, 0)
            self.assertIn(said, errors)
        self.assertEqual(self.pg.value("SELECT count(*) FROM webhooks"), rows)
        self.ask(200, "DELETE", "/webhooks/" + made["id"])

    def test_domains_are_listed(self):
        rows = self.ask(200, "GET", "/domains")["data"]
        self.assertEqual({row["name"]: row["status"] for row in rows},
                         {"sender.zz": "verified", "second.zz": "verified",
                          "pending.zz": "not_started"})
        one = self.ask(200, "GET", "/domains/" + rows[0]["id"])
        self.assertEqual((one["object"], one["name"]),
                         ("domain", rows[0]["name"]))
        self.assertIsInstance(one["records"], list)

    def test_health_needs_no_key(self):
        nobody = verpost.Api(*self.node.http, None)
        self.assertEqual(self.ask(200, "GET", "/health", api=nobody),
                         {"status": "ok", "postgres": "ok"})

    # ---- large bodies

    def large(self, octets, **fields):
        return json.dumps(dict(GOOD, attachments=[
            {"filename": "a.bin",
             "content": base64.b64encode(os.urandom(octets)).decode()}],
            **fields)).encode()

    def left_over(self):
        return int(self.pg.value(
            "SELECT count(DISTINCT id) FROM email_contents"
            " WHERE id NOT IN (SELECT id FROM emails)"))

    def test_small_posts_go_on_while_a_large_one_runs(self):
        done = []

        def post_large():
            done.append(self.api.request("POST", "/emails",
                                         self.large(28000000), seconds=120))

        thread = threading.Thread(target=post_large)
        thread.start()
        small = 0
        while thread.is_alive():
            self.post()
            small += not done
            time.sleep(0.005)
        thread.join()
        self.assertEqual(done[0].status, 200, done[0])
        # At 38 MB the large one takes half a second and more.
        self.assertGreater(small, 5)
        ident = done[0].json["id"]
        stored = self.pg.sql(
            "SELECT count(*), sum(length(chunk)), max(n) + 1 FROM"
            " email_contents WHERE id = '%s'" % ident)[0]
        self.assertEqual(stored[0], stored[2])
        self.assertEqual(stored[1], self.pg.value(
            "SELECT content_bytes FROM emails WHERE id = '%s'" % ident))
        self.assertGreater(int(stored[1]), 28000000)

    def test_a_large_body_keeps_its_idempotency_and_leaves_nothing(self):
        body = self.large(2000000)
        first = self.ask(200, "POST", "/emails", body,
                         Idempotency_Key="large")
        self.assertEqual(self.ask(200, "POST", "/emails", body,
                                  Idempotency_Key="large"), first)
        self.refused(409, "invalid_idempotent_request", "POST", "/emails",
                     self.large(2000000), Idempotency_Key="large")
        self.refused(422, "invalid_attachment", "POST", "/emails",
                     body.replace(b'"content": "', b'"content": "?'))
        self.refused(403, "validation_error", "POST", "/emails",
                     self.large(2000000).replace(b"sender.zz", b"nobody.zz"))
        self.refused(413, "validation_error", "POST", "/emails",
                     self.large(32000000))
        wait_until("nothing is left over", lambda: self.left_over() == 0)


if __name__ == "__main__":
    runner.main()
