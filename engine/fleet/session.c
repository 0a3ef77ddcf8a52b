/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session with one host's agent: connect, initialise, poll, notice silence, connect again. All on the loop's thread; what may block (name look-up,
 * calls that wait, the store) is a job on the lane "fleet/<host id>".
 *
 * States: RESOLVING -> OPENING -> INITIALISING -> READY; any of them -> WAITING (for the next try). `generation` counts the connections: an answer that
 * comes from a job of an older connection is ignored.
 */
#include "engine/fleet/fleet-priv.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/resolve.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"

#define LOG_MODULE "fleet"
#define VM_STATS_EVERY 3           /* polls: VMs every third */
#define CALL_USEC (30 * G_USEC_PER_SEC)

enum phase { WAITING, RESOLVING, OPENING, INITIALISING, READY };

struct session {
	struct fleet *fleet;
	char *host_id;
	enum phase phase;
	unsigned generation;
	struct channel *channel;
	struct timer *timer;
	int64_t last_seen_usec;
	enum silence told;         /* what the model was told of the silence */
	unsigned polls;
	bool stats_asked, vms_asked;
};

static void connect_again(struct session *session, const char *why);

/* ---- polling ---- */

/* Answers come back by host id: the session may have gone meanwhile. */
struct poll { struct fleet *fleet; char *host_id; unsigned generation; };

static struct poll *poll_new(struct session *session)
{
	struct poll *poll = g_new0(struct poll, 1);

	*poll = (struct poll){ session->fleet, g_strdup(session->host_id), session->generation };
	return poll;
}

static struct session *poll_end(struct poll *poll)
{
	struct session *session = g_hash_table_lookup(poll->fleet->sessions, poll->host_id);

	if (session && session->generation != poll->generation)
		session = NULL;
	g_free(poll->host_id);
	g_free(poll);
	return session;
}

/* Noted as it comes: a channel that is down no longer knows when its last byte came. */
static void seen(struct session *session)
{
	if (session->channel)
		session->last_seen_usec = MAX(session->last_seen_usec, channel_last_input(session->channel));
}

static void stats_answer(const json_t *result, const GError *error, void *data)
{
	struct session *session = poll_end(data);

	if (!session)
		return;
	session->stats_asked = false;
	seen(session);
	if (result)
		sync_host_stats(session->fleet, session->host_id, result);
	else
		log_debug("host %s: Host.getStats: %s, ignoring", session->host_id, error->message);
}

static void vms_answer(GBytes *text, const GError *error, void *data)
{
	struct session *session = poll_end(data);

	if (!session)
		return;
	session->vms_asked = false;
	seen(session);
	if (text)
		sync_vm_report(session->fleet, session->host_id, text);
	else
		log_debug("host %s: Host.getAllVmFigures: %s, ignoring", session->host_id, error->message);
}

static void facts_answer(GBytes *text, const GError *error, void *data)
{
	struct session *session = poll_end(data);

	if (!session)
		return;
	seen(session);
	if (text)
		sync_vm_facts(session->fleet, session->host_id, text);
	else
		log_debug("host %s: Host.getAllVmFigures: facts: %s, the next report asks again", session->host_id, error->message);
}

void session_ask_facts(struct session *session, const char *params_json)
{
	if (session->phase == READY)
		channel_call_text(session->channel, "Host.getAllVmFigures", params_json, NULL, CALL_USEC, facts_answer, poll_new(session));
}

static void poll_now(struct session *session)
{
	seen(session);
	/* One question of a kind at a time: a slow agent gets no queue of them. */
	if (!session->stats_asked) {
		session->stats_asked = true;
		channel_call(session->channel, "Host.getStats", NULL, NULL, CALL_USEC, stats_answer, poll_new(session));
	}
	if (!session->vms_asked && session->polls++ % VM_STATS_EVERY == 0) {
		session->vms_asked = true;
		channel_call_text(session->channel, "Host.getAllVmFigures", NULL, NULL, CALL_USEC, vms_answer, poll_new(session));
	}
	timer_set(session->timer, session->fleet->diary.ask_usec);
}

/* ---- channel ---- */

static void set_reach(struct session *session, enum fleet_reach reach)
{
	struct fleet *fleet = session->fleet;
	struct host_view *view;

	g_mutex_lock(&fleet->lock);
	view = g_hash_table_lookup(fleet->views, session->host_id);
	if (view && !(reach == REACH_AWAY && view->reach != REACH_CONNECTED))
		view->reach = reach;
	g_mutex_unlock(&fleet->lock);
}

static void on_up(struct channel *channel, void *data)
{
	struct session *session = data;

	session->phase = INITIALISING;
	session->last_seen_usec = now_usec();
	set_reach(session, REACH_CONNECTED);
	log_info("host %s: connected", session->host_id);
	sync_host(session->fleet, session->host_id, session->generation);
}

static void on_down(struct channel *channel, const GError *error, void *data)
{
	struct session *session = data;

	if (session->phase >= INITIALISING)
		session->last_seen_usec = MAX(session->last_seen_usec, channel_last_input(channel));
	session->channel = channel_free(channel);
	connect_again(session, error ? error->message : "the agent closed the connection");
}

static void on_event(struct channel *channel, const char *method, const json_t *params, void *data)
{
	struct session *session = data;

	seen(session);
	if (g_str_has_prefix(method, EVENT_VM_STATUS))
		sync_vm_event(session->fleet, session->host_id, method + strlen(EVENT_VM_STATUS), params);
	else if (!strcmp(method, EVENT_HOST_CONN) && session->phase == READY)
		sync_host(session->fleet, session->host_id, session->generation);
}

/* ---- connecting ---- */

