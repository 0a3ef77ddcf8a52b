/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in.
 *
 * Names are user@domain. A domain is a directory (directory.h): it says whether the password is right and who the user is. Whether he may come in is
 * said by the engine's permissions: one of his own or of one of his groups must carry the permit "login". Somebody who comes with a group is added to
 * the users then; what the directory says of a user and his groups is taken over at each login with a password and whenever he is looked up again. The
 * built-in administrator may always. Users are known by their ids: one who was renamed keeps his permissions and sessions, and they show the new name; who
 * has his old name now is somebody else.
 *
 * Checking a password costs tens of milliseconds on purpose. A client with Basic on every request would pay that each time, so a credential that was
 * verified is remembered for AUTH_CACHE_USEC: not itself, but its HMAC-SHA256 under a key that lives and dies with this process. At most
 * AUTH_CACHE_MAX are kept; refused ones are never remembered, so that guessing stays slow. The time is not renewed by use: a credential is checked
 * again at least every five minutes. When the file of accounts changes (looked at once a second at most, while somebody asks), all are forgotten, and the
 * sessions of users that are gone or disabled end.
 *
 * What a server says of an account (a directory with recheck_usec) counts for so long, in that memory and in sessions: then the user is looked up again,
 * beside the request that was made with the session. Gone, disabled, expired: his sessions end. No answer: they go on, and it is asked again later; a
 * directory that is away for an hour does not throw out everybody.
 *
 * Wrong passwords, by name, whether there is such a user or not:
 *
 *	1 to 5            refused
 *	from the 5th on   nothing is looked at for 1, 2, 4, ... at most TRIES_PAUSE_MAX seconds after each; then there is one more try
 *	a right one, or TRIES_FORGET_USEC without a wrong one: forgotten
 *
 * Sessions and remembered credentials are not touched by it: who tries somebody else's password does not throw him out. At most TRIES_MAX names are
 * kept, those that were tried last.
 */
#include "engine/auth/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/auth/accounts.h"
#include "engine/auth/auth-priv.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/store/store.h"

#define LOG_MODULE "auth"
#define ACCESSES_MAX 4096
#define TRIES_MAX 10000
#define TRIES_PAUSE_MAX 300
#define TRIES_FORGET_USEC (900 * (int64_t)G_USEC_PER_SEC)
#define LOOK_USEC ((int64_t)G_USEC_PER_SEC)
#define TELL_USEC (30 * (int64_t)G_USEC_PER_SEC)

struct cached { const struct auth_user *user; int64_t until_usec; };
struct tries { unsigned wrong; int64_t last_usec, until_usec, told_usec; };

static uint8_t *random_bytes(uint8_t *bytes, size_t n)
{
	if (RAND_bytes(bytes, (int)n) != 1)
		g_error("no random numbers");        /* nothing safe can be done without */
	return bytes;
}

/* ---- the administrator's password ---- */

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

static bool prepare_administrator(const struct auth_settings *settings, GError **error)
{
	int lock = accounts_lock(settings->data_dir, error);
	struct accounts *accounts = lock >= 0 ? accounts_load(settings->data_dir, error) : NULL;
	char *password = NULL;
	bool ok = false;

	if (accounts) {
		struct account *admin = accounts_user(accounts, "admin");
		ok = wanted_password(settings, admin != NULL, &password, error);
		if (ok && password && !(admin && password_matches(password, admin->hash))) {
			if (!admin)
				admin = accounts_add_user(accounts, "admin", error);
			set_string(&admin->hash, NULL);
			admin->hash = password_hash(password, NULL);
			set_string(&admin->id, AUTH_ADMIN_ID);
			if (!admin->hash)
				error_set(error, ERR_GENERAL, "cannot hash the password of %s", AUTH_ADMIN_NAME);
			ok = admin->hash && accounts_save(accounts, settings->data_dir, error);
		}
		accounts_free(accounts);
	}
	if (lock >= 0)
		(void)close(lock);
	if (password)
		OPENSSL_cleanse(password, strlen(password));
	g_free(password);
	return ok;
}

/* ---- life ---- */

static void user_free(gpointer data)
{
	struct known_user *known = data;
	g_free((char *)known->user.id);
	g_free((char *)known->user.name);
	g_free(known);
}

