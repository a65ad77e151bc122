/* Whole sessions, by the traces of smtp_peer.h. */
#include "smtp_peer.h"

static const struct {
	const char *name;
	unsigned int in_ready;
	int tls;
	const char *trace;
} cases[] = {
	{ "one mail, a command at a time", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 354 go\n* dot 1\n" TEXT(
				"1") "< 250 taken\n* done 1 remote end of data "
				     "250\n* ready\n"
				     "! quit\n> QUIT\n"
				     "< 221 bye\n* closed remote idle 221\n" },
	{ "pipelined: the next one rides behind the dot", 3, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
			 "2") "< 250 taken\n* done 1 remote end of data 250\n"
			      "< 250 ok\n< 250 ok\n"
			      "< 354 go\n* dot 2\n* ready\n" TEXT("2") GROUP(
				  "3") "< 250 taken\n* done 2 remote end of "
				       "data 250\n"
				       "! quit\n"
				       "< 250 ok\n< 250 ok\n< 354 go\n* dot "
				       "3\n" TEXT(
					   "3") "< 250 taken\n* done 3 remote "
						"end of data 250\n> QUIT\n"
						"< 221 bye\n* closed remote "
						"idle 221\n" },
	{ "greeting refused", 0, SMTP_TLS_NEVER,
	    "< 554 no\n* closed remote greeting 554\n" },
	{ "greeting deferred", 0, SMTP_TLS_NEVER,
	    "< 421-busy\n< 421 later\n* closed remote greeting 421\n" },
	{ "greeting of another protocol", 0, SMTP_TLS_NEVER,
	    "< +OK POP3 ready\n* closed local greeting syntax\n" },
	{ "greeting 250", 0, SMTP_TLS_NEVER,
	    "< 250 what\n* closed local greeting syntax\n" },
	{ "EHLO unknown: HELO", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 502 what\n> HELO me.example\n"
	    "< 250 there\n* ready\n" },
	{ "EHLO and HELO unknown", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 500 what\n> HELO me.example\n"
	    "< 500 what\n* closed remote EHLO 500\n" },
	{ "EHLO refused: no second try", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 550 5.7.1 blocked\n* closed remote EHLO 550\n" },
	{ "EHLO deferred", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 451 later\n* closed remote EHLO 451\n" },
	{ "TLS, and what was offered before it is forgotten", 1, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250-PIPELINING\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 220 go\n* tls\n"
	    "! tls_done\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n* ready\n" MAIL("1") },
	{ "TLS wanted, not offered: in the clear", 0, SMTP_TLS_MAY, PLAIN },
	{ "TLS offered, not wanted", 0, SMTP_TLS_NEVER,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n* ready\n" },
	{ "TLS required, not offered", 0, SMTP_TLS_MUST,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250 there\n* closed local STARTTLS tls\n" },
	{ "TLS required, EHLO unknown", 0, SMTP_TLS_MUST,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 500 what\n> HELO me.example\n"
	    "< 250 there\n* closed local STARTTLS tls\n" },
	{ "STARTTLS refused", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 454 not now\n* closed remote STARTTLS 454\n" },
	{ "the handshake fails", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 220 go\n* tls\n"
	    "! lost\n* closed local TLS handshake net\n" },
	{ "a reply in the middle of the handshake", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 220 go\n* tls\n"
	    "< 250 smuggled\n* closed local TLS handshake syntax\n" },
	{ "MAIL refused", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 550 no\n* done 1 remote MAIL FROM 550\n* ready\n"
			    "! send\n" MAIL("2") },
	{ "RCPT refused: RSET before the next", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL(
		"1") "< 250 ok\n" RCPT
		     "< 550 5.1.1 who\n* done 1 remote RCPT TO 550\n* ready\n"
		     "! send\n> RSET\n"
		     "< 250 ok\n" MAIL("2") },
	{ "RSET refused: its victim has not begun", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 550 who\n* done 1 remote RCPT TO 550\n* ready\n"
			    "! send\n> RSET\n"
			    "< 500 what\n* done 2 remote idle 500\n* closed "
			    "remote idle 500\n" },
	{ "no RSET when nothing follows", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 550 who\n* done 1 remote RCPT TO 550\n* ready\n"
			    "! quit\n> QUIT\n"
			    "! time-out\n* closed local idle timeout\n" },
	{ "DATA refused", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 451 full\n* done 1 remote DATA 451\n* ready\n"
			    "! send\n> RSET\n" },
	{ "the dot refused: no RSET", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 354 go\n* dot 1\n" TEXT(
				"1") "< 554 5.6.0 spam\n* done 1 remote end of "
				     "data 554\n* ready\n"
				     "! send\n" MAIL("2") },
	{ "251 is as good as 250", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 251 forwarded\n> DATA\n" },
	{ "pipelined, MAIL refused, the rest too", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 550 no\n* done 1 remote MAIL FROM 550\n"
			     "< 503 need MAIL\n"
			     "< 503 need RCPT\n* ready\n" GROUP("2") },
	{ "pipelined, RCPT refused, DATA too: RSET rides ahead", 2,
	    SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 554 no recipients\n* ready\n> RSET\n" GROUP(
				 "2") "< 250 ok\n< 250 ok\n< 250 ok\n"
				      "< 354 go\n* dot 2\n* ready\n" TEXT(
					  "2") },
	{ "pipelined, RSET refused: its victim has not begun", 2,
	    SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 554 no recipients\n* ready\n> RSET\n" GROUP(
				 "2") "< 550 what\n* done 2 remote idle 550\n* "
				      "closed remote idle 550\n" },
	{ "pipelined, RCPT refused, DATA let in: a lone dot", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 354 go\n> .\n"
			     "< 554 no recipients\n* ready\n" GROUP("2") },
	{ "pipelined, MAIL refused, DATA let in: a lone dot", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 550 no\n* done 1 remote MAIL FROM 550\n"
			     "< 503 need MAIL\n"
			     "< 354 go\n> .\n"
			     "< 250 fine\n* ready\n" GROUP("2") },
	{ "MAIL refused, RCPT and DATA taken: no dot at all", 1, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 550 no\n* done 1 remote MAIL FROM 550\n"
			     "< 250 ok\n"
			     "< 354 go\n* closed local DATA syntax\n" },
	{ "pipelined, DATA refused", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 452 full\n* done 1 remote DATA 452\n* ready\n> "
			     "RSET\n" GROUP("2") },
	{ "421 to the dot: the next one has not begun", 2, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
				 "2") "< 421 going down\n* done 1 remote end "
				      "of data 421\n"
				      "* done 2 remote idle 421\n"
				      "* closed remote end of data 421\n" },
	{ "lost after the dot: only that one may have been taken", 2,
	    SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
				 "2") "! lost\n* done 1 local end of data net\n"
				      "* done 2 local idle net\n* closed local "
				      "end of data net\n" },
	{ "dot taken, then 421 to the next MAIL", 2, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT("1") GROUP(
			 "2") "< 250 taken\n* done 1 remote end of data 250\n"
			      "< 421 enough\n* done 2 remote MAIL FROM 421\n"
			      "* closed remote MAIL FROM 421\n" },
	{ "garbage in place of the dot's reply: outcome unknown", 1,
	    SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "< 250ok\n* done 1 local end of data syntax\n"
			      "* closed local end of data syntax\n" },
	{ "354 in reply to the dot", 1, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "< 354 go on\n* done 1 local end of data syntax\n"
			      "* closed local end of data syntax\n" },
	{ "354 in reply to MAIL", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 354 go\n* done 1 local MAIL FROM syntax\n"
			    "* closed local MAIL FROM syntax\n" },
	{ "354 in reply to RCPT", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 354 go\n* done 1 local RCPT TO syntax\n"
			    "* closed local RCPT TO syntax\n" },
	{ "250 in reply to DATA", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT "< 250 ok\n> DATA\n"
			    "< 250 fine\n* done 1 local DATA syntax\n"
			    "* closed local DATA syntax\n" },
	{ "354 in reply to EHLO", 0, SMTP_TLS_NEVER,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 354 go\n* closed local EHLO syntax\n" },
	{ "250 in reply to STARTTLS", 0, SMTP_TLS_MAY,
	    "< 220 hello\n> EHLO me.example\n"
	    "< 250-there\n< 250 STARTTLS\n> STARTTLS\n"
	    "< 250 go\n* closed local STARTTLS syntax\n" },
	{ "354 in reply to RSET", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250 ok\n" RCPT
			    "< 550 who\n* done 1 remote RCPT TO 550\n* ready\n"
			    "! send\n> RSET\n"
			    "< 354 go\n* done 2 local idle syntax\n* closed "
			    "local idle syntax\n" },
	{ "354 in reply to the lone dot", 1, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n"
			     "< 550 who\n* done 1 remote RCPT TO 550\n"
			     "< 354 go\n> .\n"
			     "< 354 go\n* closed local idle syntax\n" },
	{ "a reply nobody awaits", 0, SMTP_TLS_NEVER,
	    PLAIN "< 250 again\n* closed local idle syntax\n" },
	{ "421 while idle", 0, SMTP_TLS_NEVER,
	    PLAIN "< 421 too long\n* closed remote idle 421\n" },
	{ "any reply to QUIT will do", 0, SMTP_TLS_NEVER,
	    PLAIN "! quit\n> QUIT\n< 500 what\n* closed remote idle 500\n" },
	{ "QUIT asked for before the greeting", 0, SMTP_TLS_NEVER,
	    "! quit\n< 220 hello\n> EHLO me.example\n"
	    "< 250 there\n> QUIT\n" },
	{ "nothing is heard after the end", 0, SMTP_TLS_NEVER,
	    PLAIN "! lost\n* closed local idle net\n"
		  "! lost\n! quit\n! tls_done\n" },
	{ "the code changes in a reply", 1, SMTP_TLS_NEVER,
	    PLAIN MAIL("1") "< 250-ok\n"
			    "< 550 no\n* done 1 local MAIL FROM syntax\n"
			    "* closed local MAIL FROM syntax\n" },
	{ "the dot has not left our own buffer: not sent", 1, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "! lost, all unsent\n* done 1 local message net\n"
			      "* closed local end of data net\n" },
	{ "only the dot's three octets are left: not sent", 1, SMTP_TLS_NEVER,
	    PIPED GROUP(
		"1") "< 250 ok\n< 250 ok\n"
		     "< 354 go\n* dot 1\n* ready\n" TEXT(
			 "1") "! lost, 3 unsent\n* done 1 local message net\n"
			      "* closed local end of data net\n" },
	{ "its last octet is left: it may count as sent", 1, SMTP_TLS_NEVER,
	    PIPED GROUP("1") "< 250 ok\n< 250 ok\n"
			     "< 354 go\n* dot 1\n* ready\n" TEXT(
				 "1") "! lost, 1 unsent\n* done 1 local end of "
				      "data net\n"
				      "* closed local end of data net\n" },
};

static void
follows_the_trace(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct peer p = { .in_ready = cases[i].in_ready };

		print_message("%s\n", cases[i].name);
		start(&p, cases[i].tls);
		run(&p, cases[i].name, cases[i].trace);
		stop(&p);
	}
}

TEST_MAIN(cmocka_unit_test(follows_the_trace))
