/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host/ksm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent/host/host-priv.h"
#include "common/error.h"
#include "common/lock.h"

/* In the order they are written. */
static const struct { const char *name; int64_t max; } settings[] = {
	{ "merge_across_nodes", 1 }, { "sleep_millisecs", UINT32_MAX }, { "pages_to_scan", UINT32_MAX }, { "run", 2 },
};

static int64_t number(const char *directory, const char *name, int64_t otherwise)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);

	return file_number(path, otherwise);
}

void ksm_read(const char *directory, struct ksm *ret)
{
	int64_t run = number(directory, "run", -1);

	*ret = (struct ksm){
		.there = run >= 0, .run = run == 1, .merge_across_nodes = number(directory, "merge_across_nodes", 1) == 1,
		.pages_to_scan = (int)number(directory, "pages_to_scan", 0),
		.shared_kib = number(directory, "pages_sharing", 0) * (sysconf(_SC_PAGESIZE) / 1024),
	};
}

static bool write_number(const char *directory, const char *name, int64_t value, GError **error)
{
	g_autofree char *path = g_build_filename(directory, name, NULL), *text = g_strdup_printf("%" PRId64, value);
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int errnum = errno;

	if (fd >= 0)
		close(fd);
	if (!good)
		error_set_errno(error, ERR_KSM_UPDATE_FAILED, errnum, "%s to %s", text, path);
	return good;
}

static bool read_setting(const char *name, const json_t *json, int64_t *ret_values, GError **error)
{
	for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
		gint64 value;

		if (strcmp(settings[i].name, name))
			continue;
		value = json_is_integer(json) ? json_integer_value(json) : json_is_boolean(json) ? json_is_true(json) : -1;
		if (json_is_string(json) && !g_ascii_string_to_signed(json_string_value(json), 10, 0, settings[i].max, &value, NULL))
			value = -1;
		if (value < 0 || value > settings[i].max) {
			char *text = json_dumps(json, JSON_ENCODE_ANY);

			error_set(error, ERR_KSM_UPDATE_FAILED, "%s: %s is not from 0 to %" PRId64, name, text, settings[i].max);
			free(text);
			return false;
		}
		ret_values[i] = value;
		return true;
	}
	error_set(error, ERR_KSM_UPDATE_FAILED, "'%s' is not a value of KSM", name);
	return false;
}

bool ksm_write(const char *directory, const json_t *given, GError **error)
{
	int64_t values[G_N_ELEMENTS(settings)], run = number(directory, "run", -1);
	const char *name;
	json_t *json;

	for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
		values[i] = -1;
	json_object_foreach((json_t *)given, name, json)
		if (!read_setting(name, json, values, error))
			return false;
	if (run < 0) {
		error_set(error, ERR_KSM_UPDATE_FAILED, "this kernel has no KSM (%s)", directory);
		return false;
	}
	if (values[0] >= 0 && values[0] == number(directory, "merge_across_nodes", values[0]))
		values[0] = -1;
	/* "must be changed only when there are no ksm shared pages": 2 separates all, and stops */
	if (values[0] >= 0 && !write_number(directory, "run", 2, error))
		return false;
	if (values[0] >= 0 && values[3] < 0)
		values[3] = run;
	for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
		if (values[i] >= 0 && !write_number(directory, settings[i].name, values[i], error))
			return false;
	return true;
}

/* ---- its cost ---- */

/* The kernel thread's id; 0: there is none. */
static int find_ksmd(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = NULL, *comm = NULL;

		if (!g_ascii_isdigit(*name))
			continue;
		path = g_build_filename("/proc", name, "comm", NULL);
		comm = file_text(path);
		if (!g_strcmp0(comm, "ksmd"))
			return (int)g_ascii_strtoll(name, NULL, 10);
	}
	return 0;
}

int ksm_cpu(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int pid = -1, percent;
	static int64_t at_usec;
	static uint64_t before;
	g_autofree char *path = NULL, *text = NULL;
	const char *rest;
	uint64_t ticks;

	AUTO_LOCK(&lock);
	if (pid < 0)
		pid = find_ksmd();
	if (!pid || (at_usec && now_usec() - at_usec < G_USEC_PER_SEC))
		return percent;
	path = g_strdup_printf("/proc/%d/stat", pid);
	text = file_text(path);
	rest = text ? strrchr(text, ')') : NULL;
	/* a kernel thread only has system time */
	if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %" SCNu64, &ticks) != 1)
		return percent;
	if (at_usec)
		percent = (int)((double)(ticks - before) / (double)sysconf(_SC_CLK_TCK) / ((double)(now_usec() - at_usec) / 1e6) * 100);
	before = ticks;
	at_usec = now_usec();
	return percent;
}
