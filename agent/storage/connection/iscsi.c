/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iSCSI sessions of this host, made and ended by iscsiadm(8) and kept by iscsid(8) and the kernel: they survive the agent. What is connected is what
 * sysfs shows. Nodes are never started by the host itself (node.startup = manual): after its restart the engine connects what is needed.
 *
 * Secrets of CHAP must not be in the arguments of a process, which all can read. iscsiadm takes them from its own database only, so the record is made by
 * iscsiadm and the lines with the secret are written into it here: /etc/iscsi/nodes/<iqn>/<address>,<port>,<group>/default, of root alone (0600). With
 * the log-out the record goes.
 *
 * iscsiadm walks through that database, all targets of it whichever is asked for, without a lock: it fails (STATUS_DATABASE) when another one makes a
 * directory that it was about to make, or removes one before it has looked into it, even after a log-in that went well (open-iscsi 2.1, usr/idbm.c). Here
 * one at a time changes it, and who failed so tries again: each thing that is asked for may be repeated. Every file in a record's directory is a record to
 * it, so nothing else may ever be there.
 */
#define LOG_MODULE "storage"
#include "agent/storage/connection/iscsi.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "agent/process.h"
#include "agent/storage/files.h"
#include "agent/storage/metadata.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/loop.h"

#define ISCSIADM "/sbin/iscsiadm"
#define DATABASE "/etc/iscsi"
#define NODES DATABASE "/nodes"
#define DISCOVERIES DATABASE "/send_targets"
#define NEW_RECORD "berth-record"          /* in DATABASE, as long as it is written */
#define SESSIONS "/sys/class/iscsi_session"
#define LIMIT_USEC (120 * G_USEC_PER_SEC)
#define SETTLE_USEC (30 * G_USEC_PER_SEC)
#define RECORD_MAX (64 * 1024)
#define DEFAULT_PORT "3260"
#define TRIES 20
/* exit statuses of iscsiadm(8) */
#define STATUS_DATABASE 6
#define STATUS_SESSION_EXISTS 15
#define STATUS_NOTHING_FOUND 21
#define STATUS_LOGIN_REFUSED 24

static pthread_mutex_t database = PTHREAD_MUTEX_INITIALIZER;      /* held while records are made, changed, removed */

void iscsi_target_clear(struct iscsi_target *target)
{
	g_clear_pointer(&target->iqn, g_free);
	g_clear_pointer(&target->portal, g_free);
	g_clear_pointer(&target->user, g_free);
	g_clear_pointer(&target->password, g_free);
}

/* ---- what is asked for ---- */

char *iscsi_portal(const char *address, const char *port, GError **error)
{
	bool bare6 = address && strchr(address, ':') && address[0] != '[';
	guint64 number;

	port = port && port[0] ? port : DEFAULT_PORT;
	if (!address || !g_regex_match_simple("^([A-Za-z0-9][A-Za-z0-9.-]*|[0-9A-Fa-f:.]+|\\[[0-9A-Fa-f:.]+\\])$", address, G_REGEX_DOLLAR_ENDONLY, 0)) {
		error_set(error, ERR_STORAGE_SERVER_VALIDATION_ERROR, "'%s' is no address of an iSCSI portal", address ? address : "");
		return NULL;
	}
	if (!g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL)) {
		error_set(error, ERR_STORAGE_SERVER_VALIDATION_ERROR, "port '%s' of iSCSI portal '%s'", port, address);
		return NULL;
	}
	return g_strdup_printf(bare6 ? "[%s]:%s" : "%s:%s", address, port);
}

static bool check_secret(const char *user, const char *password, GError **error)
{
	if ((user && !metadata_is_value(user)) || (password && !metadata_is_value(password)) || (!(user && user[0]) != !(password && password[0]))) {
		error_set(error, ERR_STORAGE_SERVER_VALIDATION_ERROR, "user and password of iSCSI belong together, and are of one line each");
		return false;
	}
	return true;
}

