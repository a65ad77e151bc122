"""An HTTP(S) endpoint that records what it is sent and answers as told."""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time

from .procs import wait_until


class Received:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.at = time.monotonic()

    @property
    def event(self):
        return json.loads(self.body)

    @property
    def kind(self):
        return self.event["type"]

    @property
    def id(self):
        return self.headers["webhook-id"]


class Receiver:
    """answers: statuses for the next requests; 200 when none are left."""

    def __init__(self, address, certificate=None):
        self.requests, self.answers = [], []
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length)
                headers = {k.lower(): v for k, v in self.headers.items()}
                with outer.lock:
                    outer.requests.append(Received(self.path, headers, body))
                    status = outer.answers.pop(0) if outer.answers else 200
                self.send_response(status)
                self.send_header("Content-Length", "2")
                if status in (301, 302, 307, 308):
                    self.send_header("Location", outer.url + "/redirected")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True)
            scheme = "https"
        self.url = "%s://%s:%d" % (scheme, address,
                                   self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def of(self, email_id, kind=None):
        """What came for one email, in the order of arrival."""
        with self.lock:
            known = list(self.requests)
        return [r for r in known if r.event["data"].get("email_id") == email_id
                and (kind is None or r.kind == kind)]

    def wait_for(self, email_id, kind, seconds=20):
        return wait_until("webhook %s for %s" % (kind, email_id),
                          lambda: self.of(email_id, kind), seconds)[0]


def signed_rightly(received, secret, family="webhook"):
    """
    Standard Webhooks, computed from the specification: HMAC-SHA256 over
    "id.timestamp.body" with the base64 key after whsec_.
    """
    ident = received.headers.get(family + "-id", "")
    stamp = received.headers.get(family + "-timestamp", "")
    key = base64.b64decode(secret[len("whsec_"):])
    text = b"%s.%s.%s" % (ident.encode(), stamp.encode(), received.body)
    digest = hmac.new(key, text, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digest).decode()
    return any(hmac.compare_digest(wanted, one) for one
               in received.headers.get(family + "-signature", "").split())
