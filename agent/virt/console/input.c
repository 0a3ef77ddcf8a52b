/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VM.sendInput: keyboard and mouse of a VM.
 *
 * Text and chords go through virDomainSendKey. QEMU queues them: each key is held for `hold` before the next event. Its queue drops what is too much, and so do
 * the guest's keyboards (a PS/2 keyboard holds 16 bytes), so the verb goes on at the speed at which QEMU types, and answers when the last key is up.
 * Scancodes and the mouse are events that QEMU hands on at once (QMP input-send-event), a few at a time for the same reason.
 *
 * This is on the lane console/<vm>: typing takes its time, and nothing else of the VM waits for it.
 */
#include "agent/virt/console/input.h"

#include <string.h>
#include "agent/virt/console/keyboard.h"
#include "agent/virt/qmp.h"
#include "common/error.h"
#include "proto/device.h"

#define EVENTS_AT_ONCE 4
#define EVENTS_PAUSE_USEC (20 * 1000)
#define TYPING_MAX_USEC (150 * (int64_t)G_USEC_PER_SEC)         /* below the verb's deadline */

/* Every press and every release takes `hold`. */
static int64_t time_of(const struct chord *chord, int hold_ms)
{
	return 2 * (int64_t)chord->n * hold_ms * 1000;
}

static bool check_time(const GArray *chords, int hold_ms, GError **error)
{
	int64_t usec = 0;

	for (guint i = 0; i < chords->len; i++)
		usec += time_of(&g_array_index(chords, struct chord, i), hold_ms);
	if (usec <= TYPING_MAX_USEC)
		return true;
	error_set(error, ERR_INVALID_PARAMETER, "hold: %d ms for each of %u keys take more than %d s", hold_ms, chords->len, (int)(TYPING_MAX_USEC / G_USEC_PER_SEC));
	return false;
}

static bool type_chords(virDomainPtr domain, const GArray *chords, int hold_ms, GError **error)
{
	int64_t free_usec = now_usec();

	for (guint i = 0; i < chords->len; i++) {
		struct chord chord = g_array_index(chords, struct chord, i);

		if (virDomainSendKey(domain, VIR_KEYCODE_SET_LINUX, (unsigned)hold_ms, chord.keys, (int)chord.n, 0) < 0) {
			libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "key %u of %u", i + 1, chords->len);
			return false;
		}
		free_usec += time_of(&chord, hold_ms);
		g_usleep((gulong)MAX(free_usec - now_usec(), 0));
	}
	return true;
}

/* ---- events ---- */

static bool send_events(virDomainPtr domain, json_t *events, GError **error)
{
	json_t *arguments = json_pack("{s:o}", "events", events);
	bool good = qmp_command(domain, "input-send-event", arguments, ERR_UNEXPECTED_ERROR, NULL, error);

	json_decref(arguments);
	return good;
}

static bool send_scancodes(virDomainPtr domain, const GArray *codes, GError **error)
{
	for (guint i = 0; i < codes->len; i += EVENTS_AT_ONCE) {
		json_t *events = json_array();

		for (guint j = i; j < MIN(i + EVENTS_AT_ONCE, codes->len); j++) {
			const struct scancode *code = &g_array_index(codes, struct scancode, j);

			json_array_append_new(events, json_pack("{s:s, s:{s:b, s:{s:s, s:i}}}", "type", "key", "data", "down", code->down, "key", "type", "number",
								"data", code->number));
		}
		if (!send_events(domain, events, error))
			return false;
		g_usleep(EVENTS_PAUSE_USEC);
	}
	return true;
}

static json_t *button(const char *name, bool down)
{
	return json_pack("{s:s, s:{s:b, s:s}}", "type", "btn", "data", "down", down, "button", name);
}

static bool check_buttons(const GPtrArray *buttons, GError **error)
{
	static const char *const known[] = { "left", "middle", "right", "side", "extra", NULL };

	for (guint i = 0; buttons && i < buttons->len; i++)
		if (!g_strv_contains(known, buttons->pdata[i])) {
			error_set(error, ERR_INVALID_PARAMETER, "mouse: button '%s' is not one of left, middle, right, side, extra", (char *)buttons->pdata[i]);
			return false;
		}
	return true;
}

static bool send_buttons(virDomainPtr domain, const GPtrArray *buttons, bool press, bool release, GError **error)
{
	for (guint i = 0; buttons && i < buttons->len; i++)
		if ((press && !send_events(domain, json_pack("[o]", button(buttons->pdata[i], true)), error)) ||
		    (release && !send_events(domain, json_pack("[o]", button(buttons->pdata[i], false)), error)))
			return false;
	return true;
}

static bool send_move(virDomainPtr domain, const struct mouse_input *m, GError **error)
{
	json_t *events = json_array();

	if (HAS(m, x))
		json_array_append_new(events, json_pack("{s:s, s:{s:s, s:i}}", "type", "abs", "data", "axis", "x", "value", m->x));
	if (HAS(m, y))
		json_array_append_new(events, json_pack("{s:s, s:{s:s, s:i}}", "type", "abs", "data", "axis", "y", "value", m->y));
	if (json_array_size(events))
		return send_events(domain, events, error);
	json_decref(events);
	return true;
}

static bool send_wheel(virDomainPtr domain, int notches, GError **error)
{
	const char *way = notches > 0 ? "wheel-up" : "wheel-down";

	for (int i = 0; i < ABS(notches); i++)
		if (!send_events(domain, json_pack("[o, o]", button(way, true), button(way, false)), error))
			return false;
	return true;
}

static bool send_mouse(virDomainPtr domain, const struct mouse_input *m, GError **error)
{
	return send_move(domain, m, error) && send_buttons(domain, m->press, true, false, error) && send_buttons(domain, m->click, true, true, error) &&
	       send_buttons(domain, m->release, false, true, error) && (!HAS(m, wheel) || send_wheel(domain, m->wheel, error));
}

/* ---- the verb ---- */

static GArray *parse_chords(const GPtrArray *keys, GError **error)
{
	g_autoptr(GArray) chords = g_array_new(FALSE, FALSE, sizeof(struct chord));

	for (guint i = 0; i < keys->len; i++) {
		struct chord chord;

		if (!keyboard_chord(keys->pdata[i], &chord, error))
			return NULL;
		g_array_append_val(chords, chord);
	}
	return g_steal_pointer(&chords);
}

bool input_send_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct input_params *p = params;
	unsigned given = (p->text != NULL) + (p->keys != NULL) + (p->scancodes != NULL) + (p->mouse != NULL);
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autoptr(GArray) chords = NULL, codes = NULL;
	g_autoptr(virDomain) domain = NULL;

	if (!vm)
		return false;
	if (given != 1) {
		error_set(error, ERR_INVALID_PARAMETER, "%u of text, keys, scancodes, mouse are given, not one", given);
		return false;
	}
	if (p->text && !(chords = keyboard_text(p->text, p->layout, error)))
		return false;
	if (p->keys && !(chords = parse_chords(p->keys, error)))
		return false;
	if (chords && !check_time(chords, p->hold, error))
		return false;
	if (p->scancodes && !(codes = keyboard_scancodes(p->scancodes, error)))
		return false;
	if (p->mouse && !(check_buttons(p->mouse->press, error) && check_buttons(p->mouse->click, error) && check_buttons(p->mouse->release, error)))
		return false;
	if (!(domain = vm_domain(vm, error)))
		return false;
	return chords ? type_chords(domain, chords, p->hold, error) : codes ? send_scancodes(domain, codes, error) : send_mouse(domain, p->mouse, error);
}
