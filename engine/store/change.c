/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes: what is to be put and removed together, and whether it may.
 *
 * The caller's thread collects the items; the writer's thread (store.c) applies them to the overlay, the newest state, in which the rules are checked:
 *
 *	base       what is replaced or removed is still the newest version                            ERR_CONFLICT, ERR_NOT_FOUND
 *	unique     no other object of the kind (within its parent) has the same value                 ERR_OPERATION_FAILED
 *	targets    what a reference names exists; WEAK references are not looked at                    ERR_NOT_FOUND
 *	referrers  nothing that stays refers to what goes; owned children and permissions go along     ERR_OPERATION_FAILED
 *
 * Items may come in any order: they are all in the overlay before the last three rules are checked.
 */
#include "common/error.h"
#include "common/lane.h"
#include "common/loop.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/model/permission.h"
#include "engine/store/store-priv.h"
#include <string.h>

/* ---- collecting ---- */

static void item_clear(void *data)
{
	struct item *item = data;

	g_free(item->id);
	record_unref(item->base);
	record_unref(item->record);
}

struct change *change_new(struct store *store)
{
	struct change *change = g_new0(struct change, 1);

	change->store = store;
	change->items = g_array_new(FALSE, FALSE, sizeof(struct item));
	g_array_set_clear_func(change->items, item_clear);
	change->checks = g_array_new(FALSE, FALSE, sizeof(struct check));
	sem_init(&change->finished, /* pshared= */ 0, 0);
	return change;
}

void change_free(struct change *change)
{
	if (!change)
		return;
	g_array_unref(change->items);
	g_array_unref(change->checks);
	sem_destroy(&change->finished);
	g_clear_error(&change->error);
	g_free(change);
}

static void add_item(struct change *change, enum item_op op, const void *base, const void *record)
{
	struct item item = { .op = op, .kind = kind_of(base ? base : record), .base = record_ref(base), .record = record_ref(record) };
	const char *id = object_id(base ? base : record);

	g_assert(item.kind && !item.kind->transient);
	if (item.record && ((struct record *)item.record)->type != item.kind->type)
		((struct record *)item.record)->type = item.kind->type;      /* a view of the kind's type has the same rows */
	item.id = g_strdup(id);
	g_array_append_val(change->items, item);
}

static void set_id(void *record, char *id)
{
	struct { struct record record; char *id; } *object = record;

	object->id = id;
}

void change_add(struct change *change, void *record)
{
	if (!object_id(record) && !kind_of(record)->sequence)
		set_id(record, g_uuid_string_random());
	add_item(change, ITEM_ADD, NULL, record);
}

void change_replace(struct change *change, const void *base, void *record)
{
	add_item(change, ITEM_REPLACE, base, record);
}

void change_remove(struct change *change, const void *base)
{
	add_item(change, ITEM_REMOVE, base, NULL);
}

void change_check(struct change *change, bool (*check)(struct model *model, void *data, GError **error), void *data)
{
	struct check entry = { check, data };

	g_array_append_val(change->checks, entry);
}

static struct event *make_event(int code, const struct actor *actor, void *const *refs, const char *format, va_list arguments) G_GNUC_PRINTF(4, 0);

static struct event *make_event(int code, const struct actor *actor, void *const *refs, const char *format, va_list arguments)
{
	struct event *event = record_new(&event_type);

	event->description = g_strdup_vprintf(format, arguments);
	SET(event, code, code);
	SET(event, severity, (int)event_severity(code));
	SET(event, time, wall_msec());
	SET(event, custom_id, -1);
	SET(event, flood_rate, 30);
	set_string(&event->origin, EVENT_ORIGIN);
	if (actor) {
		set_string(&event->correlation_id, actor->correlation_id);
		set_ref(&event->user, actor->user_id);
	}
	for (; refs && *refs; refs++)
		event_refer(event, *refs);
	return event;
}

static void take_event(struct change *change, struct event *event)
{
	change_add(change, event);
	record_unref(event);
}

void change_event(struct change *change, int code, const struct actor *actor, void *const *refs, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	take_event(change, make_event(code, actor, refs, format, arguments));
	va_end(arguments);
}

