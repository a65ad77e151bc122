/*
 * The file: a header of HEADER_BYTES, then entries of 384 octets.
 *
 *   magic, sizes, boot id, worker, SLOT_QUOTAS remainders | entry 1 | entry 2
 * ..
 *
 * An entry's fields are written first, then its state by one aligned release
 * store: kill -9 leaves the old phase or the new one, whole. The state carries
 * a check value over the fields that count in its phase and over the worker, so
 * that what was not written by this worker is not taken for its word. Fields
 * of a later phase lie behind those of an earlier one.
 *
 * The boot id makes the file void after a crash of the machine, when pages may
 * have been written in any order. worker is 0 while the file has no owner: then
 * nothing in it counts.
 */
#include "delivery/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "delivery/mta.h"

#define MAGIC "VPslot1\n"
#define HEADER_BYTES ((size_t)16384)
#define ENTRIES_MAX ((size_t)1 << 20)

struct entry {
	_Atomic uint64_t state; /* phase, check value << 32 */
	uint8_t recipient[16];
	int64_t asked_at_ms;
	int32_t n, source;
	int64_t claimed_at_ms;
	uint8_t mx_len, tls_len;
	char mx[SLOT_MX_MAX];
	char tls[SLOT_TLS_MAX];
	uint8_t stage, text_len;
	uint16_t code, status[3];
	char text[SLOT_TEXT_MAX];
};
_Static_assert(sizeof(struct entry) == 384, "entries are 384 octets");

#define ENTRY_FROM offsetof(struct entry, recipient)

struct quota {
	uint64_t provider; /* hash of its name */
	int32_t source, day;
	_Atomic uint64_t state; /* remainder, check value << 32 */
};

struct header {
	char magic[8];
	uint32_t entry_size, entry_count, quota_count;
	_Atomic int32_t worker;
	char boot_id[40];
	struct quota quota[SLOT_QUOTAS];
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "it fits");

struct slot {
	int fd;
	char *path;
	char boot_id[40];
	struct header *header; /* NULL: not mapped (nothing good was there) */
	struct entry *entry;
	size_t map_len, count;
	int worker;
	uint32_t *unused; /* a stack of entry numbers, from 1 */
	size_t unused_count;
};

/* -- phases -------------------------------------------------------------------
 */

/* What counts in a phase, from ENTRY_FROM on. */
static size_t
checked_len(enum slot_phase phase)
{
	switch (phase) {
	case SLOT_FREE:
		break;
	case SLOT_WAIT:
		return offsetof(struct entry, claimed_at_ms) - ENTRY_FROM;
	case SLOT_CLAIMED:
		return offsetof(struct entry, mx_len) - ENTRY_FROM;
	case SLOT_SENT:
		return offsetof(struct entry, stage) - ENTRY_FROM;
	case SLOT_REPLIED:
		return sizeof(struct entry) - ENTRY_FROM;
	}
	return 0;
}

static uint64_t
fold(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ (hash >> 29);
}

static uint64_t
state_of(const struct entry *e, enum slot_phase phase, int worker)
{
	uint64_t check =
	    hash_stable((const char *)e + ENTRY_FROM, checked_len(phase));

	check = fold(check, (uint64_t)worker << 8 | phase);
	return (uint64_t)phase | (check & 0xffffffffu) << 32;
}

static void
put_state(const struct slot *s, struct entry *e, enum slot_phase phase)
{
	atomic_store_explicit(&e->state,
	    phase != SLOT_FREE ? state_of(e, phase, s->worker) : 0,
	    memory_order_release);
}

/* SLOT_FREE as well for one that nobody of this worker wrote. */
static enum slot_phase
phase_of(const struct slot *s, const struct entry *e)
{
	uint64_t state = atomic_load_explicit(&e->state, memory_order_acquire);
	uint32_t phase = (uint32_t)state;

	if (phase < SLOT_WAIT || phase > SLOT_REPLIED ||
	    state != state_of(e, (enum slot_phase)phase, s->worker))
		return SLOT_FREE;
	return (enum slot_phase)phase;
}

/* -- the file ----------------------------------------------------------------
 */

static size_t
bytes_for(size_t count)
{
	return HEADER_BYTES + count * sizeof(struct entry);
}

static void
unmap(struct slot *s)
{
	if (s->header != NULL)
		munmap(s->header, s->map_len);
	s->header = NULL;
	s->entry = NULL;
	s->map_len = s->count = 0;
}

