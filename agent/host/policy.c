/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory policy: balloons and KSM, what MOM does beside vdsm.
 *
 * Every [host] policy_period seconds, while balloonEnabled or ksmEnabled, the host's available memory (MemAvailable) is looked at:
 *
 *   below 20 %    pressure: each balloon takes what its VM can spare, KSM runs and scans more with each look (64, then + 300, to 1250 pages)
 *   20 to 25 %    as it is; KSM scans less with each look (- 50, to 64)
 *   above 25 %    room: the balloons give back what is above 25 %, KSM stops
 *
 * What is lacking is shared among VMs in proportion to what each can spare, what there is in proportion to what each lacks. A VM can spare what it has above
 * its guaranteed memory, and above 110 % of what its guest says it uses; below 5 % the guest's word no longer counts, only the guarantee. One look changes a
 * VM by at most 5 % of its size (20 % in the emergency), so that guests have time to make room; changes below 4 MiB are not made. A VM below its guarantee
 * gets that at once: it is a promise. VMs that migrate, start or stand still are left alone. Each command is logged, as MOM does it; a VM whose balloon does
 * not move is told of once, in the log and to the engine (balloonIgnored of Host.getAllVmFigures): balloons.h.
 *
 * Parameters are what engines send (Host.setMOMPolicyParameters): balloonEnabled, ksmEnabled, ksmMergeAcrossNodes; both off until then. They are kept
 * in state_dir/memory_policy.json, so that an agent that was restarted goes on with them. Balloons stay as they are when ballooning is turned off; KSM is
 * stopped (what is merged stays merged). While ksmEnabled, what Host.setKsmTune sets for run and pages_to_scan holds until the next look.
 *
 * Host.setMOMPolicy takes a text in MOM's language. There is no interpreter here: a text that only sets known parameters, "(set ksmEnabled 1)" or
 * "(defvar balloonEnabled False)", with comments, is done; one with other expressions is refused as a whole, naming the first.
 */
#define LOG_MODULE "host"
#include "agent/host/policy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "agent/host/host-priv.h"
#include "agent/host/ksm.h"
#include "common/error.h"
#include "common/json_file.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/host_calls.h"

#define FILE_NAME "memory_policy.json"
#define STEP_MIN_KIB 4096
#define PAGES_MIN 64
#define PAGES_MAX 1250
#define PAGES_MORE 300
#define PAGES_LESS 50

enum { BALLOON, KSM, ACROSS, N_PARAMETERS };
static const char *const names[N_PARAMETERS] = { [BALLOON] = "balloonEnabled", [KSM] = "ksmEnabled", [ACROSS] = "ksmMergeAcrossNodes" };

struct policy {
	struct agent *agent;
	pthread_mutex_t work;                 /* one look or change at a time; taken before lock */
	pthread_mutex_t lock;
	struct timer *timer;
	int64_t period_usec;
	bool values[N_PARAMETERS];
	bool looking;                         /* a look is queued or runs */
};

/* ---- decisions ---- */

static int64_t can_spare(const struct balloon *b, bool emergency)
{
	int64_t least = b->guaranteed_kib;

	if (b->used_kib >= 0 && !emergency)
		least = MAX(least, b->used_kib + b->used_kib / 10);
	return MAX(b->current_kib - least, 0);
}

void policy_balloons(const struct policy_memory *memory, const struct balloon *balloons, size_t n, int64_t *ret_targets)
{
	int64_t low = memory->total_kib / 5, high = memory->total_kib / 4;
	bool emergency = memory->available_kib < memory->total_kib / 20, shrink = memory->available_kib < low;
	double sum = 0, move = (double)(shrink ? low - memory->available_kib : MAX(memory->available_kib - high, 0));

	for (size_t i = 0; i < n; i++)
		sum += (double)(shrink ? can_spare(&balloons[i], emergency) : MAX(balloons[i].max_kib - balloons[i].current_kib, 0));
	move = MIN(move, sum);
	for (size_t i = 0; i < n; i++) {
		const struct balloon *b = &balloons[i];
		int64_t room = shrink ? can_spare(b, emergency) : MAX(b->max_kib - b->current_kib, 0), most = b->max_kib / (emergency ? 5 : 20);
		int64_t share = sum > 0 ? MIN((int64_t)(move * ((double)room / sum)), most) : 0;

		ret_targets[i] = 0;
		if (b->current_kib < b->guaranteed_kib)
			ret_targets[i] = b->guaranteed_kib;
		else if (share >= STEP_MIN_KIB || (share && share == room))
			ret_targets[i] = b->current_kib + (shrink ? -share : share);
	}
}

struct policy_merging policy_merging(const struct policy_memory *memory, const struct policy_merging *now)
{
	bool pressure = memory->available_kib < memory->total_kib / 5, room = memory->available_kib > memory->total_kib / 4;
	struct policy_merging next = { .run = pressure || (now->run && !room), .pages = PAGES_MIN };

	if (next.run && now->run)
		next.pages = CLAMP(now->pages + (pressure ? PAGES_MORE : -PAGES_LESS), PAGES_MIN, PAGES_MAX);
	return next;
}

