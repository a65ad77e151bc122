/* Apart from crypto.c, so that what needs only this links without OpenSSL. */
#include <errno.h>
#include <sys/random.h>

#include "base/crypto.h"

void
crypto_random(void *out, size_t len)
{
	char *to = out;

	while (len > 0) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		invariant(n > 0);
		to += n;
		len -= (size_t)n;
	}
}

uint64_t
crypto_random_u64(void)
{
	uint64_t value;

	crypto_random(&value, sizeof(value));
	return value;
}
