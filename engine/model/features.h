/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_FEATURES_H
#define BERTH_ENGINE_MODEL_FEATURES_H
/*
 * Features of the compatibility levels (REST chapters 5 and 6). An object has the level of the cluster that it is in, one of a data center that of the data
 * center. What a later level brings cannot be asked for before: every host of a cluster knows the cluster's level (fleet/sync.c), so none is asked for what
 * it does not know. Levels only rise; what an object has of a feature it keeps.
 */
#include "engine/model/model.h"

/* A member that asks for the feature; value: only when it says that, NULL: when it is there, and not false */
struct feature_gate { const struct kind *kind; const char *path, *value; };

struct feature {
	int minor;                           /* since level 3.minor */
	const char *name;
	struct feature_gate gates[3];        /* ends with .kind NULL; none: no object asks for it */
};
extern const struct feature features[];      /* ends with .name NULL */

/* Does the level of the object have the feature? An object that is in no cluster has all. false: ERR_OPERATION_FAILED, naming both levels. */
bool feature_check(struct model *model, const void *object, const char *name, GError **error);
/* Is there all that `record` asks for? What it asked for before (NULL: nothing), in the same place, stays. */
bool features_check(struct model *model, const void *record, const void *before, GError **error);
/* Takes what its level does not have out of a record that is about to be added: of what nobody asked for. */
void features_mask(struct model *model, void *record);

#endif
