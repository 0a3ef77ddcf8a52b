/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's monitor, for what libvirt has no call for. Only named commands pass:
 *
 *	questions   may be asked by VM.qmp: each only tells something, at once, and tells no secret
 *	orders      are given by the agent itself: they do nothing that libvirt believes otherwise of
 *
 * Everything else would be done behind libvirt's back, and is refused with its name. Either marks the domain as tainted ("custom-monitor"), in libvirt's log
 * and in nothing else.
 */
#define LOG_MODULE "virt"
#include "agent/virt/qmp.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/virt/vm.h"

#define ANSWER_MAX (8 * 1024 * 1024)

struct command { const char *name, *why; };

static const struct command orders[] = {
	{ "input-send-event", "keys by scancode and the mouse: libvirt has keys by code only" },
	/* marks of checkpoints: libvirt looks only at bitmaps that have a checkpoint's name, and knows nodes by its own names */
	{ "add-fd", "a file for a node of our own" },
	{ "remove-fd", "it is not needed any more" },
	{ "blockdev-add", "a node of our own" },
	{ "block_resize", "of that" },
	{ "blockdev-del", "of that" },
	{ "block-dirty-bitmap-add", "a bitmap with a name of our own" },
	{ "block-dirty-bitmap-merge", "into that" },
	{ "block-dirty-bitmap-remove", "of that" },
};

static const struct command questions[] = {
	/* machine and processors */
	{ "query-version", "which QEMU runs: an upgrade changes only VMs that start after it" },
	{ "query-name", "QEMU's name for itself" },
	{ "query-uuid", "the id it was started with" },
	{ "query-target", "emulated architecture" },
	{ "query-kvm", "is it accelerated" },
	{ "query-status", "run state with QEMU's own reasons, finer than libvirt's" },
	{ "query-machines", "machine types and the limits of each" },
	{ "query-current-machine", "what this machine can do: wake-up from suspend" },
	{ "query-cpus-fast", "vCPUs with thread ids and topology" },
	{ "query-hotpluggable-cpus", "where vCPUs can be plugged" },
	{ "query-cpu-model-expansion", "features of the CPU model as this QEMU sees it" },
	{ "query-vcpu-dirty-limit", "limits on dirtying pages, for migration" },
	{ "query-acpi-ospm-status", "what the guest reported of memory slots it unplugs" },
	{ "query-sgx", "SGX memory" },
	{ "query-sev", "SEV policy and state" },
	/* memory */
	{ "query-memory-size-summary", "memory at the start and plugged" },
	{ "query-memory-devices", "DIMMs and virtio-mem as QEMU has them" },
	{ "query-memdev", "memory back ends with host nodes" },
	{ "query-balloon", "the balloon's size" },
	{ "query-dirty-rate", "the last measurement of dirtied pages" },
	/* disks */
	{ "query-block", "drives, what is in them, I/O status" },
	{ "query-blockstats", "counters and latency histograms of each node" },
	{ "query-named-block-nodes", "the block graph: backing chains as QEMU has them" },
	{ "query-block-jobs", "block jobs" },
	{ "query-jobs", "all of QEMU's jobs" },
	{ "query-block-exports", "NBD exports of a backup" },
	{ "query-iothreads", "I/O threads and their polling" },
	{ "query-pr-managers", "persistent reservation helpers: is each connected" },
	/* network, consoles, devices */
	{ "query-rx-filter", "which MAC addresses and VLANs the guest asked its NIC for" },
	{ "query-chardev", "character devices: which ports are open" },
	{ "query-chardev-backends", "kinds of character devices" },
	{ "query-vnc-servers", "VNC servers and clients, with how they were authenticated" },
	{ "query-spice", "SPICE channels and clients" },
	{ "query-mice", "pointers: absolute or relative" },
	{ "query-display-options", "the display" },
	{ "query-pci", "the PCI bus as the firmware set it up" },
	{ "query-tpm", "TPM devices" },
	{ "query-rocker", "the switch emulation" },
	{ "query-fdsets", "file descriptors handed to QEMU" },
	{ "query-yank", "connections that could be cut" },
	/* migration */
	{ "query-migrate", "progress of a migration in all detail" },
	{ "query-migrate-capabilities", "what is switched on for migration" },
	{ "query-migrate-parameters", "its parameters, without secrets: credentials are ids" },
	{ "query-colo-status", "COLO replication" },
	/* counters and description of QEMU itself */
	{ "query-stats", "KVM's counters of the VM and its vCPUs" },
	{ "query-stats-schemas", "what they mean" },
	{ "query-commands", "commands this QEMU has" },
	{ "query-events", "events it can send" },
	{ "query-qmp-schema", "its whole interface" },
	{ "query-command-line-options", "its options" },
};

static bool has(const struct command *commands, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(commands[i].name, name))
			return true;
	return false;
}

/* QEMU's own "no" is {"error": {"class", "desc"}}. */
static json_t *answer_of(const char *command, const char *text, enum error_code code, GError **error)
{
	json_t *json = strlen(text) <= ANSWER_MAX ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL, *result = json_incref(json_object_get(json, "return"));
	const char *refusal = json_string_value(json_object_get(json_object_get(json, "error"), "desc"));

	if (!result)
		error_set(error, code, "%s: %s", command, refusal ? refusal : "the answer is not understood");
	json_decref(json);
	return result;
}

/* fd: goes with it; -1: none. */
static json_t *ask(virDomainPtr domain, const char *command, const json_t *arguments, int fd, enum error_code code, GError **error)
{
	json_t *request = json_pack("{s:s, s:O*}", "execute", command, "arguments", arguments), *result = NULL;
	char *text = json_dumps(request, JSON_COMPACT), *answer = NULL;

	if (virDomainQemuMonitorCommandWithFiles(domain, text, fd >= 0, fd >= 0 ? &fd : NULL, NULL, NULL, &answer,
						 VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT) == 0)
		result = answer_of(command, answer, code, error);
	else
		libvirt_error_set(error, code, "%s", command);
	free(answer);
	free(text);
	json_decref(request);
	return result;
}

bool qmp_command(virDomainPtr domain, const char *command, const json_t *arguments, enum error_code code, json_t **ret_return, GError **error)
{
	json_t *result;

	if (!has(orders, G_N_ELEMENTS(orders), command) && !has(questions, G_N_ELEMENTS(questions), command)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "QMP command '%s' is not one that may be given", command);
		return false;
	}
	result = ask(domain, command, arguments, /* fd= */ -1, code, error);
	if (!result)
		return false;
	if (ret_return)
		*ret_return = result;
	else
		json_decref(result);
	return true;
}

bool qmp_add_fd(virDomainPtr domain, int set, int fd, enum error_code code, GError **error)
{
	json_t *arguments = json_pack("{s:i}", "fdset-id", set), *result = ask(domain, "add-fd", arguments, fd, code, error);

	json_decref(arguments);
	json_decref(result);
	return result;
}

bool vm_qmp_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_qmp_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(virDomain) domain = NULL;
	json_t *result;

	if (!vm)
		return false;
	if (!has(questions, G_N_ELEMENTS(questions), p->command)) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "QMP command '%s' is not one that may be asked", p->command);
		return false;
	}
	if (!(domain = vm_domain(vm, error)) || !(result = ask(domain, p->command, p->arguments, /* fd= */ -1, ERR_UNEXPECTED_ERROR, error)))
		return false;
	result_json(ret_result, result);
	return true;
}
