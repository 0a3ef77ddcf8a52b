/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_CONSOLE_KEYBOARD_H
#define BERTH_AGENT_VIRT_CONSOLE_KEYBOARD_H
/* Which keys make a text, on a keyboard of some layout. Pure. Keys are Linux's (linux/input-event-codes.h), which libvirt understands. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/* Keys pressed together and released together. */
#define CHORD_KEYS_MAX 8
struct chord { unsigned n, keys[CHORD_KEYS_MAX]; };

/* The chords that type the text (UTF-8), one after the other; layout: "us", "de". ERR_INVALID_PARAMETER names what it cannot type. g_array_unref */
GArray *keyboard_text(const char *text, const char *layout, GError **error);
/* "ctrl-alt-delete": names joined by '-' or '+'. ERR_INVALID_PARAMETER. */
bool keyboard_chord(const char *text, struct chord *ret_chord, GError **error);

/* One key of XT set 1, pressed or released; number: as QEMU counts them, 0x80 added to those with the prefix 0xe0. */
struct scancode { int number; bool down; };
/* Bytes as a keyboard sends them (numbers of a JSON array). ERR_INVALID_PARAMETER. g_array_unref */
GArray *keyboard_scancodes(const json_t *bytes, GError **error);

#endif
