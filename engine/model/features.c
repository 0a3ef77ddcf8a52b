/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/features.h"

#include <string.h>

#include "common/error.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"

/* Names and levels as the guide has them up to 3.3; above, oVirt's feature pages of 3.4, 3.5 and 3.6. */
const struct feature features[] = {
	{ 0, "Transparent-Huge-Pages Memory Policy", { { 0 } } },
	{ 1, "Gluster Support", { { 0 } } },
	{ 1, "POSIX-FS Storage Type", { { 0 } } },
	{ 1, "Port Mirroring", { { &vnic_profile_kind, "port_mirroring", NULL }, { &nic_kind, "port_mirroring/networks/network", NULL } } },
	{ 1, "Display Server Time", { { 0 } } }, { 1, "Display Host Memory", { { 0 } } }, { 1, "Display Host Sockets", { { 0 } } },
	{ 1, "Search - Case Sensitivity", { { 0 } } }, { 1, "Maximum Results for GET Request", { { 0 } } }, { 1, "JSON Content-Type", { { 0 } } },
	{ 1, "Correlation-ID", { { 0 } } }, { 1, "Activate/Deactivate Disk", { { 0 } } }, { 1, "Activate/Deactivate Network Interface", { { 0 } } },
	{ 1, "Snapshot Refactoring", { { 0 } } }, { 1, "Remove Template Disk From Specified Storage Domain", { { 0 } } },
	{ 1, "Floating Disk", { { 0 } } }, { 1, "Asynchronous Delete", { { 0 } } }, { 1, "Session Based Authentication", { { 0 } } },
	{ 1, "Virtual Machine Applications", { { 0 } } },
	{ 3, "VirtIO-SCSI", { { &vm_kind, "virtio_scsi@enabled", NULL }, { &disk_kind, "interface", "virtio_scsi" } } },
	{ 3, "Custom Comment", { { 0 } } },
	{ 3, "Refresh Host Capabilities", { { 0 } } },
	{ 3, "Memory Snapshot", { { 0 } } }, { 3, "Watchdog Device", { { 0 } } }, { 3, "SSH Authentication Method", { { 0 } } },
	{ 3, "Force Select SPM", { { 0 } } },
	{ 3, "Console Device", { { &vm_kind, "console@enabled", NULL } } },
	{ 3, "Storage Server Connections for Storage Domain", { { 0 } } },
	{ 3, "Attach/Detach Storage Server Connections to/from Storage Domain", { { 0 } } },
	{ 3, "Single PCI for QXL", { { &vm_kind, "display/single_qxl_pci", NULL } } },
	{ 3, "Add Virtual Machine from OVF Configuration", { { 0 } } },
	{ 3, "VNIC Profiles", { { 0 } } }, { 3, "Image Storage Domains", { { 0 } } }, { 3, "Virtual Machine FQDN", { { 0 } } },
	{ 3, "Attach Disk Snapshot to Virtual Machine", { { 0 } } },
	{ 3, "Cloud-Init", { { &vm_kind, "initialization", NULL } } },
	{ 3, "Gluster Brick Management", { { 0 } } }, { 3, "Copy and Move Disks", { { 0 } } }, { 3, "Network Labels", { { 0 } } },
	{ 3, "Reboot Virtual Machine", { { 0 } } },
	{ 3, "Network QoS", { { &qos_kind, "type", "network" } } },
	{ 4, "Host Network QoS", { { &qos_kind, "type", "hostnetwork" } } },
	{ 5, "Storage QoS", { { &qos_kind, "type", "storage" } } },
	{ 5, "CPU QoS", { { &qos_kind, "type", "cpu" } } },
	{ 5, "VirtIO-RNG", { { &vm_kind, "rng_device/source", NULL } } },
	{ 5, "Serial Number Policy", { { &vm_kind, "serial_number/policy", NULL } } },
	{ 6, "Single Root I/O Virtualization", { { &vnic_profile_kind, "pass_through/mode", "enabled" } } },
	{ 0, NULL, { { 0 } } }
};

/* ---- the level of an object ---- */

struct place { struct level level; const char *what; void *object; };

