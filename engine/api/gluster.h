/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_GLUSTER_H
#define BERTH_ENGINE_GLUSTER_H
/*
 * Gluster through the hosts of a cluster. The hosts of a trusted pool all know the same volumes; one that has no bricks need not be in the pool. So a list is
 * what the first host that knows a volume tells, and what is done with a volume is done by the host that told of it. Workers only.
 */
#include <jansson.h>
#include "engine/api/resource.h"
#include "engine/model/cluster.h"
#include "engine/model/gluster.h"
#include "engine/model/host.h"
#include "proto/gluster.h"

/* Does the cluster serve Gluster? Else ERR_WRONG_STATE. */
bool gluster_check_served(const struct cluster *cluster, GError **error);
/* Volumes of the cluster, struct gluster_volume. None when it does not serve Gluster or has no hosts; NULL + error when no host can be asked. */
GPtrArray *gluster_volumes(struct request *request, const struct cluster *cluster, GError **error);
/* One of them, by the name; a new reference. NULL + ERR_NOT_FOUND */
struct gluster_volume *gluster_volume_named(struct request *request, const struct cluster *cluster, const char *name, GError **error);
/* A verb about the volume; params may be NULL: the volume alone (struct gluster_params of the verb, its volume is filled in). ret_answer may be NULL. */
bool gluster_call(struct request *request, const struct gluster_volume *volume, const char *verb, struct gluster_params *params, json_t **ret_answer,
		  GError **error);
/* A new record of the verb's parameters. */
struct gluster_params *gluster_params_new(const char *verb);

/*
 * "ADDRESS:/DIRECTORY" of bricks that a client gave (struct gluster_brick: server_id is the id or the name of a host of the cluster that is up); strings.
 * ret_hosts: the hosts, one for each brick (struct host).
 */
GPtrArray *gluster_places(struct request *request, const struct cluster *cluster, const GPtrArray *bricks, GPtrArray **ret_hosts, GError **error);
/* Makes the hosts peers of `host`: those that are already stay so. */
bool gluster_make_peers(struct request *request, const struct host *host, const GPtrArray *hosts, GError **error);
/* A host of the cluster that has peers, or the first of `hosts`; new reference. */
struct host *gluster_pool_host(struct request *request, const struct cluster *cluster, const GPtrArray *hosts);

/* The actions migrate and stopmigrate of a volume's bricks: res_gluster_brick.c */
extern const struct record_type gluster_migrate_type;
bool gluster_bricks_migrate(struct request *request, const void *volume, const void *params, void **ret_result, GError **error);
bool gluster_bricks_stop_migrate(struct request *request, const void *volume, const void *params, void **ret_result, GError **error);

#endif
