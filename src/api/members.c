/* api/members.c - see the header. */
#include "members.h"

/* Two slips of the pen, in a word that is long enough for it. */
#define SLIPS_MAX 2

static bool
is_known(const struct members *m, struct slice name)
{
	for (size_t i = 0; i < m->known_count; i++)
		if (slice_eq_text(name, m->known[i]))
			return true;
	return false;
}

/* What may be meant, or NULL. */
static const char *
nearest(const struct members *m, struct slice name)
{
	const char *near = NULL;
	size_t best = SLIPS_MAX + 1;

	for (size_t i = 0; i < m->word_count; i++)
		if (slice_eq_nocase(name, slice_of(m->word[i].word)))
			return m->word[i].meant;
	for (size_t i = 0; i < m->known_count; i++) {
		struct slice known = slice_of(m->known[i]);
		size_t d = slice_distance(name, known);

		if (d < best && d <= known.len / 2) {
			best = d;
			near = m->known[i];
		}
	}
	return near;
}

static int
refuse(const struct members *m, const char *path, struct slice name,
    struct intake_answer *no)
{
	const char *near = nearest(m, name), *dot = path != NULL ? "." : "";
	struct answer_quote shown = answer_quote(name);

	if (path == NULL)
		path = "";
	if (near == NULL)
		return answer_set(no, ANSWER_PARAMETER,
		    "%s%s%s: is not a member of %s: leave it out", path, dot,
		    shown.s, m->of);
	return answer_set(no, ANSWER_PARAMETER,
	    "%s%s%s: is not a member of %s: did you mean %s?", path, dot,
	    shown.s, m->of, near);
}

int
members_check(const struct members *m, const char *path, const struct json *obj,
    struct intake_answer *no)
{
	json_each(item, obj)
	{
		if (item->type != JSON_NULL && !is_known(m, item->name))
			return refuse(m, path, item->name, no);
	}
	return 0;
}
