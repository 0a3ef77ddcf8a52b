/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/disk/disk_chain.h"

#include <string.h>
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"

static void layer_free(void *data)
{
	struct disk_layer *layer = data;

	g_free(layer->path);
	g_free(layer->format);
	g_free(layer);
}

static void chain_free(void *data)
{
	struct disk_chain *chain = data;
	char *const texts[] = { chain->target, chain->alias, chain->pool, chain->domain, chain->image, chain->volume, chain->job, chain->mirror_path,
				chain->replica_pool, chain->replica_domain, chain->replica_image, chain->replica_volume, chain->replica_path };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
	g_ptr_array_unref(chain->layers);
	g_free(chain);
}

static char *path_of(const xmlNode *source)
{
	static const char *const attributes[] = { "file", "dev", "name" };
	char *path = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(attributes) && !path; i++)
		path = xml_get(source, attributes[i]);
	return path;
}

/* The active layer's index is an attribute of its source, the others' one of the backingStore element. */
static void read_layers(struct disk_chain *chain, const xmlNode *disk)
{
	for (const xmlNode *node = disk; node; node = xml_child(node, "backingStore")) {
		const xmlNode *source = xml_child(node, "source");
		char *path = path_of(source);
		struct disk_layer *layer;

		if (!path)
			return;
		layer = g_new0(struct disk_layer, 1);
		layer->path = path;
		layer->format = node == disk ? xml_get(xml_child(node, "driver"), "type") : xml_get(xml_child(node, "format"), "type");
		layer->index = (int)xml_get_number(node == disk ? source : node, "index", -1);
		g_ptr_array_add(chain->layers, layer);
	}
}

static void read_metadata(struct disk_chain *chain, const xmlNode *device)
{
	const xmlNode *replica = xml_child(device, "diskReplicate");

	chain->pool = vm_metadata_get(device, "poolID");
	chain->domain = vm_metadata_get(device, "domainID");
	chain->image = vm_metadata_get(device, "imageID");
	chain->volume = vm_metadata_get(device, "volumeID");
	chain->replica_pool = vm_metadata_get(replica, "poolID");
	chain->replica_domain = vm_metadata_get(replica, "domainID");
	chain->replica_image = vm_metadata_get(replica, "imageID");
	chain->replica_volume = vm_metadata_get(replica, "volumeID");
	chain->replica_path = vm_metadata_get(replica, "path");
}

static struct disk_chain *read_disk(const xmlNode *disk, const xmlNode *metadata)
{
	struct disk_chain *chain = g_new0(struct disk_chain, 1);
	const xmlNode *mirror = xml_child(disk, "mirror");

	chain->target = xml_get(xml_child(disk, "target"), "dev");
	chain->alias = xml_get(xml_child(disk, "alias"), "name");
	chain->removable = xml_is(disk, "device", "cdrom") || xml_is(disk, "device", "floppy");
	chain->block = xml_is(disk, "type", "block");
	chain->shareable = xml_child(disk, "shareable") != NULL;
	chain->transient = xml_child(disk, "transient") != NULL;
	chain->readonly = xml_child(disk, "readonly") != NULL;
	chain->layers = g_ptr_array_new_with_free_func(layer_free);
	read_layers(chain, disk);
	if (chain->target)
		read_metadata(chain, vm_metadata_device(metadata, "name", chain->target));
	chain->job = xml_get(mirror, "job");
	chain->mirror_path = path_of(xml_child(mirror, "source"));
	chain->mirror_ready = xml_is(mirror, "ready", "yes");
	return chain;
}

GPtrArray *disk_chains_read(const xmlNode *domain)
{
	GPtrArray *chains = g_ptr_array_new_with_free_func(chain_free);

	for XML_EACH(disk, xml_child(domain, "devices"), "disk")
		g_ptr_array_add(chains, read_disk(disk, vm_metadata_of(domain)));
	return chains;
}

char *disk_key_path(const struct disk_key *key)
{
	if (key->guid)
		return g_strconcat("/dev/mapper/", key->guid, NULL);
	return key->uuid ? g_strconcat("/dev/disk/by-uuid/", key->uuid, NULL) : NULL;
}

/* An absent member of the key fits everything; one that is there, nothing absent. */
static bool fits(const char *wanted, const char *there)
{
	return !wanted || (there && !g_ascii_strcasecmp(wanted, there));
}

const struct disk_chain *disk_chains_find(const GPtrArray *chains, const struct disk_key *key)
{
	g_autofree char *path = disk_key_path(key);
	bool says = path || key->target || (key->image && key->volume);

	for (guint i = 0; says && i < chains->len; i++) {
		const struct disk_chain *chain = chains->pdata[i];
		const struct disk_layer *active = chain->layers->len ? chain->layers->pdata[0] : NULL;

		if (!fits(key->target, chain->target) || (path && (!active || strcmp(active->path, path))))
			continue;
		if (path || (fits(key->domain, chain->domain) && fits(key->image, chain->image) && fits(key->volume, chain->volume)))
			return chain;
	}
	return NULL;
}

static bool is_of(const struct disk_layer *layer, const char *volume)
{
	const char *slash = strrchr(layer->path, '/');

	return !g_ascii_strcasecmp(slash ? slash + 1 : layer->path, volume);
}

const struct disk_layer *disk_chain_layer(const struct disk_chain *chain, const char *volume)
{
	for (guint i = 0; i < chain->layers->len; i++)
		if (is_of(chain->layers->pdata[i], volume))
			return chain->layers->pdata[i];
	return NULL;
}

char *disk_layer_node(const struct disk_layer *layer)
{
	return g_strdup_printf("libvirt-%d-format", layer->index);
}

const struct disk_layer *disk_chain_above(const struct disk_chain *chain, const struct disk_layer *layer)
{
	for (guint i = 1; i < chain->layers->len; i++)
		if (chain->layers->pdata[i] == layer)
			return chain->layers->pdata[i - 1];
	return NULL;
}

bool disk_chain_is_on(const struct disk_chain *chain, const char *volume)
{
	return chain->layers->len && is_of(chain->layers->pdata[0], volume);
}

char *disk_key_text(const struct disk_key *key)
{
	const struct { const char *name, *value; } parts[] = {
		{ "name", key->target }, { "domain", key->domain }, { "image", key->image }, { "volume", key->volume }, { "GUID", key->guid },
		{ "UUID", key->uuid },
	};
	GString *text = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (parts[i].value)
			g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", parts[i].name, parts[i].value);
	return g_string_free(text, FALSE);
}
