/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: any thread makes one, the loop sends it, in the order they were made. An event is only a hint: it is not stored, not repeated and
 * not answered; who loses one finds the truth at the next poll. Therefore nothing here waits or fails.
 *
 * The clock of notify_time is monotonic and starts high, at 2^31-1, so that receivers that once kept 32 bits see that it is longer.
 */
#include "agent/events.h"

#include <stdatomic.h>
#include "common/record.h"

struct events {
	struct loop *loop;
	void (*send)(const char *method, const char *params_json, void *data);
	void *data;
	atomic_bool open;
};

struct event_post {
	struct events *events;
	char *method, *params;
};

int64_t events_time(void)
{
	return INT32_MAX + now_usec() / 1000;
}

struct events *events_new(struct loop *loop, void (*send)(const char *method, const char *params_json, void *data), void *data)
{
	struct events *events = g_new0(struct events, 1);

	events->loop = loop;
	events->send = send;
	events->data = data;
	return events;
}

struct events *events_free(struct events *events)
{
	g_free(events);
	return NULL;
}

void events_open(struct events *events)
{
	atomic_store(&events->open, true);
}

static void post_free(void *data)
{
	struct event_post *post = data;

	g_free(post->method);
	g_free(post->params);
	g_free(post);
}

static void post_send(void *data)
{
	struct event_post *post = data;

	post->events->send(post->method, post->params, post->events->data);
	post_free(post);
}

void events_publish(struct events *events, const char *method, json_t *params)
{
	struct event_post *post;
	GString *text;

	if (!events || !atomic_load(&events->open)) {
		json_decref(params);
		return;
	}
	if (!params)
		params = json_object();
	json_object_set_new(params, "notify_time", json_integer(events_time()));
	text = g_string_new(NULL);
	json_write(text, params);
	json_decref(params);
	post = g_new0(struct event_post, 1);
	post->events = events;
	post->method = g_strdup(method);
	post->params = g_string_free(text, FALSE);
	loop_post(events->loop, post_send, post, post_free);
}
