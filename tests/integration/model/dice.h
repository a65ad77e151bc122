/*
 * dice.h - random numbers out of a seed: the same seed, the same test. What a
 * failing run prints is enough to run it again.
 */
#ifndef DICE_H
#define DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct dice {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t
dice_roll(struct dice *d)
{
	uint64_t z = d->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 .. n - 1 */
static inline size_t
dice_below(struct dice *d, size_t n)
{
	return (size_t)(dice_roll(d) % n);
}

static inline bool
dice_percent(struct dice *d, unsigned int percent)
{
	return dice_below(d, 100) < percent;
}

/* A number from the environment, for longer runs than those of make check. */
static inline unsigned int
dice_setting(const char *name, unsigned int standard)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned int)strtoul(text, NULL, 10) : standard;
}

#endif