/* What it is part of: its parent, or what it is within. */
static void *upper(struct model *model, const void *record)
{
	const struct kind *kind = kind_of(record);

	if (kind && kind->parent && object_parent(record))
		return model_get(model, kind->parent_kind, object_parent(record));
	for (size_t i = 0; kind && i < kind->type->n_fields; i++) {
		const struct field *field = &kind->type->fields[i];
		const struct ref *ref = (const struct ref *)(const void *)((const char *)record + field->offset);

		if (field->kind == FIELD_REF && field->flags & WITHIN && !(field->flags & VOLATILE_) && ref->id)
			return model_get(model, kind_by_collection(field->target), ref->id);
	}
	return NULL;
}

/* false: it is in none. place_clear() */
static bool place_of(struct model *model, const void *record, struct place *ret_place)
{
	void *at = record_ref(record);

	while (at) {
		void *above;

		if (kind_of(at) == &cluster_kind) {
			const struct cluster *cluster = at;

			*ret_place = (struct place){ { cluster->major, cluster->minor }, "cluster", at };
			return true;
		}
		if (kind_of(at) == &datacenter_kind) {
			const struct datacenter *dc = at;

			*ret_place = (struct place){ { dc->major, dc->minor }, "data center", at };
			return true;
		}
		above = upper(model, at);
		record_unref(at);
		at = above;
	}
	*ret_place = (struct place){ .what = NULL };
	return false;
}

static void place_clear(struct place *place)
{
	record_unref(place->object);
}

static bool is_new(const struct feature *feature, const struct place *place)
{
	const struct level since = { LEVEL_MAJOR, feature->minor };

	return place->what && level_compare(&place->level, &since) < 0;
}

static void refuse(const struct feature *feature, const struct place *place, const char *what, GError **error)
{
	error_set(error, ERR_OPERATION_FAILED, "%s: %s comes with level %d.%d: %s '%s' has %d.%d", what, feature->name, LEVEL_MAJOR, feature->minor, place->what,
		  object_name(place->object), place->level.major, place->level.minor);
}

bool feature_check(struct model *model, const void *object, const char *name, GError **error)
{
	const struct feature *feature = features;
	struct place place;
	bool good;

	while (feature->name && strcmp(feature->name, name) != 0)
		feature++;
	g_assert(feature->name);
	good = !place_of(model, object, &place) || !is_new(feature, &place);
	if (!good)
		refuse(feature, &place, object_name(object) ? object_name(object) : object_id(object), error);
	place_clear(&place);
	return good;
}

/* ---- what a record asks for ---- */

static bool asks(const void *record, const struct field *field, const char *value)
{
	const void *at = (const char *)record + field->offset;

	if (!record_has(record, field->offset))
		return false;
	switch (field->kind) {
	case FIELD_BOOL:
		return *(const bool *)at;
	case FIELD_ENUM:
		return !strcmp(field->names[*(const int *)at], value);
	case FIELD_LIST:
		return (*(GPtrArray *const *)at)->len > 0;
	default:
		return true;
	}
}

/* The field of the gate that is closed for the record; NULL: it is not of that kind, or does not ask for it. */
static const struct field *closed(const struct feature_gate *gate, const struct kind *kind, const void *record)
{
	const struct field *field = gate->kind == kind ? record_field(kind->type, gate->path) : NULL;

	return field && asks(record, field, gate->value) ? field : NULL;
}

bool features_check(struct model *model, const void *record, const void *before, GError **error)
{
	const struct kind *kind = kind_of(record);
	struct place place, old = { .what = NULL };
	bool good = true;

	if (!kind || !place_of(model, record, &place))
		return true;
	/* somewhere else it asks anew */
	if (before && (!place_of(model, before, &old) || g_strcmp0(object_id(old.object), object_id(place.object))))
		before = NULL;
	for (const struct feature *feature = features; feature->name && good; feature++)
		for (const struct feature_gate *gate = feature->gates; gate->kind && good && is_new(feature, &place); gate++) {
			const struct field *field = closed(gate, kind, record);

			good = !field || (before && record_member_equal(before, record, field));
			if (!good)
				refuse(feature, &place, gate->path, error);
		}
	place_clear(&place);
	place_clear(&old);
	return good;
}

void features_mask(struct model *model, void *record)
{
	const struct kind *kind = kind_of(record);
	struct place place;

	if (!kind || !place_of(model, record, &place))
		return;
	for (const struct feature *feature = features; feature->name; feature++)
		for (const struct feature_gate *gate = feature->gates; gate->kind && is_new(feature, &place); gate++) {
			const struct field *field = closed(gate, kind, record);

			if (field)
				record_clear(record, field->offset);
		}
	place_clear(&place);
}
