/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: one table, two views (agent/jobs.h).
 *
 * States: pending (queued on its lane) -> running -> done | failed | aborted. A job is in the table from its start until it is cleared,
 * or until JOBS_KEEP_USEC after its end; old ones go whenever the table is used, so no timer is needed. At most JOBS_MAX are kept: starting
 * one more fails rather than forgetting a result that nobody has seen.
 *
 * The table holds one reference of a job, each place in a lane's queue another. A job's state is changed under the table's lock; its work runs
 * without it. A plain job that the pool drops at the end of the process never runs and stays pending, which nobody can see any more.
 *
 * A job of a kind is a file, state_dir/jobs/<id>.json:
 *	{"version": 1, "kind", "description", "lane", "state": {"request": {...}, "step", ...}, "over"?: "done", "error"?: {code, message}, "ended"?: ms}
 * It exists before jobs_begin() returns, says at each job_step() what is about to be done, at the end how it ended, and is removed when the job is
 * forgotten. The agent may die between any two of these: jobs_load() reads the files and shows them, jobs_resume() runs those that were not over again
 * from the step that is written. So at most one run() is ahead of its file, by one step; that step is the one run() must recognize as begun, done or neither.
 * That it was canceled is a second file, <id>.end, there before whoever canceled it is told so.
 *
 * Waking: a job that waits takes no thread. jobs_wake() puts it on its lane; while it runs, it is noted and it runs once more. One timer on the loop serves
 * all job_wake_after().
 */
#include "agent/jobs-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/fault.h"
#include "common/error.h"
#include "common/json_file.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/refs.h"
#include "proto/host.h"
#include "proto/vm.h"

#define LOG_MODULE "jobs"
#define JOBS_MAX 10000
#define JOB_ID_MAX 64
#define JOB_FILE ".json"
#define WISH_FILE ".end"

static const char *const state_names[] = { "pending", "running", "done", "failed", "aborted" };

void job_unref(void *data)
{
	struct job *job = data;

	if (atomic_fetch_sub(&job->refs, 1) > 1)
		return;
	if (job->free_data)
		job->free_data(job->data);
	g_clear_error(&job->error);
	g_free(job->id);
	g_free(job->type);
	g_free(job->description);
	g_free(job->lane);
	json_decref(job->request);
	json_decref(job->memory);
	if (job->cancel_fd >= 0)
		close(job->cancel_fd);
	counted_free(job);
}

struct jobs *jobs_new(struct loop *loop, struct lane_pool *lanes, struct events *events, const char *state_dir, GError **error)
{
	struct jobs *jobs = g_new0(struct jobs, 1);
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&jobs->lock, NULL);
	jobs->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, job_unref);
	jobs->kinds = g_array_new(FALSE, FALSE, sizeof(struct registered));
	jobs->loop = loop;
	jobs->lanes = lanes;
	jobs->events = events;
	if (state_dir) {
		jobs->directory = g_build_filename(state_dir, "jobs", NULL);
		if (g_mkdir_with_parents(jobs->directory, 0700) < 0) {
			error_set_errno(error, ERR_MISC_FILE_WRITE_EXCEPTION, errno, "cannot make directory %s", jobs->directory);
			return jobs_free(jobs);
		}
	}
	return jobs;
}

struct jobs *jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return NULL;
	timer_free(jobs->timer);
	g_hash_table_destroy(jobs->table);
	g_array_unref(jobs->kinds);
	pthread_cond_destroy(&jobs->over);
	pthread_mutex_destroy(&jobs->lock);
	g_free(jobs->directory);
	g_free(jobs);
	return NULL;
}

bool job_is_over(const struct job *job)
{
	return job->state >= STATE_DONE;
}

struct removal { struct jobs *jobs; char *id; };

static void remove_file(struct jobs *jobs, const char *id, const char *suffix)
{
	g_autofree char *name = g_strconcat(id, suffix, NULL);

	json_file_remove(jobs->directory, name);
}

