/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model. See model.h.
 *
 * Each kind has a table: its entries in order of creation, and three hash chains through them: by id, by name (case folded, within the parent) and by
 * group: the parent, or what the kind names. Names are not kept folded, only their hashes are. How they begin stands beside the order, eight letters
 * each, and which pairs of letters its texts have (text_sign.h): a search for such goes through one array and not through memory from end to end.
 *
 * One read-write lock covers all tables, so that a set of changes is seen whole or not at all. Readers hold it while they copy pointers and take
 * references, model_select() and model_select_page() while they look which;
 * the writer (one, the store's thread) while it swaps pointers. What is dropped is freed after the lock. Writers go first: publishing must
 * not starve behind a stream of readers. The lock is not recursive: no call from here reaches the model again.
 */
#include "engine/model/kinds.h"
#include "engine/model/model.h"
#include "engine/model/name_start.h"
#include <pthread.h>
#include <string.h>

struct entry {
	void *record;
	uint64_t serial;                       /* order of creation */
	struct entry *next_id, *next_name, *next_group;
	uint32_t id_hash, name_hash, group_hash;
};

struct table {
	const struct kind *kind;
	GPtrArray *order;                      /* struct entry, by serial; may hold NULL while changes are applied */
	GArray *starts;                        /* uint64_t for each of the order: engine/model/name_start.h */
	GPtrArray *texts;                      /* struct field: the members whose pairs of letters are kept... */
	GArray *signs;                         /* ...struct text_sign for each of the order */
	GPtrArray *within;                     /* struct field: the members that name what an object is in, beside its parent */
	struct entry **by_id, **by_name, **by_group;
	uint32_t mask;
	uint32_t count;
	uint32_t holes;
	bool named;
	uint64_t version;
};

struct model {
	pthread_rwlock_t lock;
	uint64_t serial, moves;
	struct table *tables;                  /* in the order of kinds[] */
	size_t n_tables;
};

/* ---- hashes ---- */

static uint32_t hash_bytes(const char *text, uint32_t hash)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

static uint32_t mix(uint32_t hash)
{
	hash ^= hash >> 15;
	hash *= 0x2c1b3c6du;
	return hash ^ hash >> 13;
}

static uint32_t hash_id(const char *id)
{
	return mix(hash_bytes(id, 2166136261u));
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if (*text & 0x80)
			return false;
	return true;
}

static uint32_t hash_name(const char *name, const char *parent)
{
	uint32_t hash = parent ? hash_bytes(parent, 2166136261u) : 2166136261u;

	if (!is_ascii(name)) {
		g_autofree char *folded = g_utf8_casefold(name, -1);

		return mix(hash_bytes(folded, hash));
	}
	for (; *name; name++)
		hash = (hash ^ (unsigned char)g_ascii_tolower(*name)) * 16777619u;
	return mix(hash);
}

static bool same_name(const char *a, const char *b)
{
	g_autofree char *left = NULL, *right = NULL;

	if (is_ascii(a) && is_ascii(b))
		return !g_ascii_strcasecmp(a, b);
	left = g_utf8_casefold(a, -1);
	right = g_utf8_casefold(b, -1);
	return !strcmp(left, right);
}

/* ---- tables ---- */

static const char *entry_parent(const struct table *table, const struct entry *entry)
{
	return table->kind->parent ? ((struct ref *)((char *)entry->record + table->kind->parent))->id : NULL;
}

static const char *entry_name(const struct table *table, const struct entry *entry)
{
	return table->named ? object_name(entry->record) : NULL;
}

static const char *entry_group(const struct table *table, const struct entry *entry)
{
	const struct ref *group = (const struct ref *)((char *)entry->record + table->kind->group);

	return table->kind->parent ? entry_parent(table, entry) : table->kind->group ? group->id : NULL;
}

static void link_id(struct table *table, struct entry *entry)
{
	struct entry **bucket = &table->by_id[entry->id_hash & table->mask];

	entry->next_id = *bucket;
	*bucket = entry;
}

static void link_name(struct table *table, struct entry *entry)
{
	const char *name = entry_name(table, entry);
	struct entry **bucket;

	if (!name)
		return;
	entry->name_hash = hash_name(name, entry_parent(table, entry));
	bucket = &table->by_name[entry->name_hash & table->mask];
	entry->next_name = *bucket;
	*bucket = entry;
}

static void link_group(struct table *table, struct entry *entry)
{
	const char *group = entry_group(table, entry);
	struct entry **bucket;

	if (!group)
		return;
	entry->group_hash = hash_id(group);
	bucket = &table->by_group[entry->group_hash & table->mask];
	entry->next_group = *bucket;
	*bucket = entry;
}

/* An entry that is in no chain is not found: nothing to do. */
static void unlink_name(struct table *table, struct entry *entry)
{
	if (!table->named)
		return;
	for (struct entry **at = &table->by_name[entry->name_hash & table->mask]; *at; at = &(*at)->next_name)
		if (*at == entry) {
			*at = entry->next_name;
			return;
		}
}

static void unlink_group(struct table *table, struct entry *entry)
{
	if (!table->by_group)
		return;
	for (struct entry **at = &table->by_group[entry->group_hash & table->mask]; *at; at = &(*at)->next_group)
		if (*at == entry) {
			*at = entry->next_group;
			return;
		}
}

static void unlink_id(struct table *table, struct entry *entry)
{
	for (struct entry **at = &table->by_id[entry->id_hash & table->mask]; *at; at = &(*at)->next_id)
		if (*at == entry) {
			*at = entry->next_id;
			return;
		}
}

static void table_resize(struct table *table, uint32_t buckets)
{
	g_free(table->by_id);
	g_free(table->by_name);
	g_free(table->by_group);
	table->mask = buckets - 1;
	table->by_id = g_new0(struct entry *, buckets);
	table->by_name = table->named ? g_new0(struct entry *, buckets) : NULL;
	table->by_group = table->kind->parent || table->kind->group ? g_new0(struct entry *, buckets) : NULL;
	for (unsigned i = 0; i < table->order->len; i++) {
		struct entry *entry = table->order->pdata[i];

		if (!entry)
			continue;
		link_id(table, entry);
		if (table->named)
			link_name(table, entry);
		if (table->by_group)
			link_group(table, entry);
	}
}

static struct entry *table_entry(const struct table *table, const char *id)
{
	uint32_t hash = hash_id(id);

	for (struct entry *entry = table->by_id[hash & table->mask]; entry; entry = entry->next_id)
		if (entry->id_hash == hash && !strcmp(object_id(entry->record), id))
			return entry;
	return NULL;
}

/* Place of the entry in the order. Holes take the serial of nobody: step over them to the right, then to the left. */
static unsigned order_find(const struct table *table, const struct entry *entry)
{
	unsigned low = 0, high = table->order->len;

	while (low < high) {
		unsigned middle = low + (high - low) / 2, probe = middle;
		const struct entry *at;

		while (probe < high && !table->order->pdata[probe])
			probe++;
		if (probe == high) {
			high = middle;
			continue;
		}
		at = table->order->pdata[probe];
		if (at == entry)
			return probe;
		if (at->serial < entry->serial)
			low = probe + 1;
		else
			high = middle;
	}
	g_assert_not_reached();
}

static uint64_t *start_at(const struct table *table, unsigned place)
{
	return &g_array_index(table->starts, uint64_t, place);
}

static struct text_sign *sign_at(const struct table *table, unsigned place)
{
	return &g_array_index(table->signs, struct text_sign, place);
}

static struct text_sign sign_of(const struct table *table, const void *record)
{
	struct text_sign sign = { 0 };

	for (unsigned i = 0; i < table->texts->len; i++)
		text_sign_add(&sign, *(char *const *)(const void *)((const char *)record + ((const struct field *)table->texts->pdata[i])->offset));
	return sign;
}

static GPtrArray *texts_of(const struct record_type *type)
{
	GPtrArray *texts = g_ptr_array_new();

	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].kind == FIELD_STRING && type->fields[i].flags & SEARCH && !(type->fields[i].flags & ALIAS))
			g_ptr_array_add(texts, (void *)&type->fields[i]);
	return texts;
}

