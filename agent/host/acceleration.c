/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does KVM work? Not: is there a /dev/kvm. There are hosts (VMs themselves) whose /dev/kvm opens, makes VMs and runs them, but emulates
 * the guest's kernel mode instruction by instruction: 500 times slower than hardware, 10 to 100 times slower than TCG, and in the end it
 * fails. Only time tells, so this is what is measured: a machine of 2 MiB whose processor first runs an instruction in real mode, as firmware does, and
 * then, in long mode, counts down from ROUNDS.
 *
 *   t=0       a child is forked: whatever KVM does to it, it cannot hang the agent
 *   t=0.3 ms  hardware is done (below 1 ns a round); up to ROUND_NS_MAX counts as hardware
 *   t=100 ms  the emulated one is done: "too slow"
 *   t=1 s     the child is killed: "no answer". A child the kernel does not let go is left behind and not waited for.
 */
#define LOG_MODULE "host"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "agent/host/host-priv.h"
#include "common/log.h"

#define ACCELERATION_LIMIT_USEC (1 * G_USEC_PER_SEC)
#define ROUNDS 200000
#define ROUND_NS_MAX 20.0

/* What the child tells. */
struct verdict {
	double round_ns;              /* < 0: it failed */
	int errnum;
	char step[64];
};

#ifdef __x86_64__
#define MEMORY (2u << 20)
#define CODE 0x1000
#define HALT 0x2000
#define PAGES 0x10000

/* mov ecx, ROUNDS; again: dec ecx; jnz again; hlt */
static void write_code(uint8_t *code)
{
	static const uint8_t tail[] = { 0xff, 0xc9, 0x75, 0xfc, 0xf4 };
	uint32_t rounds = ROUNDS;

	code[0] = 0xb9;
	memcpy(code + 1, &rounds, sizeof(rounds));
	memcpy(code + 5, tail, sizeof(tail));
}

/* One page of 2 MiB, mapped to itself. */
static void write_pages(uint8_t *memory)
{
	uint64_t *level4 = (uint64_t *)(memory + PAGES), *level3 = level4 + 512, *level2 = level3 + 512;

	level4[0] = (PAGES + 0x1000) | 3;
	level3[0] = (PAGES + 0x2000) | 3;
	level2[0] = 0x83;
}

static void long_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment segment = { .limit = 0xffffffff, .selector = 8, .present = 1, .type = 11, .s = 1, .l = 1, .g = 1 };

	sregs->cs = segment;
	segment.type = 3;
	segment.selector = 16;
	segment.l = 0;
	segment.db = 1;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = segment;
	sregs->cr3 = PAGES;
	sregs->cr4 |= 1u << 5;                          /* PAE */
	sregs->cr0 |= 1u | 1u << 31;                    /* protected, paging */
	sregs->efer |= 1u << 8 | 1u << 10;              /* long mode enabled and active */
}

