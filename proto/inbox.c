/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiving half of a channel.
 *
 * Small bodies are parsed where they arrive. JSON of 10 MiB takes tenths of a second, in which the loop would serve nobody, so a body
 * above INBOX_BIG goes to the helper thread, with the frame it came in:
 *
 *   OPEN    frames are parsed and delivered                             -> BUSY at a big body
 *   BUSY    the helper has a frame; the stream is paused and what was already read behind that frame waits in `rest` (at most one
 *           input turn)                                                 -> OPEN when the helper is done: deliver, go on with `rest`
 *
 * So frames stay in order, one connection occupies the helper with one body at a time, and a peer that sends big frames is slowed down by
 * its own socket. There is one helper for the process; it is started by the first big body, sleeps without a time limit, and also takes
 * the big values apart again.
 *
 * Ownership: the job owns frame and value. The helper looks at the job's inbox only under delivery_lock, which inbox_free() takes too, and posts
 * to the loop inside of it: a job never posts to a loop whose inbox is gone. From the post on the job is the loop's. (The lock is not in the
 * job, because the loop may free that before the helper has left the lock. Order: delivery_lock, then the loop's own.)
 */
#include "proto/inbox.h"
#include <openssl/err.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/lock.h"
#include "common/refs.h"
#include "proto/channel.h"
#include "proto/jsonrpc.h"

#define HELPER_NICE 5

struct job {
	struct job *next;
	struct stomp_frame *frame;      /* NULL: only json is to be freed */
	json_t *json;
	struct inbox *inbox;            /* under delivery_lock; NULL: nobody waits */
};

struct inbox {
	int refs;                       /* owner, running feed */
	bool dead;                      /* the owner has freed it */
	bool broken;
	struct stream *stream;
	struct loop *loop;
	struct stomp_parser *parser;
	const char *json_command;
	const struct inbox_events *events;
	void *data;
	struct job *job;                /* BUSY */
	GByteArray *rest;
	int64_t resumed_usec;
};

/* ---- the helper thread ---- */

static pthread_mutex_t helper_lock = PTHREAD_MUTEX_INITIALIZER;        /* of the list */
static pthread_cond_t helper_wake = PTHREAD_COND_INITIALIZER;
static struct job *helper_first, **helper_last = &helper_first;
static bool helper_runs;
static pthread_mutex_t delivery_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_job_done(void *data);

static void job_free(void *data)
{
	struct job *job = data;

	stomp_frame_free(job->frame);
	json_decref(job->json);
	g_free(job);
}

static struct job *helper_take(void)
{
	AUTO_LOCK(&helper_lock);
	struct job *job;

	while (!helper_first)
		pthread_cond_wait(&helper_wake, &helper_lock);
	job = helper_first;
	helper_first = job->next;
	if (!helper_first)
		helper_last = &helper_first;
	return job;
}

/* True when the loop has the job now. */
static bool job_deliver(struct job *job)
{
	AUTO_LOCK(&delivery_lock);

	if (!job->inbox)
		return false;
	loop_post(job->inbox->loop, on_job_done, job, job_free);
	return true;
}

static void *helper_main(void *data)
{
	(void)pthread_setname_np(pthread_self(), "json");
	/* of this thread alone, on Linux: where processors are scarce the loop goes first */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), HELPER_NICE);
	for (;;) {
		struct job *job = helper_take();

		if (job->frame)
			job->json = jsonrpc_load((const char *)job->frame->body, job->frame->body_size);
		if (!job->frame || !job_deliver(job))
			job_free(job);
	}
	return NULL;
}

static bool helper_start(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	started = pthread_create(&thread, &attributes, helper_main, NULL) == 0;
	pthread_attr_destroy(&attributes);
	return started;
}

/* False: there is no helper, do it yourself. */
static bool helper_give(struct job *job)
{
	AUTO_LOCK(&helper_lock);

	if (!helper_runs)
		helper_runs = helper_start();
	if (!helper_runs)
		return false;
	job->next = NULL;
	*helper_last = job;
	helper_last = &job->next;
	pthread_cond_signal(&helper_wake);
	return true;
}

static struct job *job_new(struct stomp_frame *frame, json_t *json, struct inbox *inbox)
{
	struct job *job = g_new0(struct job, 1);

	job->frame = frame;
	job->json = json;
	job->inbox = inbox;
	return job;
}

void inbox_discard(json_t *json, size_t text_size)
{
	struct job *job;

	if (!json)
		return;
	if (text_size <= INBOX_BIG) {
		json_decref(json);
		return;
	}
	job = job_new(/* frame= */ NULL, json, /* inbox= */ NULL);
	if (!helper_give(job))
		job_free(job);
}

/* ---- the inbox ---- */

struct inbox *inbox_new(struct stream *stream, const char *json_command, const struct inbox_events *events, void *data)
{
	struct inbox *inbox = g_new0(struct inbox, 1);

