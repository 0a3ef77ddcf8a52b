/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FORM_LVM_LAYOUT_H
#define BERTH_AGENT_STORAGE_FORM_LVM_LAYOUT_H
/* Where LVM keeps the metadata of a group on its devices, little endian: lvm2, lib/label/label.h and lib/format_text/layout.h. */
#include <stdint.h>

#define LVM_SECTOR 512
#define LVM_LABEL_AT LVM_SECTOR
#define LVM_LABEL_ID "LABELONE"
#define LVM_LABEL_TYPE "LVM2 001"
#define LVM_HEADER_MAGIC " LVM2 x[5A%r0N*>"
#define LVM_HEADER_IGNORED 1u

struct lvm_label { char id[8]; uint64_t sector; uint32_t crc, offset; char type[8]; };
struct lvm_place { uint64_t offset, size; };
/* At lvm_label.offset; where the data lie, an empty place, where the headers lie, an empty place. */
struct lvm_physical { char id[32]; uint64_t size; struct lvm_place places[]; };
/* Of the ring buffer of a device; text: the metadata that count, offset 0: none. */
struct lvm_header { uint32_t crc; char magic[16]; uint32_t version; uint64_t start, size; struct { uint64_t offset, size; uint32_t crc, flags; } text; };

#endif