static void removal_run(void *data)
{
	struct removal *removal = data;

	remove_file(removal->jobs, removal->id, JOB_FILE);
	remove_file(removal->jobs, removal->id, WISH_FILE);
}

static void removal_free(void *data)
{
	struct removal *removal = data;

	g_free(removal->id);
	g_free(removal);
}

/* The loop asks for this, too, and must not wait for the disk. A file that stays is forgotten after the next start. */
void job_remove_file(struct job *job)
{
	struct removal *removal = g_new0(struct removal, 1);
	struct lane_job lane_job = { .name = "forget a job", .run = removal_run, .data = removal, .free_data = removal_free };
	g_autoptr(GError) error = NULL;

	removal->jobs = job->jobs;
	removal->id = g_strdup(job->id);
	if (lane_submit(job->jobs->lanes, "jobs", &lane_job, &error))
		return;
	log_warn("job %s is not forgotten yet: %s", job->id, error->message);
	removal_free(removal);
}

/* Lock held. */
void jobs_forget_old(struct jobs *jobs)
{
	int64_t now = now_usec();
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, jobs->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct job *job = value;

		if (!job_is_over(job) || now - job->ended_usec <= JOBS_KEEP_USEC)
			continue;
		if (job->kind)
			job_remove_file(job);
		g_hash_table_iter_remove(&iter);
	}
}

/* Lock held. */
json_t *job_describe(const struct job *job)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "id", job->id, "status", state_names[job->state], "description", job->description,
				 "job_type", job->type);

	if (job->progress >= 0)
		json_object_set_new(json, "progress", json_integer(job->progress));
	if (job->error)
		json_object_set_new(json, "error", json_pack("{s:i, s:s}", "code", job->error->code, "message", job->error->message));
	return json;
}

static void publish(struct job *job)
{
	g_autofree char *method = g_strconcat(EVENT_JOB_STATUS, job->id, NULL);
	json_t *json;

	{
		AUTO_LOCK(&job->jobs->lock);
		json = job_describe(job);
	}
	events_publish(job->jobs->events, method, json);
}

static void change_state(struct job *job, enum job_state state, GError *error)
{
	AUTO_LOCK(&job->jobs->lock);
	job->state = state;
	job->error = error;
	if (job_is_over(job)) {
		job->ended_usec = now_usec();
		if (state == STATE_DONE && job->progress >= 0)
			job->progress = 100;
	}
}

/* Its state is known and, where it is to be on disk, there: who waits may go. */
static void tell_over(struct job *job)
{
	publish(job);
	AUTO_LOCK(&job->jobs->lock);
	job->told = true;
	pthread_cond_broadcast(&job->jobs->over);
}

static void set_state(struct job *job, enum job_state state, GError *error)
{
	change_state(job, state, error);
	if (state >= STATE_DONE)
		tell_over(job);
	else
		publish(job);
}

static void job_main(void *data)
{
	struct job *job = data;
	GError *error = NULL;
	int64_t begun = now_usec();

	set_state(job, STATE_RUNNING, NULL);
	if (job_canceled(job))
		error_set(&error, ERR_TASK_ABORTED, "'%s' was stopped before it began", job->id);
	else if (job->run(job, job->data, &error)) {
		log_info("job %s (%s) is done after %.2f s", job->id, job->description, (double)(now_usec() - begun) / 1e6);
		set_state(job, STATE_DONE, NULL);
		return;
	}
	if (!error)
		error_set(&error, ERR_UNEXPECTED_ERROR, "job %s failed and did not say why", job->id);
	log_error("job %s (%s) failed after %.2f s: %s", job->id, job->description, (double)(now_usec() - begun) / 1e6, error->message);
	set_state(job, job_canceled(job) ? STATE_ABORTED : STATE_FAILED, error);
}

static struct job *job_new(struct jobs *jobs, const char *id, const char *type, const char *description)
{
	struct job *job = g_new0(struct job, 1);

