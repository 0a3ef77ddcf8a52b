/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksum of an image is the hash of the hashes of its blocks, the last of which may be shorter (ovirt-imageio, blkhash): a block of zeros
 * needs to be hashed once only, and where the image has holes nothing is read. blake2b is the one with a digest of 32 bytes.
 */
#include "agent/storage/transfer/checksum.h"
#include <gcrypt.h>
#include <string.h>
#include "agent/storage/transfer/move.h"
#include "common/error.h"

static const struct { const char *name; int id; } algorithms[] = {
	{ CHECKSUM_ALGORITHM, GCRY_MD_BLAKE2B_256 }, { "sha1", GCRY_MD_SHA1 }, { "sha256", GCRY_MD_SHA256 }, { "sha512", GCRY_MD_SHA512 },
};

struct sum {
	struct data *data;
	gcry_md_hd_t root;
	int id;
	unsigned digest;                 /* bytes */
	unsigned char *block, *zero;     /* zero: digest of a whole block of zeros */
	int64_t block_size, filled;
	bool zeros;                      /* all that is in block so far */
	GError *error;
};

static int find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++)
		if (!strcmp(algorithms[i].name, name))
			return algorithms[i].id;
	return 0;
}

bool checksum_known(const char *algorithm)
{
	return find(algorithm) != 0;
}

json_t *checksum_algorithms(void)
{
	json_t *names = json_array();

	for (size_t i = 0; i < G_N_ELEMENTS(algorithms); i++)
		json_array_append_new(names, json_string(algorithms[i].name));
	return json_pack("{s:o, s:s}", "algorithms", names, "default", CHECKSUM_ALGORITHM);
}

static void end_block(struct sum *sum)
{
	unsigned char digest[64];

	if (sum->zeros && sum->filled == sum->block_size) {
		gcry_md_write(sum->root, sum->zero, sum->digest);
	} else {
		gcry_md_hash_buffer(sum->id, digest, sum->block, (size_t)sum->filled);
		gcry_md_write(sum->root, digest, sum->digest);
	}
	sum->filled = 0;
	sum->zeros = true;
}

static bool add_extent(const struct data_extent *extent, void *context)
{
	struct sum *sum = context;

	for (int64_t at = extent->start, end = extent->start + extent->length; at < end;) {
		int64_t n = MIN(end - at, sum->block_size - sum->filled);

		if (extent->zero)
			memset(sum->block + sum->filled, 0, (size_t)n);
		else if (!data_read(sum->data, sum->block + sum->filled, (size_t)n, at, &sum->error))
			return false;
		sum->zeros = sum->zeros && extent->zero;
		sum->filled += n;
		at += n;
		if (sum->filled == sum->block_size)
			end_block(sum);
	}
	return true;
}

char *checksum_of(struct data *data, const char *algorithm, int64_t block_size, GError **error)
{
	struct sum sum = { .data = data, .id = find(algorithm), .block_size = block_size, .zeros = true };
	GString *text = NULL;

	gcry_check_version(NULL);
	sum.digest = gcry_md_get_algo_dlen(sum.id);
	sum.block = g_malloc0((size_t)block_size);
	sum.zero = g_malloc(sum.digest);
	gcry_md_hash_buffer(sum.id, sum.zero, sum.block, (size_t)block_size);
	if (gcry_md_open(&sum.root, sum.id, 0) != 0) {
		error_set(error, ERR_GENERAL, "hash '%s' cannot be computed", algorithm);
	} else if (data_extents(data, /* dirty= */ false, add_extent, &sum, error)) {
		const unsigned char *digest;

		if (sum.filled)
			end_block(&sum);
		digest = gcry_md_read(sum.root, sum.id);
		text = g_string_new(NULL);
		for (unsigned i = 0; i < sum.digest; i++)
			g_string_append_printf(text, "%02x", digest[i]);
	} else if (sum.error) {
		g_propagate_error(error, sum.error);
	}
	gcry_md_close(sum.root);
	g_free(sum.block);
	g_free(sum.zero);
	return text ? g_string_free(text, FALSE) : NULL;
}