static void table_compact(struct table *table)
{
	unsigned kept = 0;

	if (!table->holes)
		return;
	for (unsigned i = 0; i < table->order->len; i++)
		if (table->order->pdata[i]) {
			*start_at(table, kept) = *start_at(table, i);
			*sign_at(table, kept) = *sign_at(table, i);
			table->order->pdata[kept++] = table->order->pdata[i];
		}
	g_ptr_array_set_size(table->order, (int)kept);
	g_array_set_size(table->starts, kept);
	g_array_set_size(table->signs, kept);
	table->holes = 0;
}

static struct table *table_of(struct model *model, const struct kind *kind)
{
	for (size_t i = 0; i < model->n_tables; i++)
		if (model->tables[i].kind == kind)
			return &model->tables[i];
	g_error("kind '%s' is not in kinds[]", kind->collection);
}

/* ---- life ---- */

static GPtrArray *within_of(const struct record_type *type)
{
	GPtrArray *members = g_ptr_array_new();

	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].flags & WITHIN && !(type->fields[i].flags & (ALIAS | VOLATILE_)))
			g_ptr_array_add(members, (gpointer)&type->fields[i]);
	return members;
}

struct model *model_new(void)
{
	struct model *model = g_new0(struct model, 1);
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	(void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&model->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	while (kinds[model->n_tables])
		model->n_tables++;
	model->tables = g_new0(struct table, model->n_tables);
	for (size_t i = 0; i < model->n_tables; i++) {
		struct table *table = &model->tables[i];

		table->kind = kinds[i];
		table->named = record_field_at(kinds[i]->type, sizeof(struct record) + sizeof(char *)) != NULL;
		table->order = g_ptr_array_new();
		table->starts = g_array_new(FALSE, FALSE, sizeof(uint64_t));
		table->texts = texts_of(kinds[i]->type);
		table->within = within_of(kinds[i]->type);
		table->signs = g_array_new(FALSE, FALSE, sizeof(struct text_sign));
		table_resize(table, 8);
	}
	return model;
}

struct model *model_free(struct model *model)
{
	if (!model)
		return NULL;
	for (size_t i = 0; i < model->n_tables; i++) {
		struct table *table = &model->tables[i];

		for (unsigned j = 0; j < table->order->len; j++) {
			struct entry *entry = table->order->pdata[j];

			record_unref(entry->record);
			g_free(entry);
		}
		g_ptr_array_unref(table->order);
		g_array_unref(table->starts);
		g_ptr_array_unref(table->within);
		g_array_unref(table->signs);
		g_ptr_array_unref(table->texts);
		g_free(table->by_id);
		g_free(table->by_name);
		g_free(table->by_group);
	}
	g_free(model->tables);
	pthread_rwlock_destroy(&model->lock);
	g_free(model);
	return NULL;
}

/* ---- reading ---- */

static GPtrArray *references_new(size_t room)
{
	return g_ptr_array_new_full((guint)room, record_unref);
}

void *model_get(struct model *model, const struct kind *kind, const char *id)
{
	const struct table *table = table_of(model, kind);
	const struct entry *entry;
	void *record;

	if (!id)
		return NULL;
	pthread_rwlock_rdlock(&model->lock);
	entry = table_entry(table, id);
	record = entry ? record_ref(entry->record) : NULL;
	pthread_rwlock_unlock(&model->lock);
	return record;
}

GPtrArray *model_list(struct model *model, const struct kind *kind)
{
	const struct table *table = table_of(model, kind);
	GPtrArray *list;

	pthread_rwlock_rdlock(&model->lock);
	list = references_new(table->count);
	for (unsigned i = 0; i < table->order->len; i++)
		g_ptr_array_add(list, record_ref(((struct entry *)table->order->pdata[i])->record));
	pthread_rwlock_unlock(&model->lock);
	return list;
}

static void turn_round(GPtrArray *list)
{
	for (unsigned i = 0; i < list->len / 2; i++) {
		void *other = list->pdata[list->len - 1 - i];

		list->pdata[list->len - 1 - i] = list->pdata[i];
		list->pdata[i] = other;
	}
}

/* Goes through a table for what a filter wants. With the lock. */
struct walk {
	const struct table *table;
	const struct model_filter *filter;
	uint64_t start, mask;
	bool fold, signs;
};

static struct walk walk_of(struct model *model, const struct kind *kind, const struct model_filter *filter)
{
	const struct table *table = table_of(model, kind);
	size_t length = table->named ? MIN(filter->start.length, sizeof(uint64_t)) : 0;

