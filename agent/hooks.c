/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hook scripts.
 *
 * A point is a directory below the hooks directory; its scripts are the regular files in it that may be executed (links to files count),
 * except names that start with a dot, in byte order of their names. The directory is read anew each time. With no scripts nothing happens.
 *
 * Scripts of one run go one after the other and share one data file (mode 0600), whose path is in _hook_domxml or _hook_json; what they
 * leave in it is the result. Environment: the agent's, then the call's parameters, then the VM's custom properties, then vmId, PYTHONPATH
 * and the data file. A property cannot replace what the dynamic linker, the shell, Python or this runner go by (reserved()).
 *
 * Exit codes: 0 fine; 1 failed, the others still run; 2 failed, the others are skipped; more, or a signal: failed, the others run. A script
 * that does not end within the limit is killed with its process group and counts as 1. At points that may fail the first failure is the
 * error, with that script's standard error; elsewhere failures are only logged.
 *
 * The points are a table (hook_points.h). Limits: hook_timeout a script (60 s by default), or what hook_timeouts says for its point; HOOK_STDERR_MAX of its
 * standard error are kept, HOOK_DATA_MAX of the data file.
 * Blocks: call on a worker. Thread-safe: each run has its own file and processes.
 */
#include "agent/hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/record.h"

#define LOG_MODULE "hooks"
#define HOOK_STDERR_MAX 4096
#define HOOK_DATA_MAX (16 * 1024 * 1024)
#define HOOK_LIMIT_MAX_S 3600
#define LAUNCH_FLAGS "launchflags"

extern char **environ;

enum data { NONE, XML, DEVICE, JSON };

static const struct point { const char *name; enum data data; int fails; bool used; } points[] = {
#define HOOK_POINT(name, data, fails, used, when) { #name, data, fails, used },
#include "agent/hook_points.h"
#undef HOOK_POINT
};

/* NULL: there is none of that name */
static const struct point *point_of(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(points); i++)
		if (!strcmp(points[i].name, name))
			return &points[i];
	return NULL;
}

struct hooks {
	char *directory, *run_dir;
	int64_t limit_usec;
	GHashTable *limits;           /* point -> seconds */
};

static bool read_limits(struct hooks *hooks, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit_set(text ? text : "", " \t,", -1);

	for (char **word = words; *word; word++) {
		char *number = strchr(*word, '=');
		guint64 seconds;

		if (!**word)
			continue;
		if (number)
			*number++ = '\0';
		if (!point_of(*word)) {
			error_set(error, ERR_INVALID_CONFIGURATION, "[agent] hook_timeouts: there is no hook point '%s'", *word);
			return false;
		}
		if (!number || !g_ascii_string_to_unsigned(number, 10, 1, HOOK_LIMIT_MAX_S, &seconds, NULL)) {
			error_set(error, ERR_INVALID_CONFIGURATION, "[agent] hook_timeouts: %s: '%s' is not a number of seconds from 1 to %d", *word, number ? number : "",
				  HOOK_LIMIT_MAX_S);
			return false;
		}
		g_hash_table_insert(hooks->limits, g_strdup(*word), GUINT_TO_POINTER((guint)seconds));
	}
	return true;
}

struct hooks *hooks_new(const struct hooks_settings *settings, GError **error)
{
	struct hooks *hooks = g_new0(struct hooks, 1);

	hooks->directory = g_strdup(settings->directory);
	hooks->run_dir = g_strdup(settings->run_dir);
	hooks->limit_usec = settings->limit_usec;
	hooks->limits = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	return read_limits(hooks, settings->limits, error) ? hooks : hooks_free(hooks);
}

struct hooks *hooks_free(struct hooks *hooks)
{
	if (!hooks)
		return NULL;
	g_hash_table_destroy(hooks->limits);
	g_free(hooks->directory);
	g_free(hooks->run_dir);
	g_free(hooks);
	return NULL;
}

