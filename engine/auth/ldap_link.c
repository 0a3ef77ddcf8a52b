/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations with an LDAP server through OpenLDAP's library.
 *
 * Each question of the directory is a conversation of its own: connect, TLS, bind, search, end. They are rare (a right password is remembered for
 * minutes), and a connection that nobody keeps cannot be stale, cannot carry another user's rights, and need not be watched.
 *
 * Time. Nothing waits without an end: connecting has LDAP_OPT_NETWORK_TIMEOUT, answers are awaited with what is left of the deadline, and under the
 * library, which reads on once something came and never gives up a handshake, a layer of its sockets waits for bytes no longer than that. Each answer
 * gives the server its whole time again. Looking up its name is up to the resolver's own time-outs. A server that let the time pass is left alone for
 * LDAP_REST_USEC: meanwhile questions go to the next of the list at once, or fail at once, and at most LDAP_LINKS_MAX are open: logins of its domain
 * wait or fail, nobody else's do.
 *
 * Trust. With TLS the certificate must be of the configured CA and name the host of the URI. Referrals are not followed: they would carry the password
 * to whoever is named in them. The library's own files and variables (ldap.conf, LDAPRC) do not count. Passwords are not logged and in no message.
 *
 * A bind that is refused is told apart by the password policy control (draft-behera-ldap-password-policy) and by what Active Directory writes into its
 * message ("data 533"): a right password of an account that is locked or expired is not a wrong one.
 */
#include "engine/auth/ldap_link.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"

#define LOG_MODULE "ldap"
#define PAGE_ENTRIES 500

struct ldap_server {
	struct ldap_server_settings settings;
	pthread_mutex_t lock;
	GPtrArray *links;                    /* open */
	bool stopping;
	int64_t *rests_until_usec;           /* of each URI */
};

struct ldap_link {
	struct ldap_server *server;
	LDAP *ldap;
	int fd;                              /* to be shut down at the end; -1: none */
	guint uri;                           /* which of the server's it speaks with */
	int64_t deadline_usec;
	bool handshake;                      /* of TLS: it failed if anything did */
	ldap_conncb callbacks;
};

struct ldap_server *ldap_server_new(const struct ldap_server_settings *settings)
{
	struct ldap_server *server = g_new0(struct ldap_server, 1);

	server->settings = (struct ldap_server_settings){
		.uris = g_strdupv(settings->uris), .start_tls = settings->start_tls, .ca = g_strdup(settings->ca), .bind_dn = g_strdup(settings->bind_dn),
		.bind_password_file = g_strdup(settings->bind_password_file), .timeout_usec = settings->timeout_usec,
	};
	pthread_mutex_init(&server->lock, NULL);
	server->links = g_ptr_array_new();
	server->rests_until_usec = g_new0(int64_t, g_strv_length(settings->uris));
	return server;
}

struct ldap_server *ldap_server_free(struct ldap_server *server)
{
	if (!server)
		return NULL;
	g_assert(server->links->len == 0);
	g_ptr_array_unref(server->links);
	pthread_mutex_destroy(&server->lock);
	g_free(server->rests_until_usec);
	g_strfreev(server->settings.uris);
	g_free((char *)server->settings.ca);
	g_free((char *)server->settings.bind_dn);
	g_free((char *)server->settings.bind_password_file);
	g_free(server);
	return NULL;
}

void ldap_server_stop(struct ldap_server *server)
{
	AUTO_LOCK(&server->lock);
	server->stopping = true;
	for (guint i = 0; i < server->links->len; i++) {
		const struct ldap_link *link = server->links->pdata[i];
		if (link->fd >= 0)
			(void)shutdown(link->fd, SHUT_RDWR);
	}
}

/* ---- time ---- */

static struct timeval to_timeval(int64_t usec)
{
	return (struct timeval){ .tv_sec = usec / G_USEC_PER_SEC, .tv_usec = usec % G_USEC_PER_SEC };
}

static void renew(struct ldap_link *link)
{
	link->deadline_usec = now_usec() + link->server->settings.timeout_usec;
}

static void let_rest(const struct ldap_link *link)
{
	AUTO_LOCK(&link->server->lock);
	link->server->rests_until_usec[link->uri] = now_usec() + LDAP_REST_USEC;
}

static bool rests(const struct ldap_link *link)
{
	AUTO_LOCK(&link->server->lock);
	return now_usec() < link->server->rests_until_usec[link->uri];
}

/* What the library says; its diagnostic message is the server's, or TLS's. Whatever it is, the domain cannot be asked now: or not so much, when the
 * server has a limit for us. */
