"""Whether a received mail's DKIM signature holds, by two verifiers."""

import subprocess

import dkim

from .names import PORT
from .procs import Failed

_MAIL_DKIM = r"""
use strict;
use warnings;
use Net::DNS;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
my ($server, $port) = @ARGV;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(
    nameservers => [$server], port => $port, recurse => 1));
my $verifier = Mail::DKIM::Verifier->new();
binmode STDIN;
while (my $line = <STDIN>) {
	$line =~ s/\r?\n\z//;
	$verifier->PRINT("$line\015\012");
}
$verifier->CLOSE();
print $verifier->result_detail(), "\n";
"""


def by_dkimpy(raw, txt):
    """txt: what the TXT record of the selector says, by its name."""
    def lookup(name, timeout=5):
        del timeout
        return txt.get(name.decode().rstrip(".").lower(), "").encode()

    return dkim.verify(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
                       dnsfunc=lookup)


def by_mail_dkim(raw, resolver):
    """resolver: its address. Returns "pass", or "fail (why)"."""
    done = subprocess.run(["perl", "-e", _MAIL_DKIM, resolver, str(PORT)],
                          input=raw, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise Failed("Mail::DKIM: %s" % done.stderr.decode())
    return done.stdout.decode().strip()


def signature_tags(raw):
    """The tags of the first DKIM-Signature."""
    head = raw.replace(b"\r\n", b"\n").split(b"\n\n")[0].decode("latin-1")
    unfolded = head.replace("\n\t", " ").replace("\n ", " ")
    for line in unfolded.split("\n"):
        if line.lower().startswith("dkim-signature:"):
            return {k.strip(): v.replace(" ", "") for k, _, v in (
                tag.partition("=") for tag in line[15:].split(";")) if v}
    return {}
