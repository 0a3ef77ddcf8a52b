/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest tells about itself, through the QEMU guest agent.
 *
 * Whether there is an agent is known from libvirt's agent event (or the channel's state in the XML, after a restart): nobody asks into the blue.
 * Each query has its period (below); in the first EAGER_USEC after the agent connected none is longer than EAGER_PERIOD_S, because addresses and
 * users come late in a boot. The clock finds what is due and queues one poll on the lane "guest/<id>", so a guest that hangs costs
 * its own news only. libvirt waits POLL_LIMIT_S for each answer; after a failure the guest is left alone for FAILED_USEC, or until its
 * agent connects anew. While file systems are frozen nothing is asked: a frozen agent answers little, and libvirt would take it for dead.
 *
 * All talk with one guest is one at a time (vm->agent_lock): libvirt's time limit belongs to the domain, not to the call.
 */
#define LOG_MODULE "guest"
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define POLL_LIMIT_S 2
#define EAGER_USEC (120 * G_USEC_PER_SEC)
#define EAGER_PERIOD_S 5
#define FAILED_USEC (60 * G_USEC_PER_SEC)

static const int periods_s[QUERY_MAX] = {
	[QUERY_OS] = 120, [QUERY_NETWORK] = 120, [QUERY_USERS] = 10, [QUERY_FILESYSTEMS] = 300, [QUERY_CPUS] = 60, [QUERY_AGENT] = 300,
};

void guest_facts_clear(struct guest_facts *facts)
{
	g_free(facts->username);
	g_free(facts->ips);
	g_free(facts->fqdn);
	g_free(facts->kernel);
	g_free(facts->agent_version);
	json_decref(facts->os_info);
	json_decref(facts->timezone);
	if (facts->nics)
		g_ptr_array_unref(facts->nics);
	if (facts->filesystems)
		g_ptr_array_unref(facts->filesystems);
	*facts = (struct guest_facts){ .cpu_count = -1 };
}

/* ---- one talk at a time ---- */

bool guest_agent_begin(struct vm *vm, virDomainPtr domain, int limit_s, bool wait)
{
	if (wait)
		pthread_mutex_lock(&vm->agent_lock);
	else if (pthread_mutex_trylock(&vm->agent_lock))
		return false;
	if (virDomainAgentSetResponseTimeout(domain, limit_s, 0) < 0)
		log_debug("VM %s: no time limit for its agent, ignoring: %s", vm->id, virGetLastErrorMessage());
	return true;
}

void guest_agent_end(struct vm *vm)
{
	pthread_mutex_unlock(&vm->agent_lock);
}

/* ---- what libvirt hands over: a flat list of "if.0.addr.1.addr" ---- */

struct typed { virTypedParameterPtr params; int n; };

static const char *text_of(const struct typed *typed, const char *format, ...) G_GNUC_PRINTF(2, 3);
static const char *text_of(const struct typed *typed, const char *format, ...)
{
	const char *value = NULL;
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	va_list arguments;

	va_start(arguments, format);
	g_vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	return virTypedParamsGetString(typed->params, typed->n, name, &value) == 1 ? value : NULL;
}

static int64_t number_of(const struct typed *typed, const char *format, ...) G_GNUC_PRINTF(2, 3);
static int64_t number_of(const struct typed *typed, const char *format, ...)
{
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];
	virTypedParameterPtr found;
	va_list arguments;

	va_start(arguments, format);
	g_vsnprintf(name, sizeof(name), format, arguments);
	va_end(arguments);
	found = virTypedParamsGet(typed->params, typed->n, name);
	if (!found)
		return -1;
	switch (found->type) {
	case VIR_TYPED_PARAM_INT: return found->value.i;
	case VIR_TYPED_PARAM_UINT: return found->value.ui;
	case VIR_TYPED_PARAM_LLONG: return found->value.l;
	case VIR_TYPED_PARAM_ULLONG: return (int64_t)found->value.ul;
	default: return -1;
	}
}

static void add_string(GPtrArray **list, const char *text)
{
	if (!*list)
		*list = strings_new();
	g_ptr_array_add(*list, g_strdup(text));
}

