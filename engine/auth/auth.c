/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and passwords.
 *
 * Today there is one user, admin@internal, who may do everything; directories come later and add users, not mechanisms. The file data_dir/auth holds
 * "user@domain:hash" lines with crypt(3) hashes (yescrypt), so that reading it does not tell a password.
 *
 * Checking a password costs tens of milliseconds on purpose. A client with Basic on every request would pay that each time, so a credential that was
 * verified is remembered for AUTH_CACHE_USEC: not itself, but its HMAC-SHA256 under a key that lives and dies with this process. At most
 * AUTH_CACHE_MAX are kept; refused ones are never remembered, so that guessing stays slow. The time is not renewed by use: a credential is checked
 * again at least every five minutes.
 *
 * An unknown user costs as much time as a known one with a wrong password (the password is hashed against a fixed setting), so that names cannot be
 * found out by the clock.
 */
#include "engine/auth/auth.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/auth/auth-priv.h"

#define LOG_MODULE "auth"

struct cached { int64_t until_usec; };

static uint8_t *random_bytes(uint8_t *bytes, size_t n)
{
	if (RAND_bytes(bytes, (int)n) != 1)
		g_error("no random numbers");        /* nothing safe can be done without */
	return bytes;
}

/* ---- password hashes ---- */

static char *hash_password(const char *password, const char *setting)
{
	struct crypt_data *data = g_new0(struct crypt_data, 1);
	char *hash = NULL;
	char *made = setting ? NULL : crypt_gensalt_ra("$y$", 0, NULL, 0);
	const char *result = crypt_r(password, setting ? setting : made ? made : "*0", data);
	if (result && result[0] != '*')
		hash = g_strdup(result);
	free(made);
	OPENSSL_cleanse(data, sizeof(*data));
	g_free(data);
	return hash;
}

static bool password_matches(const char *password, const char *hash)
{
	char *made = hash_password(password, hash);
	bool same = made && strlen(made) == strlen(hash) && CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
	g_free(made);
	return same;
}

static bool write_secret(const char *file, const char *text, GError **error)
{
	char *temporary = g_strdup_printf("%s.new", file);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t n = strlen(text);
	bool ok = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	if (ok && rename(temporary, file) != 0)
		ok = false;
	if (!ok) {
		error_set_errno(error, ERR_IO_FAILED, errno, "write '%s'", file);
		(void)unlink(temporary);
	}
	g_free(temporary);
	return ok;
}

static void read_hashes(struct auth *auth, const char *text)
{
	char **lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_strstrip(*line);
		char *colon = strchr(*line, ':');
		if (!colon || (*line)[0] == '#')
			continue;
		*colon = '\0';
		g_hash_table_replace(auth->hashes, g_ascii_strdown(*line, -1), g_strdup(colon + 1));
	}
	g_strfreev(lines);
}

static bool write_hashes(struct auth *auth, const char *file, GError **error)
{
	GString *text = g_string_new(NULL);
	GHashTableIter iter;
	gpointer name, hash;
	g_hash_table_iter_init(&iter, auth->hashes);
	while (g_hash_table_iter_next(&iter, &name, &hash))
		g_string_append_printf(text, "%s:%s\n", (const char *)name, (const char *)hash);
	bool ok = write_secret(file, text->str, error);
	g_string_free(text, TRUE);
	return ok;
}

