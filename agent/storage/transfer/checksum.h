/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_TRANSFER_CHECKSUM_H
#define BERTH_AGENT_STORAGE_TRANSFER_CHECKSUM_H
/* Checksums of images, as ovirt-imageio's. Theory of operation in checksum.c. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define CHECKSUM_ALGORITHM "blake2b"
#define CHECKSUM_BLOCK (INT64_C(4) << 20)
#define CHECKSUM_BLOCK_MAX (INT64_C(16) << 20)

struct data;

/* {"algorithms": [...], "default"}; new reference */
json_t *checksum_algorithms(void);
bool checksum_known(const char *algorithm);
/* Hexadecimal, g_free; NULL + error. block_size: up to CHECKSUM_BLOCK_MAX */
char *checksum_of(struct data *data, const char *algorithm, int64_t block_size, GError **error);

#endif
