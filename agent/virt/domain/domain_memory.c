/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's memory. What it is sure to have is kept in the metadata (minGuaranteedMemoryMb, as vdsm does): it bounds the balloon, QEMU knows nothing of it.
 */
#include "agent/virt/domain/domain_xml.h"

#include <unistd.h>
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"

static xmlNode *add_mib(xmlNode *parent, const char *name, int64_t mib)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, mib);
	xmlNode *node = xml_add_text(parent, name, text);

	xml_set(node, "unit", "MiB");
	return node;
}

/* Custom property hugepages: the size of a page, KiB. */
static bool add_hugepages(xmlNode *domain, const struct vm_params *p, GError **error)
{
	const char *size = json_string_value(json_object_get(p->custom, "hugepages"));
	g_autofree char *pages = NULL;

	if (!size || !*size || !g_strcmp0(size, "0"))
		return true;
	pages = g_strdup_printf("/sys/kernel/mm/hugepages/hugepages-%skB", size);
	if (!g_ascii_string_to_unsigned(size, 10, 1, G_MAXUINT32, NULL, NULL) || access(pages, F_OK) < 0) {
		error_set(error, ERR_INVALID_PARAMETER, "custom/hugepages: this host has no memory pages of '%s' KiB", size);
		return false;
	}
	xml_add_with(xml_add(xml_add(domain, "memoryBacking"), "hugepages"), "page", "size", size, "unit", "KiB", NULL);
	return true;
}

bool domain_xml_memory(xmlNode *domain, xmlNode *metadata, const struct vm_params *p, GError **error)
{
	if (!HAS(p, mem_size)) {
		error_set(error, ERR_MISSING_PARAMETER, "memSize");
		return false;
	}
	if (HAS(p, max_mem_size) && p->max_mem_size < p->mem_size) {
		error_set(error, ERR_INVALID_PARAMETER, "maxMemSize: %" G_GINT64_FORMAT " is less than memSize, %" G_GINT64_FORMAT, p->max_mem_size, p->mem_size);
		return false;
	}
	if (HAS(p, mem_guaranteed) && p->mem_guaranteed > p->mem_size) {
		error_set(error, ERR_INVALID_PARAMETER, "memGuaranteedSize: %" G_GINT64_FORMAT " is more than memSize, %" G_GINT64_FORMAT, p->mem_guaranteed,
			  p->mem_size);
		return false;
	}
	if (HAS(p, max_mem_size))
		xml_set_number(add_mib(domain, "maxMemory", p->max_mem_size), "slots", p->max_mem_slots);
	add_mib(domain, "memory", p->mem_size);
	add_mib(domain, "currentMemory", p->mem_size);
	if (HAS(p, mem_guaranteed)) {
		g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, p->mem_guaranteed);

		vm_metadata_set(metadata, "minGuaranteedMemoryMb", "int", text);
	}
	return add_hugepages(domain, p, error);
}
