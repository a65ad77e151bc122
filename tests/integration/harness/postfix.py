"""Postfix as somebody else's mail server, with directories of its own."""

import email
import email.policy
import grp
import os
import pwd
import signal
import subprocess

from .procs import Process, directory, run, wait_until, write
from .storage import port_open

PORT = 10025

MASTER = """\
{address}:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """
    Takes mail for domain; known@domain is delivered to a maildir, any other
    user is accepted and then bounced to the envelope sender. refused@ gets
    550 and later@ 450 to RCPT. bounces: {domain: "host:port"} says where
    mail for that domain goes, in place of DNS.
    """

    stop_signal = signal.SIGTERM

    def __init__(self, base, address, domain, bounces, tls=True):
        self.base = directory(os.path.join(base, "postfix-" + domain))
        self.address, self.domain = address, domain
        config = directory(self.base + "/etc")
        self.queue = directory(self.base + "/queue")
        self.mail = directory(self.base + "/mail", "nobody")
        directory(self.base + "/data", "postfix", 0o700)
        self.log = self.base + "/maillog"
        write(config + "/master.cf", MASTER.format(
            address=address, port=PORT))
        self.config = config
        self._write_main(bounces, tls)
        self._make_queue()
        self.process = None
        self.start()

    def _make_queue(self):
        postdrop = grp.getgrnam("postdrop").gr_gid
        for name in ("active", "bounce", "corrupt", "defer", "deferred",
                     "flush", "hold", "incoming", "private", "saved",
                     "trace"):
            directory(os.path.join(self.queue, name), "postfix", 0o700)
        directory(self.queue + "/pid")
        for name, mode in (("maildrop", 0o1730), ("public", 0o2710)):
            path = directory(os.path.join(self.queue, name))
            os.chown(path, pwd.getpwnam("postfix").pw_uid, postdrop)
            os.chmod(path, mode)

    def _write_main(self, bounces, tls):
        nobody = pwd.getpwnam("nobody")
        routes = ", ".join("{ %s = smtp:[%s]:%s }" % (
            (name,) + tuple(where.rsplit(":", 1)))
            for name, where in bounces.items())
        lines = {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": self.base + "/data",
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "myhostname": "mx." + self.domain,
            # Only addresses of an interface may stand here; master.cf has
            # ours of 127/8.
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "smtp_bind_address": self.address,
            "mynetworks": "",
            "mydestination": "",
            "local_recipient_maps": "",
            "alias_maps": "",
            "maillog_file": self.log,
            "maillog_file_prefixes": self.base,
            "virtual_mailbox_domains": self.domain,
            "virtual_mailbox_base": self.mail,
            "virtual_mailbox_maps": "inline:{ { known@%s = known/ } }"
                                    % self.domain,
            "virtual_uid_maps": "static:%d" % nobody.pw_uid,
            "virtual_gid_maps": "static:%d" % nobody.pw_gid,
            "virtual_minimum_uid": "1",
            # Take unknown users, bounce them later: the DSN is what we want.
            "smtpd_reject_unlisted_recipient": "no",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_recipient_restrictions":
                "check_recipient_access inline:{ "
                "{ refused@%s = 550 5.1.1 no such user here }, "
                "{ later@%s = 450 4.2.0 try again later } }, "
                "reject_unauth_destination" % (self.domain, self.domain),
            "transport_maps": "inline:{ %s }" % routes if routes else "",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "smtpd_peername_lookup": "no",
            "minimal_backoff_time": "5s",
            "queue_run_delay": "5s",
            "default_destination_rate_delay": "0s",
            "bounce_queue_lifetime": "1h",
        }
        if tls:
            self._certificate()
            lines.update({
                "smtpd_tls_security_level": "may",
                "smtpd_tls_chain_files": self.base + "/tls.pem",
                "smtpd_tls_received_header": "yes",
            })
        write(self.config + "/main.cf", "".join(
            "%s = %s\n" % item for item in lines.items()))

    def _certificate(self):
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "2", "-subj", "/CN=mx." + self.domain, "-keyout",
             self.base + "/key.pem", "-out", self.base + "/cert.pem"])
        pem = ""
        for name in ("key.pem", "cert.pem"):
            with open(os.path.join(self.base, name)) as stream:
                pem += stream.read()
        write(self.base + "/tls.pem", pem, 0o600)

    def start(self):
        self.process = Process("postfix", [
            "/usr/lib/postfix/sbin/master", "-d", "-c", self.config],
            self.base + "/out")
        wait_until("postfix listens", lambda: self.process.must_run()
                   and port_open(self.address, PORT), 30)

    def stop(self):
        self.process.stop()

    def flush(self):
        """Tries again now what waits in its queue."""
        subprocess.run(["postqueue", "-c", self.config, "-f"], check=False)

    def received(self, user="known"):
        """The raw mails in a user's box, in no order."""
        box = os.path.join(self.mail, user, "new")
        mails = []
        for name in os.listdir(box) if os.path.isdir(box) else []:
            with open(os.path.join(box, name), "rb") as stream:
                mails.append(stream.read())
        return mails

    def with_subject(self, subject, user="known"):
        return [m for m in self.received(user)
                if parsed(m)["Subject"] == subject]

    def wait_for(self, subject, seconds=20):
        """The one raw mail with this subject."""
        return wait_until("mail '%s' arrives" % subject,
                          lambda: self.with_subject(subject), seconds)[0]


def parsed(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)
