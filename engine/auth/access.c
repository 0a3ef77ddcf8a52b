/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access: a user's permissions, worked out once and kept until a permission, a role, a user or a group changes, or something comes to be in something else.
 *
 * A permission gives a role's permits to a user or group on one object, or on everything. It holds for what is in that object too: a virtual machine, a
 * host, a template or a CPU profile is in its cluster; a cluster, network or storage domain in its data center; a disk on its storage domains and in
 * its VM; a NIC, a snapshot and whatever else a kind's parent says in that parent; a permission in what it is about; everything is in the system. The
 * model's tables say so: a kind's .parent and the references with WITHIN.
 *
 * Seen is what the user has any permit on, and what that is in (the cluster of one's VM, though not its other VMs). Roles and tags are open to all.
 * Events are seen by who sees what they are about, and by who caused them. An administrator (any role with administrative=true) sees everything, unless
 * he asks for the user's view; what he may do is up to the permits all the same.
 *
 * The built-in administrator may do everything whatever the permissions say, so that nobody can lock the door from outside.
 */
#include "engine/auth/access.h"

#include <string.h>
#include "common/error.h"
#include "common/ref_id.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/user.h"

#define DEPTH_MAX 8
#define PERMIT_WORDS 2

struct permit_set { uint64_t bits[PERMIT_WORDS]; };

/* One object: kind and id. The id lives as long as the entry. */
struct place { const struct kind *kind; char *id; };

struct access {
	int refs;                              /* atomic */
	char *user_id;
	struct permit_set everywhere, somewhere;
	bool administrator, logs_in;
	GHashTable *given;                     /* place -> struct permit_set */
	GHashTable *around;                    /* place: what the given ones are in */
	uint64_t versions[4], moves;
};

static const struct kind *const sources[] = { &permission_kind, &role_kind, &user_kind, &group_kind };

/* ---- sets ---- */

static void set_put(struct permit_set *set, int number)
{
	g_assert(number > 0 && number <= PERMIT_WORDS * 64);
	set->bits[(number - 1) / 64] |= UINT64_C(1) << (number - 1) % 64;
}

static bool set_has(const struct permit_set *set, int number)
{
	return number > 0 && set->bits[(number - 1) / 64] >> (number - 1) % 64 & 1;
}

static void set_join(struct permit_set *set, const struct permit_set *other)
{
	for (size_t i = 0; i < PERMIT_WORDS; i++)
		set->bits[i] |= other->bits[i];
}

static bool set_is_empty(const struct permit_set *set)
{
	return !(set->bits[0] | set->bits[1]);
}

/* A role without a list has all permits. */
static void set_of_role(const struct role *role, struct permit_set *set)
{
	for (int number = 1; !role->permits && permits[number - 1].name; number++)
		set_put(set, number);
	for (unsigned i = 0; role->permits && i < role->permits->len; i++) {
		int number = permit_number(((const struct permit *)role->permits->pdata[i])->name);

		if (number)
			set_put(set, number);
	}
}

/* ---- places ---- */

static guint place_hash(gconstpointer data)
{
	const struct place *place = data;

	return id_hash(place->id) ^ (guint)((uintptr_t)place->kind >> 4);
}

static gboolean place_equal(gconstpointer a, gconstpointer b)
{
	const struct place *left = a, *right = b;

	return left->kind == right->kind && strcmp(left->id, right->id) == 0;
}

static void place_free(gpointer data)
{
	struct place *place = data;

	g_free(place->id);
	g_free(place);
}

static struct place *place_new(const struct kind *kind, const char *id)
{
	struct place *place = g_new(struct place, 1);

	*place = (struct place){ kind, g_strdup(id) };
	return place;
}

/* ---- the way up ---- */

typedef bool (*visitor)(const struct kind *kind, const char *id, void *data);

struct climb { struct model *model; visitor visit; void *data; unsigned depth; bool done; };

static void climb_from(struct climb *climb, const void *record);

static void climb_to(struct climb *climb, const struct kind *kind, const char *id)
{
	if (!kind || !id || climb->done || climb->depth >= DEPTH_MAX)
		return;
	climb->done = climb->visit(kind, id, climb->data);
	if (climb->done)
		return;
	void *record = model_get(climb->model, kind, id);
	if (record) {
		climb->depth++;
		climb_from(climb, record);
		climb->depth--;
	}
	record_unref(record);
}

/* What the record is in, nearest first; not the record itself. */
static void climb_from(struct climb *climb, const void *record)
{
	const struct kind *kind = kind_of(record);
	if (!kind)
		return;
	if (kind == &permission_kind) {
		const struct permission *permission = record;
		if (permission->object_kind)
			climb_to(climb, kind_by_collection(permission->object_kind), permission->object_id);
		return;
	}
	if (kind->parent)
		climb_to(climb, kind->parent_kind, object_parent(record));
	for (size_t i = 0; i < kind->type->n_fields && !climb->done; i++) {
		const struct field *field = &kind->type->fields[i];
		if (!(field->flags & WITHIN) || field->flags & ALIAS)
			continue;
		const void *at = (const char *)record + field->offset;
		const GPtrArray *list = field->kind == FIELD_LIST ? *(GPtrArray *const *)at : NULL;
		if (field->kind == FIELD_REF)
			climb_to(climb, kind_by_collection(field->target), ((const struct ref *)at)->id);
		for (guint j = 0; list && j < list->len; j++)
			climb_to(climb, kind_by_collection(field->target), object_id(g_ptr_array_index(list, j)));
	}
}

/* The record itself first, when it has an id. true: visit said so. */
static bool climb_all(struct model *model, const void *record, visitor visit, void *data)
{
	struct climb climb = { .model = model, .visit = visit, .data = data };
	const struct kind *kind = kind_of(record);

	if (!kind)
		return false;
	if (object_id(record) && visit(kind, object_id(record), data))
		return true;
	climb_from(&climb, record);
	return climb.done;
}

/* ---- making ---- */

static bool note_around(const struct kind *kind, const char *id, void *data)
{
	struct access *access = data;

	g_hash_table_add(access->around, place_new(kind, id));
	return false;
}

static void give(struct access *access, struct model *model, const struct kind *kind, const char *id, const struct permit_set *set)
{
	const struct place key = { kind, (char *)id };
	struct permit_set *there = g_hash_table_lookup(access->given, &key);

	if (!there) {
		there = g_new0(struct permit_set, 1);
		g_hash_table_insert(access->given, place_new(kind, id), there);
		void *object = model_get(model, kind, id);
		if (object)
			(void)climb_all(model, object, note_around, access);
		record_unref(object);
	}
	set_join(there, set);
}

bool access_is_member(struct model *model, const struct user *user, const char *group_id)
{
	if (!user->group_ids || !g_ptr_array_find_with_equal_func(user->group_ids, group_id, g_str_equal, NULL))
		return false;
	struct group *group = model_get(model, &group_kind, group_id);
	size_t n = group && group->name ? strcspn(group->name, "/") : 0;
	bool of_domain = group && (!user->domain || (strlen(user->domain) == n && g_ascii_strncasecmp(group->name, user->domain, n) == 0));

	record_unref(group);
	return of_domain;
}

static bool is_holder(struct model *model, const struct permission *permission, const char *user_id, const struct user *user)
{
	if (permission->user.id)
		return strcmp(permission->user.id, user_id) == 0;
	if (!permission->group.id)
		return false;
	if (strcmp(permission->group.id, EVERYONE_GROUP_ID) == 0)
		return true;
	return user && access_is_member(model, user, permission->group.id);
}

static void take(struct access *access, struct model *model, const struct permission *permission)
{
	struct role *role = model_get(model, &role_kind, permission->role.id);
	const struct kind *kind = permission->object_kind ? kind_by_collection(permission->object_kind) : NULL;
	struct permit_set set = { 0 };

	if (!role)
		return;
	set_of_role(role, &set);
	set_join(&access->somewhere, &set);
	if (!permission->object_id)
		set_join(&access->everywhere, &set);
	else if (kind)
		give(access, model, kind, permission->object_id, &set);
	access->administrator = access->administrator || role->administrative;
	if (g_strcmp0(permission->group.id, EVERYONE_GROUP_ID) != 0)
		access->logs_in = access->logs_in || set_has(&set, permit_number("login"));
	record_unref(role);
}

struct access *access_new(struct model *model, const char *user_id)
{
	struct access *access = g_new0(struct access, 1);

	access->refs = 1;
	access->user_id = g_strdup(user_id);
	access->given = g_hash_table_new_full(place_hash, place_equal, place_free, g_free);
	access->around = g_hash_table_new_full(place_hash, place_equal, place_free, NULL);
	/* before the objects are read: what changes in between makes it old at once */
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
		access->versions[i] = model_version(model, sources[i]);
	access->moves = model_moves(model);
	if (strcmp(user_id, ADMIN_USER_ID) == 0) {
		for (int number = 1; permits[number - 1].name; number++)
			set_put(&access->everywhere, number);
		access->somewhere = access->everywhere;
		access->administrator = access->logs_in = true;
		return access;
	}
	struct user *user = model_get(model, &user_kind, user_id);
	g_autoptr(GPtrArray) permissions = model_list(model, &permission_kind);
	for (guint i = 0; i < permissions->len; i++)
		if (is_holder(model, permissions->pdata[i], user_id, user))
			take(access, model, permissions->pdata[i]);
	record_unref(user);
	return access;
}

struct access *access_ref(struct access *access)
{
	if (access)
		g_atomic_int_inc(&access->refs);
	return access;
}

void access_unref(struct access *access)
{
	if (!access || !g_atomic_int_dec_and_test(&access->refs))
		return;
	g_hash_table_unref(access->given);
	g_hash_table_unref(access->around);
	g_free(access->user_id);
	g_free(access);
}

bool access_is_current(const struct access *access, struct model *model)
{
	for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
		if (access->versions[i] != model_version(model, sources[i]))
			return false;
	return access->moves == model_moves(model);
}

/* ---- asking ---- */

bool access_logs_in(const struct access *access)
{
	return access->logs_in;
}

bool access_is_administrator(const struct access *access)
{
	return access->administrator;
}

struct question { const struct access *access; int number; };       /* number 0: any permit */

static bool is_given(const struct kind *kind, const char *id, void *data)
{
	const struct question *question = data;
	const struct place key = { kind, (char *)id };
	const struct permit_set *set = g_hash_table_lookup(question->access->given, &key);

	return set && (question->number ? set_has(set, question->number) : !set_is_empty(set));
}

static bool permits_number(const struct access *access, struct model *model, int number, const void *object)
{
	struct question question = { access, number };

	if (set_has(&access->everywhere, number))
		return true;
	return number > 0 && object && set_has(&access->somewhere, number) && climb_all(model, object, is_given, &question);
}

bool access_permits(const struct access *access, struct model *model, const char *permit, const void *object)
{
	return permits_number(access, model, permit_number(permit), object);
}

bool access_permits_somewhere(const struct access *access, const char *permit)
{
	return set_has(&access->somewhere, permit_number(permit));
}

/* Users and groups are seen by themselves; what a permission or an event says of them, too. */
static bool is_about_me(const struct access *access, const struct kind *kind, const void *object)
{
	if (kind == &user_kind)
		return strcmp(object_id(object), access->user_id) == 0;
	if (kind == &permission_kind)
		return g_strcmp0(((const struct permission *)object)->user.id, access->user_id) == 0;
	return kind == &event_kind && g_strcmp0(((const struct event *)object)->user.id, access->user_id) == 0;
}

bool access_sees_all(const struct access *access, bool filter)
{
	return !set_is_empty(&access->everywhere) || (access->administrator && !filter);
}

bool access_sees(const struct access *access, struct model *model, const void *object, bool filter)
{
	const struct kind *kind = kind_of(object);
	struct question question = { access, 0 };

	/* what is no kind of its own (a statistic) is seen with its parent */
	if (access_sees_all(access, filter) || !kind || kind->open || is_about_me(access, kind, object))
		return true;
	const struct place key = { kind, (char *)object_id(object) };
	return (key.id && g_hash_table_contains(access->around, &key)) || climb_all(model, object, is_given, &question);
}

bool access_covers_role(const struct access *access, struct model *model, const char *role_id, const void *object, const char **ret_missing)
{
	struct role *role = model_get(model, &role_kind, role_id);
	struct permit_set set = { 0 };
	bool covered = true;

	if (role)
		set_of_role(role, &set);
	record_unref(role);
	for (int number = 1; permits[number - 1].name && covered; number++)
		if (set_has(&set, number) && !permits_number(access, model, number, object)) {
			*ret_missing = permits[number - 1].name;
			covered = false;
		}
	return covered;
}

/* ---- one kind's sight ---- */

/* Can an object of the kind be in one of the other? As climb_from() goes. */
static bool can_be_in(const struct kind *kind, const struct kind *other, unsigned depth)
{
	if (!kind || depth > DEPTH_MAX)
		return false;
	if (kind->parent && (kind->parent_kind == other || can_be_in(kind->parent_kind, other, depth + 1)))
		return true;
	for (size_t i = 0; i < kind->type->n_fields; i++) {
		const struct field *field = &kind->type->fields[i];
		const struct kind *target = field->flags & WITHIN && !(field->flags & ALIAS) && field->target ? kind_by_collection(field->target) : NULL;

		if (target && (target == other || (target != kind && can_be_in(target, other, depth + 1))))
			return true;
	}
	return false;
}

#define UPPERS_MAX 8
#define UPPER_OBJECTS_MAX 10000         /* more of them are not looked at beforehand */

/* A way up from an object of the kind, and the ids at its end that have, or are in what has, a permission. */
struct upper { const struct field *field /* NULL: the parent */; GHashTable *seen; };
struct sight {
	GHashTable *own;                /* borrowed ids */
	struct upper uppers[UPPERS_MAX];
	size_t n_uppers;
};

struct sight *sight_free(struct sight *sight)
{
	if (!sight)
		return NULL;
	g_hash_table_unref(sight->own);
	for (size_t i = 0; i < sight->n_uppers; i++)
		g_hash_table_unref(sight->uppers[i].seen);
	g_free(sight);
	return NULL;
}

static void add_own(GHashTable *ids, GHashTable *places, const struct kind *kind)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, places);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct place *place = key;

		if (place->kind == kind)
			g_hash_table_add(ids, place->id);
	}
}