static int64_t limit_of(const struct hooks *hooks, const char *point)
{
	guint seconds = GPOINTER_TO_UINT(g_hash_table_lookup(hooks->limits, point));

	return seconds ? seconds * (int64_t)G_USEC_PER_SEC : hooks->limit_usec;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Paths of the point's scripts in order; NULL when there are none. */
static GPtrArray *scripts_of(const struct hooks *hooks, const char *point)
{
	g_autofree char *directory = g_build_filename(hooks->directory, point, NULL);
	GPtrArray *scripts = NULL;
	struct dirent *entry;
	DIR *dir;

	if (point[0] == '.' || strchr(point, '/') || !(dir = opendir(directory)))
		return NULL;
	while ((entry = readdir(dir))) {
		g_autofree char *path = NULL;
		struct stat st;

		if (entry->d_name[0] == '.')
			continue;
		path = g_build_filename(directory, entry->d_name, NULL);
		if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
			continue;
		if (!scripts)
			scripts = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(scripts, g_steal_pointer(&path));
	}
	closedir(dir);
	if (scripts)
		g_ptr_array_sort(scripts, by_bytes);
	return scripts;
}

/* Names that a property must not take. */
static bool reserved(const char *name)
{
	return !*name || strchr(name, '=') || !strcmp(name, "PATH") || g_str_has_prefix(name, "LD_") || g_str_has_prefix(name, "PYTHON") ||
	       !strcmp(name, "IFS") || !strcmp(name, "ENV") || !strcmp(name, "BASH_ENV") || g_str_has_prefix(name, "_hook_") || !strcmp(name, "vmId");
}

static char **add_map(char **env, const json_t *map, const char *point)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)map, name, value) {
		g_autofree char *text = NULL;

		if (reserved(name)) {
			log_warn("hook %s: a property named '%s' is not handed to scripts", point, name);
			continue;
		}
		if (json_is_string(value))
			text = g_strdup(json_string_value(value));
		else if (json_is_boolean(value))
			text = g_strdup(json_is_true(value) ? "True" : "False");
		else {
			char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);

			text = g_strdup(dump);
			free(dump);
		}
		if (text)
			env = g_environ_setenv(env, name, text, TRUE);
	}
	return env;
}

static char *launch_flags_file(const struct hooks *hooks, const char *vm_id)
{
	return g_build_filename(hooks->run_dir, vm_id, LAUNCH_FLAGS, NULL);
}

/* Of the module `hooking` and the ready hooks: share/berth/hooks beside the folder of this program, wherever it was installed. */
static char *ready_hooks_dir(void)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL), *bin = g_path_get_dirname(program ? program : "/usr/sbin/berth-agent");
	g_autofree char *prefix = g_path_get_dirname(bin);

	return g_build_filename(prefix, "share/berth/hooks", NULL);
}

static char **environment(const struct hooks *hooks, const struct hook_run *run, enum data data, const char *data_file)
{
	char **env = g_strdupv(environ);
	const char *python;
	g_autofree char *ready = ready_hooks_dir(), *path = NULL;

	env = g_environ_unsetenv(env, "NOTIFY_SOCKET");
	if (run->parameters)
		env = add_map(env, run->parameters, run->point);
	if (run->custom)
		env = add_map(env, run->custom, run->point);
	if (run->vm_id)
		env = g_environ_setenv(env, "vmId", run->vm_id, TRUE);
	python = g_environ_getenv(env, "PYTHONPATH");
	path = python && *python ? g_strconcat(python, ":", ready, NULL) : g_strdup(ready);
	env = g_environ_setenv(env, "PYTHONPATH", path, TRUE);
	if (data_file)
		env = g_environ_setenv(env, data == JSON ? "_hook_json" : "_hook_domxml", data_file, TRUE);
	if (hooks->run_dir && run->vm_id && !strcmp(run->point, "before_vm_start")) {
		g_autofree char *flags = launch_flags_file(hooks, run->vm_id), *folder = g_path_get_dirname(flags);

		(void)g_mkdir_with_parents(folder, 0755);
		env = g_environ_setenv(env, "_hook_launchflags", flags, TRUE);
	}
	return env;
}