	job->jobs = jobs;
	job->refs = 1;
	job->id = id ? g_strdup(id) : g_uuid_string_random();
	job->type = g_strdup(type);
	job->description = g_strdup(description);
	job->progress = -1;
	job->cancel_fd = -1;
	return job;
}

struct job *job_ref(struct job *job)
{
	atomic_fetch_add(&job->refs, 1);
	return job;
}

/* Lock held. The table gets a reference. */
static bool add(struct jobs *jobs, struct job *job, GError **error)
{
	jobs_forget_old(jobs);
	if (g_hash_table_contains(jobs->table, job->id)) {
		error_set(error, ERR_JOB_EXISTS, "{'job_id': '%s'}", job->id);
		return false;
	}
	if (g_hash_table_size(jobs->table) >= JOBS_MAX) {
		error_set(error, ERR_RESOURCE_EXHAUSTED, "%d jobs are kept already; clear finished ones", JOBS_MAX);
		return false;
	}
	g_hash_table_insert(jobs->table, job->id, job_ref(job));
	return true;
}

static void drop(struct jobs *jobs, struct job *job)
{
	AUTO_LOCK(&jobs->lock);
	g_hash_table_remove(jobs->table, job->id);
}

bool jobs_start(struct jobs *jobs, const struct job_work *work, char **ret_id, GError **error)
{
	struct job *job = job_new(jobs, work->id, work->type, work->description);
	struct lane_job lane_job = { .name = work->description, .run = job_main, .data = job, .free_data = job_unref };
	bool added;

	job->run = work->run;
	job->data = work->data;
	{
		AUTO_LOCK(&jobs->lock);
		added = add(jobs, job, error);
	}
	if (!added) {
		job_unref(job);
		return false;
	}
	job_ref(job);                 /* the lane's */
	if (!lane_submit(jobs->lanes, work->lane, &lane_job, error)) {
		drop(jobs, job);
		job_unref(job);
		job_unref(job);
		return false;
	}
	/* From here on the data are the job's: a caller whose start failed still owns them. */
	{
		AUTO_LOCK(&jobs->lock);
		job->free_data = work->free_data;
	}
	if (ret_id)
		*ret_id = g_strdup(job->id);
	job_unref(job);
	return true;
}

/* ---- jobs of a kind ---- */

static bool write_file(struct job *job, GError **error)
{
	g_autofree char *name = g_strconcat(job->id, JOB_FILE, NULL);
	json_t *file = json_pack("{s:i, s:s, s:s, s:s, s:O}", "version", 1, "kind", job->kind->name, "description", job->description, "lane", job->lane,
				 "state", job->memory);
	bool good;

	{
		AUTO_LOCK(&job->jobs->lock);
		if (job_is_over(job)) {
			json_object_set_new(file, "over", json_string(state_names[job->state]));
			json_object_set_new(file, "ended", json_integer(wall_msec()));
		}
		if (job->error)
			json_object_set_new(file, "error", json_pack("{s:i, s:s}", "code", job->error->code, "message", job->error->message));
	}
	good = json_file_write(job->jobs->directory, name, file, error);
	json_decref(file);
	return good;
}

bool job_step(struct job *job, json_t *state, const char *step, GError **error)
{
	g_autofree char *name = g_strdup(step);         /* the caller may have it from the state */
	g_autofree char *before = g_strconcat(job->kind->name, ": ", name, NULL), *after = g_strconcat(before, " written", NULL);

	fault_point(before);
	json_object_set_new(state, "step", json_string(name));
	if (!write_file(job, error)) {
		error_wrap(error, "job %s, step %s", job->id, name);
		return false;
	}
	log_debug("job %s (%s): %s", job->id, job->description, name);
	fault_point(after);
	return true;
}

void job_wake_after(struct job *job, int64_t delay_usec)
{
	AUTO_LOCK(&job->jobs->lock);
	job->wake_at_usec = now_usec() + delay_usec;
}

const char *job_id(const struct job *job)
{
	return job->id;
}

static void wake_due(void *data);

