/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The QEMU guest agent: whether it is there, who may talk with it, when it is asked for news.
 *
 * Whether there is an agent is known from libvirt's agent event (or the channel's state in the XML, after a restart): nobody asks into the blue, and a
 * verb that needs an agent which is not connected fails at once.
 *
 * A talk is several commands that belong together. There is one at a time with a guest (vm->agent_lock), because libvirt's time limit belongs to
 * the domain, not to the call. Talks are held on the lane "guest/<id>", beside "vm/<id>", so an agent that hangs is in the way of those only who want
 * something of it. A talk begins with a ping: libvirt hands every command to the agent's socket, and what is in there when the limit of a command is over
 * is still done by an agent that goes on later. (And virDomainGetGuestInfo() takes silence for an empty answer.)
 *
 * News. Each query has its period (below); in the first EAGER_USEC after the agent connected none is longer than EAGER_PERIOD_S, because addresses and users
 * come late in a boot. The clock finds what is due and queues one poll. libvirt waits POLL_LIMIT_S for each answer, and a poll asks no more after
 * POLL_WHOLE_USEC, so that a verb waits for it a few seconds at most. After silence the guest is left alone for FIRST_SILENCE_USEC (an agent of ours that
 * was killed in the middle of a talk leaves half an answer behind, and a guest that has just arrived from another host is slow), after more of it for
 * twice as long each time, up to SILENCE_USEC, or until libvirt says that its agent connects. While file systems are frozen nothing is asked: a frozen
 * agent answers little, and libvirt would take it for dead.
 *
 * The clock. A guest that did not run for a while - paused, saved, on its way from another host - has a wrong time; with [vm] sync_time it is set as soon
 * as it runs and its agent is there (guest_time_is_stale()).
 */
#define LOG_MODULE "guest"
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "agent/virt/guest/guest.h"
#include "common/lock.h"
#include "common/log.h"

#define POLL_LIMIT_S 2
#define POLL_WHOLE_USEC (3 * G_USEC_PER_SEC)
#define EAGER_USEC (120 * G_USEC_PER_SEC)
#define EAGER_PERIOD_S 5
#define FIRST_SILENCE_USEC (5 * G_USEC_PER_SEC)
#define SILENCE_USEC (60 * G_USEC_PER_SEC)
#define ARRIVAL_USEC (2 * G_USEC_PER_SEC)
#define PLUG_USEC (10 * G_USEC_PER_SEC)
#define PING_AGAIN_USEC (50 * 1000)

static const struct { const char *name; int period_s; } queries[QUERY_MAX] = {
	[QUERY_AGENT] = { "itself", 300 }, [QUERY_OS] = { "its system", 120 }, [QUERY_NETWORK] = { "its network", 120 }, [QUERY_USERS] = { "its users", 10 },
	[QUERY_FILESYSTEMS] = { "its file systems", 300 }, [QUERY_DISKS] = { "its disks", 300 }, [QUERY_CPUS] = { "its CPUs", 60 },
	[QUERY_DEVICES] = { "its devices", 120 },
};

/* ---- the guest's clock ---- */

static void set_time(struct vm *vm, void *unused)
{
	struct guest_talk talk;
	g_autoptr(GError) error = NULL;
	int64_t now;

	if (!guest_talk_begin(vm, GUEST_PING_S, ERR_NON_RESPONSIVE_GUEST_AGENT, &talk, &error)) {
		log_info("VM %s: its clock may be wrong: %s", vm->id, error->message);
		AUTO_LOCK(&vm->vms->lock);
		vm->time_is_stale = true;       /* until it answers again */
		return;
	}
	now = g_get_real_time();
	if (virDomainSetTime(talk.domain, now / G_USEC_PER_SEC, (unsigned)(now % G_USEC_PER_SEC) * 1000, 0) == 0)
		log_info("VM %s: its clock was set", vm->id);
	else
		log_info("VM %s: its clock may be wrong: %s", vm->id, virGetLastErrorMessage());
	guest_talk_end(&talk);
}

