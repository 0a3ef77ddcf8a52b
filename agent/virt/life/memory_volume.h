/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIFE_MEMORY_VOLUME_H
#define BERTH_AGENT_VIRT_LIFE_MEMORY_VOLUME_H
/*
 * The volumes that saved memory is in, as vdsm has them: one for what libvirt writes (the memory, and the domain XML with our metadata), and, if the engine
 * gives one, a small one for what is not in there:
 *
 *	{"version": 1, "vmId", "restoreFromSnapshot": false: by VM.hibernate, "elapsedTimeOffset": s that the VM had run, "_srcDomXML"}
 *
 * JSON, ended by a zero byte. vdsm writes the same as a Python pickle there, which we do not read. Workers only.
 */
#include <jansson.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/agent.h"

struct vm;

struct memory_files { char *memory, *conf; };          /* paths; conf NULL: none */
void memory_files_clear(struct memory_files *files);

/*
 * handle: {poolID, domainID, imageID, volumeID} with conf of the same form or NULL; or the text "domain,pool,image,volume[,image,volume]" (hiberVolHandle,
 * hibernationVolHandle, snapMemory), which has both. ERR_INVALID_PARAMETER; errors of storage; ERR_UNSUPPORTED_IMAGE_FORMAT: not raw.
 */
bool memory_files_prepare(struct agent *agent, const char *vm_id, const json_t *handle, const json_t *conf, struct memory_files *ret_files, GError **error);

#define MEMORY_CONF_MAX (1024 * 1024)
struct memory_conf { bool from_snapshot; double elapsed; };           /* elapsed: s; negative: not known */
/* The VM as it runs now, whose memory is about to be saved. On disk when it returns. */
bool memory_conf_keep(struct vm *vm, const char *path, bool from_snapshot, GError **error);
/* The same, pure. xml: without passwords. */
bool memory_conf_write(const char *path, const char *vm_id, const struct memory_conf *conf, const char *xml, GError **error);
/* ERR_INVALID_PARAMETER: it is of another VM, or no description at all. */
bool memory_conf_read(const char *path, const char *vm_id, struct memory_conf *ret_conf, GError **error);

#endif