struct auth *auth_new(const struct auth_settings *settings, GError **error)
{
	struct auth *auth = g_new0(struct auth, 1);
	pthread_mutex_init(&auth->lock, NULL);
	auth->users = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, user_free);
	auth->renamed = g_ptr_array_new_with_free_func(user_free);
	auth->cache = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
	auth->tries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	auth->accesses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)access_unref);
	auth->sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	auth->session_idle_usec = settings->session_idle_usec ? settings->session_idle_usec : AUTH_SESSION_IDLE_MIN * 60 * (int64_t)G_USEC_PER_SEC;
	auth->clock = settings->clock ? settings->clock : now_usec;
	auth->model = settings->model;
	auth->store = settings->store;
	random_bytes(auth->key, sizeof(auth->key));
	if (!prepare_administrator(settings, error) || !(auth->directories[0] = internal_directory_new(settings->data_dir, error)) ||
	    !domains_load(auth->directories, AUTH_DIRECTORIES_MAX, settings->domains_dir, error))
		return auth_free(auth);
	return auth;
}

struct auth *auth_free(struct auth *auth)
{
	if (!auth)
		return NULL;
	for (struct directory **directory = auth->directories; *directory; directory++)
		*directory = directory_free(*directory);
	g_hash_table_unref(auth->cache);
	g_hash_table_unref(auth->tries);
	g_hash_table_unref(auth->accesses);
	g_hash_table_unref(auth->sessions);
	g_hash_table_unref(auth->users);
	g_ptr_array_unref(auth->renamed);
	pthread_mutex_destroy(&auth->lock);
	OPENSSL_cleanse(auth->key, sizeof(auth->key));
	g_free(auth);
	return NULL;
}

/* ---- directories ---- */

struct directory *const *auth_directories(struct auth *auth)
{
	return auth->directories;
}

struct directory *auth_directory(struct auth *auth, const char *id_or_name)
{
	for (struct directory **directory = auth->directories; *directory; directory++)
		if (g_ascii_strcasecmp((*directory)->name, id_or_name) == 0 || strcmp((*directory)->id, id_or_name) == 0)
			return *directory;
	return NULL;
}

struct directory *auth_directory_of(struct auth *auth, const char *user_name)
{
	const char *at = strrchr(user_name, '@');

	return at ? auth_directory(auth, at + 1) : NULL;
}

/* "internal/Groups/dev" -> "dev@internal/Groups", the form that users show */
static char *group_text(const char *name, const struct directory *directory)
{
	const char *last = strrchr(name, '/');

	if (!last)
		return g_strdup_printf("%s@%s", name, directory->name);
	return g_strdup_printf("%s@%.*s", last + 1, (int)(last - name), name);
}

struct user *auth_import(const struct directory_user *person, const struct directory *directory)
{
	struct user *user = record_new(&user_type);

	set_string(&user->id, person->id);
	set_string(&user->name, person->name);
	set_string(&user->last_name, person->last_name);
	set_string(&user->user_name, person->user_name);
	set_string(&user->email, person->email);
	set_string(&user->domain, directory->name);
	for (guint i = 0; person->groups && i < person->groups->len; i++) {
		const struct directory_group *group = person->groups->pdata[i];
		if (!user->groups) {
			user->groups = strings_new();
			user->group_ids = strings_new();
		}
		g_ptr_array_add(user->groups, group_text(group->name, directory));
		g_ptr_array_add(user->group_ids, g_strdup(group->id));
	}
	return user;
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

static gboolean is_of(gpointer key, gpointer value, gpointer user)
{
	return strcmp(((struct cached *)value)->user->id, ((const struct auth_user *)user)->id) == 0;
}

/* The directory has just said that this is so. */
static const struct auth_user *known_user(struct auth *auth, const char *id, const char *name)
{
	AUTO_LOCK(&auth->lock);
	struct known_user *known = g_hash_table_lookup(auth->users, id);
	bool renamed = known && strcmp(known->user.name, name) != 0;
	if (renamed) {
		(void)g_hash_table_steal(auth->users, id);
		g_ptr_array_add(auth->renamed, known);
	}
	if (!known || renamed) {
		known = g_new0(struct known_user, 1);
		known->user = (struct auth_user){ .id = g_strdup(id), .name = g_strdup(name) };
		g_hash_table_insert(auth->users, (char *)known->user.id, known);
	}
	if (renamed) {
		session_rename(auth, &known->user);
		g_hash_table_foreach_remove(auth->cache, is_of, &known->user);
	}
	known->checked_usec = auth->clock();
	return &known->user;
}

/* The accounts are others: nothing that was known of passwords holds; who is gone or disabled is thrown out. */
static void take_accounts(struct auth *auth)
{
	struct directory *internal = auth->directories[0];
	g_autoptr(GPtrArray) users = internal->ops->users(internal, NULL);
	g_autoptr(GHashTable) enabled = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < users->len; i++) {
		const struct directory_user *user = users->pdata[i];
		if (!user->disabled)
			g_hash_table_add(enabled, user->id);
	}
	session_keep(auth, internal->name, enabled);
	AUTO_LOCK(&auth->lock);
	g_hash_table_remove_all(auth->cache);
}

