/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_QUOTA_H
#define BERTH_ENGINE_MODEL_QUOTA_H
/* Quotas of a data center (REST 9.5.3): kept and shown. Go with their data center. */
#include "common/record.h"

struct quota {
	struct record record;
	char *id, *name, *description;
	struct ref data_center;              /* parent */
};
extern const struct record_type quota_type;

#endif
