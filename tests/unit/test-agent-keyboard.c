/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of texts, chords and scan codes. rows: hv-013 */
#include "tests/unit/cmocka-all.h"

#include <linux/input-event-codes.h>
#include <string.h>
#include "agent/virt/console/keyboard.h"
#include "common/error.h"

/* "42+30 28": chords, their keys joined. g_free */
static char *show(const GArray *chords)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < chords->len; i++) {
		const struct chord *chord = &g_array_index(chords, struct chord, i);

		for (unsigned k = 0; k < chord->n; k++)
			g_string_append_printf(out, "%s%u", k ? "+" : i ? " " : "", chord->keys[k]);
	}
	return g_string_free(out, FALSE);
}

static void check_text(const char *text, const char *layout, const char *expected)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) chords = keyboard_text(text, layout, &error);
	g_autofree char *shown = chords ? show(chords) : g_strdup(error->message);

	assert_string_equal(shown, expected);
}

static void types_texts(void **state)
{
	check_text("", "us", "");
	check_text("aA 1!\n", "us", "30 42+30 57 2 42+2 28");
	check_text("`~'\"\\|", "us", "41 42+41 40 42+40 43 42+43");
	check_text("yz/", "us", "21 44 53");
	check_text("yz/-", "de", "44 21 42+8 53");
	check_text("{[]}\\", "de", "100+8 100+9 100+10 100+11 100+12");
	check_text("<>|µ", "de", "86 42+86 100+86 100+50");
	check_text("#'ÖÜ°²", "de", "43 42+43 42+39 42+26 42+41 100+3");
	check_text("`´^", "de", "42+13 57 13 57 41 57");
	check_text("àÉû", "de", "42+13 30 13 42+18 41 22");
	check_text("a", "DE", "30");
}

static void refuses_texts(void **state)
{
	const struct { const char *text, *layout, *names; } cases[] = {
		{ "aß", "us", "U+00DF" }, { "ж", "de", "U+0436" }, { "a", "dvorak", "dvorak" }, { "\x1b", "us", "U+001B" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;

		assert_null(keyboard_text(cases[i].text, cases[i].layout, &error));
		assert_true(error_is(error, ERR_INVALID_PARAMETER));
		assert_non_null(strstr(error->message, cases[i].names));
	}
}

/* Every character of a layout is typed by a key or two that no other character has. */
static void texts_are_distinct(void **state)
{
	const char *const layouts[] = { "us", "de" };

	for (size_t l = 0; l < G_N_ELEMENTS(layouts); l++) {
		g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

		for (char c = 32; c < 127; c++) {
			g_autoptr(GArray) chords = keyboard_text((char[]){ c, '\0' }, layouts[l], NULL);

			assert_non_null(chords);
			assert_true(g_hash_table_add(seen, show(chords)));
		}
	}
}

static void reads_chords(void **state)
{
	struct chord chord;

	assert_true(keyboard_chord("Ctrl-ALT-del", &chord, NULL));
	assert_int_equal(chord.n, 3);
	assert_int_equal(chord.keys[0], KEY_LEFTCTRL);
	assert_int_equal(chord.keys[1], KEY_LEFTALT);
	assert_int_equal(chord.keys[2], KEY_DELETE);
	assert_true(keyboard_chord("KEY_F12", &chord, NULL));
	assert_int_equal(chord.keys[0], KEY_F12);
	assert_true(keyboard_chord("win+7", &chord, NULL));
	assert_int_equal(chord.keys[1], KEY_7);
	assert_false(keyboard_chord("", &chord, NULL));
	assert_false(keyboard_chord("ctrl-", &chord, NULL));
	assert_false(keyboard_chord("ctrl-ä", &chord, NULL));
	assert_true(keyboard_chord("a-b-c-d-e-f-g-h", &chord, NULL));
	assert_false(keyboard_chord("a-b-c-d-e-f-g-h-i", &chord, NULL));
}

static void check_codes(const char *json, const char *expected)
{
	json_t *bytes = json_loads(json, JSON_DECODE_ANY, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) codes = keyboard_scancodes(bytes, &error);
	g_autoptr(GString) shown = g_string_new(codes ? NULL : "refused");

	for (guint i = 0; codes && i < codes->len; i++) {
		const struct scancode *code = &g_array_index(codes, struct scancode, i);

		g_string_append_printf(shown, "%s%c%d", i ? " " : "", code->down ? '+' : '-', code->number);
	}
	json_decref(bytes);
	assert_string_equal(shown->str, expected);
}

static void reads_scancodes(void **state)
{
	check_codes("[42, 30, 158, 170]", "+42 +30 -30 -42");
	check_codes("[224, 83, 224, 211]", "+211 -211");
	check_codes("[29, 224, 75]", "+29 +203");
	check_codes("[]", "refused");
	check_codes("[224]", "refused");
	check_codes("[256]", "refused");
	check_codes("[-1]", "refused");
	check_codes("[\"42\"]", "refused");
	check_codes("{\"a\": 1}", "refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_texts), cmocka_unit_test(refuses_texts), cmocka_unit_test(texts_are_distinct), cmocka_unit_test(reads_chords),
		cmocka_unit_test(reads_scancodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
