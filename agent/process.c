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

static bool spawn(const struct process *process, int input, int output, pid_t *ret_pid)
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
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
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
static bool drain(int fd, GString *output)
{
	char buffer[4096];

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		g_string_append_len(output, buffer, MIN(n, (ssize_t)(PROCESS_OUTPUT_MAX - output->len)));
	}
}

/* Until the program has ended (what it left behind and still holds the pipe does not count); false: the time is over. */
static bool attend(int pidfd, int to, int from, const char *input, int64_t deadline, GString *output)
{
	struct pollfd fds[] = { { .fd = pidfd, .events = POLLIN }, { .fd = from, .events = POLLIN }, { .fd = to, .events = POLLOUT } };
	size_t left = input ? strlen(input) : 0;

	for (;;) {
		int64_t wait = deadline - now_usec();

		if (!left && fds[2].fd >= 0) {
			shutdown(to, SHUT_WR);
			fds[2].fd = -1;
		}
		if (wait <= 0)
			return false;
		if (poll(fds, G_N_ELEMENTS(fds), (int)MIN(wait / 1000 + 1, 60000)) < 0) {
			if (errno != EINTR)
				return false;
			continue;
		}
		if (fds[1].revents && !drain(from, output))
			fds[1].fd = -1;
		if (fds[2].fd >= 0 && fds[2].revents) {
			ssize_t n = send(to, input, left, MSG_NOSIGNAL | MSG_DONTWAIT);

			if (n > 0) {
				input += n;
				left -= (size_t)n;
			} else if (errno != EAGAIN && errno != EINTR) {
				left = 0;                       /* it does not listen: its business */
			}
		}
		if (fds[0].revents) {
			(void)drain(from, output);
			return true;
		}
	}
}

bool process_run(struct process *process, GError **error)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = 0, pidfd;
	bool ended, good;
	pid_t pid = -1;

	process->output = g_string_new(NULL);
	/* a socket for its input: a write to one that is closed is no SIGPIPE */
	good = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) == 0 && pipe2(out, O_CLOEXEC) == 0 && spawn(process, in[1], out[1], &pid);
	if (!good)
		error_set_errno(error, ERR_GENERAL, errno, "cannot run %s", process->argv[0]);
	if (in[1] >= 0)
		close(in[1]);
	if (out[1] >= 0)
		close(out[1]);
	if (good) {
		(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		ended = pidfd >= 0 && attend(pidfd, in[0], out[0], process->input, now_usec() + process->limit_usec, process->output);
		if (!ended)
			kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (pidfd >= 0)
			close(pidfd);
		process->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		if (!ended)
			error_set(error, ERR_TIMEOUT, "%s did not end within %" G_GINT64_FORMAT " s and was killed", process->argv[0],
				  process->limit_usec / G_USEC_PER_SEC);
		good = ended;
	}
	if (in[0] >= 0)
		close(in[0]);
	if (out[0] >= 0)
		close(out[0]);
	if (!good) {
		g_string_free(process->output, TRUE);
		process->output = NULL;
	}
	return good;
}
