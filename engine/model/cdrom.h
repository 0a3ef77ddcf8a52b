/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_CDROM_H
#define BERTH_ENGINE_MODEL_CDROM_H
/*
 * The CD drive of a VM (REST 15.6.4). Each VM has exactly one; its id is always BLANK_ID. Not a kind of its own: the configured disc is the item of
 * vm.cdroms, that of the running session vm.current_cdrom.
 */
#include "common/record.h"

struct cdrom {
	struct record record;
	char *id, *name;                     /* no name */
	char *file;                          /* "" or absent: empty */
	struct ref vm;
};
extern const struct record_type cdrom_type;

#endif
