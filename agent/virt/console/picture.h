/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CONSOLE_PICTURE_H
#define BERTH_AGENT_VIRT_CONSOLE_PICTURE_H
/* PNG in another size. Pure. */
#include <stdbool.h>
#include <glib.h>

#define PICTURE_PIXELS_MAX (8192 * 8192)

/*
 * png: a PNG or a PPM (P6) of at most PICTURE_PIXELS_MAX pixels; width, height: of the result, 0: by the other one, as it is when both are 0. Each
 * pixel of the result is the mean of what it covers. ret_png: g_bytes_unref. ERR_UNEXPECTED_ERROR: it is neither.
 */
bool picture_scale(GBytes *picture, unsigned width, unsigned height, GBytes **ret_png, GError **error);

#endif
