/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a type: its table worked up once for readers and writers. See record-priv.h.
 *
 * Registry: a fixed number of buckets with prepend-only chains. A reader follows a chain with one acquire load; a plan is built under a
 * mutex and published complete. Nothing is ever removed.
 */
#include "common/record-priv.h"
#include <string.h>

#define BUCKETS 1024

static struct plan *buckets[BUCKETS];
static GMutex building;

static uint32_t hash_name(const char *name, size_t length, uintptr_t seed)
{
	uint32_t hash = 2166136261u ^ (uint32_t)(seed >> 4);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static bool name_ok(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!g_ascii_isalnum(name[i]) && !strchr("_-.", name[i]))
			return false;
	return length > 0;
}

static char *name_copy(const char *name, size_t length)
{
	char *copy = g_malloc0(MAX(length + 1, NAME_BYTES));

	memcpy(copy, name, length);
	return copy;
}

/* The child of that name, made when it is not there. */
static struct node *grow_child(struct plan *plan, struct node *parent, const char *name, size_t length, bool attribute)
{
	struct node **at = &parent->first, *node;

	for (; *at; at = &(*at)->next) {
		if ((*at)->attribute == attribute && (*at)->length == length && !memcmp((*at)->name, name, length))
			return *at;
		if (attribute && !(*at)->attribute)
			break;
	}
	if (!name_ok(name, length))
		g_error("record type %s: bad name '%.*s' in a path", plan->type->name, (int)length, name);
	node = g_new0(struct node, 1);
	node->name = name_copy(name, length);
	node->length = (uint16_t)length;
	node->attribute = attribute;
	node->parent = parent;
	node->path = g_strconcat(parent->path, attribute ? "@" : *parent->path ? "/" : "", node->name, NULL);
	node->next = *at;
	*at = node;
	plan->n_nodes++;
	return node;
}

static struct node *grow_path(struct plan *plan, const char *path)
{
	struct node *node = plan->root;
	bool attribute = false;

	while (*path) {
		size_t length;

		if (*path == '@') {
			attribute = true;
			path++;
		}
		length = strcspn(path, "/@");
		node = grow_child(plan, node, path, length, attribute);
		path += length;
		if (attribute && *path)
			g_error("record type %s: path continues after the attribute of '%s'", plan->type->name, node->path);
		if (*path == '/')
			path++;
	}
	return node;
}

static void add_flat(struct plan *plan, const struct member *member)
{
	const char *path = member->field->path;
	size_t length = strlen(path);

	if (member->field->flags & (VOLATILE_ | INPUT_ONLY))
		return;
	plan->flat[plan->n_flat++] = (struct node){
		.name = name_copy(path, length), .path = path, .length = (uint16_t)length, .index = member->index, .field = member->field, .input = member->field,
	};
}

static uint8_t written_in(const struct field *field)
{
	uint8_t bits = 0;

	if (field->flags & ALIAS)
		return 0;
	if (!(field->flags & (SECRET | INTERNAL | INPUT_ONLY)) && field->kind != FIELD_JSON)
		bits |= DIALECT_BIT(RECORD_REST);
	if (!(field->flags & INTERNAL))
		bits |= DIALECT_BIT(RECORD_CHANNEL);
	if (!(field->flags & (VOLATILE_ | INPUT_ONLY)))
		bits |= DIALECT_BIT(RECORD_STORE);
	return bits;
}

static void place_node(struct plan *plan, struct node *node)
{
	uint32_t slot = hash_name(node->name, node->length, (uintptr_t)node->parent) & plan->node_mask;

	while (plan->node_slots[slot])
		slot = (slot + 1) & plan->node_mask;
	plan->node_slots[slot] = node;
}

