/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_LOGICAL_UNIT_H
#define BERTH_ENGINE_MODEL_LOGICAL_UNIT_H
/* LUNs (REST 12.5.4, 14.7.3, 16): of a storage domain, of a disk, and as a host sees them. id is what the device says of itself: the same on all hosts. */
#include "common/record.h"

struct logical_unit {
	struct record record;
	char *id, *address, *target, *username, *password, *serial, *vendor_id, *product_id;
	int port, lun_mapping;
	int64_t size;
	char *status, *volume_group_id;      /* only as a host sees it now */
	int paths;
};
extern const struct record_type logical_unit_type;

#define ISCSI_PORT 3260
/* The unit with this id in a list of them; NULL: none. The list may be NULL. */
struct logical_unit *logical_unit_in(const GPtrArray *units, const char *id);

#endif
