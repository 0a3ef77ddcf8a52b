/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.freeze and VM.thaw: a moment in which the guest's disks are consistent.
 *
 *   before_vm_freeze   may fail the freeze (1500): then nothing is frozen
 *   freeze             through the guest agent, which runs the guest's own fsfreeze hook first; 19, 75, 76
 *   after_vm_freeze    always, also when the freeze or a script before it failed: what before_vm_freeze began can be ended there
 *   before_vm_thaw     its failure is logged: nothing may keep a guest frozen
 *   thaw               may be repeated, and is done although we do not believe it frozen (an earlier agent may have frozen it); 19, 75, 77
 *   after_vm_thaw      always
 *
 * Scripts see the outcome of what they come after in the variable `result`: "ok" or "failed". Between freeze and thaw nobody else asks the
 * guest anything. libvirt gives the guest FREEZE_LIMIT_S for each, or what VM.freeze says; the guest's own scripts are part of it.
 *
 * A guest that is given up in the middle of a freeze (its fsfreeze hook hangs) may freeze later, when nobody thinks of it any more; and a thaw that
 * failed leaves it frozen. In both cases a thaw is owed (vm->thaw_at_usec): it is tried every THAW_AGAIN_USEC until the agent answers. A guest that is
 * frozen as it was asked to be is left so, also by an agent that starts: whoever froze it thaws it.
 *
 * What a guest has yet to write when it is frozen may find no room, or a broken disk. Then it stands still in the middle of it, and its agent with it, and
 * libvirt would wait for all of the limit. So libvirt is asked on a lane of its own, "freeze/<id>", and whoever asked is told as soon as the VM is
 * paused by the error. When the guest goes on, it freezes, and is thawed at once.
 */
#define LOG_MODULE "virt"
#include "agent/virt/guest/guest.h"
#include "agent/virt/news.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/guest.h"

#define LOOK_USEC (1 * G_USEC_PER_SEC)           /* is it paused? For when that was not told as news */

static void set_frozen(struct vm *vm, bool frozen)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->frozen = frozen && vm->agent_connected;
	vm->thaw_at_usec = 0;
	if (!frozen && vm->time_is_stale)
		guest_time_is_stale(vm);
}

static void owe_thaw(struct vm *vm)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		vm->thaw_at_usec = now_usec() + THAW_AGAIN_USEC;
	}
	log_warn("VM %s may be frozen: it is thawed as soon as its agent answers", vm->id);
}

static bool is_frozen(struct guest_talk *talk)
{
	json_t *status = guest_command(talk, json_pack("{s:s}", "execute", "guest-fsfreeze-status"), GUEST_PING_S);
	bool frozen = !g_strcmp0(json_string_value(status), "frozen");

	json_decref(status);
	return frozen;
}

static int freeze_now(struct guest_talk *talk, const GPtrArray *mountpoints, GError **error)
{
	const char **names = mountpoints && mountpoints->len ? (const char **)mountpoints->pdata : NULL;
	int n = virDomainFSFreeze(talk->domain, names, names ? mountpoints->len : 0, 0);

	if (n < 0)
		guest_talk_failed(talk, ERR_FREEZE_GUEST_FS_FAILED, "freeze", error);
	else if (names && (guint)n < mountpoints->len)
		error_set(error, ERR_FREEZE_GUEST_FS_FAILED, "VM %s: of %u mount points %d could be frozen; is there a file system on each?", talk->vm->id,
			  mountpoints->len, n);
	else
		return n;
	return -1;
}

/* Some may be frozen: those that were found of a list; or, later, all of a guest that was given up. */
static void undo(struct guest_talk *talk, bool silent)
{
	if (silent || virDomainFSThaw(talk->domain, NULL, 0, 0) < 0)
		owe_thaw(talk->vm);
}

