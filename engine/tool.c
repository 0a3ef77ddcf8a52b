/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of berth-engine. Accounts are changed in their file, which a running engine reads again by itself; backup reads the database beside it.
 * Who may read and write the data directory may do this: there is no password to be asked for.
 */
#include "engine/tool.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/error.h"
#include "engine/auth/accounts.h"
#include "engine/store/backup.h"

#define PASSWORD_MAX 1024

struct arguments {
	const char *name;                    /* what stands beside the options */
	const char *first, *last, *mail, *groups, *password_file;
	bool disable, enable, force;
};

/* ---- options ---- */

static bool read_arguments(int argc, char **argv, struct arguments *arguments, GError **error)
{
	const struct { const char *name; const char **text; bool *flag; } options[] = {
		{ "--first", &arguments->first, NULL }, { "--last", &arguments->last, NULL }, { "--mail", &arguments->mail, NULL },
		{ "--groups", &arguments->groups, NULL }, { "--password-file", &arguments->password_file, NULL },
		{ "--disable", NULL, &arguments->disable }, { "--enable", NULL, &arguments->enable }, { "--force", NULL, &arguments->force },
	};

	for (int i = 0; i < argc; i++) {
		size_t n = strcspn(argv[i], "="), at = 0;

		if (argv[i][0] != '-') {
			if (arguments->name) {
				error_set(error, ERR_BAD_VALUE, "'%s' is one argument too many", argv[i]);
				return false;
			}
			arguments->name = argv[i];
			continue;
		}
		while (at < G_N_ELEMENTS(options) && (strlen(options[at].name) != n || strncmp(options[at].name, argv[i], n) != 0))
			at++;
		if (at == G_N_ELEMENTS(options) || (options[at].flag && argv[i][n]) || (options[at].text && !argv[i][n] && i + 1 == argc)) {
			error_set(error, ERR_BAD_VALUE, "'%s' is not an option, has a value too many or lacks one; see --help", argv[i]);
			return false;
		}
		if (options[at].flag)
			*options[at].flag = true;
		else
			*options[at].text = argv[i][n] ? argv[i] + n + 1 : argv[++i];
	}
	return true;
}

/* The first line of the file, or of standard input. NULL + error. To be wiped. */
static char *read_password(const struct arguments *arguments, GError **error)
{
	FILE *in = arguments->password_file ? fopen(arguments->password_file, "re") : stdin;
	char line[PASSWORD_MAX] = "";

	if (!in) {
		error_set_errno(error, ERR_IO_FAILED, errno, "--password-file '%s'", arguments->password_file);
		return NULL;
	}
	if (!arguments->password_file && isatty(STDIN_FILENO))
		fputs("New password: ", stderr);
	if (!fgets(line, sizeof(line), in))
		line[0] = '\0';
	if (arguments->password_file)
		(void)fclose(in);
	line[strcspn(line, "\r\n")] = '\0';
	char *password = line[0] ? g_strdup(line) : NULL;
	OPENSSL_cleanse(line, sizeof(line));
	if (!password)
		error_set(error, ERR_BAD_VALUE, "the password is empty");
	return password;
}

static bool set_password(struct account *account, const struct arguments *arguments, GError **error)
{
	char *password = read_password(arguments, error);

	if (!password)
		return false;
	g_free(account->hash);
	account->hash = password_hash(password, NULL);
	OPENSSL_cleanse(password, strlen(password));
	g_free(password);
	if (!account->hash)
		error_set(error, ERR_GENERAL, "cannot hash the password of '%s'", account->name);
	return account->hash;
}

/* ---- users ---- */

static bool set_text(char **member, const char *what, const char *text, GError **error)
{
	if (!text)
		return true;
	if (!accounts_check_text(what, text, error))
		return false;
	g_free(*member);
	*member = *text ? g_strdup(text) : NULL;
	return true;
}

static bool set_groups(struct accounts *accounts, struct account *account, const char *list, GError **error)
{
	if (!list)
		return true;
	g_auto(GStrv) groups = *list ? g_strsplit(list, ",", -1) : g_new0(char *, 1);
	for (char **group = groups; *group; group++)
		if (!accounts_group(accounts, *group)) {
			error_set(error, ERR_BAD_VALUE, "there is no group '%s'", *group);
			return false;
		}
	g_strfreev(account->groups);
	account->groups = g_steal_pointer(&groups);
	return true;
}

static bool edit_user(struct accounts *accounts, struct account *account, const struct arguments *arguments, GError **error)
{
	if (arguments->disable && !strcmp(account->name, "admin")) {
		error_set(error, ERR_BAD_VALUE, "'admin' is built in and cannot be disabled");
		return false;
	}
	account->disabled = arguments->disable || (account->disabled && !arguments->enable);
	return set_text(&account->first, "--first", arguments->first, error) && set_text(&account->last, "--last", arguments->last, error) &&
	       set_text(&account->mail, "--mail", arguments->mail, error) && set_groups(accounts, account, arguments->groups, error);
}

static struct account *named_user(struct accounts *accounts, const char *name, GError **error)
{
	struct account *account = accounts_user(accounts, name);

	if (!account)
		error_set(error, ERR_NOT_FOUND, "there is no user '%s'", name);
	return account;
}

static bool user_add(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	struct account *account = accounts_add_user(accounts, arguments->name, error);

	return account && edit_user(accounts, account, arguments, error) && set_password(account, arguments, error);
}

static bool user_edit(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	struct account *account = named_user(accounts, arguments->name, error);

	return account && edit_user(accounts, account, arguments, error);
}

static bool user_password(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	struct account *account = named_user(accounts, arguments->name, error);

	return account && set_password(account, arguments, error);
}

