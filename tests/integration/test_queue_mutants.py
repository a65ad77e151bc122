#!/usr/bin/python3
"""The tests of the schedule find what they are there for.

Each mutant is the product with one thing wrong: a text in a source replaced by
another. It is built apart, together with the rest as it is, and run under one
of the tests (PROGRAMS), which must fail, and by the right invariant. A text that
is gone fails, too, of any mutant: then it must be written anew.

    test_queue_mutants.py [--all] [--list] [NAME...]

Without --all those are left out that take long to find: because mail does not
come to an end, or because what they hurt is rare. VERPOST_MUTANT_SEEDS: how
many seeds of the model a mutant may live (40).
"""

import concurrent.futures
import os
import queue
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LUA = "src/queue/functions.lua"
CLAIM = "src/store/attempts.c"
OUTCOME = "src/store/outcomes.c"
EXPIRE = "src/outcome/expire.c"
WALK = "src/queue/walk.c"
REAP = "src/queue/reap.c"
TABLES = "sql/0001_tables.sql"
SENDING = "tests/integration/model/sending.c"
PROCESS = "tests/integration/model/process.c"
RULES = "src/queue/rules.c"
UNPARK = "src/queue/unpark.c"
STORED_RULES = "src/store/rules.c"
RECALL = "src/store/cancel.c"
QUOTA = "src/delivery/quota.c"
STORED_QUOTA = "src/store/quota.c"
SOURCES = "src/store/sources.c"
SESSION = "src/delivery/session.c"
SLOT = "src/delivery/slot.c"
RESOLVE = "src/delivery/resolve.c"

SEEDS = os.environ.get("VERPOST_MUTANT_SEEDS", "40")
SECONDS = 600  # then it hangs
JOBS = 2

PROGRAMS = ("model", "functions", "claims", "session", "slot", "quota",
            "days", "asked")

# What must be said: contract is the comparison in test_queue_functions.
CONTRACT = "contract: "


def functions(name, old, new, by=CONTRACT):
    return (name, "functions", LUA, old, new, by)


def claims(name, source, old, new, by):
    return (name, "claims", source, old, new, r"FAILED  \] " + by)


def model(name, source, old, new, by):
    return (name, "model", source, old, new, "invariant: (" + by + ")")


def unit(program, name, source, old, new, by):
    return (name, program, source, old, new, r"(FAILED|ERROR)   *\] " + by)


AGAINST = "4 nothing against a rule"
TAKEN = "5 sent is taken"
TELLS = "6 the slot file tells"
RECORDED = "6 what the file tells is recorded"
NOWHERE = "if not (r[i] or t[i] or h[i] or p[i] or seen[m]) then"

