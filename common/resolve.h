/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_RESOLVE_H
#define BERTH_COMMON_RESOLVE_H
/* Host names to addresses. Blocks: worker threads and the command line only, never the loop. */
#include <stdbool.h>
#include <sys/socket.h>
#include <glib.h>

/* The first address of a name, or a numeric address as it is. ERR_NO_CONNECTION names the address and why. */
bool resolve_address(const char *name, int port, struct sockaddr_storage *ret_address, socklen_t *ret_length, GError **error);

#endif
