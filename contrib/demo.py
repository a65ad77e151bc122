#!/usr/bin/python3
"""demo - starts "verpost dev" and shows the way of two emails.

    contrib/demo.py [--once] PROGRAM DATA-DIRECTORY

contrib/quickstart builds the program first and then calls this. The webhook
endpoint is a small HTTP server in this process.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

EVENTS = ["email.sent", "email.delivered", "email.delivery_delayed",
          "email.bounced", "email.failed", "email.suppressed"]


class Stopped(Exception):
    """What should have happened did not."""


class Endpoint:
    """Takes webhooks and checks their signature (Standard Webhooks)."""

    def __init__(self):
        self.secret, self.events, self.arrived = None, [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                right = outer.is_signed(self.headers, body)
                self.send_response(200 if right else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if right:
                    outer.events.append(json.loads(body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        self.url = "http://127.0.0.1:%d/" % self.server.server_address[1]

    def is_signed(self, headers, body):
        if self.secret is None:
            return False
        key = base64.b64decode(self.secret[len("whsec_"):])
        text = b"%s.%s.%s" % (headers["webhook-id"].encode(),
                              headers["webhook-timestamp"].encode(), body)
        wanted = "v1," + base64.b64encode(
            hmac.new(key, text, hashlib.sha256).digest()).decode()
        return wanted in headers["webhook-signature"].split()

    def of(self, ident, kind):
        for event in list(self.events):
            if event["type"] == kind and event["data"]["email_id"] == ident:
                return event
        return None


class Demo:
    def __init__(self, program, data):
        self.program, self.data = program, os.path.abspath(data)
        self.process = self.info = None
        self.endpoint = Endpoint()

    def start(self):
        os.makedirs(self.data, exist_ok=True)
        self.log = os.path.join(self.data, "dev.log")
        out = open(self.log, "ab")
        self.log_from = out.tell()
        # A session of its own: Ctrl-C reaches us, and we stop it in order.
        self.process = subprocess.Popen(
            [self.program, "dev", "--data", self.data], stdout=out,
            stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
        self.wait("verpost dev answers", self.answers, 90)

    def answers(self):
        if self.process.poll() is not None:
            # What an earlier start wrote is not the reason.
            with open(self.log, "rb") as stream:
                stream.seek(self.log_from)
                said = stream.read()[-2000:].decode(errors="replace")
            raise Stopped(said.strip() or "verpost dev ended with status %d"
                          % self.process.returncode)
        path = os.path.join(self.data, "dev.json")
        try:
            with open(path) as stream:
                self.info = json.load(stream)
            # Not what another one has written, which may just have started.
            if self.info.get("pid") != self.process.pid:
                return False
            self.call("GET", "/emails?limit=1")
            return True
        except (OSError, ValueError):
            return False

    def wait(self, what, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise Stopped("%s: not within %d seconds; see %s" % (
            what, seconds, self.log))

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.info["http"] + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + self.info["api_key"],
                     "Content-Type": "application/json",
                     "User-Agent": "verpost-demo"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise Stopped("%s %s: %d %s" % (
                method, path, refusal.code, refusal.read().decode()))

    def send(self, to):
        body = {"from": "Verpost <hello@%s>" % self.info["domain"],
                "to": to, "subject": "A first email",
                "html": "<p>It works.</p>"}
        print("   POST /emails  " + json.dumps(body))
        ident = self.call("POST", "/emails", body)["id"]
        print("   accepted      id %s, committed to PostgreSQL" % ident)
        return ident

    def command(self, *words):
        return subprocess.run(
            [self.program] + list(words) + ["-c", self.info["config"]],
            check=True, capture_output=True).stdout.decode()

    def mails(self, to):
        """Ids of what the simulator has taken for an address."""
        rows = json.loads(self.command("simulator", "list", "--json"))
        return [row["id"] for row in rows if row["to"] == to]

    def captured(self, to, before):
        new = [ident for ident in self.mails(to) if ident not in before]
        return new and self.command("simulator", "show", new[0])

    def log_end(self):
        return os.path.getsize(os.path.join(self.data, "verpost.log"))

    def reply_to(self, to, log_from):
        """What the receiving server said, from the line about its attempt."""
        path = os.path.join(self.data, "verpost.log")
        with open(path, errors="replace") as stream:
            stream.seek(log_from)
            lines = [line for line in stream if to in line]
        for line in reversed(lines):
            found = re.search(r'(?:text|reply)=("(?:[^"\\]|\\.)*"|\S+)', line)
            code = re.search(r"\bcode=(\d+)", line)
            if found and code:
                return code.group(1) + " " + found.group(1).strip('"')
        return None

    def show_delivery(self):
        to = "delivered@example.net"
        before, log_from = self.mails(to), self.log_end()
        ident = self.send(to)
        event = self.wait("the email is delivered", lambda: self.endpoint.of(
            ident, "email.delivered"))
        raw = self.wait("the mail is captured", lambda: self.captured(
            to, before))
        head = re.sub(r"\r?\n[ \t]+", " ", raw.split("\r\n\r\n")[0])
        signature = re.search(r"^DKIM-Signature: (.*)$", head, re.M | re.I)
        if signature is None:
            raise Stopped("the delivered mail has no DKIM-Signature")
        tags = dict(tag.strip().split("=", 1) for tag
                    in signature.group(1).strip().rstrip(";").split(";"))
        print("   signed        DKIM %s, d=%s, s=%s" % (
            tags["a"], tags["d"], tags["s"]))
        reply = self.wait("the reply is logged", lambda: self.reply_to(
            to, log_from))
        print("   delivered     the receiver said: %s" % reply)
        print("   webhook       %s, signature verified" % event["type"])
        state = self.call("GET", "/emails/" + ident)["last_event"]
        print("   GET /emails/  last_event: %s" % state)
        if state != "delivered":
            raise Stopped("last_event is %s, not delivered" % state)

    def show_bounce(self):
        ident = self.send("bounced-later@example.net")
        event = self.wait("the bounce comes back", lambda: self.endpoint.of(
            ident, "email.bounced"))
        bounce = event["data"]["bounce"]
        print("   bounced       the report came back to the return path")
        print("   webhook       %s, signature verified: %s, \"%s\"" % (
            event["type"], bounce["type"], bounce["message"]))
        state = self.call("GET", "/emails/" + ident)["last_event"]
        print("   GET /emails/  last_event: %s" % state)
        if state != "bounced":
            raise Stopped("last_event is %s, not bounced" % state)

    def run(self):
        print("\n== 3. Start (verpost dev, data in %s)" % self.data)
        self.start()
        print("   the API is at " + self.info["http"])
        hook = self.call("POST", "/webhooks", {
            "endpoint": self.endpoint.url, "events": EVENTS})
        self.endpoint.secret = hook["signing_secret"]
        self.hook = hook["id"]
        # The second time round the address of the bounce is suppressed.
        subprocess.run(
            [self.program, "suppression", "remove",
             "bounced-later@example.net", "-c", self.info["config"]],
            capture_output=True)
        print("\n== 4. An email that is delivered")
        self.show_delivery()
        print("\n== 5. An email that is taken first and then bounces")
        self.show_bounce()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        if self.info is not None:
            try:
                self.call("DELETE", "/webhooks/" + self.hook)
            except (Stopped, OSError, AttributeError):
                pass
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def main():
    words = [word for word in sys.argv[1:] if word != "--once"]
    once = len(words) < len(sys.argv) - 1
    if len(words) != 2:
        sys.exit(__doc__)
    demo = Demo(*words)

    def interrupted(_number, _frame):
        raise KeyboardInterrupt

    # Also where it was started in the background, with SIGINT ignored.
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    sys.stdout.reconfigure(line_buffering=True)
    status = 0
    try:
        demo.run()
        print("\nAll of it happened.")
        if not once:
            info = demo.info
            print("\nTry it yourself (Ctrl-C stops everything):\n\n"
                  "  curl -s %s/emails -A curl \\\n"
                  "    -H 'Authorization: Bearer %s' \\\n"
                  "    -H 'Content-Type: application/json' \\\n"
                  "    -d '{\"from\":\"me@%s\",\"to\":\"you@example.net\","
                  "\"subject\":\"hi\",\"text\":\"hello\"}'\n" % (
                      info["http"], info["api_key"], info["domain"]))
            print("Other names act out other ends: bounced@, bounced-later@, "
                  "deferred@, rejected@\n(an address that bounced is "
                  "suppressed: take another domain then).\nWhat the "
                  "simulator took:\n\n"
                  "  %s simulator list -c %s\n" % (
                      demo.program, info["config"]))
            demo.process.wait()
            status = demo.process.returncode
    except KeyboardInterrupt:
        print("\nStopping.")
    except Stopped as problem:
        print("\nquickstart: %s" % problem, file=sys.stderr)
        status = 1
    finally:
        demo.stop()
    sys.exit(status)


if __name__ == "__main__":
    main()
