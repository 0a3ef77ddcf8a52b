/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_IMAGES_H
#define BERTH_AGENT_STORAGE_TRANSFER_IMAGES_H
/* What clients of image tickets ask for. Theory of operation in images.c. */
#include <openssl/ssl.h>
#include <stdbool.h>

struct storage;

#define IMAGES_CONNECTIONS 8             /* that one client is told to use for a ticket: ovirt-imageio's number */

/* Serves one connection to its end. ssl is taken over, fd is not. local: over the Unix socket. */
void images_serve(struct storage *storage, int fd, SSL *ssl, bool local);

#endif
