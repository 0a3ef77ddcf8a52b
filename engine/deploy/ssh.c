/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSH through libssh2, on a worker thread, without a step that can hang.
 *
 * The socket and the session do not block; whoever gets EAGAIN waits in wait_for_peer(), the only place that waits. It gives up
 *
 *	- at the end of opening (open_usec): TCP, handshake, login. A server that accepts and sends nothing ends here;
 *	- when the server has sent nothing for silence_usec. A command may be quiet for long (a package that unpacks), so the server itself is asked for an answer
 *	  meanwhile (keep-alive of the protocol): what is silent then is dead, stopped or cut off;
 *	- at end_usec, in any case;
 *	- when this engine ends (ssh_stop()).
 *
 * libssh2 keeps a packet that was sent only in part and refuses any other until the rest is gone, so whatever is blocked by a full pipe is tried again until
 * it is not, before anything else is sent: attempt().
 *
 * Which of the server's keys is shown is the client's choice. When a fingerprint is wanted, each kind of key is asked for until it fits: administrators
 * write down the fingerprint of any. A key that does not fit ends the connection before anything secret is sent.
 */
#include "engine/deploy/ssh.h"

#include <errno.h>
#include <libssh2.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/error.h"
#include "common/lane.h"
#include "common/loop.h"
#include "common/resolve.h"

#define KEEPALIVES 4                    /* in the time of silence */
#define LOOK_S 1                        /* for the end of this engine */
#define CHUNK_BYTES 32000               /* of input: a packet of the protocol has 32768 */
#define LINE_MAX_BYTES 4096
#define FREE_TRIES 100

struct ssh {
	int fd;
	LIBSSH2_SESSION *session;
	char *where;                         /* "192.0.2.1:22" */
	const char *password;                /* while logging in */
	int64_t limit_usec, silence_usec, heard_usec;
	GError *failure;                     /* of waiting */
};

static int stopping;

void ssh_stop(void)
{
	g_atomic_int_set(&stopping, 1);
}

/* ---- waiting ---- */

static bool give_up(struct ssh *ssh, const char *why)
{
	if (!ssh->failure)
		error_set(&ssh->failure, ERR_OPERATION_FAILED, "%s", why);
	return false;
}

static short wanted_events(struct ssh *ssh)
{
	int directions = ssh->session ? libssh2_session_block_directions(ssh->session) : LIBSSH2_SESSION_BLOCK_OUTBOUND;
	short events = (short)((directions & LIBSSH2_SESSION_BLOCK_INBOUND ? POLLIN : 0) | (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0));

	return events ? events : POLLIN;
}

/* Until the socket has what the last call lacked. false: that takes too long, ssh->failure says so. */
static bool wait_for_peer(struct ssh *ssh)
{
	while (true) {
		struct pollfd poll_fd = { .fd = ssh->fd, .events = wanted_events(ssh) };
		int64_t now = now_usec(), silent = ssh->heard_usec + ssh->silence_usec, until = MIN(ssh->limit_usec, silent);
		int seconds, n;

		if (g_atomic_int_get(&stopping))
			return give_up(ssh, "this engine ends");
		if (now >= until)
			return give_up(ssh, now >= silent ? "the server has stopped answering" : "it took too long");
		if (!(poll_fd.events & POLLOUT))
			(void)libssh2_keepalive_send(ssh->session, &seconds);
		lane_wait_begin();
		n = poll(&poll_fd, 1, (int)MIN(LOOK_S * 1000, (until - now) / 1000 + 1));
		lane_wait_end();
		if (n < 0 && errno != EINTR)
			return give_up(ssh, g_strerror(errno));
		if (n > 0) {
			ssh->heard_usec = now_usec();
			return true;
		}
	}
}

/* Should the call be tried again? For loops around one call of libssh2. */
static bool again(struct ssh *ssh, ssize_t result)
{
	return result == LIBSSH2_ERROR_EAGAIN && wait_for_peer(ssh);
}

