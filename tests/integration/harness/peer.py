"""
A mail host that follows a script: one list of steps per connection (the last
list serves all further ones). What a step can be:

  b"..."       send these octets
  "MAIL"       read a line that begins so
  ("body",)    read up to the final dot and count it as a transmission
  ("flood", octets, total)   send octets again and again, total in all
  ("starttls",) shake hands as a server with the test's certificate
  a function   call it: it may wait
  ("close",)   end the connection; so does the end of the list
"""

import socket
import threading

from .procs import wait_until


class Peer:
    def __init__(self, address, port, *scripts, tls=None):
        self.scripts, self.tls = list(scripts), tls
        self.lock = threading.Lock()
        self.connections, self.transmissions, self.errors = 0, [], []
        self.listener = socket.create_server((address, port), backlog=50)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        # Closing alone does not wake a thread that is in accept.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                at = min(self.connections, len(self.scripts) - 1)
                self.connections += 1
            threading.Thread(target=self._serve,
                             args=(sock, self.scripts[at]),
                             daemon=True).start()

    def _serve(self, sock, script):
        sock.settimeout(30)
        link = [sock, sock.makefile("rb")]
        try:
            for step in script:
                if not self._step(link, step):
                    break
        except OSError:
            pass
        finally:
            link[1].close()
            link[0].close()

    def _step(self, link, step):
        sock, stream = link
        if isinstance(step, bytes):
            sock.sendall(step)
        elif isinstance(step, str):
            line = stream.readline(8192).decode("latin-1")
            if not line.upper().startswith(step):
                if line:
                    self.errors.append("%r came, %r was due" % (line, step))
                return False
        elif callable(step):
            step()
        elif step[0] == "body":
            return self._body(stream)
        elif step[0] == "flood":
            for _ in range(step[2] // len(step[1]) + 1):
                sock.sendall(step[1])
        elif step[0] == "starttls":
            link[0] = self.tls.wrap_socket(sock, server_side=True)
            link[1] = link[0].makefile("rb")
        elif step[0] == "close":
            return False
        return True

    def _body(self, stream):
        lines = []
        while True:
            line = stream.readline(1 << 20)
            if not line:
                return False
            if line == b".\r\n":
                break
            lines.append(line)
        with self.lock:
            self.transmissions.append(b"".join(lines))
        return True

    def wait_connections(self, count, seconds=20):
        wait_until("%d connections" % count,
                   lambda: self.connections >= count, seconds)


HELLO = [b"220 peer ESMTP\r\n", "EHLO", b"250-peer\r\n250 SIZE 10000000\r\n"]
PIPELINED = [b"220 peer ESMTP\r\n", "EHLO",
             b"250-peer\r\n250-PIPELINING\r\n250 SIZE 10000000\r\n"]
ENVELOPE = ["MAIL", b"250 2.1.0 ok\r\n", "RCPT", b"250 2.1.5 ok\r\n"]
TAKE = ENVELOPE + ["DATA", b"354 go on\r\n", ("body",)]
GOOD = HELLO + TAKE + [b"250 2.0.0 taken\r\n", "QUIT", b"221 bye\r\n"]
