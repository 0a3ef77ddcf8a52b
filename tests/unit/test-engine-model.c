/* SPDX-License-Identifier: Apache-2.0 */
/* The model: finding, listing, publishing; readers beside the writer. */
#include "tests/unit/cmocka-all.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/model.h"
#include "engine/model/nic.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"

static struct vm *vm_new(const char *id, const char *name)
{
	struct vm *vm = record_new(&vm_type);

	set_string(&vm->id, id);
	set_string(&vm->name, name);
	return vm;
}

static void put_vm(struct model *model, const char *id, const char *name)
{
	struct vm *vm = vm_new(id, name);

	model_publish(model, &(struct model_change) { &vm_kind, id, vm }, 1);
	record_unref(vm);
}

static void put_nic(struct model *model, const char *id, const char *name, const char *vm)
{
	struct nic *nic = record_new(&nic_type);

	set_string(&nic->id, id);
	set_string(&nic->name, name);
	set_ref(&nic->vm, vm);
	model_publish(model, &(struct model_change) { &nic_kind, id, nic }, 1);
	record_unref(nic);
}

static void drop(struct model *model, const struct kind *kind, const char *id)
{
	model_publish(model, &(struct model_change) { kind, id, NULL }, 1);
}

/* Names in the order of the list, blanks between. */
static char *names(GPtrArray *list)
{
	GString *out = g_string_new(NULL);

	for (unsigned i = 0; i < list->len; i++)
		g_string_append_printf(out, "%s%s", i ? " " : "", object_name(list->pdata[i]));
	g_ptr_array_unref(list);
	return g_string_free(out, FALSE);
}

static bool has(struct model *model, const struct kind *kind, const char *parent, const char *name, const char *id)
{
	void *found = model_find(model, kind, parent, name);
	bool same = id ? found && !g_strcmp0(object_id(found), id) : !found;

	record_unref(found);
	return same;
}

static void objects_are_listed_in_order_of_creation(void **state)
{
	struct model *model = model_new();
	g_autofree char *first = NULL, *second = NULL, *third = NULL;

	put_vm(model, "3", "c");
	put_vm(model, "1", "a");
	put_vm(model, "2", "b");
	first = names(model_list(model, &vm_kind));
	assert_string_equal(first, "c a b");
	put_vm(model, "1", "A2");            /* a new version keeps its place */
	drop(model, &vm_kind, "3");
	put_vm(model, "3", "again");
	second = names(model_list(model, &vm_kind));
	assert_string_equal(second, "A2 b again");
	drop(model, &vm_kind, "1");
	drop(model, &vm_kind, "2");
	drop(model, &vm_kind, "3");
	drop(model, &vm_kind, "none");
	third = names(model_list(model, &vm_kind));
	assert_string_equal(third, "");
	assert_int_equal(model_count(model, &vm_kind), 0);
	model_free(model);
}

static void names_are_found_whatever_their_case(void **state)
{
	struct model *model = model_new();

	put_vm(model, "1", "Default");
	put_vm(model, "2", "\303\234ber");      /* Über */
	assert_true(has(model, &vm_kind, NULL, "default", "1"));
	assert_true(has(model, &vm_kind, NULL, "DEFAULT", "1"));
	assert_true(has(model, &vm_kind, NULL, "\303\274ber", "2"));
	put_vm(model, "1", "other");
	assert_true(has(model, &vm_kind, NULL, "default", NULL));
	assert_true(has(model, &vm_kind, NULL, "Other", "1"));
	drop(model, &vm_kind, "1");
	assert_true(has(model, &vm_kind, NULL, "other", NULL));
	assert_null(model_get(model, &vm_kind, NULL));
	assert_null(model_find(model, &vm_kind, NULL, NULL));
	model_free(model);
}

static bool any(const void *record, void *data)
{
	return true;
}

static char *starting(struct model *model, const char *start)
{
	const struct model_filter wanted = { .start = { start, strlen(start) }, .fits = any };

	return names(model_select(model, &vm_kind, &wanted, SIZE_MAX));
}

