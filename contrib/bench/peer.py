"""The peer: Postfix, with OpenDKIM or without, from the templates in peer/."""

import grp
import os
import pwd

from harness.procs import Process, directory, run, wait_until, write
from harness.storage import port_open
from measure import DOMAIN, PARENT, SINK_PORT

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 10025


class Peer:
    def __init__(self, bench, concurrency, use_tls, use_dkim):
        self.title = "Postfix with OpenDKIM" if use_dkim else "Postfix, plain"
        self.base = directory(os.path.join(
            bench.base, "peer-dkim" if use_dkim else "peer"))
        self.address, self.domain = bench.net + ".20", DOMAIN
        self.fill = {
            "BASE": self.base, "LISTEN": "%s:%d" % (self.address, PORT),
            "SINK": bench.sink_address, "SINK_PORT": str(SINK_PORT),
            "PARENT": PARENT, "DOMAIN": DOMAIN,
            "CONCURRENCY": str(concurrency),
            "MILTERS": "unix:%s/opendkim.sock" % self.base
            if use_dkim else "",
            "TLS": "may" if use_tls else "none",
            "TLS_REUSE": "yes" if use_tls else "no"}
        self.txt, self.opendkim = {}, None
        self._make_queue()
        config = directory(self.base + "/etc")
        for name in ("main.cf", "master.cf"):
            self._write(name, config)
        if use_dkim:
            self._start_opendkim()
        self.postfix = Process("postfix", [
            "/usr/lib/postfix/sbin/master", "-d", "-c", config],
            self.base + "/postfix.out")
        wait_until("postfix listens", lambda: self.postfix.must_run()
                   and port_open(self.address, PORT), 30)

    def _start_opendkim(self):
        self._make_key()
        self._write("opendkim.conf", self.base)
        self.opendkim = Process("opendkim", [
            "/usr/sbin/opendkim", "-f", "-x", self.base + "/opendkim.conf"],
            self.base + "/opendkim.out")
        wait_until("opendkim listens", lambda: self.opendkim.must_run()
                   and os.path.exists(self.base + "/opendkim.sock"))

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
        found = {"postfix": self.postfix.pid}
        if self.opendkim:
            found["opendkim"] = self.opendkim.pid
        return found

    def stop(self):
        self.postfix.stop()
        if self.opendkim:
            self.opendkim.stop()
