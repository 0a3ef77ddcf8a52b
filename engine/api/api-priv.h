/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_API_PRIV_H
#define BERTH_ENGINE_API_PRIV_H
/* What the files of this room share. */
#include <pthread.h>
#include "common/record.h"
#include "engine/api/action.h"
#include "engine/api/api.h"
#include "engine/api/negotiate.h"
#include "engine/api/resource.h"
#include "engine/api/router.h"
#include "engine/auth/auth.h"

struct invocations;

struct api {
	struct engine *engine;
	GBytes *ca;
	uint16_t secure_port;
	struct invocations *invocations;         /* actions and creations; invocation.c */
	GHashTable *faces;                       /* resource -> struct face */
	GHashTable *metrics;                     /* operation, method and status -> struct metric; see metrics.c */
};

/* A resource's names of links and actions, and whether it refers to what is only shown below other objects; made once. */
struct face { const char **links, **actions; bool refers_below; };
const struct face *api_face(struct api *api, const struct resource *resource);

/* One request on its way. Made on the loop; while a job runs, the job owns it. */
struct call {
	struct api *api;
	struct exchange *exchange;               /* NULL after an early answer (202): the rest happens without the client */
	struct route route;
	enum format format;
	GPtrArray *details;
	bool acceptable;                         /* one of the formats that the client takes can be had */
	const struct auth_user *user;
	char *cookie;                            /* JSESSIONID as sent */
	bool persistent;                         /* Prefer: persistent-auth */
	bool new_session;                        /* credentials were given with it: open one */
	bool unavailable;                        /* nobody could say whether they are right */
	bool by_session;                         /* the cookie was enough */
	bool around;                             /* a logout event is owed */
	bool strict;                             /* Prefer: handling=strict */
	char *correlation_id;
	struct request request;
	int64_t started_usec;
	/* work of several stages */
	void (*stage)(struct call *call);        /* what the next job does */
	void *object;                            /* the route's object */
	void *input;                             /* parsed body */
	char *invocation;                        /* id of the action or creation under way */
	GString *ignored;                        /* members not taken, for the Warning header */
};
void call_free(struct call *call);
/* Queues stage on a lane (NULL: any order). On failure the call is answered with the error. From any thread; the call is not the caller's any more. */
void call_submit(struct call *call, const char *lane, void (*stage)(struct call *call));
/* The same after a while; for actions with a grace period. */
void call_submit_later(struct call *call, const char *lane, void (*stage)(struct call *call), int64_t delay_usec);
/* The answer is ready: sends it (from any thread) and frees the call. */
void call_done(struct call *call);
/* Sends the answer and keeps the call for what is left to do. */
void call_answer_early(struct call *call);

/* permit.c */
/* Has the user the permit on the object, or on what the URL is below? object NULL: that only. On false there is an event too. Worker. */
bool api_permitted(const struct call *call, const char *permit, const void *object, GError **error);
/* A change that puts the object elsewhere: has he it there too? */
bool api_permitted_there(const struct call *call, const char *permit, const void *current, const void *changed, GError **error);
/* Has he it on anything at all? What need not be read need not be understood. */
bool api_permitted_somewhere(const struct call *call, const char *permit, GError **error);

/* fault.c */
int fault_status(const GError *error);
void fault_split(const GError *error, char **ret_reason, char **ret_detail);       /* g_free both */
void answer_fault(struct call *call, GError *error);                               /* frees error */
void answer_fault_text(struct call *call, int status, const char *reason, const char *detail);
extern const struct record_type fault_type;

/* render.c */
struct writer *render_writer(enum format format, GString *out);
/* One object of the route's last resource (after view). href NULL: made from the route. creation (may be NULL): id of a creation under way. */
GString *render_object(struct call *call, const void *object, const char *href, const char *creation);
GString *render_collection(struct call *call, GPtrArray *objects);
GString *render_plain(struct call *call, const void *record, const char *href);    /* a record without links and actions */
void answer_object(struct call *call, int status, const void *object, const char *creation);
void answer_record(struct call *call, int status, const void *record, const char *href);

/* operation.c */
void operation_read(struct call *call);                  /* GET of a collection or an object: sets the answer */
void operation_change(struct call *call);                /* POST on a collection, PUT, DELETE: stage on a lane; ends the call */
char *operation_lane(const struct call *call);           /* of what the route names; NULL: none. g_free */
void operation_remove(struct call *call);
/* members.c: default ways of resources without handlers of their own */
bool member_parents(struct call *call, unsigned depth, GError **error);           /* sets request.parent for chain[depth]; checks that they exist */
GPtrArray *member_list(struct request *request, GError **error);
bool member_of_model(const struct request *request);               /* the members are the objects of the resource's kind, as far as they are shown */
bool member_all_shown(const struct request *request);              /* to who asks */
struct sight *member_sight(const struct request *request, const struct kind *kind);     /* sight_free(); NULL: all, or that is not said */
void *member_get(struct request *request, const char *id, GError **error);
void *member_view(struct request *request, void *record);                          /* new reference */
const struct field *member_parent_field(const struct resource *resource);         /* reference to the parent's object; NULL: none */
const struct record_type *resource_type(const struct resource *resource);
void *object_of_call(struct call *call, GError **error);                           /* parents and object; new reference */
/* metrics.c */
void metrics_observe(struct call *call);                 /* the answer is there */
void answer_metrics(struct call *call);                  /* worker */
/* input.c */
bool input_read(struct call *call, const struct record_type *type, uint32_t take, bool take_id, void **ret_record, char **ret_id, GError **error);
/* References by name -> id; unknown ones are errors. within: the object that is worked on or its parent (may be NULL): its data center's networks come first */
bool input_resolve(const struct request *request, void *record, const void *within, GError **error);
/* actions.c */
void action_start(struct call *call);                    /* stage */
void action_status(struct call *call);                   /* GET of an invocation */
/* creation.c */
void creation_status(struct call *call);
extern const struct record_type creation_type;
/* entry.c, capabilities.c, rsdl.c, schema.c */
void answer_entry(struct call *call);
void answer_capabilities(struct call *call);
void answer_rsdl(struct call *call);
void answer_schema(struct call *call);
void answer_openapi(struct call *call);
extern const struct record_type entry_type, capabilities_type, capability_version_type;
char *feature_version_id(int major, int minor);

/* invocation.c: actions and creations that can be asked for later */
struct invocations *invocations_new(int64_t retention_usec);
struct invocations *invocations_free(struct invocations *invocations);
/* record: shown when asked (an action record), may be NULL. Returns the new id. g_free */
char *invocation_begin(struct invocations *invocations, const char *href, void *record);
void invocation_run(struct invocations *invocations, const char *id);              /* pending -> in_progress */
void invocation_end(struct invocations *invocations, const char *id, void *record, const GError *error);
/* false: unknown or expired. ret_record: new reference or NULL. Texts: g_free. */
bool invocation_find(struct invocations *invocations, const char *id, const char *href, enum action_state *ret_state, void **ret_record, char **ret_reason,
		     char **ret_detail);

#endif