/* The same, only while a packet waits to be sent: a result of EAGAIN means then that the server has not sent what is asked for. */
static bool again_sending(struct ssh *ssh, ssize_t result)
{
	return result == LIBSSH2_ERROR_EAGAIN && libssh2_session_block_directions(ssh->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND && wait_for_peer(ssh);
}

static bool failed(struct ssh *ssh, const char *what, GError **error)
{
	char *text = NULL;

	if (!ssh->failure) {
		if (ssh->session)
			libssh2_session_last_error(ssh->session, &text, NULL, /* want_buf= */ 0);
		(void)give_up(ssh, text && *text ? text : "the connection was cut");
	}
	g_propagate_error(error, g_steal_pointer(&ssh->failure));
	error_wrap(error, "SSH server %s: %s", ssh->where, what);
	return false;
}

/* ---- opening ---- */

static bool connect_socket(struct ssh *ssh, const struct ssh_login *login, GError **error)
{
	struct sockaddr_storage address;
	socklen_t length, size = sizeof(int);
	int problem = 0, on = 1;

	if (!resolve_address(login->address, login->port, &address, &length, error))
		return false;
	ssh->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ssh->fd < 0) {
		(void)give_up(ssh, g_strerror(errno));
		return failed(ssh, "connect", error);
	}
	(void)setsockopt(ssh->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(ssh->fd, (struct sockaddr *)&address, length) < 0) {
		if (errno != EINPROGRESS)
			problem = errno;
		else if (!wait_for_peer(ssh))
			return failed(ssh, "connect", error);
		else
			(void)getsockopt(ssh->fd, SOL_SOCKET, SO_ERROR, &problem, &size);
	}
	if (problem) {
		(void)give_up(ssh, g_strerror(problem));
		return failed(ssh, "connect", error);
	}
	return true;
}

static bool shake_hands(struct ssh *ssh, const char *key_types, GError **error)
{
	int result;

	ssh->session = libssh2_session_init_ex(NULL, NULL, NULL, /* abstract= */ ssh);
	if (!ssh->session)
		return failed(ssh, "out of memory", error);
	libssh2_session_set_blocking(ssh->session, 0);
	libssh2_session_flag(ssh->session, LIBSSH2_FLAG_SIGPIPE, 0);
	if (libssh2_session_method_pref(ssh->session, LIBSSH2_METHOD_HOSTKEY, key_types))
		return failed(ssh, "host key", error);
	do
		result = libssh2_session_handshake(ssh->session, ssh->fd);
	while (again(ssh, result));
	return !result || failed(ssh, "handshake", error);
}

static struct ssh *connection_new(const struct ssh_login *login, const char *key_types, GError **error)
{
	struct ssh *ssh = g_new0(struct ssh, 1);

	ssh->fd = -1;
	ssh->where = g_strdup_printf(strchr(login->address, ':') ? "[%s]:%d" : "%s:%d", login->address, login->port);
	ssh->heard_usec = now_usec();
	ssh->silence_usec = login->silence_usec;
	ssh->limit_usec = MIN(ssh->heard_usec + login->open_usec, login->end_usec);
	if (connect_socket(ssh, login, error) && shake_hands(ssh, key_types, error))
		return ssh;
	return ssh_close(ssh);
}

/* ---- the server's key ---- */

static bool is_hex_of(const char *text, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = g_ascii_xdigit_value(text[0]), low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);

		if (low < 0 || (high << 4 | low) != bytes[i])
			return false;
		text += 2;
		if (*text == ':' && i + 1 < n)
			text++;
	}
	return !*text;
}

static char *sha256_text(const uint8_t sha256[32])
{
	g_autofree char *base64 = g_base64_encode(sha256, 32);

	base64[strcspn(base64, "=")] = '\0';
	return g_strconcat("SHA256:", base64, NULL);
}

bool ssh_fingerprint_fits(const char *given, const uint8_t sha256[32], const uint8_t md5[16])
{
	g_autofree char *text = g_strstrip(g_strdup(given)), *own = sha256_text(sha256);
	size_t prefix = strlen("SHA256:");

	if (!g_ascii_strncasecmp(text, "SHA256:", prefix)) {
		text[prefix + strcspn(text + prefix, "=")] = '\0';
		return !strcmp(text + prefix, own + prefix) || is_hex_of(text + prefix, sha256, 32);
	}
	if (!g_ascii_strncasecmp(text, "MD5:", 4))
		return is_hex_of(text + 4, md5, 16);
	return is_hex_of(text, md5, 16) || is_hex_of(text, sha256, 32);
}

