/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --wait: what ends later is waited for.
 *
 * The engine answers 202 to an action or creation that goes on, and says at an address how it is: that is asked until it is complete or failed. Then the
 * object itself may still be on its way (a guest boots, a host is being reached): its status is asked until it is the one the operation leads to, or one
 * from which it does not get there by itself.
 *
 * There is nothing to be told by, so it is asked again and again: after a tenth of the time waited so far, at least POLL_MIN_USEC and at most
 * POLL_MAX_USEC. What takes long is asked for rarely, and its end is seen at most a tenth late. An engine that cannot be reached for a while (it
 * is started anew) is waited for like the rest.
 */
#include "client/resource.h"
#include "client/view.h"
#include "common/error.h"
#include <string.h>

#define POLL_MIN_USEC (G_USEC_PER_SEC / 5)
#define POLL_MAX_USEC (5 * G_USEC_PER_SEC)
#define LAST_ANSWER_SECONDS 5.0       /* for the question that is asked when the time is over */

struct wait {
	struct rest *rest;
	long seconds;
	gint64 since, deadline;               /* monotonic, us */
};

/* Where an operation leads: the status wanted, and those it passes on the way, separated by blanks. */
static const struct ending {
	const char *collection, *operation, *wanted, *passing;
} endings[] = {
	{ "vms", "create", "down", "image_locked" },
	{ "vms", "start", "up", "wait_for_launch powering_up restoring_state reboot_in_progress" },
	{ "vms", "reboot", "up", "reboot_in_progress powering_up wait_for_launch" },
	{ "vms", "shutdown", "down", "powering_down powered_down" },
	{ "vms", "stop", "down", "powering_down powered_down" },
	{ "vms", "suspend", "suspended", "saving_state" },
	{ "vms/{}/disks", "create", "ok", "locked" },
	{ "disks", "create", "ok", "locked" },
	{ "storagedomains/{}/disks", "create", "ok", "locked" },
	{ "templates", "create", "ok", "locked" },
	{ "hosts", "create", "up", "unassigned initializing installing installing_os connecting reboot" },
	{ "hosts", "approve", "up", "unassigned initializing installing installing_os connecting reboot" },
	{ "hosts", "activate", "up", "unassigned initializing installing installing_os connecting reboot" },
	{ "hosts", "deactivate", "maintenance", "preparing_for_maintenance" },
	{ "datacenters/{}/storagedomains", "activate", "active", "locked activating" },
	{ "datacenters/{}/storagedomains", "deactivate", "maintenance", "locked preparing_for_maintenance" },
};

static const struct ending *ending_of(const struct place *place, const char *operation)
{
	for (size_t i = 0; i < G_N_ELEMENTS(endings); i++)
		if (strcmp(place->template, endings[i].collection) == 0 && strcmp(operation, endings[i].operation) == 0)
			return &endings[i];
	return NULL;
}

const char *wait_goal(const struct place *place, const char *operation)
{
	const struct ending *ending = ending_of(place, operation);

	return ending ? ending->wanted : NULL;
}

struct wait *wait_new(struct rest *rest, long seconds)
{
	struct wait *wait = g_new0(struct wait, 1);

	wait->rest = rest;
	wait->seconds = seconds;
	wait->since = g_get_monotonic_time();
	wait->deadline = wait->since + seconds * G_USEC_PER_SEC;
	return wait;
}

struct wait *wait_free(struct wait *wait)
{
	g_free(wait);
	return NULL;
}

/* false: the time is over */
static bool pause_a_while(const struct wait *wait)
{
	gint64 now = g_get_monotonic_time(), length = CLAMP((now - wait->since) / 10, POLL_MIN_USEC, POLL_MAX_USEC);

	if (now >= wait->deadline)
		return false;
	g_usleep((gulong)MIN(length, wait->deadline - now));
	return true;
}

static int time_over(const struct wait *wait, const char *label, const char *how)
{
	complain("%s: %s after %ld s; it may go on: look again, or wait longer with --timeout", label, how, wait->seconds);
	return EXIT_TIMEOUT;
}

/* One answer, also when it takes a while to reach the engine. false: error is set */
static bool ask(const struct wait *wait, const char *path, struct rest_answer *ret, GError **error)
{
	g_autoptr(GError) cause = NULL;

	for (;;) {
		rest_limit(wait->rest, MAX(LAST_ANSWER_SECONDS, (double)(wait->deadline - g_get_monotonic_time()) / G_USEC_PER_SEC));
		if (rest_request(wait->rest, "GET", path, NULL, ret, &cause))
			return true;
		if (!error_is(cause, ERR_NO_CONNECTION) || !pause_a_while(wait)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return false;
		}
		g_clear_error(&cause);
	}
}

static int failed(const char *label, const GError *error)
{
	complain("%s: %s", label, error->message);
	return exit_status(error);
}

int wait_task(struct wait *wait, const char *href, const char *label)
{
	const char *path = rest_below_base(wait->rest, href);

	/* An engine that gives no address, or no longer knows it, leaves it to the object's status. */
	while (path) {
		g_autofree char *state = NULL, *detail = NULL;
		g_autoptr(GError) error = NULL;
		struct rest_answer answer = { 0 };

		if (!ask(wait, path, &answer, &error))
			return failed(label, error);
		state = json_text_at(answer.json, "status.state|status");
		detail = json_text_at(answer.json, "fault.detail|fault.reason");
		rest_answer_clear(&answer);
		if (g_strcmp0(state, "failed") == 0) {
			g_autofree char *why = detail ? rest_bare_detail(detail) : g_strdup("it failed, and the engine does not say why");

			complain("%s: %s", label, why);
			return EXIT_FAILED;
		}
		if (g_strcmp0(state, "pending") != 0 && g_strcmp0(state, "in_progress") != 0)
			return 0;
		if (!pause_a_while(wait))
			return time_over(wait, label, "not done");
	}
	return 0;
}

static bool has_word(const char *words, const char *word)
{
	g_auto(GStrv) all = g_strsplit(words, " ", -1);

	return g_strv_contains((const char *const *)all, word);
}

int wait_object(struct wait *wait, const struct place *place, const char *id, const char *operation, const json_t *body, const char *label)
{
	const struct ending *ending = ending_of(place, operation);
	bool gone = strcmp(operation, "delete") == 0;
	g_autofree char *path = g_strconcat(place->path, "/", id, NULL), *pause = json_text_at(body, "pause");
	const char *wanted = ending ? ending->wanted : NULL;

	if (wanted && g_strcmp0(pause, "true") == 0)
		wanted = "paused";
	while (wanted || gone) {
		g_autofree char *state = NULL, *detail = NULL, *how = NULL;
		g_autoptr(GError) error = NULL;
		struct rest_answer answer = { 0 };

		if (!ask(wait, path, &answer, &error))
			return gone && error_is(error, ERR_NOT_FOUND) ? 0 : failed(label, error);
		state = json_text_at(answer.json, "status.state|status");
		detail = json_text_at(answer.json, "status.detail|status_detail");
		rest_answer_clear(&answer);
		how = g_strdup_printf("it is %s%s%s", state ? state : "there", detail && *detail ? ": " : "", detail ? detail : "");
		if (!gone && g_strcmp0(state, wanted) == 0)
			return 0;
		if (!gone && (!state || !has_word(ending->passing, state))) {
			complain("%s: %s, not %s", label, how, wanted);
			return EXIT_FAILED;
		}
		if (!pause_a_while(wait))
			return time_over(wait, label, how);
	}
	return 0;
}
