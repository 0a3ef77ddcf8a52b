/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_IMAGE_FLOW_H
#define BERTH_ENGINE_IMAGE_FLOW_H
/* Disks from and to image services. */
#include "engine/flow/flow.h"
#include "engine/model/disk.h"
#include "engine/model/image_provider.h"
#include "engine/model/storage_domain.h"

struct change;

/* object: a disk that is stored and locked, and filled from an image. Failure removes it. data: image_import_data() */
extern const struct flow_type import_image_flow;
/* disk: as it will be, on target. source: the domain of the image's service. NULL + error */
json_t *image_import_data(struct engine *engine, const struct disk *disk, const struct storage_domain *source, const struct image *image,
			  const struct storage_domain *target, GError **error);
/* "User admin importing image fedora to domain data1.": with the change that stores the disk */
void image_import_begun(struct change *change, const struct actor *actor, struct disk *disk, const struct image *image, struct storage_domain *target);

/* object: a disk, which is locked until its data are in an image of its own. Failure removes the image. data: image_export_data() */
extern const struct flow_type export_image_flow;
json_t *image_export_data(struct engine *engine, const struct disk *disk, const struct storage_domain *target, GError **error);

/* For change_check(): does a flow use the image service? data: a struct image_provider */
bool image_provider_is_idle(struct model *model, void *data, GError **error);

#endif
