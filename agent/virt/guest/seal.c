/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.seal: virt-sysprep over all disks of a template that was just made, before it may be used: SSH host keys, machine id, logs, MAC addresses of the
 * machine it came from go. virt-sysprep wants all disks at once. It is a job with the id that the engine gives, as in vdsm (virt/jobs/seal.py); one that
 * the agent does not outlive fails, the engine removes the template then.
 *
 * virt-sysprep is part of guestfs-tools, which hosts need not have: without it the verb is refused.
 */
#define LOG_MODULE "virt"
#include <string.h>
#include <sys/wait.h>
#include "agent/jobs.h"
#include "agent/storage/storage.h"
#include "agent/virt/vm.h"
#include "common/log.h"

#define PROGRAM "virt-sysprep"
#define ERROR_TEXT_MAX 4096

/* holder: as which the volumes are prepared, one for each call: what one gives back another may still have */
struct seal { struct storage *storage; char *holder, *program; GPtrArray *paths; };

static void seal_free(void *data)
{
	struct seal *seal = data;

	g_free(seal->holder);
	g_free(seal->program);
	if (seal->paths)
		g_ptr_array_unref(seal->paths);
	g_free(seal);
}

/* The end of what it said is what is wrong. */
static const char *last_part(const char *text)
{
	size_t length = strlen(text);

	return length > ERROR_TEXT_MAX ? text + length - ERROR_TEXT_MAX : text;
}

static bool run_program(const struct seal *seal, GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LIBGUESTFS_BACKEND", "direct", TRUE);
	g_autofree char *said = NULL;
	g_autoptr(GError) cause = NULL;
	int status = 0;

	environment = g_environ_unsetenv(environment, "NOTIFY_SOCKET");
	g_ptr_array_add(argv, seal->program);
	for (guint i = 0; i < seal->paths->len; i++) {
		g_ptr_array_add(argv, (gpointer) "-a");
		g_ptr_array_add(argv, seal->paths->pdata[i]);
	}
	g_ptr_array_add(argv, NULL);
	if (!g_spawn_sync("/", (char **)argv->pdata, environment, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &said, &status, &cause)) {
		error_set(error, ERR_UNEXPECTED_ERROR, "%s: %s", seal->program, cause->message);
		return false;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	g_strchomp(said);
	error_set(error, ERR_UNEXPECTED_ERROR, "%s ended with status %d: %s", seal->program, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
		  last_part(said));
	return false;
}

static bool seal_run(struct job *job, void *data, GError **error)
{
	const struct seal *seal = data;
	bool good = run_program(seal, error);

	storage_rest(seal->storage, seal->holder);
	return good;
}

static bool prepare(const struct seal *seal, const GPtrArray *images, GError **error)
{
	for (guint i = 0; images && i < images->len; i++) {
		const struct vm_seal_image *image = images->pdata[i];
		g_autofree char *path = NULL;
		const char *format;

		if (!storage_prepare(seal->storage, seal->holder, image->domain_id, image->image_id, image->volume_id, &path, &format, error))
			return false;
		g_ptr_array_add(seal->paths, g_steal_pointer(&path));
	}
	if (seal->paths->len)
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "images: at least one is needed");
	return false;
}

/* Under a VM that runs the disks would be written by two. */
static bool check_stopped(struct agent *agent, const char *vm_id, GError **error)
{
	AUTO_VM vm = vms_lookup(agent->vms, vm_id);

	if (!vm || !vm_check_running(vm, NULL))
		return true;
	error_set(error, ERR_UNSUPPORTED_OPERATION, "VM %s runs: its disks cannot be sealed", vm_id);
	return false;
}

bool vm_seal_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_seal_params *p = params;
	struct seal *seal = g_new0(struct seal, 1);
	g_autofree char *what = g_strconcat("VM.seal ", p->vm_id, NULL), *lane = g_strconcat("seal/", p->vm_id, NULL);
	struct job_work work = { .id = p->job_id, .type = "virt", .description = what, .lane = lane, .run = seal_run, .data = seal, .free_data = seal_free };
	bool good;

	seal->storage = agent->storage;
	seal->holder = g_uuid_string_random();
	seal->paths = strings_new();
	seal->program = g_find_program_in_path(PROGRAM);
	if (!seal->program)
		error_set(error, ERR_UNSUPPORTED_OPERATION, PROGRAM " is not installed on this host");
	good = seal->program && check_stopped(agent, p->vm_id, error) && prepare(seal, p->images, error) &&
	       jobs_start(agent->jobs, &work, NULL, error);
	if (!good) {
		storage_rest(agent->storage, seal->holder);
		seal_free(seal);
	}
	return good;
}