bool change_commit(struct change *change, GError **error)
{
	bool done = !change->items->len || store_submit(change->store, change, error);

	change_free(change);
	return done;
}

/* ---- the overlay ---- */

static uint32_t hash_of(const struct kind *kind, const char *id)
{
	return g_str_hash(id) ^ (uint32_t)((uintptr_t)kind >> 4);
}

static const struct pending *overlay_pending(const struct overlay *overlay, const struct kind *kind, const char *id)
{
	uint32_t hash = hash_of(kind, id);

	for (unsigned i = overlay->pending->len; i > 0; i--) {
		const struct pending *pending = &g_array_index(overlay->pending, struct pending, i - 1);

		if (pending->hash == hash && pending->kind == kind && !strcmp(pending->id, id))
			return pending;
	}
	return NULL;
}

/* The newest version, a new reference. */
static void *newest(const struct overlay *overlay, const struct kind *kind, const char *id)
{
	const struct pending *pending = overlay_pending(overlay, kind, id);

	return pending ? record_ref(pending->record) : model_get(overlay->model, kind, id);
}

static void overlay_put(struct overlay *overlay, const struct item *item)
{
	struct pending pending = { item->kind, item->id, item->record, hash_of(item->kind, item->id) };

	g_array_append_val(overlay->pending, pending);
}

/* All objects of the kind in their newest versions: fn until it returns false. */
static void each_newest(const struct overlay *overlay, const struct kind *kind, GPtrArray *candidates, bool (*fn)(void *record, void *data), void *data)
{
	for (unsigned i = 0; i < candidates->len; i++)
		if (!overlay_pending(overlay, kind, object_id(candidates->pdata[i])) && !fn(candidates->pdata[i], data))
			return;
	for (unsigned i = 0; i < overlay->pending->len; i++) {
		const struct pending *pending = &g_array_index(overlay->pending, struct pending, i);

		if (pending->kind == kind && pending->record && overlay_pending(overlay, kind, pending->id) == pending && !fn(pending->record, data))
			return;
	}
}

/* ---- words ---- */

/* "cluster 'Default'" */
static char *describe(const void *record)
{
	g_autofree char *noun = g_strdelimit(g_strdup(((const struct record *)record)->type->name), "_", ' ');
	const char *name = object_name(record);

	return g_strdup_printf("%s '%s'", noun, name ? name : object_id(record));
}

static const char *collection_noun(const char *collection)
{
	const struct kind *kind = kind_by_collection(collection);

	return kind ? kind->type->name : collection;
}

/* ---- rules ---- */

static bool check_base(const struct item *item, const struct overlay *overlay, GError **error)
{
	void *now = newest(overlay, item->kind, item->id);
	bool there = now != NULL, same = now == item->base;

	record_unref(now);
	if (!item->base) {              /* ITEM_ADD */
		if (there) {
			g_autofree char *what = describe(item->record);

			error_set(error, ERR_OPERATION_FAILED, "%s exists already (id '%s')", what, item->id);
		}
		return !there;
	}
	if (!there) {
		g_autofree char *what = describe(item->base);

		error_set(error, ERR_NOT_FOUND, "%s does not exist any more", what);
		return false;
	}
	if (!same) {
		g_autofree char *what = describe(item->base);

		error_set(error, ERR_CONFLICT, "%s was changed by somebody else meanwhile", what);
	}
	return same;
}

/* Whose it is when it has no parent; NULL: nobody's. */
static const char *other_parent(const void *record)
{
	const struct kind *kind = kind_of(record);

	return kind->other_parent ? ((const struct ref *)(const void *)((const char *)record + kind->other_parent))->id : NULL;
}

struct rival { const void *record; const struct field *field; const char *text; void *found; };

static bool is_rival(void *record, void *data)
{
	struct rival *rival = data;
	g_autofree char *text = NULL;

	if (!strcmp(object_id(record), object_id(rival->record)) || g_strcmp0(object_parent(record), object_parent(rival->record)) ||
	    g_strcmp0(other_parent(record), other_parent(rival->record)))
		return true;
	text = record_text(record, rival->field);
	if (text && !g_ascii_strcasecmp(text, rival->text))
		rival->found = record;
	return !rival->found;
}

