/*
 * Forms of texts. Each accepts what the room that gets the value can read, so
 * that a mistake is found with its line and not by a process that cannot
 * start.
 */
#include <string.h>

#include "base/encode.h"
#include "net/addr.h"
#include "proc/settings_priv.h"

/* Whether one accepts each word of a list. */
static bool
each_word(const char *list, bool (*one)(struct slice word))
{
	struct slice rest = slice_of(list);

	while (rest.len > 0) {
		struct slice word = slice_take_until(&rest, ' ');

		if (word.len > 0 && !one(word))
			return false;
	}
	return true;
}

static bool
is_path(const char *value)
{
	return value[0] == '/';
}

static bool
is_file(const char *value)
{
	return value[0] == '\0' || value[0] == '/';
}

static bool
is_listen_word(struct slice word)
{
	struct net_addr addr;

	return net_addr_parse_listen(word, &addr, NULL) == 0;
}

static bool
is_listen(const char *value)
{
	return each_word(value, is_listen_word);
}

static bool
is_redis(const char *value)
{
	return strchr(value, ' ') == NULL && is_listen_word(slice_of(value));
}

static bool
is_server_word(struct slice word)
{
	struct net_addr addr;

	return net_addr_parse(word, 53, &addr, NULL) == 0 ||
	    (is_listen_word(word) && *word.ptr != ':' &&
		!slice_starts(word, SLICE("unix:")));
}

static bool
is_servers(const char *value)
{
	return each_word(value, is_server_word);
}

/* A lone address is refused: it might have been meant as a whole network. */
static bool
is_network_word(struct slice word)
{
	return slice_has_char(word, '/');
}

static bool
is_networks(const char *value)
{
	struct net_guard guard;

	if (!each_word(value, is_network_word) ||
	    net_guard_parse(slice_of(value), &guard, NULL) != 0)
		return false;
	net_guard_fini(&guard);
	return true;
}

/* What stands in a greeting; "_" because some machines have such names. */
static bool
is_host(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if (!ascii_is_alnum(*c) && strchr("-._", *c) == NULL)
			return false;
	return strlen(value) <= 253 && value[0] != '.';
}

const struct config_form settings_form_path = { "an absolute path", is_path };
const struct config_form settings_form_file = { "an absolute path, or empty",
	is_file };
const struct config_form settings_form_listen = {
	"addresses with ports like 127.0.0.1:25 or [::1]:25, blanks between",
	is_listen
};
const struct config_form settings_form_redis = {
	"an address and port like 127.0.0.1:6379, or unix:/path", is_redis
};
const struct config_form settings_form_servers = {
	"addresses like 127.0.0.1 or 127.0.0.1:53, blanks between, or empty",
	is_servers
};
const struct config_form settings_form_networks = {
	"at most 32 networks like 10.0.0.0/8 or fd00::/8 (one address: /32 or "
	"/128), blanks between, or empty",
	is_networks
};
const struct config_form settings_form_host = {
	"a host name like mx.example.com, or empty", is_host
};