static bool spawn(const char *script, char **env, int err, pid_t *ret_pid)
{
	char *argv[] = { (char *)script, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	r = posix_spawn(ret_pid, script, &actions, &attributes, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	errno = r;
	return !r;
}

/* Takes what is there; false at the end of the stream. */
static bool drain(int fd, GString *err)
{
	char buffer[4096];

	for (;;) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (!n)
			return false;
		if (err->len < HOOK_STDERR_MAX)
			g_string_append_len(err, buffer, MIN((size_t)n, HOOK_STDERR_MAX - err->len));
	}
}

/* Runs one script; returns its exit code, negative for a signal, 1 when it could not run or took too long. */
static int run_script(const char *script, char **env, int64_t limit_usec, GString *err)
{
	int64_t deadline = now_usec() + limit_usec;
	struct pollfd fds[2];
	int pipes[2], status = 0, pidfd;
	bool late = false;
	pid_t pid = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		g_string_printf(err, "cannot make a pipe: %s", g_strerror(errno));
		return 1;
	}
	if (!spawn(script, env, pipes[1], &pid)) {
		g_string_printf(err, "cannot be started: %s", g_strerror(errno));
		close(pipes[0]);
		close(pipes[1]);
		return 1;
	}
	close(pipes[1]);
	(void)fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fds[0] = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	/* The end of the script counts, not that of its standard error: a script may leave something behind that holds it open. */
	for (;;) {
		int64_t left = deadline - now_usec();
		int n = left > 0 ? poll(fds, 2, (int)MIN((left + 999) / 1000, 3600 * 1000)) : 0;

		if (fds[1].fd >= 0 && n > 0 && fds[1].revents && !drain(pipes[0], err))
			fds[1].fd = -1;
		if (n > 0 && fds[0].revents)
			break;
		if (n == 0 && now_usec() >= deadline) {
			late = true;
			break;
		}
	}
	if (late)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)drain(pipes[0], err);
	close(pipes[0]);
	if (pidfd >= 0)
		close(pidfd);
	g_strchomp(err->str);
	err->len = strlen(err->str);
	if (late) {
		g_string_append_printf(err, "%sdid not end within %g s and was killed", err->len ? "; " : "", (double)limit_usec / 1e6);
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool make_data_file(const char *content, char **ret_path, GError **error)
{
	char *path = g_build_filename(g_get_tmp_dir(), "berth-hook-XXXXXX", NULL);
	size_t length = strlen(content), done = 0;
	int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);

	while (fd >= 0 && done < length) {
		ssize_t n = write(fd, content + done, length - done);

		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd < 0 || done < length) {
		error_set_errno(error, ERR_HOOK_ERROR, errno, "cannot write the data file %s", path);
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
		g_free(path);
		return false;
	}
	close(fd);
	*ret_path = path;
	return true;
}

