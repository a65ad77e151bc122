/*
 * api/absent.c - one table; see the header. A call that comes to be leaves its
 * row here for one in httpd.c.
 */
#include "absent.h"

#include <stdio.h>

#include "intake/answer.h"

#define ADD_DOMAIN "the operator adds it with \"verpost domain add\""
#define VERIFY_DOMAIN "the operator verifies it with \"verpost domain verify\""
#define WHEN_DUE "send each email with POST /emails when it is due"
#define RECEIVING "it takes in bounces and nothing else"
#define ALL_OF_ACCOUNT "keep them in your application"
#define EACH_ALONE "call POST /emails once for each recipient"

const struct api_absent api_absent[] = {
	{ HTTP_POST, "/emails/batch", "emails in batches",
	    "call POST /emails for each of them" },
	{ HTTP_PATCH, "/emails/{}", "scheduled emails", WHEN_DUE },
	{ HTTP_GET, "/emails/{}/attachments", "attachments to read back",
	    "keep the files that you send" },
	{ HTTP_GET, "/emails/{}/attachments/{}", "attachments to read back",
	    "keep the files that you send" },
	{ HTTP_POST, "/emails/{}/share", "shared emails",
	    "read the email with GET /emails/{id}" },
	{ HTTP_GET, "/emails/metrics", "metrics",
	    "count the events that webhooks bring" },
	{ HTTP_GET, "/emails/receiving", "received emails", RECEIVING },
	{ HTTP_GET, "/emails/receiving/{*}", "received emails", RECEIVING },

	{ HTTP_POST, "/domains", "a call that adds a domain", ADD_DOMAIN },
	{ HTTP_PATCH, "/domains/{}", "settings of a domain",
	    "return path and selector are options of \"verpost domain add\"" },
	{ HTTP_DELETE, "/domains/{}", "a call that removes a domain",
	    "the operator removes it with \"verpost domain remove\"" },
	{ HTTP_POST, "/domains/{}/verify", "a call that verifies a domain",
	    VERIFY_DOMAIN },
	{ HTTP_POST, "/domains/claim", "domain claims", ADD_DOMAIN },
	{ HTTP_GET, "/domains/{}/claim", "domain claims", ADD_DOMAIN },
	{ HTTP_POST, "/domains/{}/claim/verify", "domain claims",
	    VERIFY_DOMAIN },

	{ HTTP_POST, "/suppressions/batch/add", "suppressions in batches",
	    "call POST /suppressions for each of them" },
	{ HTTP_POST, "/suppressions/batch/remove", "suppressions in batches",
	    "call DELETE /suppressions/{address} for each of them" },

	{ HTTP_GET, "/api-keys/{*}", "calls for API keys",
	    "the operator uses \"verpost key add\", \"list\" and \"remove\"" },
	{ HTTP_GET, "/templates/{*}", "templates",
	    "send the finished html and text with POST /emails" },
	{ HTTP_GET, "/contacts/{*}", "contacts", ALL_OF_ACCOUNT },
	{ HTTP_GET, "/contact-properties/{*}", "contact properties",
	    ALL_OF_ACCOUNT },
	{ HTTP_GET, "/audiences/{*}", "audiences", ALL_OF_ACCOUNT },
	{ HTTP_GET, "/segments/{*}", "segments", ALL_OF_ACCOUNT },
	{ HTTP_GET, "/topics/{*}", "topics", ALL_OF_ACCOUNT },
	{ HTTP_GET, "/broadcasts/{*}", "broadcasts", EACH_ALONE },
	{ HTTP_GET, "/automations/{*}", "automations", EACH_ALONE },
	{ HTTP_GET, "/events/{*}", "events of your own", EACH_ALONE },
	{ HTTP_GET, "/logs/{*}", "a log of API requests",
	    "the operator has the log of the server" },
	{ HTTP_GET, "/oauth/{*}", "OAuth grants",
	    "use an API key, made with \"verpost key add\"" },
};
const size_t api_absent_count = ARRAY_LEN(api_absent);

void
api_absent_answer(struct http_request *r, void *ctx)
{
	const struct api_absent *a = *(const struct api_absent *const *)ctx;
	char text[ANSWER_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "Verpost does not have %s yet: %s",
	    a->what, a->instead);
	http_answer_error(r, 501, "not_implemented", text);
}
