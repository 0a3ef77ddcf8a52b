/* SPDX-License-Identifier: Apache-2.0 */
/* The file of accounts, and what a password is compared with. See accounts.h. */
#include "engine/auth/accounts.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/error.h"
#include "engine/model/user.h"

#define ACCOUNTS_FILE "auth"

/* ---- hashes ---- */

char *password_hash(const char *password, const char *setting)
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

bool password_matches(const char *password, const char *hash)
{
	char *made = password_hash(password, hash);
	bool same = made && strlen(made) == strlen(hash) && CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
	g_free(made);
	return same;
}

bool write_secret(const char *file, const char *text, GError **error)
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

/* ---- the lists ---- */

static void account_free(gpointer data)
{
	struct account *account = data;

	if (account->hash)
		OPENSSL_cleanse(account->hash, strlen(account->hash));
	g_free(account->name);
	g_free(account->hash);
	g_free(account->id);
	g_free(account->first);
	g_free(account->last);
	g_free(account->mail);
	g_strfreev(account->groups);
	g_free(account);
}

static void group_free(gpointer data)
{
	struct account_group *group = data;

	g_free(group->name);
	g_free(group->id);
	g_free(group);
}

static struct accounts *accounts_new(void)
{
	struct accounts *accounts = g_new0(struct accounts, 1);

	accounts->users = g_ptr_array_new_with_free_func(account_free);
	accounts->groups = g_ptr_array_new_with_free_func(group_free);
	return accounts;
}

struct accounts *accounts_free(struct accounts *accounts)
{
	if (!accounts)
		return NULL;
	g_ptr_array_unref(accounts->users);
	g_ptr_array_unref(accounts->groups);
	g_free(accounts);
	return NULL;
}

struct account *accounts_user(const struct accounts *accounts, const char *name)
{
	for (guint i = 0; i < accounts->users->len; i++) {
		struct account *account = accounts->users->pdata[i];
		if (g_ascii_strcasecmp(account->name, name) == 0)
			return account;
	}
	return NULL;
}

struct account_group *accounts_group(const struct accounts *accounts, const char *name)
{
	for (guint i = 0; i < accounts->groups->len; i++) {
		struct account_group *group = accounts->groups->pdata[i];
		if (g_ascii_strcasecmp(group->name, name) == 0)
			return group;
	}
	return NULL;
}

bool accounts_check_text(const char *what, const char *text, GError **error)
{
	bool fits = g_utf8_validate(text, -1, NULL) && strlen(text) <= 255;

	for (const char *p = text; *p && fits; p++)
		fits = !strchr(":,\\", *p) && (guchar)*p >= ' ';
	if (!fits)
		error_set(error, ERR_BAD_VALUE, "%s '%.64s' has letters that it cannot have (':', ',', '\\') or is longer than 255 bytes", what, text);
	return fits;
}

static bool check_name(const char *what, const char *name, GError **error)
{
	if (!accounts_check_text(what, name, error))
		return false;
	if (*name && !strpbrk(name, "@%# /") && *name != '-')
		return true;
	error_set(error, ERR_BAD_VALUE, "%s '%.64s' is empty, begins with '-', or has a blank, '@', '%%', '#' or '/' in it", what, name);
	return false;
}

struct account *accounts_add_user(struct accounts *accounts, const char *name, GError **error)
{
	if (!check_name("user", name, error))
		return NULL;
	if (accounts_user(accounts, name)) {
		error_set(error, ERR_BAD_VALUE, "there is a user '%s' already", name);
		return NULL;
	}
	struct account *account = g_new0(struct account, 1);
	account->name = g_strdup(name);
	account->id = g_uuid_string_random();
	account->groups = g_new0(char *, 1);
	g_ptr_array_add(accounts->users, account);
	return account;
}

struct account_group *accounts_add_group(struct accounts *accounts, const char *name, GError **error)
{
	if (!check_name("group", name, error))
		return NULL;
	if (accounts_group(accounts, name)) {
		error_set(error, ERR_BAD_VALUE, "there is a group '%s' already", name);
		return NULL;
	}
	struct account_group *group = g_new0(struct account_group, 1);
	group->name = g_strdup(name);
	group->id = g_uuid_string_random();
	g_ptr_array_add(accounts->groups, group);
	return group;
}

