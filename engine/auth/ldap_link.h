/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_LDAP_LINK_H
#define BERTH_ENGINE_LDAP_LINK_H
/*
 * One conversation with an LDAP server: connect, StartTLS, bind, search. Theory of operation: ldap_link.c. Blocks, with deadlines: workers only.
 */
#include <stdbool.h>
#include <stdint.h>
#include <ldap.h>
#include <glib.h>

/* Questions that may be open at the same time, so that a server that hangs holds no more workers than this. */
#define LDAP_LINKS_MAX 8
/* After an answer that did not come in time that server is left alone: who waits in line goes to the next one, or is told at once. */
#define LDAP_REST_USEC (5 * (int64_t)G_USEC_PER_SEC)
/* Bytes of one answer, that is of one entry: a group of 300,000 members. */
#define LDAP_ANSWER_MAX ((ber_len_t)64 << 20)
/* Entries that a search may find. */
#define LDAP_ENTRIES_MAX 100000

struct ldap_server;
struct ldap_link;

struct ldap_server_settings {
	char **uris;                         /* tried in this order; NULL-terminated */
	bool start_tls;                      /* on "ldap://": TLS, or no word */
	const char *ca;                      /* file with the CAs to believe, PEM */
	const char *bind_dn;                 /* who searches; NULL: nobody, anonymously */
	const char *bind_password_file;      /* first line; read anew for each conversation */
	int64_t timeout_usec;                /* for one answer */
};

/* Copies the settings; connects to nothing. */
struct ldap_server *ldap_server_new(const struct ldap_server_settings *settings);
/* No conversation may be open. NULL accepted. Returns NULL. */
struct ldap_server *ldap_server_free(struct ldap_server *server);
/* Ends the conversations that are open, and lets none begin. */
void ldap_server_stop(struct ldap_server *server);

/* A conversation as who searches. Errors: ERR_NO_CONNECTION (or not let in), ERR_TIMEOUT, ERR_RESOURCE_EXHAUSTED, ERR_TLS_FAILED. */
struct ldap_link *ldap_link_open(struct ldap_server *server, GError **error);
struct ldap_link *ldap_link_close(struct ldap_link *link);               /* NULL accepted */

enum ldap_verdict {
	LDAP_VERDICT_RIGHT,
	LDAP_VERDICT_WRONG,                  /* name or password */
	LDAP_VERDICT_BARRED,                 /* the account is locked, expired, or must change its password first */
	LDAP_VERDICT_NONE,                   /* the server did not say; error is set */
};
/* Is it the password of the entry? It must not be empty: servers take that for an anonymous bind, which succeeds. The link is that entry's then. */
enum ldap_verdict ldap_link_try(struct ldap_link *link, const char *dn, const char *password, GError **error);
/* Who searches again. */
bool ldap_link_bind(struct ldap_link *link, GError **error);

/* Calls found() for each entry of the subtree; attributes: NULL-terminated. ERR_RESOURCE_EXHAUSTED: more than LDAP_ENTRIES_MAX;
 * ERR_OPERATION_FAILED: more than the server lets us have. */
bool ldap_link_search(struct ldap_link *link, const char *base, const char *filter, const char *const *attributes,
		      void (*found)(struct ldap_link *link, LDAPMessage *entry, void *data), void *data, GError **error);
/* For found(). First value as text, NULL: none, or not UTF-8; g_free. */
char *ldap_link_text(struct ldap_link *link, LDAPMessage *entry, const char *attribute);
/* All values; NULL: none; ldap_value_free_len. */
struct berval **ldap_link_values(struct ldap_link *link, LDAPMessage *entry, const char *attribute);
char *ldap_link_dn(struct ldap_link *link, LDAPMessage *entry);         /* g_free */

/* Any text or bytes as a value in a filter (RFC 4515); g_free. */
char *ldap_escape(const void *bytes, size_t n);

#endif
