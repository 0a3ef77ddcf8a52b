/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest agent is told to do: trimming, passwords, SSH keys, messages to users. Each verb is one talk (guest_agent.c) on the lane "guest/<id>".
 *
 * Desktop sessions (lock, login, logoff) were the business of the oVirt guest agent, on a channel of its own (com.redhat.rhevm.vdsm). It is no longer
 * developed, qemu-ga has no such commands, and vdsm answers without it that the agent does not respond: so do we, at once. guest-exec is no way out: it
 * could have logind lock or end sessions, but runs as a service, which reaches no session of a Windows desktop, and logs nobody in.
 */
#define LOG_MODULE "guest"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/virt/guest/guest.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/guest.h"

#define CALL_LIMIT_S 30

/* A talk with the guest of that id. */
static bool begin(struct agent *agent, const char *vm_id, struct guest_talk *ret_talk, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, vm_id, error);

	return vm && guest_talk_begin(vm, CALL_LIMIT_S, ERR_NON_RESPONSIVE_GUEST_AGENT, ret_talk, error);
}

/* ---- room ---- */

/* What the guest agent says of each file system is the answer: one that cannot be trimmed is no failure of the others. */
static bool trim(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct guest_trim_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	struct guest_talk talk;
	json_t *answer;

	if (!vm || !guest_talk_begin(vm, p->timeout, ERR_NON_RESPONSIVE_GUEST_AGENT, &talk, error))
		return false;
	answer = guest_command(&talk, json_pack("{s:s, s:{s:I}}", "execute", "guest-fstrim", "arguments", "minimum", (json_int_t)p->minimum), p->timeout);
	if (!answer)
		guest_talk_failed(&talk, ERR_UNEXPECTED_ERROR, "trim its file systems", error);
	guest_talk_end(&talk);
	if (!answer)
		return false;
	result_json(ret_result, answer);
	return true;
}

/* ---- passwords ---- */

static bool set_password(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct guest_password_params *p = params;
	struct guest_talk talk;
	bool good;

	if (!begin(agent, p->vm_id, &talk, error))
		return false;
	good = virDomainSetUserPassword(talk.domain, p->user, p->password, p->crypted ? VIR_DOMAIN_PASSWORD_ENCRYPTED : 0) == 0;
	if (!good)
		guest_talk_failed(&talk, ERR_UNEXPECTED_ERROR, "set a password", error);
	guest_talk_end(&talk);
	return good;
}

/* ---- SSH keys ---- */

static bool get_keys(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct guest_keys_params *p = params;
	struct guest_talk talk;
	char **keys = NULL;
	json_t *list;
	int n;

	if (!begin(agent, p->vm_id, &talk, error))
		return false;
	n = virDomainAuthorizedSSHKeysGet(talk.domain, p->user, &keys, 0);
	if (n < 0)
		guest_talk_failed(&talk, ERR_UNEXPECTED_ERROR, "SSH keys", error);
	guest_talk_end(&talk);
	if (n < 0)
		return false;
	list = json_array();
	for (int i = 0; i < n; i++) {
		json_array_append_new(list, json_string(keys[i]));
		free(keys[i]);
	}
	free(keys);
	result_json(ret_result, json_pack("{s:o}", "keys", list));
	return true;
}

static bool check_keys(const struct guest_keys_params *p, GError **error)
{
	if (p->keys->len > GUEST_KEYS_MAX) {
		error_set(error, ERR_INVALID_PARAMETER, "keys: %u are given, at most %d can be", p->keys->len, GUEST_KEYS_MAX);
		return false;
	}
	for (guint i = 0; i < p->keys->len; i++) {
		const char *key = p->keys->pdata[i];

		if (!*key || strpbrk(key, "\r\n")) {
			error_set(error, ERR_INVALID_PARAMETER, "keys[%u] is not one line of authorized_keys", i);
			return false;
		}
	}
	return true;
}

static bool change_keys(struct agent *agent, const struct guest_keys_params *p, unsigned flags, GError **error)
{
	struct guest_talk talk;
	bool good;

	if (!check_keys(p, error) || !begin(agent, p->vm_id, &talk, error))
		return false;
	good = virDomainAuthorizedSSHKeysSet(talk.domain, p->user, (const char **)p->keys->pdata, p->keys->len, flags) == 0;
	if (!good)
		guest_talk_failed(&talk, ERR_UNEXPECTED_ERROR, "change SSH keys", error);
	guest_talk_end(&talk);
	return good;
}

static bool add_keys(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct guest_keys_params *p = params;

	return change_keys(agent, p, p->reset ? 0 : VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND, error);
}

static bool remove_keys(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return change_keys(agent, params, VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE, error);
}

/* ---- messages ---- */

static bool is_windows(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return !g_strcmp0(json_string_value(json_object_get(vm->guest.os_info, "type")), "windows");
}

/* wall(1) gets the text on its standard input: as an argument it could be the name of a file, which wall would show. */
static json_t *message_command(struct vm *vm, const char *text)
{
	g_autofree char *data = g_base64_encode((const guchar *)text, strlen(text));

	if (is_windows(vm))
		return json_pack("{s:s, s:{s:s, s:[s, s]}}", "execute", "guest-exec", "arguments", "path", "msg.exe", "arg", "*", text);
	return json_pack("{s:s, s:{s:s, s:s}}", "execute", "guest-exec", "arguments", "path", "wall", "input-data", data);
}

void guest_tell_users(struct vm *vm, const char *text)
{
	g_autoptr(GError) error = NULL;
	struct guest_talk talk;
	json_t *result;

	if (!guest_can(vm, "guest-exec")) {
		log_info("VM %s: its agent may not run programs, users are not told", vm->id);
		return;
	}
	if (!guest_talk_begin(vm, CALL_LIMIT_S, ERR_NON_RESPONSIVE_GUEST_AGENT, &talk, &error)) {
		log_info("VM %s: users are not told: %s", vm->id, error->message);
		return;
	}
	result = guest_command(&talk, message_command(vm, text), GUEST_PING_S);
	if (!result)
		log_info("VM %s: users are not told: %s", vm->id, virGetLastErrorMessage());
	guest_talk_end(&talk);
	json_decref(result);
}

/* ---- desktop sessions ---- */

/* Every params record here begins with the VM's id. */
static bool desktop(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_id_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);

	if (vm && vm_check_running(vm, error))
		error_set(error, ERR_NON_RESPONSIVE_GUEST_AGENT, "VM %s has no agent for desktop sessions (channel com.redhat.rhevm.vdsm)", vm->id);
	return false;
}

const struct verb_binding guest_bindings[] = {
	{ "VM.freeze", guest_freeze_verb },
	{ "VM.thaw", guest_thaw_verb },
	{ "VM.fstrim", trim },
	{ "VM.setUserPassword", set_password },
	{ "VM.getAuthorizedKeys", get_keys },
	{ "VM.addAuthorizedKeys", add_keys },
	{ "VM.removeAuthorizedKeys", remove_keys },
	{ "VM.desktopLock", desktop },
	{ "VM.desktopLogin", desktop },
	{ "VM.desktopLogoff", desktop },
	{ "VM.desktopSendHcCommand", desktop },
};
const size_t n_guest_bindings = G_N_ELEMENTS(guest_bindings);