/* Also after what came before has gone, and after one has another name. The first eight letters count, others are fits' to look at. */
static void names_are_found_by_how_they_begin(void **state)
{
	static const struct { const char *start, *found; } cases[] = {
		{ "web", "web1 webserver-two web3" }, { "web1", "web1" }, { "webserve", "webserver-two" }, { "webserver-x", "webserver-two" }, { "db", "db4" },
		{ "Web", "" }, { "\303\244", "\303\244rger" }, { "", "db4 web1 webserver-two web3 \303\244rger" },
	};
	struct model *model = model_new();
	g_autoptr(GPtrArray) same = NULL;

	put_vm(model, "0", "web0");
	put_vm(model, "4", "web4");
	put_vm(model, "1", "web1");
	put_vm(model, "9", "web9");
	put_vm(model, "2", "webserver-two");
	put_vm(model, "3", "x");
	put_vm(model, "5", "\303\244rger");
	drop(model, &vm_kind, "0");
	drop(model, &vm_kind, "9");
	put_vm(model, "4", "db4");
	put_vm(model, "3", "web3");
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *found = starting(model, cases[i].start);

		assert_string_equal(found, cases[i].found);
	}
	same = model_named(model, &vm_kind, "WEB3");
	assert_int_equal(same->len, 1);
	model_free(model);
}

static int by_folded_name(const void *a, const void *b)
{
	g_autofree char *left = g_utf8_casefold(object_name(*(void *const *)a), -1), *right = g_utf8_casefold(object_name(*(void *const *)b), -1);

	return strcmp(left, right);
}

static int by_folded_name_descending(const void *a, const void *b)
{
	return -by_folded_name(a, b);
}

/* Those of the same name in the order of creation, or the other way round. */
static void sort_by_name(GPtrArray *list, bool descending)
{
	for (guint i = 0; descending && i < list->len / 2; i++) {
		void *other = list->pdata[i];

		list->pdata[i] = list->pdata[list->len - 1 - i];
		list->pdata[list->len - 1 - i] = other;
	}
	g_ptr_array_sort(list, descending ? by_folded_name_descending : by_folded_name);
}

static bool has_x(const void *record, void *data)
{
	return strchr(object_name(record), 'x') != NULL;
}

static void expect_page(struct model *model, bool only_x, struct sorted_page page)
{
	const struct model_filter filter = { .fits = only_x ? has_x : NULL };
	size_t skipped = 0, first;
	g_autoptr(GPtrArray) all = model_select(model, &vm_kind, &filter, SIZE_MAX);
	g_autoptr(GPtrArray) chosen = model_select_page(model, &vm_kind, &filter, &page, &skipped);

	assert_true(skipped <= page.skip);
	first = page.skip - skipped;
	sort_by_name(all, page.descending);
	sort_by_name(chosen, page.descending);
	for (size_t i = 0; i < page.size && page.skip + i < all->len; i++) {
		assert_true(first + i < chosen->len);
		assert_string_equal(object_id(chosen->pdata[first + i]), object_id(all->pdata[page.skip + i]));
	}
	assert_true(all->len > page.skip || chosen->len <= first);
}

/* Names of few different letters, many of which begin alike, in no order; then some of which the first letters do not tell. */
static void a_page_of_names_is_chosen_without_sorting_all(void **state)
{
	static const char letters[] = "abxABX19-_", *const odd[] = { "", "\303\244x", "x\303\204", "zzzzzzzz\303\244", "\303\204rger" };
	static const struct sorted_page pages[] = { { 0, 1 }, { 0, 100 }, { 100, 100 }, { 2900, 100 }, { 4990, 100 }, { 10000, 100 }, { 0, SIZE_MAX }, { 17, 3 } };
	struct model *model = model_new();
	GRand *random = g_rand_new_with_seed(17);

	for (unsigned i = 0; i < 5000; i++) {
		g_autofree char *id = g_strdup_printf("%u", i);
		char name[16] = "";

		for (int n = 0, length = g_rand_int_range(random, 1, 13); n < length; n++)
			name[n] = letters[g_rand_int_range(random, 0, (int)strlen(letters))];
		put_vm(model, id, name);
	}
	for (int odds = 0; odds < 2; odds++) {
		for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
			for (int how = 0; how < 4; how++)
				expect_page(model, how & 1, (struct sorted_page){ pages[i].skip, pages[i].size, how & 2 });
		for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
			g_autofree char *id = g_strdup_printf("odd-%zu", i);

			put_vm(model, id, odd[i]);
		}
	}
	g_rand_free(random);
	model_free(model);
}