static void set_error(struct ldap_link *link, int code, const char *what, GError **error)
{
	char *diagnostic = NULL;
	bool late = code == LDAP_TIMEOUT || now_usec() >= link->deadline_usec;

	if (link->ldap)
		ldap_get_option(link->ldap, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diagnostic);
	if (late)
		let_rest(link);
	/* to ask again would not help; and a part of the answer would be taken for all */
	bool limit = code == LDAP_SIZELIMIT_EXCEEDED || code == LDAP_ADMINLIMIT_EXCEEDED;
	error_set(error, late ? ERR_TIMEOUT : limit ? ERR_OPERATION_FAILED : ERR_NO_CONNECTION, "%s: %s%s%.200s", what, late ? "no answer in time" : ldap_err2string(code),
		  diagnostic && *diagnostic ? ": " : "", diagnostic ? diagnostic : "");
	if (link->handshake && !late)
		error_wrap(error, "TLS needs a certificate that names the host and is of the CA in '%s'", link->server->settings.ca);
	ldap_memfree(diagnostic);
}

/* The answer, whole. NULL: none came. ldap_msgfree */
static LDAPMessage *wait_answer(struct ldap_link *link, int id, const char *what, GError **error)
{
	int64_t left = MAX(link->deadline_usec - now_usec(), 0);
	struct timeval time = to_timeval(left);
	LDAPMessage *answer = NULL;
	int type = ldap_result(link->ldap, id, LDAP_MSG_ALL, &time, &answer);

	if (type > 0) {
		link->handshake = false;
		renew(link);
		return answer;
	}
	int code = LDAP_TIMEOUT;
	if (type < 0)
		ldap_get_option(link->ldap, LDAP_OPT_RESULT_CODE, &code);
	set_error(link, code, what, error);
	return NULL;
}

/* ---- connecting ---- */

static bool wait_for(const Sockbuf_IO_Desc *layer, short events)
{
	const struct ldap_link *link = layer->sbiod_pvt;
	struct pollfd poll_fd = { .events = events };
	int n;

	/* not the link's: that is over before the goodbye is said */
	if (ber_sockbuf_ctrl(layer->sbiod_sb, LBER_SB_OPT_GET_FD, &poll_fd.fd) != 1)
		return false;
	do {
		int64_t left = MAX(link->deadline_usec - now_usec(), 0);
		n = poll(&poll_fd, 1, (int)((left + 999) / 1000));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0;
}

static ber_slen_t layer_read(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t n)
{
	return wait_for(layer, POLLIN) ? LBER_SBIOD_READ_NEXT(layer, bytes, n) : -1;
}

static ber_slen_t layer_write(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t n)
{
	return wait_for(layer, POLLOUT) ? LBER_SBIOD_WRITE_NEXT(layer, bytes, n) : -1;
}

static int layer_setup(Sockbuf_IO_Desc *layer, void *link)
{
	layer->sbiod_pvt = link;
	return 0;
}

static int layer_control(Sockbuf_IO_Desc *layer, int option, void *value)
{
	return LBER_SBIOD_CTRL_NEXT(layer, option, value);
}

static Sockbuf_IO deadline_layer = { .sbi_setup = layer_setup, .sbi_ctrl = layer_control, .sbi_read = layer_read, .sbi_write = layer_write };

/* The library's moment between connecting and TLS. */
static int connected(LDAP *ldap, Sockbuf *buffer, LDAPURLDesc *url, struct sockaddr *address, ldap_conncb *callbacks)
{
	struct ldap_link *link = callbacks->lc_arg;
	int fd = -1;
	ber_len_t most = LDAP_ANSWER_MAX;
	AUTO_LOCK(&link->server->lock);

	if (link->server->stopping || ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &most) != 1 ||
	    ber_sockbuf_ctrl(buffer, LBER_SB_OPT_GET_FD, &fd) != 1 ||
	    ber_sockbuf_add_io(buffer, &deadline_layer, LBER_SBIOD_LEVEL_PROVIDER + 1, link) != 0)
		return LDAP_OTHER;
	link->fd = fd;
	return LDAP_SUCCESS;
}

static void disconnected(LDAP *ldap, Sockbuf *buffer, ldap_conncb *callbacks)
{
	struct ldap_link *link = callbacks->lc_arg;
	AUTO_LOCK(&link->server->lock);

	link->fd = -1;
}