/* Everything that needs the whole tree. Returns whether a member (not an alias) is at or below the node. */
static bool finish_node(struct plan *plan, struct node *node)
{
	const struct node *lists = NULL;
	unsigned others = 0;
	bool below = false;

	node->live = node->written;
	if (node->field && node->field->flags & HEAD)
		node->head = true;
	for (struct node *child = node->first; child; child = child->next) {
		if (finish_node(plan, child))
			below = true;
		node->live |= child->live;
		node->head |= child->head;
		if (child->input && (child->input->kind == FIELD_LIST || child->input->kind == FIELD_STRINGS) && !lists)
			lists = child;
		else
			others++;
		place_node(plan, child);
	}
	node->object = below;
	if (lists && !others && !node->input && node->parent)
		node->sole_list = lists;
	return below || node->field;
}

static uint32_t slots_for(unsigned count)
{
	uint32_t slots = 8;

	while (slots < count * 2)
		slots *= 2;
	return slots;
}

static bool single_value(enum field_kind kind)
{
	return kind != FIELD_REF && kind != FIELD_STRINGS && kind != FIELD_LIST && kind != FIELD_RECORD && kind != FIELD_JSON;
}

/* Kinds that can share a member of the struct. */
static enum field_kind memory_of(enum field_kind kind)
{
	return kind == FIELD_UUID ? FIELD_STRING : kind == FIELD_ENUM ? FIELD_INT : kind == FIELD_TIME ? FIELD_LONG : kind;
}

static struct plan *plan_new(const struct record_type *type)
{
	struct plan *plan = g_new0(struct plan, 1);

	plan->type = type;
	plan->name_length = strlen(type->name);
	plan->name = name_copy(type->name, plan->name_length);
	plan->root = g_new0(struct node, 1);
	plan->root->name = plan->root->path = "";
	plan->members = g_new0(struct member, type->n_fields + 1);
	plan->regex = g_new0(GRegex *, type->n_fields + 1);
	plan->index_at = g_malloc(type->size);
	memset(plan->index_at, PLAN_NO_MEMBER, type->size);
	if (type->n_fields > RECORD_FIELDS_MAX)
		g_error("record type %s: %zu members, at most %d", type->name, type->n_fields, RECORD_FIELDS_MAX);

	/* the first row that is no alias owns the memory; an alias of nothing owns its own */
	for (int aliases = 0; aliases < 2; aliases++)
		for (size_t i = 0; i < type->n_fields; i++) {
			const struct field *field = &type->fields[i];

			if (field->offset < sizeof(struct record) || field->offset >= type->size)
				g_error("record type %s: member '%s' lies outside the struct", type->name, field->path);
			if (!!(field->flags & ALIAS) == !!aliases && plan->index_at[field->offset] == PLAN_NO_MEMBER)
				plan->index_at[field->offset] = (uint8_t)i;
		}
	for (size_t i = 0; i < type->n_fields; i++)
		if (plan->index_at[type->fields[i].offset] == i)
			plan->members[plan->n_members++] = (struct member) { &type->fields[i], (uint8_t)i };
	plan->flat = g_new(struct node, plan->n_members + 1);
	for (unsigned i = 0; i < plan->n_members; i++)
		add_flat(plan, &plan->members[i]);

	plan->path_mask = slots_for((unsigned)type->n_fields) - 1;
	plan->path_slots = g_new0(const struct field *, plan->path_mask + 1);
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i], *owner = &type->fields[plan->index_at[field->offset]];
		struct node *node = grow_path(plan, field->path);
		uint32_t slot = hash_name(field->path, strlen(field->path), 0) & plan->path_mask;

		if ((field->kind == FIELD_LIST || field->kind == FIELD_RECORD) && !field->item)
			g_error("record type %s: member '%s' has no item type", type->name, field->path);
		if (field->kind == FIELD_ENUM && !field->names)
			g_error("record type %s: member '%s' has no names", type->name, field->path);
		if (memory_of(field->kind) != memory_of(owner->kind))
			g_error("record type %s: member '%s' is of another kind than '%s'", type->name, field->path, owner->path);
		if ((node->attribute || node == plan->root) && !single_value(field->kind))
			g_error("record type %s: '%s' cannot be an attribute or a text", type->name, field->path);
		while (plan->path_slots[slot])
			slot = (slot + 1) & plan->path_mask;
		plan->path_slots[slot] = field;
		if (field->flags & ALIAS ? !node->input : !node->field) {
			node->input = field;
			node->main = owner;
			if (!(field->flags & ALIAS)) {
				node->field = field;
				node->index = plan->index_at[field->offset];
				node->written = written_in(field);
			}
		}
	}
	plan->node_mask = slots_for(plan->n_nodes) - 1;
	plan->node_slots = g_new0(struct node *, plan->node_mask + 1);
	(void)finish_node(plan, plan->root);
	return plan;
}

