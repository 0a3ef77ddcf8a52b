/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities: what each compatibility level knows. Guide chapter 6.
 *
 * Enumerations come from the model's own tables of names, the same that check input and make output, so that what is published is what works.
 */
#include <string.h>
#include "engine/api/api-priv.h"
#include "engine/api/statistics.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/features.h"
#include "engine/model/fence_agent.h"
#include "engine/model/host.h"
#include "engine/model/gluster.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/role.h"
#include "engine/model/storage_domain.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

/* plural element, element, names, what */
#define ENUMERATIONS(X) \
	X(power_managers, power_manager, power_manager_names, "fence devices") \
	X(fence_types, fence_type, fence_type_names, "fence operations") \
	X(storage_types, storage_type, storage_type_names, "kinds of storage") \
	X(storage_domain_types, storage_domain_type, storage_domain_flavor_names, "uses of a storage domain") \
	X(storage_formats, storage_format, storage_format_names, "formats of a storage domain's metadata") \
	X(vm_types, vm_type, vm_flavor_names, "uses of a virtual machine") \
	X(boot_devices, boot_device, boot_device_names, "devices to boot from") \
	X(display_types, display_type, display_protocol_names, "console protocols") \
	X(nic_interfaces, nic_interface, nic_interface_names, "models of network interfaces") \
	X(disk_formats, disk_format, disk_format_names, "formats of disk images") \
	X(disk_interfaces, disk_interface, disk_interface_names, "buses of disks") \
	X(vm_affinities, affinity, vm_affinity_names, "rules for migration") \
	X(boot_protocols, boot_protocol, boot_protocol_names, "how addresses are assigned") \
	X(cpu_modes, cpu_mode, cpu_mode_names, "how the host's CPU is passed on") \
	X(usages, usage, network_usage_names, "uses of a network") \
	X(error_handling, on_error, on_error_names, "which VMs are migrated away when their host becomes non-operational") \
	X(gluster_volume_types, gluster_volume_type, gluster_volume_type_names, "kinds of Gluster volumes") \
	X(transport_types, transport_type, gluster_transport_names, "transports of Gluster volumes") \
	X(data_center_states, data_center_state, datacenter_state_names, "states of a data center") \
	X(storage_domain_states, storage_domain_state, storage_domain_state_names, "states of a storage domain") \
	X(host_states, host_state, host_state_names, "states of a host") \
	X(host_nic_states, host_nic_state, nic_state_names, "states of a host's interface") \
	X(network_states, network_state, network_state_names, "states of a network") \
	X(vm_states, vm_state, vm_state_names, "states of a virtual machine") \
	X(template_states, template_state, template_state_names, "states of a template") \
	X(disk_states, disk_state, disk_state_names, "states of a disk") \
	X(creation_states, creation_state, action_state_names, "states of creations and actions") \
	X(power_management_states, power_management_state, power_state_names, "states of a fence device") \
	X(statistic_types, statistic_type, statistic_class_names, "kinds of statistics") \
	X(statistic_units, statistic_unit, statistic_unit_names, "units of statistics")

struct feature_shown { struct record record; char *name; };
static const struct field feature_fields[] = { FIELD_STRING_(struct feature_shown, name, "name", READ_ONLY, "what can be done") };
static const struct record_type feature_type = RECORD_TYPE("feature", NULL, struct feature_shown, feature_fields, "A feature");

struct cpu { struct record record; char *id; int level; char *architecture; };
static const struct field cpu_fields[] = {
	FIELD_STRING_(struct cpu, id, "@id", READ_ONLY, "CPU family"),
	FIELD_INT_(struct cpu, level, "level", READ_ONLY, "higher ones can do what lower ones do"),
	FIELD_STRING_(struct cpu, architecture, "architecture", READ_ONLY, "instruction set"),
};
static const struct record_type cpu_type = RECORD_TYPE("cpu", NULL, struct cpu, cpu_fields, "A CPU family");

struct capability_version {
	struct record record;
	char *id;
	int major, minor;
	bool current;
	GPtrArray *features, *cpus;
#define X(plural, singular, names, text) GPtrArray *plural;
	ENUMERATIONS(X)
#undef X
};
static const struct field version_fields[] = {
	FIELD_UUID_(struct capability_version, id, "@id", READ_ONLY, "identity"),
	FIELD_INT_(struct capability_version, major, "@major", READ_ONLY, "first number"),
	FIELD_INT_(struct capability_version, minor, "@minor", READ_ONLY, "second number"),
	FIELD_BOOL_(struct capability_version, current, "current", READ_ONLY, "the newest one"),
	FIELD_LIST_(struct capability_version, features, "features/feature", READ_ONLY, &feature_type, "what can be done"),
	FIELD_LIST_(struct capability_version, cpus, "cpus/cpu", READ_ONLY, &cpu_type, "CPU families of clusters"),
#define X(plural, singular, names, text) FIELD_STRINGS_(struct capability_version, plural, #plural "/" #singular, READ_ONLY, text),
	ENUMERATIONS(X)
#undef X
};
const struct record_type capability_version_type =
	RECORD_TYPE("version", NULL, struct capability_version, version_fields, "What one compatibility level knows");

