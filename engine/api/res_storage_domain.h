/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_STORAGE_DOMAIN_H
#define BERTH_ENGINE_RES_STORAGE_DOMAIN_H
/* Storage domains, by themselves and as data centers have them. For resources.c, in an order with parents before children. */
#include "engine/api/resource.h"
#include "engine/model/storage_domain.h"

extern const struct resource resource_storage_domain, resource_storage_domain_permission, resource_storage_domain_disk, resource_storage_domain_file,
	resource_storage_domain_disk_profile, resource_storage_domain_disk_snapshot, resource_storage_domain_vm, resource_storage_domain_template;
extern const struct resource resource_attached_domain;          /* after resource_datacenter */

/* The host that a request names by id or name. NULL + error; new reference. */
struct host *storage_named_host(struct request *request, const struct ref *ref, GError **error);
/* Puts what is not stored into a copy of a domain, and asks for newer sizes. */
void storage_domain_fill(struct request *request, struct storage_domain *shown);

#endif
