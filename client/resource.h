/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLIENT_RESOURCE_H
#define BERTH_CLIENT_RESOURCE_H
/*
 * berth vms, hosts, ...: what the files behind the grammar (resource.c) share. Below: places and names (place.c), operations (operation.c), waiting for
 * their end (wait.c), help and completion (resource_help.c).
 */
#include "client/client.h"
#include "client/rest.h"

/* ---- options of the command ---- */
struct resource_settings {
	bool help, json, exact, async, wait;
	const char *search, *max, *timeout;
	long seconds;                   /* timeout as a number */
};
extern struct resource_settings settings;
extern const struct cli_option resource_options[];
extern const size_t n_resource_options;

/* ---- places (place.c) ---- */
struct client {
	struct session *session;
	struct rest *rest;
	struct rsdl *rsdl;              /* loaded when it is needed; NULL where the engine gives none */
	bool rsdl_tried;
};
bool client_open(struct client *client, double seconds, GError **error);
void client_close(struct client *client);
/* Loads client->rsdl. An engine that describes nothing is used without: then all names are sent as they are, and it judges them. */
bool client_describe(struct client *client, bool offline, GError **error);

/* A collection. */
struct place {
	char *path;             /* where it is: "/vms/<id>/nics" */
	char *template;         /* what the description calls it: "vms/{}/nics" */
	char *shown;            /* how the user says it: "vms web1 nics" */
	const char *name;       /* "nics" */
};
struct place place_top(const char *collection);
struct place place_below(const struct place *place, const char *id, const char *shown, const char *collection);
void place_clear(struct place *place);
/* The id of what is called by name or id there. NULL: ERR_NOT_FOUND, ERR_CONFLICT (several), or what the engine said. g_free */
char *place_resolve(struct client *client, const struct place *place, const char *name, GError **error);
/* What to say of a name that is not there: "; did you mean 'web1'? `berth vms` lists them". g_free */
char *place_suggest(struct client *client, const struct place *place, const char *name);
/* operation: "create", "update", "delete", "show", or an action. NULL: the engine does not tell of it. */
const struct rsdl_link *place_link(const struct client *client, const struct place *place, const char *operation);
/* What can be done here: list, show, create, ..., actions; and the sub-collections. Borrowed names. */
GPtrArray *place_operations(const struct client *client, const struct place *place);

/* ---- operations (operation.c): each says what came of it and returns the exit status ---- */
struct operation {
	struct client *client;
	const struct place *place;
	const char *name;               /* as it is called here: "create", "delete", "start", "attach" */
	const struct rsdl_link *link;   /* its description; may be NULL */
	json_t *body;
};
int list_objects(struct client *client, const struct place *place);
int show_one(struct client *client, const struct place *place, const char *id);
int create_object(const struct operation *operation);
/* Update, delete, detach or an action, for each of the ids; names are for messages. With --wait all are begun, then all are waited for. */
int change_objects(const struct operation *operation, const GPtrArray *ids, const GPtrArray *names);

/* ---- waiting (wait.c) ---- */
struct wait;
struct wait *wait_new(struct rest *rest, long seconds);         /* time runs from here, for all that is waited for */
struct wait *wait_free(struct wait *wait);
/* Until the engine has done what it answered 202 to: href of the action or creation_status. label begins what is said when it fails. */
int wait_task(struct wait *wait, const char *href, const char *label);
/* Until the object is as the operation leaves it: the status that wait_goal() names; after a delete, gone. */
int wait_object(struct wait *wait, const struct place *place, const char *id, const char *operation, const json_t *body, const char *label);
const char *wait_goal(const struct place *place, const char *operation);        /* "up"; NULL: done when the engine says so */

/* ---- grammar (resource.c) ---- */
/* Of top-level storage domains, done below their data centers: attach, detach, activate, deactivate. */
extern const char *const domain_operations[];

/* ---- help (resource_help.c) ---- */
int place_help(const struct client *client, const struct place *place);
int operation_help(const struct client *client, const struct place *place, const char *operation);

#endif