void auth_look_at_accounts(struct auth *auth, bool now)
{
	{
		AUTO_LOCK(&auth->lock);
		int64_t clock = auth->clock();
		if (!now && clock - auth->looked_usec < LOOK_USEC)
			return;
		auth->looked_usec = clock;
	}
	if (internal_directory_refresh(auth->directories[0]))
		take_accounts(auth);
}

const struct auth_user *auth_cached(struct auth *auth, const char *header)
{
	if (!header)
		return NULL;
	const struct auth_user *user = NULL;
	GBytes *key = header_key(auth, header);
	auth_look_at_accounts(auth, /* now= */ false);
	AUTO_LOCK(&auth->lock);
	struct cached *cached = g_hash_table_lookup(auth->cache, key);
	if (cached && cached->until_usec > auth->clock())
		user = cached->user;
	else if (cached)
		g_hash_table_remove(auth->cache, key);
	g_bytes_unref(key);
	return user;
}

static gboolean is_old(gpointer key, gpointer value, gpointer now)
{
	return ((struct cached *)value)->until_usec <= *(const int64_t *)now;
}

static void remember(struct auth *auth, const char *header, const struct auth_user *user, const struct directory *directory)
{
	int64_t span = directory->recheck_usec ? MIN(directory->recheck_usec, AUTH_CACHE_USEC) : AUTH_CACHE_USEC;
	GBytes *key = header_key(auth, header);
	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();
	if (g_hash_table_size(auth->cache) >= AUTH_CACHE_MAX)
		g_hash_table_foreach_remove(auth->cache, is_old, &now);
	if (g_hash_table_size(auth->cache) >= AUTH_CACHE_MAX)
		g_hash_table_remove_all(auth->cache);
	struct cached *cached = g_new0(struct cached, 1);
	cached->user = user;
	cached->until_usec = now + span;
	g_hash_table_replace(auth->cache, key, cached);
}

/* ---- wrong passwords ---- */

static gboolean is_forgotten(gpointer key, gpointer value, gpointer now)
{
	return *(const int64_t *)now - ((struct tries *)value)->last_usec > TRIES_FORGET_USEC;
}

static void forget_oldest(GHashTable *all)
{
	GHashTableIter iter;
	gpointer key, value, oldest = NULL;
	int64_t last_usec = INT64_MAX;

	g_hash_table_iter_init(&iter, all);
	while (g_hash_table_iter_next(&iter, &key, &value))
		if (((struct tries *)value)->last_usec < last_usec) {
			last_usec = ((struct tries *)value)->last_usec;
			oldest = key;
		}
	if (oldest)
		g_hash_table_remove(all, oldest);
}

/* Is a pause on? */
static bool must_wait(struct auth *auth, const char *name, bool *ret_tell)
{
	AUTO_LOCK(&auth->lock);
	struct tries *tries = g_hash_table_lookup(auth->tries, name);
	int64_t now = auth->clock();

	if (!tries || tries->until_usec <= now)
		return false;
	*ret_tell = now - tries->told_usec > TELL_USEC;
	if (*ret_tell)
		tries->told_usec = now;
	return true;
}

/* true: this one began a pause */
static bool note_wrong(struct auth *auth, const char *name)
{
	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();
	struct tries *tries = g_hash_table_lookup(auth->tries, name);

	if (tries && now - tries->last_usec > TRIES_FORGET_USEC)
		tries->wrong = 0;
	if (!tries) {
		if (g_hash_table_size(auth->tries) >= TRIES_MAX)
			g_hash_table_foreach_remove(auth->tries, is_forgotten, &now);
		if (g_hash_table_size(auth->tries) >= TRIES_MAX)
			forget_oldest(auth->tries);
		tries = g_new0(struct tries, 1);
		tries->told_usec = now - TELL_USEC - 1;
		g_hash_table_insert(auth->tries, g_strdup(name), tries);
	}
	tries->wrong++;
	tries->last_usec = now;
	if (tries->wrong < AUTH_TRIES)
		return false;
	unsigned doublings = MIN(tries->wrong - AUTH_TRIES, 9);
	tries->until_usec = now + MIN(1 << doublings, TRIES_PAUSE_MAX) * (int64_t)G_USEC_PER_SEC;
	return true;
}