MUTANTS = [
    # The schedule: each function.
    functions("enqueue does not look into ready", NOWHERE,
              "if not (t[i] or h[i] or p[i] or seen[m]) then"),
    functions("enqueue does not look into later", NOWHERE,
              "if not (r[i] or h[i] or p[i] or seen[m]) then"),
    functions("enqueue does not look into held", NOWHERE,
              "if not (r[i] or t[i] or p[i] or seen[m]) then"),
    functions("enqueue does not look into parked", NOWHERE,
              "if not (r[i] or t[i] or h[i] or seen[m]) then"),
    functions("enqueue takes a job twice in a call", NOWHERE,
              "if not (r[i] or t[i] or h[i] or p[i]) then"),
    functions("enqueue puts in front",
              "put(keys, ready)\n\tadd_later", "front(keys, ready)\n\tadd_later"),
    functions("put ignores weights",
              "start + 2 ^ -math.floor(flags / 16)", "start + 1"),
    functions("put ignores transactional",
              "start - flags % 2", "start"),
    functions("put forgets the flow's end",
              "call_all('HSET', keys[F], sets, 2)", ""),
    functions("the virtual time stands still",
              "math.max(virtual_time(keys), tonumber(got[#got]))",
              "virtual_time(keys)"),
    functions("flows are remembered for ever",
              "redis.call('DEL', keys[F])", ""),
    functions("lease does not hold",
              "call_all('ZADD', keys[H], held, 2)", ""),
    functions("lease does not say that it waits",
              "redis.call('HSET', keys[M], 'idle', 1)", ""),
    functions("lease does not count",
              "mine + #got / 2 / tonumber(argv[5])", "mine"),
    functions("lease ignores the worker's weight",
              "mine + #got / 2 / tonumber(argv[5])", "mine + #got / 2"),
    functions("nobody yields",
              "if redis.call('ZCARD', keys[R]) >= SHORT then", "if true then"),
    functions("who yields does so for ever",
              "redis.call('ZADD', keys[S], mine, low[1])", ""),
    functions("a new worker starts at nothing",
              "mine = #top == 0 and 0 or tonumber(top[2])", "mine = 0"),
    functions("what falls due stays in later",
              "call_all('ZREM', keys[T], due, 1)", ""),
    functions("what falls due is gone",
              "\t\tput(keys, due)\n", ""),
    functions("ack ignores the holder",
              "if h[i] and tonumber(h[i]) == tonumber(worker) then",
              "if h[i] then"),
    functions("defer ignores the holder",
              "local mine = h[i] and tonumber(h[i]) == worker",
              "local mine = h[i]"),
    functions("defer takes what waits",
              "if mine or not (r[i] or t[i] or h[i] or p[i]) then",
              "if mine or not h[i] then"),
    functions("defer does not bring back what is nowhere",
              "if mine or not (r[i] or t[i] or h[i] or p[i]) then",
              "if mine then"),
    functions("defer charges again",
              "front(keys, ready)\n\tif count", "put(keys, ready)\n\tif count"),
    functions("reap forgets",
              "call_all('ZREM', keys[H], got, 1)\n\t\tfront(keys, got)",
              "call_all('ZREM', keys[H], got, 1)"),
    functions("reap charges again",
              "call_all('ZREM', keys[H], got, 1)\n\t\tfront(keys, got)",
              "call_all('ZREM', keys[H], got, 1)\n\t\tput(keys, got)"),
    functions("reap keeps the share",
              "redis.call('ZREM', keys[S], dead)", ""),
    functions("sync gives nothing back", "if #lost > 0 then\n", "if false then\n"),
    functions("sync takes what another holds",
              "if h[i] and tonumber(h[i]) ~= tonumber(worker) then",
              "if false then"),
    functions("sync leaves it in ready",
              "call_all('ZREM', keys[R], members, 1)", ""),
    functions("sync leaves it in later",
              "call_all('ZREM', keys[T], members, 1)", ""),
    functions("sync leaves it in parked",
              "call_all('ZREM', keys[P], members, 1)", ""),
    functions("sync does not hold",
              "call_all('ZADD', keys[H], take, 2)", ""),
    functions("park keeps it held",
              "call_all('ZREM', keys[H], mine, 1)\n\tcall_all('ZADD', keys[P]",
              "call_all('ZADD', keys[P]"),
    functions("unpark puts in front",
              "put(keys, got)\n\t\twake", "front(keys, got)\n\t\twake"),
    functions("drop takes what is held",
              "if redis.call('ZSCORE', keys[H], m) then", "if false then"),
    functions("drop leaves it parked",
              "redis.call('ZREM', keys[P], m)", ""),
    functions("nobody is woken",
              "if redis.call('HDEL', keys[M], 'idle') == 1 then",
              "if false then"),
    functions("a key of another slot",
              "local mine, got\n", "local mine, got\n\tredis.call('GET', 'q:x')\n",
              "No permissions|NOPERM|can't access|non local key"),
    functions("a key that is not declared",
              "local mine, got\n",
              "local mine, got\n\tredis.call('GET', 'q:' .. "
              "string.match(keys[M], '{.-}') .. ':x')\n",
              "No permissions|NOPERM|can't access"),

    # The same under the model: what it means for mail.
    model("without sync", LUA,
          "local worker, members = argv[3], slice(argv, 4)\n"
          "\tlocal h = scores(keys[H], members)\n\tlocal keep",
          "do return {} end\n\tlocal worker, members = argv[3], slice(argv, 4)\n"
          "\tlocal h = scores(keys[H], members)\n\tlocal keep", "[124] "),
    model("enqueue looks nowhere", LUA, NOWHERE, "if not seen[m] then",
          "1 one place|2 "),

    # Claims.
    model("claims without their key", TABLES,
          "\ttls         text,\n\tPRIMARY KEY (recipient, n)\n)",
          "\ttls         text\n)", "1 one claim|3 once"),
    model("claim without the due time", CLAIM,
          '"WHERE $12::bool OR ((r.retry_at IS NULL OR r.retry_at <= $8) "',
          '"WHERE $12::bool OR ($8::timestamptz IS NOT NULL "',
          "nothing before it is due"),
    model("claim without suppression", CLAIM,
          '"AND NOT " SUPPRESSED ") ORDER BY i.id "', '") ORDER BY i.id "',
          "3 nothing to the suppressed"),
    claims("claim without the status test, at once", CLAIM,
           '"AND r.finished_at IS NULL AND r.attempts = i.n - 1 OFFSET 0) r "',
           '"AND r.attempts = i.n - 1 OFFSET 0) r "',
           "a_claim_that_is_refused_says_why"),
    claims("claim under old rules", CLAIM, '"AND " RULES_STAND " "',
           '"AND i.rules IS NOT NULL "', "a_claim_under_old_rules_is_refused"),
    claims("claims in any order", CLAIM,
           '"AND NOT " SUPPRESSED ") ORDER BY i.id "',
           '"AND NOT " SUPPRESSED ") "',
           "batches_in_any_order_do_not_block_each_other"),
    claims("anybody gives a claim back", CLAIM,
           '"AND a.worker = $3::int4 AND a.outcome IS NULL"',
           '"AND $3::int4 IS NOT NULL AND a.outcome IS NULL"',
           "a_claim_that_is_refused_says_why"),
    claims("a claim older than the question is given back", CLAIM,
           'MINE " AND a.claimed_at >= "',
           'MINE " AND now() - interval \'99 days\' < "',
           "a_claim_that_is_refused_says_why"),
    model("a claim with an outcome is given back", CLAIM,
          '"AND a.worker = $3::int4 AND a.outcome IS NULL"',
          '"AND a.worker = $3::int4"', "an outcome stays"),
    model("any claim is mine", CLAIM,
          "if (c->holder == op->worker && c->open_n == c->n)",
          "if (c->open_n == c->n)", "[123] "),
    model("a claim lives no time at all", "include/store/attempts.h",
          "#define STORE_CLAIM_MS (15 * 60 * 1000)",
          "#define STORE_CLAIM_MS (0 * 60 * 1000)",
          "1 unknown after 15 minutes"),
    model("a claim lives for ever", "include/store/attempts.h",
          "#define STORE_CLAIM_MS (15 * 60 * 1000)",
          "#define STORE_CLAIM_MS (INT64_C(1000) * 365 * 86400000)", "2 "),

    # Outcomes.
    claims("an outcome without the worker test", OUTCOME,
           '"AND a.worker = ($3::int4[])[array_position($1, a.recipient)]"',
           '"AND $3::int4[] IS NOT NULL"',
           "only_the_holder_writes_the_outcome_of_a_claim"),
    claims("unknown without the worker test", OUTCOME,
           '"WHERE a.recipient = i.id AND a.n = i.n AND a.worker = i.worker "',
           '"WHERE a.recipient = i.id AND a.n = i.n "',
           "only_the_holder_writes_the_outcome_of_a_claim"),
    claims("unknown over a claim that was renewed, at once", OUTCOME,
           '"AND a.claimed_at = coalesce(i.claimed_at, a.claimed_at) "', "",
           "unknown_is_not_written_over_a_claim_that_lives"),
    model("unknown is recorded as deferred", OUTCOME,
          '"UPDATE attempts a SET outcome = i.outcome, "',
          '"UPDATE attempts a SET outcome = 2, "',
          "1 a claim is its holder's|" + RECORDED),
    model("unknown for the recipient alone", OUTCOME,
          'AMONG("r.id", 9, 10) WRITTEN(9, 10) };', 'AMONG("r.id", 9, 10) };',
          "2 nothing is given up too early|1 one claim"),
    claims("unknown over an outcome, at once", OUTCOME,
           '"AND a.outcome IS NULL AND " AMONG("a.recipient", 10, 11) };',
           '"AND " AMONG("a.recipient", 10, 11) };',
           "unknown_is_only_written_where_nothing_else_is"),
    claims("an end is taken back, at once", OUTCOME,
           '"ELSE r.finished_at END "', '"ELSE NULL END "',
           "statuses_only_rise_in_whatever_order_they_come"),
    model("a status falls", OUTCOME,
          '"greatest(r.status, i.raise_to), "', '"i.raise_to, "',
          "a status rises"),
    model("an end is taken back", OUTCOME,
          '"ELSE r.finished_at END "', '"ELSE NULL END "', "an end stays"),
    model("attempts are not counted", OUTCOME,
          '"greatest(r.attempts, i.n), "', '"r.attempts, "',
          "(2|4 max age) "),

    # The keeper.
    model("expiry does not wait for a claim's end", EXPIRE,
          "e->now_ms - claim->claimed_at_ms >= STORE_CLAIM_MS",
          "e->now_ms >= claim->claimed_at_ms",
          "1 unknown after 15 minutes"),
    model("expiry never records unknown", EXPIRE,
          "e->now_ms - claim->claimed_at_ms >= STORE_CLAIM_MS",
          "e->now_ms == 0", "2 "),
    model("expiry records under its own number", EXPIRE,
          ".worker = claim->holder,", ".worker = e->worker,", "2 "),
    model("no old walk", WALK,
          "if (!can_step(&w->old))", "if (w != NULL)", "2 "),
    model("nobody is reaped", REAP,
          "giveback_others(&r->giveback, alive, count);",
          "giveback_end(&r->giveback, false);", "2 "),

    # The rules that the model itself keeps, as an mta must.
    model("a dot at any age", SENDING,
          "if (now_ms - e->claimed_at_ms <= DOT_AGE_MS)", "if (now_ms > 0)",
          "3 "),

    # Holds and cancels.
    model("the generation is not compared", CLAIM,
          '"AND " RULES_STAND " "', '"AND i.rules IS NOT NULL "', AGAINST),
    model("no generation counts", "sql/0003_rules.sql",
          "SET generation = generation + 1", "SET generation = generation",
          AGAINST),
    model("tags are looked for without the head", PROCESS,
          "seen->has_heads || !rules_want_heads(list, n)", "n < 1000000",
          AGAINST),
    model("a hold is for its account alone", RULES,
          "if (r->account != 0 && r->account != what->account)",
          "if (r->account != what->account)", AGAINST),
    model("a cancel is forgotten", STORED_RULES,
          '"AND NOT EXISTS (SELECT FROM recipients r "\n'
          '\t"WHERE r.finished_at IS NULL AND r.id < '
          'id_floor(c.issued_at)))"', '")"', AGAINST),
    model("a hold ends before its time", STORED_RULES,
          '"DELETE FROM rules c WHERE c.expires_at <= $1::timestamptz "',
          '"DELETE FROM rules c WHERE c.expires_at <= $1::timestamptz + '
          "interval '20 minutes' \"", AGAINST),
    model("unpark forgets", UNPARK,
          "giveback_others(&u->giveback, hold, n);",
          "giveback_end(&u->giveback, n > 1000000);",
          "4 what is released flows"),
    model("a cancel is about what comes after it", RULES,
          "what->accepted_at_ms >= r->issued_at_ms",
          "what->accepted_at_ms < 0", "4 canceled is what"),
    model("the walk cancels what is held", WALK,
          "found != NULL && found->kind == RULE_CANCEL", "found != NULL",
          "4 canceled is what"),
    model("max age stops on hold", WALK,
          "if (row->expires_at_ms <= now_ms || cancel",
          "if (cancel", "4 max age goes on"),
    model("a sender's cancel ignores an open claim", RECALL,
          '"ON CONFLICT DO NOTHING RETURNING recipient, n), "',
          '"ON CONFLICT (recipient, n) DO UPDATE SET '
          'outcome = excluded.outcome RETURNING recipient, n), "',
          "1 a claim is its holder's"),
    model("a sender's cancel claims nothing", RECALL,
          "r.attempts + 1, 0, ", "r.attempts + 2, 0, ", "[123] "),

    # Daily limits.
    model("a unit is not spent", QUOTA,
          "\t\tq->left--;\n\t\tnote(q);\n\t\tj->quota_day",
          "\t\tnote(q);\n\t\tj->quota_day", TAKEN),
    model("a unit is not noted before MAIL FROM", QUOTA,
          "\t\tq->left--;\n\t\tnote(q);\n\t\tj->quota_day",
          "\t\tq->left--;\n\t\tj->quota_day", TAKEN),
    model("the provider is not charged", QUOTA,
          "if (d->route->provider >= 0)\n\t\tjoin(",
          "if (d->route->provider >= 1000)\n\t\tjoin(", TAKEN),
    model("a day does not end", QUOTA,
          "if (q->ends_ms == 0 || house_ms() < q->ends_ms)",
          "if (q->ends_ms == 0 || house_ms() > 0)", TAKEN),
    unit("asked", "any claim of one's own is what was asked for",
         "src/delivery/claim.c",
         "(!j->claim_asked || c->claimed_at_ms < j->asked_at_ms)",
         "!j->claim_asked", "nor_is_it_ours_when_an_answer_was_lost"),
    unit("days", "a block that comes after midnight adds to the day before",
         QUOTA, "if (got->day != q->day)", "if (got->day < q->day)",
         "a_block_that_comes_after_midnight_stands_alone"),
    unit("days", "a day does not end, at once", QUOTA,
         "if (q->ends_ms == 0 || house_ms() < q->ends_ms)",
         "if (q->ends_ms == 0 || house_ms() > 0)",
         "a_block_that_comes_when_its_day_is_over_is_worth_nothing"),
    unit("slot", "the remainder of another day is read", SLOT,
         "return q->source == source && q->provider == provider && "
         "q->day == day;",
         "return q->source == source && q->provider == provider && "
         "day > 0;", "quota_remainders_are_kept_for_their_day"),
    unit("days", "a unit goes back to another day", QUOTA,
         "q->ends_ms == 0 || q->day != j->quota_day)", "q->ends_ms == 0)",
         "a_unit_goes_back_to_its_own_day_alone"),
    model("the remainder of another day is used", SLOT,
          "return q->source == source && q->provider == provider && "
          "q->day == day;",
          "return q->source == source && q->provider == provider && "
          "day > 0;", TAKEN),
    model("a remainder is any source's", SLOT,
          "return q->source == source && q->provider == provider && "
          "q->day == day;",
          "return source > 0 && q->provider == provider && "
          "q->day == day;", TAKEN),
    model("a remainder is added to every block", QUOTA,
          "if (q->ends_ms == 0) /* the first", "if (q->cap > 0) /* the first",
          TAKEN),
    model("a block counts twice", QUOTA,
          "q->left += got->granted;", "q->left += 2 * got->granted;", TAKEN),
    model("a lost answer is taken for a block", QUOTA,
          "\t\tq->again_ms = now_ms + FAILED_MS;\n",
          "\t\tq->again_ms = now_ms + FAILED_MS;\n"
          "\t\tq->left += err != NULL ? MAX(q->cap / BLOCK_PART, 1) : 0;\n",
          TAKEN),
    unit("days", "a lost answer is taken for a block, at once", QUOTA,
         "\t\tq->again_ms = now_ms + FAILED_MS;\n",
         "\t\tq->again_ms = now_ms + FAILED_MS;\n"
         "\t\tq->left += err != NULL ? MAX(q->cap / BLOCK_PART, 1) : 0;\n",
         "a_lost_answer_brings_nothing"),
    model("given back twice", QUOTA,
          "\tq->left = 0;\n\tnote(q);\n\tif (left > 0",
          "\tnote(q);\n\tif (left > 0", TAKEN),
    model("given back to the day of today", STORED_QUOTA,
          "AND q.source = $2 AND q.day = $4::int4 AND",
          "AND q.source = $2 AND q.day >= $4::int4 AND", TAKEN),
    unit("quota", "the limit is not looked at, at once", STORED_QUOTA,
         "greatest(0, least($6::int4, $5::int4 - taken))",
         "greatest(0, least($6::int4, $5::int4))",
         "no_more_is_handed_out_than_the_limit"),
    model("the limit is not looked at", STORED_QUOTA,
          "greatest(0, least($6::int4, $5::int4 - taken))",
          "greatest(0, least($6::int4, $5::int4))",
          "5 no block beyond the limit"),
    model("an old limit goes on", QUOTA,
          "if (s != NULL && cap == q->cap)", "if (s != NULL)",
          "5 the limit is today's"),
    model("anybody gets a block", STORED_QUOTA,
          "AND owner = $2::int4 FOR SHARE), ",
          "AND $2::int4 > 0 FOR SHARE), ", "5 a source is its owner's"),
    model("a source is taken from who lives", SOURCES,
          "AND (s.owner IS NULL OR s.owner = $1 ",
          "AND (s.owner IS NULL OR s.owner <> 0 OR s.owner = $1 ",
          "5 a source is its owner's|6 what the file tells"),
    unit("quota", "anybody gets a block, at once", STORED_QUOTA,
         "AND owner = $2::int4 FOR SHARE), ",
         "AND $2::int4 > 0 FOR SHARE), ",
         "only_the_owner_takes_and_gives_back"),
    unit("quota", "anybody gives back", STORED_QUOTA,
         "WHERE s.number = $2::int4 AND s.owner = $1::int4 ",
         "WHERE s.number = $2::int4 AND $1::int4 > 0 ",
         "only_the_owner_takes_and_gives_back"),

    # The slot file, and how it is settled.
    model("the phase is written before the fields", SLOT,
          "\te->n = (int32_t)claim->n;\n\te->source = claim->source;\n"
          "\tput_state(s, e, SLOT_WAIT);",
          "\te->n = 0;\n\te->source = claim->source;\n"
          "\tput_state(s, e, SLOT_WAIT);\n\te->n = (int32_t)claim->n;",
          TELLS),
    model("SENT is written before the host", SLOT,
          "\tput_host(e, mx, tls);\n\tput_state(s, e, SLOT_SENT);",
          "\tput_state(s, e, SLOT_SENT);\n\tput_host(e, mx, tls);", TELLS),
    model("REPLIED is written before the reply", SLOT,
          "\te->text_len = put_text(e->text, sizeof(e->text), reply->text);\n"
          "\tput_state(s, e, SLOT_REPLIED);",
          "\tput_state(s, e, SLOT_REPLIED);\n"
          "\te->text_len = put_text(e->text, sizeof(e->text), reply->text);",
          TELLS),
    model("SENT is set after the write", SENDING,
          "\t\tentry_sent(p, e);\n\t\te->phase = SENT;",
          "\t\te->phase = SENT;", TELLS),
    unit("session", "SENT is set after the write by the session", SESSION,
         "\tconn_write(s->conn, strbuf_slice(out));\n",
         "\tconn_write(s->conn, strbuf_slice(out));\n"
         "\tif (has_dot)\n\t\tslot_sent(s->mta->slot, head->entry, "
         "slice_of(s->host), slice_of(s->tls));\n",
         "a_dot_is_noted_before_the_connection_has_it"),
    model("a dot in our own buffer counts as sent", SLOT,
          "phase_of(s, e) == SLOT_SENT)\n\t\tput_state(s, e, SLOT_CLAIMED)",
          "phase_of(s, e) == SLOT_WAIT)\n\t\tput_state(s, e, SLOT_CLAIMED)",
          TELLS),
    unit("slot", "an entry of any worker counts", SLOT,
         "(uint64_t)worker << 8 | phase", "(uint64_t)(worker > 0) << 8 | phase",
         "an_entry_of_another_worker_is_void"),
    model("the file of another boot is taken", SLOT,
          "strcmp(h->boot_id, s->boot_id) != 0)", "h->boot_id[0] == 0)", TELLS),
    model("resolved under the new number", RESOLVE,
          ".worker = slot_worker(r->mta->slot),\n\t\t.claimed_at_ms",
          ".worker = r->mta->worker,\n\t\t.claimed_at_ms", RECORDED),
    model("given back under the new number", RESOLVE,
          "r->tx = store_claim_give_back(r->mta->opt.pg, "
          "slot_worker(r->mta->slot),",
          "r->tx = store_claim_give_back(r->mta->opt.pg, r->mta->worker,",
          RECORDED),
    model("a sent mail is given back", RESOLVE,
          "if (left.phase >= SLOT_SENT) {", "if (left.phase > SLOT_SENT) {",
          RECORDED),
    model("what was asked for stays claimed", RESOLVE,
          "\t\t} else {\n\t\t\tr->left[r->count++] = left;",
          "\t\t} else if (left.phase == SLOT_CLAIMED) {\n"
          "\t\t\tr->left[r->count++] = left;", RECORDED),
    model("what was said is unknown", RESOLVE,
          "if (left->phase == SLOT_SENT) {\n\t\terror_set",
          "if (left->phase >= SLOT_SENT) {\n\t\terror_set", RECORDED),
    model("the file is emptied before it is settled", RESOLVE,
          "\t\tread_rows(r);\n", "\t\t{\n\t\t\t(void)slot_reset(r->mta->slot, "
          "r->mta->opt.in_hand_max + ENTRIES_MORE, NULL);\n"
          "\t\t\tread_rows(r);\n\t\t}\n", "6 "),
]


