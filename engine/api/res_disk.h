/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_DISK_H
#define BERTH_ENGINE_RES_DISK_H
/*
 * Disks, by themselves, below their VM (resource_vm_disk in res_vm.h) and below their storage domain. For resources.c beside those of res_vm.h:
 * resource_disk_statistic after resource_disk.
 */
#include "engine/api/resource.h"
#include "engine/flow/disk_flow.h"
#include "engine/model/storage_domain.h"

struct storage_domain;
struct vm;

extern const struct resource resource_disk_statistic;

/* Handlers that the three collections share. */
void *disk_view(struct request *request, void *record);
bool disk_add_on_domain(struct request *request, void *input, void **ret_record, GError **error);
bool disk_finish(struct request *request, const void *record, GError **error);
/* The data domain that takes disks now; NULL + error if not. New reference. */
struct storage_domain *disk_usable_domain(struct model *model, const char *id, GError **error);
/* For change_check(), data is a struct disk: the quota is of the domain's data center, the disk profile of the domain. */
bool disk_limits_fit(struct model *model, void *data, GError **error);
bool disk_remove(struct request *request, const void *current, const void *options, GError **error);

/* What a new disk is that its input does not say: ids, size rounded up, locked, ...; vm may be NULL. wipe: wipe_after_delete */
void disk_fill(struct model *model, const struct vm *vm, bool wipe, struct disk *disk);

/* What can be done with any disk, wherever it is shown. */
extern const struct action disk_actions[];

/* ---- the action copy (disk_copy.c) ---- */
extern const struct record_type copy_disk_type;
bool disk_copy(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

#endif
