/* SPDX-License-Identifier: Apache-2.0 */
/* LUNs: the table. See logical_unit.h. */
#include "engine/model/logical_unit.h"

#define CU (CREATE | UPDATE)
#define U struct logical_unit

static const struct field logical_unit_fields[] = {
	FIELD_STRING_(U, id, "@id", CU | REQUIRED, "id of the LUN", .max = 255),
	FIELD_STRING_(U, address, "address", CU, "server that holds the device", .max = 255),
	FIELD_INT_(U, port, "port", CU, "port of the server", .min = 1, .max = 65535),
	FIELD_STRING_(U, target, "target", CU, "IQN of the target", .max = 255),
	FIELD_STRING_(U, username, "username", CU, "CHAP user", .max = 255),
	FIELD_STRING_(U, password, "password", CU | SECRET, "CHAP password", .max = 255),
	FIELD_STRING_(U, serial, "serial", CU, "serial number", .max = 255),
	FIELD_STRING_(U, vendor_id, "vendor_id", CU, "vendor", .max = 255),
	FIELD_STRING_(U, product_id, "product_id", CU, "product", .max = 255),
	FIELD_INT_(U, lun_mapping, "lun_mapping", CU, "number of the LUN at its target", .min = 0, .max = 65535),
	FIELD_LONG_(U, size, "size", READ_ONLY, "size", .unit = "bytes"),
	FIELD_INT_(U, paths, "paths", READ_ONLY | VOLATILE_, "ways to it"),
	FIELD_STRING_(U, status, "status", READ_ONLY | VOLATILE_, "free, used or unusable"),
	FIELD_STRING_(U, volume_group_id, "volume_group_id", READ_ONLY | VOLATILE_, "volume group that it is part of"),
};
const struct record_type logical_unit_type = RECORD_TYPE("logical_unit", NULL, struct logical_unit, logical_unit_fields, "A LUN");

struct logical_unit *logical_unit_in(const GPtrArray *units, const char *id)
{
	for (guint i = 0; units && i < units->len; i++)
		if (!g_strcmp0(((struct logical_unit *)units->pdata[i])->id, id))
			return units->pdata[i];
	return NULL;
}
