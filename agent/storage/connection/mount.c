/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts of NFS, GlusterFS and whatever mount(8) knows (POSIX file systems). The kernel's mount table is the only record: mounts survive the agent, and
 * are gone after the host's restart.
 *
 * NFS: soft, because a request that never ends cannot be cancelled: after timeo * retrans (defaults 10 s, 3 times) QEMU and we get an error and say so;
 * nolock, because locks on volumes are leases; nosharecache, so that two mounts of one server do not share their options. Nothing on storage is ever a
 * program or a device: nosuid, nodev.
 *
 * Options that carry a password would show in lists of processes and of mounts: refused; mount.cifs takes credentials=FILE.
 */
#define LOG_MODULE "storage"
#include "agent/storage/connection/mount.h"
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include "agent/process.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"

#define MOUNT_USEC (120 * G_USEC_PER_SEC)
#define UMOUNT_USEC (20 * G_USEC_PER_SEC)
#define SAFE_OPTIONS "nosuid,nodev"
#define NFS_TIMEO "100"                  /* tenths of a second */
#define NFS_RETRANS "3"

void mount_plan_clear(struct mount_plan *plan)
{
	g_clear_pointer(&plan->source, g_free);
	g_clear_pointer(&plan->type, g_free);
	g_clear_pointer(&plan->options, g_free);
}

/* ---- what is asked for ---- */

static bool is_given(const char *text)
{
	return text && text[0];
}

static bool check_options(const char *options, GError **error)
{
	static const char *const secret[] = { "password", "password2", "pass", "passwd", "secret" };
	g_auto(GStrv) words = NULL;

	if (!g_regex_match_simple("^[[:graph:]]*$", options, G_REGEX_DOLLAR_ENDONLY, 0) || strlen(options) > 4000) {
		error_set(error, ERR_MOUNT_PARSING_ERROR, "mnt_options: contains blanks or control characters, or is too long");
		return false;
	}
	words = g_strsplit(options, ",", -1);
	for (size_t i = 0; words[i]; i++) {
		*strchrnul(words[i], '=') = 0;
		if (g_strv_contains(secret, words[i])) {
			error_set(error, ERR_MOUNT_PARSING_ERROR, "mnt_options: '%s' would show a secret to everybody on this host; use a credentials file", words[i]);
			return false;
		}
	}
	return true;
}

/* server:/path; a server is a name, an IPv4 address, or an IPv6 address in brackets. */
static bool check_remote(const char *text, const char *what, GError **error)
{
	if (g_regex_match_simple("^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.%a-z]+\\]):/?[^\\s,]*$", text, G_REGEX_DOLLAR_ENDONLY, 0) && text[0] != '-' &&
	    !strstr(text, "/../") && !g_str_has_suffix(text, "/.."))
		return true;
	error_set(error, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, "'%s' is not %s", text, what);
	return false;
}

static bool check_number(const char *name, const char *text, guint64 max, GError **error)
{
	guint64 number;

	if (g_ascii_string_to_unsigned(text, 10, 1, max, &number, NULL))
		return true;
	error_set(error, ERR_MOUNT_PARSING_ERROR, "%s: '%s' is not a number from 1 to %" G_GUINT64_FORMAT, name, text, max);
	return false;
}

static bool nfs_options(const struct connection_ref *connection, GString *options, GError **error)
{
	static const char *const versions[] = { "3", "4", "4.0", "4.1", "4.2", NULL };
	const char *timeo = is_given(connection->timeo) ? connection->timeo : NFS_TIMEO;
	const char *retrans = is_given(connection->retrans) ? connection->retrans : NFS_RETRANS;
	const char *version = is_given(connection->protocol_version) ? connection->protocol_version : "auto";

	if (!check_remote(connection->connection, "server:/path", error) || !check_number("timeo", timeo, 6000, error) ||
	    !check_number("retrans", retrans, 100, error))
		return false;
	if (strcmp(version, "auto") && !g_strv_contains(versions, version)) {
		error_set(error, ERR_MOUNT_PARSING_ERROR, "protocol_version: '%s' is none of auto, 3, 4, 4.0, 4.1, 4.2", version);
		return false;
	}
	g_string_append_printf(options, ",soft,nosharecache,nolock,timeo=%s,retrans=%s", timeo, retrans);
	if (strcmp(version, "auto"))
		g_string_append_printf(options, ",vers=%s", version);
	return true;
}