/* On the loop: the timer to the next time somebody asked for. */
static void arm(void *data)
{
	struct jobs *jobs = data;
	int64_t next = 0;
	GHashTableIter iter;
	gpointer value;

	{
		AUTO_LOCK(&jobs->lock);
		g_hash_table_iter_init(&iter, jobs->table);
		while (g_hash_table_iter_next(&iter, NULL, &value)) {
			const struct job *job = value;

			if (job->wake_at_usec && !job->runs && (!next || job->wake_at_usec < next))
				next = job->wake_at_usec;
		}
	}
	if (!next)
		return;
	if (!jobs->timer)
		jobs->timer = timer_new(jobs->loop, wake_due, jobs);
	timer_set(jobs->timer, MAX(next - now_usec(), 0));
}

static void kind_main(void *data);

/* Puts it on its lane, or notes that it must run once more. A lane that is full is tried again after a second. */
static void queue(struct job *job)
{
	struct lane_job lane_job = { .name = job->description, .run = kind_main, .data = job, .free_data = job_unref };
	g_autoptr(GError) error = NULL;

	{
		AUTO_LOCK(&job->jobs->lock);
		if (job_is_over(job) || job->queued || job->held)
			return;
		if (job->runs) {
			job->wake = true;
			return;
		}
		job->queued = true;
		job->wake_at_usec = 0;
	}
	job_ref(job);
	if (lane_submit(job->jobs->lanes, job->lane, &lane_job, &error))
		return;
	log_warn("job %s waits: %s", job->id, error->message);
	{
		AUTO_LOCK(&job->jobs->lock);
		job->queued = false;
		job->wake_at_usec = now_usec() + G_USEC_PER_SEC;
	}
	job_unref(job);
	loop_post(job->jobs->loop, arm, job->jobs, NULL);
}

static GPtrArray *matching(struct jobs *jobs, bool (*match)(const struct job *job, const void *data), const void *data)
{
	GPtrArray *found = g_ptr_array_new_with_free_func(job_unref);
	GHashTableIter iter;
	gpointer value;

	AUTO_LOCK(&jobs->lock);
	g_hash_table_iter_init(&iter, jobs->table);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct job *job = value;

		/* one whose end is not on disk yet would run again after a restart: whoever asks for the active ones has to wait for it */
		if (job->kind && !job->told && match(job, data))
			g_ptr_array_add(found, job_ref(job));
	}
	return found;
}

static void queue_all(GPtrArray *found)
{
	for (guint i = 0; i < found->len; i++)
		queue(found->pdata[i]);
	g_ptr_array_unref(found);
}

static bool is_due(const struct job *job, const void *now)
{
	return job->wake_at_usec && !job->runs && job->wake_at_usec <= *(const int64_t *)now;
}

static void wake_due(void *data)
{
	int64_t now = now_usec();

	queue_all(matching(data, is_due, &now));
	arm(data);
}

static bool has_id(const struct job *job, const void *id)
{
	return !strcmp(job->id, id);
}

void jobs_wake(struct jobs *jobs, const char *id)
{
	queue_all(matching(jobs, has_id, id));
}

static bool has_type(const struct job *job, const void *type)
{
	return !strcmp(job->type, type);
}

void jobs_wake_type(struct jobs *jobs, const char *type)
{
	queue_all(matching(jobs, has_type, type));
}

struct wish { const struct job_kind *kind; const char *member, *value; };

static bool is_wished(const struct job *job, const void *data)
{
	const struct wish *wish = data;
	const char *value = json_string_value(json_object_get(job->request, wish->member));

	return (!wish->kind || job->kind == wish->kind) && value && !g_ascii_strcasecmp(value, wish->value);
}

void jobs_wake_about(struct jobs *jobs, const char *member, const char *value)
{
	queue_all(matching(jobs, is_wished, &(struct wish){ NULL, member, value }));
}