bool iscsi_target(const struct connection_ref *connection, struct iscsi_target *ret_target, GError **error)
{
	g_autofree char *portal = iscsi_portal(connection->connection, connection->port, error);
	const char *iqn = connection->iqn ? connection->iqn : "";
	gint64 group = 1;

	if (!portal || !check_secret(connection->user, connection->password, error))
		return false;
	/* a name is a component of a path of the database, too */
	if (!g_regex_match_simple("^(iqn|eui|naa)\\.[A-Za-z0-9][A-Za-z0-9.:-]{0,218}$", iqn, G_REGEX_DOLLAR_ENDONLY, 0)) {
		error_set(error, ERR_STORAGE_SERVER_VALIDATION_ERROR, "'%s' is no name of an iSCSI target", iqn);
		return false;
	}
	if (connection->tpgt && connection->tpgt[0] && !g_ascii_string_to_signed(connection->tpgt, 10, 0, 65535, &group, NULL)) {
		error_set(error, ERR_STORAGE_SERVER_VALIDATION_ERROR, "tpgt: '%s' is no portal group", connection->tpgt);
		return false;
	}
	if (connection->initiator && connection->initiator[0]) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "initiatorName: this host has one name ('/etc/iscsi/initiatorname.iscsi')");
		return false;
	}
	*ret_target = (struct iscsi_target){ .iqn = g_strdup(iqn), .portal = g_steal_pointer(&portal), .group = (int)group,
					     .user = g_strdup(connection->user), .password = g_strdup(connection->password) };
	return true;
}

/* ---- running iscsiadm ---- */

static int run_once(char **ret_output, GError **error, const char *const *argv)
{
	struct process process = { .argv = argv, .limit_usec = LIMIT_USEC };
	int status = -1;

	if (process_run(&process, error)) {
		status = process.status < 0 ? 255 : process.status;
		*ret_output = g_strstrip(g_strdup(process.output->str));
		if (status)
			g_strdelimit(*ret_output, "\n", ' ');
	}
	if (process.output)
		g_string_free(process.output, TRUE);
	return status;
}

/* Its exit status, -1 + error; ret_output: what it said. words: its arguments. */
static int iscsiadm(char **ret_output, GError **error, const char *const *words)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	int status;

	g_ptr_array_add(argv, (gpointer)ISCSIADM);
	for (; *words; words++)
		g_ptr_array_add(argv, (gpointer)*words);
	g_ptr_array_add(argv, NULL);
	for (unsigned i = 1; (status = run_once(ret_output, error, (const char *const *)argv->pdata)) == STATUS_DATABASE && i < TRIES; i++) {
		log_debug("iscsiadm, again: %s", *ret_output);
		g_clear_pointer(ret_output, g_free);
	}
	return status;
}
#define ISCSIADM_RUN(output, error, ...) iscsiadm(output, error, (const char *const[]){ __VA_ARGS__, NULL })

/* "127.0.0.1,3260" */
static char *portal_path(const char *portal)
{
	const char *colon = strrchr(portal, ':');
	bool brackets = portal[0] == '[';

	return g_strdup_printf("%.*s,%s", (int)(colon - portal) - 2 * brackets, portal + brackets, colon + 1);
}

/* Sets keys of a record of the database (see above): those that begin with `prefix` go, `lines` come. With `database`. */
static bool edit_record(const char *path, const char *prefix, const char *lines, GError **error)
{
	autofd fd = files_open_dir(AT_FDCWD, DATABASE);
	g_autofree char *text = fd < 0 ? NULL : files_read(AT_FDCWD, path, RECORD_MAX);
	g_auto(GStrv) old = text ? g_strsplit(text, "\n", -1) : NULL;
	g_autoptr(GString) out = g_string_new(NULL);

	for (size_t i = 0; old && old[i]; i++) {
		if (g_str_has_prefix(old[i], "# END RECORD"))
			g_string_append(out, lines);
		if (old[i][0] && !g_str_has_prefix(old[i], prefix))
			g_string_append_printf(out, "%s\n", old[i]);
	}
	if (text && files_write(fd, NEW_RECORD, out->str, 0600) && renameat(fd, NEW_RECORD, AT_FDCWD, path) == 0)
		return true;
	error_set_errno(error, ERR_SET_ISCSI_AUTH_ERROR, errno, "'%s'", path);
	if (fd >= 0)
		(void)unlinkat(fd, NEW_RECORD, 0);
	return false;
}