/* Lock held. */
static void set_stale_time(struct vm *vm)
{
	if (vm->time_is_stale && vm->agent_connected && !vm->agent_silences && vm->status != VM_WIRE_PAUSED && !vm->frozen)
		vm->time_is_stale = !vm_queue_on(vm, "guest", "set the guest's clock", set_time, NULL, NULL, NULL);
}

void guest_time_is_stale(struct vm *vm)
{
	if (!vm->vms->sync_time)
		return;
	vm->time_is_stale = true;
	set_stale_time(vm);
}

/* ---- one talk at a time ---- */

/* Nothing more is asked for news for a while. */
static void leave_alone(struct vm *vm)
{
	int64_t at = now_usec(), silence = FIRST_SILENCE_USEC;

	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_PAUSED)          /* since it was asked: that is not its agent's fault */
		return;
	for (unsigned i = 0; i < vm->agent_silences && silence < SILENCE_USEC; i++)
		silence = MIN(2 * silence, SILENCE_USEC);
	log_debug("VM %s: its agent is silent and left alone for %d s", vm->id, (int)(silence / G_USEC_PER_SEC));
	at += silence;
	vm->agent_silences++;
	for (int i = 0; i < QUERY_MAX; i++)
		if (vm->query_at_usec[i])
			vm->query_at_usec[i] = at;
}

bool guest_is_silent(void)
{
	int code = libvirt_error_code();

	return code == VIR_ERR_AGENT_UNRESPONSIVE || code == VIR_ERR_AGENT_UNSYNCED || code == VIR_ERR_OPERATION_TIMEOUT;
}

void guest_talk_failed(struct guest_talk *talk, enum error_code otherwise, const char *what, GError **error)
{
	switch (libvirt_error_code()) {
	case VIR_ERR_AGENT_UNRESPONSIVE:
	case VIR_ERR_AGENT_UNSYNCED:
	case VIR_ERR_OPERATION_TIMEOUT:
		otherwise = ERR_NON_RESPONSIVE_GUEST_AGENT;
		break;
	case VIR_ERR_NO_SUPPORT:
	case VIR_ERR_OPERATION_UNSUPPORTED:
	case VIR_ERR_CONFIG_UNSUPPORTED:
	case VIR_ERR_ARGUMENT_UNSUPPORTED:
		otherwise = ERR_UNSUPPORTED_OPERATION;
		break;
	}
	libvirt_error_set(error, otherwise, "VM %s: %s", talk->vm->id, what);
	if (otherwise == ERR_NON_RESPONSIVE_GUEST_AGENT)
		leave_alone(talk->vm);
}

bool guest_check_agent(struct vm *vm, enum error_code paused_code, GError **error)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->info && !vm->info->agent_channel)
		error_set(error, ERR_UNSUPPORTED_OPERATION, "VM %s has no channel for a guest agent", vm->id);
	else if (vm->status == VM_WIRE_PAUSED || vm->status == VM_WIRE_SAVING)
		error_set(error, paused_code, "VM %s does not run now ('%s'): its guest agent cannot answer", vm->id, vm_wire_status_names[vm->status]);
	else if (!vm->agent_connected)
		error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s has no guest agent connected", vm->id);
	else
		return true;
	return false;
}

static bool take_turn(struct vm *vm, int wait_s, GError **error)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_s;
	if (!pthread_mutex_clocklock(&vm->agent_lock, CLOCK_MONOTONIC, &until))
		return true;
	error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s: another talk with its guest agent goes on for more than %d s", vm->id, wait_s);
	return false;
}

bool guest_answers(struct guest_talk *talk, int limit_s)
{
	char *answer = virDomainQemuAgentCommand(talk->domain, "{\"execute\":\"guest-ping\"}", limit_s, 0);

	free(answer);
	return answer != NULL;
}

/* As guest_answers(). libvirt that has just started tells the channel as connected before it talks with the agent itself, without an event when it does:
   what it refuses at once is asked again, while the channel is connected. */
static bool answers_in_time(struct guest_talk *talk, int limit_s)
{
	int64_t until = now_usec() + limit_s * (int64_t)G_USEC_PER_SEC;

	while (!guest_answers(talk, limit_s)) {
		bool connected;

		{
			AUTO_LOCK(&talk->vm->vms->lock);
			connected = talk->vm->agent_connected;
		}
		if (libvirt_error_code() != VIR_ERR_AGENT_UNRESPONSIVE || !connected || now_usec() + PING_AGAIN_USEC > until)
			return false;
		g_usleep(PING_AGAIN_USEC);
	}
	return true;
}

