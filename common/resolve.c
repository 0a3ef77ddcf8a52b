/* SPDX-License-Identifier: Apache-2.0 */
#include "common/resolve.h"

#include <netdb.h>
#include <string.h>

#include "common/error.h"
#include "common/lane.h"

bool resolve_address(const char *name, int port, struct sockaddr_storage *ret_address, socklen_t *ret_length, GError **error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
	char service[16];
	int rc;

	g_snprintf(service, sizeof(service), "%d", port);
	lane_wait_begin();
	rc = getaddrinfo(name, service, &hints, &list);
	lane_wait_end();
	if (rc) {
		error_set(error, ERR_NO_CONNECTION, "address '%s': %s", name, gai_strerror(rc));
		return false;
	}
	memset(ret_address, 0, sizeof(*ret_address));
	memcpy(ret_address, list->ai_addr, list->ai_addrlen);
	*ret_length = list->ai_addrlen;
	freeaddrinfo(list);
	return true;
}