static char *draw_password(void)
{
	static const char letters[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789..";
	uint8_t bytes[16];
	char password[sizeof(bytes) + 1];
	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		password[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	password[sizeof(bytes)] = '\0';
	return g_strdup(password);
}

/* The administrator's password as the settings want it, or NULL to keep the stored one. */
static bool wanted_password(const struct auth_settings *settings, bool stored, char **ret_password, GError **error)
{
	if (settings->admin_password_file) {
		char *text = NULL;
		GError *problem = NULL;
		if (!g_file_get_contents(settings->admin_password_file, &text, NULL, &problem)) {
			error_set(error, ERR_IO_FAILED, "[auth] admin_password_file: %s", problem->message);
			g_error_free(problem);
			return false;
		}
		text[strcspn(text, "\r\n")] = '\0';
		if (!text[0]) {
			error_set(error, ERR_CONFIG_INVALID, "[auth] admin_password_file: the first line of '%s' is empty", settings->admin_password_file);
			g_free(text);
			return false;
		}
		*ret_password = text;
		return true;
	}
	*ret_password = NULL;
	if (!stored) {
		char *password = draw_password();
		char *file = g_build_filename(settings->data_dir, "initial-password", NULL);
		char *line = g_strdup_printf("%s\n", password);
		bool ok = write_secret(file, line, error);
		if (ok)
			log_warn("no password is set for " AUTH_ADMIN_NAME ": drew one, see '%s'", file);
		g_free(line);
		g_free(file);
		if (!ok) {
			g_free(password);
			return false;
		}
		*ret_password = password;
	}
	return true;
}

static void session_free(gpointer session)
{
	g_free(session);
}

struct auth *auth_new(const struct auth_settings *settings, GError **error)
{
	struct auth *auth = g_new0(struct auth, 1);
	pthread_mutex_init(&auth->lock, NULL);
	auth->hashes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	auth->cache = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
	auth->sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, session_free);
	auth->admin = (struct auth_user){ .id = AUTH_ADMIN_ID, .name = AUTH_ADMIN_NAME };
	auth->session_idle_usec = settings->session_idle_usec ? settings->session_idle_usec : AUTH_SESSION_IDLE_MIN * 60 * (int64_t)G_USEC_PER_SEC;
	auth->clock = settings->clock ? settings->clock : now_usec;
	auth->last_login_usec = INT64_MIN / 2;
	random_bytes(auth->key, sizeof(auth->key));

	char *file = g_build_filename(settings->data_dir, "auth", NULL), *text = NULL, *password = NULL;
	if (g_file_get_contents(file, &text, NULL, NULL))
		read_hashes(auth, text);
	const char *stored = g_hash_table_lookup(auth->hashes, AUTH_ADMIN_NAME);
	bool ok = wanted_password(settings, stored != NULL, &password, error);
	if (ok && password && !(stored && password_matches(password, stored))) {
		char *hash = hash_password(password, NULL);
		if (hash) {
			g_hash_table_replace(auth->hashes, g_strdup(AUTH_ADMIN_NAME), hash);
			ok = write_hashes(auth, file, error);
		} else {
			error_set(error, ERR_GENERAL, "cannot hash the password of %s", AUTH_ADMIN_NAME);
			ok = false;
		}
	}
	if (password)
		OPENSSL_cleanse(password, strlen(password));
	g_free(password);
	g_free(text);
	g_free(file);
	return ok ? auth : auth_free(auth);
}

struct auth *auth_free(struct auth *auth)
{
	if (!auth)
		return NULL;
	g_hash_table_unref(auth->hashes);
	g_hash_table_unref(auth->cache);
	g_hash_table_unref(auth->sessions);
	pthread_mutex_destroy(&auth->lock);
	OPENSSL_cleanse(auth->key, sizeof(auth->key));
	g_free(auth);
	return NULL;
}

/* ---- Basic ---- */

bool auth_parse_basic(const char *header, char **ret_name, char **ret_password)
{
	if (!header || g_ascii_strncasecmp(header, "Basic ", 6) != 0)
		return false;
	const char *text = header + 6;
	text += strspn(text, " ");
	size_t n = strlen(text);
	/* g_base64_decode() skips what it does not know; a broken header must fail. */
	size_t letters = 0;
	while (g_ascii_isalnum(text[letters]) || text[letters] == '+' || text[letters] == '/')
		letters++;
	size_t padding = strspn(text + letters, "=");
	if (n == 0 || letters + padding != n || padding > 2 || n % 4 != 0 || n > 4096)
		return false;
	gsize length = 0;
	guchar *plain = g_base64_decode(text, &length);
	bool ok = plain && length > 0 && !memchr(plain, '\0', length);
	if (ok) {
		char *pair = g_strndup((const char *)plain, length);
		char *colon = strchr(pair, ':');
		char *at = colon ? memchr(pair, '@', (size_t)(colon - pair)) : NULL;
		ok = colon && at && at > pair && at + 1 < colon && g_utf8_validate(pair, -1, NULL);
		if (ok) {
			*ret_name = g_strndup(pair, (size_t)(colon - pair));
			*ret_password = g_strdup(colon + 1);
		}
		OPENSSL_cleanse(pair, length);
		g_free(pair);
	}
	if (plain)
		OPENSSL_cleanse(plain, length);
	g_free(plain);
	return ok;
}

static GBytes *header_key(struct auth *auth, const char *header)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	HMAC(EVP_sha256(), auth->key, sizeof(auth->key), (const uint8_t *)header, strlen(header), digest, &length);
	return g_bytes_new(digest, length);
}

const struct auth_user *auth_cached(struct auth *auth, const char *header)
{
	if (!header)
		return NULL;
	const struct auth_user *user = NULL;
	GBytes *key = header_key(auth, header);
	AUTO_LOCK(&auth->lock);
	struct cached *cached = g_hash_table_lookup(auth->cache, key);
	if (cached && cached->until_usec > auth->clock())
		user = &auth->admin;
	else if (cached)
		g_hash_table_remove(auth->cache, key);
	g_bytes_unref(key);
	return user;
}

static gboolean is_old(gpointer key, gpointer value, gpointer now)
{
	return ((struct cached *)value)->until_usec <= *(const int64_t *)now;
}

static void remember(struct auth *auth, const char *header, bool *ret_first)
{
	GBytes *key = header_key(auth, header);
	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();
	if (g_hash_table_size(auth->cache) >= AUTH_CACHE_MAX)
		g_hash_table_foreach_remove(auth->cache, is_old, &now);
	if (g_hash_table_size(auth->cache) >= AUTH_CACHE_MAX)
		g_hash_table_remove_all(auth->cache);
	struct cached *cached = g_new0(struct cached, 1);
	cached->until_usec = now + AUTH_CACHE_USEC;
	g_hash_table_replace(auth->cache, key, cached);
	if (ret_first)
		*ret_first = now - auth->last_login_usec > AUTH_CACHE_USEC;
	auth->last_login_usec = now;
}

const struct auth_user *auth_verify(struct auth *auth, const char *header, bool *ret_first)
{
	static const char nobody[] = "$y$j9T$000000000000000000000.$0000000000000000000000000000000000000000000";
	char *name = NULL, *password = NULL;
	if (!auth_parse_basic(header, &name, &password))
		return NULL;
	char *lower = g_ascii_strdown(name, -1);
	const char *hash = g_hash_table_lookup(auth->hashes, lower);
	bool ok = password_matches(password, hash ? hash : nobody) && hash && strcmp(lower, AUTH_ADMIN_NAME) == 0;
	if (ok)
		remember(auth, header, ret_first);
	else
		log_info("login of '%.64s' refused", name);
	OPENSSL_cleanse(password, strlen(password));
	g_free(lower);
	g_free(name);
	g_free(password);
	return ok ? &auth->admin : NULL;
}
