/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_LDAP_H
#define BERTH_ENGINE_LDAP_H
/* Domains whose users and groups are on an LDAP server. Theory of operation: ldap.c, ldap_link.c; the files: berth-domain.conf(5). */
#include "common/config.h"
#include "engine/auth/directory.h"

/* The keys of a domain's file. */
extern const struct option ldap_options[];
extern const size_t n_ldap_options;

/* The domain of the file. Connects to nothing. Errors name file, key and value. */
struct directory *ldap_directory_new(const char *file, GError **error);

#endif
