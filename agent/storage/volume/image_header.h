/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_VOLUME_IMAGE_HEADER_H
#define BERTH_AGENT_STORAGE_VOLUME_IMAGE_HEADER_H
/*
 * What an image file says about itself, read by ourselves: QEMU only gets to see what was found harmless here. An image may come from anybody: a guest
 * writes its own disk, a user uploads one.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define IMAGE_SIZE_MAX (INT64_C(1) << 53)      /* 8 PiB: beyond what a file can have anywhere; a number in JSON is still exact */

/* qemu-img's name of the format the first (VHD: or last) bytes are of: "qcow2", "vmdk", "vpc", "vhdx", "qed", "vdi", "luks", "parallels"; "raw": none of
 * these. NULL + errno: cannot be read. */
const char *image_header_format(int fd);

/*
 * backing: "" when there is none; backing_format: of a qcow2 image, the format in which QEMU will read that file: "" when it would guess. cut: by its own
 * account the image is longer than the file; QEMU reads zeros there. Not proven: an image that was not closed may have counted clusters it never wrote.
 */
struct image_header { int64_t size; char *backing, *backing_format; uint32_t version; bool cut; };
void image_header_clear(struct image_header *header);

/*
 * Refuses (ERR_IMAGE_IS_NOT_LEGAL_CHAIN) what is not of the format, would have QEMU open another file (external data, extents, parents; qcow2 backing names
 * are for the caller to judge), is encrypted, is marked corrupt, or claims tables that only eat memory. name: for the message. ret_header may be NULL; its
 * size is 0 where only QEMU can tell (vhdx, raw).
 */
bool image_header_read(int fd, const char *format, const char *name, struct image_header *ret_header, GError **error);

#endif