static void names_belong_to_their_parent(void **state)
{
	struct model *model = model_new();
	g_autofree char *children = NULL, *none = NULL;

	put_nic(model, "1", "nic1", "vm1");
	put_nic(model, "2", "nic1", "vm2");
	put_nic(model, "3", "nic2", "vm1");
	assert_true(has(model, &nic_kind, "vm1", "NIC1", "1"));
	assert_true(has(model, &nic_kind, "vm2", "nic1", "2"));
	assert_true(has(model, &nic_kind, NULL, "nic2", "3"));
	assert_true(has(model, &nic_kind, "vm2", "nic2", NULL));
	put_nic(model, "1", "nic9", "vm1");
	children = names(model_children(model, &nic_kind, "vm1"));
	assert_string_equal(children, "nic9 nic2");
	put_nic(model, "3", "nic2", "vm2");      /* moved */
	assert_true(has(model, &nic_kind, "vm2", "nic2", "3"));
	drop(model, &nic_kind, "1");
	none = names(model_children(model, &nic_kind, "vm1"));
	assert_string_equal(none, "");
	model_free(model);
}

static void what_a_reader_holds_never_changes(void **state)
{
	struct model *model = model_new();
	struct vm *old;
	g_autoptr(GPtrArray) list = NULL;

	put_vm(model, "1", "before");
	old = model_get(model, &vm_kind, "1");
	list = model_list(model, &vm_kind);
	put_vm(model, "1", "after");
	drop(model, &vm_kind, "1");
	assert_string_equal(old->name, "before");
	assert_string_equal(object_name(list->pdata[0]), "before");
	record_unref(old);
	model_free(model);
}

static void many_come_and_go(void **state)
{
	enum { N = 5000 };
	struct model *model = model_new();
	g_autofree struct model_change *changes = g_new0(struct model_change, N);
	char id[16];

	for (int i = 0; i < N; i++) {
		g_autofree char *name = g_strdup_printf("vm%d", i);

		(void)snprintf(id, sizeof(id), "%d", i);
		put_vm(model, id, name);
	}
	assert_int_equal(model_count(model, &vm_kind), N);
	for (int i = 0; i < N; i++)
		changes[i] = (struct model_change) { &vm_kind, g_strdup_printf("%d", (int)((i * INT64_C(7919)) % N)), NULL };
	model_publish(model, changes, N / 2);
	assert_int_equal(model_count(model, &vm_kind), N - N / 2);
	for (int i = 0; i < N; i++) {
		void *vm = model_get(model, &vm_kind, changes[i].id);

		assert_int_equal(vm != NULL, i >= N / 2);
		record_unref(vm);
	}
	model_publish(model, changes, N);
	assert_int_equal(model_count(model, &vm_kind), 0);
	for (int i = 0; i < N; i++)
		g_free((char *)changes[i].id);
	model_free(model);
}

static void put_domain(struct model *model, const char *id, int type, int domain_state, const char *dc, const char *local_host)
{
	struct storage_domain *domain = record_new(&storage_domain_type);

	set_string(&domain->id, id);
	SET(domain, type, type);
	SET(domain, state, domain_state);
	set_ref(&domain->data_center, dc);
	if (local_host)
		set_ref(&domain->local_host, local_host);
	model_publish(model, &(struct model_change) { &storage_domain_kind, id, domain }, 1);
	record_unref(domain);
}

static void a_data_center_is_what_its_storage_is(void **state)
{
	struct model *model = model_new();

	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_UNINITIALIZED);
	put_domain(model, "1", DOMAIN_ISO, DOMAIN_ACTIVE, "dc", "h");
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_UNINITIALIZED);
	put_domain(model, "2", DOMAIN_DATA, DOMAIN_ACTIVATING, "dc", "h");
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_UNINITIALIZED);
	put_domain(model, "2", DOMAIN_DATA, DOMAIN_ACTIVE, "dc", "h");
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_UP);
	assert_int_equal(datacenter_status(model, "other"), DATACENTER_UNINITIALIZED);
	put_domain(model, "2", DOMAIN_DATA, DOMAIN_MAINTENANCE, "dc", "h");
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_MAINTENANCE);
	put_domain(model, "2", DOMAIN_DATA, DOMAIN_UNKNOWN, "dc", "h");
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_PROBLEMATIC);
	put_domain(model, "3", DOMAIN_DATA, DOMAIN_ACTIVE, "dc", "h");
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_UP);
	model_free(model);
}

