/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_LEASE_XLEASE_H
#define BERTH_AGENT_STORAGE_LEASE_XLEASE_H
/* The area "xleases" of a domain: leases with names, and the index that finds them. Format and theory in xlease.c. Lane of the domain only. */
#include "agent/storage/lease/lock.h"

/* Where the lease is: its path (g_free), name (the caller's) and offset. ERR_NO_SUCH_LEASE; ERR_STORAGE_EXCEPTION when the index is not valid */
bool xlease_find(const struct domain *domain, const char *id, struct lease *ret_lease, GError **error);
/* One that is there: fine, as it is. note: what is noted with it (lock.h); NULL: nothing. ERR_NO_SPACE_LEFT_ON_DOMAIN */
bool xlease_add(const struct domain *domain, const char *id, const char *note, GError **error);
bool xlease_remove(const struct domain *domain, const char *id, GError **error);
/* From the leases themselves. */
bool xlease_rebuild(const struct domain *domain, GError **error);
GPtrArray *xlease_list(const struct domain *domain, GError **error);      /* char * */

#endif