/* ---- parameters ---- */

static int index_of(const char *name)
{
	for (int i = 0; i < N_PARAMETERS; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

/* true, 1, "1", "true", "True": vdsm hands on whatever it gets, MOM takes Python's words */
static bool read_flag(const char *name, const json_t *json, bool *ret, GError **error)
{
	const char *text = json_string_value(json);
	char *shown;

	if (json_is_boolean(json) || (json_is_integer(json) && (json_integer_value(json) == 0 || json_integer_value(json) == 1))) {
		*ret = json_is_true(json) || json_integer_value(json) == 1;
		return true;
	}
	if (text && (!g_ascii_strcasecmp(text, "true") || !strcmp(text, "1") || !g_ascii_strcasecmp(text, "false") || !strcmp(text, "0"))) {
		*ret = *text == '1' || g_ascii_tolower(*text) == 't';
		return true;
	}
	shown = json_dumps(json, JSON_ENCODE_ANY);
	error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "%s: %s is neither true nor false", name, shown);
	free(shown);
	return false;
}

json_t *policy_parse(const char *text, GError **error)
{
	g_autoptr(GRegex) comment = g_regex_new("#[^\\n]*", 0, 0, NULL), form = g_regex_new("\\G\\s*\\(\\s*(set|defvar)\\s+(\\w+)\\s+(\\w+)\\s*\\)\\s*", 0, 0, NULL);
	g_autofree char *plain = g_regex_replace_literal(comment, text, -1, 0, "", 0, NULL);
	json_t *values = json_object();
	size_t at = 0, length;

	if (!plain)                                                     /* not UTF-8 */
		plain = g_strdup("");
	length = strlen(plain);
	while (at < length) {
		g_autoptr(GMatchInfo) match = NULL;
		g_autofree char *name = NULL, *value = NULL;
		int end = 0;

		if (!g_regex_match_full(form, plain, -1, (int)at, 0, &match, NULL)) {
			g_autofree char *rest = g_strstrip(g_strndup(plain + at, 80));

			if (!*rest && at + 80 >= length)
				break;
			error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "only '(set <parameter> <value>)' is understood, not: %s", rest);
			json_decref(values);
			return NULL;
		}
		name = g_match_info_fetch(match, 2);
		value = g_match_info_fetch(match, 3);
		if (index_of(name) < 0) {
			error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "'%s' is not a parameter of the memory policy", name);
			json_decref(values);
			return NULL;
		}
		json_object_set_new(values, name, json_string(value));
		g_match_info_fetch_pos(match, 0, NULL, &end);
		at = (size_t)end;
	}
	return values;
}

/* ---- a look ---- */

static void look_at_balloons(struct policy *policy, const struct policy_memory *memory)
{
	g_autoptr(GArray) balloons = balloons_read(policy->agent->vms);
	g_autoptr(GArray) targets = g_array_set_size(g_array_new(FALSE, TRUE, sizeof(int64_t)), balloons->len);

	policy_balloons(memory, (const struct balloon *)(void *)balloons->data, balloons->len, (int64_t *)(void *)targets->data);
	for (guint i = 0; i < balloons->len; i++)
		balloon_aim(policy->agent->vms, &g_array_index(balloons, struct balloon, i), g_array_index(targets, int64_t, i));
}

static void look_at_ksm(const struct policy_memory *memory)
{
	g_autoptr(GError) error = NULL;
	struct policy_merging next;
	json_t *values;
	struct ksm ksm;

	ksm_read(KSM_DIRECTORY, &ksm);
	next = policy_merging(memory, &(struct policy_merging){ ksm.run, ksm.pages_to_scan });
	if (next.run == ksm.run && (!next.run || next.pages == ksm.pages_to_scan))
		return;
	values = next.run ? json_pack("{s:i, s:i}", "run", 1, "pages_to_scan", next.pages) : json_pack("{s:i}", "run", 0);
	if (!ksm_write(KSM_DIRECTORY, values, &error))
		log_warn("memory policy: %s", error->message);
	else if (next.run != ksm.run)
		log_info("memory policy: KSM %s, %" PRId64 " of %" PRId64 " MiB are available", next.run ? "runs" : "stops", memory->available_kib >> 10,
			 memory->total_kib >> 10);
	json_decref(values);
}

static void look(void *data)
{
	struct policy *policy = data;
	g_autofree char *text = file_text("/proc/meminfo");
	struct policy_memory memory = { meminfo_kib(text, "MemTotal"), meminfo_kib(text, "MemAvailable") };
	bool values[N_PARAMETERS];

	AUTO_LOCK(&policy->work);
	{
		AUTO_LOCK(&policy->lock);
		memcpy(values, policy->values, sizeof(values));
	}
	if (values[BALLOON] && memory.total_kib)
		look_at_balloons(policy, &memory);
	if (values[KSM] && memory.total_kib)
		look_at_ksm(&memory);
	AUTO_LOCK(&policy->lock);
	policy->looking = false;
}