static int
map(struct slot *s, size_t count, struct error *err)
{
	void *at = mmap(NULL, bytes_for(count), PROT_READ | PROT_WRITE,
	    MAP_SHARED, s->fd, 0);

	if (at == MAP_FAILED)
		return error_sys(err, "mapping %s", s->path);
	s->header = at;
	s->entry = (struct entry *)(void *)((char *)at + HEADER_BYTES);
	s->map_len = bytes_for(count);
	s->count = count;
	return 0;
}

/* Why what stands in the file cannot be ours, or NULL. */
static const char *
why_foreign(const struct header *h, const struct stat *st)
{
	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 ||
	    h->entry_size != sizeof(struct entry) ||
	    h->quota_count != SLOT_QUOTAS)
		return "not a slot file of this version";
	if (h->entry_count > ENTRIES_MAX ||
	    (size_t)st->st_size != bytes_for(h->entry_count))
		return "its size is not what its header says";
	if (memchr(h->boot_id, '\0', sizeof(h->boot_id)) == NULL)
		return "garbled header";
	return NULL;
}

static int
ignore(const struct slot *s, const char *why)
{
	log_warn(NULL, "slot.ignored", log_text("file", s->path),
	    log_text("why", why));
	return 0;
}

/* Maps what is there, if it is good for anything. */
static int
look(struct slot *s, struct error *err)
{
	struct header *h = xmalloc(sizeof(*h));
	struct stat st;
	const char *why = "too short";
	int rc = 0;

	if (fstat(s->fd, &st) != 0) {
		rc = error_sys(err, "looking at %s", s->path);
	} else if (st.st_size > 0) {
		if ((size_t)st.st_size >= HEADER_BYTES &&
		    pread(s->fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h))
			why = why_foreign(h, &st);
		if (why != NULL)
			rc = ignore(s, why);
		else if (s->boot_id[0] == '\0' ||
		    strcmp(h->boot_id, s->boot_id) != 0)
			log_info(NULL, "slot.other_boot",
			    log_text("file", s->path));
		else
			rc = map(s, h->entry_count, err);
	}
	free(h);
	return rc;
}

