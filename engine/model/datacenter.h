/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_DATACENTER_H
#define BERTH_ENGINE_MODEL_DATACENTER_H
/* Data centers: what shares storage and networks (REST chapter 9). */
#include "common/record.h"

struct model;

enum datacenter_state {
	DATACENTER_UNINITIALIZED, DATACENTER_UP, DATACENTER_MAINTENANCE, DATACENTER_NOT_OPERATIONAL, DATACENTER_PROBLEMATIC, DATACENTER_CONTEND,
	DATACENTER_STATE_MAX
};
extern const char *const datacenter_state_names[];
extern const char *const storage_format_names[];             /* v1, v2, v3 */
enum storage_format { STORAGE_FORMAT_V1, STORAGE_FORMAT_V2, STORAGE_FORMAT_V3, STORAGE_FORMAT_MAX };

struct datacenter {
	struct record record;
	char *id, *name, *description, *comment;
	bool local;
	int storage_type;                    /* enum storage_type; accepted, never written */
	int storage_format;                  /* enum storage_format */
	int major, minor;
	GPtrArray *supported_versions;       /* struct version; filled in when shown */
	int state;                           /* enum datacenter_state; follows the storage */
	/* INTERNAL */
	int master_version;                  /* of the pool: grows with every change of the master domain; absent: 1 */
};
extern const struct record_type datacenter_type;

/* What the storage domains attached now make of the data center. */
enum datacenter_state datacenter_status(struct model *model, const char *id);

#endif