static bool prepare(struct ldap_link *link, const char *uri, GError **error)
{
	const struct ldap_server_settings *settings = &link->server->settings;
	const int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0;
	struct timeval time = to_timeval(settings->timeout_usec);
	int code = ldap_initialize(&link->ldap, uri);

	if (code != LDAP_SUCCESS) {
		set_error(link, code, uri, error);
		return false;
	}
	link->callbacks = (ldap_conncb){ .lc_add = connected, .lc_del = disconnected, .lc_arg = link };
	if (ldap_set_option(link->ldap, LDAP_OPT_PROTOCOL_VERSION, &version) || ldap_set_option(link->ldap, LDAP_OPT_NETWORK_TIMEOUT, &time) ||
	    ldap_set_option(link->ldap, LDAP_OPT_TIMEOUT, &time) || ldap_set_option(link->ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) ||
	    ldap_set_option(link->ldap, LDAP_OPT_CONNECT_CB, &link->callbacks) ||
	    ldap_set_option(link->ldap, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) || ldap_set_option(link->ldap, LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest) ||
	    ldap_set_option(link->ldap, LDAP_OPT_X_TLS_CACERTFILE, settings->ca) || ldap_set_option(link->ldap, LDAP_OPT_X_TLS_NEWCTX, &client)) {
		error_set(error, ERR_TLS_FAILED, "%s: cannot use the CAs of '%s'", uri, settings->ca);
		return false;
	}
	return true;
}

static bool start_tls(struct ldap_link *link, const char *uri, GError **error)
{
	int id, code = ldap_start_tls(link->ldap, NULL, NULL, &id), refused = LDAP_SUCCESS;
	LDAPMessage *answer = NULL;

	if (code == LDAP_SUCCESS) {
		answer = wait_answer(link, id, uri, error);
		if (!answer)
			return false;
		code = ldap_parse_result(link->ldap, answer, &refused, NULL, NULL, NULL, NULL, /* free= */ 1);
		if (code == LDAP_SUCCESS)
			code = refused;
	}
	link->handshake = code == LDAP_SUCCESS;
	if (code == LDAP_SUCCESS)
		code = ldap_install_tls(link->ldap);
	if (code != LDAP_SUCCESS) {
		set_error(link, code, uri, error);
		error_wrap(error, "StartTLS");
		return false;
	}
	renew(link);
	return true;
}

static void disconnect(struct ldap_link *link)
{
	/* says goodbye, closes; disconnected() is called */
	if (link->ldap)
		(void)ldap_unbind_ext(link->ldap, NULL, NULL);
	link->ldap = NULL;
}

static bool connect_to(struct ldap_link *link, const char *uri, GError **error)
{
	renew(link);
	link->handshake = g_str_has_prefix(uri, "ldaps://");
	return prepare(link, uri, error) && (!link->server->settings.start_tls || !g_str_has_prefix(uri, "ldap://") || start_tls(link, uri, error)) &&
	       ldap_link_bind(link, error);
}

/* One more conversation? */
static bool enter(struct ldap_link *link, GError **error)
{
	struct ldap_server *server = link->server;
	const char *uri = server->settings.uris[0];
	AUTO_LOCK(&server->lock);

	if (server->stopping) {
		error_set(error, ERR_CANCELED, "%s: the engine is ending", uri);
	} else if (server->links->len >= LDAP_LINKS_MAX) {
		error_set(error, ERR_RESOURCE_EXHAUSTED, "%s: %d questions are open already", uri, LDAP_LINKS_MAX);
	} else {
		g_ptr_array_add(server->links, link);
		return true;
	}
	return false;
}

struct ldap_link *ldap_link_open(struct ldap_server *server, GError **error)
{
	struct ldap_link *link = g_new0(struct ldap_link, 1);
	GError *problem = NULL;

	link->server = server;
	link->fd = -1;
	if (!enter(link, error)) {
		g_free(link);
		return NULL;
	}
	for (char **uri = server->settings.uris; *uri; uri++, link->uri++) {
		g_clear_error(&problem);
		if (rests(link))
			error_set(&problem, ERR_TIMEOUT, "%s: did not answer in time a moment ago", *uri);
		else if (connect_to(link, *uri, &problem))
			return link;
		disconnect(link);
	}
	g_propagate_error(error, problem);
	return ldap_link_close(link);
}

struct ldap_link *ldap_link_close(struct ldap_link *link)
{
	if (!link)
		return NULL;
	disconnect(link);
	{
		AUTO_LOCK(&link->server->lock);
		g_ptr_array_remove_fast(link->server->links, link);
	}
	g_free(link);
	return NULL;
}

/* ---- binding ---- */

