/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running qemu-img.
 *
 * One process a call: standard input is /dev/null, output and error are collected through pipes, bounded in size and time. When it is over
 * its time or writes too much it is killed; it is always waited for. LC_ALL=C, because "No space left on device" is told from other failures by
 * its text: qemu-img's exit status is 1 for all of them. Formats are always given, never guessed: a guest that writes a qcow2 header into its raw
 * disk must not get us to open a backing file of its choice.
 *
 * If the agent is killed meanwhile, the process goes on for a moment on files in a temporary directory that recovery removes: harmless.
 */
#define LOG_MODULE "storage"
#include "agent/storage/qemu_img.h"
#include <inttypes.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include "agent/storage/files.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/record.h"

#define ERROR_TEXT_MAX 4096

static char **c_environment(void)
{
	char **environment = g_get_environ();

	return g_environ_setenv(environment, "LC_ALL", "C", TRUE);
}

static bool spawn(const char *const *argv, pid_t *ret_pid, int *ret_out, int *ret_err, GError **error)
{
	g_autoptr(GPtrArray) full = g_ptr_array_new();
	g_auto(GStrv) environment = c_environment();
	autofd out_read = -1;
	autofd out_write = -1;
	autofd err_read = -1;
	autofd err_write = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int out[2], err[2], failure;
	sigset_t signals;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "qemu-img: pipe");
		return false;
	}
	out_read = out[0];
	out_write = out[1];
	if (pipe2(err, O_CLOEXEC) < 0) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, errno, "qemu-img: pipe");
		return false;
	}
	err_read = err[0];
	err_write = err[1];

	g_ptr_array_add(full, (gpointer)"qemu-img");
	for (; *argv; argv++)
		g_ptr_array_add(full, (gpointer)*argv);
	g_ptr_array_add(full, NULL);

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out_write, 1);
	posix_spawn_file_actions_adddup2(&actions, err_write, 2);
	posix_spawnattr_init(&attributes);
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attributes, &signals);
	sigaddset(&signals, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &signals);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	failure = posix_spawnp(&pid, "qemu-img", &actions, &attributes, (char *const *)full->pdata, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (failure) {
		error_set_errno(error, ERR_STORAGE_EXCEPTION, failure, "cannot run qemu-img");
		return false;
	}
	*ret_pid = pid;
	*ret_out = steal_fd(&out_read);
	*ret_err = steal_fd(&err_read);
	return true;
}

/* Reads what is there; false at the end of the stream. */
static bool drain(int fd, GString *to, size_t max, bool *ret_overflow)
{
	char buffer[65536];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	if (to->len + (size_t)n > max)
		*ret_overflow = true;
	g_string_append_len(to, buffer, (gssize)MIN((size_t)n, max - to->len));
	return true;
}

/* Collects until both ends are closed; false when it had to be killed. */
static bool collect(int out, int err, int64_t deadline_usec, GString *output, GString *errors, bool *ret_overflow)
{
	struct pollfd fds[] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	bool ignored = false;

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		int64_t left = deadline_usec - now_usec();

		if (left <= 0 || *ret_overflow)
			return false;
		if (poll(fds, 2, (int)MIN(left / 1000 + 1, 60000)) < 0 && errno != EINTR)
			return false;
		if (fds[0].revents && !drain(out, output, QEMU_IMG_OUTPUT_MAX, ret_overflow))
			fds[0].fd = -1;
		if (fds[1].revents && !drain(err, errors, ERROR_TEXT_MAX, &ignored))
			fds[1].fd = -1;
		fds[0].revents = fds[1].revents = 0;
	}
	return true;
}

bool qemu_img_run(const char *const *argv, int64_t limit_usec, char **ret_output, GError **error)
{
	g_autoptr(GString) output = g_string_new(NULL);
	g_autoptr(GString) errors = g_string_new(NULL);
	const char *command = argv[0];
	int out = -1, err = -1, status = 0;
	bool overflow = false, done;
	pid_t pid;

	if (!spawn(argv, &pid, &out, &err, error))
		return false;
	done = collect(out, err, now_usec() + limit_usec, output, errors, &overflow);
	if (!done)
		kill(-pid, SIGKILL);
	close(out);
	close(err);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	g_strstrip(errors->str);
	if (!done) {
		if (overflow)
			error_set(error, ERR_STORAGE_EXCEPTION, "qemu-img %s wrote more than %d bytes", command, QEMU_IMG_OUTPUT_MAX);
		else
			error_set(error, ERR_TIMEOUT, "qemu-img %s was not done after %" PRId64 " s", command, limit_usec / G_USEC_PER_SEC);
		return false;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		enum error_code code = strstr(errors->str, "No space left") || strstr(errors->str, "quota exceeded") ? ERR_NO_SPACE_LEFT_ON_DOMAIN
														      : ERR_STORAGE_EXCEPTION;

		if (WIFSIGNALED(status))
			error_set(error, code, "qemu-img %s was ended by signal %d", command, WTERMSIG(status));
		else
			error_set(error, code, "qemu-img %s: %s", command, errors->str);
		return false;
	}
	log_debug("qemu-img %s: done", command);
	if (ret_output)
		*ret_output = g_string_free(g_steal_pointer(&output), FALSE);
	return true;
}

bool qemu_img_create(const struct qemu_img_create *image, GError **error)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autofree char *size = g_strdup_printf("%" PRIu64, image->size);

	g_ptr_array_add(argv, (gpointer)"create");
	g_ptr_array_add(argv, (gpointer)"-q");
	g_ptr_array_add(argv, (gpointer)"-f");
	g_ptr_array_add(argv, (gpointer)image->format);
	if (!strcmp(image->format, "qcow2")) {
		g_ptr_array_add(argv, (gpointer)"-o");
		g_ptr_array_add(argv, (gpointer)(image->preallocate ? "compat=1.1,preallocation=falloc" : "compat=1.1"));
	} else if (image->preallocate) {
		g_ptr_array_add(argv, (gpointer)"-o");
		g_ptr_array_add(argv, (gpointer)"preallocation=falloc");
	}
	if (image->backing) {
		/* -u: the name is relative to where the image will be, not to where it is now; the caller has checked the backing volume */
		g_ptr_array_add(argv, (gpointer)"-u");
		g_ptr_array_add(argv, (gpointer)"-b");
		g_ptr_array_add(argv, (gpointer)image->backing);
		g_ptr_array_add(argv, (gpointer)"-F");
		g_ptr_array_add(argv, (gpointer)image->backing_format);
	}
	g_ptr_array_add(argv, (gpointer)"--");
	g_ptr_array_add(argv, (gpointer)image->path);
	g_ptr_array_add(argv, size);
	g_ptr_array_add(argv, NULL);
	return qemu_img_run((const char *const *)argv->pdata, QEMU_IMG_CREATE_USEC, /* ret_output= */ NULL, error);
}

json_t *qemu_img_info(const char *path, const char *format, GError **error)
{
	/* -U: also while a VM has it open */
	const char *argv[] = { "info", "-U", "--output=json", "-f", format, "--", path, NULL };
	g_autofree char *output = NULL;

	if (!qemu_img_run(argv, QEMU_IMG_INFO_USEC, &output, error))
		return NULL;
	return json_parse(output, strlen(output), error);
}