	return (struct walk){ .table = table, .filter = filter, .start = length ? name_start_of(filter->start.text, length) : 0,
			      .mask = length < sizeof(uint64_t) ? ~(UINT64_MAX << 8 * length) : UINT64_MAX, .fold = filter->start.fold,
			      .signs = !text_sign_is_empty(&filter->sign) };
}

static void *record_at(const struct table *table, unsigned i)
{
	return ((const struct entry *)table->order->pdata[i])->record;
}

static bool begins(const struct walk *walk, uint64_t start)
{
	if (!walk->fold)
		return (start & walk->mask) == walk->start;
	return start & NAME_START_NOT_ASCII || (name_start_fold(start) & walk->mask) == walk->start;
}

/* Told without looking at the record. */
static bool walk_may_take(const struct walk *walk, unsigned i)
{
	return begins(walk, *start_at(walk->table, i)) && (!walk->signs || text_sign_has(sign_at(walk->table, i), &walk->filter->sign));
}

static bool walk_fits(const struct walk *walk, unsigned i)
{
	return !walk->filter->fits || walk->filter->fits(record_at(walk->table, i), walk->filter->data);
}

GPtrArray *model_select(struct model *model, const struct kind *kind, const struct model_filter *filter, size_t max)
{
	const struct walk walk = walk_of(model, kind, filter);
	GPtrArray *list = references_new(0);

	pthread_rwlock_rdlock(&model->lock);
	for (unsigned i = 0; i < walk.table->order->len && list->len < max; i++)
		if (walk_may_take(&walk, i) && walk_fits(&walk, i))
			g_ptr_array_add(list, record_ref(record_at(walk.table, i)));
	pthread_rwlock_unlock(&model->lock);
	return list;
}

/* Some of those that may be taken. */
struct batch { unsigned at[SORTED_PAGE_BATCH]; size_t n; };

static void rank_batch(const struct walk *walk, const struct sorted_page *page, const struct batch *batch, struct sort_rank *ranks)
{
	void *records[SORTED_PAGE_BATCH];

	if (page->rank) {
		for (size_t i = 0; i < batch->n; i++)
			records[i] = record_at(walk->table, batch->at[i]);
		page->rank(records, batch->n, ranks, page->data);
		return;
	}
	for (size_t i = 0; i < batch->n; i++) {
		uint64_t start = *start_at(walk->table, batch->at[i]);

		ranks[i] = start ? sort_rank_of_start(start) : SORT_RANK_UNKNOWN;          /* no name, or an empty one */
	}
}

static void choose(const struct walk *walk, const struct sorted_page *page, struct page_chooser *chooser, struct batch *batch)
{
	struct sort_rank ranks[SORTED_PAGE_BATCH];

	rank_batch(walk, page, batch, ranks);
	for (size_t i = 0; i < batch->n; i++)
		if (page_chooser_wants(chooser, ranks[i]) && walk_fits(walk, batch->at[i]))
			page_chooser_add(chooser, ranks[i], batch->at[i]);
	batch->n = 0;
}

GPtrArray *model_select_page(struct model *model, const struct kind *kind, const struct model_filter *filter, const struct sorted_page *page,
			     size_t *ret_skipped)
{
	const struct walk walk = walk_of(model, kind, filter);
	GPtrArray *list = references_new(0);
	struct page_chooser *chooser = page_chooser_new(page);
	struct batch batch = { .n = 0 };
	const GArray *chosen;

	pthread_rwlock_rdlock(&model->lock);
	/* names often ascend with time: from the end that the page is nearer to, most of them need not be looked at */
	for (unsigned n = walk.table->order->len, k = 0; k < n; k++) {
		unsigned i = page->descending ? n - 1 - k : k;

		if (walk_may_take(&walk, i))
			batch.at[batch.n++] = i;
		if (batch.n == SORTED_PAGE_BATCH)
			choose(&walk, page, chooser, &batch);
	}
	choose(&walk, page, chooser, &batch);
	chosen = page_chooser_end(chooser, ret_skipped);
	for (unsigned i = 0; i < chosen->len; i++)
		g_ptr_array_add(list, record_ref(record_at(walk.table, g_array_index(chosen, unsigned, i))));
	pthread_rwlock_unlock(&model->lock);
	if (page->descending)
		turn_round(list);
	page_chooser_free(chooser);
	return list;
}

static int by_serial(const void *a, const void *b)
{
	const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;

	return left->serial < right->serial ? -1 : left->serial > right->serial;
}

GPtrArray *model_pick(struct model *model, const struct kind *kind, GHashTable *ids)
{
	const struct table *table = table_of(model, kind);
	GPtrArray *list = references_new(g_hash_table_size(ids));
	GHashTableIter iter;
	gpointer id;

	g_hash_table_iter_init(&iter, ids);
	pthread_rwlock_rdlock(&model->lock);
	while (g_hash_table_iter_next(&iter, &id, NULL)) {
		struct entry *entry = table_entry(table, id);

		if (entry)
			g_ptr_array_add(list, entry);
	}
	if (list->len)
		qsort(list->pdata, list->len, sizeof(void *), by_serial);
	for (unsigned i = 0; i < list->len; i++)
		list->pdata[i] = record_ref(((struct entry *)list->pdata[i])->record);
	pthread_rwlock_unlock(&model->lock);
	return list;
}

/* By the chain, which has the youngest first unless one changed its group; in order of creation. */
static GPtrArray *group_members(struct model *model, const struct table *table, const char *id)
{
	GPtrArray *members = references_new(0);
	uint32_t hash = hash_id(id);
	uint64_t last = UINT64_MAX;
	bool sorted = true;

	pthread_rwlock_rdlock(&model->lock);
	for (struct entry *entry = table->by_group[hash & table->mask]; entry; entry = entry->next_group)
		if (entry->group_hash == hash && !g_strcmp0(entry_group(table, entry), id)) {
			g_ptr_array_add(members, entry);
			sorted = sorted && entry->serial < last;
			last = entry->serial;
		}
	if (sorted)
		turn_round(members);
	else
		qsort(members->pdata, members->len, sizeof(void *), by_serial);
	for (unsigned i = 0; i < members->len; i++)
		members->pdata[i] = record_ref(((struct entry *)members->pdata[i])->record);
	pthread_rwlock_unlock(&model->lock);
	return members;
}

GPtrArray *model_children(struct model *model, const struct kind *kind, const char *parent_id)
{
	g_return_val_if_fail(kind->parent, references_new(0));
	return group_members(model, table_of(model, kind), parent_id);
}

/* The first one of that name from place *at on, whatever its parent; *at is the place behind it then. */
static const struct entry *find_anywhere(const struct table *table, const char *name, unsigned *at)
{
	while (*at < table->order->len) {
		const struct entry *entry = table->order->pdata[(*at)++];
		const char *other = entry_name(table, entry);

		if (other && same_name(other, name))
			return entry;
	}
	return NULL;
}

static const struct entry *find_within(const struct table *table, const char *parent, const char *name)
{
	uint32_t hash = hash_name(name, parent);
	const struct entry *first = NULL;

	for (struct entry *entry = table->by_name[hash & table->mask]; entry; entry = entry->next_name)
		if (entry->name_hash == hash && !g_strcmp0(entry_parent(table, entry), parent) && same_name(entry_name(table, entry), name) &&
		    (!first || entry->serial < first->serial))
			first = entry;
	return first;
}

void *model_find(struct model *model, const struct kind *kind, const char *parent_id, const char *name)
{
	const struct table *table = table_of(model, kind);
	const struct entry *entry;
	unsigned at = 0;
	void *record;

	if (!name || !table->named)
		return NULL;
	pthread_rwlock_rdlock(&model->lock);
	entry = kind->parent && !parent_id ? find_anywhere(table, name, &at) : find_within(table, kind->parent ? parent_id : NULL, name);
	record = entry ? record_ref(entry->record) : NULL;
	pthread_rwlock_unlock(&model->lock);
	return record;
}

GPtrArray *model_named(struct model *model, const struct kind *kind, const char *name)
{
	const struct table *table = table_of(model, kind);
	GPtrArray *list = references_new(0);
	uint32_t hash = hash_name(name, NULL);
	const struct entry *entry;
	unsigned at = 0;

	if (!table->named)
		return list;
	pthread_rwlock_rdlock(&model->lock);
	if (kind->parent)
		while ((entry = find_anywhere(table, name, &at)))
			g_ptr_array_add(list, record_ref(entry->record));
	else
		for (entry = table->by_name[hash & table->mask]; entry; entry = entry->next_name)
			if (entry->name_hash == hash && same_name(entry_name(table, entry), name))
				g_ptr_array_add(list, record_ref(entry->record));
	pthread_rwlock_unlock(&model->lock);
	return list;
}

size_t model_count(struct model *model, const struct kind *kind)
{
	const struct table *table = table_of(model, kind);
	size_t count;

	pthread_rwlock_rdlock(&model->lock);
	count = table->count;
	pthread_rwlock_unlock(&model->lock);
	return count;
}

uint64_t model_version(struct model *model, const struct kind *kind)
{
	const struct table *table = table_of(model, kind);
	uint64_t version;

	pthread_rwlock_rdlock(&model->lock);
	version = table->version;
	pthread_rwlock_unlock(&model->lock);
	return version;
}

uint64_t model_moves(struct model *model)
{
	uint64_t moves;

	pthread_rwlock_rdlock(&model->lock);
	moves = model->moves;
	pthread_rwlock_unlock(&model->lock);
	return moves;
}

GPtrArray *model_referring(struct model *model, const struct kind *kind, size_t member, const char *id)
{
	const struct table *table = table_of(model, kind);
	GPtrArray *list;

	if (member == (kind->parent ? kind->parent : kind->group))
		return group_members(model, table, id);
	list = references_new(0);
	pthread_rwlock_rdlock(&model->lock);
	for (unsigned i = 0; i < table->order->len; i++) {
		char *record = ((struct entry *)table->order->pdata[i])->record;

		if (!g_strcmp0(((struct ref *)(record + member))->id, id))
			g_ptr_array_add(list, record_ref(record));
	}
	pthread_rwlock_unlock(&model->lock);
	return list;
}

/* ---- publishing ---- */

static uint64_t start_of_entry(const struct table *table, const struct entry *entry)
{
	const char *name = entry_name(table, entry);

	return name ? name_start_of(name, SIZE_MAX) : 0;
}

static void *put_new(struct model *model, struct table *table, void *record)
{
	struct entry *entry = g_new0(struct entry, 1);
	struct text_sign sign = sign_of(table, record);
	uint64_t start;

	entry->record = record_ref(record);
	entry->serial = ++model->serial;
	entry->id_hash = hash_id(object_id(record));
	start = start_of_entry(table, entry);
	g_ptr_array_add(table->order, entry);
	g_array_append_val(table->starts, start);
	g_array_append_val(table->signs, sign);
	table->count++;
	if (table->count > table->mask) {
		table_resize(table, (table->mask + 1) * 2);
		return NULL;
	}
	link_id(table, entry);
	if (table->named)
		link_name(table, entry);
	if (table->by_group)
		link_group(table, entry);
	return NULL;
}

/* Returns the record that was there, to be released after the lock. */
static void *put(struct table *table, struct entry *entry, void *record)
{
	void *old = entry->record;
	struct text_sign sign = sign_of(table, record), old_sign = sign_of(table, old);
	uint64_t start = start_of_entry(table, entry);

	unlink_name(table, entry);
	unlink_group(table, entry);
	entry->record = record_ref(record);
	if (start_of_entry(table, entry) != start || memcmp(&sign, &old_sign, sizeof(sign))) {
		unsigned place = order_find(table, entry);

		*start_at(table, place) = start_of_entry(table, entry);
		*sign_at(table, place) = sign;
	}
	if (table->named)
		link_name(table, entry);
	if (table->by_group)
		link_group(table, entry);
	return old;
}

static bool is_moved(const struct table *table, const void *old, const void *record)
{
	if (table->kind->parent && g_strcmp0(object_parent(old), object_parent(record)))
		return true;
	for (guint i = 0; i < table->within->len; i++)
		if (!record_member_equal(old, record, table->within->pdata[i]))
			return true;
	return false;
}

static void *take_out(struct table *table, struct entry *entry)
{
	void *old = entry->record;

	unlink_name(table, entry);
	unlink_group(table, entry);
	unlink_id(table, entry);
	table->order->pdata[order_find(table, entry)] = NULL;
	table->holes++;
	table->count--;
	g_free(entry);
	return old;
}

void model_publish(struct model *model, const struct model_change *changes, size_t n)
{
	void **old = g_new0(void *, n + 1);

	pthread_rwlock_wrlock(&model->lock);
	for (size_t i = 0; i < n; i++) {
		struct table *table = table_of(model, changes[i].kind);
		struct entry *entry = table_entry(table, changes[i].id);

		table->version++;
		if (entry && changes[i].record && is_moved(table, entry->record, changes[i].record))
			model->moves++;
		if (changes[i].record)
			old[i] = entry ? put(table, entry, changes[i].record) : put_new(model, table, changes[i].record);
		else if (entry)
			old[i] = take_out(table, entry);
	}
	for (size_t i = 0; i < model->n_tables; i++)
		table_compact(&model->tables[i]);
	pthread_rwlock_unlock(&model->lock);
	for (size_t i = 0; i < n; i++)
		record_unref(old[i]);
	g_free(old);
}