static bool check_unique_member(const struct item *item, const struct field *field, const struct overlay *overlay, GError **error)
{
	g_autofree char *text = record_text(item->record, field), *what = NULL;
	struct rival rival = { item->record, field, text, NULL };
	g_autoptr(GPtrArray) candidates = NULL;

	if (!text || !*text || (item->base && record_member_equal(item->base, item->record, field) &&
				!g_strcmp0(object_parent(item->base), object_parent(item->record))))
		return true;
	if (field->offset == sizeof(struct record) + sizeof(char *) && (!item->kind->parent || object_parent(item->record))) {
		void *found = model_find(overlay->model, item->kind, object_parent(item->record), text);

		candidates = g_ptr_array_new_with_free_func(record_unref);
		if (found)
			g_ptr_array_add(candidates, found);
	} else {
		candidates = model_list(overlay->model, item->kind);
	}
	each_newest(overlay, item->kind, candidates, is_rival, &rival);
	if (!rival.found)
		return true;
	what = describe(rival.found);
	error_set(error, ERR_OPERATION_FAILED, "%s '%s' is already used by %s", field->path, text, what);
	return false;
}

static bool check_unique(const struct item *item, const struct overlay *overlay, GError **error)
{
	const struct record_type *type = item->kind->type;

	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].flags & UNIQUE && !check_unique_member(item, &type->fields[i], overlay, error))
			return false;
	return true;
}

struct targets { const struct item *item; const struct overlay *overlay; GError **error; bool good; };

static bool check_target(const struct field *field, const char *id, void *data)
{
	struct targets *targets = data;
	const struct kind *kind = kind_by_collection(field->target);
	void *found;

	if (field->flags & WEAK || !kind)
		return true;
	found = newest(targets->overlay, kind, id);
	targets->good = found != NULL;
	record_unref(found);
	if (!targets->good) {
		g_autofree char *what = describe(targets->item->record);

		error_set(targets->error, ERR_NOT_FOUND, "%s: %s: there is no %s with id '%s'", what, field->path, collection_noun(field->target), id);
	}
	return targets->good;
}

static bool check_targets(const struct item *item, const struct overlay *overlay, GError **error)
{
	struct targets targets = { item, overlay, error, true };

	record_each_ref(item->record, check_target, &targets);
	return targets.good;
}

struct referrer { const struct kind *kind; const char *id; const void *looking; void *found; unsigned count; bool hit; };

static bool names_it(const struct field *field, const char *id, void *data)
{
	struct referrer *referrer = data;

	referrer->hit = !(field->flags & WEAK) && !strcmp(field->target, referrer->kind->collection) && !strcmp(id, referrer->id);
	return !referrer->hit;
}

static bool note_referrer(void *record, void *data)
{
	struct referrer *referrer = data;

	referrer->hit = false;
	record_each_ref(record, names_it, referrer);
	if (referrer->hit) {
		referrer->count++;
		if (!referrer->found)
			referrer->found = record_ref(record);
	}
	return true;
}

/* Has the kind references that hold objects of `target`? *ret_parent: only as the parent, which has an index. */
static bool kind_refers(const struct kind *kind, const struct kind *target, bool *ret_parent)
{
	bool refers = false;

	*ret_parent = true;
	for (size_t i = 0; i < kind->type->n_fields; i++) {
		const struct field *field = &kind->type->fields[i];

		if (!field->target || field->flags & (WEAK | ALIAS | VOLATILE_ | INPUT_ONLY) || strcmp(field->target, target->collection))
			continue;
		refers = true;
		if (!kind->parent || field->offset != kind->parent)
			*ret_parent = false;
	}
	return refers;
}

static bool check_referrers(const struct item *item, const struct overlay *overlay, GError **error)
{
	for (size_t i = 0; kinds[i]; i++) {
		struct referrer referrer = { .kind = item->kind, .id = item->id };
		g_autoptr(GPtrArray) candidates = NULL;
		g_autofree char *what = NULL, *who = NULL, *more = NULL;
		bool parent;

		if (!kind_refers(kinds[i], item->kind, &parent))
			continue;
		candidates = parent ? model_children(overlay->model, kinds[i], item->id) : model_list(overlay->model, kinds[i]);
		each_newest(overlay, kinds[i], candidates, note_referrer, &referrer);
		if (!referrer.found)
			continue;
		what = describe(item->base);
		who = describe(referrer.found);
		more = referrer.count > 1 ? g_strdup_printf(" and %u more", referrer.count - 1) : g_strdup("");
		error_set(error, ERR_OPERATION_FAILED, "%s cannot be removed: it is used by %s%s", what, who, more);
		record_unref(referrer.found);
		return false;
	}
	return true;
}