static void take_os(struct guest_facts *facts, const struct typed *typed)
{
	const char *id = text_of(typed, "os.id"), *kernel = text_of(typed, "os.kernel-release"), *machine = text_of(typed, "os.machine");
	const char *name = text_of(typed, "os.name"), *version = text_of(typed, "os.version-id"), *host = text_of(typed, "hostname");
	bool windows = id && !strcmp(id, "mswindows");

	if (id || name) {
		json_decref(facts->os_info);
		facts->os_info = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", windows ? "windows" : "linux", "arch", machine ? machine : "", "kernel",
					   kernel ? kernel : "", "distribution", name ? name : id, "version", version ? version : "", "codename",
					   text_of(typed, "os.variant") ? text_of(typed, "os.variant") : "");
	}
	set_string(&facts->kernel, kernel);
	set_string(&facts->fqdn, host);
	if (text_of(typed, "timezone.name") || number_of(typed, "timezone.offset") != -1) {
		json_decref(facts->timezone);
		facts->timezone = json_pack("{s:I, s:s}", "offset", (json_int_t)number_of(typed, "timezone.offset") / 60, "zone",
					    text_of(typed, "timezone.name") ? text_of(typed, "timezone.name") : "");
	}
}

static bool is_useful(const char *address)
{
	return !g_str_has_prefix(address, "127.") && strcmp(address, "::1") && g_ascii_strncasecmp(address, "fe80:", 5) &&
	       !g_str_has_prefix(address, "169.254.");
}

static void take_network(struct guest_facts *facts, const struct typed *typed)
{
	g_autoptr(GString) ips = g_string_new(NULL);
	int64_t count = number_of(typed, "if.count");

	if (facts->nics)
		g_ptr_array_unref(facts->nics);
	facts->nics = list_new();
	for (int i = 0; i < count; i++) {
		const char *name = text_of(typed, "if.%d.name", i);
		int64_t addresses = number_of(typed, "if.%d.addr.count", i);
		struct vm_guest_nic *nic;

		if (!name || !strcmp(name, "lo"))
			continue;
		nic = list_add(&facts->nics, &vm_guest_nic_type);
		set_string(&nic->name, name);
		set_string(&nic->hw, text_of(typed, "if.%d.hwaddr", i));
		nic->inet = strings_new();
		nic->inet6 = strings_new();
		for (int j = 0; j < addresses; j++) {
			const char *address = text_of(typed, "if.%d.addr.%d.addr", i, j), *type = text_of(typed, "if.%d.addr.%d.type", i, j);

			if (!address)
				continue;
			add_string(type && !strcmp(type, "ipv6") ? &nic->inet6 : &nic->inet, address);
			if (is_useful(address))
				g_string_append_printf(ips, "%s%s", ips->len ? " " : "", address);
		}
	}
	set_string(&facts->ips, ips->str);
}

static void take_users(struct guest_facts *facts, const struct typed *typed)
{
	g_autoptr(GString) names = g_string_new(NULL);
	int64_t count = number_of(typed, "user.count");

	for (int i = 0; i < count; i++) {
		const char *name = text_of(typed, "user.%d.name", i);

		if (name)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
	}
	set_string(&facts->username, names->len ? names->str : "None");
}

static void take_filesystems(struct guest_facts *facts, const struct typed *typed)
{
	int64_t count = number_of(typed, "fs.count");

	if (facts->filesystems)
		g_ptr_array_unref(facts->filesystems);
	facts->filesystems = list_new();
	for (int i = 0; i < count; i++) {
		struct vm_guest_fs *fs = list_add(&facts->filesystems, &vm_guest_fs_type);

		set_string(&fs->path, text_of(typed, "fs.%d.mountpoint", i));
		set_string(&fs->fs, text_of(typed, "fs.%d.fstype", i));
		SET(fs, total, MAX(number_of(typed, "fs.%d.total-bytes", i), 0));
		SET(fs, used, MAX(number_of(typed, "fs.%d.used-bytes", i), 0));
	}
}

/* What is worth an event when it changes: not how full a file system is. */
static char *signature(const struct guest_facts *facts)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char *os = facts->os_info ? json_dumps(facts->os_info, JSON_SORT_KEYS) : NULL;

	g_string_append_printf(text, "%s|%s|%s|%s|%s|%d|%s|", facts->username ? facts->username : "", facts->ips ? facts->ips : "",
			       facts->fqdn ? facts->fqdn : "", facts->kernel ? facts->kernel : "", facts->agent_version ? facts->agent_version : "",
			       facts->cpu_count, os ? os : "");
	free(os);
	for (guint i = 0; facts->filesystems && i < facts->filesystems->len; i++)
		g_string_append_printf(text, "%s|", ((struct vm_guest_fs *)facts->filesystems->pdata[i])->path);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* ---- asking ---- */

