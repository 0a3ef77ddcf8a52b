/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RES_PROVIDER_H
#define BERTH_ENGINE_RES_PROVIDER_H
/* What all external providers have: the events of appendix C. */
#include "engine/api/resource.h"

#define PROVIDER_ADDED 205
#define PROVIDER_UPDATED 207
#define PROVIDER_REMOVED 209

/* Adds the event. object: what stands for it, or NULL. how: "added" */
void provider_tell(struct request *request, struct change *change, int code, const void *provider, void *object, const char *how);
/* For a check of the writer: names are missing in a change of a provider of that noun. true: none */
bool provider_is_complete(GPtrArray *names, const char *noun, GError **error);

#endif
