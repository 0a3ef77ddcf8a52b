/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that runs beside the agent for one network: a DHCP client, a server of names and addresses.
 *
 * It lives in a process name space of its own, whose first process ends with the agent (PDEATHSIG): programs drop their privileges, by which they would
 * lose that signal. It has a mount name space, too, so that its files can be in our directory and it does not meet another one of the host. The
 * first process is a script of ours, which runs the program and does not become it. One that ends by itself, or says more than can be meant, is
 * started again after restart_usec.
 *
 * The loop's thread only.
 */
#define LOG_MODULE "net"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

#define OUTPUT_MAX 8192
#define END_LIMIT_MSEC 2000               /* killed processes end at once */

struct net_child {
	struct loop *loop;
	const struct net_child_kind *kind;
	char *name;
	void *data;
	GPid pid;                        /* 0: not running */
	int fd;
	struct watch *watch;
	struct timer *restart;
	GString *output;
};

/* The first process of the name space; 0: not there yet, or any more. */
static pid_t first_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", (int)pid, (int)pid);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
}

/*
 * When the first process of a name space has ended, all the others have, and what they had, a port, is free again. Its parent, which is the one we know,
 * ends after it, but would not wait for it if it were killed itself.
 */
static void stop(struct net_child *child)
{
	child->watch = watch_free(child->watch);
	if (child->pid) {
		pid_t first = first_of(child->pid);
		struct pollfd pollfd = { .fd = first ? pidfd_open(child->pid, 0) : -1, .events = POLLIN };

		if (pollfd.fd >= 0) {
			(void)kill(first, SIGKILL);
			(void)poll(&pollfd, 1, END_LIMIT_MSEC);
			close(pollfd.fd);
		}
		(void)kill(child->pid, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);           /* killed: at once */
		close(child->fd);
	}
	child->pid = 0;
	g_string_truncate(child->output, 0);
}

static void on_output(int fd, unsigned what, void *data)
{
	struct net_child *child = data;
	char buffer[1024];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0 && child->output->len + (size_t)n <= OUTPUT_MAX) {
		g_string_append_len(child->output, buffer, n);
		child->kind->heard(child->data, child->output);
		return;
	}
	log_error("network '%s': the %s has ended, again in %d s", child->name, child->kind->what, (int)(child->kind->restart_usec / G_USEC_PER_SEC));
	stop(child);
	timer_set(child->restart, child->kind->restart_usec);
	if (child->kind->ended)
		child->kind->ended(child->data, NULL);
}

static void start(void *data)
{
	static const char *const apart[] = { "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child" };
	struct net_child *child = data;
	g_autoptr(GStrvBuilder) words = g_strv_builder_new();
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) argv = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(apart); i++)
		g_strv_builder_add(words, apart[i]);
	if (child->kind->prepare(child->data, words, &error)) {
		argv = g_strv_builder_end(words);
		(void)g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
					       &child->pid, NULL, &child->fd, NULL, &error);
	}
	if (error) {
		log_error("network '%s': starting the %s: %s", child->name, child->kind->what, error->message);
		child->pid = 0;
		timer_set(child->restart, child->kind->restart_usec);
		if (child->kind->ended)
			child->kind->ended(child->data, error->message);
		return;
	}
	(void)fcntl(child->fd, F_SETFL, O_NONBLOCK);
	child->watch = watch_new(child->loop, child->fd, on_output, child);
	watch_set(child->watch, WATCH_READ);
}

struct net_child *net_child_new(struct loop *loop, const struct net_child_kind *kind, const char *name, void *data)
{
	struct net_child *child = g_new0(struct net_child, 1);

	child->loop = loop;
	child->kind = kind;
	child->name = g_strdup(name);
	child->data = data;
	child->output = g_string_new(NULL);
	child->restart = timer_new(loop, start, child);
	start(child);
	return child;
}

void net_child_restart(struct net_child *child)
{
	timer_cancel(child->restart);
	stop(child);
	start(child);
}

struct net_child *net_child_free(struct net_child *child)
{
	if (!child)
		return NULL;
	stop(child);
	timer_free(child->restart);
	g_string_free(child->output, TRUE);
	g_free(child->name);
	g_free(child);
	return NULL;
}