/* One talk in which it is frozen; < 0 + error: it is not. */
static int talk_freeze(struct vm *vm, const GPtrArray *mountpoints, int limit_s, GError **error)
{
	struct guest_talk talk;
	g_autoptr(GError) cause = NULL;
	int n = -1;

	if (!guest_talk_begin(vm, limit_s, ERR_FREEZE_GUEST_FS_FAILED, &talk, error))
		return -1;
	if (is_frozen(&talk)) {
		error_set(&cause, ERR_FREEZE_GUEST_FS_FAILED, "VM %s is frozen already", vm->id);
		set_frozen(vm, true);
	} else {
		set_frozen(vm, true);           /* before: the poller must be silent already */
		n = freeze_now(&talk, mountpoints, &cause);
		if (n <= 0)
			set_frozen(vm, false);
		if (n < 0)
			undo(&talk, error_is(cause, ERR_NON_RESPONSIVE_GUEST_AGENT));
	}
	guest_talk_end(&talk);
	if (n < 0)
		g_propagate_error(error, g_steal_pointer(&cause));
	else
		log_info("VM %s: %d file systems are frozen", vm->id, n);
	return n;
}

/* Who asked and the lane hold it. Under vms->lock, but for what never changes. */
struct freeze {
	int refs;                        /* atomic */
	GPtrArray *mountpoints;
	int limit_s;
	bool over;
	const char *pause_code;          /* who asked did not wait for it, for the VM was paused so; NULL: waits */
	int file_systems;
	GError *error;
};

static void freeze_unref(void *data)
{
	struct freeze *freeze = data;

	if (!g_atomic_int_dec_and_test(&freeze->refs))
		return;
	if (freeze->mountpoints)
		g_ptr_array_unref(freeze->mountpoints);
	g_clear_error(&freeze->error);
	g_free(freeze);
}

static void freeze_run(struct vm *vm, void *data)
{
	struct freeze *freeze = data;
	GError *error = NULL;
	int n = talk_freeze(vm, freeze->mountpoints, freeze->limit_s, &error);
	bool unwanted;

	{
		AUTO_LOCK(&vm->vms->lock);
		vm->freezing = false;
		freeze->over = true;
		freeze->file_systems = n;
		freeze->error = error;
		unwanted = freeze->pause_code;
	}
	if (unwanted && n > 0)
		guest_thaw_owed(vm, NULL);
	news_tell(vm, NEWS_FREEZE, NULL, 0);
	freeze_unref(freeze);
}

/* One at a time. */
static bool set_freezing(struct vm *vm, bool freezing)
{
	bool before;

	AUTO_LOCK(&vm->vms->lock);
	before = vm->freezing;
	vm->freezing = freezing;
	return !before;
}

/* Is there anything to say? */
static bool is_decided(struct vm *vm, struct freeze *freeze)
{
	AUTO_LOCK(&vm->vms->lock);
	if (!freeze->over && vm->paused_by_error_usec)
		freeze->pause_code = vm->pause_code;
	return freeze->over || freeze->pause_code;
}

/* Until it is decided, which a pause is, or the VM ends. */
static bool await(struct vm *vm, struct news_wait *wait, struct freeze *freeze, GError **error)
{
	GError *cause = NULL;
	enum news_kind kind;

	lane_wait_begin();
	while (!cause && !is_decided(vm, freeze))
		if (!news_next(wait, LOOK_USEC, &kind, NULL, &cause) && error_is(cause, ERR_RESOURCE_TIMEOUT))
			g_clear_error(&cause);
	lane_wait_end();
	if (!cause && freeze->pause_code)
		error_set(&cause, ERR_FREEZE_GUEST_FS_FAILED, "VM %s was paused by an I/O error (%s) while its file systems were being frozen", vm->id,
			  freeze->pause_code);
	else if (!cause && freeze->error)
		cause = g_error_copy(freeze->error);
	if (cause)
		g_propagate_error(error, cause);
	return !cause;
}