enum outcome { OUTCOME_GOOD, OUTCOME_CANNOT, OUTCOME_SILENT };

static enum outcome failure(struct vm *vm, const char *what)
{
	int code = libvirt_error_code();

	log_debug("VM %s: %s: %s", vm->id, what, virGetLastErrorMessage());
	return code == VIR_ERR_AGENT_UNRESPONSIVE || code == VIR_ERR_AGENT_UNSYNCED || code == VIR_ERR_OPERATION_TIMEOUT ||
	       code == VIR_ERR_OPERATION_INVALID || code == VIR_ERR_NO_DOMAIN ? OUTCOME_SILENT : OUTCOME_CANNOT;
}

/* guest-get-* through libvirt; what came goes into vm->guest. */
static enum outcome ask_info(struct vm *vm, virDomainPtr domain, unsigned types, void (*take)(struct guest_facts *, const struct typed *))
{
	struct typed typed = { 0 };

	if (virDomainGetGuestInfo(domain, types, &typed.params, &typed.n, 0) < 0)
		return failure(vm, "guest info");
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->agent_connected) {
			take(&vm->guest, &typed);
			vm->guest.any = true;
		}
	}
	virTypedParamsFree(typed.params, typed.n);
	return OUTCOME_GOOD;
}

static enum outcome ask_cpus(struct vm *vm, virDomainPtr domain)
{
	virTypedParameterPtr params = NULL;
	const char *online = NULL;
	unsigned n = 0;
	int count = 0;

	if (virDomainGetGuestVcpus(domain, &params, &n, 0) < 0)
		return failure(vm, "guest CPUs");
	if (virTypedParamsGetString(params, (int)n, "online", &online) == 1) {
		g_auto(GStrv) ranges = g_strsplit(online, ",", -1);

		for (char **range = ranges; *range; range++) {
			const char *dash = strchr(*range, '-');

			count += dash ? atoi(dash + 1) - atoi(*range) + 1 : 1;
		}
	}
	virTypedParamsFree(params, (int)n);
	AUTO_LOCK(&vm->vms->lock);
	if (vm->agent_connected)
		vm->guest.cpu_count = count ? count : -1;
	return OUTCOME_GOOD;
}

/* "return" of one command; new reference; NULL on failure. */
static json_t *command(struct vm *vm, virDomainPtr domain, const char *text)
{
	char *answer = virDomainQemuAgentCommand(domain, text, POLL_LIMIT_S, 0);
	json_t *json = answer ? json_loads(answer, 0, NULL) : NULL, *result = json_incref(json_object_get(json, "return"));

	free(answer);
	json_decref(json);
	return result;
}

static enum outcome ask_agent(struct vm *vm, virDomainPtr domain)
{
	json_t *info = command(vm, domain, "{\"execute\":\"guest-info\"}");

	if (!info)
		return failure(vm, "guest-info");
	{
		AUTO_LOCK(&vm->vms->lock);
		if (vm->agent_connected)
			set_string(&vm->guest.agent_version, json_string_value(json_object_get(info, "version")));
	}
	json_decref(info);
	return OUTCOME_GOOD;
}

static enum outcome ask(struct vm *vm, virDomainPtr domain, enum guest_query query)
{
	switch (query) {
	case QUERY_OS:
		return ask_info(vm, domain, VIR_DOMAIN_GUEST_INFO_OS | VIR_DOMAIN_GUEST_INFO_TIMEZONE | VIR_DOMAIN_GUEST_INFO_HOSTNAME, take_os);
	case QUERY_NETWORK:
		return ask_info(vm, domain, VIR_DOMAIN_GUEST_INFO_INTERFACES, take_network);
	case QUERY_USERS:
		return ask_info(vm, domain, VIR_DOMAIN_GUEST_INFO_USERS, take_users);
	case QUERY_FILESYSTEMS:
		return ask_info(vm, domain, VIR_DOMAIN_GUEST_INFO_FILESYSTEM, take_filesystems);
	case QUERY_CPUS:
		return ask_cpus(vm, domain);
	case QUERY_AGENT:
		return ask_agent(vm, domain);
	default:
		return OUTCOME_CANNOT;
	}
}

