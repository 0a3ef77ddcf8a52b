/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_FLEET_PRIV_H
#define BERTH_ENGINE_FLEET_PRIV_H
/* Inside engine/fleet only: the sessions and what they know. */
#include "engine/fleet/diary.h"
#include "engine/fleet/fleet.h"
#include "proto/channel.h"

struct session;

struct fleet {
	struct engine *engine;
	struct tls_context *tls;           /* client certificate towards the agents */
	bool verify_names;                 /* an agent's certificate must name the address it is reached by */
	struct diary diary;
	/* loop thread only */
	GHashTable *sessions;              /* host id -> struct session */
	unsigned generations;              /* of connections, over all sessions */
	struct timer *tidy;                /* fleet_tidy_soon() */
	bool tidy_soon;
	/* any thread, under lock */
	GMutex lock;
	GCond changed;                     /* a VM's stored state changed: fleet_wait_vm() */
	GHashTable *views;                 /* host id -> struct host_view */
	GHashTable *vms;                   /* VM id, in it -> struct vm_seen */
	GHashTable *drops;                 /* "host id/VM id" of the entries whose drop is queued: entries.c */
	void (*host_up)(struct engine *engine, const char *host_id);       /* set before the sessions begin */
	void (*host_unfit)(struct engine *engine, const char *host_id);
	void (*host_lost)(struct engine *engine, const char *host_id);
};

/* What is known of a host just now. */
struct host_view {
	enum fleet_reach reach;
	struct host_stats *stats;
	struct host_caps *caps;
};

/* The newest figures of a VM, and who told them. */
struct vm_seen { struct vm_figures *figures; GRefString *host_id; char id[]; };

/* Gives back to the system what was used for what hosts told when they were initialised. Loop thread. */
void fleet_tidy_soon(struct fleet *fleet);

/* ---- session.c: loop thread ---- */
struct session *session_new(struct fleet *fleet, const char *host_id);
void session_free(struct session *session);
/* NULL while the channel is not up. */
struct channel *session_channel(struct session *session);
/* The host is initialised (its capabilities are in the model): polling may begin. Generation as given to sync_host(). */
void session_ready(struct session *session, unsigned generation);
/* Tells the model once more of the silence that it was told of. */
void session_tell_again(struct session *session);
/* Asks for what VMs seldom change: parameters of Host.getAllVmFigures. The answer goes to sync_vm_facts(). */
void session_ask_facts(struct session *session, const char *params_json);
/* Initialising failed: drop the connection, try again later. */
void session_retry(struct session *session, unsigned generation, const char *why);

/* ---- sync.c, sync_vms.c: what the agent says goes into the model; each runs as a job on the lane "fleet/<host id>" ---- */
void sync_host(struct fleet *fleet, const char *host_id, unsigned generation);                      /* after connecting */
void sync_silence(struct fleet *fleet, const char *host_id, int state, const char *reason);         /* connecting, non_responsive */
void sync_vm_event(struct fleet *fleet, const char *host_id, const char *vm_id, const json_t *params);
void sync_vm_report(struct fleet *fleet, const char *host_id, GBytes *rows);                        /* Host.getAllVmFigures: all of its VMs */
void sync_vm_facts(struct fleet *fleet, const char *host_id, GBytes *rows);                         /* the same with the facts of some */
void sync_host_stats(struct fleet *fleet, const char *host_id, const json_t *stats);                /* at once, loop thread */

/* Between these two files. */
struct news {
	struct fleet *fleet;
	char *host_id, *vm_id, *reason;
	unsigned generation;
	int state;
	json_t *json;
	GBytes *rows;
};
/* Queues what goes on the host's lane; news: what of it run() needs, taken over. */
void sync_submit(struct fleet *fleet, const char *what, void (*run)(void *data), struct news news, const char *host_id);
void sync_tell_waiters(struct fleet *fleet);
GPtrArray *sync_vms_of(struct fleet *fleet, const char *host_id);                                   /* whom the model has there */
/* On the lane: a report of all VMs. false: it is none, and nothing was concluded from what is not in it. fresh: the first of a connection. */
bool sync_apply_report(struct fleet *fleet, const char *host_id, GBytes *rows, bool fresh, GError **error);

#endif
