#!/usr/bin/python3
"""Builds and signs many messages with mail_tool, reads them with what others
wrote (Python's email package, python3-dkim, Mail::DKIM), and expects the same
fields back. The seed is printed; MAIL_ROUNDTRIP_SEED and _ROUNDS repeat and
extend a run."""

import base64
import email
import email.policy
import email.utils
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unicodedata

try:
    import dkim
except ImportError:
    print("skipped: python3-dkim is missing (apt-get install python3-dkim)")
    sys.exit(77)

ROUNDS = int(os.environ.get("MAIL_ROUNDTRIP_ROUNDS", "400"))
SEED = int(os.environ.get("MAIL_ROUNDTRIP_SEED", "0")) or random.getrandbits(32)
TOOL = os.environ.get("MAIL_TOOL", "tests/unit/mail_tool")

rnd = random.Random(SEED)

WORDS = ["hello", "world", "a", "quick-brown", "Grüße", "naïve", "日本語",
         "emoji😀", "x" * 90, "=?utf-8?q?x?=", "it's", "50%", "(paren)",
         "semi;colon", "q\"uote", "back\\slash", "<angle>", "comma,", ".",
         "e\u0301", "Ωmega", "https://example.com/a?b=c&d=e_f", "@", "=20"]


def words(low, high, extra=()):
    return [rnd.choice(WORDS + list(extra)) for _ in range(rnd.randint(low, high))]


def phrase():
    return " ".join(words(0, 6)).strip()


def header_value():
    sep = rnd.choice([" ", " ", "  "])
    return sep.join(words(1, 30)).strip()


def local():
    return rnd.choice(["a", "ann.smith", "x+y=z", "A-B_C", "o'neil",
                       '"with blank"', '"a@b"', "n" * 64])


def domain():
    return rnd.choice(["example.com", "mail.example.org", "bücher.example",
                       "x" * 60 + ".example"])


def address():
    name = phrase()
    addr = local() + "@" + domain()
    if not name:
        return addr, ("", addr)
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{quoted} <{addr}>", (name, addr)


def ascii_domain(addr):
    left, right = addr.rsplit("@", 1)
    return left + "@" + right.encode("idna").decode()


def text_body():
    lines = []
    for _ in range(rnd.randint(0, 30)):
        kind = rnd.random()
        if kind < 0.05:
            lines.append("y" * rnd.choice([77, 78, 997, 998, 999, 3000]))
        elif kind < 0.1:
            lines.append("From " + " ".join(words(0, 5)))
        elif kind < 0.15:
            lines.append(rnd.choice([".", "..", "--=_0abc123_0", "=_", " ", "\t",
                                     "trailing \t ", "--", "ä" * 400]))
        else:
            lines.append(" ".join(words(0, 20)))
    text = rnd.choice(["\n", "\n", "\r\n", "\r"]).join(lines)
    if rnd.random() < 0.05:
        text += "\u0001\u007f\u000b"
    if rnd.random() < 0.2 and text.isascii() is False:
        text = text.encode("ascii", "ignore").decode()
    if rnd.random() < 0.5:
        text += "\n"
    return text


def html_body():
    return "<html><body><p>hello</p>" + "".join(
        f"<p>{w}</p>" + rnd.choice(["", "\n", "\r\n"]) for w in words(1, 40)) + "</body></html>"


def filename():
    return rnd.choice(["a.pdf", "my file.txt", "über uns.pdf", "日本.png",
                       "q\"uote.bin", "back\\slash", "x" * 200 + ".zip",
                       "ü" * 120, "semi;colon.csv", "noending", "100%.txt",
                       "it's.pdf", "a*b.txt"])


def attachment(has_html):
    a = {"filename": filename(),
         "data": base64.b64encode(rnd.randbytes(rnd.choice([0, 1, 56, 57, 58, 1000]))).decode()}
    if rnd.random() < 0.4:
        a["content_type"] = rnd.choice(["application/pdf", "image/png",
                                        "text/calendar; method=REQUEST",
                                        "message/rfc822", "multipart/mixed"])
    if has_html and rnd.random() < 0.4:
        a["content_id"] = f"cid{rnd.randint(1, 99)}@x"
    return a