static char *chap_lines(const char *prefix, const char *user, const char *password)
{
	return g_strdup_printf("%1$sauthmethod = CHAP\n%1$susername = %2$s\n%1$spassword = %3$s\n", prefix, user, password);
}

/* ---- sessions ---- */

static char *read_attribute(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? g_strstrip(text) : NULL;
}

/* Has session `name` a connection through the portal? (its connections are below its device) */
static bool has_portal(const char *session, const char *portal)
{
	g_autoptr(GPtrArray) names = files_list(AT_FDCWD, "/sys/class/iscsi_connection");
	const char *number = session + strlen("session");

	for (guint i = 0; names && i < names->len; i++) {
		g_autofree char *own = g_strdup_printf("connection%s:", number);
		g_autofree char *path = g_build_filename("/sys/class/iscsi_connection", names->pdata[i], NULL);
		g_autofree char *address = NULL;
		g_autofree char *port = NULL;
		g_autofree char *full = NULL;

		if (!g_str_has_prefix(names->pdata[i], own))
			continue;
		address = read_attribute(path, "persistent_address");
		port = read_attribute(path, "persistent_port");
		full = address && port ? iscsi_portal(address, port, NULL) : NULL;
		if (full && !strcmp(full, portal))
			return true;
	}
	return false;
}

/* Sessions with the target; portal NULL: through whichever. */
static unsigned count(const char *iqn, const char *portal)
{
	g_autoptr(GDir) dir = g_dir_open(SESSIONS, 0, NULL);
	const char *name;
	unsigned n = 0;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(SESSIONS, name, NULL);
		g_autofree char *own = read_attribute(path, "targetname");

		n += own && !strcmp(own, iqn) && (!portal || has_portal(name, portal));
	}
	return n;
}

bool iscsi_is_connected(const struct iscsi_target *target)
{
	return count(target->iqn, target->portal) > 0;
}

unsigned iscsi_count(const char *iqn)
{
	return count(iqn, /* portal= */ NULL);
}

static void settle(void)
{
	const char *argv[] = { "/bin/udevadm", "settle", "--timeout=20", NULL };
	struct process process = { .argv = argv, .limit_usec = SETTLE_USEC };
	g_autoptr(GError) problem = NULL;

	if (!process_run(&process, &problem))
		log_warn("udevadm settle: %s, ignoring", problem->message);
	if (process.output)
		g_string_free(process.output, TRUE);
}

static bool make_record(const struct iscsi_target *target, GError **error)
{
	g_autofree char *portal = g_strdup_printf("%s,%d", target->portal, target->group);
	g_autofree char *directory = portal_path(target->portal);
	g_autofree char *record = g_strdup_printf(NODES "/%s/%s,%d/default", target->iqn, directory, target->group);
	g_autofree char *output = NULL;
	g_autofree char *lines = NULL;
	int status;
	AUTO_LOCK(&database);

	if ((status = ISCSIADM_RUN(&output, error, "-m", "node", "-T", target->iqn, "-p", portal, "-I", "default", "-o", "new")) < 0)
		return false;
	if (status) {
		error_set(error, ERR_ADD_ISCSI_NODE_ERROR, "'%s' through '%s': %s", target->iqn, target->portal, output);
		return false;
	}
	lines = target->user && target->user[0] ? chap_lines("node.session.auth.", target->user, target->password)
						: g_strdup("node.session.auth.authmethod = None\n");
	return edit_record(record, "node.session.auth.", lines, error) && edit_record(record, "node.startup", "node.startup = manual\n", error);
}

static void drop_record(const struct iscsi_target *target)
{
	g_autofree char *output = NULL;
	AUTO_LOCK(&database);

	(void)ISCSIADM_RUN(&output, NULL, "-m", "node", "-T", target->iqn, "-p", target->portal, "-o", "delete");
}