/* ---- the file ---- */

/* A UUID out of a name, for lines without an id. */
static char *id_of_name(const char *name)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);

	return g_strdup_printf("%.8s-%.4s-5%.3s-a%.3s-%.12s", sum, sum + 8, sum + 13, sum + 17, sum + 20);
}

static char *column(char **columns, guint n, guint at)
{
	return at < n && *columns[at] ? g_strdup(columns[at]) : NULL;
}

static void read_line(struct accounts *accounts, char *line)
{
	g_auto(GStrv) columns = g_strsplit(line, ":", 8);
	guint n = g_strv_length(columns);
	bool group = line[0] == '%';

	if (n < 2 || line[0] == '#')
		return;
	columns[0][strcspn(columns[0], "@")] = '\0';
	const char *name = columns[0] + (group ? 1 : 0);
	if (!*name || (group ? (void *)accounts_group(accounts, name) : (void *)accounts_user(accounts, name)))
		return;
	if (group) {
		struct account_group *made = g_new0(struct account_group, 1);
		made->name = g_strdup(name);
		made->id = *columns[1] ? g_strdup(columns[1]) : id_of_name(line);
		g_ptr_array_add(accounts->groups, made);
		return;
	}
	struct account *account = g_new0(struct account, 1);
	account->name = g_strdup(name);
	account->hash = g_strdup(columns[1]);
	account->id = column(columns, n, 2);
	if (!account->id)
		account->id = strcmp(name, "admin") == 0 ? g_strdup(ADMIN_USER_ID) : id_of_name(name);
	account->first = column(columns, n, 3);
	account->last = column(columns, n, 4);
	account->mail = column(columns, n, 5);
	account->groups = n > 6 && *columns[6] ? g_strsplit(columns[6], ",", -1) : g_new0(char *, 1);
	account->disabled = n > 7 && strcmp(columns[7], "disabled") == 0;
	g_ptr_array_add(accounts->users, account);
}

struct accounts *accounts_load(const char *data_dir, GError **error)
{
	g_autofree char *file = g_build_filename(data_dir, ACCOUNTS_FILE, NULL), *text = NULL;
	g_autoptr(GError) problem = NULL;

	if (!g_file_get_contents(file, &text, NULL, &problem) && !g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		error_set(error, ERR_IO_FAILED, "accounts: %s", problem->message);
		return NULL;
	}
	struct accounts *accounts = accounts_new();
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	for (char **line = lines; *line; line++)
		read_line(accounts, g_strchomp(*line));
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	return accounts;
}

bool accounts_save(const struct accounts *accounts, const char *data_dir, GError **error)
{
	g_autofree char *file = g_build_filename(data_dir, ACCOUNTS_FILE, NULL);
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < accounts->groups->len; i++) {
		const struct account_group *group = accounts->groups->pdata[i];
		g_string_append_printf(text, "%%%s:%s\n", group->name, group->id);
	}
	for (guint i = 0; i < accounts->users->len; i++) {
		const struct account *user = accounts->users->pdata[i];
		g_autofree char *groups = g_strjoinv(",", user->groups);
		g_string_append_printf(text, "%s@" ACCOUNTS_DOMAIN ":%s:%s:%s:%s:%s:%s:%s\n", user->name, user->hash ? user->hash : "*", user->id,
				       user->first ? user->first : "", user->last ? user->last : "", user->mail ? user->mail : "", groups,
				       user->disabled ? "disabled" : "");
	}
	bool ok = write_secret(file, text->str, error);
	OPENSSL_cleanse(text->str, text->len);
	g_string_free(text, TRUE);
	return ok;
}

int accounts_lock(const char *data_dir, GError **error)
{
	g_autofree char *file = g_build_filename(data_dir, ACCOUNTS_FILE ".lock", NULL);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	error_set_errno(error, ERR_IO_FAILED, errno, "lock '%s'", file);
	if (fd >= 0)
		(void)close(fd);
	return -1;
}
