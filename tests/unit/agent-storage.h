/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent's storage room on a scratch directory, for unit tests: real loop, lanes and jobs; verbs are called as the dispatcher does.
 *
 * Faults: the system calls that change the disk are counted; at the chosen one the process is killed (SIGKILL) or the call fails with an errno.
 */
#include "cmocka-all.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/events.h"
#include "agent/jobs.h"
#include "agent/storage/storage-priv.h"
#include "common/error.h"
#include "common/log.h"

#define POOL "11111111-1111-4111-8111-111111111111"
#define POOL2 "22222222-2222-4222-8222-222222222222"
#define DOMAIN "33333333-3333-4333-8333-333333333333"
#define DOMAIN2 "44444444-4444-4444-8444-444444444444"
#define IMAGE "55555555-5555-4555-8555-555555555555"
#define IMAGE2 "66666666-6666-4666-8666-666666666666"
#define VOLUME "77777777-7777-4777-8777-777777777777"
#define VOLUME2 "88888888-8888-4888-8888-888888888888"

struct room {
	struct agent agent;
	pthread_t thread;
	char *base, *repository, *data;      /* data: the directory of the connection */
};

/* ---- faults ---- */
static int fault_at, fault_errno, fault_count;     /* fault_at 0: none; fault_errno 0: SIGKILL */

static inline int fault(void)
{
	int n = __atomic_add_fetch(&fault_count, 1, __ATOMIC_SEQ_CST);

	if (!fault_at || n != fault_at)
		return 0;
	if (!fault_errno)
		syscall(SYS_kill, getpid(), SIGKILL);
	errno = fault_errno;
	return -1;
}
#define FAULTY(call) (fault() < 0 ? -1 : (int)(call))
int fsync(int fd) { return FAULTY(syscall(SYS_fsync, fd)); }
int ftruncate(int fd, off_t size) { return FAULTY(syscall(SYS_ftruncate, fd, size)); }
int mkdirat(int at, const char *name, mode_t mode) { return FAULTY(syscall(SYS_mkdirat, at, name, mode)); }
int unlinkat(int at, const char *name, int flags) { return FAULTY(syscall(SYS_unlinkat, at, name, flags)); }
int renameat(int from, const char *a, int to, const char *b) { return FAULTY(syscall(SYS_renameat2, from, a, to, b, 0)); }
int renameat2(int from, const char *a, int to, const char *b, unsigned flags) { return FAULTY(syscall(SYS_renameat2, from, a, to, b, flags)); }
int linkat(int from, const char *a, int to, const char *b, int flags) { return FAULTY(syscall(SYS_linkat, from, a, to, b, flags)); }
int symlinkat(const char *target, int at, const char *name) { return FAULTY(syscall(SYS_symlinkat, target, at, name)); }
int fallocate(int fd, int mode, off_t at, off_t size) { return FAULTY(syscall(SYS_fallocate, fd, mode, at, size)); }

/* Writes of more than an event's eight bytes take only these. */
static bool fault_short;
static int fault_shortened;

ssize_t write(int fd, const void *bytes, size_t n)
{
	if (fault_short && n > 8) {
		__atomic_add_fetch(&fault_shortened, 1, __ATOMIC_SEQ_CST);
		n = 8;
	}
	return syscall(SYS_write, fd, bytes, n);
}

/* ---- the room ---- */
static void *room_loop(void *data)
{
	loop_run(((struct room *)data)->agent.loop);
	return NULL;
}

static void no_send(const char *method, const char *params, void *data)
{
}

static inline struct room *room_open_at(const char *base)
{
	struct room *room = g_new0(struct room, 1);
	GError *error = NULL;

	room->base = g_strdup(base);
	room->repository = g_build_filename(base, "repository", NULL);
	room->data = g_build_filename(base, "data_1", NULL);
	g_mkdir_with_parents(room->data, 0755);
	log_set_level(NULL, LOG_LEVEL_ERROR);
	room->agent.loop = loop_new();
	room->agent.lanes = lane_pool_new(8);
	room->agent.events = events_new(room->agent.loop, no_send, NULL);
	room->agent.jobs = jobs_new(room->agent.loop, room->agent.lanes, room->agent.events, NULL, NULL);
	room->agent.storage = storage_new(&room->agent, room->repository, &error);
	if (!room->agent.storage)
		fail_msg("storage_new: %s", error->message);
	pthread_create(&room->thread, NULL, room_loop, room);
	return room;
}

static inline struct room *room_open(void)
{
	g_autofree char *base = g_dir_make_tmp("berth-storage-XXXXXX", NULL);

	assert_non_null(base);
	return room_open_at(base);
}

static inline void room_leave(struct room *room)
{
	loop_stop(room->agent.loop);
	pthread_join(room->thread, NULL);
	lane_pool_free(room->agent.lanes, 10 * G_USEC_PER_SEC);
	storage_free(room->agent.storage);
	jobs_free(room->agent.jobs);
	events_free(room->agent.events);
	loop_free(room->agent.loop);
	g_free(room->base);
	g_free(room->repository);
	g_free(room->data);
	g_free(room);
}

static inline void room_close(struct room *room)
{
	assert_true(files_remove_tree(AT_FDCWD, room->base));
	room_leave(room);
}

/* A new agent on the same disk. */
static inline struct room *room_restart(struct room *room)
{
	g_autofree char *base = g_strdup(room->base);

	room_leave(room);
	return room_open_at(base);
}

