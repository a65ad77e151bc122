"""The peer: Postfix with OpenDKIM, from the templates in peer/."""

import grp
import os
import pwd

from harness.procs import Process, directory, run, wait_until, write
from harness.storage import port_open

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 10025


class Peer:
    def __init__(self, base, address, sink, domain, parent, concurrency,
                 use_tls):
        self.base = directory(os.path.join(base, "peer"))
        self.address, self.domain = address, domain
        self.fill = {
            "BASE": self.base, "LISTEN": "%s:%d" % (address, PORT),
            "SINK": sink[0], "SINK_PORT": str(sink[1]), "PARENT": parent,
            "DOMAIN": domain, "CONCURRENCY": str(concurrency),
            "TLS": "may" if use_tls else "none",
            "TLS_REUSE": "yes" if use_tls else "no"}
        self._make_key()
        self._make_queue()
        config = directory(self.base + "/etc")
        for name in ("main.cf", "master.cf"):
            self._write(name, config)
        self._write("opendkim.conf", self.base)
        self.opendkim = Process("opendkim", [
            "/usr/sbin/opendkim", "-f", "-x", self.base + "/opendkim.conf"],
            self.base + "/opendkim.out")
        wait_until("opendkim listens", lambda: self.opendkim.must_run()
                   and os.path.exists(self.base + "/opendkim.sock"))
        self.postfix = Process("postfix", [
            "/usr/lib/postfix/sbin/master", "-d", "-c", config],
            self.base + "/postfix.out")
        wait_until("postfix listens", lambda: self.postfix.must_run()
                   and port_open(address, PORT), 30)

    def _write(self, name, where):
        with open(os.path.join(HERE, "peer", name)) as stream:
            text = stream.read()
        for key, value in self.fill.items():
            text = text.replace("@%s@" % key, value)
        write(os.path.join(where, name), text)

    def _make_key(self):
        key = self.base + "/dkim.pem"
        run(["openssl", "genrsa", "-traditional", "-out", key, "2048"])
        _, pem, _ = run(["openssl", "rsa", "-in", key, "-pubout"])
        public = "".join(pem.split("\n")[1:-2])
        self.txt = {"peer._domainkey." + self.domain:
                    "v=DKIM1; k=rsa; p=" + public}

    def _make_queue(self):
        queue = directory(self.base + "/queue")
        user = pwd.getpwnam("postfix").pw_uid
        for name in ("active", "bounce", "corrupt", "defer", "deferred",
                     "flush", "hold", "incoming", "private", "saved",
                     "trace"):
            directory(os.path.join(queue, name), "postfix", 0o700)
        directory(queue + "/pid")
        for name, mode in (("maildrop", 0o1730), ("public", 0o2710)):
            path = directory(os.path.join(queue, name))
            os.chown(path, user, grp.getgrnam("postdrop").gr_gid)
            os.chmod(path, mode)
        directory(self.base + "/data", "postfix", 0o700)

    @property
    def where(self):
        return "%s:%d" % (self.address, PORT)

    def load_options(self):
        return []

    def parts(self):
        return {"postfix": self.postfix.pid, "opendkim": self.opendkim.pid}

    def stop(self):
        self.postfix.stop()
        self.opendkim.stop()