bool iscsi_login(const struct iscsi_target *target, GError **error)
{
	g_autofree char *output = NULL;
	int status;

	if (!make_record(target, error))
		return false;
	if ((status = ISCSIADM_RUN(&output, error, "-m", "node", "-T", target->iqn, "-p", target->portal, "-l")) < 0)
		return false;
	if (status && status != STATUS_SESSION_EXISTS) {
		error_set(error, status == STATUS_LOGIN_REFUSED ? ERR_ISCSI_LOGIN_AUTH_ERROR : ERR_ISCSI_LOGIN_ERROR, "'%s' through '%s': %s", target->iqn,
			  target->portal, output);
		drop_record(target);
		return false;
	}
	settle();
	log_info("logged in to iSCSI target '%s' through '%s'", target->iqn, target->portal);
	return true;
}

bool iscsi_logout(const struct iscsi_target *target, GError **error)
{
	g_autofree char *output = NULL;
	int status = ISCSIADM_RUN(&output, error, "-m", "node", "-T", target->iqn, "-p", target->portal, "-u");

	if (status < 0)
		return false;
	if (status && status != STATUS_NOTHING_FOUND) {
		error_set(error, ERR_ISCSI_LOGOUT_ERROR, "'%s' through '%s': %s", target->iqn, target->portal, output);
		return false;
	}
	drop_record(target);
	log_info("logged out of iSCSI target '%s' through '%s'", target->iqn, target->portal);
	return true;
}

void iscsi_rescan(void)
{
	g_autofree char *output = NULL;

	if (g_file_test(SESSIONS, G_FILE_TEST_IS_DIR))
		(void)ISCSIADM_RUN(&output, NULL, "-m", "session", "-R");
	settle();
}

/* ---- discovery ---- */

GPtrArray *iscsi_discover(const char *portal, const char *user, const char *password, GError **error)
{
	g_autofree char *directory = portal_path(portal);
	g_autofree char *record = g_strdup_printf(DISCOVERIES "/%s/st_config", directory);
	g_autofree char *output = NULL;
	g_autofree char *ignored = NULL;
	g_auto(GStrv) lines = NULL;
	GPtrArray *found;
	int status;

	if (!check_secret(user, password, error))
		return NULL;
	{
		AUTO_LOCK(&database);

		if ((status = ISCSIADM_RUN(&output, error, "-m", "discoverydb", "-t", "sendtargets", "-p", portal, "-o", "new")) < 0)
			return NULL;
		if (status == 0 && user && user[0]) {
			g_autofree char *chap = chap_lines("discovery.sendtargets.auth.", user, password);

			if (!edit_record(record, "discovery.sendtargets.auth.", chap, error))
				return NULL;
		}
	}
	if (status == 0) {
		g_clear_pointer(&output, g_free);
		status = ISCSIADM_RUN(&output, error, "-m", "discoverydb", "-t", "sendtargets", "-p", portal, "-D", "-o", "nonpersistent");
	}
	{
		AUTO_LOCK(&database);

		(void)ISCSIADM_RUN(&ignored, NULL, "-m", "discoverydb", "-t", "sendtargets", "-p", portal, "-o", "delete");
	}
	if (status < 0)
		return NULL;
	if (status && status != STATUS_NOTHING_FOUND) {
		error_set(error, status == STATUS_LOGIN_REFUSED ? ERR_ISCSI_LOGIN_AUTH_ERROR : ERR_ISCSI_DISCOVERY_ERROR, "'%s': %s", portal, output);
		return NULL;
	}
	found = g_ptr_array_new_with_free_func(g_free);
	lines = g_strsplit(status ? "" : output, "\n", -1);
	for (size_t i = 0; lines[i]; i++)
		if (g_regex_match_simple("^\\S+:\\d+,-?\\d+ \\S+$", lines[i], G_REGEX_DOLLAR_ENDONLY, 0))
			g_ptr_array_add(found, g_strdup(lines[i]));
	return found;
}
