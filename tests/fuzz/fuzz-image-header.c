/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of images, as our own reader sees them before QEMU does. The first byte chooses the format that is expected. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "agent/storage/volume/image_header.h"
#include "common/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const formats[] = { "qcow2", "vmdk", "vpc", "vhdx", "raw" };
	struct image_header header = { 0 };
	g_autoptr(GError) error = NULL;
	int fd;

	if (size < 1)
		return 0;
	fd = memfd_create("image", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)size - 1)
		abort();
	(void)image_header_format(fd);
	if (image_header_read(fd, formats[data[0] % G_N_ELEMENTS(formats)], "image", &header, &error)) {
		if (!header.backing || header.size < 0 || header.size > IMAGE_SIZE_MAX || strlen(header.backing) > 1023)
			abort();
		image_header_clear(&header);
	} else if (!error || header.backing) {
		abort();
	}
	close(fd);
	return 0;
}
