/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/disk/disk_rest.h"
#include <string.h>
#include "agent/storage/storage.h"
#include "agent/virt/disk/disk_chain.h"
#include "agent/virt/disk/drive.h"
#include "agent/virt/vm_metadata.h"

static void spec_free(void *data)
{
	drive_spec_clear(data);
	g_free(data);
}

GPtrArray *disk_gone_new(void)
{
	return g_ptr_array_new_with_free_func(spec_free);
}

void disk_gone_add(GPtrArray *gone, xmlNode *kept)
{
	struct drive_spec *spec = g_new0(struct drive_spec, 1);

	spec->domain = vm_metadata_get(kept, "domainID");
	spec->image = vm_metadata_get(kept, "imageID");
	spec->volume = vm_metadata_get(kept, "volumeID");
	if (spec->domain && spec->image && spec->volume)
		g_ptr_array_add(gone, spec);
	else
		spec_free(spec);
}

/* Ids of the volumes that the VM's disks read and write: files and links are named by them. */
static GPtrArray *used_volumes(const struct live *live)
{
	g_autoptr(GPtrArray) chains = disk_chains_read(live->root);
	GPtrArray *used = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < chains->len; i++) {
		const struct disk_chain *chain = chains->pdata[i];

		for (guint j = 0; j < chain->layers->len; j++)
			g_ptr_array_add(used, g_path_get_basename(((const struct disk_layer *)chain->layers->pdata[j])->path));
		if (chain->replica_volume)
			g_ptr_array_add(used, g_strdup(chain->replica_volume));
	}
	return used;
}

void disk_gone_rest(const struct live *live, const GPtrArray *gone)
{
	g_autoptr(GPtrArray) used = gone->len ? used_volumes(live) : NULL;

	for (guint i = 0; i < gone->len; i++) {
		const struct drive_spec *spec = gone->pdata[i];
		const struct storage_disk disk = { .domain = spec->domain, .image = spec->image, .volume = spec->volume };

		storage_rest_disk(live->vm->vms->agent->storage, live->vm->id, &disk, used);
	}
}
