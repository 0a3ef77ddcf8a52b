/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/statistics.h"

#include <pthread.h>
#include <string.h>
#include "common/lock.h"
#include "engine/model/model.h"

const char *const statistic_unit_names[] = { "NONE", "PERCENT", "BYTES", "SECONDS", "BYTES_PER_SECOND", "BITS_PER_SECOND", "COUNT_PER_SECOND", NULL };
const char *const statistic_class_names[] = { "GAUGE", "COUNTER", NULL };
const char *const statistic_value_names[] = { "INTEGER", "DECIMAL", NULL };

struct datum { struct record record; double datum; };
static const struct field datum_fields[] = {
	FIELD_DECIMAL_(struct datum, datum, "datum", READ_ONLY, "the figure"),
};
static const struct record_type datum_type = RECORD_TYPE("value", NULL, struct datum, datum_fields, "One figure of a statistic");

static const struct field statistic_fields[] = {
	FIELD_UUID_(struct statistic, id, "@id", READ_ONLY, "made from the object and the name, always the same"),
	FIELD_STRING_(struct statistic, name, "name", HEAD, "unique within the object"),
	FIELD_STRING_(struct statistic, description, "description", HEAD, "what it says"),
	FIELD_ENUM_(struct statistic, value_type, "values@type", READ_ONLY, statistic_value_names, "kind of number"),
	FIELD_LIST_(struct statistic, values, "values/value", READ_ONLY, &datum_type, "the figure; none when it is not known now"),
	FIELD_ENUM_(struct statistic, type, "type", READ_ONLY, statistic_class_names, "goes up and down, or only up"),
	FIELD_ENUM_(struct statistic, unit, "unit", READ_ONLY, statistic_unit_names, "unit of the figure"),
	FIELD_REF_(struct statistic, vm, "vm", READ_ONLY, "vms", "virtual machine it is about"),
	FIELD_REF_(struct statistic, host, "host", READ_ONLY, "hosts", "host it is about"),
	FIELD_REF_(struct statistic, disk, "disk", READ_ONLY, "disks", "disk it is about"),
	FIELD_REF_(struct statistic, nic, "nic", READ_ONLY, "nics", "network interface it is about"),
	FIELD_REF_(struct statistic, host_nic, "host_nic", READ_ONLY, "nics", "network interface of a host it is about"),
	FIELD_REF_(struct statistic, host_numa_node, "host_numa_node", READ_ONLY, "numanodes", "NUMA node of a host it is about"),
	FIELD_REF_(struct statistic, storage_domain, "storage_domain", READ_ONLY, "storagedomains", "storage domain it is about"),
};
const struct record_type statistic_type = RECORD_TYPE("statistic", "statistics", struct statistic, statistic_fields, "A figure about an object");

/*
 * Name-based (version 3 in form): MD5 over the name alone, the same for every object: clients of the field know these ids (RHEV 3.6 REST API guide,
 * 15.6.1.3).
 */
static char *make_id(const char *name)
{
	GChecksum *checksum = g_checksum_new(G_CHECKSUM_MD5);
	guint8 b[16];
	gsize length = sizeof(b);
	g_checksum_update(checksum, (const guchar *)name, -1);
	g_checksum_get_digest(checksum, b, &length);
	g_checksum_free(checksum);
	b[6] = (guint8)((b[6] & 0x0f) | 0x30);
	b[8] = (guint8)((b[8] & 0x3f) | 0x80);
	return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
			       b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* Each row's id is made once. */
static const char *statistic_id(const struct statistic_row *row)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static GHashTable *ids;
	AUTO_LOCK(&lock);
	char *id = ids ? g_hash_table_lookup(ids, row) : NULL;

	if (id)
		return id;
	if (!ids)
		ids = g_hash_table_new(NULL, NULL);
	id = make_id(row->name);
	g_hash_table_insert(ids, (gpointer)row, id);
	return id;
}

GPtrArray *statistics_new(void)
{
	return list_new();
}

static struct statistic *add(GPtrArray *list, const void *object, const struct statistic_row *row)
{
	struct statistic *statistic = record_new(&statistic_type);
	const struct record_type *type = ((const struct record *)object)->type;
	statistic->id = g_strdup(statistic_id(row));
	statistic->name = g_strdup(row->name);
	statistic->description = g_strdup(row->description);
	SET(statistic, unit, (int)row->unit);
	SET(statistic, type, (int)row->type);
	SET(statistic, value_type, (int)row->value_type);
	statistic->values = list_new();
	const struct field *owner = record_field(&statistic_type, type->name);
	if (owner && owner->kind == FIELD_REF)
		set_ref((struct ref *)(void *)((char *)statistic + owner->offset), object_id(object));
	g_ptr_array_add(list, statistic);
	return statistic;
}

void statistic_add(GPtrArray *list, const void *object, const struct statistic_row *row, double value)
{
	struct statistic *statistic = add(list, object, row);
	struct datum *datum = list_add(&statistic->values, &datum_type);
	SET(datum, datum, row->value_type == STATISTIC_INTEGER ? (double)(int64_t)value : value);
}

void statistic_add_unknown(GPtrArray *list, const void *object, const struct statistic_row *row)
{
	(void)add(list, object, row);
}
