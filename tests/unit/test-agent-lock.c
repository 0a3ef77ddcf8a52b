/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of domains: the diary on a fake clock, and locks of the kernel for directories that only this host has. */
#include "cmocka-all.h"
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include "agent/storage/lease/lock.h"
#include "agent/storage/lease/xlease.h"
#include "tests/unit/agent-storage.h"

/* ---- the diary: agent/storage/lease/lock.c ---- */

struct moment { int second; enum lock_phase phase; };

static void replay(int io_timeout_s, const struct moment *diary, size_t n)
{
	int64_t clock_usec = 0, renewed_usec = 0;

	for (size_t i = 0; i < n; i++) {
		clock_usec = renewed_usec + diary[i].second * G_USEC_PER_SEC;
		assert_int_equal(lock_phase(clock_usec - renewed_usec, io_timeout_s), diary[i].phase);
		/* until the next moment nothing changes */
		if (i + 1 < n)
			assert_int_equal(lock_phase(renewed_usec + diary[i + 1].second * G_USEC_PER_SEC - 1 - renewed_usec, io_timeout_s), diary[i].phase);
	}
}

static void test_diary(void **state)
{
	static const struct moment usual[] = { { 0, LOCK_LIVE }, { 80, LOCK_ENDING }, { 110, LOCK_KILLING }, { 120, LOCK_FENCED }, { 140, LOCK_FREE } };
	static const struct moment fast[] = { { 0, LOCK_LIVE }, { 8, LOCK_ENDING }, { 38, LOCK_KILLING }, { 48, LOCK_FENCED }, { 68, LOCK_FREE } };

	replay(10, usual, G_N_ELEMENTS(usual));
	replay(1, fast, G_N_ELEMENTS(fast));
}

/* Two hosts: one renews until it is cut off; the other looks all the time. At no second may the other take a lease that the first still has. */
static void test_two_hosts(void **state)
{
	for (int io = 1; io <= 20; io++) {
		const int cut_s = 2 * io * 3;              /* after its third renewal */
		int ended_s = 0, taken_s = 0;

		for (int second = 0; !taken_s; second++) {
			int renewed_s = MIN(second, cut_s) / (2 * io) * 2 * io;
			enum lock_phase phase = lock_phase((second - renewed_s) * G_USEC_PER_SEC, io);

			if (phase >= LOCK_KILLING && !ended_s)
				ended_s = second;           /* SIGKILL: whatever held it is gone, or the watchdog has the host */
			if (phase == LOCK_FREE)
				taken_s = second;
			assert_true(second <= cut_s ? phase == LOCK_LIVE : true);
		}
		assert_true(taken_s - ended_s >= 30);
		assert_int_equal(taken_s, cut_s + 8 * io + 60);
		/* who waits to join outlasts the dead one */
		assert_true(lock_join_usec(io) > (int64_t)(8 * io + 60) * G_USEC_PER_SEC);
	}
}

/* ---- without a daemon ---- */

static struct domain *open_domain(struct room *room)
{
	struct domain *domain = domain_open(room->agent.storage, DOMAIN, NULL);

	assert_non_null(domain);
	return domain;
}

static bool is_true(void *data, const char *domain)
{
	return true;
}