/* After a restart of ours the guest may still be frozen: ask before anything else, as the answer to all else would be silence. */
static void check_frozen(struct vm *vm, virDomainPtr domain)
{
	json_t *status = command(vm, domain, "{\"execute\":\"guest-fsfreeze-status\"}");
	bool frozen = !g_strcmp0(json_string_value(status), "frozen");

	json_decref(status);
	AUTO_LOCK(&vm->vms->lock);
	if (vm->agent_connected)
		vm->frozen = frozen;
	if (frozen)
		log_warn("VM %s: its file systems are frozen", vm->id);
}

/* Lock held. The next time for a query; true when it is due now. */
static bool is_due(struct vm *vm, enum guest_query query, int64_t now)
{
	return vm->query_at_usec[query] && now >= vm->query_at_usec[query];
}

static void done(struct vm *vm, enum guest_query query, enum outcome outcome)
{
	int64_t now = now_usec();
	int period = periods_s[query];

	AUTO_LOCK(&vm->vms->lock);
	if (outcome == OUTCOME_SILENT) {
		for (int i = 0; i < QUERY_MAX; i++)
			if (vm->query_at_usec[i])
				vm->query_at_usec[i] = now + FAILED_USEC;
		return;
	}
	if (now - vm->agent_since_usec < EAGER_USEC && outcome == OUTCOME_GOOD)
		period = MIN(period, EAGER_PERIOD_S);
	if (vm->query_at_usec[query])
		vm->query_at_usec[query] = now + period * (int64_t)G_USEC_PER_SEC;
}

static void poll_guest(struct vm *vm, void *unused)
{
	struct vms *vms = vm->vms;
	g_autoptr(virDomain) domain = vm_domain(vm, NULL);
	g_autofree char *before = NULL, *after = NULL;
	bool first, skip;

	{
		AUTO_LOCK(&vms->lock);
		vm->query_queued = false;
		skip = vm->frozen || !vm->agent_connected || vm->status == VM_WIRE_PAUSED || !domain;
		first = !vm->guest.any;
		before = signature(&vm->guest);
	}
	if (skip || !guest_agent_begin(vm, domain, POLL_LIMIT_S, /* wait= */ false))
		return;
	if (first)
		check_frozen(vm, domain);
	for (enum guest_query query = 0; query < QUERY_MAX; query++) {
		enum outcome outcome;

		{
			AUTO_LOCK(&vms->lock);
			if (vm->frozen || !is_due(vm, query, now_usec()))
				continue;
		}
		outcome = ask(vm, domain, query);
		done(vm, query, outcome);
		if (outcome == OUTCOME_SILENT)
			break;
	}
	guest_agent_end(vm);
	AUTO_LOCK(&vms->lock);
	after = signature(&vm->guest);
	if (vm->guest.any && strcmp(before, after) && vm->status != VM_WIRE_DOWN)
		vm_locked_publish(vm);
}

void guest_agent_tick(struct vm *vm, int64_t now)
{
	bool due = false;

	if (!vm->vms->guest_poll || vm->query_queued || vm->frozen || !vm->agent_connected || vm->status == VM_WIRE_PAUSED)
		return;
	for (enum guest_query query = 0; query < QUERY_MAX && !due; query++)
		due = is_due(vm, query, now);
	if (due)
		vm->query_queued = vm_queue_on(vm, "guest", "ask the guest agent", poll_guest, NULL, NULL, NULL);
}

void guest_agent_connected(struct vm *vm)
{
	{
		int64_t now = now_usec();
		AUTO_LOCK(&vm->vms->lock);

		if (vm->status == VM_WIRE_DOWN || vm->agent_connected)
			return;
		log_info("VM %s: guest agent is connected", vm->id);
		guest_facts_clear(&vm->guest);
		vm->agent_connected = true;
		vm->agent_since_usec = now;
		for (int i = 0; i < QUERY_MAX; i++)
			vm->query_at_usec[i] = now;
		guest_agent_tick(vm, now);
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