GPtrArray *jobs_active(struct jobs *jobs, const struct job_kind *kind, const char *member, const char *value)
{
	GPtrArray *found = matching(jobs, is_wished, &(struct wish){ kind, member, value }), *ids = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < found->len; i++)
		g_ptr_array_add(ids, g_strdup(((struct job *)found->pdata[i])->id));
	g_ptr_array_unref(found);
	return ids;
}

static bool is_of_kind(const struct job *job, const void *kind)
{
	return job->kind == kind;
}

static bool is_of_kind_and_stays(const struct job *job, const void *kind)
{
	return job->kind == kind && !job->ending && !atomic_load(&job->canceled);
}

static void free_json(void *json)
{
	json_decref(json);
}

GPtrArray *jobs_requests(struct jobs *jobs, const struct job_kind *kind, bool ending)
{
	GPtrArray *found = matching(jobs, ending ? is_of_kind : is_of_kind_and_stays, kind), *requests = g_ptr_array_new_with_free_func(free_json);

	for (guint i = 0; i < found->len; i++)
		g_ptr_array_add(requests, json_incref(((struct job *)found->pdata[i])->request));
	g_ptr_array_unref(found);
	return requests;
}

static void ended(struct job *job, enum job_run outcome, GError *failure)
{
	enum job_state state = outcome == JOB_DONE ? STATE_DONE : job_canceled(job) ? STATE_ABORTED : STATE_FAILED;
	g_autoptr(GError) error = NULL;

	if (outcome == JOB_DONE)
		log_info("job %s (%s) is done", job->id, job->description);
	else {
		if (!failure)
			error_set(&failure, ERR_UNEXPECTED_ERROR, "job %s failed and did not say why", job->id);
		log_error("job %s (%s) failed: %s", job->id, job->description, failure->message);
	}
	change_state(job, state, failure);
	if (!write_file(job, &error))
		log_error("job %s: how it ended is not on disk: %s", job->id, error->message);
	tell_over(job);
}

static void kind_main(void *data)
{
	struct job *job = data;
	GError *error = NULL;
	enum job_run outcome;
	bool first, again;

	{
		AUTO_LOCK(&job->jobs->lock);
		first = job->state == STATE_PENDING;
		job->state = STATE_RUNNING;
		job->queued = false;
		job->runs = true;
		job->wake = false;
		job->wake_at_usec = 0;
	}
	if (first)
		publish(job);
	outcome = job->kind->run(job, job->memory, job->context, &error);
	if (outcome != JOB_WAITS) {
		ended(job, outcome, error);
		return;
	}
	g_clear_error(&error);
	{
		AUTO_LOCK(&job->jobs->lock);
		job->runs = false;
		again = job->wake;
	}
	if (again)
		queue(job);
	else
		loop_post(job->jobs->loop, arm, job->jobs, NULL);
}

static const struct registered *find_kind(struct jobs *jobs, const char *name)
{
	for (guint i = 0; i < jobs->kinds->len; i++) {
		const struct registered *registered = &g_array_index(jobs->kinds, struct registered, i);

		if (name && !strcmp(registered->kind->name, name))
			return registered;
	}
	return NULL;
}

void jobs_register(struct jobs *jobs, const struct job_kind *kind, void *context)
{
	struct registered registered = { kind, context };
	const struct registered *other = find_kind(jobs, kind->name);

	/* a journaled job would be run as the other sort */
	if (other && other->kind != kind)
		g_error("two kinds of job are called '%s'", kind->name);
	g_array_append_val(jobs->kinds, registered);
}

static struct job *kind_job(struct jobs *jobs, const char *id, const struct registered *registered, const char *description, const char *lane, json_t *state)
{
	struct job *job = job_new(jobs, id, registered->kind->type, description);

	job->kind = registered->kind;
	job->context = registered->context;
	job->lane = g_strdup(lane);
	job->memory = json_incref(state);
	job->request = json_incref(json_object_get(state, "request"));
	return job;
}

/* The caller did not hear the answer and asks again. */
static bool is_same(struct jobs *jobs, const struct job *job)
{
	const struct job *other = g_hash_table_lookup(jobs->table, job->id);

	return other && other->kind == job->kind && json_equal(other->request, job->request);
}

