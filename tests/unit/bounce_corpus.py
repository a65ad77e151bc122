#!/usr/bin/python3
"""Holds the parser against a collection of real bounces, where one lies beside
the source tree (../shared/corpus/bounces; it is not ours to distribute). Every
standard report must be found, with recipient, action and status as the
collection's own reading of the fields has them."""

import csv
import os
import subprocess
import sys

TOOL = os.environ.get("BOUNCE_TOOL", "tests/unit/bounce_tool")
SOURCE = os.environ.get("VERPOST_SOURCE") or os.path.join(os.path.dirname(__file__), "../..")
CORPUS = os.path.join(SOURCE, "../shared/corpus/bounces")
# Of the rows that have a parsable delivery status.
SHARE_MIN = 0.98


def rows_of(text):
    found = {}
    for line in text.splitlines():
        path, kind, action, status, code, final, original = line.split("\t")
        found.setdefault(os.path.basename(path), []).append(
            {"kind": kind, "action": action, "status": status, "code": code,
             "final": final.lower(), "original": original.lower()})
    return found


def matches(row, got):
    if row["recipient"].lower() not in (got["final"], got["original"]):
        return False
    if row["dsn_action"] and row["dsn_action"].lower() != got["action"]:
        return False
    return not row["dsn_status"] or row["dsn_status"] == got["status"]


def main():
    if not os.path.exists(os.path.join(CORPUS, "expected.tsv")):
        print("skipped: there is no ../shared/corpus/bounces beside the source tree")
        return 77
    with open(os.path.join(CORPUS, "expected.tsv"), encoding="utf-8") as f:
        expected = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    files = sorted({row["file"] for row in expected})
    done = subprocess.run([TOOL] + [os.path.join(CORPUS, f) for f in files],
                          capture_output=True, check=True)
    got = rows_of(done.stdout.decode("utf-8"))
    if sorted(got) != files:
        print("not every file was answered")
        return 1

    standard = [r for r in expected if r["form"] == "dsn" and
                not set(r["doubt"].replace("|", " ").split()) & {"all", "recipient"}]
    missed = [r for r in standard if not any(matches(r, g) for g in got[r["file"]])]
    share = 1 - len(missed) / len(standard)
    for row in missed:
        print("missed:", row["file"], row["recipient"], row["dsn_action"],
              row["dsn_status"], "got", got[row["file"]])
    others = [r for r in expected if r["form"] not in ("dsn", "dsn-broken")]
    false = {r["file"] for r in others if got[r["file"]][0]["kind"] == "failed"
             and r["kind"] != "failed"}
    for name in sorted(false):
        print("taken for a failure:", name)
    print(f"{len(files)} messages; standard reports: {len(standard)} rows, "
          f"{len(standard) - len(missed)} found ({share:.1%}); "
          f"of {len(others)} other rows {len(false)} taken for a failure that are none")
    return 0 if share >= SHARE_MIN and not false else 1


if __name__ == "__main__":
    sys.exit(main())