/* Is a permission given on an object that one of the kind is, or can be in? */
static bool leads_to_given(const struct access *access, const struct kind *kind)
{
	const struct kind *outside = NULL;             /* the last one of which it is known that none of the kind is in it */
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, access->given);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const struct place *place = key;

		if (place->kind == outside)
			continue;
		if (place->kind == kind || can_be_in(kind, place->kind, 0))
			return true;
		outside = place->kind;
	}
	return false;
}

static bool add_upper(struct sight *sight, const struct access *access, struct model *model, const struct kind *kind, const struct field *field)
{
	struct question question = { access, 0 };
	struct upper *upper = &sight->uppers[sight->n_uppers];

	if (!kind || !leads_to_given(access, kind))
		return true;
	if (sight->n_uppers == UPPERS_MAX || model_count(model, kind) > UPPER_OBJECTS_MAX)
		return false;
	*upper = (struct upper){ field, g_hash_table_new_full(id_hash, g_str_equal, g_free, NULL) };
	sight->n_uppers++;
	g_autoptr(GPtrArray) objects = model_list(model, kind);
	for (guint i = 0; i < objects->len; i++)
		if (climb_all(model, objects->pdata[i], is_given, &question))
			g_hash_table_add(upper->seen, g_strdup(object_id(objects->pdata[i])));
	return true;
}

