/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_STATISTICS_H
#define BERTH_ENGINE_STATISTICS_H
/*
 * Statistics: read-only members of .../statistics, made when asked from the latest figures.
 *
 *	static const struct statistic_row rows[] = { { "memory.used", "Memory used (agent)", STATISTIC_BYTES, STATISTIC_GAUGE, STATISTIC_INTEGER }, ... };
 *	GPtrArray *list = statistics_new();
 *	statistic_add(list, vm, &rows[0], used);
 *	const struct resource resource_vm_statistic = { .type = &statistic_type, .path = "statistics", .parent = &resource_vm, .list = ..., ... };
 */
#include "common/record.h"

enum statistic_unit {
	STATISTIC_NONE, STATISTIC_PERCENT, STATISTIC_BYTES, STATISTIC_SECONDS, STATISTIC_BYTES_PER_SECOND, STATISTIC_BITS_PER_SECOND,
	STATISTIC_COUNT_PER_SECOND, STATISTIC_UNIT_MAX
};
enum statistic_class { STATISTIC_GAUGE, STATISTIC_COUNTER, STATISTIC_CLASS_MAX };
enum statistic_value { STATISTIC_INTEGER, STATISTIC_DECIMAL, STATISTIC_VALUE_MAX };
extern const char *const statistic_unit_names[], *const statistic_class_names[], *const statistic_value_names[];

struct statistic_row {
	const char *name, *description;
	enum statistic_unit unit;
	enum statistic_class type;
	enum statistic_value value_type;
};

struct statistic {
	struct record record;
	char *id, *name, *description;
	int value_type;
	GPtrArray *values;
	int type, unit;
	struct ref vm, host, disk, nic, host_nic, host_numa_node, storage_domain;        /* one of them: whose it is */
};
extern const struct record_type statistic_type;

GPtrArray *statistics_new(void);
/* Appends one. object: whose it is (a record of the model); the id is made from the statistic's name, the same for every object. */
void statistic_add(GPtrArray *list, const void *object, const struct statistic_row *row, double value);
/* The same without a value (not known now). */
void statistic_add_unknown(GPtrArray *list, const void *object, const struct statistic_row *row);

#endif
