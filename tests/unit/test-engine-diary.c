/* SPDX-License-Identifier: Apache-2.0 */
/* The diary of a silent host (engine/fleet/diary.h), replayed on a clock of our own. */
#include "cmocka-all.h"
#include <glib.h>
#include "engine/fleet/diary.h"

#define SECOND INT64_C(1000000)

/* What its comment promises, second by second. */
static void replay(void **state)
{
	static const struct { int64_t second; enum silence silence; int64_t retry; } pages[] = {
		{ 0, SILENCE_NONE, 2 }, { 5, SILENCE_NONE, 2 }, { 9, SILENCE_NONE, 2 }, { 10, SILENCE_CONNECTING, 2 }, { 30, SILENCE_CONNECTING, 2 },
		{ 59, SILENCE_CONNECTING, 2 }, { 60, SILENCE_NON_RESPONSIVE, 10 }, { 3600, SILENCE_NON_RESPONSIVE, 10 },
	};
	const struct diary diary = DIARY_DEFAULT;

	for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
		assert_int_equal(diary_silence(&diary, pages[i].second * SECOND), pages[i].silence);
		assert_int_equal(diary_retry(&diary, pages[i].second * SECOND), pages[i].retry * SECOND);
	}
}

static void silence_only_grows(void **state)
{
	const struct diary diary = DIARY_DEFAULT;
	enum silence last = SILENCE_NONE;

	for (int64_t now = 0; now <= 120 * SECOND; now += SECOND / 10) {
		assert_true(diary_silence(&diary, now) >= last);
		last = diary_silence(&diary, now);
	}
	assert_int_equal(last, SILENCE_NON_RESPONSIVE);
}

/* The channel gives up after 1.5 beats of silence: that must be the moment the host becomes connecting, and the question comes before it. */
static void beats_fit_the_diary(void **state)
{
	const struct diary diary = DIARY_DEFAULT;
	int64_t given_up = diary_beat_ms(&diary) * INT64_C(1500);

	assert_true(given_up <= diary.connecting_usec && given_up > diary.connecting_usec - SECOND / 10);
	assert_true(diary.ask_usec < given_up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay),
		cmocka_unit_test(silence_only_grows),
		cmocka_unit_test(beats_fit_the_diary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