const struct plan *record_plan(const struct record_type *type)
{
	struct plan **bucket = &buckets[((uintptr_t)type >> 4 ^ (uintptr_t)type >> 14) % BUCKETS], *plan;

	for (plan = g_atomic_pointer_get(bucket); plan; plan = plan->next)
		if (plan->type == type)
			return plan;
	g_mutex_lock(&building);
	for (plan = *bucket; plan && plan->type != type; plan = plan->next)
		;
	if (!plan) {
		plan = plan_new(type);
		plan->next = *bucket;
		g_atomic_pointer_set(bucket, plan);
	}
	g_mutex_unlock(&building);
	return plan;
}

const struct plan *node_item_plan(const struct node *node)
{
	gsize *cache = (gsize *)&node->item_plan;      /* set once, to the same value by whoever comes first */
	const struct plan *plan = (const struct plan *)g_atomic_pointer_get(cache);

	if (!plan) {
		plan = record_plan(node->input->item);
		g_atomic_pointer_set(cache, (gsize)plan);
	}
	return plan;
}

const struct node *plan_child(const struct plan *plan, const struct node *parent, const char *name, size_t length, enum node_sort sort)
{
	uint32_t slot = hash_name(name, length, (uintptr_t)parent) & plan->node_mask;
	const struct node *second = NULL;

	for (const struct node *node; (node = plan->node_slots[slot]) != NULL; slot = (slot + 1) & plan->node_mask) {
		if (node->parent != parent || node->length != length || memcmp(node->name, name, length))
			continue;
		if (sort == NODE_ANY ? !node->attribute : node->attribute == (sort == NODE_ATTRIBUTE))
			return node;
		if (sort == NODE_ANY)
			second = node;
	}
	return second;
}

const struct field *plan_field(const struct plan *plan, const char *path, size_t length)
{
	uint32_t slot = hash_name(path, length, 0) & plan->path_mask;

	for (const struct field *field; (field = plan->path_slots[slot]) != NULL; slot = (slot + 1) & plan->path_mask)
		if (!strncmp(field->path, path, length) && !field->path[length])
			return field;
	return NULL;
}

const struct field *plan_owner(const struct plan *plan, const struct field *field)
{
	return &plan->type->fields[plan->index_at[field->offset]];
}

GRegex *plan_regex(const struct plan *plan, const struct field *field)
{
	GRegex **slot = &plan->regex[field - plan->type->fields], *regex = g_atomic_pointer_get(slot);

	if (!regex) {
		g_autofree char *whole = g_strdup_printf("(?:%s)\\z", field->pattern);
		g_autoptr(GError) error = NULL;

		regex = g_regex_new(whole, G_REGEX_ANCHORED | G_REGEX_OPTIMIZE, 0, &error);
		if (!regex)
			g_error("record type %s: pattern of '%s': %s", plan->type->name, field->path, error->message);
		if (!g_atomic_pointer_compare_and_exchange(slot, NULL, regex)) {
			g_regex_unref(regex);
			regex = g_atomic_pointer_get(slot);
		}
	}
	return regex;
}