struct resolved {
	struct fleet *fleet;
	char *host_id, *name;
	unsigned generation;
	struct sockaddr_storage address;
	socklen_t length;
	GError *error;
};

static void resolved_free(void *data)
{
	struct resolved *resolved = data;

	g_clear_error(&resolved->error);
	g_free(resolved->host_id);
	g_free(resolved->name);
	g_free(resolved);
}

static void open_channel(void *data)
{
	static const struct channel_events events = { on_up, on_down, on_event };
	struct resolved *resolved = data;
	struct session *session = g_hash_table_lookup(resolved->fleet->sessions, resolved->host_id);
	g_autoptr(GError) error = NULL;

	if (session && session->generation == resolved->generation && session->phase == RESOLVING) {
		if (resolved->error)
			connect_again(session, resolved->error->message);
		else {
			struct channel_settings settings = {
				.loop = session->fleet->engine->loop, .address = (struct sockaddr *)&resolved->address, .address_length = resolved->length,
				.tls = session->fleet->tls, .name = session->fleet->verify_names ? resolved->name : NULL,
				.send_beat_ms = diary_beat_ms(&session->fleet->diary),
				.want_beat_ms = diary_beat_ms(&session->fleet->diary), .connect_usec = session->fleet->diary.connecting_usec,
				.want_events = true, .events = &events, .data = session,
			};

			session->phase = OPENING;
			session->channel = channel_open(&settings, &error);
			if (!session->channel)
				connect_again(session, error->message);
		}
	}
	resolved_free(resolved);
}

static void resolve(void *data)
{
	struct resolved *resolved = data, *handed = g_new0(struct resolved, 1);
	struct host *host = model_get(resolved->fleet->engine->model, &host_kind, resolved->host_id);

	if (!host)
		error_set(&resolved->error, ERR_NOT_FOUND, "host '%s'", resolved->host_id);
	else {
		resolved->name = g_strdup(host->address);
		(void)resolve_address(host->address, host->port, &resolved->address, &resolved->length, &resolved->error);
	}
	record_unref(host);
	/* What the job owns goes to the loop; the job's own end frees an empty shell. */
	*handed = *resolved;
	*resolved = (struct resolved){ 0 };
	loop_post(handed->fleet->engine->loop, open_channel, handed, resolved_free);
}

static void begin(struct session *session)
{
	struct resolved *resolved = g_new0(struct resolved, 1);
	g_autofree char *lane = g_strdup_printf("resolve/%s", session->host_id);
	struct lane_job job = { .name = "resolve", .run = resolve, .data = resolved, .free_data = resolved_free };
	g_autoptr(GError) error = NULL;

	session->generation = ++session->fleet->generations;
	session->phase = RESOLVING;
	session->stats_asked = session->vms_asked = false;
	session->polls = g_str_hash(session->host_id);
	*resolved = (struct resolved){ .fleet = session->fleet, .host_id = g_strdup(session->host_id), .generation = session->generation };
	if (!lane_submit(session->fleet->engine->lanes, lane, &job, &error)) {
		resolved_free(resolved);
		connect_again(session, error->message);
	}
}

static void tell(struct session *session, const char *why)
{
	sync_silence(session->fleet, session->host_id, session->told == SILENCE_CONNECTING ? HOST_CONNECTING : HOST_NON_RESPONSIVE, why);
}

void session_tell_again(struct session *session)
{
	if (session->told != SILENCE_NONE)
		tell(session, "the host does not answer");
}

static void connect_again(struct session *session, const char *why)
{
	struct fleet *fleet = session->fleet;
	int64_t silent = now_usec() - session->last_seen_usec;
	enum silence silence = MAX(diary_silence(&fleet->diary, silent), SILENCE_CONNECTING);

	session->channel = channel_free(session->channel);
	session->phase = WAITING;
	set_reach(session, silence == SILENCE_NON_RESPONSIVE ? REACH_SILENT : REACH_AWAY);
	if (silence > session->told) {
		session->told = silence;
		log_warn("host %s: %s: %s", session->host_id, silence == SILENCE_CONNECTING ? "connecting again" : "not responding", why);
		tell(session, why);
	}
	timer_set(session->timer, diary_retry(&fleet->diary, silent));
}

static void on_timer(void *data)
{
	struct session *session = data;

	switch (session->phase) {
	case WAITING:
		begin(session);
		break;
	case READY:
		poll_now(session);
		break;
	default:
		break;       /* the channel's own limits and the initialising job end these */
	}
}

struct session *session_new(struct fleet *fleet, const char *host_id)
{
	struct session *session = g_new0(struct session, 1);

	session->fleet = fleet;
	session->host_id = g_strdup(host_id);
	session->timer = timer_new(fleet->engine->loop, on_timer, session);
	session->last_seen_usec = now_usec();
	begin(session);
	return session;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	session->channel = channel_free(session->channel);
	session->timer = timer_free(session->timer);
	g_free(session->host_id);
	g_free(session);
}

struct channel *session_channel(struct session *session)
{
	return session->channel && channel_is_up(session->channel) ? session->channel : NULL;
}

void session_ready(struct session *session, unsigned generation)
{
	if (session->generation != generation || session->phase != INITIALISING)
		return;
	session->phase = READY;
	session->told = SILENCE_NONE;
	session->last_seen_usec = now_usec();
	/* Each host has moments of its own, or a thousand that were connected together would answer together for ever. */
	timer_set(session->timer, g_str_hash(session->host_id) % session->fleet->diary.ask_usec);
}

void session_retry(struct session *session, unsigned generation, const char *why)
{
	if (session->generation == generation && session->phase >= INITIALISING)
		connect_again(session, why);
}
