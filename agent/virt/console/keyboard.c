/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layout is rows of keys whose codes follow each other, with the characters that each key gives alone, with Shift and with AltGr; a blank: none. Accents that
 * wait for a letter (dead keys) are followed by a blank when they are meant alone.
 */
#include "agent/virt/console/keyboard.h"

#include <linux/input-event-codes.h>
#include <string.h>
#include "common/error.h"

struct row { unsigned first; const char *plain, *shift, *alt; };
struct composed { gunichar character, accent; char base; };

static const struct row us_rows[] = {
	{ KEY_1, "1234567890-=", "!@#$%^&*()_+", "" }, { KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}", "" }, { KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~", "" },
	{ KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?", "" }, { 0 }
};
static const struct row de_rows[] = {
	{ KEY_1, "1234567890ß´", "!\"§$%&/()=?`", " ²³   {[]}\\" }, { KEY_Q, "qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~" },
	{ KEY_A, "asdfghjklöä^", "ASDFGHJKLÖÄ°", "" }, { KEY_BACKSLASH, "#yxcvbnm,.-", "'YXCVBNM;:_", "       µ" }, { KEY_102ND, "<", ">", "|" }, { 0 }
};
static const struct composed de_composed[] = {
	{ U'é', U'´', 'e' }, { U'á', U'´', 'a' }, { U'í', U'´', 'i' }, { U'ó', U'´', 'o' }, { U'ú', U'´', 'u' }, { U'É', U'´', 'E' }, { U'Á', U'´', 'A' },
	{ U'è', U'`', 'e' }, { U'à', U'`', 'a' }, { U'ì', U'`', 'i' }, { U'ò', U'`', 'o' }, { U'ù', U'`', 'u' }, { U'È', U'`', 'E' }, { U'À', U'`', 'A' },
	{ U'ê', U'^', 'e' }, { U'â', U'^', 'a' }, { U'î', U'^', 'i' }, { U'ô', U'^', 'o' }, { U'û', U'^', 'u' }, { U'Ê', U'^', 'E' }, { U'Â', U'^', 'A' },
	{ 0 }
};
static const struct layout { const char *name; const struct row *rows; const char *dead; const struct composed *composed; } layouts[] = {
	{ "us", us_rows, "", NULL }, { "de", de_rows, "´`^", de_composed },
};

/* ---- text ---- */

/* Its place in a row; -1: it is not there. */
static int place_in(const char *characters, gunichar wanted)
{
	int place = 0;

	for (const char *p = characters; *p; p = g_utf8_next_char(p), place++)
		if (wanted != ' ' && g_utf8_get_char(p) == wanted)
			return place;
	return -1;
}

static bool find_plain(const struct layout *layout, gunichar c, struct chord *ret_chord)
{
	static const struct { gunichar character; unsigned key; } others[] = { { ' ', KEY_SPACE }, { '\n', KEY_ENTER }, { '\t', KEY_TAB }, { '\b', KEY_BACKSPACE } };

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (others[i].character == c) {
			*ret_chord = (struct chord){ 1, { others[i].key } };
			return true;
		}
	for (const struct row *row = layout->rows; row->first; row++) {
		int plain = place_in(row->plain, c), shift = place_in(row->shift, c), alt = place_in(row->alt, c);

		if (plain >= 0)
			*ret_chord = (struct chord){ 1, { row->first + (unsigned)plain } };
		else if (shift >= 0)
			*ret_chord = (struct chord){ 2, { KEY_LEFTSHIFT, row->first + (unsigned)shift } };
		else if (alt >= 0)
			*ret_chord = (struct chord){ 2, { KEY_RIGHTALT, row->first + (unsigned)alt } };
		else
			continue;
		return true;
	}
	return false;
}

static bool add_character(const struct layout *layout, gunichar c, GArray *chords)
{
	struct chord chord;
	gunichar second = place_in(layout->dead, c) >= 0 ? ' ' : 0;

	for (const struct composed *composed = layout->composed; composed && composed->character; composed++)
		if (composed->character == c) {
			c = composed->accent;
			second = (gunichar)composed->base;
			break;
		}
	if (!find_plain(layout, c, &chord))
		return false;
	g_array_append_val(chords, chord);
	if (!second)
		return true;
	if (!find_plain(layout, second, &chord))
		return false;
	g_array_append_val(chords, chord);
	return true;
}

GArray *keyboard_text(const char *text, const char *name, GError **error)
{
	g_autoptr(GArray) chords = g_array_new(FALSE, FALSE, sizeof(struct chord));
	const struct layout *layout = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
		if (!g_ascii_strcasecmp(layouts[i].name, name))
			layout = &layouts[i];
	if (!layout) {
		error_set(error, ERR_INVALID_PARAMETER, "layout '%s' is not one of us, de", name);
		return NULL;
	}
	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		if (add_character(layout, g_utf8_get_char(p), chords))
			continue;
		error_set(error, ERR_INVALID_PARAMETER, "text: U+%04X cannot be typed with layout '%s'", g_utf8_get_char(p), layout->name);
		return NULL;
	}
	return g_steal_pointer(&chords);
}