static double seconds(void)
{
	struct timespec now;

	/* Time on the processor, the guest's included: a busy host must not look like a slow one. */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Until the processor halts; NULL or the step that failed. */
static const char *run_to_halt(int cpu, struct kvm_run *run)
{
	do {
		if (ioctl(cpu, KVM_RUN, 0) < 0 && errno != EINTR && errno != EAGAIN)
			return "KVM_RUN";
	} while (run->exit_reason == KVM_EXIT_INTR);
	errno = 0;
	return run->exit_reason == KVM_EXIT_HLT ? NULL : "KVM_RUN did not reach the end of the code";
}

/* hlt, in real mode, at HALT */
static const char *run_real_mode(int cpu, struct kvm_run *run, uint8_t *memory)
{
	struct kvm_regs regs = { .rip = HALT, .rflags = 2, .rsp = 0x8000 };
	struct kvm_sregs sregs;

	memory[HALT] = 0xf4;
	if (ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
		return "KVM_GET_SREGS";
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(cpu, KVM_SET_SREGS, &sregs) < 0)
		return "KVM_SET_SREGS";
	if (ioctl(cpu, KVM_SET_REGS, &regs) < 0)
		return "KVM_SET_REGS";
	return run_to_halt(cpu, run);
}

/* In the child. Each step that fails says its name. */
static const char *measure(const char *device, double *ret_ns, volatile int *ret_real_mode)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rsp = 0x8000 };
	uint64_t identity = 0xfffbc000;
	struct kvm_sregs sregs;
	struct kvm_run *run;
	const char *failed;
	uint8_t *memory;
	int kvm, vm, cpu, size;
	double begun;

	if ((kvm = open(device, O_RDWR | O_CLOEXEC)) < 0)
		return "open";
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return "KVM_GET_API_VERSION";
	if ((vm = ioctl(kvm, KVM_CREATE_VM, 0)) < 0)
		return "KVM_CREATE_VM";
	(void)ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	(void)ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return "mmap";
	write_code(memory + CODE);
	write_pages(memory);
	region.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return "KVM_SET_USER_MEMORY_REGION";
	if ((cpu = ioctl(vm, KVM_CREATE_VCPU, 0)) < 0)
		return "KVM_CREATE_VCPU";
	if ((size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)) < 0 ||
	    (run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0)) == MAP_FAILED)
		return "KVM_GET_VCPU_MMAP_SIZE";
	if ((failed = run_real_mode(cpu, run, memory)))
		return failed;
	*ret_real_mode = 1;
	if (ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
		return "KVM_GET_SREGS";
	long_mode(&sregs);
	if (ioctl(cpu, KVM_SET_SREGS, &sregs) < 0)
		return "KVM_SET_SREGS";
	if (ioctl(cpu, KVM_SET_REGS, &regs) < 0)
		return "KVM_SET_REGS";
	begun = seconds();
	if ((failed = run_to_halt(cpu, run)))
		return failed;
	*ret_ns = (seconds() - begun) * 1e9 / ROUNDS;
	return NULL;
}
#else
/* No measurement for this processor: that KVM can make a machine must do. */
static const char *measure(const char *device, double *ret_ns, volatile int *ret_real_mode)
{
	int kvm = open(device, O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		return "open";
	if (ioctl(kvm, KVM_CREATE_VM, 0) < 0)
		return "KVM_CREATE_VM";
	*ret_ns = 0;
	return NULL;
}
#endif

static void child(const char *device, int out, volatile int *ret_real_mode)
{
	struct verdict verdict = { .round_ns = -1 };
	const char *step;

	/* One that hangs in the kernel outlives an agent that is killed: it must hold none of its locks and sockets. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (out > 3)
		(void)close_range(3, (unsigned)out - 1, 0);
	(void)close_range((unsigned)out + 1, ~0u, 0);
	step = measure(device, &verdict.round_ns, ret_real_mode);
	if (step) {
		verdict.round_ns = -1;
		verdict.errnum = errno;
		memcpy(verdict.step, step, MIN(strlen(step), sizeof(verdict.step) - 1));
	}
	(void)!write(out, &verdict, sizeof(verdict));
	_exit(0);
}

bool acceleration_probe(const char *device, enum acceleration_level *ret_level, char **ret_reason)
{
	struct verdict verdict;
	enum acceleration_level unused;
	volatile int *real_mode;              /* shared with the child: known even of one that hangs afterwards */
	struct pollfd wait;
	int pipes[2];
	ssize_t n = 0;
	pid_t pid;

	if (!ret_level)
		ret_level = &unused;
	*ret_level = ACCELERATION_NONE;
	*ret_reason = NULL;
	if (access(device, F_OK) < 0) {
		*ret_reason = g_strdup_printf("there is no %s", device);
		return false;
	}
	real_mode = mmap(NULL, sizeof(*real_mode), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (real_mode == MAP_FAILED || pipe2(pipes, O_CLOEXEC) < 0) {
		*ret_reason = g_strdup_printf("cannot be tried: %s", g_strerror(errno));
		if (real_mode != MAP_FAILED)
			munmap((void *)real_mode, sizeof(*real_mode));
		return false;
	}
	pid = fork();
	if (!pid)
		child(device, pipes[1], real_mode);
	if (pid < 0) {
		*ret_reason = g_strdup_printf("cannot be tried: %s", g_strerror(errno));
		close(pipes[0]);
		close(pipes[1]);
		munmap((void *)real_mode, sizeof(*real_mode));
		return false;
	}
	close(pipes[1]);
	wait = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	if (poll(&wait, 1, ACCELERATION_LIMIT_USEC / 1000) == 1)
		n = read(pipes[0], &verdict, sizeof(verdict));
	close(pipes[0]);
	kill(pid, SIGKILL);
	/* It has told us and is about to end, or it was killed; in the kernel's hands for good it is left behind. */
	for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		g_usleep(1000);
	if (n != (ssize_t)sizeof(verdict))
		*ret_reason = g_strdup_printf("%s gave no answer within %d s", device, (int)(ACCELERATION_LIMIT_USEC / G_USEC_PER_SEC));
	else if (verdict.round_ns < 0)
		*ret_reason = g_strdup_printf("%s: %s%s%s", device, verdict.step, verdict.errnum ? ": " : "", verdict.errnum ? g_strerror(verdict.errnum) : "");
	else if (verdict.round_ns > ROUND_NS_MAX)
		*ret_reason = g_strdup_printf("%s is too slow: %.0f ns a loop round, hardware takes less than %.0f", device, verdict.round_ns, ROUND_NS_MAX);
	*ret_level = !*ret_reason ? ACCELERATION_LONG_MODE : *real_mode ? ACCELERATION_REAL_MODE : ACCELERATION_NONE;
	munmap((void *)real_mode, sizeof(*real_mode));
	return !*ret_reason;
}
