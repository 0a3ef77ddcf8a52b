/* SPDX-License-Identifier: Apache-2.0 */
/* berth login, berth logout: a session of the engine is opened and kept in a file; the password is used once and forgotten. */
#include "client/client.h"
#include "client/rest.h"
#include "common/error.h"
#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 1024
#define LOGIN_SECONDS 60

static bool help;
static const char *url, *ca, *user, *password_file;

static const struct cli_option login_options[] = {
	{ "url", 0, "URL", "https://HOST[:PORT]/ovirt-engine/api (ENGINE_URL, else that of the last session)", .text = &url },
	{ "ca", 0, "FILE", "CA that signed the engine's certificate (ENGINE_CA, else the system's)", .text = &ca },
	{ "user", 'u', "USER", "NAME@DOMAIN (ENGINE_USER, else admin@internal)", .text = &user },
	{ "password-file", 0, "FILE", "its first line is the password; - is standard input (else ENGINE_PASSWORD, else asked for)", .text = &password_file },
	{ "help", 'h', NULL, "show this text", .flag = &help },
};

/* One line without its end; NULL: nothing there. */
static char *read_line(FILE *in)
{
	char buffer[PASSWORD_MAX + 2];
	char *line = NULL;

	if (fgets(buffer, sizeof(buffer), in)) {
		buffer[strcspn(buffer, "\r\n")] = 0;
		line = *buffer ? g_strdup(buffer) : NULL;
	}
	explicit_bzero(buffer, sizeof(buffer));
	return line;
}

static char *ask(const char *who)
{
	struct termios shown, hidden;
	char *line;

	if (tcgetattr(STDIN_FILENO, &shown) != 0)
		return read_line(stdin);
	hidden = shown;
	hidden.c_lflag &= (tcflag_t)~ECHO;
	fprintf(stderr, "Password of %s: ", who);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	line = read_line(stdin);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	return line;
}

static char *get_password(void)
{
	const char *set = g_getenv("ENGINE_PASSWORD");
	char *password;
	FILE *in;

	if (!password_file && set && *set)
		return g_strdup(set);
	if (!password_file && isatty(STDIN_FILENO))
		password = ask(user);
	else if (!password_file || strcmp(password_file, "-") == 0)
		password = read_line(stdin);
	else {
		in = fopen(password_file, "re");
		if (!in) {
			complain("--password-file '%s': %s", password_file, g_strerror(errno));
			return NULL;
		}
		password = read_line(in);
		fclose(in);
	}
	if (!password)
		complain("no password was given: type it, pipe it in, or use --password-file FILE");
	return password;
}

static int open_session(struct session *session)
{
	g_autoptr(GError) error = NULL;
	struct rest_answer answer = { 0 };
	struct rest *rest = rest_new(session, LOGIN_SECONDS, &error);
	int status = EXIT_FAILED;

	if (!rest || !rest_request_full(rest, "GET", "", NULL, REST_OPEN_SESSION, NULL, &answer, &error)) {
		if (error_is(error, ERR_NOT_FOUND))
			complain("%s; is %s the engine's API?", error->message, session->url);
		else
			complain("%s", error->message);
		status = exit_status(error);
	} else if (!answer.cookie) {
		complain("%s answered, but opened no session: is it the engine's API?", session->url);
	} else {
		session->cookie = g_strdup(answer.cookie);
		documents_forget();
		status = session_store(session, &error) ? 0 : report_failure(error);
	}
	rest_answer_clear(&answer);
	rest_free(rest);
	return status;
}

int login_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	struct session *last, *session;
	int status;

	if (!options_parse(login_options, G_N_ELEMENTS(login_options), "login", argc, argv, words))
		return EXIT_USAGE;
	if (help) {
		puts("usage: berth login [OPTION...]\n\nOpen a session on an engine. The session is stored, the password is not.");
		options_help(stdout, login_options, G_N_ELEMENTS(login_options));
		return 0;
	}
	if (words->len)
		return usage_error("login: '%s' is not expected; `berth login --help` explains it", (const char *)words->pdata[0]);
	last = session_stored(NULL);
	if (!url)
		url = g_getenv("ENGINE_URL");
	if ((!url || !*url) && last) {
		url = last->url;
		if (!ca)
			ca = last->ca;
		if (!user)
			user = last->user;
	}
	if (!ca)
		ca = g_getenv("ENGINE_CA");
	if (!user)
		user = g_getenv("ENGINE_USER");
	if (!user || !*user)
		user = "admin@internal";
	if (!url || !*url) {
		session_free(last);
		return usage_error("login: --url is missing: https://HOST:8443/ovirt-engine/api");
	}
	session = session_new(url, ca, user, &error);
	if (!session) {
		session_free(last);
		return usage_error("%s", error->message);
	}
	session->password = get_password();
	status = session->password ? open_session(session) : EXIT_FAILED;
	if (status == 0)
		printf("logged in to %s as %s\n", session->url, session->user);
	session_free(session);
	session_free(last);
	return status;
}

int logout_main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL, ignored = NULL;
	struct rest_answer answer = { 0 };
	struct session *session;
	struct rest *rest;

	if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
		puts("usage: berth logout\n\nEnd the session on the engine and forget it.");
		return 0;
	}
	if (argc > 1)
		return usage_error("logout: '%s' is not expected", argv[1]);
	session = session_stored(&error);
	if (!session) {
		if (error_is(error, ERR_UNAUTHORIZED))
			return 0;            /* nothing to end */
		return report_failure(error);
	}
	/* Whether the engine can be reached or knows the session any more makes no difference here. */
	rest = rest_new(session, LOGIN_SECONDS, &ignored);
	if (rest)
		(void)rest_request_full(rest, "GET", "", NULL, REST_CLOSE_SESSION, NULL, &answer, &ignored);
	rest_answer_clear(&answer);
	rest_free(rest);
	session_free(session);
	return session_forget(&error) ? 0 : report_failure(error);
}

void login_complete(GPtrArray *words, GPtrArray *ret)
{
	options_complete(login_options, G_N_ELEMENTS(login_options), ret);
}
