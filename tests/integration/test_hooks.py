"""The role hooks alone: rows in a real PostgreSQL, real HTTP receivers."""

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
import unittest
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import procs, runner  # noqa: E402
from harness.storage import PG_BIN, Postgres  # noqa: E402
from harness.verpost import BUILD  # noqa: E402
from harness.webhook import Received, signed_rightly  # noqa: E402

PROBE = os.path.join(BUILD, "tests/integration/hooks_probe")
SOURCE = os.environ.get("VERPOST_SOURCE", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../.."))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DELIVERED, BOUNCED = 4, 6


class Receiver(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """status: what it answers; hold: an event it waits for first."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, status=200, hold=None):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {k.lower(): v for k, v in self.headers.items()}
                with outer.lock:
                    outer.seen.append(Received(self.path, headers, body))
                    outer.open += 1
                    outer.most = max(outer.most, outer.open)
                if outer.hold is not None:
                    outer.hold.wait(20)
                with outer.lock:
                    outer.open -= 1
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.hold = status, hold
        self.lock, self.seen = threading.Lock(), []
        self.open = self.most = 0
        self.url = "http://127.0.0.1:%d/hook" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # a client that was killed

    def ids(self):
        with self.lock:
            return [r.id for r in self.seen]


class Role:
    def __init__(self, test, allowed="127.0.0.0/8", timeout_ms=5000,
                 endpoint_max=8):
        self.popen = subprocess.Popen(
            [PROBE, "run", test.conninfo, test.key_file, allowed,
             str(timeout_ms), str(endpoint_max)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.errors = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.popen.stderr:
            self.errors.append(line)

    def stop(self):
        if self.popen.poll() is not None:
            return
        self.popen.stdin.close()
        status = self.popen.wait(20)
        self.reader.join(5)
        said = self.popen.stdout.read()
        if status != 0 or said != "drained\n":
            raise procs.Failed("hooks_probe: %d %r\n%s" % (
                status, said, "".join(self.errors)[-3000:]))

    def kill(self):
        self.popen.kill()
        self.popen.wait()


@unittest.skipUnless(os.path.exists(PG_BIN), "apt-get install postgresql-15")
class Hooks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        base = procs.scratch()
        cls.pg = Postgres(base)
        cls.conninfo = cls.pg.create_database("verpost")
        for name in sorted(os.listdir(SOURCE + "/sql")):
            if name.endswith(".sql"):
                procs.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h",
                           cls.pg.base, "-U", "postgres", "-d", "verpost",
                           "-f", os.path.join(SOURCE, "sql", name)])
        cls.key_file = os.path.join(base, "keys")
        cls.pg.sql("SELECT make_partitions(%d, %d)" % (
            time.time() // 86400 - 1, time.time() // 86400 + 1))
        cls.pg.sql(
            "INSERT INTO accounts (id, name, created_at) VALUES "
            "(gen_random_uuid(), 'a', now())")
        cls.pg.sql(
            "INSERT INTO domains (id, account, name, return_path_host, "
            "created_at) VALUES (gen_random_uuid(), 1, 'acme.zz', "
            "'send.acme.zz', now())")
        cls.head = procs.run([PROBE, "head"])[1].strip()

    def setUp(self):
        self.pg.sql("TRUNCATE webhooks, webhook_deliveries, events, "
                    "recipients, emails")

    def role(self, **options):
        role = Role(self, **options)
        self.addCleanup(role.stop)
        return role

    def webhook(self, url):
        ident = str(uuid.uuid4())
        sealed = procs.run([PROBE, "seal", self.key_file, ident, SECRET])[1]
        self.pg.sql(
            "INSERT INTO webhooks (id, account, url, events, secret, "
            "created_at) VALUES ('%s', 1, '%s', 8191, '\\x%s', now())"
            % (ident, url, sealed.strip()))
        return ident

    def owe(self, webhook, count=1, kind=DELIVERED, data=None):
        """Inserts emails with an event each, and what is owed for them."""
        self.pg.sql("""
            WITH n AS MATERIALIZED (SELECT i, (lpad(to_hex((extract(epoch FROM
                clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
                || lpad(to_hex((random() * 4095)::int), 3, '0') || '8'
                || substr(md5(random()::text || i), 1, 13) || '00')::uuid AS id
                FROM generate_series(1, {count}) i),
            e AS (INSERT INTO emails (id, account, domain, stream,
                recipient_count, content_bytes, created_at, head)
                SELECT id, 1, (SELECT min(number) FROM domains), 0, 1, 1,
                now(), '\\x{head}' FROM n),
            x AS (SELECT (left(id::text, 35) || '1')::uuid AS id FROM n),
            r AS (INSERT INTO recipients (id, expires_at, flow, pool, flags,
                field, status, lane, address) SELECT id, now(), 2, 1, 0, 0,
                70, 'h0', 'ann@x.zz' FROM x),
            v AS (INSERT INTO events (recipient, kind, dedupe, account, at,
                data) SELECT id, {kind}, 0, 1, now(), {data} FROM x)
            INSERT INTO webhook_deliveries (recipient, kind, dedupe, webhook,
                next_at) SELECT id, {kind}, 0, '{webhook}', now() FROM x
            """.format(count=count, head=self.head, kind=kind,
                       webhook=webhook, data="NULL" if data is None
                       else "'%s'" % data))

    def rows(self, webhook, what):
        return self.pg.sql("SELECT %s FROM webhook_deliveries WHERE "
                           "webhook = '%s'" % (what, webhook))

    def over(self, webhook):
        return all(row == ["t"] for row in self.rows(
            webhook, "next_at IS NULL"))

    def wait_over(self, webhook, seconds=20):
        procs.wait_until("all is over", lambda: self.over(webhook), seconds)

    def test_an_event_is_posted_soon_signed_and_recorded(self):
        receiver = Receiver()
        webhook = self.webhook(receiver.url)
        self.role()
        # The first one waits for the connections to be made.
        self.owe(webhook)
        procs.wait_until("the first", receiver.ids)
        began = time.monotonic()
        self.owe(webhook, kind=BOUNCED,
                 data='{"code":550,"status":"5.1.1","text":"who?"}')
        procs.wait_until("the second", lambda: len(receiver.seen) == 2,
                         every=0.005)
        print("from insert to receipt: %d ms" % (
            1000 * (time.monotonic() - began)))
        self.assertLess(time.monotonic() - began, 1.5)
        got = receiver.seen[1]
        for family in ("webhook", "svix"):
            self.assertTrue(signed_rightly(got, SECRET, family))
        self.assertEqual(got.headers["content-type"], "application/json")
        self.assertEqual(got.kind, "email.bounced")
        self.assertEqual(got.event["data"]["to"], ["ann@x.zz"])
        self.assertEqual(got.event["data"]["from"], "hi@acme.zz")
        self.assertEqual(got.event["data"]["bounce"]["diagnosticCode"],
                         ["smtp; 550 5.1.1 who?"])
        self.assertTrue(got.event["data"]["message_id"].endswith("@acme.zz>"))
        self.wait_over(webhook)
        self.assertEqual(self.rows(
            webhook, "delivered, tries, last_status, last_error IS NULL"),
            [["t", "1", "200", "t"]] * 2)

    def test_a_failure_is_recorded_and_tried_again_unchanged(self):
        receiver = Receiver(status=503)
        webhook = self.webhook(receiver.url)
        self.role()
        self.owe(webhook)
        procs.wait_until("it is recorded", lambda: self.rows(
            webhook, "last_status, last_error") == [
                ["503", "answered with status 503"]])
        self.assertEqual(self.rows(
            webhook, "tries, delivered, "
            "next_at - last_at BETWEEN '4.9s' AND '5.6s'"), [["1", "f", "t"]])
        receiver.status = 204
        self.wait_over(webhook)
        self.assertEqual(len(receiver.seen), 2)
        first, second = receiver.seen
        self.assertGreater(second.at - first.at, 4.9)
        self.assertEqual((first.id, first.body), (second.id, second.body))
        self.assertTrue(signed_rightly(second, SECRET))
        self.assertNotEqual(first.headers["webhook-timestamp"],
                            second.headers["webhook-timestamp"])

    def test_a_slow_endpoint_holds_up_nobody(self):
        hold = threading.Event()
        slow, fast = Receiver(hold=hold), Receiver()
        slow_hook, fast_hook = self.webhook(slow.url), self.webhook(fast.url)
        self.owe(slow_hook, 300)  # all of them due before the others
        self.owe(fast_hook, 50)
        self.role()
        self.wait_over(fast_hook, 3)
        self.assertEqual(len(fast.seen), 50)
        procs.wait_until("its share is under way", lambda: slow.open == 8)
        hold.set()
        self.wait_over(slow_hook)
        self.assertEqual(slow.most, 8)
        self.assertEqual(len(set(slow.ids())), 300)
        self.assertEqual(len(slow.ids()), 300)

    def test_time_outs_and_refusals_say_why(self):
        silent = Receiver(hold=threading.Event())
        names = {
            "slow": self.webhook(silent.url),
            "away": self.webhook("http://127.0.0.1:1/"),
            "private": self.webhook("http://[::1]:80/"),
            "scheme": self.webhook("ftp://127.0.0.1/"),
        }
        for webhook in names.values():
            self.owe(webhook)
        self.role(timeout_ms=400)
        wanted = {"slow": "timed out", "away": "refused",
                  "private": "::1 is refused: loopback", "scheme": "not supp"}
        for name, webhook in names.items():
            procs.wait_until("an error for " + name, lambda: self.rows(
                webhook, "last_error IS NOT NULL") == [["t"]])
            text = self.rows(webhook, "last_error")[0][0]
            self.assertIn(wanted[name], text.lower())
            self.assertEqual(self.rows(
                webhook, "last_status, next_at > last_at"), [["0", "t"]])
        silent.hold.set()

    def test_what_no_try_can_mend_is_over_at_once(self):
        receiver = Receiver()
        disabled, removed = (self.webhook(receiver.url) for _ in range(2))
        forgotten = self.webhook(receiver.url)
        for webhook in (disabled, removed, forgotten):
            self.owe(webhook)
        self.pg.sql("UPDATE webhooks SET enabled = false WHERE id = '%s'"
                    % disabled)
        self.pg.sql("DELETE FROM webhooks WHERE id = '%s'" % removed)
        self.pg.sql("DELETE FROM events e USING webhook_deliveries d WHERE "
                    "e.recipient = d.recipient AND d.webhook = '%s'"
                    % forgotten)
        self.role()
        for webhook in (disabled, removed, forgotten):
            self.wait_over(webhook)
            self.assertEqual(self.rows(
                webhook, "delivered, last_error <> ''"), [["f", "t"]])
        self.assertEqual(receiver.seen, [])

    def test_two_processes_share_a_large_backlog(self):
        receiver = Receiver()
        webhook = self.webhook(receiver.url)
        self.owe(webhook, 3000)
        began = time.monotonic()
        self.role()
        self.role()
        self.wait_over(webhook, 60)
        print("webhooks per second: %d" % (
            3000 / (time.monotonic() - began)))
        self.assertEqual(len(receiver.ids()), 3000)
        self.assertEqual(len(set(receiver.ids())), 3000)

    def test_what_a_killed_process_held_comes_again(self):
        hold = threading.Event()
        receiver = Receiver(hold=hold)
        webhook = self.webhook(receiver.url)
        self.owe(webhook, 20)
        killed = Role(self)
        procs.wait_until("some are under way", lambda: receiver.open == 8)
        killed.kill()
        # None is due while the lease holds; then all are.
        self.assertEqual(self.rows(
            webhook, "tries = 1 AND next_at > now() + '20s'"), [["t"]] * 20)
        self.pg.sql("UPDATE webhook_deliveries SET next_at = now()")
        hold.set()
        self.role()
        self.wait_over(webhook)
        self.assertEqual(len(set(receiver.ids())), 20)
        self.assertEqual(self.rows(webhook, "delivered, tries"),
                         [["t", "2"]] * 20)

    def test_a_drained_process_gives_back_what_it_has_not_begun(self):
        hold = threading.Event()
        receiver = Receiver(hold=hold)
        webhook = self.webhook(receiver.url)
        self.owe(webhook, 30)
        role = self.role()
        procs.wait_until("some are under way", lambda: receiver.open == 8)
        role.popen.stdin.close()
        procs.wait_until("the others are given back", lambda: sorted(self.rows(
            webhook, "tries, next_at <= now() + '2s'")) ==
            [["0", "t"]] * 22 + [["1", "f"]] * 8)
        hold.set()
        self.assertEqual(role.popen.wait(20), 0)
        self.assertEqual(sorted(self.rows(webhook, "delivered, tries")),
                         [["f", "0"]] * 22 + [["t", "1"]] * 8)

    def test_results_wait_for_postgres(self):
        hold = threading.Event()
        receiver = Receiver(hold=hold)
        webhook = self.webhook(receiver.url)
        self.owe(webhook, 3)
        role = self.role()
        procs.wait_until("all are under way", lambda: receiver.open == 3)
        self.pg.stop()
        hold.set()
        procs.wait_until("the results cannot be written", lambda: any(
            "webhook.results_kept" in line for line in role.errors))
        self.pg.start()
        self.wait_over(webhook)
        self.assertEqual(len(receiver.seen), 3)
        self.assertEqual(self.rows(webhook, "delivered, tries"),
                         [["t", "1"]] * 3)


if __name__ == "__main__":
    runner.main(needs_root=False)
