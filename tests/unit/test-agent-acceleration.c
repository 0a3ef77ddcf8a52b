/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe ends in time and gives a reason, whatever it finds; what this machine can do is not known here. rows: hv-037
 *
 * FAKE is a KVM of ours: ioctl() below answers for it, in the probe's child, too. Its guest runs at the speed of hardware, or slowly, or never comes back.
 */
#include "tests/unit/cmocka-all.h"
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "agent/host/host-priv.h"

static void test_missing(void **state)
{
	g_autofree char *reason = NULL;

	assert_false(acceleration_probe("/nonexistent/kvm", NULL, &reason));
	assert_string_equal(reason, "there is no /nonexistent/kvm");
}

static void test_no_kvm(void **state)
{
	g_autofree char *reason = NULL;

	enum acceleration_level level = ACCELERATION_LONG_MODE;

	assert_false(acceleration_probe("/dev/null", &level, &reason));
	assert_int_equal(level, ACCELERATION_NONE);
	assert_non_null(strstr(reason, "KVM_"));
}

static void test_this_machine(void **state)
{
	g_autofree char *reason = NULL;
	int64_t begun = g_get_monotonic_time();
	enum acceleration_level level;
	bool works = acceleration_probe("/dev/kvm", &level, &reason);

	assert_true(g_get_monotonic_time() - begun < 20 * G_USEC_PER_SEC);
	assert_true(works == !reason);
	assert_true(works == (level == ACCELERATION_LONG_MODE));
}

#ifdef __x86_64__
#define FAKE "/dev/zero"

static enum { NONE, FAST, SLOW, HANGS_AT_ONCE, HANGS } fake;
static int runs;                        /* of its guest: first in real mode, then in long mode */

static void spin(int64_t usec)
{
	struct timespec now, end;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	end.tv_nsec += usec * 1000;
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec);
}

static int run_guest(int cpu)
{
	uint32_t reason = KVM_EXIT_HLT;

	runs++;
	while (fake == HANGS_AT_ONCE || (fake == HANGS && runs > 1))
		pause();
	if (fake == SLOW && runs > 1)
		spin(20000);             /* 5 times what is still hardware; 100 ms of a busy machine may be more than the limit of 1 s */
	return pwrite(cpu, &reason, sizeof(reason), offsetof(struct kvm_run, exit_reason)) == sizeof(reason) ? 0 : -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (!fake)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	switch (request) {
	case KVM_GET_API_VERSION: return KVM_API_VERSION;
	case KVM_CREATE_VM: return dup(fd);
	case KVM_GET_VCPU_MMAP_SIZE: return 4096;
	case KVM_CREATE_VCPU: return (fd = memfd_create("vcpu", 0)) >= 0 && ftruncate(fd, 4096) == 0 ? fd : -1;
	case KVM_RUN: return run_guest(fd);
	case KVM_GET_SREGS: memset(arg, 0, sizeof(struct kvm_sregs)); return 0;
	default: return 0;
	}
}

static void test_fake(void **state)
{
	static const struct { int fake; const char *reason; enum acceleration_level level; } cases[] = {
		{ FAST, NULL, ACCELERATION_LONG_MODE }, { SLOW, FAKE " is too slow: ", ACCELERATION_REAL_MODE },
		{ HANGS, FAKE " gave no answer within 1 s", ACCELERATION_REAL_MODE }, { HANGS_AT_ONCE, FAKE " gave no answer within 1 s", ACCELERATION_NONE },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *reason = NULL;
		enum acceleration_level level;
		bool works;

		fake = cases[i].fake;
		works = acceleration_probe(FAKE, &level, &reason);
		fake = NONE;
		assert_int_equal(works, !cases[i].reason);
		assert_true(cases[i].reason ? reason && g_str_has_prefix(reason, cases[i].reason) : !reason);
		assert_int_equal(level, cases[i].level);
	}
}
#else
static void test_fake(void **state)
{
	skip();
}
#endif

static void test_meminfo(void **state)
{
	static const char text[] = "MemTotal:       1000 kB\nMemFree:    100 kB\nBuffers: 10 kB\nCached: 20 kB\nSwapCached: 5 kB\nSReclaimable:    7 kB\n";

	assert_int_equal(meminfo_kib(text, "MemTotal"), 1000);
	assert_int_equal(meminfo_kib(text, "Cached"), 20);
	assert_int_equal(meminfo_kib(text, "Nothing"), 0);
	assert_int_equal(meminfo_free_kib(text), 137);
	assert_int_equal(meminfo_kib("Node 0 MemTotal:  55 kB", "MemTotal"), 55);
}

/* With a device as argument: the exit status tells tests/run whether it is of any use. */
int main(int argc, char **argv)
{
	g_autofree char *reason = NULL;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing), cmocka_unit_test(test_no_kvm), cmocka_unit_test(test_this_machine), cmocka_unit_test(test_fake),
		cmocka_unit_test(test_meminfo),
	};

	if (argc == 2)
		return !acceleration_probe(argv[1], NULL, &reason);
	return cmocka_run_group_tests_name("agent acceleration", tests, NULL, NULL);
}