struct permit_row_shown { struct record record; char *id, *name; bool administrative; };
static const struct field permit_fields[] = {
	FIELD_STRING_(struct permit_row_shown, id, "@id", READ_ONLY, "number"),
	FIELD_STRING_(struct permit_row_shown, name, "name", READ_ONLY, "what is allowed"),
	FIELD_BOOL_(struct permit_row_shown, administrative, "administrative", READ_ONLY, "for administrators only"),
};
static const struct record_type permit_shown_type = RECORD_TYPE("permit", NULL, struct permit_row_shown, permit_fields, "An allowed operation");

struct capabilities { struct record record; GPtrArray *versions, *permits, *policies; };
static const struct field capabilities_fields[] = {
	FIELD_LIST_(struct capabilities, versions, "version", READ_ONLY, &capability_version_type, "one for each compatibility level"),
	FIELD_LIST_(struct capabilities, permits, "permits/permit", READ_ONLY, &permit_shown_type, "what roles are made of"),
	FIELD_STRINGS_(struct capabilities, policies, "scheduling_policies/policy", READ_ONLY, "how hosts are chosen"),
};
const struct record_type capabilities_type =
	RECORD_TYPE("capabilities", NULL, struct capabilities, capabilities_fields, "What the API knows, by compatibility level");

char *feature_version_id(int major, int minor)
{
	/* always the same: the level's number in the last digits */
	return g_strdup_printf("00000000-0000-0000-0000-%06d%06d", major, minor);
}

static void add_names(GPtrArray **list, const char *const *names)
{
	*list = strings_new();
	for (; *names; names++)
		g_ptr_array_add(*list, g_strdup(*names));
}

static void fill(struct capability_version *version, const struct level *level)
{
	version->id = feature_version_id(level->major, level->minor);
	SET(version, major, level->major);
	SET(version, minor, level->minor);
	SET(version, current, level[1].major == 0);
	version->features = list_new();
	for (const struct feature *feature = features; feature->name; feature++) {
		if (feature->minor > level->minor)
			continue;
		struct feature_shown *shown = list_add(&version->features, &feature_type);
		shown->name = g_strdup(feature->name);
	}
	for (size_t i = 0; cpu_families[i].id; i++) {
		struct cpu *cpu = list_add(&version->cpus, &cpu_type);
		cpu->id = g_strdup(cpu_families[i].id);
		cpu->architecture = g_strdup("X86_64");
		SET(cpu, level, cpu_families[i].level);
	}
#define X(plural, singular, names, text) add_names(&version->plural, names);
	ENUMERATIONS(X)
#undef X
}

static const struct record_view *version_view(const struct record_view *view, const struct field *field, const void *item)
{
	if (field->item != &capability_version_type)
		return NULL;
	/* one at a time is written; the text lives in data until the next */
	GString *href = view->data;
	static __thread struct record_view one;
	g_string_printf(href, "%s/capabilities/%s", view->base, ((const struct capability_version *)item)->id);
	one = (struct record_view){ .base = view->base, .href = href->str, .item_view = version_view, .data = view->data };
	return &one;
}

void answer_capabilities(struct call *call)
{
	const char *wanted = call->route.tail;
	struct capabilities *all = record_new(&capabilities_type);
	const struct capability_version *found = NULL;
	for (const struct level *level = levels; level->major; level++) {
		struct capability_version *version = list_add(&all->versions, &capability_version_type);
		fill(version, level);
		if (wanted && g_ascii_strcasecmp(version->id, wanted) == 0)
			found = version;
	}
	if (wanted && !found) {
		answer_fault_text(call, 404, "Not found", "there is no such version");
		record_unref(all);
		return;
	}
	for (size_t i = 0; permits[i].name; i++) {
		struct permit_row_shown *permit = list_add(&all->permits, &permit_shown_type);
		permit->id = g_strdup_printf("%zu", i + 1);
		permit->name = g_strdup(permits[i].name);
		SET(permit, administrative, permits[i].administrative);
	}
	add_names(&all->policies, scheduling_policy_names);
	GString *out = g_string_sized_new(65536), *href = g_string_new(NULL);
	struct writer *w = render_writer(call->format, out);
	struct record_view view = { .base = call->route.base, .item_view = version_view, .data = href };
	if (found) {
		g_string_printf(href, "%s/capabilities/%s", call->route.base, found->id);
		view.href = href->str;
		view.item_view = NULL;
		record_write(w, NULL, found, &view);
	} else {
		record_write(w, NULL, all, &view);
	}
	writer_free(w);
	exchange_answer(call->exchange, 200, format_type(call->format), out);
	g_string_free(href, TRUE);
	record_unref(all);
}