static char *read_data_file(const char *path)
{
	struct stat st;
	char *text = NULL;

	if (stat(path, &st) < 0 || st.st_size > HOOK_DATA_MAX || !g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return text;
}

static void observe(const char *point, int64_t usec, bool good)
{
	g_autofree char *labels = g_strdup_printf("point=\"%s\"", point);
	g_autofree char *all = g_strdup_printf("%s,result=\"%s\"", labels, good ? "ok" : "failed");

	metric_observe(metric_histogram("berth_agent_hook_seconds", labels, "Time that hook scripts took"), usec);
	metric_add(metric_counter("berth_agent_hooks_total", all, "Hook scripts that were run"), 1);
}

bool hooks_run(struct hooks *hooks, const struct hook_run *run, char **ret_data, GError **error)
{
	const struct point *point = point_of(run->point);
	GPtrArray *scripts = point ? scripts_of(hooks, run->point) : NULL;
	g_autofree char *data_file = NULL, *failed = NULL;
	g_autoptr(GError) problem = NULL;
	g_auto(GStrv) env = NULL;

	if (ret_data)
		*ret_data = NULL;
	if (!scripts)
		return true;
	if (run->data && !make_data_file(run->data, &data_file, &problem)) {
		g_ptr_array_unref(scripts);
		if (!point->fails)
			log_warn("hook %s: %s; its scripts are not run, ignoring", run->point, problem->message);
		else
			error_set(error, (enum error_code)point->fails, "%s: %s", run->point, problem->message);
		return !point->fails;
	}
	env = environment(hooks, run, point->data, data_file);
	for (guint i = 0; i < scripts->len; i++) {
		const char *script = scripts->pdata[i];
		g_autoptr(GString) err = g_string_new(NULL);
		g_autofree char *quoted = NULL;
		int64_t begun = now_usec();
		int rc = run_script(script, env, limit_of(hooks, run->point), err);

		observe(run->point, now_usec() - begun, rc == 0);
		quoted = g_strescape(err->str, NULL);
		log_info("%s: rc=%d err=\"%s\"", script, rc, quoted);
		if (rc > 2)
			log_warn("%s: hook returned unexpected return code %d", script, rc);
		if (rc && !failed)
			failed = rc < 0 ? g_strdup_printf("%s: killed by signal %d: %s", script, -rc, err->str)
					: g_strdup_printf("%s: exit status %d: %s", script, rc, err->str);
		if (rc == 2)
			break;
	}
	if (data_file && ret_data && point->used)
		*ret_data = read_data_file(data_file);
	if (data_file)
		unlink(data_file);
	g_ptr_array_unref(scripts);
	if (failed && point->fails) {
		if (ret_data)
			g_clear_pointer(ret_data, g_free);
		error_set(error, (enum error_code)point->fails, "%s", failed);
		return false;
	}
	return true;
}

bool hooks_run_over(struct hooks *hooks, const char *point, const char *vm_id, GString *answer, GError **error)
{
	struct hook_run run = { .point = point, .vm_id = vm_id, .data = answer ? answer->str : "{}" };
	g_autofree char *changed = NULL;
	g_autoptr(GError) cause = NULL;
	json_t *json;
	char *text;

	if (!hooks_run(hooks, &run, &changed, error))
		return false;
	if (!changed || !answer)
		return true;
	json = json_parse(changed, strlen(changed), &cause);
	if (!json) {
		log_warn("hook %s left what is not JSON, ignoring: %s", point, cause->message);
		return true;
	}
	text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	g_string_assign(answer, text);
	free(text);
	json_decref(json);
	return true;
}

unsigned hooks_take_launch_flags(struct hooks *hooks, const char *vm_id)
{
	g_autofree char *file = hooks->run_dir ? launch_flags_file(hooks, vm_id) : NULL, *text = NULL, *folder = NULL;
	guint64 flags = 0;

	if (!file || !g_file_get_contents(file, &text, NULL, NULL))
		return 0;
	if (!g_ascii_string_to_unsigned(g_strstrip(text), 10, 0, G_MAXUINT32, &flags, NULL))
		log_warn("%s: '%.40s' is not a number, ignoring", file, text);
	folder = g_path_get_dirname(file);
	(void)unlink(file);
	(void)rmdir(folder);
	return (unsigned)flags;
}

json_t *hooks_inventory(struct hooks *hooks)
{
	json_t *inventory = json_object();
	struct dirent *entry;
	DIR *dir = opendir(hooks->directory);

	while (dir && (entry = readdir(dir))) {
		GPtrArray *scripts = scripts_of(hooks, entry->d_name);
		json_t *point;

		if (!scripts)
			continue;
		point = json_object();
		for (guint i = 0; i < scripts->len; i++) {
			g_autofree char *text = NULL, *sum = NULL, *name = g_path_get_basename(scripts->pdata[i]);
			gsize length;

			if (!g_file_get_contents(scripts->pdata[i], &text, &length, NULL))
				continue;
			sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)text, length);
			json_object_set_new(point, name, json_pack("{s:s}", "checksum", sum));
		}
		json_object_set_new(inventory, entry->d_name, point);
		g_ptr_array_unref(scripts);
	}
	if (dir)
		closedir(dir);
	return inventory;
}