struct sight *access_sight(const struct access *access, struct model *model, const struct kind *kind, bool filter)
{
	struct sight *sight;
	bool told = true;

	if (access_sees_all(access, filter) || kind->open || kind == &user_kind || kind == &permission_kind || kind == &event_kind)
		return NULL;
	sight = g_new0(struct sight, 1);
	sight->own = g_hash_table_new(id_hash, g_str_equal);
	add_own(sight->own, access->given, kind);
	add_own(sight->own, access->around, kind);
	if (kind->parent)
		told = add_upper(sight, access, model, kind->parent_kind, NULL);
	for (size_t i = 0; i < kind->type->n_fields && told; i++) {
		const struct field *field = &kind->type->fields[i];

		if (field->flags & WITHIN && !(field->flags & ALIAS) && field->target)
			told = add_upper(sight, access, model, kind_by_collection(field->target), field);
	}
	return told ? sight : sight_free(sight);
}

static bool upper_sees(const struct upper *upper, const char *id)
{
	return id && g_hash_table_contains(upper->seen, id);
}

bool sight_sees(const void *record, void *data)
{
	const struct sight *sight = data;

	if (g_hash_table_contains(sight->own, object_id(record)))
		return true;
	for (size_t i = 0; i < sight->n_uppers; i++) {
		const struct upper *upper = &sight->uppers[i];
		const void *at = upper->field ? (const char *)record + upper->field->offset : NULL;
		const GPtrArray *list = at && upper->field->kind == FIELD_LIST ? *(GPtrArray *const *)at : NULL;

		if (at && upper->field->kind == FIELD_REF ? upper_sees(upper, ((const struct ref *)at)->id) : !at && upper_sees(upper, object_parent(record)))
			return true;
		for (guint j = 0; list && j < list->len; j++)
			if (upper_sees(upper, object_id(list->pdata[j])))
				return true;
	}
	return false;
}

GHashTable *sight_ids(const struct sight *sight)
{
	return sight->n_uppers ? NULL : sight->own;
}
