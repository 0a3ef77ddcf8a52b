/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_ENGINE_H
#define BERTH_ENGINE_ENGINE_H
/*
 * What the rooms of the engine share. Made by main.c, lives as long as the process.
 *
 * Floors, from the top: main > http > api > flow > fleet, auth, sched, search > store > model. A request goes down these floors once and the
 * answer comes up once.
 */
#include "common/config.h"
#include "common/lane.h"
#include "common/loop.h"
#include "common/tls.h"

struct model;        /* engine/model/model.h */
struct store;        /* engine/store/store.h */
struct fleet;        /* engine/fleet/fleet.h */
struct auth;         /* engine/auth/auth.h */
struct api;          /* engine/api/api.h */
struct balancer;     /* engine/flow/balancer.c */

struct engine {
	struct loop *loop;
	struct lane_pool *lanes;
	const struct config *config;
	const char *data_dir;                /* [engine] data_dir, or what the command line says instead */
	struct model *model;
	struct store *store;
	struct fleet *fleet;
	struct auth *auth;
	struct api *api;
	struct timer *pool_timer;            /* flow/storage_manager.c; loop only */
	struct balancer *balancer;           /* flow/balancer.c */
	int64_t started_usec;
};

/* Who causes a change: for events, the agent's flow id, permissions. Fields may be NULL. */
struct actor { const char *user_id, *user_name, *correlation_id; };

#endif