static void test_local(void **state)
{
	struct room *room = room_open();
	struct locks *mine = locks_new(), *others = locks_new();
	struct lease_owner owner;
	g_autoptr(GError) error = NULL;
	struct domain *domain;
	struct lease lease;

	make_active(room);
	domain = open_domain(room);
	assert_true(lock_domain_lease(domain, &lease, &error));
	assert_false(lock_acquire(mine, domain, &lease, NULL, &error));          /* no number yet */
	assert_true(error_is(error, ERR_ACQUIRE_LOCK_FAILURE));
	g_clear_error(&error);
	assert_int_equal(lock_host_id(mine, DOMAIN), 0);
	assert_true(lock_join(mine, domain, 3, &error) && lock_join(mine, domain, 3, &error) && lock_join(others, domain, 4, &error));
	assert_false(lock_join(mine, domain, 5, &error));
	assert_true(error_is(error, ERR_ACQUIRE_HOST_ID_FAILURE));
	g_clear_error(&error);
	assert_int_equal(lock_host_id(mine, DOMAIN), 3);
	assert_true(lock_inquire(mine, domain, &lease, &owner, &error));
	assert_int_equal(owner.host_id, 0);
	assert_true(lock_acquire(mine, domain, &lease, NULL, &error) && lock_acquire(mine, domain, &lease, NULL, &error));
	assert_true(lock_is_held(mine, DOMAIN, lease.name));
	assert_true(lock_inquire(mine, domain, &lease, &owner, &error));
	assert_int_equal(owner.host_id, 3);
	assert_false(lock_acquire(others, domain, &lease, NULL, &error));        /* as another process would */
	assert_true(error_is(error, ERR_ACQUIRE_LOCK_FAILURE));
	g_clear_error(&error);
	assert_true(lock_inquire(others, domain, &lease, &owner, &error));
	assert_int_not_equal(owner.host_id, 0);
	assert_true(lock_release(mine, DOMAIN, &lease, &error) && lock_release(mine, DOMAIN, &lease, &error));
	assert_false(lock_is_held(mine, DOMAIN, lease.name));
	assert_true(lock_acquire(others, domain, &lease, NULL, &error));
	assert_true(lock_leave(others, DOMAIN, is_true, NULL, &error) && lock_host_id(others, DOMAIN) && lock_leave(others, DOMAIN, NULL, NULL, &error) &&
		    lock_leave(others, DOMAIN, NULL, NULL, &error));
	assert_true(lock_acquire(mine, domain, &lease, NULL, &error));           /* leaving gave it back */
	g_free((char *)lease.path);
	locks_free(mine);
	locks_free(others);
	domain_free(domain);
	room_close(room);
}

/* What is noted with a lease: sanlock's block, which without sanlock the agent writes. */
static void test_noted(void **state)
{
	struct room *room = room_open();
	struct locks *mine = locks_new(), *others = locks_new();
	g_autofree char *note = NULL, *again = NULL, *new = NULL;
	struct lease lease = { .name = VOLUME };
	g_autoptr(GError) error = NULL;
	struct domain *domain;

	make_active(room);
	domain = open_domain(room);
	assert_true(xlease_add(domain, VOLUME, "{\"a\": 1}", &error) && xlease_find(domain, VOLUME, &lease, &error));
	assert_string_equal(note = lock_read_note(domain, &lease, &error), "{\"a\": 1}");
	assert_true(lock_join(mine, domain, 1, &error) && lock_join(others, domain, 2, &error));
	assert_true(lock_acquire_noted(mine, domain, &lease, "job", &error));
	assert_false(lock_acquire_noted(mine, domain, &lease, "another", &error));       /* though it is this process's */
	assert_true(error_is(error, ERR_ACQUIRE_LOCK_FAILURE));
	g_clear_error(&error);
	assert_false(lock_acquire_noted(others, domain, &lease, NULL, &error));
	g_clear_error(&error);
	assert_true(lock_release_noted(mine, domain, &lease, "2", &error));
	assert_string_equal(again = lock_read_note(domain, &lease, &error), "2");        /* and nothing of the longer one */
	assert_false(lock_release_noted(mine, domain, &lease, "3", &error));             /* not held */
	assert_true(error_is(error, ERR_SANLOCK_LVB_ERROR));
	g_clear_error(&error);
	assert_true(lock_acquire_noted(others, domain, &lease, NULL, &error) && lock_release(others, DOMAIN, &lease, &error));
	g_free((char *)lease.path);
	assert_true(xlease_remove(domain, VOLUME, &error) && xlease_add(domain, VOLUME, NULL, &error) && xlease_find(domain, VOLUME, &lease, &error));
	assert_string_equal(new = lock_read_note(domain, &lease, &error), "");           /* a new lease in an old place */
	g_free((char *)lease.path);
	locks_free(mine);
	locks_free(others);
	domain_free(domain);
	room_close(room);
}

/* ---- the index ---- */

static void must_add(const struct domain *domain, const char *id)
{
	g_autoptr(GError) error = NULL;

	if (!xlease_add(domain, id, NULL, &error))
		fail_msg("%s", error->message);
}

