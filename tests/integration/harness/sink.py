"""
A mail server that misbehaves on request, and counts what it is given.

Replies are chosen by the address of the recipient: sink.on_rcpt[address] and
sink.on_dot[address] hold a reply line, or a function(transaction) that
returns one and may wait first; None closes the connection without a reply.
sink.on_data[address] is called between the 354 and the first octet read.
sink.mails has the number of the connection for each MAIL, sink.mail_peers
the address it came from. sink.open_from counts what is open, by address.
"""

import collections
import email
import email.policy
import socketserver
import threading

from .procs import wait_until


class Taken:
    """One transaction that reached its final dot."""

    def __init__(self, mail_from, rcpt, raw, peer):
        self.mail_from, self.rcpt, self.raw = mail_from, rcpt, raw
        self.peer, self.replied = peer, False

    @property
    def message(self):
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def message_id(self):
        return str(self.message["Message-ID"]).strip()


class _Session(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def line(self):
        got = self.rfile.readline(4096)
        if not got:
            raise EOFError
        return got.decode("latin-1").rstrip("\r\n")

    def handle(self):
        self.sink = self.server.sink
        with self.sink.lock:
            self.sink.connections += 1
            self.number = self.sink.connections
            self.sink.open_from[self.client_address[0]] += 1
        try:
            self.session()
        except (EOFError, OSError):
            pass
        finally:
            with self.sink.lock:
                self.sink.open_from[self.client_address[0]] -= 1

    def session(self):
        if self.sink.banner is None:
            return
        self.say(self.sink.banner)
        mail_from, rcpt = None, []
        while True:
            line = self.line()
            verb = line[:4].upper()
            if verb in ("EHLO", "HELO"):
                self.say("250-sink\r\n%s250-SIZE 50000000\r\n250 8BITMIME" % (
                    "250-PIPELINING\r\n" if self.sink.pipelining else ""))
            elif verb == "MAIL":
                mail_from, rcpt = _path(line), []
                with self.sink.lock:
                    self.sink.mails.append(self.number)
                    self.sink.mail_peers.append(self.client_address[0])
                self.say("250 2.1.0 ok")
            elif verb == "RCPT":
                reply = self.choose(self.sink.on_rcpt, _path(line),
                                    "250 2.1.5 ok")
                if reply is None:
                    return
                if reply[0] == "2":
                    rcpt.append(_path(line))
                self.say(reply)
            elif verb == "DATA":
                if not rcpt:
                    self.say("503 5.5.1 no recipient")
                    continue
                self.say("354 go on")
                self.choose(self.sink.on_data, rcpt[0], "")
                if not self.dot(mail_from, rcpt):
                    return
            elif verb in ("RSET", "NOOP"):
                self.say("250 2.0.0 ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("502 5.5.2 what?")

    def choose(self, table, address, fallback):
        answer = table.get(address, fallback)
        return answer(address) if callable(answer) else answer

    def dot(self, mail_from, rcpt):
        lines = []
        while True:
            raw = self.rfile.readline(1 << 20)
            if not raw:
                raise EOFError
            if raw == b".\r\n":
                break
            lines.append(raw[1:] if raw.startswith(b".") else raw)
        taken = Taken(mail_from, rcpt, b"".join(lines),
                      self.client_address[0])
        with self.sink.lock:
            self.sink.taken.append(taken)
        reply = self.choose(self.sink.on_dot, rcpt[0], "250 2.0.0 taken")
        if reply is None:
            return False
        taken.replied = reply
        self.say(reply)
        return True


class Gate:
    """A reply that the sink keeps back until it is opened."""

    def __init__(self, reply):
        self.reply, self.event = reply, threading.Event()
        self.reached = threading.Event()

    def __call__(self, _address):
        self.reached.set()
        self.event.wait(120)
        return self.reply

    def open(self):
        self.event.set()


def _path(line):
    return line[line.index("<") + 1:line.index(">")].lower()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Sink:
    def __init__(self, address, port):
        self.address, self.port = address, port
        self.lock = threading.Lock()
        self.taken, self.connections = [], 0
        self.banner, self.pipelining = "220 sink ESMTP", True
        self.on_rcpt, self.on_data, self.on_dot = {}, {}, {}
        self.mails, self.mail_peers = [], []
        self.open_from = collections.Counter()
        self.server = None
        self.start()

    def start(self):
        self.server = _Server((self.address, self.port), _Session)
        self.server.sink = self
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def for_rcpt(self, address):
        """Everything that reached its final dot for an address."""
        with self.lock:
            return [t for t in self.taken if address in t.rcpt]

    def wait_for(self, address, count=1, seconds=20):
        return wait_until(
            "%d mail(s) for %s at the sink" % (count, address),
            lambda: len(self.for_rcpt(address)) >= count
            and self.for_rcpt(address), seconds)
