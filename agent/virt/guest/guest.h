/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_GUEST_GUEST_H
#define BERTH_AGENT_VIRT_GUEST_GUEST_H
/* The talk with the agent in a guest, for the files of this room. Theory of operation in guest_agent.c. Workers only. */
#include <jansson.h>
#include "agent/virt/vm.h"

/* ---- one talk at a time (guest_agent.c) ---- */

struct guest_talk { struct vm *vm; virDomainPtr domain; };      /* holds both */

/*
 * Opens a talk in which each command may take limit_s. It waits for its turn (GUEST_TURN_S) and asks whether the agent answers (GUEST_PING_S), so that
 * nothing is left with an agent that hangs, to be done when nobody expects it any more. Errors: ERR_VM_IS_DOWN, ERR_UNSUPPORTED_OPERATION (no channel for an
 * agent), paused_code (the VM is paused), ERR_NON_RESPONSIVE_GUEST_AGENT (not connected: at once; another talk goes on; no answer).
 */
bool guest_talk_begin(struct vm *vm, int limit_s, enum error_code paused_code, struct guest_talk *ret_talk, GError **error);
void guest_talk_end(struct guest_talk *talk);
/* Is there an agent to talk to? ERR_UNSUPPORTED_OPERATION, paused_code, ERR_NON_RESPONSIVE_GUEST_AGENT; nobody is asked. */
bool guest_check_agent(struct vm *vm, enum error_code paused_code, GError **error);
#define GUEST_TURN_S 10
#define GUEST_PING_S 5

/* A call to libvirt in a talk has failed: ERR_NON_RESPONSIVE_GUEST_AGENT, ERR_UNSUPPORTED_OPERATION, or otherwise; with what was to be done. */
void guest_talk_failed(struct guest_talk *talk, enum error_code otherwise, const char *what, GError **error);
/* Is the last failure silence, after which the guest may still do what it was told? */
bool guest_is_silent(void);
bool guest_answers(struct guest_talk *talk, int limit_s);
/* One command of qemu-ga's; its "return", a new reference. NULL: libvirt's last error says why. command is taken over. */
json_t *guest_command(struct guest_talk *talk, json_t *command, int limit_s);
/* false: guest-info said that the agent cannot. */
bool guest_can(struct vm *vm, const char *command);

/* ---- freeze and thaw (freeze.c) ---- */

#define FREEZE_LIMIT_S 120
#define THAW_AGAIN_USEC (5 * G_USEC_PER_SEC)

/*
 * Without hooks, for whoever needs a consistent moment. mountpoints: strings; NULL or empty: every file system. limit_s: for the guest with its own
 * fsfreeze hook. When it fails nothing stays frozen: a guest that was given up and freezes all the same is thawed as soon as it answers again.
 * Errors: those of guest_talk_begin(), ERR_FREEZE_GUEST_FS_FAILED.
 */
bool guest_freeze(struct vm *vm, const GPtrArray *mountpoints, int limit_s, int *ret_file_systems, GError **error);
/* All file systems; nothing frozen: fine. When it fails, it is tried again until the guest answers. ERR_THAW_GUEST_FS_FAILED. */
bool guest_thaw(struct vm *vm, int limit_s, int *ret_file_systems, GError **error);
/*
 * The same with the hooks of VM.freeze and VM.thaw. frozen_limit_s: for whoever freezes for a short piece of work: the clock thaws the guest after so long,
 * whatever holds the work up; 0: whoever froze it thaws it. ERR_HOOK_ERROR
 */
bool guest_freeze_hooked(struct vm *vm, const GPtrArray *mountpoints, int limit_s, int frozen_limit_s, int *ret_file_systems, GError **error);
bool guest_thaw_hooked(struct vm *vm, GError **error);
/* Is it, as far as is known? (an agent that has just started does not know) */
bool guest_is_frozen(struct vm *vm);
/* A thaw is owed; the clock found its time come. */
void guest_thaw_owed(struct vm *vm, void *unused);

bool guest_freeze_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);
bool guest_thaw_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- facts (guest_facts.c) ---- */

enum guest_outcome { GUEST_TOLD, GUEST_CANNOT, GUEST_SILENT };
/* Asks and puts the answer into vm->guest. */
enum guest_outcome guest_ask(struct guest_talk *talk, enum guest_query query);
/* What is worth an event when it changes: not how full a file system is. Lock held; g_free. */
char *guest_signature(const struct guest_facts *facts);

/* ---- pure parts of guest_facts.c, for tests ---- */
/* qemu-ga's guest-get-devices -> pci_devices of VM.getStats; new reference */
json_t *guest_pci_devices(const json_t *devices);
/* kernel-version, variant and build of a Windows -> the name that engines know, "Win 2019" */
const char *guest_windows_name(const char *version, bool server, int build);

/* ---- calls (guest_calls.c) ---- */
/* Shows a text to who is logged in, where the agent may run programs; else nothing. */
void guest_tell_users(struct vm *vm, const char *text);

#endif