/* Calls a verb; 0 or the error's code. ret_result (may be NULL): its JSON. ret_message (may be NULL): the error's text. */
static inline int call_full(struct room *room, const char *name, json_t *json, json_t **ret_result, char **ret_message)
{
	const struct verb_call who = { "", "", "" };
	const struct verb *verb = verb_find(name);
	g_autoptr(GString) out = g_string_new(NULL);
	GError *error = NULL;
	void *params;
	bool done = false;
	int code;

	assert_non_null(verb);
	assert_non_null(json);
	if ((params = verb_params(verb, json, NULL, &error))) {
		for (size_t i = 0; i < n_storage_bindings; i++)
			if (!strcmp(storage_bindings[i].name, name))
				done = storage_bindings[i].handler(&room->agent, &who, params, out, &error);
		record_unref(params);
	}
	json_decref(json);
	assert_true(done == !error);
	code = error ? error->code : 0;
	if (error)
		print_message("# %s: %s\n", name, error->message);
	if (ret_message)
		*ret_message = error ? g_strdup(error->message) : NULL;
	g_clear_error(&error);
	if (ret_result)
		*ret_result = code ? NULL : out->len ? json_loads(out->str, JSON_DECODE_ANY, NULL) : json_true();
	return code;
}

#define call(room, name, json) call_full(room, name, json, NULL, NULL)

/* Waits for a task; its code. */
static inline int wait_task(struct room *room, const char *id)
{
	for (;;) {
		struct task_status *status = jobs_task_status(room->agent.jobs, id, NULL);
		bool finished = status && !strcmp(status->state, "finished");
		int code = status ? status->code : -1;

		assert_non_null(status);
		if (finished && code)
			print_message("# task: %s\n", status->message);
		record_unref(status);
		if (finished)
			return code;
		usleep(1000);
	}
}

/* Status of one connection */
static inline int connect_path(struct room *room, const char *path)
{
	json_t *result;
	int status;

	assert_int_equal(call_full(room, "StoragePool.connectStorageServer",
				   json_pack("{s:s, s:i, s:[{s:s, s:s}]}", "storagepoolID", BLANK_UUID, "domainType", STORAGE_LOCALFS, "connectionParams", "id",
					     POOL, "connection", path), &result, NULL), 0);
	status = (int)json_integer_value(json_object_get(json_array_get(result, 0), "status"));
	json_decref(result);
	return status;
}

static inline json_t *domain_params(const char *domain, const char *path)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:i}", "storagedomainID", domain, "domainType", STORAGE_LOCALFS, "typeArgs", path, "name", "store",
			 "domainClass", 1);
}

static inline json_t *pool_params(const char *domain, const char *pool)
{
	return json_pack("{s:s, s:s}", "storagedomainID", domain, "storagepoolID", pool);
}

static inline json_t *deactivate_params(const char *domain, const char *pool)
{
	return json_pack("{s:s, s:s, s:s, s:i}", "storagedomainID", domain, "storagepoolID", pool, "masterSdUUID", BLANK_UUID, "masterVersion", 0);
}

static inline json_t *id_params(const char *domain)
{
	return json_pack("{s:s}", "storagedomainID", domain);
}

static inline json_t *format_params(const char *domain, bool detach)
{
	return json_pack("{s:s, s:b}", "storagedomainID", domain, "autoDetach", detach);
}

/* A connected, attached, active domain in room->data */
static inline void make_active(struct room *room)
{
	assert_int_equal(connect_path(room, room->data), 0);
	assert_int_equal(call(room, "StorageDomain.create", domain_params(DOMAIN, room->data)), 0);
	assert_int_equal(call(room, "StorageDomain.attach", pool_params(DOMAIN, POOL)), 0);
	assert_int_equal(call(room, "StorageDomain.activate", pool_params(DOMAIN, POOL)), 0);
}

/* Number of entries of a directory; -1: it is not there */
static inline int entries(const char *base, const char *path)
{
	g_autofree char *full = path ? g_build_filename(base, path, NULL) : g_strdup(base);
	g_autoptr(GPtrArray) names = files_list(AT_FDCWD, full);

	return names ? (int)names->len : -1;
}

/* Names that begin with ".berth-" anywhere below */
static inline int leftovers(const char *path)
{
	g_autofree char *command = g_strdup_printf("find '%s' -name '.*' -path '*.berth-*' -prune -print -o -name '.*.new' -print | wc -l", path);
	FILE *pipe = popen(command, "r");
	int n = -1;

	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%d", &n), 1);
	pclose(pipe);
	return n;
}

/* Runs `work` in a child that is killed at its first, second, ... change of the disk, until it gets through; after each, `check` in a new agent.
 * prepare (may be NULL) runs first, unhurt. */
static inline void kill_everywhere(const char *base, void (*prepare)(struct room *room), void (*work)(struct room *room), void (*check)(struct room *room))
{
	for (int at = 1;; at++) {
		pid_t pid = fork();
		struct room *room;
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			room = room_open_at(base);
			if (prepare)
				prepare(room);
			fault_count = 0;
			fault_errno = 0;
			fault_at = at;
			work(room);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			print_message("# killed at %d places\n", at - 1);
			assert_true(at > 5);
			return;
		}
		assert_int_equal(WTERMSIG(status), SIGKILL);
		/* a new life, in a process of its own, so that this one never has threads when it forks */
		pid = fork();
		if (pid == 0) {
			room = room_open_at(base);
			check(room);
			room_leave(room);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			fail_msg("after a kill at change %d: status %#x", at, status);
	}
}
