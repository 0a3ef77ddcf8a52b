/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_DATA_THIN_H
#define BERTH_AGENT_STORAGE_DATA_THIN_H
/* Looking into images that nobody uses, through qemu-nbd. Theory of operation in thin.c. Blocks: workers only. */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

struct job;

/* What is allocated and holds nothing but zeros becomes holes; what the image reads as does not change, not even for an instant. */
bool thin_zeros(const char *path, const char *format, struct job *job, GError **error);

/* The first and the last `length` bytes of what a guest would see (g_free, both of `length`), and its size; any: is anything at all allocated? */
bool thin_ends(const char *path, const char *format, size_t length, char **ret_first, char **ret_last, int64_t *ret_size, bool *ret_any, GError **error);

/*
 * A name for what a guest would see: the checksum of the size and of a sample of at most 16 MiB, g_free. Not a proof for every byte, but the same image in
 * another place or format has the same, and another file system has another. NULL + error
 */
char *thin_sample(const char *path, const char *format, GError **error);

#endif
