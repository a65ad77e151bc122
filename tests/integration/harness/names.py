"""DNS: nsd holds the zone "zz", unbound asks it and answers everyone else."""

import os
import signal
import socket
import struct

from .procs import Process, directory, wait_until, write

PORT = 10053


class Dns:
    """
    zone lines are relative to zz. ("mx.remote IN A 127.0.0.9"); ttl_s: how
    long answers may be kept.
    """

    def __init__(self, base, net, ttl_s=1):
        self.base = directory(os.path.join(base, "dns"))
        self.server, self.resolver = net + ".2", net + ".3"
        self.records, self.ttl_s = [], ttl_s
        self.serial = 1
        self._write_zone()
        write(self.base + "/nsd.conf", """
server:
	ip-address: {s}@{p}
	username: ""
	chroot: ""
	zonesdir: "{b}"
	pidfile: ""
	database: ""
	xfrdfile: "{b}/xfrd.state"
	zonelistfile: "{b}/zone.list"
	xfrdir: "{b}"
	server-count: 1
	do-ip6: no
remote-control:
	control-enable: no
zone:
	name: "zz."
	zonefile: "zz.zone"
""".format(s=self.server, p=PORT, b=self.base))
        write(self.base + "/unbound.conf", """
server:
	interface: {r}
	port: {p}
	access-control: 127.0.0.0/8 allow
	do-not-query-localhost: no
	do-daemonize: no
	use-syslog: no
	logfile: ""
	chroot: ""
	username: ""
	directory: "{b}"
	pidfile: ""
	num-threads: 1
	do-ip6: no
	module-config: "iterator"
	cache-max-negative-ttl: 0
	cache-max-ttl: {t}
remote-control:
	control-enable: no
stub-zone:
	name: "zz."
	stub-addr: {s}@{p}
stub-zone:
	name: "."
	stub-addr: {s}@{p}
""".format(r=self.resolver, s=self.server, p=PORT, b=self.base,
           t=self.ttl_s))
        self.nsd = self.unbound = None
        self.start_server()
        self.start_resolver()

    @property
    def address(self):
        return "%s:%d" % (self.resolver, PORT)

    def _write_zone(self):
        head = ["$ORIGIN zz.", "$TTL %d" % self.ttl_s,
                "@ IN SOA ns hostmaster %d 60 60 3600 1" % self.serial,
                "@ IN NS ns", "ns IN A " + self.server]
        write(self.base + "/zz.zone", "\n".join(head + self.records) + "\n")

    def start_server(self):
        self.nsd = Process("nsd", ["/usr/sbin/nsd", "-d", "-c",
                                   self.base + "/nsd.conf"],
                           self.base + "/nsd.log")
        wait_until("nsd answers", lambda: self._serves(self.nsd, self.server))

    def start_resolver(self):
        self.unbound = Process("unbound", ["/usr/sbin/unbound", "-d", "-c",
                                           self.base + "/unbound.conf"],
                               self.base + "/unbound.log")
        wait_until("unbound answers",
                   lambda: self._serves(self.unbound, self.resolver))

    def _serves(self, process, address):
        process.must_run()
        return self.serial_at(address) == self.serial

    def serial_at(self, address):
        """The serial number of the zone as a server sees it, or None."""
        question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) \
            + b"\x02zz\x00" + struct.pack(">HH", 6, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            try:
                sock.sendto(question, (address, PORT))
                answer = sock.recv(4096)
            except OSError:
                return None
        if len(answer) < 40 or answer[3] & 15 != 0 or answer[7] == 0:
            return None
        # The SOA's five numbers: ours end the record, before any authority.
        at = answer.find(struct.pack(">IIII", 60, 60, 3600, 1))
        return struct.unpack(">I", answer[at - 4:at])[0] if at > 4 else None

    def set(self, records):
        """Puts these records in place of all others."""
        self.records = list(records)
        self.serial += 1
        self._write_zone()
        self.nsd.send(signal.SIGHUP)
        wait_until("nsd has the new zone",
                   lambda: self.serial_at(self.server) == self.serial, 60)
        # Nothing of the old zone stays in a cache.
        self.unbound.stop()
        self.start_resolver()

    def add(self, *records):
        self.set(self.records + list(records))

    def fail(self):
        """Every question now runs into a time-out or SERVFAIL."""
        self.nsd.stop()

    def heal(self):
        self.start_server()
        self.unbound.stop()
        self.start_resolver()
