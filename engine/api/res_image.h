/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_IMAGE_H
#define BERTH_ENGINE_RES_IMAGE_H
/* Image services, and disks from and to them. */
#include "engine/api/resource.h"

extern const struct resource resource_image_provider, resource_storage_domain_image;

/* Action export of disks. */
extern const struct record_type disk_export_type;
bool disk_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error);

#endif