/* The number in "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data 533, v3839" (Microsoft, "LDAP error codes"). */
static bool directory_says_barred(const char *diagnostic)
{
	static const char *const reasons[] = { "530", "531", "532", "533", "701", "773", "775" };
	const char *data = diagnostic ? strstr(diagnostic, ", data ") : NULL;

	for (size_t i = 0; data && i < G_N_ELEMENTS(reasons); i++)
		if (g_str_has_prefix(data + strlen(", data "), reasons[i]))
			return true;
	return false;
}

static bool policy_says_barred(LDAP *ldap, LDAPControl **controls)
{
	LDAPControl *control = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, NULL);
	LDAPPasswordPolicyError problem = PP_noError;
	ber_int_t expires = -1, graces = -1;

	return control && ldap_parse_passwordpolicy_control(ldap, control, &expires, &graces, &problem) == LDAP_SUCCESS &&
	       (problem == PP_passwordExpired || problem == PP_accountLocked || problem == PP_changeAfterReset);
}

static enum ldap_verdict judge(struct ldap_link *link, LDAPMessage *answer, const char *dn, GError **error)
{
	int refused = LDAP_SUCCESS;
	char *diagnostic = NULL;
	LDAPControl **controls = NULL;
	enum ldap_verdict verdict = LDAP_VERDICT_NONE;
	int code = ldap_parse_result(link->ldap, answer, &refused, NULL, &diagnostic, NULL, &controls, /* free= */ 0);

	if (code == LDAP_SUCCESS)
		code = refused;
	bool barred = policy_says_barred(link->ldap, controls) || directory_says_barred(diagnostic);
	switch (code) {
	case LDAP_SUCCESS:
		verdict = barred ? LDAP_VERDICT_BARRED : LDAP_VERDICT_RIGHT;
		break;
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INAPPROPRIATE_AUTH:
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INVALID_DN_SYNTAX:
		verdict = barred ? LDAP_VERDICT_BARRED : LDAP_VERDICT_WRONG;
		break;
	case LDAP_CONSTRAINT_VIOLATION:          /* 389 Directory Server: too many wrong ones, */
	case LDAP_UNWILLING_TO_PERFORM:          /* and: the account is switched off */
		verdict = LDAP_VERDICT_BARRED;
		break;
	default:
		set_error(link, code, dn, error);
		error_wrap(error, "bind");
	}
	ldap_memfree(diagnostic);
	ldap_controls_free(controls);
	return verdict;
}

static enum ldap_verdict bind_as(struct ldap_link *link, const char *dn, const char *password, GError **error)
{
	struct berval secret = { .bv_len = strlen(password), .bv_val = (char *)password };
	LDAPControl policy = { .ldctl_oid = (char *)LDAP_CONTROL_PASSWORDPOLICYREQUEST }, *controls[] = { &policy, NULL };
	int id, code = ldap_sasl_bind(link->ldap, dn, LDAP_SASL_SIMPLE, &secret, controls, NULL, &id);

	if (code != LDAP_SUCCESS) {
		set_error(link, code, dn, error);
		return LDAP_VERDICT_NONE;
	}
	LDAPMessage *answer = wait_answer(link, id, dn, error);
	if (!answer)
		return LDAP_VERDICT_NONE;
	enum ldap_verdict verdict = judge(link, answer, dn, error);
	ldap_msgfree(answer);
	return verdict;
}

enum ldap_verdict ldap_link_try(struct ldap_link *link, const char *dn, const char *password, GError **error)
{
	return *password ? bind_as(link, dn, password, error) : LDAP_VERDICT_WRONG;
}

