/* SPDX-License-Identifier: Apache-2.0 */
/* A job behind the one that reads the capabilities, on the same lane, tells when that is over: see refresh.h. */
#include "engine/fleet/refresh.h"

#include "common/error.h"
#include "common/lock.h"
#include "common/refs.h"
#include "engine/fleet/fleet-priv.h"

/* Shared by who waits and the job; the last one frees it. */
struct marker { int refs; pthread_mutex_t lock; pthread_cond_t cond; bool over; };

static void marker_unref(void *data)
{
	struct marker *marker = data;

	if (!g_atomic_int_dec_and_test(&marker->refs))
		return;
	pthread_mutex_destroy(&marker->lock);
	pthread_cond_destroy(&marker->cond);
	counted_free(marker);
}

static void run(void *data)
{
	struct marker *marker = data;
	AUTO_LOCK(&marker->lock);

	marker->over = true;
	pthread_cond_signal(&marker->cond);
}

static bool wait(struct marker *marker, int timeout_s)
{
	struct timespec end;
	bool over;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += timeout_s;
	lane_wait_begin();
	pthread_mutex_lock(&marker->lock);
	while (!marker->over)
		if (pthread_cond_timedwait(&marker->cond, &marker->lock, &end))
			break;
	over = marker->over;
	pthread_mutex_unlock(&marker->lock);
	lane_wait_end();
	return over;
}

void fleet_look_again(struct fleet *fleet, const char *host_id)
{
	/* Generation 0 is no session's: the answer goes into the model and changes no session. */
	sync_host(fleet, host_id, 0);
}

bool fleet_refresh(struct fleet *fleet, const char *host_id, int timeout_s, GError **error)
{
	struct host_caps *before = fleet_host_caps(fleet, host_id), *after = NULL;
	struct marker *marker = g_new0(struct marker, 1);
	g_autofree char *lane = g_strdup_printf("fleet/%s", host_id);
	struct lane_job job = { .name = "refreshed", .run = run, .data = marker, .free_data = marker_unref };
	bool over = false, ok;

	marker->refs = 2;
	pthread_mutex_init(&marker->lock, NULL);
	pthread_cond_init(&marker->cond, NULL);
	fleet_look_again(fleet, host_id);
	if (lane_submit(fleet->engine->lanes, lane, &job, error))
		over = wait(marker, timeout_s);
	else {
		marker_unref(marker);
		marker_unref(marker);
		record_unref(before);
		return false;
	}
	marker_unref(marker);
	after = over ? fleet_host_caps(fleet, host_id) : NULL;
	ok = after && after != before;
	if (!ok)
		error_set(error, over ? ERR_NO_CONNECTION : ERR_TIMEOUT, "the host did not answer with its capabilities%s", over ? "" : " in time");
	record_unref(before);
	record_unref(after);
	return ok;
}
