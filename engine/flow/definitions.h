/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DEFINITIONS_H
#define BERTH_ENGINE_DEFINITIONS_H
/* What VMs and templates a storage domain holds: the OVFs beside their disks, read. One that cannot be read costs only itself. Worker threads. */
#include "engine/flow/storage_calls.h"
#include "engine/model/storage_domain.h"
#include "engine/ovf/ovf.h"

struct definition {
	char *id;                            /* the name it has on the storage */
	struct ovf *ovf;                     /* NULL: it cannot be read */
	char *problem;                       /* why */
};
struct definition *definition_free(struct definition *definition);
static inline void definition_freep(struct definition **definition) { (void)definition_free(*definition); }
#define autodefinition __attribute__((cleanup(definition_freep))) struct definition *

/* All of them: struct definition *. The domain is active. */
GPtrArray *definitions_read(struct engine *engine, const struct storage_domain *domain, GError **error);
/* One. ERR_NOT_FOUND when it is not there. */
struct definition *definition_read(struct engine *engine, const struct storage_domain *domain, const char *id, GError **error);

/*
 * Data domains: what is on them is written down when they are deactivated, so that it can be registered wherever they are attached next. Only domains of a
 * pool have such definitions. Failure is logged: a domain that is dead is deactivated, too.
 */
void definitions_keep(const struct storage_call *call, const struct storage_domain *domain);
void definitions_forget(const struct storage_call *call, const struct storage_domain *domain, const char *vm_id);

#endif