bool guest_freeze(struct vm *vm, const GPtrArray *mountpoints, int limit_s, int *ret_file_systems, GError **error)
{
	AUTO_NEWS wait = news_wait_new(vm, /* subject= */ NULL);
	struct freeze *freeze;
	bool good;

	if (!set_freezing(vm, true)) {
		error_set(error, ERR_FREEZE_GUEST_FS_FAILED, "VM %s was told to freeze its file systems before, and has not answered yet", vm->id);
		return false;
	}
	freeze = g_new0(struct freeze, 1);
	freeze->refs = 2;
	freeze->mountpoints = mountpoints ? g_ptr_array_ref((GPtrArray *)mountpoints) : NULL;
	freeze->limit_s = limit_s;
	good = vm_queue_on(vm, "freeze", "freeze", freeze_run, freeze, freeze_unref, error);
	if (good) {
		good = await(vm, wait, freeze, error);
	} else {
		(void)set_freezing(vm, false);
		freeze_unref(freeze);
	}
	if (good && ret_file_systems)
		*ret_file_systems = freeze->file_systems;
	freeze_unref(freeze);
	return good;
}

bool guest_thaw(struct vm *vm, int limit_s, int *ret_file_systems, GError **error)
{
	struct guest_talk talk;
	int n;

	if (!guest_talk_begin(vm, limit_s, ERR_THAW_GUEST_FS_FAILED, &talk, error)) {
		owe_thaw(vm);
		return false;
	}
	n = virDomainFSThaw(talk.domain, NULL, 0, 0);
	if (n < 0) {
		guest_talk_failed(&talk, ERR_THAW_GUEST_FS_FAILED, "thaw", error);
		owe_thaw(vm);
	}
	guest_talk_end(&talk);
	if (n < 0)
		return false;
	set_frozen(vm, false);
	log_info("VM %s: %d file systems are thawed", vm->id, n);
	if (ret_file_systems)
		*ret_file_systems = n;
	return true;
}

void guest_thaw_owed(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;

	if (!guest_thaw(vm, FREEZE_LIMIT_S, NULL, &error))
		log_debug("VM %s is not thawed yet: %s", vm->id, error->message);
}

/* ---- with hooks ---- */

static void hook_after(struct vm *vm, const char *point, bool good)
{
	json_t *result = json_pack("{s:s}", "result", good ? "ok" : "failed");

	(void)vm_hook(vm, point, NULL, result, NULL, NULL);
	json_decref(result);
}

bool guest_freeze_hooked(struct vm *vm, const GPtrArray *mountpoints, int limit_s, int frozen_limit_s, int *ret_file_systems, GError **error)
{
	int file_systems = 0;
	bool good = vm_hook(vm, "before_vm_freeze", NULL, NULL, NULL, error) && guest_freeze(vm, mountpoints, limit_s, &file_systems, error);

	if (file_systems && frozen_limit_s) {
		AUTO_LOCK(&vm->vms->lock);
		vm->thaw_at_usec = now_usec() + frozen_limit_s * (int64_t)G_USEC_PER_SEC;
	}
	hook_after(vm, "after_vm_freeze", good);
	if (good && ret_file_systems)
		*ret_file_systems = file_systems;
	return good;
}

bool guest_thaw_hooked(struct vm *vm, GError **error)
{
	bool good;

	(void)vm_hook(vm, "before_vm_thaw", NULL, NULL, NULL, NULL);
	good = guest_thaw(vm, FREEZE_LIMIT_S, NULL, error);
	hook_after(vm, "after_vm_thaw", good);
	return good;
}

bool guest_is_frozen(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->frozen;
}

/* ---- the verbs ---- */

/* Said before any script runs. */
static bool check(struct vm *vm, enum error_code paused_code, GError **error)
{
	return vm_check_running(vm, error) && guest_check_agent(vm, paused_code, error);
}

bool guest_freeze_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_freeze_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);

	return vm && check(vm, ERR_FREEZE_GUEST_FS_FAILED, error) &&
	       guest_freeze_hooked(vm, p->mountpoints, p->timeout, /* frozen_limit_s= */ 0, NULL, error);
}

bool guest_thaw_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);

	return vm && check(vm, ERR_THAW_GUEST_FS_FAILED, error) && guest_thaw_hooked(vm, error);
}
