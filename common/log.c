/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder.
 *
 * The ring is LOG_RING_BYTES of zero-initialized memory: pages that were never reached cost nothing. Lines are laid into it end to
 * end; `written` counts all bytes ever, so the oldest byte is at written - LOG_RING_BYTES, and a reader skips the line cut there.
 *
 * A line is one line: control characters of the message become spaces, it is cut at LINE_MAX_BYTES. Its head is
 *   2026-07-31T12:00:00.123Z D virt vm=<id> flow=<id> message
 * in UTC; the journal has its own time, so there the head starts with "<N>" and the module. Standard error is written outside of the
 * lock: if it blocks, it blocks who logged, not everyone.
 *
 * Levels: one of everything and at most MODULES_MAX by name. Setting the level of everything forgets those by name; setting a module to
 * LOG_LEVEL_INVALID makes it follow again.
 *
 * The crash handler takes no lock (the dead may hold it), calls only async-signal-safe functions, and may show one garbled line.
 */
#include "common/log.h"
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/lock.h"

#define LINE_MAX_BYTES 4096
#define MODULES_MAX 64

static const struct {
	const char *name, *other_name;
	char letter, priority;
} levels[LOG_LEVEL_MAX] = {
	[LOG_LEVEL_ERROR] = { "error", "critical", 'E', '3' },
	[LOG_LEVEL_WARN] = { "warn", "warning", 'W', '4' },
	[LOG_LEVEL_INFO] = { "info", "notice", 'I', '6' },
	[LOG_LEVEL_DEBUG] = { "debug", "debug", 'D', '7' },
	[LOG_LEVEL_TRACE] = { "trace", "trace", 'T', '7' },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all of these */
static char ring[LOG_RING_BYTES];
static uint64_t written;
static enum log_level level_of_all = LOG_LEVEL_INFO;
static struct {
	char name[32];
	enum log_level level;
} modules[MODULES_MAX];
static unsigned n_modules;

static _Thread_local char context_vm[64], context_flow[64];
static _Thread_local time_t stamped = -1;
static _Thread_local char stamp[40];

enum log_level log_level_from_name(const char *name)
{
	for (int i = 0; name && i < LOG_LEVEL_MAX; i++)
		if (!g_ascii_strcasecmp(name, levels[i].name) || !g_ascii_strcasecmp(name, levels[i].other_name))
			return i;
	return LOG_LEVEL_INVALID;
}

const char *log_level_name(enum log_level level)
{
	return level >= 0 && level < LOG_LEVEL_MAX ? levels[level].name : NULL;
}

static int find_module(const char *module)
{
	for (unsigned i = 0; i < n_modules; i++)
		if (!strcmp(modules[i].name, module))
			return (int)i;
	return -1;
}

static enum log_level level_of(const char *module)
{
	int i = n_modules && module ? find_module(module) : -1;

	return i < 0 ? level_of_all : modules[i].level;
}

void log_set_level(const char *module, enum log_level level)
{
	AUTO_LOCK(&lock);
	int i;

	if (!module || !*module) {
		if (level != LOG_LEVEL_INVALID)
			level_of_all = level;
		n_modules = 0;
		return;
	}
	i = find_module(module);
	if (level == LOG_LEVEL_INVALID) {
		if (i >= 0)
			modules[i] = modules[--n_modules];
		return;
	}
	if (i < 0) {
		if (n_modules == MODULES_MAX || strlen(module) >= sizeof(modules[0].name))
			return;
		i = (int)n_modules++;
		g_strlcpy(modules[i].name, module, sizeof(modules[i].name));
	}
	modules[i].level = level;
}

enum log_level log_get_level(const char *module)
{
	AUTO_LOCK(&lock);

	return level_of(module);
}

void log_context_set(const char *vm_id, const char *flow_id)
{
	g_strlcpy(context_vm, vm_id ? vm_id : "", sizeof(context_vm));
	g_strlcpy(context_flow, flow_id ? flow_id : "", sizeof(context_flow));
}

void log_context_clear(void)
{
	context_vm[0] = context_flow[0] = 0;
}

static void ring_append(const char *bytes, size_t n)
{
	size_t at = written % sizeof(ring), first = MIN(n, sizeof(ring) - at);

	memcpy(ring + at, bytes, first);
	memcpy(ring, bytes + first, n - first);
	written += n;
}

/* The calendar part is made once a second and thread. */
static const char *stamp_of(time_t seconds)
{
	struct tm tm;

	if (seconds != stamped) {
		gmtime_r(&seconds, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
		stamped = seconds;
	}
	return stamp;
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
	static bool journal, journal_known; /* under the lock */
	char line[LINE_MAX_BYTES], prefix[4] = { '<', 0, '>' };
	int64_t now = g_get_real_time();
	size_t head, length, start;
	bool show, to_journal;
	int added;
	va_list args;

	start = (size_t)snprintf(line, sizeof(line), "%s.%03dZ ", stamp_of(now / G_USEC_PER_SEC), (int)(now / 1000 % 1000));
	head = start + (size_t)snprintf(line + start, sizeof(line) - start, "%c %.31s %s%s%s%s%s%s", levels[level].letter, module,
					*context_vm ? "vm=" : "", context_vm, *context_vm ? " " : "",
					*context_flow ? "flow=" : "", context_flow, *context_flow ? " " : "");
	va_start(args, format);
	added = vsnprintf(line + head, sizeof(line) - head, format, args);
	va_end(args);
	length = MIN(head + (size_t)MAX(added, 0), sizeof(line) - 1);
	for (size_t i = start; i < length; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';
	line[length++] = '\n';

	{
		AUTO_LOCK(&lock);

		if (!journal_known) {
			journal = g_getenv("JOURNAL_STREAM") != NULL;
			journal_known = true;
		}
		to_journal = journal;
		ring_append(line, length);
		show = level <= level_of(module);
	}
	if (show && to_journal) {
		/* "<6>" in place of the end of the time: one write, so that lines of two threads do not mix */
		prefix[1] = levels[level].priority;
		start -= 3;
		memcpy(line + start, prefix, 3);
		(void)!write(STDERR_FILENO, line + start, length - start);
	} else if (show) {
		(void)!write(STDERR_FILENO, line, length);
	}
}

char *log_dump(void)
{
	GString *text = g_string_sized_new(0);
	AUTO_LOCK(&lock);
	size_t at = written % sizeof(ring);
	const char *end;

	if (written > sizeof(ring)) {
		g_string_append_len(text, ring + at, (gssize)(sizeof(ring) - at));
		g_string_append_len(text, ring, (gssize)at);
		end = memchr(text->str, '\n', text->len);
		g_string_erase(text, 0, end ? end + 1 - text->str : 0);
	} else {
		g_string_append_len(text, ring, (gssize)written);
	}
	return g_string_free(text, /* free_segment= */ FALSE);
}

static void crash_write(const char *bytes, size_t n)
{
	for (ssize_t done; n; bytes += done, n -= (size_t)done)
		if ((done = write(STDERR_FILENO, bytes, n)) <= 0)
			return;
}

static void on_crash(int signum)
{
	static const char title[] = "\n--- crash: the last lines of the log ---\n", end[] = "--- end ---\n";
	uint64_t total = written;
	size_t at = total % sizeof(ring);

	crash_write(title, sizeof(title) - 1);
	if (total > sizeof(ring))
		crash_write(ring + at, sizeof(ring) - at);
	crash_write(ring, at);
	crash_write(end, sizeof(end) - 1);
	/* SA_RESETHAND: the default action follows, with a core dump of the place */
	raise(signum);
}

void log_dump_on_crash(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	static char stack[16 * 1024]; /* for an overflow of the main thread's own */
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_crash, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK) };

	sigemptyset(&action.sa_mask);
	(void)sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
		(void)sigaction(signals[i], &action, NULL);
}
