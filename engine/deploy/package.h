/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_PACKAGE_H
#define BERTH_ENGINE_PACKAGE_H
/* The agent's packages that this engine has for hosts: [deploy] package. What they are, their names say: NAME_VERSION_ARCHITECTURE.deb */
#include <stdbool.h>
#include "common/config.h"

struct package { char *file, *name, *version, *architecture; };

/* From a path. NULL + ERR_BAD_VALUE: its name is not like that */
struct package *package_new(const char *file, GError **error);
struct package *package_free(struct package *package);          /* NULL accepted; returns NULL */
static inline void package_freep(struct package **package) { (void)package_free(*package); }
#define autopackage __attribute__((cleanup(package_freep))) struct package *

/* "1.2-3" and "1:1.2" are of the release 1.2. g_free */
char *package_release(const char *version);

/* Does this engine install hosts? */
bool package_is_known(const struct config *config);
/* The one for hosts of an architecture (one of "all" fits each); NULL: the first. NULL + error: there is none. */
struct package *package_for(const struct config *config, const char *architecture, GError **error);
/* Is the agent of another release than the package? version_full: as hosts show it, berth-agent-RELEASE-... */
bool package_is_update(const struct config *config, const char *version_full);

#endif