static bool check_key(struct ssh *ssh, const char *wanted, char **ret_shown)
{
	const char *sha256 = libssh2_hostkey_hash(ssh->session, LIBSSH2_HOSTKEY_HASH_SHA256), *md5 = libssh2_hostkey_hash(ssh->session, LIBSSH2_HOSTKEY_HASH_MD5);
	static const uint8_t none[16];           /* where the system's policy has no MD5 */

	*ret_shown = sha256 ? sha256_text((const uint8_t *)sha256) : NULL;
	return sha256 && (!wanted || ssh_fingerprint_fits(wanted, (const uint8_t *)sha256, md5 ? (const uint8_t *)md5 : none));
}

/* The best first: it is the one that is kept when none is wanted. */
static const char *const key_types[] = {
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,ssh-rsa",
	"ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521", "ssh-rsa"
};

static struct ssh *open_trusted(const struct ssh_login *login, char **ret_fingerprint, GError **error)
{
	g_autofree char *first = NULL;

	for (size_t i = 0; i < (login->fingerprint ? G_N_ELEMENTS(key_types) : 1); i++) {
		g_autofree char *shown = NULL;
		g_autoptr(GError) own = NULL;
		struct ssh *ssh = connection_new(login, key_types[i], &own);

		if (ssh && check_key(ssh, login->fingerprint, &shown)) {
			*ret_fingerprint = g_steal_pointer(&shown);
			return ssh;
		}
		(void)ssh_close(ssh);
		/* a server need not have a key of every kind */
		if (own && !first) {
			g_propagate_error(error, g_steal_pointer(&own));
			return NULL;
		}
		if (!first)
			first = g_steal_pointer(&shown);
	}
	error_set(error, ERR_OPERATION_FAILED, "SSH server %s:%d: its key has the fingerprint %s, not %s", login->address, login->port,
		  first ? first : "(none)", login->fingerprint ? login->fingerprint : "(any)");
	return NULL;
}

/* ---- login ---- */

/* Called by libssh2, which frees the answers with free(). */
static void answer_prompts(const char *name, int name_len, const char *instruction, int instruction_len, int num_prompts,
			   const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts, LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
	const struct ssh *ssh = *abstract;

	for (int i = 0; i < num_prompts; i++) {
		responses[i].text = strdup(ssh->password);
		responses[i].length = (unsigned)strlen(ssh->password);
	}
}

static int by_password(struct ssh *ssh, const char *user, const char *methods)
{
	unsigned n = (unsigned)strlen(user);
	int result = LIBSSH2_ERROR_AUTHENTICATION_FAILED;

	if (strstr(methods, "password"))
		do
			result = libssh2_userauth_password_ex(ssh->session, user, n, ssh->password, (unsigned)strlen(ssh->password), NULL);
		while (again(ssh, result));
	if (result == LIBSSH2_ERROR_AUTHENTICATION_FAILED && strstr(methods, "keyboard-interactive"))
		do
			result = libssh2_userauth_keyboard_interactive_ex(ssh->session, user, n, answer_prompts);
		while (again(ssh, result));
	return result;
}

static int by_key(struct ssh *ssh, const char *user, const char *key)
{
	int result;

	do
		result = libssh2_userauth_publickey_frommemory(ssh->session, user, strlen(user), NULL, 0, key, strlen(key), NULL);
	while (again(ssh, result));
	return result;
}