static void take_along(struct change *change, struct overlay *overlay, const void *record)
{
	add_item(change, ITEM_REMOVE, record, NULL);
	overlay_put(overlay, &g_array_index(change->items, struct item, change->items->len - 1));
}

static bool collect(void *record, void *data)
{
	g_ptr_array_add(data, record_ref(record));
	return true;
}

/* Objects of a kind that name the removed one in a reference that FOLLOWS. */
static void add_followers(const struct kind *follower, const struct kind *kind, const char *id, struct overlay *overlay, GPtrArray *going)
{
	for (size_t i = 0; i < follower->type->n_fields; i++) {
		const struct field *field = &follower->type->fields[i];
		g_autoptr(GPtrArray) referring = NULL;

		if (!(field->flags & FOLLOWS) || strcmp(field->target, kind->collection))
			continue;
		referring = model_referring(overlay->model, follower, field->offset, id);
		for (unsigned j = 0; j < referring->len; j++)
			if (!overlay_pending(overlay, follower, object_id(referring->pdata[j])))
				g_ptr_array_add(going, record_ref(referring->pdata[j]));
	}
}

/* What goes along with a removed object. */
static void remove_company(struct change *change, struct overlay *overlay, const struct kind *kind, const char *id)
{
	g_autoptr(GPtrArray) going = g_ptr_array_new_with_free_func(record_unref), permissions = model_list(overlay->model, &permission_kind);

	for (size_t i = 0; kinds[i]; i++)
		if (kind_is_owned(kinds[i]) && kinds[i]->parent_kind == kind) {
			g_autoptr(GPtrArray) children = model_children(overlay->model, kinds[i], id);

			/* the overlay's own are told apart below: each_newest gives all it holds of the kind */
			each_newest(overlay, kinds[i], children, collect, going);
		}
	for (unsigned i = going->len; i > 0; i--)
		if (g_strcmp0(object_parent(going->pdata[i - 1]), id))
			g_ptr_array_remove_index(going, i - 1);
	for (size_t i = 0; kinds[i]; i++)
		add_followers(kinds[i], kind, id, overlay, going);
	for (unsigned i = 0; i < permissions->len; i++) {
		const struct permission *permission = permissions->pdata[i];

		if (!g_strcmp0(permission->object_id, id) && !g_strcmp0(permission->object_kind, kind->collection) &&
		    !overlay_pending(overlay, &permission_kind, permission->id))
			g_ptr_array_add(going, record_ref(permissions->pdata[i]));
	}
	for (unsigned i = 0; i < going->len; i++)
		take_along(change, overlay, going->pdata[i]);
}

static void number(struct change *change, struct item *item)
{
	if (item->id)
		return;
	if (!object_id(item->record))
		set_id(item->record, g_strdup_printf("%" G_GINT64_FORMAT, store_number(change->store, item->kind)));
	item->id = g_strdup(object_id(item->record));
}

static bool apply(struct change *change, struct overlay *overlay, GError **error)
{
	unsigned given;

	for (unsigned i = 0; i < change->checks->len; i++) {
		const struct check *check = &g_array_index(change->checks, struct check, i);

		if (!check->run(overlay->model, check->data, error))
			return false;
	}
	for (unsigned i = 0; i < change->items->len; i++) {
		struct item *item = &g_array_index(change->items, struct item, i);

		number(change, item);
		if (!check_base(item, overlay, error))
			return false;
		overlay_put(overlay, item);
	}
	given = change->items->len;
	for (unsigned i = 0; i < given; i++) {
		const struct item *item = &g_array_index(change->items, struct item, i);

		if (item->op == ITEM_REMOVE)
			remove_company(change, overlay, item->kind, item->id);
	}
	for (unsigned i = 0; i < change->items->len; i++) {
		const struct item *item = &g_array_index(change->items, struct item, i);

		if (item->op == ITEM_REMOVE ? !check_referrers(item, overlay, error) :
					      !check_unique(item, overlay, error) || !check_targets(item, overlay, error))
			return false;
	}
	return true;
}