def case():
    c = {}
    want = {}
    c["from"], want["from"] = address()
    for field, most in (("to", 40), ("cc", 3), ("reply_to", 2)):
        pairs = [address() for _ in range(rnd.choice([1, 1, 2, most]) if field == "to"
                                          else rnd.randint(0, most))]
        if pairs:
            c[field] = [p[0] for p in pairs]
        want[field] = [p[1] for p in pairs]
    c["bcc"] = ["hidden@secret.example"]
    c["subject"] = header_value() if rnd.random() < 0.9 else ""
    shape = rnd.choice(["text", "html", "both", "html-only"])
    if shape in ("text", "both"):
        c["text"] = text_body()
    if shape == "html-only":
        c["text"] = ""
    if shape != "text":
        c["html"] = html_body()
    c["headers"] = [{"name": f"X-Test-{i}", "value": header_value()}
                    for i in range(rnd.randint(0, 3))]
    if rnd.random() < 0.5:
        c["attachments"] = [attachment("html" in c) for _ in range(rnd.randint(1, 3))]
    return c, want, shape


def normal(text):
    """As mail carries it: CRLF ends lines; the last end is not told apart."""
    text = re.sub("\r\n|\r|\n", "\n", text)
    return text[:-1] if text.endswith("\n") else text


class Failure(Exception):
    pass


def expect(what, got, want):
    if got != want:
        raise Failure(f"{what}:\n  got  {got!r}\n  want {want!r}")


def check_octets(raw):
    if raw.replace(b"\r\n", b"").count(b"\n") or raw.replace(b"\r\n", b"").count(b"\r"):
        raise Failure("bare CR or LF")
    if not raw.isascii() or b"\0" in raw:
        raise Failure("not ASCII")
    head, _ = raw.split(b"\r\n\r\n", 1)
    for line in raw.split(b"\r\n"):
        if len(line) > 998:
            raise Failure(f"line of {len(line)} octets")
    for line in head.split(b"\r\n"):
        words_in = line.split(b" ")
        if len(line) > 78 and not any(len(w) > 60 for w in words_in) and b'"' not in line:
            raise Failure(f"unfolded header line {line!r}")
        for word in re.findall(rb"=\?utf-8\?[qb]\?[^ ]*\?=", line):
            if len(word) > 75:
                raise Failure(f"encoded word of {len(word)} octets")
            email.header.decode_header(word.decode())[0][0].decode("utf-8")


def addresses(msg, field):
    values = msg.get_all(field, [])
    expect(f"count of {field}", len(values) <= 1, True)
    out = []
    for value in values:
        # The compat32 parser and our own decoding: the newer one rewrites.
        for name, addr in email.utils.getaddresses([re.sub("\r\n", "", value)]):
            parts = email.header.decode_header(name)
            name = "".join(p.decode(cs or "ascii") if isinstance(p, bytes) else p
                           for p, cs in parts)
            out.append((name, addr))
    return out


def decoded(msg, field):
    value = re.sub("\r\n", "", msg[field])
    return str(email.header.make_header(email.header.decode_header(value))).strip()


def same_pairs(what, got, want):
    def norm(pairs):
        return [(re.sub(r"\s+", " ", n), ascii_domain(a)) for n, a in pairs]
    expect(what, [(re.sub(r"\s+", " ", n), a) for n, a in got], norm(want))


def check_fields(msg, c, want):
    same_pairs("From", addresses(msg, "From"), [want["from"]])
    same_pairs("To", addresses(msg, "To"), want["to"])
    same_pairs("Cc", addresses(msg, "Cc"), want["cc"])
    same_pairs("Reply-To", addresses(msg, "Reply-To"), want["reply_to"])
    expect("Subject", decoded(msg, "Subject"), c["subject"])
    expect("Message-ID", msg["Message-ID"], "<made-by@example.net>")
    expect("Date", email.utils.parsedate_to_datetime(msg["Date"]).timestamp(), 1764535199)
    expect("reference", msg["X-Verpost-Ref"], "b-reference")
    for h in c["headers"]:
        expect(h["name"], decoded(msg, h["name"]), h["value"])


def leaf_text(part):
    return part.get_payload(decode=True).decode("utf-8")


