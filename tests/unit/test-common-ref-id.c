/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cmocka-all.h"

#include "common/ref_id.h"

#include <string.h>

static void there_is_one_copy_of_each(void **state)
{
	char text[] = "5d8f3a8e-7c1b-4b3a-9f52-0f1c7d0a6e11";
	const char *one = ref_id_new(text), *same = ref_id_new("5d8f3a8e-7c1b-4b3a-9f52-0f1c7d0a6e11"), *other = ref_id_new("7"), *more;

	assert_ptr_equal(one, same);
	assert_ptr_not_equal(one, text);
	assert_string_equal(other, "7");
	assert_null(ref_id_new(NULL));
	assert_null(ref_id_ref(NULL));
	ref_id_unref(NULL);
	more = ref_id_ref(one);
	assert_ptr_equal(more, one);
	ref_id_unref(one);
	ref_id_unref(same);
	assert_string_equal(more, text);
	ref_id_unref(more);
	ref_id_unref(other);
}

static void one_table_finds_ids_of_any_length(void **state)
{
	static const char *const ids[] = { "", "1", "12345678", "123456789", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002",
					    "00000000-0000-0001-0000-000000000002" };

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(ids); j++) {
			g_autofree char *copy = g_strdup(ids[j]);

			assert_int_equal(id_hash(ids[i]) == id_hash(copy), i == j);
		}
}

enum { IDS = 20, ROUNDS = 20000 };

static gpointer take_and_drop(gpointer seed)
{
	GRand *random = g_rand_new_with_seed(GPOINTER_TO_UINT(seed));
	const char *held[IDS] = { 0 };
	guint wrong = 0;

	for (int i = 0; i < ROUNDS; i++) {
		int which = g_rand_int_range(random, 0, IDS);
		g_autofree char *text = g_strdup_printf("id-%08d", which);

		if (held[which]) {
			wrong += strcmp(held[which], text) != 0;
			ref_id_unref(g_steal_pointer(&held[which]));
		} else {
			held[which] = ref_id_new(text);
			ref_id_unref(ref_id_ref(held[which]));
		}
	}
	for (int i = 0; i < IDS; i++)
		ref_id_unref(held[i]);
	g_rand_free(random);
	return GUINT_TO_POINTER(wrong);
}

/* What is wrong in the holders' number is a use of freed memory: ASan and TSan see it, and the texts change. */
static void many_threads_take_and_drop_the_same(void **state)
{
	GThread *threads[4];

	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("ids", take_and_drop, GUINT_TO_POINTER(i + 1));
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		assert_int_equal(GPOINTER_TO_UINT(g_thread_join(threads[i])), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_one_copy_of_each), cmocka_unit_test(one_table_finds_ids_of_any_length),
		cmocka_unit_test(many_threads_take_and_drop_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
