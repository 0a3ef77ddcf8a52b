/* SPDX-License-Identifier: Apache-2.0 */
#include "client/rest.h"
#include "common/error.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define GROUP "session"
#define DEFAULT_PATH "/ovirt-engine/api"

/* "engine" -> https://engine/ovirt-engine/api. Plain HTTP would show the password to the network: loopback only. */
static char *complete_url(const char *text, GError **error)
{
	g_autofree char *url = strstr(text, "://") ? g_strdup(text) : g_strconcat("https://", text, NULL);
	g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
	const char *scheme = uri ? g_uri_get_scheme(uri) : NULL, *path = uri ? g_uri_get_path(uri) : "";
	const char *name = uri && g_uri_get_host(uri) ? g_uri_get_host(uri) : "";

	if (!scheme || !*name || g_uri_get_query(uri) || g_uri_get_userinfo(uri)) {
		error_set(error, ERR_BAD_VALUE, "engine URL '%s': write it as https://HOST[:PORT]/ovirt-engine/api", text);
		return NULL;
	}
	if (strcmp(scheme, "https") != 0 &&
	    !(strcmp(scheme, "http") == 0 && (strcmp(name, "127.0.0.1") == 0 || strcmp(name, "localhost") == 0 || strcmp(name, "::1") == 0))) {
		error_set(error, ERR_BAD_VALUE, "engine URL '%s': only https:// is spoken", text);
		return NULL;
	}
	while (g_str_has_suffix(url, "/"))
		url[strlen(url) - 1] = 0;
	if (!path[strspn(path, "/")])
		return g_strconcat(url, DEFAULT_PATH, NULL);
	return g_steal_pointer(&url);
}

struct session *session_new(const char *url, const char *ca, const char *user, GError **error)
{
	struct session *session;
	char *whole = complete_url(url, error);

	if (!whole)
		return NULL;
	session = g_new0(struct session, 1);
	session->url = whole;
	session->ca = ca && *ca ? g_canonicalize_filename(ca, NULL) : NULL;
	session->user = g_strdup(user);
	return session;
}

struct session *session_free(struct session *session)
{
	if (session) {
		g_free(session->url);
		g_free(session->ca);
		g_free(session->user);
		if (session->password)
			explicit_bzero(session->password, strlen(session->password));
		g_free(session->password);
		g_free(session->cookie);
		g_free(session);
	}
	return NULL;
}

char *session_file(const char *name)
{
	return g_build_filename(g_get_user_config_dir(), "berth", name, NULL);
}

struct session *session_stored(GError **error)
{
	g_autofree char *file = session_file("session"), *url = NULL, *ca = NULL, *user = NULL;
	g_autoptr(GKeyFile) stored = g_key_file_new();
	g_autoptr(GError) cause = NULL;
	struct session *session;

	if (!g_key_file_load_from_file(stored, file, G_KEY_FILE_NONE, &cause)) {
		if (g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			error_set_literal(error, ERR_UNAUTHORIZED, "no session: run `berth login` first");
		else
			error_set(error, ERR_IO_FAILED, "session file '%s': %s; run `berth login` again", file, cause->message);
		return NULL;
	}
	url = g_key_file_get_string(stored, GROUP, "url", NULL);
	ca = g_key_file_get_string(stored, GROUP, "ca", NULL);
	user = g_key_file_get_string(stored, GROUP, "user", NULL);
	session = url ? session_new(url, ca, user, NULL) : NULL;
	if (session)
		session->cookie = g_key_file_get_string(stored, GROUP, "cookie", NULL);
	if (!session || !session->cookie) {
		error_set_literal(error, ERR_UNAUTHORIZED, "no session: run `berth login` first");
		return session_free(session);
	}
	return session;
}

/* The cookie is as good as the password while the session lasts. */
static bool is_private(GError **error)
{
	g_autofree char *file = session_file("session");
	GStatBuf status;

	if (g_stat(file, &status) != 0 || !(status.st_mode & (S_IRWXG | S_IRWXO)))
		return true;
	g_set_error(error, BERTH_ERROR, ERR_UNAUTHORIZED, "session file '%s': others can read it; run `berth login` again", file);
	return false;
}

struct session *session_load(GError **error)
{
	const char *url = g_getenv("ENGINE_URL"), *password = g_getenv("ENGINE_PASSWORD"), *user = g_getenv("ENGINE_USER");
	struct session *session;

	if (!url || !*url || !password || !*password)
		return is_private(error) ? session_stored(error) : NULL;
	session = session_new(url, g_getenv("ENGINE_CA"), user && *user ? user : "admin@internal", error);
	if (session)
		session->password = g_strdup(password);
	return session;
}

bool session_store(const struct session *session, GError **error)
{
	g_autofree char *file = session_file("session"), *directory = g_path_get_dirname(file), *text = NULL;
	g_autoptr(GKeyFile) stored = g_key_file_new();
	g_autoptr(GError) cause = NULL;
	gsize length;

	g_key_file_set_string(stored, GROUP, "url", session->url);
	if (session->ca)
		g_key_file_set_string(stored, GROUP, "ca", session->ca);
	if (session->user)
		g_key_file_set_string(stored, GROUP, "user", session->user);
	g_key_file_set_string(stored, GROUP, "cookie", session->cookie);
	text = g_key_file_to_data(stored, &length, NULL);
	if (g_mkdir_with_parents(directory, 0700) != 0) {
		error_set_errno(error, ERR_IO_FAILED, errno, "create directory '%s'", directory);
		return false;
	}
	if (!g_file_set_contents_full(file, text, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &cause) || g_chmod(file, 0600) != 0) {
		error_set(error, ERR_IO_FAILED, "store the session: %s", cause ? cause->message : g_strerror(errno));
		return false;
	}
	return true;
}

bool session_forget(GError **error)
{
	g_autofree char *file = session_file("session");

	if (g_unlink(file) != 0 && errno != ENOENT) {
		error_set_errno(error, ERR_IO_FAILED, errno, "remove '%s'", file);
		return false;
	}
	return true;
}