	inbox->refs = 1;
	inbox->stream = stream;
	inbox->loop = stream_loop(stream);
	inbox->parser = stomp_parser_new(CHANNEL_HEADER_MAX, CHANNEL_BODY_MAX);
	inbox->json_command = json_command;
	inbox->events = events;
	inbox->data = data;
	return inbox;
}

static void unref(struct inbox *inbox)
{
	if (--inbox->refs)
		return;
	stomp_parser_free(inbox->parser);
	if (inbox->rest)
		g_byte_array_unref(inbox->rest);
	counted_free(inbox);
}

struct inbox *inbox_free(struct inbox *inbox)
{
	if (!inbox)
		return NULL;
	inbox->dead = true;
	inbox_detach(inbox);
	if (inbox->job) {
		AUTO_LOCK(&delivery_lock);
		inbox->job->inbox = NULL;
	}
	inbox->job = NULL;
	unref(inbox);
	return NULL;
}

void inbox_detach(struct inbox *inbox)
{
	if (inbox)
		inbox->stream = NULL;
}

int64_t inbox_last_activity(const struct inbox *inbox)
{
	if (inbox->job)
		return now_usec();
	return MAX(inbox->resumed_usec, inbox->stream ? stream_last_input(inbox->stream) : 0);
}

static const struct stream_events deaf;

void inbox_cut_off(struct stream *stream)
{
	stream_set_events(stream, &deaf, NULL);
	stream_reset(stream);
}

void inbox_hang_up(struct stream *stream)
{
	stream_set_events(stream, &deaf, NULL);
	if (stream_queued(stream)) {
		stream_close(stream);
		return;
	}
	/* close_notify, as far as it goes: a mere end looks like an attack to the peer */
	if (stream_ssl(stream) && SSL_is_init_finished(stream_ssl(stream)))
		(void)SSL_shutdown(stream_ssl(stream));
	ERR_clear_error();
	stream_abort(stream);
}

/* True when the frame went to the helper. */
static bool hand_over(struct inbox *inbox, const struct stomp_frame *frame)
{
	struct job *job = job_new(stomp_frame_steal(inbox->parser, frame), /* json= */ NULL, inbox);

	inbox->job = job;
	if (inbox->stream)
		stream_pause(inbox->stream, true);
	return helper_give(job);
}

static void deliver(struct inbox *inbox, const struct stomp_frame *frame)
{
	json_t *json = NULL;

	if (!strcmp(frame->command, inbox->json_command)) {
		if (inbox->events->text && inbox->events->text(frame, inbox->data))
			return;
		if (frame->body_size > INBOX_BIG) {
			if (hand_over(inbox, frame))
				return;
			/* No thread to be had: it takes the loop's time after all. */
			inbox->job->json = jsonrpc_load((const char *)inbox->job->frame->body, inbox->job->frame->body_size);
			loop_post(inbox->loop, on_job_done, inbox->job, job_free);
			return;
		}
		json = jsonrpc_load((const char *)frame->body, frame->body_size);
	}
	inbox->events->frame(frame, json, inbox->data);
}

void inbox_feed(struct inbox *inbox, const uint8_t *bytes, size_t n)
{
	struct stomp_frame frame;
	const char *reason;
	size_t used = 0;

	inbox->refs++;
	while (n && !inbox->dead && !inbox->job && !inbox->broken) {
		enum stomp_result result = stomp_parse(inbox->parser, bytes, n, &used, &frame, &reason);

		bytes += used;
		n -= used;
		if (result == STOMP_FRAME) {
			deliver(inbox, &frame);
		} else if (result != STOMP_MORE) {
			inbox->broken = true;
			inbox->events->broken(result, reason, inbox->data);
		}
	}
	if (n && inbox->job && !inbox->dead) {
		if (!inbox->rest)
			inbox->rest = g_byte_array_new();
		g_byte_array_append(inbox->rest, bytes, (guint)n);
	}
	stomp_parser_trim(inbox->parser);
	unref(inbox);
}

static void on_job_done(void *data)
{
	struct job *job = data;
	struct inbox *inbox = job->inbox;       /* changes on this thread only */
	GByteArray *rest;

	if (!inbox) {
		job_free(job);
		return;
	}
	inbox->refs++;
	inbox->job = NULL;
	inbox->resumed_usec = now_usec();
	inbox->events->frame(job->frame, g_steal_pointer(&job->json), inbox->data);
	job_free(job);
	rest = g_steal_pointer(&inbox->rest);
	if (rest && !inbox->dead)
		inbox_feed(inbox, rest->data, rest->len);
	if (rest)
		g_byte_array_unref(rest);
	if (inbox->stream && !inbox->job)
		stream_pause(inbox->stream, false);
	unref(inbox);
}
