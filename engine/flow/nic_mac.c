/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/nic_mac.h"

#include <sys/random.h>

#include "common/error.h"
#include "engine/model/kinds.h"

#define MAC_PREFIX "00:1a:4a"          /* the pool of the field: 16.7 million addresses */
#define MAC_TRIES 1000

bool nic_mac_is_taken(struct model *model, const char *mac, const char *but_not)
{
	g_autoptr(GPtrArray) nics = model_list(model, &nic_kind);

	for (guint i = 0; i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];

		if (nic->mac && !g_ascii_strcasecmp(nic->mac, mac) && g_strcmp0(nic->id, but_not))
			return true;
	}
	return false;
}

bool nic_mac_is_free(struct model *model, void *data, GError **error)
{
	const struct nic *nic = data;

	if (!nic->mac || !nic_mac_is_taken(model, nic->mac, nic->id))
		return true;
	error_set(error, ERR_OPERATION_FAILED, "nic: mac/@address: '%s' is in use", nic->mac);
	return false;
}

bool nic_mac_draw(struct model *model, struct nic *nic, GError **error)
{
	for (int i = 0; i < MAC_TRIES; i++) {
		unsigned char bytes[3];
		char mac[18];

		if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
			continue;
		g_snprintf(mac, sizeof(mac), MAC_PREFIX ":%02x:%02x:%02x", bytes[0], bytes[1], bytes[2]);
		if (!nic_mac_is_taken(model, mac, NULL)) {
			set_string(&nic->mac, mac);
			return true;
		}
	}
	error_set(error, ERR_OPERATION_FAILED, "nic: no free MAC address in " MAC_PREFIX);
	return false;
}