bool change_apply(struct change *change, struct overlay *overlay, GError **error)
{
	unsigned before = overlay->pending->len;

	g_array_set_size(change->items, change->given);      /* what an earlier try added */
	if (apply(change, overlay, error))
		return true;
	g_array_set_size(overlay->pending, before);
	return false;
}

/* ---- shorthands ---- */

static struct stripe *stripe_of(struct store *store, const char *id)
{
	return &store->stripes[g_str_hash(id) % G_N_ELEMENTS(store->stripes)];
}

enum attempt { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_AGAIN };

static enum attempt modify_once(struct store *store, const struct kind *kind, const char *id, store_edit edit, void *data, void **ret_record, GError **error)
{
	void *base = model_get(store->model, kind, id), *copy;
	enum attempt result = ATTEMPT_DONE;
	struct change *change;
	GError *problem = NULL;

	if (!base) {
		error_set(error, ERR_NOT_FOUND, "%s '%s'", kind->type->name, id);
		return ATTEMPT_FAILED;
	}
	copy = record_copy(base);
	change = change_new(store);
	if (edit(copy, change, data, &problem)) {
		change_replace(change, base, copy);
		(void)change_commit(change, &problem);
		if (!problem && ret_record)
			*ret_record = record_ref(copy);
	} else {
		change_free(change);
		if (!problem && ret_record)
			*ret_record = record_ref(base);
	}
	if (problem) {
		result = error_is(problem, ERR_CONFLICT) ? ATTEMPT_AGAIN : ATTEMPT_FAILED;
		g_clear_error(error);
		g_propagate_error(error, problem);
	}
	record_unref(copy);
	record_unref(base);
	return result;
}

#define MODIFY_ATTEMPTS 20

bool store_modify(struct store *store, const struct kind *kind, const char *id, store_edit edit, void *data, void **ret_record, GError **error)
{
	struct stripe *stripe = stripe_of(store, id);
	enum attempt attempt = ATTEMPT_AGAIN;
	g_autoptr(GError) problem = NULL;

	/*
	 * Who loses takes turns with the others that lost, and while there are such, newcomers queue up behind them: nobody starves. The holder of the turn
	 * can lose only to those that were on their way before.
	 */
	if (!g_atomic_int_get(&stripe->contended))
		attempt = modify_once(store, kind, id, edit, data, ret_record, &problem);
	if (attempt == ATTEMPT_AGAIN) {
		g_atomic_int_inc(&stripe->contended);
		lane_wait_begin();
		pthread_mutex_lock(&stripe->turn);
		lane_wait_end();
		for (int i = 1; attempt == ATTEMPT_AGAIN && i < MODIFY_ATTEMPTS; i++)
			attempt = modify_once(store, kind, id, edit, data, ret_record, &problem);
		pthread_mutex_unlock(&stripe->turn);
		(void)g_atomic_int_dec_and_test(&stripe->contended);
	}
	if (attempt == ATTEMPT_DONE)
		return true;
	g_propagate_error(error, g_steal_pointer(&problem));
	return false;
}

static void write_event(struct store *store, struct event *event)
{
	struct change *change = change_new(store);
	g_autoptr(GError) error = NULL;

	take_event(change, event);
	(void)change_commit(change, &error);      /* store.c has logged why: a lost event must not fail what it tells of */
}

void store_event(struct store *store, int code, const struct actor *actor, void *const *refs, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_event(store, make_event(code, actor, refs, format, arguments));
	va_end(arguments);
}

void store_event_once(struct store *store, int code, const struct actor *actor, void *const *refs, const char *format, ...)
{
	va_list arguments;
	struct event *event, *recent;

	va_start(arguments, format);
	event = make_event(code, actor, refs, format, arguments);
	va_end(arguments);
	recent = event_recent(store->model, event);
	if (recent)
		record_unref(event);
	else
		write_event(store, event);
	record_unref(recent);
}
