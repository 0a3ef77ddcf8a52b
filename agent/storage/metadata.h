/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_METADATA_H
#define BERTH_AGENT_STORAGE_METADATA_H
/* KEY=VALUE metadata of domains and volumes. Theory of operation in metadata.c. Only agent/storage uses this. */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

typedef GHashTable metadata;             /* char * -> char * */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(metadata, g_hash_table_unref)

#define METADATA_MAX (64 * 1024)         /* bytes of one block */

metadata *metadata_new(void);
void metadata_set(metadata *values, const char *key, const char *value);
void metadata_set_int(metadata *values, const char *key, int64_t value);
const char *metadata_get(metadata *values, const char *key);                       /* "" when absent */
int64_t metadata_get_int(metadata *values, const char *key, int64_t absent);      /* also when it is no number */

/* Sorted lines; a domain's end with its seal, a volume's with EOF. g_free */
char *metadata_domain_text(metadata *values);
char *metadata_volume_text(metadata *values);
/* ERR_META_DATA_SEAL_IS_BROKEN without or with a wrong seal; ERR_INVALID_METADATA for other lines or missing keys (NULL-terminated). */
metadata *metadata_parse_domain(const char *text, const char *const *required, GError **error);
metadata *metadata_parse_volume(const char *text, const char *const *required, GError **error);
/* Can the text stand in a value? (one line, no control characters) */
bool metadata_is_value(const char *text);

#endif