static void put_manager(struct model *model, int host_state, int spm_state, int priority)
{
	struct host *host = record_new(&host_type);

	set_string(&host->id, "h");
	set_ref(&host->cluster, "c");
	SET(host, state, host_state);
	SET(host, storage_manager, spm_state == SPM_SPM);
	SET(host, spm_state, spm_state);
	SET(host, spm_priority, priority);
	model_publish(model, &(struct model_change) { &host_kind, "h", host }, 1);
	record_unref(host);
}

/* Shared storage wants a manager. */
static void a_data_center_is_what_its_manager_is(void **state)
{
	static const struct { int host, spm, priority; enum datacenter_state expected; } rows[] = {
		{ HOST_UP, SPM_NONE, 5, DATACENTER_PROBLEMATIC }, { HOST_UP, SPM_NONE, -1, DATACENTER_NOT_OPERATIONAL },
		{ HOST_UP, SPM_CONTENDING, 5, DATACENTER_CONTEND }, { HOST_UP, SPM_SPM, 5, DATACENTER_UP },
		{ HOST_CONNECTING, SPM_SPM, 5, DATACENTER_UP }, { HOST_NON_RESPONSIVE, SPM_SPM, 5, DATACENTER_NOT_OPERATIONAL },
		{ HOST_MAINTENANCE, SPM_NONE, 5, DATACENTER_NOT_OPERATIONAL },
	};
	struct model *model = model_new();
	struct cluster *cluster = record_new(&cluster_type);

	set_string(&cluster->id, "c");
	set_ref(&cluster->data_center, "dc");
	model_publish(model, &(struct model_change) { &cluster_kind, "c", cluster }, 1);
	record_unref(cluster);
	put_domain(model, "1", DOMAIN_DATA, DOMAIN_ACTIVE, "dc", NULL);
	assert_int_equal(datacenter_status(model, "dc"), DATACENTER_NOT_OPERATIONAL);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		put_manager(model, rows[i].host, rows[i].spm, rows[i].priority);
		if (datacenter_status(model, "dc") != rows[i].expected)
			fail_msg("row %zu: %s", i, datacenter_state_names[datacenter_status(model, "dc")]);
	}
	model_free(model);
}

/* ---- readers beside the writer ---- */

struct race { struct model *model; int stop; };

static void *reader(void *data)
{
	struct race *race = data;
	unsigned rounds = 0;

	while (!g_atomic_int_get(&race->stop) || !rounds) {
		g_autoptr(GPtrArray) list = model_list(race->model, &vm_kind);
		g_autoptr(GPtrArray) nics = model_children(race->model, &nic_kind, "vm");
		void *found = model_find(race->model, &vm_kind, NULL, "vm7");

		/* both kinds are published together: a NIC is there exactly when the other VM is not */
		assert_in_range(list->len, 1, 2);
		assert_in_range(nics->len, 0, 1);
		record_unref(found);
		rounds++;
	}
	return NULL;
}

static void readers_go_on_while_changes_are_published(void **state)
{
	struct race race = { model_new(), 0 };
	struct vm *fixed = vm_new("a", "vm7"), *other = vm_new("b", "x");
	struct nic *nic = record_new(&nic_type);
	pthread_t threads[3];

	set_string(&nic->id, "n");
	set_string(&nic->name, "nic1");
	set_ref(&nic->vm, "vm");
	model_publish(race.model, &(struct model_change) { &vm_kind, "a", fixed }, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &race), 0);
	for (int i = 0; i < 2000; i++) {
		struct vm *copy = record_copy(fixed);
		struct model_change changes[] = { { &vm_kind, "b", i % 2 ? other : NULL }, { &nic_kind, "n", i % 2 ? NULL : nic }, { &vm_kind, "a", copy } };

		model_publish(race.model, changes, G_N_ELEMENTS(changes));
		record_unref(copy);
	}
	g_atomic_int_set(&race.stop, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	record_unref(fixed);
	record_unref(other);
	record_unref(nic);
	model_free(race.model);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_listed_in_order_of_creation),
		cmocka_unit_test(names_are_found_whatever_their_case),
		cmocka_unit_test(names_are_found_by_how_they_begin), cmocka_unit_test(a_page_of_names_is_chosen_without_sorting_all),
		cmocka_unit_test(names_belong_to_their_parent),
		cmocka_unit_test(what_a_reader_holds_never_changes),
		cmocka_unit_test(many_come_and_go),
		cmocka_unit_test(a_data_center_is_what_its_storage_is),
		cmocka_unit_test(a_data_center_is_what_its_manager_is),
		cmocka_unit_test(readers_go_on_while_changes_are_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