static void note_right(struct auth *auth, const char *name)
{
	AUTO_LOCK(&auth->lock);
	g_hash_table_remove(auth->tries, name);
}

/* ---- who may come in ---- */

struct access *auth_access(struct auth *auth, struct model *model, const char *user_id)
{
	{
		AUTO_LOCK(&auth->lock);
		struct access *access = g_hash_table_lookup(auth->accesses, user_id);
		if (access && access_is_current(access, model))
			return access_ref(access);
	}
	struct access *access = access_new(model, user_id);
	AUTO_LOCK(&auth->lock);
	if (g_hash_table_size(auth->accesses) >= ACCESSES_MAX)
		g_hash_table_remove_all(auth->accesses);
	g_hash_table_replace(auth->accesses, g_strdup(user_id), access_ref(access));
	return access;
}

static bool same_strings(const GPtrArray *a, const GPtrArray *b)
{
	guint n = a ? a->len : 0;
	if (n != (b ? b->len : 0))
		return false;
	for (guint i = 0; i < n; i++)
		if (strcmp(a->pdata[i], b->pdata[i]) != 0)
			return false;
	return true;
}

static bool take_text(char **ret_text, const char *fresh)
{
	if (g_strcmp0(*ret_text, fresh) == 0)
		return false;
	set_string(ret_text, fresh);
	return true;
}

static bool take_person(void *copy, struct change *change, void *data, GError **error)
{
	struct user *user = copy;
	const struct user *fresh = data;
	bool other = take_text(&user->user_name, fresh->user_name);

	other |= take_text(&user->name, fresh->name);
	other |= take_text(&user->last_name, fresh->last_name);
	other |= take_text(&user->email, fresh->email);
	if (same_strings(user->groups, fresh->groups) && same_strings(user->group_ids, fresh->group_ids))
		return other;
	CLEAR(user, groups);
	CLEAR(user, group_ids);
	record_overlay(user, fresh);
	return true;
}

/* Takes over what the directory says now. A name that is taken is no reason to keep groups which he is not in any more. */
static bool take_over(struct auth *auth, const struct user *known, struct user *fresh, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (store_modify(auth->store, &user_kind, known->id, take_person, fresh, NULL, &problem))
		return true;
	if (g_strcmp0(known->user_name, fresh->user_name) == 0) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	log_warn("user '%s' is still shown as '%s': %s", fresh->user_name, known->user_name, problem->message);
	set_string(&fresh->user_name, known->user_name);
	return store_modify(auth->store, &user_kind, known->id, take_person, fresh, NULL, error);
}

/* Somebody else has the name, as far as the engine knows: he was renamed since, and what the directory says of him now makes room. */
static void look_at_namesake(struct auth *auth, const struct user *fresh, struct directory *directory)
{
	g_autoptr(GPtrArray) users = model_list(auth->model, &user_kind);

	for (guint i = 0; i < users->len; i++) {
		const struct user *other = users->pdata[i];
		g_autoptr(GError) problem = NULL;
		if (strcmp(other->id, fresh->id) == 0 || !other->user_name || g_ascii_strcasecmp(other->user_name, fresh->user_name) != 0)
			continue;
		struct directory_user *person = directory->ops->user(directory, other->id, NULL, &problem);
		struct user *now = person ? auth_import(person, directory) : NULL;
		if (!now || !take_over(auth, other, now, &problem))
			log_warn("'%s' is also the name of user %s, who is to be removed if he is gone: %s", fresh->user_name, other->id, problem->message);
		record_unref(now);
		record_unref(person);
	}
}

/* Does a group of the user, one that the engine knows, let its members in? */
static bool group_lets_in(struct auth *auth, const struct user *user)
{
	g_autoptr(GPtrArray) permissions = model_list(auth->model, &permission_kind);

	for (guint i = 0; i < permissions->len; i++) {
		const struct permission *permission = permissions->pdata[i];
		if (permission->group.id && access_is_member(auth->model, user, permission->group.id))
			return true;
	}
	return false;
}