static char *own_password(const struct ldap_server_settings *settings, GError **error)
{
	g_autoptr(GError) problem = NULL;
	char *text = NULL;

	if (!g_file_get_contents(settings->bind_password_file, &text, NULL, &problem)) {
		error_set(error, ERR_NO_CONNECTION, "bind_password_file: %s", problem->message);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (*text)
		return text;
	error_set(error, ERR_NO_CONNECTION, "bind_password_file: the first line of '%s' is empty", settings->bind_password_file);
	g_free(text);
	return NULL;
}

bool ldap_link_bind(struct ldap_link *link, GError **error)
{
	const struct ldap_server_settings *settings = &link->server->settings;
	bool known = settings->bind_dn;
	char *password = known ? own_password(settings, error) : g_strdup("");

	if (!password)
		return false;
	enum ldap_verdict verdict = bind_as(link, known ? settings->bind_dn : "", password, error);
	OPENSSL_cleanse(password, strlen(password));
	g_free(password);
	if (verdict == LDAP_VERDICT_WRONG || verdict == LDAP_VERDICT_BARRED)
		error_set(error, ERR_NO_CONNECTION, "the server does not let %s in", known ? settings->bind_dn : "an anonymous client");
	return verdict == LDAP_VERDICT_RIGHT;
}

/* ---- searching ---- */

/* One page; *cookie: where the next begins, empty when there is none. */
static bool search_page(struct ldap_link *link, const char *base, const char *filter, const char *const *attributes, struct berval *cookie,
			LDAPMessage **ret_answer, GError **error)
{
	LDAPControl *page = NULL, **answered = NULL;
	int id, refused = LDAP_SUCCESS;
	int code = ldap_create_page_control(link->ldap, PAGE_ENTRIES, cookie->bv_val ? cookie : NULL, /* critical= */ 0, &page);
	LDAPControl *controls[] = { page, NULL };
	LDAPMessage *answer = NULL;

	ber_memfree(cookie->bv_val);
	*cookie = (struct berval){ 0 };
	if (code == LDAP_SUCCESS)
		code = ldap_search_ext(link->ldap, base, LDAP_SCOPE_SUBTREE, filter, (char **)attributes, /* attrsonly= */ 0, controls, NULL, NULL,
				       LDAP_NO_LIMIT, &id);
	if (page)
		ldap_control_free(page);
	if (code == LDAP_SUCCESS) {
		answer = wait_answer(link, id, base, error);
		if (!answer)
			return false;
		code = ldap_parse_result(link->ldap, answer, &refused, NULL, NULL, NULL, &answered, /* free= */ 0);
		if (code == LDAP_SUCCESS)
			code = refused;
	}
	/* a server without pages (RFC 2696) sends everything, and no control */
	page = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answered, NULL);
	if (code == LDAP_SUCCESS && page) {
		ber_int_t estimate = 0;
		code = ldap_parse_pageresponse_control(link->ldap, page, &estimate, cookie);
	}
	ldap_controls_free(answered);
	if (code == LDAP_SUCCESS) {
		*ret_answer = answer;
		return true;
	}
	set_error(link, code, base, error);
	error_wrap(error, "search %s", filter);
	ldap_msgfree(answer);
	return false;
}

bool ldap_link_search(struct ldap_link *link, const char *base, const char *filter, const char *const *attributes,
		      void (*found)(struct ldap_link *link, LDAPMessage *entry, void *data), void *data, GError **error)
{
	struct berval cookie = { 0 };
	unsigned n = 0;

	do {
		LDAPMessage *answer;
		if (!search_page(link, base, filter, attributes, &cookie, &answer, error))
			return false;
		for (LDAPMessage *entry = ldap_first_entry(link->ldap, answer); entry; entry = ldap_next_entry(link->ldap, entry), n++)
			found(link, entry, data);
		ldap_msgfree(answer);
	} while (cookie.bv_len > 0 && n < LDAP_ENTRIES_MAX);
	bool all = cookie.bv_len == 0;
	ber_memfree(cookie.bv_val);
	if (!all)
		error_set(error, ERR_RESOURCE_EXHAUSTED, "search %s in '%s': more than %d entries", filter, base, LDAP_ENTRIES_MAX);
	return all;
}

struct berval **ldap_link_values(struct ldap_link *link, LDAPMessage *entry, const char *attribute)
{
	return ldap_get_values_len(link->ldap, entry, attribute);
}

char *ldap_link_text(struct ldap_link *link, LDAPMessage *entry, const char *attribute)
{
	struct berval **values = ldap_link_values(link, entry, attribute);
	char *text = NULL;

	if (values && values[0] && g_utf8_validate(values[0]->bv_val, (gssize)values[0]->bv_len, NULL))
		text = g_strndup(values[0]->bv_val, values[0]->bv_len);
	ldap_value_free_len(values);
	return text;
}

char *ldap_link_dn(struct ldap_link *link, LDAPMessage *entry)
{
	char *dn = ldap_get_dn(link->ldap, entry), *copy = g_strdup(dn ? dn : "");

	ldap_memfree(dn);
	return copy;
}

char *ldap_escape(const void *bytes, size_t n)
{
	GString *text = g_string_sized_new(n * 3);

	for (const guchar *p = bytes; n > 0; p++, n--)
		if (g_ascii_isalnum(*p))
			g_string_append_c(text, (char)*p);
		else
			g_string_append_printf(text, "\\%02x", *p);
	return g_string_free(text, FALSE);
}
