"""
A mail server that takes everything and counts exactly: connections open at
once, connections begun, mails over a connection, mails begun; each by the
address it came from, with the time.

One thread, and what closed is always looked at before what opens: of two
connections that never were open at once it never counts two.
"""

import selectors
import socket
import threading
import time
from collections import defaultdict


class _Link:
    def __init__(self, sock, source):
        self.sock, self.source = sock, source
        self.data, self.in_body, self.mails = b"", False, 0
        self.rcpt = None


class Counter:
    """delay: seconds before the reply to a dot; then without PIPELINING, for
    what comes behind a dot would be seen late."""

    def __init__(self, address, port, delay=0.0):
        self.lock = threading.Lock()
        self.links = {}
        self.open = defaultdict(int)
        self.most_open = defaultdict(int)
        self.connect_times = defaultdict(list)
        self.mail_times = defaultdict(list)
        self.most_mails = 0
        self.taken = defaultdict(int)
        self.delay, self.due = delay, []
        self.listener = socket.create_server((address, port), backlog=200)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.ended = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.ended = True
        self.thread.join()
        for link in list(self.links.values()):
            link.sock.close()
        self.listener.close()

    def run(self):
        while not self.ended:
            ready = [key.fileobj for key, _ in self.selector.select(0.01)]
            with self.lock:
                for sock in ready:
                    if sock is not self.listener and sock in self.links:
                        self.read(self.links[sock])
                self.answer_due()
                if self.listener in ready:
                    self.accept()

    def accept(self):
        sock, peer = self.listener.accept()
        sock.setblocking(False)
        link = self.links[sock] = _Link(sock, peer[0])
        self.selector.register(sock, selectors.EVENT_READ)
        self.open[link.source] += 1
        self.most_open[link.source] = max(self.most_open[link.source],
                                          self.open[link.source])
        self.connect_times[link.source].append(time.monotonic())
        self.say(link, "220 counter ESMTP")

    def close(self, link):
        if self.links.pop(link.sock, None) is None:
            return
        self.selector.unregister(link.sock)
        link.sock.close()
        self.open[link.source] -= 1

    def say(self, link, text):
        try:
            link.sock.sendall(text.encode() + b"\r\n")
        except OSError:
            self.close(link)

    def read(self, link):
        while link.sock in self.links:
            try:
                got = link.sock.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                got = b""
            if not got:
                self.close(link)
                return
            link.data += got
            while b"\r\n" in link.data and link.sock in self.links:
                line, link.data = link.data.split(b"\r\n", 1)
                self.line(link, line.decode("latin-1"))

    def line(self, link, line):
        if link.in_body:
            if line == ".":
                link.in_body = False
                self.taken[link.rcpt] += 1
                if self.delay:
                    self.due.append((time.monotonic() + self.delay, link))
                else:  # before the replies to what came behind the dot
                    self.say(link, "250 taken")
            return
        verb = line[:4].upper()
        if verb == "EHLO":
            self.say(link, "250-counter\r\n%s250 8BITMIME" % (
                "" if self.delay else "250-PIPELINING\r\n"))
        elif verb == "MAIL":
            link.mails += 1
            self.most_mails = max(self.most_mails, link.mails)
            self.mail_times[link.source].append(time.monotonic())
            self.say(link, "250 ok")
        elif verb == "RCPT":
            link.rcpt = line[line.index("<") + 1:line.index(">")]
            self.say(link, "250 ok")
        elif verb == "DATA":
            link.in_body = True
            self.say(link, "354 go on")
        elif verb == "QUIT":
            self.say(link, "221 bye")
            self.close(link)
        else:
            self.say(link, "250 ok")

    def answer_due(self):
        now = time.monotonic()
        for due, link in [d for d in self.due if d[0] <= now]:
            self.due.remove((due, link))
            self.say(link, "250 taken")

    def total(self):
        with self.lock:
            return sum(self.taken.values())

    def mails(self):
        with self.lock:
            return sum(map(len, self.mail_times.values()))


def most_within(times, seconds):
    """The most of these moments in any half-open window of that length."""
    times, most, first = sorted(times), 0, 0
    for last, moment in enumerate(times):
        while times[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
