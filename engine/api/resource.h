/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_RESOURCE_H
#define BERTH_ENGINE_RESOURCE_H
/*
 * One table of operations: routing, RSDL, permissions, metrics per operation, audit and `OPTIONS` read it. A handler holds only what is particular to it.
 *
 * The protocol machinery (api.c and its neighbours) does everything general: authentication, negotiation, parsing and validation by the record tables,
 * looking up references by id or name, PUT's merge, immutability, 404/405/409/415, async and polling, faults, rendering, search, paging, links and actions.
 * Handlers of GET (list, view) run wherever the request is served and never block; handlers that change something run on the lane
 * "<collection>/<id>" of the object (POST on a collection: a lane of its own) and may block.
 */
#include <jansson.h>
#include <stdbool.h>
#include "engine/engine.h"
#include "engine/model/model.h"

struct access;
struct resource;
struct request;
struct change;

/* What a handler may know of the request it serves. */
struct request {
	struct engine *engine;
	struct actor actor;
	const struct resource *resource;
	const char *base;                        /* "/ovirt-engine/api" or "/api": as the request came in */
	void *parent;                            /* object of the parent resource, or NULL */
	bool all_content;
	struct access *access;                   /* what the user may do and see; NULL: everything (work of the engine itself) */
	bool filter;                             /* Filter: true: an administrator, too, sees only what his permissions are about */
	GHashTable *parameters;                  /* matrix and query parameters, lower case names with '-' for '_': "current" -> "true" */
	json_t *ignored;                         /* unused by handlers */
};

struct action {
	const char *name;                        /* URL segment and rel: "start"; "nics/start": below a sub-collection, not listed */
	/* Parameter record: its fields are children of <action>; must begin with the common ones, see ACTION_FIELDS in action.h */
	const struct record_type *params;
	/* object: the resource's record. result: a new record of type `params` to show in the answer beside status (ticket), or NULL. */
	bool (*run)(struct request *request, const void *object, const void *params, void **ret_result, GError **error);
	const char *permit;                      /* permit needed, "run_vm"... */
	const char *doc;
	const char *feature;                     /* needs the level that has it (model/features.h); NULL: any */
	bool beside;                             /* runs beside what the object's lane is busy with: it ends that */
};

#define RESOURCE_LIST   1u
#define RESOURCE_GET    2u
#define RESOURCE_ADD    4u
#define RESOURCE_UPDATE 8u
#define RESOURCE_REMOVE 16u
#define RESOURCE_READ (RESOURCE_LIST | RESOURCE_GET)
#define RESOURCE_ALL 31u

struct resource {
	const struct kind *kind;                 /* NULL: members are made by `list` (statistics) */
	const struct record_type *type;          /* representation; NULL: the kind's */
	const char *path;                        /* last URL segment: "vms", "nics" */
	const struct resource *parent;           /* NULL: top-level */
	unsigned methods;
	const char *const *links;                /* rels shown in the representation, NULL-terminated; "" = none */
	const struct action *actions;            /* terminated by .name NULL; may be NULL */
	bool asynchronous;                       /* POST answers 202 with creation_status unless Expect: 201-created */
	const char *permit_add, *permit_update, *permit_remove;
	const char *doc;
	bool slow;                               /* reading may take long, too: never on the loop */
	bool gated;                              /* and bounds itself how many wait (web_gate): not behind other slow reads of its parent */
	bool brief;                              /* its few members are in memory: listed on the loop, for that costs less than a change of threads */
	bool wrapped;                            /* POST answers with a collection of the one new member (permits of roles) */
	/* Members are shown where their kind is top-level, "/vnicprofiles/{id}", also below another object. */
	bool by_itself;
	bool bare;                               /* `add` knows better than the tables what has not been given */
	/* For a resource without add, update, remove of its own: events (0: none), and a rule that the writer checks before an addition or change. */
	int event_added, event_updated, event_removed;
	bool (*check)(struct model *model, void *record, GError **error);

	/* Adds the names of members that this input needs, too, which its table cannot say: one of two, or those of its type. strings_new() */
	void (*missing)(const struct request *request, const void *input, GPtrArray *names);

	/* All may be NULL: then the model's records are used as they are. */
	/* Members of the collection (new array of references), under request->parent. */
	GPtrArray *(*list)(struct request *request, GError **error);
	/* One member by id. NULL + ERR_NOT_FOUND when none. */
	void *(*get)(struct request *request, const char *id, GError **error);
	/* Fills in what is not stored (live values): returns record itself with a new reference, a shadow with them, or a changed copy. */
	void *(*view)(struct request *request, void *record);
	/* input: validated, defaults set, references resolved. Default: change_add() + commit. ret_record: the new object, new reference.
	 * For asynchronous resources: `add` stores the object in its locked state and returns; `finish` does the long part afterwards. */
	bool (*add)(struct request *request, void *input, void **ret_record, GError **error);
	bool (*finish)(struct request *request, const void *record, GError **error);
	/* changed: current with the request's members merged in (a private copy), input: what the client sent. Default: change_replace() + commit. */
	bool (*update)(struct request *request, const void *current, void *changed, const void *input, void **ret_record, GError **error);
	/* After an update that was committed: brings to agents what follows from it. Does not wait. */
	void (*updated)(struct request *request, const void *record);
	/* options: the body's record of type remove_params (or NULL). Default: change_remove() + commit. */
	const struct record_type *remove_params;
	bool (*remove)(struct request *request, const void *current, const void *options, GError **error);
	/* Where the link `rel`, or the action of that name, of this record leads: NULL: it has none; "": below the record, as usual; else the whole href,
	 * which actions do not have. g_free */
	char *(*link)(struct request *request, const void *record, const char *rel);
};

/* Every resource, parents before children; NULL-terminated. Rows live beside their handlers: engine/api/res_<noun>.c; joined in engine/api/resources.c. */
extern const struct resource *const resources[];

/* Does the user see the object? Has he the permit on it (permit.c)? For handlers that find objects by themselves. */
bool request_sees(const struct request *request, const void *object);
bool request_permits(const struct request *request, const char *permit, const void *object);
/* Query/matrix parameter or NULL. */
const char *request_parameter(const struct request *request, const char *name);
/* true for a parameter that is present without value, or "true" */
bool request_flag(const struct request *request, const char *name);
/* The object is added; and for its maker the role that lets him use it, when nothing else does. */
void request_add(struct request *request, struct change *change, void *object);
/* Adds the event of a change to a record of the request's resource: "Vnic profile gold was added to network red by admin@internal." how: "added"... */
void request_event(struct request *request, struct change *change, int code, void *record, const char *how);

#endif