static void test_index(void **state)
{
	struct room *room = room_open();
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = NULL;
	struct domain *domain;
	struct lease lease;

	make_active(room);
	domain = open_domain(room);
	assert_false(xlease_find(domain, VOLUME, &lease, &error));
	assert_true(error_is(error, ERR_NO_SUCH_LEASE));
	g_clear_error(&error);
	must_add(domain, VOLUME);
	must_add(domain, VOLUME2);
	must_add(domain, VOLUME);
	assert_true(xlease_find(domain, VOLUME2, &lease, &error));
	assert_int_equal(lease.offset, 4 << 20);
	{
		g_autofree char *name = lock_read_lease(domain, lease.path, lease.offset, &error);

		assert_string_equal(name, VOLUME2);
	}
	g_free((char *)lease.path);
	assert_true(xlease_remove(domain, VOLUME, &error));
	assert_false(xlease_remove(domain, VOLUME, &error));
	assert_true(error_is(error, ERR_NO_SUCH_LEASE));
	g_clear_error(&error);
	must_add(domain, IMAGE);                                  /* takes the first free place */
	assert_true(xlease_find(domain, IMAGE, &lease, &error));
	assert_int_equal(lease.offset, 3 << 20);
	g_free((char *)lease.path);
	assert_true(xlease_rebuild(domain, &error));
	names = xlease_list(domain, &error);
	assert_int_equal(names->len, 2);
	assert_string_equal(names->pdata[0], IMAGE);
	assert_string_equal(names->pdata[1], VOLUME2);
	domain_free(domain);
	room_close(room);
}

/* Killed between any two writes: the lease is there or not, the other one stays, and the same may be done again. Each life is a process of its own. */
static void change(const char *base, const char *point)
{
	struct room *room;
	struct domain *domain;

	g_setenv("BERTH_FAULT", point, TRUE);
	room = room_open_at(base);
	domain = open_domain(room);
	(void)xlease_add(domain, VOLUME, NULL, NULL);
	(void)xlease_remove(domain, VOLUME, NULL);
}

static void look(const char *base)
{
	static const char *const all[] = { IMAGE, VOLUME, VOLUME2 };
	struct room *room = room_open_at(base);
	struct domain *domain = open_domain(room);
	g_autoptr(GPtrArray) names = NULL;
	struct lease lease;

	assert_true(xlease_find(domain, IMAGE, &lease, NULL));    /* not touched */
	g_free((char *)lease.path);
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		must_add(domain, all[i]);
	names = xlease_list(domain, NULL);
	assert_int_equal(names->len, 3);                          /* no place is lost, no name is there twice */
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		assert_true(xlease_find(domain, all[i], &lease, NULL));
		assert_true(lease.offset < 6 << 20);
		g_free((char *)lease.path);
	}
	assert_true(xlease_remove(domain, VOLUME, NULL) && xlease_remove(domain, VOLUME2, NULL));
	domain_free(domain);
	room_leave(room);
}

static int in_a_life(void (*run)(const char *base, const char *point), void (*check)(const char *base), const char *base, const char *point)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (run)
			run(base, point);
		else
			check(base);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void prepare(const char *base)
{
	struct room *room = room_open_at(base);
	struct domain *domain;

	make_active(room);
	domain = open_domain(room);
	must_add(domain, IMAGE);
	domain_free(domain);
	room_leave(room);
}

static void test_killed(void **state)
{
	static const char *const points[] = { "lease add: begin", "lease add: marked", "lease add: made", "lease remove: begin", "lease remove: marked",
					      "lease remove: cleared" };
	g_autofree char *base = g_dir_make_tmp("berth-storage-XXXXXX", NULL);

	assert_int_equal(in_a_life(NULL, prepare, base, NULL), 0);
	for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
		int status = in_a_life(change, NULL, base, points[i]);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(in_a_life(NULL, look, base, NULL), 0);
	}
	assert_true(files_remove_tree(AT_FDCWD, base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed), cmocka_unit_test(test_diary), cmocka_unit_test(test_two_hosts),
		cmocka_unit_test(test_local), cmocka_unit_test(test_noted), cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