static bool log_in(struct ssh *ssh, const struct ssh_login *login, GError **error)
{
	char *methods;
	int result;

	do
		methods = libssh2_userauth_list(ssh->session, login->user, (unsigned)strlen(login->user));
	while (!methods && again(ssh, libssh2_session_last_errno(ssh->session)));
	if (!methods)
		return libssh2_userauth_authenticated(ssh->session) || failed(ssh, "login", error);
	ssh->password = login->password;
	result = login->password ? by_password(ssh, login->user, methods) : by_key(ssh, login->user, login->key);
	ssh->password = NULL;
	if (!result)
		return true;
	if (result == LIBSSH2_ERROR_AUTHENTICATION_FAILED || result == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED)
		(void)give_up(ssh, login->password ? "the password is not accepted" : "the engine's key is not accepted");
	(void)failed(ssh, "login", error);
	error_wrap(error, "user '%s'", login->user);
	return false;
}

static void *init_library(void *data)
{
	return GINT_TO_POINTER(libssh2_init(/* flags= */ 0));
}

static bool library_is_ready(void)
{
	static GOnce once = G_ONCE_INIT;

	return !GPOINTER_TO_INT(g_once(&once, init_library, NULL));
}

struct ssh *ssh_open(const struct ssh_login *login, char **ret_fingerprint, GError **error)
{
	g_autofree char *fingerprint = NULL;
	struct ssh *ssh;

	if (!library_is_ready()) {
		error_set(error, ERR_OPERATION_FAILED, "libssh2 cannot be used");
		return NULL;
	}
	ssh = open_trusted(login, &fingerprint, error);
	if (!ssh || !log_in(ssh, login, error))
		return ssh_close(ssh);
	/* not before: a server that has not let us in takes no such packets */
	libssh2_keepalive_config(ssh->session, /* want_reply= */ 1, (unsigned)(login->silence_usec / G_USEC_PER_SEC / KEEPALIVES));
	ssh->limit_usec = login->end_usec;
	*ret_fingerprint = g_steal_pointer(&fingerprint);
	return ssh;
}

struct ssh *ssh_close(struct ssh *ssh)
{
	if (!ssh)
		return NULL;
	if (ssh->session)
		(void)libssh2_session_disconnect(ssh->session, "done");
	/* from here on nothing it tries to send can be "later" */
	if (ssh->fd >= 0)
		(void)shutdown(ssh->fd, SHUT_RDWR);
	for (int i = 0; ssh->session && i < FREE_TRIES && libssh2_session_free(ssh->session) == LIBSSH2_ERROR_EAGAIN; i++)
		;
	if (ssh->fd >= 0)
		close(ssh->fd);
	g_clear_error(&ssh->failure);
	g_free(ssh->where);
	g_free(ssh);
	return NULL;
}

/* ---- commands ---- */

struct talk {
	struct ssh *ssh;
	LIBSSH2_CHANNEL *channel;
	const struct ssh_streams *streams;
	char *chunk;                         /* of input, at..n not yet sent */
	size_t at, n;
	bool input_over;
	GString *lines[2];                   /* begun: of output, of errors */
};

static void give_line(struct talk *talk, bool is_error)
{
	GString *line = talk->lines[is_error];

	if (talk->streams->line)
		talk->streams->line(talk->streams->data, line->str, is_error);
	g_string_truncate(line, 0);
}

static void take(struct talk *talk, const char *bytes, size_t n, bool is_error)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n')
			give_line(talk, is_error);
		else if (bytes[i])
			g_string_append_c(talk->lines[is_error], bytes[i]);
		if (talk->lines[is_error]->len >= LINE_MAX_BYTES)
			give_line(talk, is_error);
	}
}

/* What there is of one of its outputs. ret_moved: there was something. */
static bool read_output(struct talk *talk, bool is_error, bool *ret_moved, GError **error)
{
	char buffer[8192];
	ssize_t n;

	do {
		do
			n = libssh2_channel_read_ex(talk->channel, is_error ? SSH_EXTENDED_DATA_STDERR : 0, buffer, sizeof(buffer));
		while (again_sending(talk->ssh, n));
		if (n > 0) {
			take(talk, buffer, (size_t)n, is_error);
			*ret_moved = true;
		}
	} while (n > 0);
	return n == 0 || (n == LIBSSH2_ERROR_EAGAIN && !talk->ssh->failure) || failed(talk->ssh, "read", error);
}