/* It becomes a file's name. */
static bool is_name(const char *id)
{
	size_t length = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	return length > 0 && length <= JOB_ID_MAX && !id[length];
}

bool jobs_begin(struct jobs *jobs, const struct job_order *order, char **ret_id, GError **error)
{
	json_t *state = json_pack("{s:o}", "request", json_deep_copy(order->request));
	struct job *job;
	bool added, same;

	if (order->id && !is_name(order->id)) {
		error_set(error, ERR_INVALID_PARAMETER, "job id '%s' is not a UUID", order->id);
		json_decref(state);
		return false;
	}
	job = kind_job(jobs, order->id, find_kind(jobs, order->kind->name), order->description, order->lane, state);
	json_decref(state);
	{
		AUTO_LOCK(&jobs->lock);
		same = is_same(jobs, job);
		added = !same && add(jobs, job, error);
	}
	if (added && !write_file(job, error)) {
		drop(jobs, job);
		added = false;
	}
	if (added) {
		fault_point("job begun");
		queue(job);
	}
	if ((added || same) && ret_id)
		*ret_id = g_strdup(job->id);
	job_unref(job);
	return added || same;
}

/* What it was before the agent ended. */
static void load(struct jobs *jobs, const char *id)
{
	g_autofree char *file = g_strconcat(id, JOB_FILE, NULL);
	json_t *json = json_file_read(jobs->directory, file), *failure = json_object_get(json, "error");
	const char *kind = json_string_value(json_object_get(json, "kind")), *over_as = json_string_value(json_object_get(json, "over"));
	const char *description = json_string_value(json_object_get(json, "description")), *lane = json_string_value(json_object_get(json, "lane"));
	const struct registered *registered = find_kind(jobs, kind);
	json_t *state = json_object_get(json, "state");
	g_autoptr(GError) error = NULL;
	struct job *job;

	if (!registered || !description || !lane || !json_is_object(state)) {
		if (json)
			log_error("job %s is of kind '%s', which is not known here: left alone", id, kind ? kind : "");
		json_decref(json);
		return;
	}
	job = kind_job(jobs, id, registered, description, lane, state);
	for (size_t i = STATE_DONE; over_as && i < G_N_ELEMENTS(state_names); i++)
		if (!strcmp(state_names[i], over_as))
			job->state = (enum job_state)i;
	job->resumed = true;
	job->told = job_is_over(job);
	job->held = !job->told;
	if (job_is_over(job))
		job->ended_usec = now_usec() - CLAMP(wall_msec() - json_integer_value(json_object_get(json, "ended")), 0, JOBS_KEEP_USEC / 1000) * 1000;
	if (failure)
		error_set_literal(&job->error, (enum error_code)json_integer_value(json_object_get(failure, "code")),
				  json_string_value(json_object_get(failure, "message")));
	{
		AUTO_LOCK(&jobs->lock);
		(void)!add(jobs, job, &error);
	}
	job_unref(job);
	json_decref(json);
}

/* It was canceled before the agent ended. */
static void load_wish(struct jobs *jobs, const char *id)
{
	struct job *job;

	{
		AUTO_LOCK(&jobs->lock);
		job = g_hash_table_lookup(jobs->table, id);
		if (job)
			atomic_store(&job->canceled, true);
	}
	if (!job)
		remove_file(jobs, id, WISH_FILE);
}

static void load_all(struct jobs *jobs, const char *suffix, void (*one)(struct jobs *jobs, const char *id))
{
	g_autoptr(GDir) dir = g_dir_open(jobs->directory, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *id = g_strndup(file, strlen(file) - MIN(strlen(suffix), strlen(file)));

		if (g_str_has_suffix(file, suffix))
			one(jobs, id);
	}
}

void jobs_load(struct jobs *jobs)
{
	load_all(jobs, JOB_FILE, load);
	load_all(jobs, WISH_FILE, load_wish);
}