bool mount_plan(enum storage_wire_type type, const struct connection_ref *connection, struct mount_plan *ret_plan, GError **error)
{
	g_autoptr(GString) options = g_string_new(SAFE_OPTIONS);
	const char *vfs = type == STORAGE_NFS ? "nfs" : type == STORAGE_GLUSTERFS ? "glusterfs" : type == STORAGE_CIFS ? "cifs" : connection->vfs_type;

	switch (type) {
	case STORAGE_NFS:
		if (!nfs_options(connection, options, error))
			return false;
		break;
	case STORAGE_GLUSTERFS:
		if (!check_remote(connection->connection, "server:volume", error))
			return false;
		break;
	case STORAGE_CIFS:
	case STORAGE_POSIXFS:
		if (!is_given(vfs) || !g_regex_match_simple("^[a-z0-9][a-z0-9._]*$", vfs, G_REGEX_DOLLAR_ENDONLY, 0)) {
			error_set(error, ERR_MOUNT_TYPE_ERROR, "vfs_type: '%s' is no file system type", vfs ? vfs : "");
			return false;
		}
		if (!g_regex_match_simple("^[^-\\s][^\\s]*$", connection->connection, G_REGEX_DOLLAR_ENDONLY, 0)) {
			error_set(error, ERR_STORAGE_DOMAIN_ILLEGAL_REMOTE_PATH, "'%s' is nothing that can be mounted", connection->connection);
			return false;
		}
		break;
	default:
		error_set(error, ERR_MOUNT_TYPE_ERROR, "storage type %d is nothing that is mounted", type);
		return false;
	}
	if (is_given(connection->mnt_options)) {
		if (!check_options(connection->mnt_options, error))
			return false;
		g_string_append_printf(options, ",%s", connection->mnt_options);
	}
	ret_plan->source = g_strdup(connection->connection);
	ret_plan->type = g_strdup(vfs);
	ret_plan->options = g_strdup(options->str);
	return true;
}

/* ---- doing it ---- */

/* Runs it; what it says is the reason. */
static bool run(const char *const *argv, int64_t limit_usec, enum error_code code, GError **error)
{
	struct process process = { .argv = argv, .limit_usec = limit_usec };
	bool done = process_run(&process, error);

	if (done && process.status) {
		g_strstrip(process.output->str);
		error_set(error, code, "%s", process.output->str[0] ? g_strdelimit(process.output->str, "\n", ' ') : "mount failed without a reason");
		done = false;
	}
	if (process.output)
		g_string_free(process.output, TRUE);
	return done;
}

bool mount_run(const struct mount_plan *plan, const char *target, GError **error)
{
	const char *argv[] = { "/bin/mount", "-t", plan->type, "-o", plan->options, "--", plan->source, target, NULL };

	if (!run(argv, MOUNT_USEC, ERR_MOUNT_ERROR, error)) {
		error_wrap(error, "'%s'", plan->source);
		return false;
	}
	log_info("mounted '%s' (%s, %s)", plan->source, plan->type, plan->options);
	return true;
}

bool mount_end(const char *target, GError **error)
{
	const char *gentle[] = { "/bin/umount", "--", target, NULL };
	const char *firm[] = { "/bin/umount", "-f", "-l", "--", target, NULL };
	g_autoptr(GError) problem = NULL;

	if (run(gentle, UMOUNT_USEC, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, &problem) || !mount_exists(target))
		return true;
	if (!error_is(problem, ERR_TIMEOUT)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	log_warn("'%s' does not answer, it is unmounted by force", target);
	return run(firm, UMOUNT_USEC, ERR_STORAGE_SERVER_DISCONNECTION_ERROR, error) || !mount_exists(target);
}

GPtrArray *mount_list(const char *directory, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *prefix = g_strconcat(directory, "/", NULL);
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[16384];

	if (!table) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "/proc/self/mounts");
		return NULL;
	}
	while (getmntent_r(table, &entry, buffer, sizeof(buffer)))
		if (g_str_has_prefix(entry.mnt_dir, prefix))
			g_ptr_array_add(found, g_strdup(entry.mnt_dir));
	endmntent(table);
	return g_steal_pointer(&found);
}

bool mount_exists(const char *target)
{
	g_autofree char *directory = g_path_get_dirname(target);
	g_autoptr(GPtrArray) found = mount_list(directory, NULL);

	return found && g_ptr_array_find_with_equal_func(found, target, g_str_equal, NULL);
}
