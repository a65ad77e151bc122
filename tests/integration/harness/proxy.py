"""
A way to a server on a Unix socket that can be cut: closed, so that whoever is
connected hears of it, or stalled, as when a network drops every packet; then
nothing passes, not even the end of a connection, until it is healed.
"""

import os
import socket
import threading


class Proxy:
    def __init__(self, path, server):
        self.path, self.server = path, server
        self.lock, self.links = threading.Lock(), set()
        self.passes = threading.Event()
        self.passes.set()
        self.listener = None
        self._listen()

    def cut(self, stall):
        self.passes.clear()
        if not stall:
            self._deafen()
            self._hang_up()

    def heal(self):
        if self.listener is None:
            self._listen()
        self.passes.set()

    def stop(self):
        self._deafen()
        self._hang_up()
        self.passes.set()

    def _listen(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(100)
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()

    def _deafen(self):
        listener, self.listener = self.listener, None
        if listener is not None:
            os.unlink(self.path)
            # Closing alone does not wake a thread that is in accept.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _hang_up(self):
        with self.lock:
            links = list(self.links)
        for sock in links:
            self._end(sock)

    def _end(self, sock):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._link, args=(sock,),
                             daemon=True).start()

    def _link(self, sock):
        server = socket.socket(socket.AF_UNIX)
        with self.lock:
            self.links.update((sock, server))
        try:
            self.passes.wait()
            server.connect(self.server)
            back = threading.Thread(target=self._pump, args=(server, sock),
                                    daemon=True)
            back.start()
            self._pump(sock, server)
            back.join()
        except OSError:
            pass
        finally:
            with self.lock:
                self.links -= {sock, server}
            sock.close()
            server.close()

    def _pump(self, source, target):
        try:
            while True:
                data = source.recv(1 << 16)
                self.passes.wait()
                if not data:
                    break
                target.sendall(data)
        except OSError:
            pass
        self._end(source)
        self._end(target)