/* ---- names ---- */

#define KEY(name) { #name, KEY_##name }
static const struct { const char *name; unsigned key; } names[] = {
	{ "ctrl", KEY_LEFTCTRL }, { "control", KEY_LEFTCTRL }, { "alt", KEY_LEFTALT }, { "shift", KEY_LEFTSHIFT }, { "altgr", KEY_RIGHTALT },
	{ "meta", KEY_LEFTMETA }, { "win", KEY_LEFTMETA }, { "super", KEY_LEFTMETA }, { "del", KEY_DELETE }, { "ins", KEY_INSERT }, { "escape", KEY_ESC },
	{ "return", KEY_ENTER }, { "pgup", KEY_PAGEUP }, { "pgdn", KEY_PAGEDOWN }, { "print", KEY_SYSRQ }, { "less", KEY_102ND },
	KEY(ESC), KEY(MINUS), KEY(EQUAL), KEY(BACKSPACE), KEY(TAB), KEY(LEFTBRACE), KEY(RIGHTBRACE), KEY(ENTER), KEY(LEFTCTRL), KEY(SEMICOLON), KEY(APOSTROPHE),
	KEY(GRAVE), KEY(LEFTSHIFT), KEY(BACKSLASH), KEY(COMMA), KEY(DOT), KEY(SLASH), KEY(RIGHTSHIFT), KEY(KPASTERISK), KEY(LEFTALT), KEY(SPACE), KEY(CAPSLOCK),
	KEY(NUMLOCK), KEY(SCROLLLOCK), KEY(SYSRQ), KEY(RIGHTCTRL), KEY(RIGHTALT), KEY(HOME), KEY(UP), KEY(PAGEUP), KEY(LEFT), KEY(RIGHT), KEY(END), KEY(DOWN),
	KEY(PAGEDOWN), KEY(INSERT), KEY(DELETE), KEY(PAUSE), KEY(LEFTMETA), KEY(RIGHTMETA), KEY(COMPOSE), KEY(102ND), KEY(POWER), KEY(SLEEP), KEY(WAKEUP),
	KEY(F1), KEY(F2), KEY(F3), KEY(F4), KEY(F5), KEY(F6), KEY(F7), KEY(F8), KEY(F9), KEY(F10), KEY(F11), KEY(F12),
	KEY(KP0), KEY(KP1), KEY(KP2), KEY(KP3), KEY(KP4), KEY(KP5), KEY(KP6), KEY(KP7), KEY(KP8), KEY(KP9), KEY(KPMINUS), KEY(KPPLUS), KEY(KPDOT), KEY(KPENTER),
	KEY(KPSLASH), KEY(MUTE), KEY(VOLUMEDOWN), KEY(VOLUMEUP),
};

/* A name with or without "key_", or a letter or digit; 0: none. */
static unsigned key_named(const char *word)
{
	struct chord chord;

	if (!g_ascii_strncasecmp(word, "key_", 4))
		word += 4;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if (!g_ascii_strcasecmp(names[i].name, word))
			return names[i].key;
	if (g_ascii_isalnum(word[0]) && !word[1] && find_plain(&layouts[0], (gunichar)g_ascii_tolower(word[0]), &chord))
		return chord.keys[0];
	return 0;
}

bool keyboard_chord(const char *text, struct chord *ret_chord, GError **error)
{
	g_auto(GStrv) words = g_strsplit_set(text, "-+", -1);
	struct chord chord = { 0 };

	for (char **word = words; *word; word++) {
		unsigned key = key_named(*word);

		if (!key || chord.n == CHORD_KEYS_MAX) {
			error_set(error, ERR_INVALID_PARAMETER, "keys: '%s': '%s' is not the name of a key, or one too many", text, *word);
			return false;
		}
		chord.keys[chord.n++] = key;
	}
	if (!chord.n) {
		error_set(error, ERR_INVALID_PARAMETER, "keys: an empty text is no key");
		return false;
	}
	*ret_chord = chord;
	return true;
}

/* ---- scancodes ---- */

GArray *keyboard_scancodes(const json_t *bytes, GError **error)
{
	g_autoptr(GArray) codes = g_array_new(FALSE, FALSE, sizeof(struct scancode));
	bool prefix = false;
	size_t i;
	json_t *value;

	json_array_foreach((json_t *)bytes, i, value) {
		json_int_t byte = json_integer_value(value);
		struct scancode code = { (int)(byte & 0x7f) | (prefix ? 0x80 : 0), !(byte & 0x80) };

		if (!json_is_integer(value) || byte < 0 || byte > 255) {
			error_set(error, ERR_INVALID_PARAMETER, "scancodes: member %zu is no byte", i);
			return NULL;
		}
		if (!prefix && byte == 0xe0) {
			prefix = true;
			continue;
		}
		prefix = false;
		g_array_append_val(codes, code);
	}
	if (!codes->len || prefix) {
		error_set(error, ERR_INVALID_PARAMETER, prefix ? "scancodes: the last is the prefix of another" : "scancodes: not a list of bytes");
		return NULL;
	}
	return g_steal_pointer(&codes);
}
