/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in directory: the accounts of one small file (accounts.h), kept in memory. "berth engine user" writes the file; it is read again when its
 * time, size or inode is another, which is looked at whenever the directory is asked.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "engine/auth/accounts.h"
#include "engine/auth/directory.h"

#define LOG_MODULE "auth"
#define GROUP_PATH ACCOUNTS_DOMAIN "/Groups/"

struct internal {
	struct directory directory;
	char *data_dir, *file;
	pthread_mutex_t lock;
	struct accounts *accounts;
	struct stat seen;
	bool news;                           /* read again since internal_directory_refresh() told */
};

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* With the lock. false + error: the accounts stay as they were. */
static bool read_again(struct internal *internal, GError **error)
{
	struct stat now = { 0 };

	if (stat(internal->file, &now) != 0 && errno != ENOENT) {
		error_set_errno(error, ERR_IO_FAILED, errno, "accounts '%s'", internal->file);
		return false;
	}
	if (internal->accounts && is_same_file(&now, &internal->seen))
		return true;
	struct accounts *accounts = accounts_load(internal->data_dir, error);
	if (!accounts)
		return false;
	accounts_free(internal->accounts);
	internal->accounts = accounts;
	internal->seen = now;
	internal->news = true;
	return true;
}

/* With the lock. */
static const struct accounts *look(struct internal *internal)
{
	g_autoptr(GError) problem = NULL;

	if (!read_again(internal, &problem))
		log_error("%s; the accounts stay as they were", problem->message);
	return internal->accounts;
}

bool internal_directory_refresh(struct directory *directory)
{
	struct internal *internal = (struct internal *)directory;
	AUTO_LOCK(&internal->lock);
	(void)look(internal);
	bool news = internal->news;

	internal->news = false;
	return news;
}

/* ---- records ---- */

static struct directory_group *group_record(const struct internal *internal, const struct account_group *group)
{
	struct directory_group *record = record_new(&directory_group_type);

	set_string(&record->id, group->id);
	record->name = g_strconcat(GROUP_PATH, group->name, NULL);
	set_ref(&record->domain, internal->directory.id);
	return record;
}

static struct directory_user *user_record(const struct internal *internal, const struct account *account)
{
	struct directory_user *record = record_new(&directory_user_type);

	set_string(&record->id, account->id);
	set_string(&record->name, account->first ? account->first : account->name);
	set_string(&record->last_name, account->last);
	set_string(&record->email, account->mail);
	record->user_name = g_strconcat(account->name, "@" ACCOUNTS_DOMAIN, NULL);
	set_ref(&record->domain, internal->directory.id);
	SET(record, disabled, account->disabled);
	record->groups = list_new();
	for (char **name = account->groups; *name; name++) {
		const struct account_group *group = accounts_group(internal->accounts, *name);
		if (group)
			g_ptr_array_add(record->groups, group_record(internal, group));
	}
	return record;
}

static GPtrArray *users(struct directory *directory, GError **error)
{
	struct internal *internal = (struct internal *)directory;
	GPtrArray *list = list_new();
	AUTO_LOCK(&internal->lock);
	const struct accounts *accounts = look(internal);

	for (guint i = 0; i < accounts->users->len; i++)
		g_ptr_array_add(list, user_record(internal, accounts->users->pdata[i]));
	return list;
}

static GPtrArray *groups(struct directory *directory, GError **error)
{
	struct internal *internal = (struct internal *)directory;
	GPtrArray *list = list_new();
	AUTO_LOCK(&internal->lock);
	const struct accounts *accounts = look(internal);

	for (guint i = 0; i < accounts->groups->len; i++)
		g_ptr_array_add(list, group_record(internal, accounts->groups->pdata[i]));
	return list;
}

/* "joe@internal" -> "joe"; of another domain: NULL. g_free */
static char *own_name(const char *name)
{
	const char *at = strrchr(name, '@');

	if (at && g_ascii_strcasecmp(at + 1, ACCOUNTS_DOMAIN) != 0)
		return NULL;
	return at ? g_strndup(name, (gsize)(at - name)) : g_strdup(name);
}