static bool is_held(const struct job *job, const void *unused)
{
	return job->held;
}

void jobs_resume(struct jobs *jobs)
{
	GPtrArray *found = matching(jobs, is_held, NULL);

	if (found->len)
		log_info("%u jobs go on that were under way when the agent ended", found->len);
	{
		AUTO_LOCK(&jobs->lock);
		for (guint i = 0; i < found->len; i++)
			((struct job *)found->pdata[i])->held = false;
	}
	queue_all(found);
}

bool job_ask_to_end(struct job *job, GError **error)
{
	g_autofree char *name = g_strconcat(job->id, WISH_FILE, NULL);
	json_t *wish = json_pack("{s:i}", "version", 1);
	bool good = true;

	{
		AUTO_LOCK(&job->jobs->lock);
		if (job->kind && job->kind->may_end && !job->ending && !atomic_load(&job->canceled))
			good = job->ending = job->kind->may_end(job->request, job->context, error);
	}
	good = good && (!job->kind || json_file_write(job->jobs->directory, name, wish, error));
	json_decref(wish);
	{
		AUTO_LOCK(&job->jobs->lock);
		job->ending = false;
		if (good)
			atomic_store(&job->canceled, true);
		if (good && job->cancel_fd >= 0)
			(void)eventfd_write(job->cancel_fd, 1);
	}
	if (good)
		jobs_wake(job->jobs, job->id);
	return good;
}

bool jobs_cancel(struct jobs *jobs, const char *id, GError **error)
{
	struct job *job;
	bool good;

	{
		AUTO_LOCK(&jobs->lock);
		job = g_hash_table_lookup(jobs->table, id);
		if (!job || job_is_over(job)) {
			error_set(error, job ? ERR_JOB_NOT_ACTIVE : ERR_NO_SUCH_JOB, "{'job_id': '%s'}", id);
			return false;
		}
		job_ref(job);
	}
	good = job_ask_to_end(job, error);
	job_unref(job);
	return good;
}

bool jobs_has(struct jobs *jobs, const char *id)
{
	AUTO_LOCK(&jobs->lock);
	return g_hash_table_contains(jobs->table, id);
}

bool jobs_wait(struct jobs *jobs, const char *id, int64_t until_usec, GError **error)
{
	struct timespec limit = { .tv_sec = until_usec / G_USEC_PER_SEC, .tv_nsec = until_usec % G_USEC_PER_SEC * 1000 };
	struct job *job;
	bool good = false;
	int r = 0;

	{
		AUTO_LOCK(&jobs->lock);
		job = g_hash_table_lookup(jobs->table, id);
		if (job)
			job_ref(job);
		while (job && !job->told && r != ETIMEDOUT)
			r = pthread_cond_timedwait(&jobs->over, &jobs->lock, &limit);
		if (!job)
			error_set(error, ERR_NO_SUCH_JOB, "{'job_id': '%s'}", id);
		else if (!job->told)
			error_set(error, ERR_TIMEOUT, "job %s (%s) goes on; see Host.getJobs", job->id, job->description);
		else if (job->error)
			error_set_literal(error, job->error->code, job->error->message);
		else
			good = true;
	}
	if (job)
		job_unref(job);
	return good;
}

void job_progress(struct job *job, int percent)
{
	{
		AUTO_LOCK(&job->jobs->lock);
		percent = CLAMP(percent, 0, 100);
		if (job->progress == percent)
			return;
		job->progress = percent;
	}
	publish(job);
}

bool job_is_resumed(const struct job *job)
{
	return job->resumed;
}

bool job_canceled(struct job *job)
{
	return atomic_load(&job->canceled);
}

int job_cancel_fd(struct job *job)
{
	AUTO_LOCK(&job->jobs->lock);
	if (job->cancel_fd < 0)
		job->cancel_fd = eventfd(atomic_load(&job->canceled), EFD_CLOEXEC | EFD_NONBLOCK);
	return job->cancel_fd;
}
