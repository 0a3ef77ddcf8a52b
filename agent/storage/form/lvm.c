/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running lvm(8). Always with --devices: LVM sees exactly the devices that a command is about. So it never scans the disks of VMs that lie on our logical
 * volumes, a device that hangs stops only who uses it, and the host's own lvm.conf, devices file and filters neither help nor hurt. No lvmetad, no
 * lvmpolld, no monitoring, no archive: what counts is on the storage. Volume groups of ours are made with --setautoactivation n: no host activates by
 * itself what another one is using.
 */
#define LOG_MODULE "storage"
#include "agent/storage/form/lvm.h"
#include <string.h>
#include "agent/process.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"

#define LVM_PROGRAM "/sbin/lvm"
#define LIMIT_USEC (300 * G_USEC_PER_SEC)
#define MOVE_USEC (INT64_C(7) * 24 * 3600 * G_USEC_PER_SEC)      /* as long as it takes; a job can be canceled */
#define REPORT_MAX (64 * 1024 * 1024)
#define CONFIG \
	"devices { use_devicesfile=0 scan_lvs=0 hints=\"none\" global_filter=[\"a|.*|\"] filter=[\"a|.*|\"] write_cache_state=0 ignore_suspended_devices=1 } " \
	"global { event_activation=0 use_lvmpolld=0 } activation { monitoring=0 } backup { backup=0 archive=0 } log { level=0 syslog=0 }"

static bool run(const GPtrArray *paths, enum error_code code, struct process process, char **ret_output, GError **error, const char *const *words)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GString) devices = g_string_new(NULL);
	bool done;

	for (guint i = 0; i < paths->len; i++)
		g_string_append_printf(devices, i ? ",%s" : "%s", (const char *)paths->pdata[i]);
	g_ptr_array_add(argv, (gpointer)LVM_PROGRAM);
	g_ptr_array_add(argv, (gpointer)*words);
	g_ptr_array_add(argv, (gpointer)"--config");
	g_ptr_array_add(argv, (gpointer)CONFIG);
	g_ptr_array_add(argv, (gpointer)"--devices");
	g_ptr_array_add(argv, devices->str);
	for (words++; *words; words++)
		g_ptr_array_add(argv, (gpointer)*words);
	g_ptr_array_add(argv, NULL);
	process.argv = (const char *const *)argv->pdata;
	process.output_max = REPORT_MAX;
	process.apart = true;
	done = process_run(&process, error);
	if (done && process.status) {
		g_strstrip(process.errors->str);
		error_set(error, code, "%s: %s", (const char *)argv->pdata[1], g_strdelimit(process.errors->str, "\n", ' '));
		done = false;
	}
	if (done && ret_output)
		*ret_output = g_strdup(process.output->str);
	if (process.output)
		g_string_free(process.output, TRUE);
	if (process.errors)
		g_string_free(process.errors, TRUE);
	return done;
}

bool lvm_run(const GPtrArray *paths, enum error_code code, char **ret_output, GError **error, const char *const *words)
{
	return run(paths, code, (struct process){ .limit_usec = LIMIT_USEC }, ret_output, error, words);
}

struct move { const GPtrArray *paths; struct job *job; bool aborted; };

/* "  /dev/sda: Moved: 12.34%", once a second. A process of LVM that is killed may leave devices suspended: one that is not wanted any more is told to end. */
static void heard(void *data, const char *text, size_t length)
{
	struct move *move = data;
	g_autofree char *copy = g_strndup(text, length);
	const char *last = g_strrstr(copy, "Moved:");
	g_autoptr(GError) problem = NULL;

	if (last)
		job_progress(move->job, CLAMP((int)g_ascii_strtod(last + strlen("Moved:"), NULL), 0, 100));
	if (move->aborted || !job_canceled(move->job))
		return;
	move->aborted = true;
	if (!LVM(move->paths, ERR_LVM_COMMAND_ERROR, &problem, "pvmove", "--abort"))
		log_warn("job %s: %s, ignoring", job_id(move->job), problem->message);
}

bool lvm_move(const GPtrArray *paths, struct job *job, GError **error, const char *const *words)
{
	struct move move = { .paths = paths, .job = job };
	bool done = run(paths, ERR_LVM_COMMAND_ERROR, (struct process){ .limit_usec = MOVE_USEC, .heard = heard, .data = &move }, NULL, error, words);

	if (!move.aborted)
		return done;
	g_clear_error(error);
	error_set(error, ERR_TASK_ABORTED, "'%s' was canceled", job_id(job));
	return false;
}

json_t *lvm_rows(const GPtrArray *paths, GError **error, const char *const *words)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	g_autofree char *output = NULL;
	json_t *report, *rows = NULL;
	const char *kind;
	json_t *value;

	g_ptr_array_add(all, (gpointer)*words);
	for (const char *const *option = (const char *const[]){ "--reportformat", "json", "--units", "b", "--nosuffix", NULL }; *option; option++)
		g_ptr_array_add(all, (gpointer)*option);
	for (words++; *words; words++)
		g_ptr_array_add(all, (gpointer)*words);
	g_ptr_array_add(all, NULL);
	if (!lvm_run(paths, ERR_LVM_COMMAND_ERROR, &output, error, (const char *const *)all->pdata) || !(report = json_parse(output, strlen(output), error)))
		return NULL;
	json_object_foreach(json_array_get(json_object_get(report, "report"), 0), kind, value)
		rows = json_incref(value);
	json_decref(report);
	if (!json_is_array(rows))
		error_set(error, ERR_LVM_COMMAND_ERROR, "%s: its report is none", (const char *)all->pdata[0]);
	return rows;
}

const char *lvm_text(const json_t *row, const char *column)
{
	const char *text = json_string_value(json_object_get(row, column));

	return text ? text : "";
}

int64_t lvm_number(const json_t *row, const char *column)
{
	return g_ascii_strtoll(lvm_text(row, column), NULL, 10);
}