static bool user_remove(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	struct account *account = named_user(accounts, arguments->name, error);

	if (!account)
		return false;
	if (!strcmp(account->name, "admin")) {
		error_set(error, ERR_BAD_VALUE, "'admin' is built in and cannot be removed");
		return false;
	}
	g_ptr_array_remove(accounts->users, account);
	return true;
}

static bool user_list(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	for (guint i = 0; i < accounts->users->len; i++) {
		const struct account *account = accounts->users->pdata[i];
		g_autofree char *groups = g_strjoinv(",", account->groups);

		printf("%s@" ACCOUNTS_DOMAIN "\t%s%s%s\t%s%s\n", account->name, account->first ? account->first : "", account->first && account->last ? " " : "",
		       account->last ? account->last : "", groups, account->disabled ? "\tdisabled" : "");
	}
	return true;
}

/* ---- groups ---- */

static bool group_add(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	return accounts_add_group(accounts, arguments->name, error);
}

static bool group_remove(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	struct account_group *group = accounts_group(accounts, arguments->name);

	if (!group) {
		error_set(error, ERR_NOT_FOUND, "there is no group '%s'", arguments->name);
		return false;
	}
	for (guint i = 0; i < accounts->users->len; i++) {
		struct account *account = accounts->users->pdata[i];
		GStrvBuilder *left = g_strv_builder_new();

		for (char **name = account->groups; *name; name++)
			if (g_ascii_strcasecmp(*name, group->name) != 0)
				g_strv_builder_add(left, *name);
		g_strfreev(account->groups);
		account->groups = g_strv_builder_end(left);
		g_strv_builder_unref(left);
	}
	g_ptr_array_remove(accounts->groups, group);
	return true;
}

static bool group_list(struct accounts *accounts, const struct arguments *arguments, GError **error)
{
	for (guint i = 0; i < accounts->groups->len; i++)
		puts(((const struct account_group *)accounts->groups->pdata[i])->name);
	return true;
}

/* ---- commands ---- */

static const struct {
	const char *noun, *verb, *arguments, *doc;
	bool (*run)(struct accounts *accounts, const struct arguments *arguments, GError **error);
	bool named, changes;
} commands[] = {
	{ "user", "list", "", "accounts of the domain internal", user_list, false, false },
	{ "user", "add", "NAME [--first F] [--last L] [--mail M] [--groups G,G] [--password-file FILE]", "a new account; the password from standard input",
	  user_add, true, true },
	{ "user", "edit", "NAME [--first F] [--last L] [--mail M] [--groups G,G] [--disable | --enable]", "changes an account", user_edit, true, true },
	{ "user", "password", "NAME [--password-file FILE]", "a new password, from standard input", user_password, true, true },
	{ "user", "remove", "NAME", "removes an account", user_remove, true, true },
	{ "group", "list", "", "groups of the domain internal", group_list, false, false },
	{ "group", "add", "NAME", "a new group", group_add, true, true },
	{ "group", "remove", "NAME", "removes a group and leaves its users", group_remove, true, true },
};

static bool change_accounts(size_t at, const struct arguments *arguments, const char *data_dir, GError **error)
{
	int lock = commands[at].changes ? accounts_lock(data_dir, error) : -1;
	struct accounts *accounts = !commands[at].changes || lock >= 0 ? accounts_load(data_dir, error) : NULL;
	bool ok = accounts && commands[at].run(accounts, arguments, error) && (!commands[at].changes || accounts_save(accounts, data_dir, error));

	accounts_free(accounts);
	if (lock >= 0)
		(void)close(lock);
	return ok;
}

static bool run_noun(int argc, char **argv, const char *data_dir, GError **error)
{
	struct arguments arguments = { 0 };
	bool noun = false;

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (strcmp(argv[0], commands[i].noun) != 0)
			continue;
		noun = true;
		if (argc < 2 || strcmp(argv[1], commands[i].verb) != 0)
			continue;
		if (!read_arguments(argc - 2, argv + 2, &arguments, error))
			return false;
		if (!arguments.name == commands[i].named) {
			error_set(error, ERR_BAD_VALUE, "usage: %s %s %s", argv[0], argv[1], commands[i].arguments);
			return false;
		}
		return change_accounts(i, &arguments, data_dir, error);
	}
	if (noun)
		error_set(error, ERR_BAD_VALUE, "'%s' needs a verb that it has; see --help", argv[0]);
	else
		error_set(error, ERR_BAD_VALUE, "'%s' is not a command; see --help", argv[0]);
	return false;
}

int tool_run(int argc, char **argv, const struct store_settings *settings)
{
	bool backup = strcmp(argv[0], "backup") == 0, restore = strcmp(argv[0], "restore") == 0;
	struct arguments arguments = { 0 };
	g_autoptr(GError) error = NULL;
	bool ok;

	if (backup || restore) {
		ok = read_arguments(argc - 1, argv + 1, &arguments, &error);
		if (ok && !arguments.name) {
			error_set(&error, ERR_BAD_VALUE, "%s needs a file", argv[0]);
			ok = false;
		}
		ok = ok && (backup ? store_backup(settings, arguments.name, &error) : store_restore(arguments.name, settings, arguments.force, &error));
	} else {
		ok = run_noun(argc, argv, settings->data_dir, &error);
	}
	if (!ok)
		fprintf(stderr, "berth-engine: %s\n", error->message);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

void tool_usage(FILE *out)
{
	fputs("\nCommands, on the data directory:\n", out);
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		fprintf(out, "  %s %s%s%s\n      %s\n", commands[i].noun, commands[i].verb, *commands[i].arguments ? " " : "", commands[i].arguments, commands[i].doc);
	fputs("  backup FILE\n      copies database and accounts while the engine runs\n"
	      "  restore FILE [--force]\n      puts them into the configured store; the engine must not run\n", out);
}
