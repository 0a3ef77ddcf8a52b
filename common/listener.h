/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_LISTENER_H
#define BERTH_COMMON_LISTENER_H
/* A listening socket for whoever does without the loop; streams have struct listener (common/stream.h). */
#include <stdint.h>
#include <glib.h>

/*
 * Non-blocking, with the options of all our sockets. address: "::" (dual stack, or IPv4 where there is no IPv6), "127.0.0.1", ...; port 0: any. -1 +
 * ERR_BAD_VALUE: no IP address; ERR_IO_FAILED
 */
int listener_socket(const char *address, uint16_t port, uint16_t *ret_port, GError **error);

#endif