def check_body(msg, c, shape):
    parts = [p for p in msg.walk() if not p.is_multipart()]
    if [p.defects for p in msg.walk() if p.defects]:
        raise Failure(f"defects: {[p.defects for p in msg.walk()]}")
    texts = [p for p in parts if p.get_content_disposition() is None]
    plain = [p for p in texts if p.get_content_type() == "text/plain"]
    html = [p for p in texts if p.get_content_type() == "text/html"]
    expect("html parts", len(html), 1 if "html" in c else 0)
    expect("plain parts", len(plain),
           0 if shape == "html-only" or ("html" in c and c.get("text") == "") else 1)
    if html:
        expect("html", normal(leaf_text(html[0])), normal(c["html"]))
    if plain and "text" in c:
        expect("text", normal(leaf_text(plain[0])), normal(c["text"]))
    files = [p for p in parts if p.get_content_disposition()]
    given = c.get("attachments", [])
    inline = [a for a in given if a.get("content_id")]
    others = [a for a in given if not a.get("content_id")]
    expect("attachments", len(files), len(given))
    for part, a in zip(files, inline + others):
        expect("data", part.get_payload(decode=True), base64.b64decode(a["data"]))
        expect("filename", part.get_filename(), a["filename"])
        if a.get("content_id"):
            expect("cid", part["Content-ID"], f"<{a['content_id']}>")
            expect("disposition", part.get_content_disposition(), "inline")
        kind = a.get("content_type", "").split(";")[0]
        if kind.startswith(("multipart/", "message/")):
            kind = "application/octet-stream"
        if kind:
            expect("type", part.get_content_type(), kind)


PERL = r'''
use strict; use warnings;
eval { require Mail::DKIM::Verifier; require Mail::DKIM::PublicKey; 1 }
    or do { print "missing\n"; exit 0 };
my $txt = shift;
no warnings "redefine";
*Mail::DKIM::PublicKey::fetch_async = sub {
	my ($class, %prms) = @_;
	my $key = $class->parse($txt);
	my $done = $prms{Callbacks}->{Success};
	return sub { $done->($key); $key };
};
*Mail::DKIM::PublicKey::fetch = sub { my $class = shift; $class->parse($txt) };
binmode STDIN;
my $n = 0;
while (defined(my $len = <STDIN>)) {
	chomp $len; my $raw;
	read(STDIN, $raw, $len) == $len or die "short";
	my $v = Mail::DKIM::Verifier->new();
	$v->PRINT($raw); $v->CLOSE; $n++;
	if ($v->result ne "pass") { print "bad ", $n - 1, " ", $v->result_detail, "\n"; exit 0 }
}
print "good $n\n";
'''


def check_with_perl(messages, txt):
    stdin = b"".join(b"%d\n" % len(m) + m for m in messages)
    done = subprocess.run(["perl", "-e", PERL, txt], input=stdin,
                          capture_output=True, check=True)
    answer = done.stdout.decode().strip()
    if answer == "missing":
        print("note: Mail::DKIM is missing (apt-get install libmail-dkim-perl)")
    elif answer != f"good {len(messages)}":
        raise Failure(f"Mail::DKIM: {answer} {done.stderr.decode()}")
    return answer != "missing"


def main():
    print(f"seed {SEED}, {ROUNDS} messages")
    with tempfile.TemporaryDirectory() as tmp:
        key = os.path.join(tmp, "key.pem")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True,
                       capture_output=True)
        public = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        txt = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()
        tool = subprocess.Popen([TOOL, key], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        messages = []
        for n in range(ROUNDS):
            c, want, shape = case()
            tool.stdin.write(json.dumps(c, ensure_ascii=rnd.random() < 0.5).encode() + b"\n")
            tool.stdin.flush()
            answer = tool.stdout.readline().decode().strip()
            try:
                if not answer.isdigit():
                    raise Failure(f"tool said {answer!r}")
                raw = tool.stdout.read(int(answer))
                messages.append(raw)
                check_octets(raw)
                expect("hidden", b"hidden@" in raw, False)
                msg = email.message_from_bytes(raw)
                check_fields(msg, c, want)
                check_body(msg, c, shape)
                if not dkim.verify(raw, dnsfunc=lambda *_a, **_k: txt.encode()):
                    raise Failure("python3-dkim: signature does not verify")
            except Failure as e:
                print(f"message {n}: {e}\ninput: {json.dumps(c, ensure_ascii=False)}")
                with open("mail_roundtrip.failed.eml", "wb") as f:
                    f.write(messages[-1] if messages else b"")
                return 1
        tool.stdin.close()
        expect("exit of the tool", tool.wait(), 0)
        with_perl = check_with_perl(messages, txt)
        # A changed message must fail, or the checks above prove nothing.
        bad = messages[0].replace(b"X-Verpost-Ref: b-", b"X-Verpost-Ref: c-", 1)
        expect("a changed field verifies", dkim.verify(
            bad, dnsfunc=lambda *_a, **_k: txt.encode()), False)
    print(f"{ROUNDS} messages read back and verified by python3-dkim"
          + (" and Mail::DKIM" if with_perl else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