/* The account is good: is he let in? Adds him, or what his groups are now. A directory speaks for its own users: an id that is another's is not his. */
static bool admit(struct auth *auth, const struct directory_user *person, struct directory *directory)
{
	g_autoptr(GError) problem = NULL;

	if (strcmp(person->id, AUTH_ADMIN_ID) == 0)
		return directory == auth->directories[0];
	if (!auth->model || !auth->store)
		return false;
	struct user *fresh = auth_import(person, directory), *known = model_get(auth->model, &user_kind, person->id);
	bool own = !known || !known->domain || g_ascii_strcasecmp(known->domain, directory->name) == 0, ok = own;
	if (own)
		look_at_namesake(auth, fresh, directory);
	if (!own) {
		error_set(&problem, ERR_FORBIDDEN, "has the id of '%s'", known->user_name);
	} else if (known) {
		ok = take_over(auth, known, fresh, &problem);
	} else if (group_lets_in(auth, fresh)) {
		struct change *change = change_new(auth->store);
		change_add(change, fresh);
		ok = change_commit(change, &problem);
	}
	if (!ok)
		log_warn("user '%s': %s", person->user_name, problem->message);
	record_unref(fresh);
	record_unref(known);
	if (!own)
		return false;
	struct access *access = auth_access(auth, auth->model, person->id);
	ok = access_logs_in(access);
	access_unref(access);
	return ok;
}

/* ---- looking again ---- */

struct directory *auth_recheck_due(struct auth *auth, const struct auth_user *user)
{
	struct known_user *known = (struct known_user *)user;
	struct directory *directory = auth_directory_of(auth, user->name);
	AUTO_LOCK(&auth->lock);
	int64_t now = auth->clock();

	if (!directory || !directory->recheck_usec || now - known->checked_usec < directory->recheck_usec)
		return NULL;
	known->checked_usec = now;
	return directory;
}

void auth_recheck(struct auth *auth, const struct auth_user *user, struct directory *directory)
{
	g_autoptr(GError) problem = NULL;
	struct directory_user *person = directory->ops->user(directory, user->id, NULL, &problem);

	if (person && !person->disabled) {
		(void)admit(auth, person, directory);
		(void)known_user(auth, person->id, person->user_name);
	} else if (person || error_is(problem, ERR_NOT_FOUND)) {
		log_info("'%s' is %s: out", user->name, person ? "disabled or expired" : "not in the directory any more");
		session_end_all(auth, user);
		AUTO_LOCK(&auth->lock);
		g_hash_table_foreach_remove(auth->cache, is_of, (gpointer)user);
	} else {
		log_warn("'%s' could not be looked up again, his session goes on: %s", user->name, problem->message);
	}
	record_unref(person);
}

void auth_stop(struct auth *auth)
{
	for (struct directory **directory = auth->directories; *directory; directory++)
		if ((*directory)->ops->stop)
			(*directory)->ops->stop(*directory);
}

/* ---- passwords ---- */

const struct auth_user *auth_verify(struct auth *auth, const char *header, struct login *ret_login)
{
	g_autoptr(GError) problem = NULL;
	g_autofree char *lower = NULL;
	char *name = NULL, *password = NULL;
	const struct auth_user *user = NULL;
	struct directory_user *person = NULL;
	bool disabled = false;

	*ret_login = (struct login){ .outcome = LOGIN_WRONG, .tell = true };
	if (!auth_parse_basic(header, &name, &password))
		return NULL;
	ret_login->name = name;
	lower = g_utf8_strdown(name, -1);
	auth_look_at_accounts(auth, /* now= */ true);
	if (must_wait(auth, lower, &ret_login->tell)) {
		ret_login->outcome = LOGIN_LOCKED;
		goto end;
	}
	/* a domain that there is not costs what a wrong password does */
	struct directory *directory = auth_directory_of(auth, lower);
	if (directory)
		person = directory->ops->login(directory, lower, password, &disabled, &problem);
	else
		(void)auth->directories[0]->ops->login(auth->directories[0], lower, password, &disabled, NULL);
	if (!person) {
		bool wrong = !directory || error_is(problem, ERR_FORBIDDEN);
		ret_login->outcome = disabled ? LOGIN_LOCKED : wrong ? LOGIN_WRONG : LOGIN_UNAVAILABLE;
		if (wrong && !disabled && note_wrong(auth, lower))
			log_warn("'%.64s': too many wrong passwords, slowed down", name);
		log_info("login refused: %s", problem ? problem->message : "unknown domain");
		goto end;
	}
	note_right(auth, lower);
	if (admit(auth, person, directory)) {
		user = known_user(auth, person->id, person->user_name);
		remember(auth, header, user, directory);
		ret_login->outcome = LOGIN_OK;
	} else {
		ret_login->outcome = LOGIN_NOT_ALLOWED;
		log_info("login of '%.64s' refused: no permission lets him log in", name);
	}
end:
	record_unref(person);
	OPENSSL_cleanse(password, strlen(password));
	g_free(password);
	return user;
}
