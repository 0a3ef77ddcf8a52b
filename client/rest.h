/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLIENT_REST_H
#define BERTH_CLIENT_REST_H
/*
 * The engine over REST: the stored session, requests, and the engine's own descriptions: of its operations (RSDL) and representations (XML schema).
 */
#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <glib.h>

/* ---- session (session.c) ----
 * ${XDG_CONFIG_HOME:-~/.config}/berth/session, mode 0600: URL, path of the CA, user, session cookie. Never the password. */
struct session {
	char *url;             /* ".../ovirt-engine/api", without '/' at the end */
	char *ca;              /* NULL: the system's CAs */
	char *user;
	char *password;        /* from the environment only; NULL with a cookie */
	char *cookie;          /* value of JSESSIONID; NULL with a password */
};
struct session *session_new(const char *url, const char *ca, const char *user, GError **error);       /* completes and checks the URL */
struct session *session_free(struct session *session);
/* ENGINE_URL with ENGINE_USER and ENGINE_PASSWORD, else what `berth login` stored. */
struct session *session_load(GError **error);
struct session *session_stored(GError **error);
bool session_store(const struct session *session, GError **error);
bool session_forget(GError **error);
char *session_file(const char *name);         /* path beside the session; g_free */

/* ---- requests (rest.c) ---- */
struct rest;
struct rest_answer {
	long status;
	char *body, *content_type, *cookie, *etag, *location;
	char *warning;                       /* of a Warning: 299 header */
	json_t *json;                        /* the body, when it is JSON */
};
struct rest *rest_new(const struct session *session, double timeout_s, GError **error);
struct rest *rest_free(struct rest *rest);
void rest_limit(struct rest *rest, double timeout_s);            /* of the requests that follow */
const struct session *rest_session(const struct rest *rest);
/* path: below the base ("/vms"), or "" . body: may be NULL. Statuses below 400 are success; else the error says reason, detail and what to do. */
bool rest_request(struct rest *rest, const char *method, const char *path, const json_t *body, struct rest_answer *ret, GError **error);
/* What only logging in, logging out and the description need. */
#define REST_OPEN_SESSION 1u      /* Prefer: persistent-auth although we have no cookie yet */
#define REST_CLOSE_SESSION 2u     /* no Prefer: persistent-auth */
#define REST_XML 4u
#define REST_EXPECT_CREATED 8u    /* Expect: 201-created: the answer comes when the object is ready */
bool rest_request_full(struct rest *rest, const char *method, const char *path, const json_t *body, unsigned flags, const char *etag,
		       struct rest_answer *ret, GError **error);
void rest_answer_clear(struct rest_answer *answer);
char *rest_search_path(const char *collection_path, const char *query, long max);

/* "[why]" -> "why": the brackets in the detail of a fault are for other clients. g_free */
char *rest_bare_detail(const char *detail);
/* What is below the base of an href that the engine gave ("/ovirt-engine/api/vms/1" -> "/vms/1"); NULL: it is elsewhere. Borrowed. */
const char *rest_below_base(const struct rest *rest, const char *href);

/* ---- descriptions of the engine (document.c) ----
 * GET base?NAME ("rsdl", "schema"), kept beside the session and asked for again only to hear that it has not changed (ETag), or once in ten minutes
 * where the engine gives no tag. offline: the copy as it is, when there is one. */
xmlDoc *document_load(struct rest *rest, const char *name, bool offline, GError **error);
void documents_forget(void);                  /* the next command asks anew: the engine may be another by now */

/* ---- operations (rsdl.c) ---- */
struct rsdl;
struct rsdl_parameter {
	char *name;            /* as the engine spells it, without the type in front: "cluster.id|name" */
	char *type;            /* "xs:int"; "collection" */
	char **values;         /* that are possible; NULL: any, or not told */
	char *unit;            /* of a number: "bytes"; may be NULL */
	char *description;     /* may be NULL */
	bool required;
	GPtrArray *item;       /* of a collection: its parameters; may be NULL */
};
struct rsdl_link {
	char **path;           /* below the base: { "vms", "{vm:id}", "start", NULL } */
	char *rel, *method, *description;
	char *type;            /* element of the request's body: "vm", "action"; may be NULL */
	char *response_type;   /* element of the answer; may be NULL */
	GPtrArray *parameters; /* struct rsdl_parameter, of all sets together */
};
struct rsdl *rsdl_load(struct rest *rest, bool offline, GError **error);
struct rsdl *rsdl_free(struct rsdl *rsdl);
/* All of the following take NULL for an engine that describes nothing.
 * The operation on the collection with this template ("vms", or "vms/{}/nics"): rel "get", "add" on it; "get", "update", "delete" and actions on its
 * members. NULL when the engine has none. */
const struct rsdl_link *rsdl_find(const struct rsdl *rsdl, const char *collection, bool member, const char *rel);
/* Names of the members' actions and sub-collections; new arrays of borrowed names. */
GPtrArray *rsdl_actions(const struct rsdl *rsdl, const char *collection);
GPtrArray *rsdl_subcollections(const struct rsdl *rsdl, const char *collection);
/* The top-level collection of what an element refers to: "storage_domain" -> "storagedomains"; NULL: none. Borrowed. */
const char *rsdl_collection_of(const struct rsdl *rsdl, const char *element);

/* ---- representations (schema.c) ---- */
struct schema;
struct schema *schema_load(struct rest *rest);                  /* NULL: the engine gives none */
struct schema *schema_free(struct schema *schema);
/* The declaration of an element, and of a member of one; NULL (also accepted): not known. Borrowed from the schema. */
const xmlNode *schema_element(const struct schema *schema, const char *name);
const xmlNode *schema_member(const struct schema *schema, const xmlNode *declaration, const char *name);
bool schema_is_time(const xmlNode *declaration);
char *schema_unit(const xmlNode *declaration);                  /* "bytes"; NULL: none; g_free */

#endif