static bool end_input(struct talk *talk, GError **error)
{
	int result;

	do
		result = libssh2_channel_send_eof(talk->channel);
	while (again(talk->ssh, result));
	talk->input_over = true;
	/* one that has ended already is told nothing */
	return !result || libssh2_channel_eof(talk->channel) || failed(talk->ssh, "write", error);
}

static bool write_input(struct talk *talk, bool *ret_moved, GError **error)
{
	ssize_t n;

	if (talk->input_over)
		return true;
	if (talk->at == talk->n) {
		n = talk->streams->input ? talk->streams->input(talk->streams->data, talk->chunk, CHUNK_BYTES, error) : 0;
		if (n <= 0)
			return n == 0 && end_input(talk, error);
		talk->at = 0;
		talk->n = (size_t)n;
	}
	do
		n = libssh2_channel_write_ex(talk->channel, 0, talk->chunk + talk->at, talk->n - talk->at);
	while (again_sending(talk->ssh, n));
	if (n > 0) {
		talk->at += (size_t)n;
		*ret_moved = true;
		return true;
	}
	if (n == LIBSSH2_ERROR_CHANNEL_CLOSED || n == LIBSSH2_ERROR_CHANNEL_EOF_SENT || (n < 0 && n != LIBSSH2_ERROR_EAGAIN && libssh2_channel_eof(talk->channel)))
		talk->input_over = true;
	else if ((n < 0 && n != LIBSSH2_ERROR_EAGAIN) || talk->ssh->failure)
		return failed(talk->ssh, "write", error);
	return true;
}

static bool converse(struct talk *talk, GError **error)
{
	while (true) {
		bool moved = false;

		if (!write_input(talk, &moved, error) || !read_output(talk, false, &moved, error) || !read_output(talk, true, &moved, error))
			return false;
		if (moved)
			continue;
		if (libssh2_channel_eof(talk->channel))
			return true;
		if (!wait_for_peer(talk->ssh))
			return failed(talk->ssh, "command", error);
	}
}

static bool finish(struct talk *talk, int *ret_status, GError **error)
{
	char *signal_name = NULL;
	int result;

	do
		result = libssh2_channel_close(talk->channel);
	while (again(talk->ssh, result));
	if (!result)
		do
			result = libssh2_channel_wait_closed(talk->channel);
		while (again(talk->ssh, result));
	if (result)
		return failed(talk->ssh, "command", error);
	(void)libssh2_channel_get_exit_signal(talk->channel, &signal_name, NULL, NULL, NULL, NULL, NULL);
	*ret_status = signal_name ? -1 : libssh2_channel_get_exit_status(talk->channel);
	libssh2_free(talk->ssh->session, signal_name);
	return true;
}

static LIBSSH2_CHANNEL *open_channel(struct ssh *ssh)
{
	LIBSSH2_CHANNEL *channel;

	do
		channel = libssh2_channel_open_session(ssh->session);
	while (!channel && again(ssh, libssh2_session_last_errno(ssh->session)));
	return channel;
}

bool ssh_run(struct ssh *ssh, const char *command, const struct ssh_streams *streams, int *ret_status, GError **error)
{
	struct talk talk = { .ssh = ssh, .streams = streams };
	bool ok;
	int result;

	ssh->heard_usec = now_usec();
	talk.channel = open_channel(ssh);
	if (!talk.channel)
		return failed(ssh, "open a channel", error);
	do
		result = libssh2_channel_exec(talk.channel, command);
	while (again(ssh, result));
	talk.chunk = g_malloc(CHUNK_BYTES);
	talk.lines[0] = g_string_new(NULL);
	talk.lines[1] = g_string_new(NULL);
	ok = result ? failed(ssh, "run a command", error) : converse(&talk, error) && finish(&talk, ret_status, error);
	for (int i = 0; i < 2; i++) {
		if (talk.lines[i]->len)
			give_line(&talk, i);
		g_string_free(talk.lines[i], TRUE);
	}
	g_free(talk.chunk);
	/* of one that was cut off the rest goes with the session */
	if (ok)
		(void)libssh2_channel_free(talk.channel);
	return ok;
}
