/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata: lines KEY=VALUE in the order of the keys, as vdsm's storage format 5 has them.
 *
 *   domain   the last line is _SHA_CKSUM=<SHA-1 in hex over the lines before it, joined without line ends>: the seal. A block whose seal is
 *            missing or wrong is not believed (half written, changed by hand).
 *   volume   the last line is EOF; without it the block is cut off.
 *
 * Keys that we do not know are kept when a block is changed and written again.
 */
#include "agent/storage/metadata.h"
#include <inttypes.h>
#include <string.h>
#include "common/error.h"

#define SEAL "_SHA_CKSUM"
#define END "EOF"

metadata *metadata_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void metadata_set(metadata *values, const char *key, const char *value)
{
	g_hash_table_replace(values, g_strdup(key), g_strdup(value));
}

void metadata_set_int(metadata *values, const char *key, int64_t value)
{
	g_hash_table_replace(values, g_strdup(key), g_strdup_printf("%" PRId64, value));
}

const char *metadata_get(metadata *values, const char *key)
{
	const char *value = g_hash_table_lookup(values, key);

	return value ? value : "";
}

int64_t metadata_get_int(metadata *values, const char *key, int64_t absent)
{
	gint64 number;

	return g_ascii_string_to_signed(metadata_get(values, key), 10, G_MININT64, G_MAXINT64, &number, NULL) ? number : absent;
}

static int compare_keys(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The lines; checksum may be NULL. */
static GString *lines(metadata *values, GChecksum *checksum)
{
	guint n;
	g_autofree gpointer *keys = g_hash_table_get_keys_as_array(values, &n);
	GString *text = g_string_new(NULL);

	qsort(keys, n, sizeof(*keys), compare_keys);
	for (guint i = 0; i < n; i++) {
		size_t start = text->len;

		g_string_append_printf(text, "%s=%s", (const char *)keys[i], metadata_get(values, keys[i]));
		if (checksum)
			g_checksum_update(checksum, (const guchar *)text->str + start, (gssize)(text->len - start));
		g_string_append_c(text, '\n');
	}
	return text;
}

char *metadata_domain_text(metadata *values)
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
	GString *text = lines(values, checksum);

	g_string_append_printf(text, SEAL "=%s\n", g_checksum_get_string(checksum));
	return g_string_free(text, FALSE);
}

char *metadata_volume_text(metadata *values)
{
	GString *text = lines(values, NULL);

	g_string_append(text, END "\n");
	return g_string_free(text, FALSE);
}

/* ret_seal: value of the seal line; ret_end: the EOF line was there. */
static metadata *parse(const char *text, char **ret_seal, bool *ret_end, GError **error)
{
	g_autoptr(metadata) values = metadata_new();
	g_auto(GStrv) all = g_strsplit(text, "\n", -1);
	g_autofree char *seal = NULL;
	bool end = false;

	for (size_t i = 0; all[i] && !end; i++) {
		char *equals = strchr(all[i], '=');

		if (!all[i][0])
			continue;
		if (!strcmp(all[i], END)) {
			end = true;
			continue;
		}
		if (!equals || equals == all[i]) {
			error_set(error, ERR_INVALID_METADATA, "line %zu is not KEY=VALUE", i + 1);
			return NULL;
		}
		*equals = 0;
		if (!strcmp(all[i], SEAL)) {
			g_free(seal);
			seal = g_strdup(equals + 1);
		} else
			metadata_set(values, all[i], equals + 1);
	}
	*ret_seal = g_steal_pointer(&seal);
	*ret_end = end;
	return g_steal_pointer(&values);
}

static bool has_all(metadata *values, const char *const *required, GError **error)
{
	for (; required && *required; required++)
		if (!g_hash_table_contains(values, *required)) {
			error_set(error, ERR_INVALID_METADATA, "key %s is missing", *required);
			return false;
		}
	return true;
}

metadata *metadata_parse_domain(const char *text, const char *const *required, GError **error)
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
	g_autofree char *seal = NULL;
	g_autoptr(metadata) values = NULL;
	bool end;

	if (!(values = parse(text, &seal, &end, error)))
		return NULL;
	g_string_free(lines(values, checksum), TRUE);
	if (!seal || strcmp(seal, g_checksum_get_string(checksum))) {
		error_set(error, ERR_META_DATA_SEAL_IS_BROKEN, "read %s, computed %s", seal ? seal : "none", g_checksum_get_string(checksum));
		return NULL;
	}
	return has_all(values, required, error) ? g_steal_pointer(&values) : NULL;
}

metadata *metadata_parse_volume(const char *text, const char *const *required, GError **error)
{
	g_autofree char *seal = NULL;
	g_autoptr(metadata) values = NULL;
	bool end;

	if (!(values = parse(text, &seal, &end, error)))
		return NULL;
	if (!end) {
		error_set(error, ERR_INVALID_METADATA, "the line " END " is missing");
		return NULL;
	}
	return has_all(values, required, error) ? g_steal_pointer(&values) : NULL;
}

bool metadata_is_value(const char *text)
{
	for (; *text; text++)
		if (g_ascii_iscntrl(*text))
			return false;
	return true;
}
