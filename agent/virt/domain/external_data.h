/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DOMAIN_EXTERNAL_DATA_H
#define BERTH_AGENT_VIRT_DOMAIN_EXTERNAL_DATA_H
/* What a VM keeps outside of its disks: the state of its TPM and its UEFI variables. Theory of operation in external_data.c. */
#include <glib.h>
#include "agent/virt/vm.h"

enum external_kind { EXTERNAL_TPM, EXTERNAL_NVRAM, EXTERNAL_MAX };

/* state_dir/nvram, made when missing; g_free. NULL + ERR_IO_FAILED */
char *external_dir(const char *state_dir, GError **error);

/* What came with VM.create, decoded: a tar archive, a file; NULL: did not come. */
struct external_blobs { GBytes *tpm, *nvram; };
/* ERR_EXTERNAL_DATA_FAILED names what of it cannot be read. */
bool external_blobs_read(const struct vm_params *params, struct external_blobs *ret_blobs, GError **error);
void external_blobs_clear(struct external_blobs *blobs);
/* Puts it where libvirt and QEMU will find it, in place of what is there. Worker. */
bool external_blobs_keep(struct vms *vms, const char *vm_id, const struct external_blobs *blobs, GError **error);
/* The VM is forgotten: what somebody else has, or what left with it, is removed; what is only here stays for its next start. Worker. */
void external_forget(struct vm *vm);
/* Loop, lock held: the hashes of the statistics are made again when it is time. */
void external_tick(struct vm *vm, int64_t now);

bool external_data_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error);

/* ---- the form on the wire, for tests ---- */
char *external_encode(GBytes *data);                                     /* "=0=<base64 of bzip2>"; g_free */
GBytes *external_decode(const char *text, GError **error);               /* also plain base64 */
GBytes *external_pack(const char *directory, GError **error);            /* tar.xz, sorted */
bool external_unpack(const char *directory, GBytes *archive, GError **error);      /* replaces it as a whole */

#endif