/* Loop. */
static void tick(void *data)
{
	struct policy *policy = data;
	g_autoptr(GError) error = NULL;
	bool due;

	{
		AUTO_LOCK(&policy->lock);
		if (!policy->values[BALLOON] && !policy->values[KSM])
			return;
		due = !policy->looking;
		policy->looking = true;
	}
	timer_set(policy->timer, policy->period_usec);
	if (due && !lane_submit(policy->agent->lanes, "policy", &(struct lane_job){ .name = "memory policy", .run = look, .data = policy }, &error)) {
		log_warn("memory policy: %s, ignoring", error->message);
		AUTO_LOCK(&policy->lock);
		policy->looking = false;
	}
}

static bool take(struct policy *policy, const json_t *given, bool *values, GError **error)
{
	const char *name;
	json_t *json;

	AUTO_LOCK(&policy->lock);
	memcpy(values, policy->values, sizeof(policy->values));
	json_object_foreach((json_t *)given, name, json) {
		int i = index_of(name);

		if (i < 0) {
			error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "'%s' is not a parameter of the memory policy", name);
			return false;
		}
		if (!read_flag(name, json, &values[i], error))
			return false;
	}
	return true;
}

/* All of it or nothing. Worker. */
static bool change(struct policy *policy, const json_t *given, GError **error)
{
	bool values[N_PARAMETERS], stop;
	json_t *kept = json_pack("{s:i}", "version", 1), *across = NULL;
	g_autoptr(GError) cause = NULL;
	struct ksm ksm;
	bool good;

	AUTO_LOCK(&policy->work);
	good = take(policy, given, values, error);
	ksm_read(KSM_DIRECTORY, &ksm);
	stop = good && policy->values[KSM] && !values[KSM] && ksm.run;
	if (good && values[KSM] && !ksm.there) {
		error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "ksmEnabled: this kernel has no KSM (" KSM_DIRECTORY ")");
		good = false;
	}
	if (good && ksm.there && json_object_get(given, names[ACROSS])) {
		across = json_pack("{s:b}", "merge_across_nodes", values[ACROSS]);
		good = ksm_write(KSM_DIRECTORY, across, &cause);
		json_decref(across);
	}
	if (good && stop) {
		across = json_pack("{s:i}", "run", 0);
		good = ksm_write(KSM_DIRECTORY, across, &cause);
		json_decref(across);
	}
	for (int i = 0; i < N_PARAMETERS; i++)
		json_object_set_new(kept, names[i], json_boolean(values[i]));
	if (good)
		good = json_file_write(policy->agent->state_dir, FILE_NAME, kept, &cause);
	json_decref(kept);
	if (cause)
		error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "%s", cause->message);
	if (!good)
		return false;
	{
		AUTO_LOCK(&policy->lock);
		memcpy(policy->values, values, sizeof(values));
	}
	log_info("memory policy: balloons %s, KSM %s", values[BALLOON] ? "on" : "off", values[KSM] ? "on" : "off");
	loop_post(policy->agent->loop, tick, policy, NULL);
	return true;
}

struct policy *policy_new(struct agent *agent, int64_t period_usec)
{
	struct policy *policy = g_new0(struct policy, 1);
	json_t *kept = json_file_read(agent->state_dir, FILE_NAME);

	policy->agent = agent;
	policy->period_usec = period_usec;
	policy->values[ACROSS] = true;
	pthread_mutex_init(&policy->work, NULL);
	pthread_mutex_init(&policy->lock, NULL);
	for (int i = 0; i < N_PARAMETERS && kept; i++)
		policy->values[i] = json_is_true(json_object_get(kept, names[i]));
	json_decref(kept);
	policy->timer = timer_new(agent->loop, tick, policy);
	if (policy->values[BALLOON] || policy->values[KSM])
		timer_set(policy->timer, period_usec);
	return policy;
}

struct policy *policy_free(struct policy *policy)
{
	if (!policy)
		return NULL;
	timer_free(policy->timer);
	pthread_mutex_destroy(&policy->lock);
	pthread_mutex_destroy(&policy->work);
	g_free(policy);
	return NULL;
}

/* ---- verbs ---- */

bool policy_ksm_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct ksm_tune_params *p = params;

	if (!json_is_object(p->tuning)) {
		error_set(error, ERR_KSM_UPDATE_FAILED, "tuningParams is no map");
		return false;
	}
	if (!ksm_write(KSM_DIRECTORY, p->tuning, error))
		return false;
	result_json(ret_result, json_pack("{s:i, s:s}", "code", 0, "message", "Done"));
	return true;
}

bool policy_text_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct mom_policy_params *p = params;
	json_t *values = policy_parse(p->policy, error);
	bool good = values && change(host_policy(agent->host), values, error);

	json_decref(values);
	return good;
}

bool policy_parameters_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct mom_parameters_params *p = params;

	if (!json_is_object(p->values)) {
		error_set(error, ERR_MOM_POLICY_UPDATE_FAILED, "key_value_store is no map");
		return false;
	}
	return change(host_policy(agent->host), p->values, error);
}