/* false + error: no answer; the talk is over. */
static bool ping(struct guest_talk *talk, int limit_s, GError **error)
{
	if (!answers_in_time(talk, limit_s)) {
		guest_talk_failed(talk, ERR_NON_RESPONSIVE_GUEST_AGENT, "does its agent answer?", error);
		guest_talk_end(talk);
		return false;
	}
	AUTO_LOCK(&talk->vm->vms->lock);
	talk->vm->agent_silences = 0;
	set_stale_time(talk->vm);
	return true;
}

static bool open_talk(struct vm *vm, int limit_s, int wait_s, enum error_code paused_code, struct guest_talk *ret_talk, GError **error)
{
	virDomainPtr domain = vm_domain(vm, error);

	if (!domain)
		return false;
	if (!guest_check_agent(vm, paused_code, error) || !take_turn(vm, wait_s, error)) {
		virDomainFree(domain);
		return false;
	}
	if (virDomainAgentSetResponseTimeout(domain, limit_s, 0) < 0)
		log_debug("VM %s: no time limit for its agent, ignoring: %s", vm->id, virGetLastErrorMessage());
	*ret_talk = (struct guest_talk){ vm_ref(vm), domain };
	return true;
}

bool guest_talk_begin(struct vm *vm, int limit_s, enum error_code paused_code, struct guest_talk *ret_talk, GError **error)
{
	return open_talk(vm, limit_s, GUEST_TURN_S, paused_code, ret_talk, error) && ping(ret_talk, GUEST_PING_S, error);
}

void guest_talk_end(struct guest_talk *talk)
{
	virDomainFree(talk->domain);
	pthread_mutex_unlock(&talk->vm->agent_lock);
	vm_unref(talk->vm);
}

json_t *guest_command(struct guest_talk *talk, json_t *command, int limit_s)
{
	char *text = json_dumps(command, JSON_COMPACT), *answer = virDomainQemuAgentCommand(talk->domain, text, limit_s, 0);
	json_t *json = answer ? json_loads(answer, JSON_DECODE_ANY, NULL) : NULL, *result = json_incref(json_object_get(json, "return"));

	free(text);
	free(answer);
	json_decref(json);
	json_decref(command);
	return result;
}

bool guest_can(struct vm *vm, const char *command)
{
	AUTO_LOCK(&vm->vms->lock);
	return !vm->guest.commands || json_object_get(vm->guest.commands, command);
}

/* ---- news ---- */

/* Lock held. */
static bool is_due(const struct vm *vm, enum guest_query query, int64_t now)
{
	return vm->query_at_usec[query] && now >= vm->query_at_usec[query];
}

/* After a restart of ours the guest may still be frozen: ask before anything else, as the answer to all else would be silence. */
static bool is_frozen(struct guest_talk *talk)
{
	struct vm *vm = talk->vm;
	json_t *status = guest_command(talk, json_pack("{s:s}", "execute", "guest-fsfreeze-status"), POLL_LIMIT_S);
	bool frozen = !g_strcmp0(json_string_value(status), "frozen");

	json_decref(status);
	AUTO_LOCK(&vm->vms->lock);
	if (vm->agent_connected)
		vm->frozen = frozen;
	if (frozen)
		log_warn("VM %s: its file systems are frozen", vm->id);
	return frozen;
}

static void ask_in_turn(struct guest_talk *talk, int64_t until)
{
	struct vm *vm = talk->vm;

	for (enum guest_query query = 0; query < QUERY_MAX && now_usec() < until; query++) {
		enum guest_outcome outcome;
		int period = queries[query].period_s;
		int64_t now;

		{
			AUTO_LOCK(&vm->vms->lock);
			if (vm->frozen)
				return;
			if (!is_due(vm, query, now_usec()))
				continue;
		}
		log_debug("VM %s: its agent is asked for %s", vm->id, queries[query].name);
		outcome = guest_ask(talk, query);
		if (outcome == GUEST_SILENT) {
			leave_alone(vm);
			return;
		}
		now = now_usec();
		AUTO_LOCK(&vm->vms->lock);
		if (now - vm->agent_since_usec < EAGER_USEC && outcome == GUEST_TOLD)
			period = MIN(period, EAGER_PERIOD_S);
		if (vm->query_at_usec[query])
			vm->query_at_usec[query] = now + period * (int64_t)G_USEC_PER_SEC;
	}
}

