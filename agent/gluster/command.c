/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs Gluster's command (`gluster --mode=script --xml ...`) and reads its XML: <cliOutput> with opRet (0: done), opErrno, opErrstr, and the data.
 *
 * glusterd does one change of the trusted pool after the other and refuses a second one meanwhile; the verbs share one lane. A command has [gluster] timeout
 * seconds and is then killed: that is no more than to stop waiting, for glusterd may have taken the request, and what it did is seen by asking it. The agent
 * keeps nothing of Gluster: glusterd does, and so a restart of the agent has nothing to recover.
 *
 * Parameters become words of an argument list, never of a shell; by the patterns of their records (proto/gluster.c) none begins with '-'.
 */
#define LOG_MODULE "gluster"
#include "agent/gluster/command.h"

#include <string.h>
#include <unistd.h>
#include "agent/process.h"
#include "common/xml.h"
#include "common/log.h"
#include "proto/gluster.h"

#define OUTPUT_MAX (8 * 1024 * 1024)          /* profiles of volumes with many bricks are long */
#define SAID_MAX 1000

/* ---- words ---- */

/* The parameter's text; NULL when it is absent, empty, 0 or false. g_free */
static char *parameter(const void *params, const char *name)
{
	const struct field *field = record_field(((const struct record *)params)->type, name);
	g_autofree char *text = field ? record_text(params, field) : NULL;
	bool none = !text || !*text || (field->kind == FIELD_INT && !strcmp(text, "0")) || (field->kind == FIELD_BOOL && !strcmp(text, "false"));

	return none ? NULL : g_steal_pointer(&text);
}

/* "{name...}" at `at`: its name without the marks; g_free */
static char *name_at(const char *at)
{
	const char *start = at + 1 + (at[1] == '?');

	return g_strndup(start, strcspn(start, ",}"));
}

static bool complete(const char *group, const void *params)
{
	for (const char *at = strpbrk(group, "{]"); *at == '{'; at = strpbrk(at + 1, "{]")) {
		g_autofree char *name = name_at(at), *text = parameter(params, name);

		if (!text)
			return false;
	}
	return true;
}

/* Lists have been checked item by item: none has a comma. */
static void put(GPtrArray *words, GString *word, const char *at, const void *params)
{
	g_autofree char *name = name_at(at), *text = parameter(params, name);
	const struct field *field = record_field(((const struct record *)params)->type, name);

	if (at[1] == '?' || !text)
		return;
	if (field->kind == FIELD_STRINGS && !g_str_has_prefix(at + 1 + strlen(name), ",")) {
		g_auto(GStrv) items = g_strsplit(text, ",", -1);

		for (char **item = items; *item; item++)
			g_ptr_array_add(words, g_strdup(*item));
	} else {
		g_string_append(word, text);
	}
}

static void end_word(GPtrArray *words, GString *word)
{
	if (word->len)
		g_ptr_array_add(words, g_strdup(word->str));
	g_string_truncate(word, 0);
}

GPtrArray *gluster_words(const char *words, const void *params)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GString) word = g_string_new(NULL);

	for (const char *at = words; *at; at++) {
		if (*at == '[' && !complete(at, params))
			at = strchr(at, ']');
		else if (*at == '{') {
			put(list, word, at, params);
			at = strchr(at, '}');
		} else if (*at == ' ')
			end_word(list, word);
		else if (*at != '[' && *at != ']')
			g_string_append_c(word, *at);
	}
	end_word(list, word);
	g_ptr_array_add(list, NULL);
	return list;
}

/* ---- the command ---- */

/* On one line. */
static char *said(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_strdelimit(g_strstrip(valid), "\r\n", ' ');
	return g_utf8_strlen(valid, -1) > SAID_MAX ? g_utf8_substring(valid, 0, SAID_MAX) : g_steal_pointer(&valid);
}

static bool check_answer(const struct gluster_command *command, const xmlNode *root, GError **error)
{
	g_autofree char *result = xml_text(xml_child(root, "opRet")), *number = xml_text(xml_child(root, "opErrno"));
	g_autofree char *text = xml_text(xml_child(root, "opErrstr")), *words = said(text ? text : "");
	int failure = number ? (int)g_ascii_strtoll(number, NULL, 10) : 0;

	if (!result || !strcmp(result, "0"))            /* the list of options has none of it */
		return true;
	if (command->missing_errno && failure == command->missing_errno)
		error_set(error, command->missing_code, "%s", words);
	else if (*words)
		error_set(error, command->code, "%s", words);
	else
		error_set(error, command->code, "opRet %s, opErrno %d", result, failure);
	return false;
}

