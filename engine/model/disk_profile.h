/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_DISK_PROFILE_H
#define BERTH_ENGINE_MODEL_DISK_PROFILE_H
/* Disk profiles: limits for the disks of a storage domain that name them. Go with their domain. */
#include "common/record.h"

struct disk_profile {
	struct record record;
	char *id, *name, *description;
	struct ref storage_domain;           /* parent */
	struct ref qos;
};
extern const struct record_type disk_profile_type;

#endif
