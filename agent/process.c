/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/error.h"
#include "common/loop.h"

static bool spawn(const struct process *process, int input, int output, int errors, pid_t *ret_pid)
{
	g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int failure;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
	if (process->keep_fd)
		posix_spawn_file_actions_adddup2(&actions, process->keep_fd, process->keep_fd);      /* no longer close-on-exec there */
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	failure = posix_spawn(ret_pid, process->argv[0], &actions, &attributes, (char *const *)process->argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	errno = failure;
	return !failure;
}

/* Takes what is there; false at the end of the stream. */
static bool drain(struct process *process, int fd, GString *to)
{
	size_t max = process->output_max ? process->output_max : PROCESS_OUTPUT_MAX;
	char buffer[4096];

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		if (process->heard && to == process->output)
			process->heard(process->data, buffer, (size_t)n);
		process->cut |= (size_t)n > max - to->len;
		g_string_append_len(to, buffer, (gssize)MIN((size_t)n, max - to->len));
	}
}

/* Until the program has ended (what it left behind and still holds a pipe does not count) or is to be stopped; false: the time is over. */
static bool attend(struct process *process, int pidfd, int to, int from, int errors)
{
	enum { END, OUTPUT, ERRORS, INPUT, STOP };
	struct pollfd fds[] = {
		[END] = { .fd = pidfd, .events = POLLIN }, [OUTPUT] = { .fd = from, .events = POLLIN }, [ERRORS] = { .fd = errors, .events = POLLIN },
		[INPUT] = { .fd = to, .events = POLLOUT }, [STOP] = { .fd = process->stop_fd ? process->stop_fd : -1, .events = POLLIN },
	};
	int64_t deadline = now_usec() + process->limit_usec;
	const char *input = process->input;
	size_t left = input ? strlen(input) : 0;

	for (;;) {
		int64_t wait = deadline - now_usec();

		if (!left && fds[INPUT].fd >= 0) {
			shutdown(to, SHUT_WR);
			fds[INPUT].fd = -1;
		}
		if (wait <= 0)
			return false;
		if (poll(fds, G_N_ELEMENTS(fds), (int)MIN(wait / 1000 + 1, 60000)) < 0) {
			if (errno != EINTR)
				return false;
			continue;
		}
		if (fds[STOP].revents) {
			process->stopped = true;
			return true;
		}
		if (fds[OUTPUT].revents && !drain(process, from, process->output))
			fds[OUTPUT].fd = -1;
		if (process->errors && fds[ERRORS].revents && !drain(process, errors, process->errors))
			fds[ERRORS].fd = -1;
		if (fds[INPUT].fd >= 0 && fds[INPUT].revents) {
			ssize_t n = send(to, input, left, MSG_NOSIGNAL | MSG_DONTWAIT);

			if (n > 0) {
				input += n;
				left -= (size_t)n;
			} else if (errno != EAGAIN && errno != EINTR) {
				left = 0;                       /* it does not listen: its business */
			}
		}
		if (fds[END].revents) {
			(void)drain(process, from, process->output);
			if (process->errors)
				(void)drain(process, errors, process->errors);
			return true;
		}
	}
}

static void close_both(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

static void close_one(int pair[2], int which)
{
	if (pair[which] >= 0)
		close(pair[which]);
	pair[which] = -1;
}

static bool attend_and_reap(struct process *process, pid_t pid, int to, int from, int errors, GError **error)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0;
	bool ended = pidfd >= 0 && attend(process, pidfd, to, from, errors);

	if (!ended || process->stopped)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	process->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	if (!ended)
		error_set(error, ERR_TIMEOUT, "%s did not end within %" G_GINT64_FORMAT " s and was killed", process->argv[0],
			  process->limit_usec / G_USEC_PER_SEC);
	return ended;
}

bool process_run(struct process *process, GError **error)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
	pid_t pid = -1;
	bool good;

	process->output = g_string_new(NULL);
	process->errors = process->apart ? g_string_new(NULL) : NULL;
	process->cut = process->stopped = false;
	/* a socket for its input: a write to one that is closed is no SIGPIPE */
	good = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) == 0 && pipe2(out, O_CLOEXEC) == 0 && (!process->apart || pipe2(err, O_CLOEXEC) == 0) &&
	       spawn(process, in[1], out[1], process->apart ? err[1] : out[1], &pid);
	if (!good)
		error_set_errno(error, ERR_GENERAL, errno, "cannot run %s", process->argv[0]);
	close_one(in, 1);
	close_one(out, 1);
	close_one(err, 1);
	if (good) {
		(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
		if (err[0] >= 0)
			(void)fcntl(err[0], F_SETFL, O_NONBLOCK);
		good = attend_and_reap(process, pid, in[0], out[0], err[0], error);
	}
	close_both(in);
	close_both(out);
	close_both(err);
	if (!good) {
		g_string_free(process->output, TRUE);
		if (process->errors)
			g_string_free(process->errors, TRUE);
		process->output = process->errors = NULL;
	}
	return good;
}