/* Its XML; xmlFreeDoc; NULL + error */
static xmlDoc *run(struct agent *agent, const struct gluster_command *command, const void *params, GError **error)
{
	const char *program = config_string(agent->config, "gluster", "program"), *socket = config_string(agent->config, "gluster", "socket");
	g_autofree char *at = g_strconcat("--glusterd-sock=", socket, NULL), *words = NULL, *errors = NULL;
	g_autoptr(GPtrArray) argv = g_ptr_array_new(), own = gluster_words(command->words, params);
	struct process process = { .limit_usec = config_int(agent->config, "gluster", "timeout") * G_USEC_PER_SEC, .output_max = OUTPUT_MAX, .apart = true };
	g_autoptr(xmlDoc) document = NULL;
	GError *cause = NULL;

	g_ptr_array_add(argv, (gpointer)program);
	g_ptr_array_add(argv, (gpointer) "--mode=script");
	g_ptr_array_add(argv, (gpointer) "--xml");
	g_ptr_array_add(argv, at);
	g_ptr_array_extend(argv, own, NULL, NULL);
	process.argv = (const char *const *)argv->pdata;
	words = g_strjoinv(" ", (char **)own->pdata);
	if (!process_run(&process, &cause)) {
		error_set(error, error_is(cause, ERR_TIMEOUT) ? ERR_GLUSTER_COMMAND_TIMEOUT : ERR_GLUSTER_CMD_EXEC_FAILED, "gluster %s: %s", words, cause->message);
		g_error_free(cause);
		return NULL;
	}
	document = process.cut ? NULL : xml_parse(process.output->str, process.output->len, &cause);
	if (!document && process.status) {              /* no glusterd, or words that the command itself refuses: it says so without XML */
		errors = said(process.errors->len ? process.errors->str : process.output->str);
		error_set(error, process.status < 0 || g_str_has_prefix(errors, "Connection failed") ? ERR_GLUSTER_CMD_EXEC_FAILED : command->code,
			  "gluster %s: %s %d: %s", words, process.status < 0 ? "signal" : "exit status", ABS(process.status), errors);
	} else if (!document) {
		error_set(error, ERR_GLUSTER_XML_ERROR, "gluster %s: %s", words, process.cut ? "its answer is longer than 8 MiB" : cause->message);
	}
	g_clear_error(&cause);
	g_string_free(process.output, TRUE);
	g_string_free(process.errors, TRUE);
	if (document && !check_answer(command, xmlDocGetRootElement(document), error))
		return NULL;
	return g_steal_pointer(&document);
}

/* Servers are removed by the name that their peers know; this finds it by the id. */
static bool find_host(struct agent *agent, struct gluster_params *params, GError **error)
{
	static const struct gluster_command pool = { .verb = "peers", .words = "peer status", .code = ERR_GLUSTER_HOSTS_LIST_FAILED };
	g_autoptr(xmlDoc) document = run(agent, &pool, params, error);

	if (!document)
		return false;
	for XML_EACH(peer, xml_child(xmlDocGetRootElement(document), "peerStatus"), "peer") {
		g_autofree char *uuid = xml_text(xml_child(peer, "uuid"));

		if (uuid && !strcmp(uuid, params->host_uuid)) {
			g_free(params->host);
			params->host = xml_text(xml_child(peer, "hostname"));
		}
	}
	if (!params->host)
		error_set(error, ERR_GLUSTER_HOST_NOT_FOUND, "no peer has the id '%s'", params->host_uuid);
	return params->host != NULL;
}

/* Of GlusterTask.list: only the tasks that are asked for. */
static void keep_asked(json_t *answer, const GPtrArray *ids)
{
	json_t *tasks = json_object_get(answer, "tasks"), *task;
	const char *id;
	void *next;

	if (!ids || !ids->len)
		return;
	json_object_foreach_safe(tasks, next, id, task)
		if (!g_ptr_array_find_with_equal_func((GPtrArray *)ids, id, g_str_equal, NULL))
			json_object_del(tasks, id);
}

bool gluster_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct gluster_command *command = gluster_command_find(call->verb->name);
	const char *program = config_string(agent->config, "gluster", "program");
	g_autoptr(xmlDoc) document = NULL;
	struct gluster_params *p = params;
	json_t *answer;

	if (access(program, X_OK) < 0) {
		error_set(error, ERR_JSONRPC_NO_METHOD, "{'method': '%s', 'reason': 'there is no %s'}", call->verb->name, program);
		return false;
	}
	if (call->verb->params == &gluster_host_uuid_params_type && !find_host(agent, p, error))
		return false;
	document = run(agent, command, params, error);
	if (!document)
		return false;
	answer = answer_read(command->answer, xmlDocGetRootElement(document), call->local_address);
	if (call->verb->params == &gluster_tasks_params_type)
		keep_asked(answer, p->task_ids);
	result_json(ret_result, answer);
	return true;
}
