/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas: the table. See quota.h. */
#include "engine/model/quota.h"

static const struct field quota_fields[] = {
	FIELD_UUID_(struct quota, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct quota, name, "name", CREATE | REQUIRED | SEARCH | UNIQUE | HEAD, "name within the data center", .min = 1, .max = 65),
	FIELD_STRING_(struct quota, description, "description", CREATE | REQUIRED | HEAD | SEARCH, "what it is for", .max = 4000),
	FIELD_REF_(struct quota, data_center, "data_center", CREATE | REQUIRED, "datacenters", "data center it belongs to"),
};
const struct record_type quota_type = RECORD_TYPE("quota", "quotas", struct quota, quota_fields, "Limits on what is used of a data center");