static void poll_guest(struct vm *vm, void *unused)
{
	struct vms *vms = vm->vms;
	g_autofree char *before = NULL, *after = NULL;
	struct guest_talk talk;
	bool first, frozen;

	{
		AUTO_LOCK(&vms->lock);
		vm->query_queued = false;
		first = !vm->guest.any;
		frozen = vm->frozen;
		before = guest_signature(&vm->guest);
	}
	if (frozen || !open_talk(vm, POLL_LIMIT_S, /* wait_s= */ 0, ERR_NON_RESPONSIVE_GUEST_AGENT, &talk, NULL) || !ping(&talk, POLL_LIMIT_S, NULL))
		return;
	if (!first || !is_frozen(&talk))
		ask_in_turn(&talk, now_usec() + POLL_WHOLE_USEC);
	guest_talk_end(&talk);
	AUTO_LOCK(&vms->lock);
	after = guest_signature(&vm->guest);
	if (vm->guest.any && strcmp(before, after) && vm->status != VM_WIRE_DOWN)
		vm_locked_publish(vm);
}

void guest_agent_tick(struct vm *vm, int64_t now)
{
	bool due = false;

	if (!vm->agent_connected || vm->status == VM_WIRE_PAUSED)
		return;
	if (vm->thaw_at_usec && now >= vm->thaw_at_usec && vm_queue_on(vm, "guest", "thaw what was given up", guest_thaw_owed, NULL, NULL, NULL))
		vm->thaw_at_usec = now + THAW_AGAIN_USEC;
	if (!vm->vms->guest_poll || vm->query_queued || vm->frozen)
		return;
	for (enum guest_query query = 0; query < QUERY_MAX && !due; query++)
		due = is_due(vm, query, now);
	if (due)
		vm->query_queued = vm_queue_on(vm, "guest", "ask the guest agent", poll_guest, NULL, NULL, NULL);
}

void guest_agent_plugged(struct vm *vm)
{
	int64_t soon = now_usec() + PLUG_USEC;

	AUTO_LOCK(&vm->vms->lock);
	for (enum guest_query query = QUERY_FILESYSTEMS; query <= QUERY_DISKS; query++)
		if (vm->query_at_usec[query])
			vm->query_at_usec[query] = MIN(vm->query_at_usec[query], soon);
}

/* ---- coming and going ---- */

/* Lock held. One that has just come from another host has more urgent things to do than to tell what it told there. */
static void ask_now(struct vm *vm, int64_t now)
{
	for (int i = 0; i < QUERY_MAX; i++)
		vm->query_at_usec[i] = now + (vm->arriving || vm->arrival[0] ? ARRIVAL_USEC : 0);
	guest_agent_tick(vm, now);
}

void guest_agent_connected(struct vm *vm)
{
	{
		int64_t now = now_usec();
		AUTO_LOCK(&vm->vms->lock);

		if (vm->status == VM_WIRE_DOWN)
			return;
		if (vm->agent_connected) {              /* known, but not when it was asked too early */
			if (vm->agent_silences)
				ask_now(vm, now);
			return;
		}
		log_info("VM %s: guest agent is connected", vm->id);
		guest_facts_clear(&vm->guest);
		vm->agent_connected = true;
		vm->agent_since_usec = now;
		set_stale_time(vm);
		ask_now(vm, now);
		if (vm->status != VM_WIRE_POWERING_UP)
			return;
	}
	vm_set_up(vm);
	vms_wake(vm->vms);
}

void guest_agent_disconnected(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	if (!vm->agent_connected)
		return;
	log_info("VM %s: guest agent is gone", vm->id);
	vm_locked_clear_guest(vm);
	if (vm->status == VM_WIRE_UP)
		vm_locked_publish(vm);
}
