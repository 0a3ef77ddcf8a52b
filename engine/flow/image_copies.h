/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_IMAGE_COPIES_H
#define BERTH_ENGINE_IMAGE_COPIES_H
/*
 * Steps of flows that copy disks to another domain of the pool: the flow's data has "host", "pool" and "copies", an array that copies_add() fills. Every id
 * is ours, so each step may be repeated.
 *
 *	check    nothing of that name is at the target: what is there later was made by this flow, and may be removed by its undo
 *	make     empty volumes, as large as what is copied
 *	renew    of images that were at the target before all volumes go but the new one
 *	run      the data: jobs of the agent, which go on when the engine is killed
 */
#include "engine/flow/flow.h"
#include "engine/model/disk.h"
#include "engine/model/storage_domain.h"

/* `to`: the disk as it will be: its ids, format and kind of allocation. */
void copies_add(json_t *copies, const struct disk *from, const char *from_domain, const struct disk *to, const char *to_domain);

/* The disk as it can be copied to the domain: a copy fills a volume of fixed size, and on LUNs only one without a format of its own has that. */
void copies_fit(struct disk *to, const struct storage_domain *target);

/* The volume that the image gets at the target; NULL: it is none of them. */
const char *copies_volume(const struct flow *flow, const char *image_id);

bool copies_check(struct flow *flow, GError **error);
bool copies_make(struct flow *flow, GError **error);
bool copies_unmake(struct flow *flow, GError **error);
bool copies_run(struct flow *flow, GError **error);
bool copies_renew(struct flow *flow, GError **error);
bool copies_stop(struct flow *flow, GError **error);
/* Virtual size and used bytes of a disk that was copied, where it is now. */
bool copies_sizes(const struct flow *flow, const char *disk_id, int64_t *ret_capacity, int64_t *ret_used, GError **error);

#endif
