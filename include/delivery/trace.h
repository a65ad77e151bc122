/*
 * delivery/trace.h - how "verpost trace" and the mta processes of all nodes
 * find each other, over channels of Redis:
 *
 *   trace.ask       "TOKEN TARGET", published once a second by who wants to see
 *                   a domain, a site or a mail host
 *   trace.TOKEN     one line of a conversation each, printable
 *
 * An mta forgets a question that is not repeated; so nothing has to be ended,
 * and nothing is left behind.
 */
#ifndef DELIVERY_TRACE_H
#define DELIVERY_TRACE_H

#define TRACE_ASK "trace.ask"
#define TRACE_ANSWER "trace."
#define TRACE_EVERY_MS 1000
#define TRACE_TOKEN_LEN 16 /* lower-case letters and digits */

#endif