static struct directory_user *user(struct directory *directory, const char *id, const char *name, GError **error)
{
	struct internal *internal = (struct internal *)directory;
	g_autofree char *own = name ? own_name(name) : NULL;
	AUTO_LOCK(&internal->lock);
	const struct accounts *accounts = look(internal);

	for (guint i = 0; i < accounts->users->len; i++) {
		const struct account *account = accounts->users->pdata[i];
		if ((id && strcmp(account->id, id) == 0) || (own && g_ascii_strcasecmp(account->name, own) == 0))
			return user_record(internal, account);
	}
	error_set(error, ERR_NOT_FOUND, "user '%.128s' in the domain '%s'", id ? id : name, directory->name);
	return NULL;
}

static struct directory_group *group(struct directory *directory, const char *id, const char *name, GError **error)
{
	struct internal *internal = (struct internal *)directory;
	AUTO_LOCK(&internal->lock);
	const struct accounts *accounts = look(internal);

	if (name && g_str_has_prefix(name, GROUP_PATH))
		name += strlen(GROUP_PATH);
	for (guint i = 0; i < accounts->groups->len; i++) {
		const struct account_group *one = accounts->groups->pdata[i];
		if ((id && strcmp(one->id, id) == 0) || (name && g_ascii_strcasecmp(one->name, name) == 0))
			return group_record(internal, one);
	}
	error_set(error, ERR_NOT_FOUND, "group '%.128s' in the domain '%s'", id ? id : name, directory->name);
	return NULL;
}

static struct directory_user *login(struct directory *directory, const char *name, const char *password, bool *ret_disabled, GError **error)
{
	static const char nobody[] = "$y$j9T$000000000000000000000.$0000000000000000000000000000000000000000000";
	struct internal *internal = (struct internal *)directory;
	g_autofree char *own = own_name(name), *hash = NULL;
	struct directory_user *record = NULL;
	bool disabled = false;

	pthread_mutex_lock(&internal->lock);
	const struct account *account = own ? accounts_user(look(internal), own) : NULL;
	if (account) {
		hash = g_strdup(account->hash);
		record = user_record(internal, account);
		disabled = account->disabled;
	}
	pthread_mutex_unlock(&internal->lock);
	/* tens of ms, also for nobody: names cannot be found out by the clock */
	bool right = password_matches(password, hash ? hash : nobody) && hash;
	if (right && !disabled)
		return record;
	record_unref(record);
	*ret_disabled = right;
	error_set(error, ERR_FORBIDDEN, "'%.64s': %s", name, right ? "the account is disabled" : "wrong name or password");
	return NULL;
}

static void free_internal(struct directory *directory)
{
	struct internal *internal = (struct internal *)directory;

	accounts_free(internal->accounts);
	pthread_mutex_destroy(&internal->lock);
	g_free(internal->data_dir);
	g_free(internal->file);
}

static const struct directory_ops ops = { .users = users, .groups = groups, .user = user, .group = group, .login = login, .free = free_internal };

struct directory *internal_directory_new(const char *data_dir, GError **error)
{
	struct internal *internal = g_new0(struct internal, 1);

	internal->directory = (struct directory){ .ops = &ops, .id = g_strdup(INTERNAL_DOMAIN_ID), .name = g_strdup(ACCOUNTS_DOMAIN) };
	internal->data_dir = g_strdup(data_dir);
	internal->file = g_build_filename(data_dir, "auth", NULL);
	pthread_mutex_init(&internal->lock, NULL);
	if (!read_again(internal, error))
		return directory_free(&internal->directory);
	return &internal->directory;
}

struct directory *directory_free(struct directory *directory)
{
	if (!directory)
		return NULL;
	directory->ops->free(directory);
	g_free(directory->id);
	g_free(directory->name);
	g_free(directory);
	return NULL;
}
