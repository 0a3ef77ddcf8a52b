/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DOMAIN_SIZES_H
#define BERTH_ENGINE_DOMAIN_SIZES_H
/*
 * How full storage domains are. Who shows a domain says so with domain_sizes_want(), which never waits: when what is stored is older than
 * DOMAIN_SIZES_USEC, a job on a lane of its own ("sizes/<id>") asks the host and stores what changed, for the next one. Low space is told once, by an event,
 * until there is enough again.
 */
#include "engine/engine.h"
#include "engine/model/storage_domain.h"

#define DOMAIN_SIZES_USEC (15 * G_USEC_PER_SEC)

void domain_sizes_want(struct engine *engine, const struct storage_domain *domain);
/* Asks now and waits; worker. Failure is logged. */
void domain_sizes_refresh(struct engine *engine, const char *domain_id);
/* May something that takes `bytes` begin? ERR_OPERATION_FAILED names the limit. */
bool domain_has_space(const struct storage_domain *domain, int64_t bytes, GError **error);
/* Bytes promised to the disks on the domain. */
int64_t domain_committed(struct model *model, const char *domain_id);

#endif
