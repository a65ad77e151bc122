#include "store/recent.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

/*
 * A ring is named by positions that only grow; position p lies at p % size. All
 * below `reserved` has been promised to some record, and what is older than one
 * round has been written over. So a record at p is whole as long as
 *
 *   reserved - p <= size
 *
 * holds after it was copied: the writer raises `reserved` before it writes. A
 * writer that is killed in between leaves no trace but a gap: the position is
 * told to readers last, in one store.
 *
 * The index: sets of WAYS positions, chosen by the id. The oldest of a set
 * makes room for a new one. Zero: none.
 */
#define WAYS 4
#define RING_MIN ((size_t)64 * 1024)
/* One set for as many octets: enough for records of 2 kB. */
#define OCTETS_PER_SET ((size_t)8192)
#define LARGEST_SHARE 8

struct head {
	struct id email;
	uint64_t len;
};

struct ring {
	_Alignas(64) _Atomic uint64_t reserved;
	uint64_t size;
	uint64_t sets; /* a power of two */
	_Atomic uint64_t *index;
	char *octets;
};

struct recent {
	size_t mapped;
	size_t writers;
	struct ring ring[];
};

static uint64_t
aligned(uint64_t n)
{
	return (n + 15) & ~(uint64_t)15;
}

static uint64_t
power_of_two_below(uint64_t n)
{
	uint64_t p = 1;

	while (p * 2 <= n)
		p *= 2;
	return p;
}

struct recent *
recent_new(size_t bytes, size_t writers)
{
	size_t each = writers == 0 ? 0 : bytes / writers & ~(size_t)4095;
	size_t rings =
	    (sizeof(struct recent) + writers * sizeof(struct ring) + 4095) &
	    ~(size_t)4095;
	uint64_t sets = power_of_two_below(each / OCTETS_PER_SET + 1);
	size_t index = (sets * WAYS * sizeof(uint64_t) + 4095) & ~(size_t)4095;
	size_t mapped = rings + writers * (each + index);
	struct recent *r;

	if (each < RING_MIN)
		return NULL;
	r = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r == MAP_FAILED)
		return NULL;
	r->mapped = mapped;
	r->writers = writers;
	for (size_t i = 0; i < writers; i++) {
		char *start = (char *)r + rings + i * (each + index);

		r->ring[i].size = each;
		r->ring[i].sets = sets;
		r->ring[i].index = (_Atomic uint64_t *)(void *)start;
		r->ring[i].octets = start + index;
		/* Position 0 says "none" in the index. */
		atomic_init(&r->ring[i].reserved, 16);
	}
	return r;
}

void
recent_free(struct recent **r)
{
	if (*r != NULL)
		munmap(*r, (*r)->mapped);
	*r = NULL;
}

static _Atomic uint64_t *
set_of(const struct ring *ring, const struct id *email)
{
	uint64_t half[2];

	memcpy(half, email->b, sizeof(half));
	half[0] = (half[0] ^ half[1] * UINT64_C(0x9e3779b97f4a7c15)) *
	    UINT64_C(0xff51afd7ed558ccd);
	return ring->index + (half[0] >> 32 & (ring->sets - 1)) * WAYS;
}

void
recent_put(struct recent *r, size_t writer, struct id email,
    struct slice content)
{
	struct ring *ring;
	struct head head = { email, content.len };
	uint64_t need = aligned(sizeof(head) + content.len), at;
	_Atomic uint64_t *way, *oldest;

	if (r == NULL || writer >= r->writers)
		return;
	ring = &r->ring[writer];
	if (need > ring->size / LARGEST_SHARE)
		return;
	at = atomic_load_explicit(&ring->reserved, memory_order_relaxed);
	if (at % ring->size + need > ring->size)
		at += ring->size - at % ring->size;
	atomic_store_explicit(&ring->reserved, at + need, memory_order_relaxed);
	/* Before a single octet of the old round is written over. */
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(ring->octets + at % ring->size, &head, sizeof(head));
	memcpy(ring->octets + at % ring->size + sizeof(head), content.ptr,
	    content.len);
	oldest = way = set_of(ring, &email);
	for (size_t i = 1; i < WAYS; i++)
		if (atomic_load_explicit(way + i, memory_order_relaxed) <
		    atomic_load_explicit(oldest, memory_order_relaxed))
			oldest = way + i;
	atomic_store_explicit(oldest, at, memory_order_release);
}

/* Whether what was read at that position was there all the time. */
static bool
is_whole(const struct ring *ring, uint64_t at)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&ring->reserved, memory_order_relaxed) -
	    at <=
	    ring->size;
}

static char *
copy(const struct ring *ring, uint64_t at, size_t len)
{
	char *out;

	if (len > ring->size - at % ring->size - sizeof(struct head))
		return NULL;
	out = xrealloc(NULL, len + 1); /* not zeroed first */
	memcpy(out, ring->octets + at % ring->size + sizeof(struct head), len);
	out[len] = '\0';
	if (!is_whole(ring, at)) {
		free(out);
		return NULL;
	}
	return out;
}

static char *
look(const struct ring *ring, const struct id *email, size_t len)
{
	const _Atomic uint64_t *way = set_of(ring, email);

	for (size_t i = 0; i < WAYS; i++) {
		uint64_t at =
		    atomic_load_explicit(way + i, memory_order_acquire);
		struct head head;

		if (at == 0 || at % ring->size + sizeof(head) > ring->size)
			continue;
		memcpy(&head, ring->octets + at % ring->size, sizeof(head));
		if (id_cmp(head.email, *email) != 0 || !is_whole(ring, at))
			continue;
		return head.len == len ? copy(ring, at, len) : NULL;
	}
	return NULL;
}

char *
recent_get(const struct recent *r, struct id email, size_t len)
{
	char *found = NULL;

	for (size_t i = 0; r != NULL && i < r->writers && found == NULL; i++)
		found = look(&r->ring[i], &email, len);
	return found;
}
