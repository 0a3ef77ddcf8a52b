/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures in another size: whole pixels, means, proportions, and what is no picture. rows: verb:VM.screenshot hv-012 */
#include "tests/unit/cmocka-all.h"

#include <png.h>
#include <stdint.h>
#include <string.h>
#include "agent/virt/console/picture.h"
#include "common/error.h"

static GBytes *ppm(unsigned width, unsigned height, const uint8_t *pixels)
{
	g_autofree char *head = g_strdup_printf("P6\n%u %u\n255\n", width, height);
	GByteArray *bytes = g_byte_array_new();

	g_byte_array_append(bytes, (const guint8 *)head, (guint)strlen(head));
	g_byte_array_append(bytes, pixels, width * height * 3);
	return g_byte_array_free_to_bytes(bytes);
}

/* "2x1 ff0000 00ff00": size and pixels of a PNG. g_free */
static char *show(GBytes *png)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	gsize size;
	const void *data = g_bytes_get_data(png, &size);
	g_autofree uint8_t *pixels = NULL;
	GString *out = g_string_new(NULL);

	assert_true(png_image_begin_read_from_memory(&image, data, size));
	image.format = PNG_FORMAT_RGB;
	pixels = g_malloc(PNG_IMAGE_SIZE(image));
	assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
	g_string_printf(out, "%ux%u", image.width, image.height);
	for (unsigned i = 0; i < image.width * image.height; i++)
		g_string_append_printf(out, " %02x%02x%02x", pixels[i * 3], pixels[i * 3 + 1], pixels[i * 3 + 2]);
	return g_string_free(out, FALSE);
}

static void check(GBytes *picture, unsigned width, unsigned height, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) png = NULL;
	g_autofree char *shown = NULL;

	assert_true(picture_scale(picture, width, height, &png, &error));
	shown = show(png);
	assert_string_equal(shown, expected);
}

static const uint8_t four[] = { 0xff, 0, 0, 0, 0xff, 0, 0, 0, 0xff, 0x80, 0x80, 0x80 };

static void scales(void **state)
{
	g_autoptr(GBytes) picture = ppm(2, 2, four), wide = ppm(4, 1, four), png = NULL;

	check(picture, 0, 0, "2x2 ff0000 00ff00 0000ff 808080");
	check(picture, 1, 1, "1x1 606060");
	check(picture, 4, 2, "4x2 ff0000 ff0000 00ff00 00ff00 0000ff 0000ff 808080 808080");
	check(picture, 1, 2, "1x2 808000 4040c0");
	/* two pixels of the source in three quarters, each side by its share */
	check(wide, 3, 0, "3x1 bf4000 008080 6060a0");
	check(wide, 2, 0, "2x1 808000 4040c0");
	assert_true(picture_scale(wide, 4, 1, &png, NULL));
	check(png, 2, 1, "2x1 808000 4040c0");
	check(png, 0, 0, "4x1 ff0000 00ff00 0000ff 808080");
}

static void refuses(void **state)
{
	const char *const texts[] = {
		"", "P6", "P6\n2 2\n255\n123", "P6\n99999 99999\n255\n", "P6\n0 1\n255\n", "P5\n1 1\n255\n1", "\x89PNG\r\n\x1a\nrubbish that is no PNG",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GBytes) bytes = g_bytes_new_static(texts[i], strlen(texts[i])), png = NULL;
		g_autoptr(GError) error = NULL;

		assert_false(picture_scale(bytes, 10, 10, &png, &error));
		assert_true(error_is(error, ERR_UNEXPECTED_ERROR));
		assert_null(png);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(scales), cmocka_unit_test(refuses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
