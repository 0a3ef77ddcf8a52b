/* SPDX-License-Identifier: Apache-2.0 */
/* Where a domain's own areas are. */
#include <string.h>
#include "agent/storage/storage-priv.h"

bool domain_is_shared(const struct domain *domain)
{
	return strcmp(metadata_get(domain->values, "TYPE"), "LOCALFS") != 0;
}

char *domain_area(const struct domain *domain, const char *name, int64_t *ret_offset, GError **error)
{
	return domain->form->area(domain, name, ret_offset, error);
}