/* Whether the locked file is still the one of that name. */
static bool
is_in_place(const struct slot *s)
{
	struct stat mine, there;

	return fstat(s->fd, &mine) == 0 && lstat(s->path, &there) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static int
lock(struct slot *s, struct error *err)
{
	bool is_locked;

	s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return error_sys(err, "opening %s", s->path);
	is_locked = flock(s->fd, LOCK_EX | LOCK_NB) == 0;
	if (!is_locked && errno != EWOULDBLOCK)
		return error_sys(err, "locking %s", s->path);
	if (is_locked && is_in_place(s))
		return 0;
	return error_set(err, ERR_CONFLICT, "%s is held by another process",
	    s->path);
}

static void
count_garbled(const struct slot *s)
{
	size_t n = 0;

	for (size_t i = 0; s->worker != 0 && i < s->count; i++)
		if (s->entry[i].state != 0 &&
		    phase_of(s, &s->entry[i]) == SLOT_FREE)
			n++;
	if (n > 0)
		log_warn(NULL, "slot.garbled", log_text("file", s->path),
		    log_uint("entries", n));
}

static char *
path_of(const char *dir, unsigned int number)
{
	return xasprintf("%s/mta-%u.slots", dir, number);
}

bool
mta_slot_is_held(const char *dir, unsigned int slot)
{
	char *path = path_of(dir, slot);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool is_held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	free(path);
	return is_held;
}

int
slot_open(struct slot **out, const char *dir, unsigned int number,
    const char *boot_id, struct error *err)
{
	struct slot *s = xmalloc(sizeof(*s));

	s->path = path_of(dir, number);
	snprintf(s->boot_id, sizeof(s->boot_id), "%s", boot_id);
	if (lock(s, err) != 0 || look(s, err) != 0) {
		slot_close(&s);
		return -1;
	}
	if (s->header != NULL) {
		s->worker = atomic_load_explicit(&s->header->worker,
		    memory_order_acquire);
		count_garbled(s);
	}
	*out = s;
	return 0;
}

void
slot_close(struct slot **sp)
{
	struct slot *s = *sp;

	if (s == NULL)
		return;
	*sp = NULL;
	unmap(s);
	if (s->fd >= 0)
		close(s->fd);
	free(s->unused);
	free(s->path);
	free(s);
}

/* -- a new life --------------------------------------------------------------
 */

static void
put_worker(struct slot *s, int worker)
{
	s->worker = worker;
	if (s->header != NULL)
		atomic_store_explicit(&s->header->worker, worker,
		    memory_order_release);
}

/* Blocks are reserved: a full file system is an error here, and no signal in
 * the middle of a store. */
static int
resize(struct slot *s, size_t capacity, struct error *err)
{
	off_t len = (off_t)bytes_for(capacity);
	int rc;

	unmap(s);
	if (ftruncate(s->fd, len) != 0)
		return error_sys(err, "resizing %s", s->path);
	rc = posix_fallocate(s->fd, 0, len);
	if (rc != 0) {
		errno = rc;
		return error_sys(err, "reserving %zu octets for %s",
		    (size_t)len, s->path);
	}
	return map(s, capacity, err);
}

static void
write_header(struct slot *s, bool keep_quotas)
{
	struct header *h = s->header;

	if (!keep_quotas)
		memset(h, 0, sizeof(*h));
	h->entry_size = sizeof(struct entry);
	h->entry_count = (uint32_t)s->count;
	h->quota_count = SLOT_QUOTAS;
	memcpy(h->boot_id, s->boot_id, sizeof(h->boot_id));
	atomic_thread_fence(memory_order_release);
	memcpy(h->magic, MAGIC, sizeof(h->magic));
}

int
slot_reset(struct slot *s, size_t capacity, struct error *err)
{
	bool was_good = s->header != NULL;

	capacity = MIN(capacity, ENTRIES_MAX);
	put_worker(s, 0);
	if ((!was_good || s->count != capacity) &&
	    resize(s, capacity, err) != 0)
		return -1;
	memset((void *)s->entry, 0, capacity * sizeof(struct entry));
	write_header(s, was_good);
	s->unused = xrealloc(s->unused, capacity * sizeof(s->unused[0]));
	for (size_t i = 0; i < capacity; i++)
		s->unused[i] = (uint32_t)(capacity - i);
	s->unused_count = capacity;
	return 0;
}

void
slot_begin(struct slot *s, int worker)
{
	if (s != NULL)
		put_worker(s, worker);
}

/* -- entries -----------------------------------------------------------------
 */

static struct entry *
find(struct slot *s, unsigned int number)
{
	if (s == NULL || number == 0)
		return NULL;
	invariant(number <= s->count);
	return &s->entry[number - 1];
}

bool
slot_is_full(const struct slot *s)
{
	return s != NULL && s->unused_count == 0;
}

unsigned int
slot_take(struct slot *s, const struct slot_claim *claim)
{
	unsigned int number;
	struct entry *e;

	if (s == NULL || s->unused_count == 0)
		return 0;
	number = s->unused[--s->unused_count];
	e = &s->entry[number - 1];
	memcpy(e->recipient, claim->recipient.b, sizeof(e->recipient));
	e->asked_at_ms = claim->asked_at_ms;
	e->n = (int32_t)claim->n;
	e->source = claim->source;
	put_state(s, e, SLOT_WAIT);
	return number;
}

void
slot_claimed(struct slot *s, unsigned int number, int64_t claimed_at_ms)
{
	struct entry *e = find(s, number);

	if (e == NULL)
		return;
	/* When it is renewed the time counts already: not while it changes. */
	put_state(s, e, SLOT_WAIT);
	e->claimed_at_ms = claimed_at_ms;
	put_state(s, e, SLOT_CLAIMED);
}

void
slot_unsent(struct slot *s, unsigned int number)
{
	struct entry *e = find(s, number);

	if (e != NULL && phase_of(s, e) == SLOT_SENT)
		put_state(s, e, SLOT_CLAIMED);
}

/* Cut between characters: half of one would be refused by the database. */
static uint8_t
put_text(char *to, size_t max, struct slice text)
{
	struct slice room = slice_first(text, max);
	size_t len = 0, more;

	while ((more = utf8_span(slice_from(room, len))) > 0)
		len += more;
	if (len > 0)
		memcpy(to, text.ptr, len);
	return (uint8_t)len;
}

static void
put_host(struct entry *e, struct slice mx, struct slice tls)
{
	e->mx_len = put_text(e->mx, sizeof(e->mx), mx);
	e->tls_len = put_text(e->tls, sizeof(e->tls), tls);
}

void
slot_sent(struct slot *s, unsigned int number, struct slice mx,
    struct slice tls)
{
	struct entry *e = find(s, number);

	if (e == NULL)
		return;
	put_host(e, mx, tls);
	put_state(s, e, SLOT_SENT);
}

void
slot_replied(struct slot *s, unsigned int number,
    const struct slot_reply *reply)
{
	struct entry *e = find(s, number);

	if (e == NULL)
		return;
	/* Else the same stands there already, and counts. */
	if (phase_of(s, e) != SLOT_SENT)
		put_host(e, reply->mx, reply->tls);
	e->stage = (uint8_t)reply->stage;
	e->code = (uint16_t)reply->code;
	memcpy(e->status, reply->status.part, sizeof(e->status));
	e->text_len = put_text(e->text, sizeof(e->text), reply->text);
	put_state(s, e, SLOT_REPLIED);
}

void
slot_drop(struct slot *s, unsigned int number)
{
	struct entry *e = find(s, number);

	if (e == NULL)
		return;
	put_state(s, e, SLOT_FREE);
	s->unused[s->unused_count++] = number;
}

/* -- leftovers ---------------------------------------------------------------
 */

int
slot_worker(const struct slot *s)
{
	return s->worker;
}

static void
read_entry(const struct entry *e, enum slot_phase phase, struct slot_left *out)
{
	*out = (struct slot_left){ .phase = phase };
	memcpy(out->claim.recipient.b, e->recipient, sizeof(e->recipient));
	out->claim.n = (unsigned int)e->n;
	out->claim.source = e->source;
	out->claim.asked_at_ms = e->asked_at_ms;
	if (phase >= SLOT_CLAIMED)
		out->claimed_at_ms = e->claimed_at_ms;
	if (phase < SLOT_SENT)
		return;
	out->reply.mx = slice_mem(e->mx, MIN(e->mx_len, sizeof(e->mx)));
	out->reply.tls = slice_mem(e->tls, MIN(e->tls_len, sizeof(e->tls)));
	if (phase < SLOT_REPLIED)
		return;
	out->reply.stage = e->stage;
	out->reply.code = e->code;
	memcpy(out->reply.status.part, e->status, sizeof(e->status));
	out->reply.text = slice_mem(e->text, MIN(e->text_len, sizeof(e->text)));
}

bool
slot_next(const struct slot *s, size_t *at, struct slot_left *out)
{
	while (s->worker != 0 && *at < s->count) {
		const struct entry *e = &s->entry[(*at)++];
		enum slot_phase phase = phase_of(s, e);

		if (phase != SLOT_FREE) {
			read_entry(e, phase, out);
			return true;
		}
	}
	return false;
}

/* -- quota remainders --------------------------------------------------------
 */

static uint64_t
quota_state(const struct quota *q, unsigned int remainder)
{
	uint64_t check = fold(q->provider, (uint32_t)q->source);

	check = fold(fold(check, (uint32_t)q->day), remainder);
	return remainder | (check & 0xffffffffu) << 32;
}

/* 0 as well when nobody of this house wrote it. */
static unsigned int
remainder_of(const struct quota *q)
{
	uint64_t state = atomic_load_explicit(&q->state, memory_order_acquire);

	return state == quota_state(q, (uint32_t)state) ? (uint32_t)state : 0;
}

static void
put_remainder(struct quota *q, unsigned int remainder)
{
	atomic_store_explicit(&q->state, quota_state(q, remainder),
	    memory_order_release);
}

static bool
is_of(const struct quota *q, int source, uint64_t provider, int day)
{
	return q->source == source && q->provider == provider && q->day == day;
}

/* That of the key; else one that no longer counts; else NULL. */
static struct quota *
find_quota(const struct slot *s, int source, uint64_t provider, int day)
{
	struct quota *spare = NULL;

	if (s == NULL || s->header == NULL)
		return NULL;
	for (size_t i = 0; i < SLOT_QUOTAS; i++) {
		struct quota *q = &s->header->quota[i];

		if (is_of(q, source, provider, day))
			return q;
		if (q->day < day || remainder_of(q) == 0)
			spare = q;
	}
	return spare;
}

static uint64_t
provider_hash(struct slice provider)
{
	return hash_stable(provider.ptr, provider.len);
}

unsigned int
slot_quota_get(const struct slot *s, int source, struct slice provider, int day)
{
	uint64_t hash = provider_hash(provider);
	const struct quota *q = find_quota(s, source, hash, day);

	return q != NULL && is_of(q, source, hash, day) ? remainder_of(q) : 0;
}

void
slot_quota_set(struct slot *s, int source, struct slice provider, int day,
    unsigned int remainder)
{
	uint64_t hash = provider_hash(provider);
	struct quota *q = find_quota(s, source, hash, day);

	if (q == NULL)
		return;
	if (!is_of(q, source, hash, day)) {
		/* No state fits what it says while its key changes. */
		atomic_store_explicit(&q->state, 0, memory_order_release);
		q->source = source;
		q->provider = hash;
		q->day = day;
	}
	put_remainder(q, remainder);
}