SLOW = {"an end is taken back", "a status falls",
        "a claim with an outcome is given back",
        "a sender's cancel claims nothing", "a cancel is forgotten",
        "a hold ends before its time", "a unit is not noted before MAIL FROM",
        "a day does not end", "the remainder of another day is used",
        "anybody gets a block", "a source is taken from who lives",
        "max age stops on hold", "a remainder is any source's",
        "a lost answer is taken for a block", "an old limit goes on",
        "a hold is for its account alone", "the limit is not looked at",
        "a dot in our own buffer counts as sent", "given back twice",
        "a cancel is about what comes after it", "the walk cancels what is held"}


def changed(mutant):
    """The source with the one thing wrong."""
    _, _, source, old, new, _ = mutant
    with open(os.path.join(ROOT, source), encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        raise RuntimeError(f"{source} has {text.count(old)} times: {old}")
    return text.replace(old, new)


class Build:
    """The build directory that make check runs in, and its way to compile."""

    def __init__(self):
        self.top = os.path.dirname(os.path.dirname(os.path.dirname(
            os.path.abspath(os.environ["VERPOST"]))))
        out = subprocess.run(
            ["make", "-s", "-C", self.top, "print-mutant-flags"],
            stdout=subprocess.PIPE, text=True, check=True,
            env={k: v for k, v in os.environ.items()
                 if not k.startswith("MAKE")}).stdout
        flags = dict(line.split("|", 1) for line in out.splitlines()
                     if "|" in line)
        self.compile = flags["compile"]
        self.link = flags["link"]
        self.program = {name: flags[name].split("|")
                        for name in PROGRAMS}

    def shell(self, command):
        done = subprocess.run(command, shell=True, cwd=self.top, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout[-2000:])

    def object(self, directory, path, source, cflags):
        """path: what to compile in place of source, relative to ROOT; headers
        in directory/include go before those of the product."""
        out = os.path.join(directory, os.path.basename(path) + ".o")
        where = os.path.dirname(os.path.join(ROOT, source))
        command = self.compile.replace(
            " -I", f" -I{directory}/include -I", 1)
        self.shell(f"{command} {cflags} -w -O1 -I{where} -c -o {out} {path}")
        return out

    def make(self, directory, mutant):
        """Returns the program."""
        _, name, source, _, _, _ = mutant
        objects, libs, cflags = self.program[name]
        path = os.path.join(directory, source)
        os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as f:
            f.write(changed(mutant))
        parts = {source: path}
        if source == LUA:
            parts[source] = embed(directory, "queue_functions", [path])
        elif source.startswith("sql/"):
            parts[source] = embed(directory, "migrations", migrations(path))
        elif source.endswith(".h"):
            parts = {s: os.path.join(ROOT, s) for s in (EXPIRE, SENDING)}
        mine = [self.object(directory, parts[s], s, cflags) for s in parts]
        theirs = [o for o in objects.split()
                  if not any(replaces(s, o) for s in parts)]
        out = os.path.join(directory, "program")
        self.shell(f"{self.link} -o {out} {' '.join(mine + theirs)} {libs}")
        return out


def embed(directory, name, files):
    """The files as C."""
    out = os.path.join(directory, name + ".c")
    with open(out, "w", encoding="utf-8") as f:
        subprocess.run(["sh", os.path.join(ROOT, "contrib/embed"), name]
                       + files, stdout=f, check=True)
    return out


def migrations(mutated):
    """All of them, in order, one of them mutated."""
    where = os.path.join(ROOT, "sql")
    return [mutated if f == os.path.basename(mutated)
            else os.path.join(where, f)
            for f in sorted(os.listdir(where)) if f.endswith(".sql")]


def replaces(source, obj):
    """Whether obj is what the build made of source."""
    where, name = os.path.split(os.path.splitext(source)[0])
    return os.path.dirname(obj) == where and \
        obj.endswith(("-" + name + ".o", "/" + name + ".o"))


class Skip(Exception):
    """The programs cannot run here."""


class Servers:
    """PostgreSQL and Redis for one program at a time."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="vpm.", dir="/tmp")
        self.script = os.path.join(ROOT, "tests/servers")
        done = subprocess.run(
            ["sh", self.script, "start", self.dir, str(os.getpid())],
            stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            sys.exit(done.returncode)

    def stop(self):
        subprocess.run(["sh", self.script, "stop", self.dir], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def run(program, servers, by, seeds):
    """Runs until it says so, or is at its end. Returns what it said."""
    env = dict(os.environ, VERPOST_TEST_SERVERS=servers.dir,
               VERPOST_MODEL_SEEDS=seeds, srcdir=ROOT)
    p = subprocess.Popen([program], env=env, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True, bufsize=1)
    ends = time.monotonic() + SECONDS
    said = line = ""
    while time.monotonic() < ends:
        if not select.select([p.stderr], [], [], 1)[0]:
            continue
        line = p.stderr.readline()
        if line == "":
            break
        said += line
        if re.search(by, line) or line.startswith("invariant: "):
            break
    if line != "":
        p.kill()
    p.wait()
    p.stderr.close()
    if p.returncode == 77:
        raise Skip(said.strip())
    return said


def try_one(build, pool, mutant):
    """Returns (name, whether it was found, by what)."""
    name, program, _, _, _, by = mutant
    directory = tempfile.mkdtemp(prefix="vpmutant.", dir="/tmp")
    servers = pool.get()
    began = time.monotonic()
    try:
        said = run(build.make(directory, mutant), servers, by,
                   SEEDS if program == "model" else "6")
    except RuntimeError as why:
        return name, False, str(why)
    finally:
        pool.put(servers)
        shutil.rmtree(directory)
    took = time.monotonic() - began
    for line in said.splitlines():
        if re.search(by, line):
            return name, True, f"{line.strip()} ({took:.1f} s)"
    return name, False, f"{took:.1f} s\n{said[-2000:]}"


def is_slow(mutant):
    """Whether a whole round, or many, must go by before it can be found."""
    return mutant[5].startswith("invariant: (2 ") or mutant[0] in SLOW


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    chosen = [m for m in MUTANTS if any(n in m[0] for n in names)]
    if not names:
        chosen = [m for m in MUTANTS if "--all" in sys.argv or not is_slow(m)]
    if "--list" in sys.argv:
        for m in chosen:
            print(m[0])
        return 0
    if "VERPOST" not in os.environ:
        print("VERPOST must name BUILD/src/bin/verpost", file=sys.stderr)
        return 77
    build = Build()
    if not all(objects for objects, _, _ in build.program.values()):
        print("needs cmocka", file=sys.stderr)
        return 77
    for mutant in MUTANTS:  # those left out, too
        changed(mutant)
    pool = queue.Queue()
    servers = [Servers() for _ in range(JOBS)]
    for s in servers:
        pool.put(s)
    failed = 0
    try:
        with concurrent.futures.ThreadPoolExecutor(JOBS) as threads:
            for name, found, what in threads.map(
                    lambda m: try_one(build, pool, m), chosen):
                print("ok  " if found else "LIVES", name, "--", what,
                      flush=True)
                failed += not found
    except Skip as why:
        print(why, file=sys.stderr)
        return 77
    finally:
        for s in servers:
            s.stop()
    print(f"{len(chosen)} mutants, {failed} not found")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
