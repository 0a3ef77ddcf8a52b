/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/virt/console/picture.h"

#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "common/error.h"

#define CHANNELS 3u

/* Rows of red, green, blue. */
struct pixels { unsigned width, height; uint8_t *data; };

static bool check_size(uint64_t width, uint64_t height, GError **error)
{
	if (width && height && width * height <= PICTURE_PIXELS_MAX)
		return true;
	error_set(error, ERR_UNEXPECTED_ERROR, "a picture of %" G_GUINT64_FORMAT " by %" G_GUINT64_FORMAT " pixels", width, height);
	return false;
}

static bool read_png(GBytes *picture, struct pixels *ret_pixels, GError **error)
{
	static const png_color black;
	png_image image = { .version = PNG_IMAGE_VERSION };
	gsize size;
	const void *bytes = g_bytes_get_data(picture, &size);
	struct pixels pixels;

	if (!png_image_begin_read_from_memory(&image, bytes, size)) {
		error_set(error, ERR_UNEXPECTED_ERROR, "the picture: %s", image.message);
		return false;
	}
	if (!check_size(image.width, image.height, error)) {
		png_image_free(&image);
		return false;
	}
	image.format = PNG_FORMAT_RGB;
	pixels = (struct pixels){ image.width, image.height, g_malloc(PNG_IMAGE_SIZE(image)) };
	if (!png_image_finish_read(&image, &black, pixels.data, 0, NULL)) {
		error_set(error, ERR_UNEXPECTED_ERROR, "the picture: %s", image.message);
		g_free(pixels.data);
		return false;
	}
	*ret_pixels = pixels;
	return true;
}

/* "P6\n720 400\n255\n" and the pixels: what older QEMUs make. */
static bool read_ppm(GBytes *picture, struct pixels *ret_pixels, GError **error)
{
	gsize size;
	const char *bytes = g_bytes_get_data(picture, &size);
	g_autofree char *head = g_strndup(bytes, MIN(size, 64));
	unsigned width, height, most;
	int length = 0;

	if (sscanf(head, "P6 %u %u %u%n", &width, &height, &most, &length) != 3 || most != 255 || !length) {
		error_set(error, ERR_UNEXPECTED_ERROR, "the picture is neither PNG nor PPM");
		return false;
	}
	if (!check_size(width, height, error))
		return false;
	if (size - (gsize)length - 1 < (gsize)width * height * CHANNELS || size <= (gsize)length) {
		error_set(error, ERR_UNEXPECTED_ERROR, "the picture is cut off");
		return false;
	}
	*ret_pixels = (struct pixels){ width, height, g_memdup2(bytes + length + 1, (gsize)width * height * CHANNELS) };
	return true;
}

/* The part of [from, to) that pixel `at` of the source is, in units of 1/scale of a pixel. */
static uint64_t share(uint64_t from, uint64_t to, uint64_t at, uint64_t scale)
{
	return MIN(to, (at + 1) * scale) - MAX(from, at * scale);
}

/* One pixel: a mean, weighted by area. Target pixel x covers source [x * sw, (x + 1) * sw) in units of 1 / tw. */
static void cover(const struct pixels *source, const struct pixels *target, unsigned x, unsigned y, uint8_t *out)
{
	uint64_t left = (uint64_t)x * source->width, right = left + source->width, top = (uint64_t)y * source->height, bottom = top + source->height;
	uint64_t sums[CHANNELS] = { 0 }, area = (uint64_t)source->width * source->height;

	for (uint64_t sy = top / target->height; sy * target->height < bottom; sy++)
		for (uint64_t sx = left / target->width; sx * target->width < right; sx++) {
			uint64_t weight = share(left, right, sx, target->width) * share(top, bottom, sy, target->height);
			const uint8_t *pixel = source->data + (sy * source->width + sx) * CHANNELS;

			for (unsigned c = 0; c < CHANNELS; c++)
				sums[c] += pixel[c] * weight;
		}
	for (unsigned c = 0; c < CHANNELS; c++)
		out[c] = (uint8_t)((sums[c] + area / 2) / area);
}

static void scale(const struct pixels *source, struct pixels *target)
{
	target->data = g_malloc((gsize)target->width * target->height * CHANNELS);
	for (unsigned y = 0; y < target->height; y++)
		for (unsigned x = 0; x < target->width; x++)
			cover(source, target, x, y, target->data + ((gsize)y * target->width + x) * CHANNELS);
}

static bool write_png(const struct pixels *pixels, GBytes **ret_png, GError **error)
{
	png_image image = { .version = PNG_IMAGE_VERSION, .width = pixels->width, .height = pixels->height, .format = PNG_FORMAT_RGB };
	png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
	g_autofree void *bytes = g_malloc(size);

	if (!png_image_write_to_memory(&image, bytes, &size, 0, pixels->data, 0, NULL)) {
		error_set(error, ERR_UNEXPECTED_ERROR, "the picture: %s", image.message);
		return false;
	}
	*ret_png = g_bytes_new(bytes, size);
	return true;
}

bool picture_scale(GBytes *picture, unsigned width, unsigned height, GBytes **ret_png, GError **error)
{
	static const uint8_t magic[] = { 0x89, 'P', 'N', 'G' };
	gsize size;
	const void *bytes = g_bytes_get_data(picture, &size);
	bool png = size > sizeof(magic) && !memcmp(bytes, magic, sizeof(magic)), good;
	struct pixels source = { 0 }, target;

	if (png && !width && !height) {
		*ret_png = g_bytes_ref(picture);
		return true;
	}
	if (!(png ? read_png : read_ppm)(picture, &source, error))
		return false;
	target = (struct pixels){ width, height, NULL };
	if (!width)
		target.width = height ? (unsigned)MAX((uint64_t)source.width * height / source.height, 1) : source.width;
	if (!height)
		target.height = width ? (unsigned)MAX((uint64_t)source.height * width / source.width, 1) : source.height;
	good = check_size(target.width, target.height, error);
	if (good) {
		scale(&source, &target);
		good = write_png(&target, ret_png, error);
	}
	g_free(source.data);
	g_free(target.data);
	return good;
}
