/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host.fenceNode: runs a fence agent (the programs fence_<agent> of the package fence-agents) against the power device of another host.
 *
 * Parameters go to the agent on its standard input, "name=value" lines (FenceAgentAPI.md of ClusterLabs): the password is in no argument list, no
 * environment and no log. The agent's exit status tells, as vdsm reads it: of "status" 0 is on and 2 is off, of the others 0 is done, and anything else
 * failed; its own words are in the error, the password masked. "on", "off" and "reboot" are waited for: their callers look with "status"
 * afterwards, but are told at once when the agent failed.
 *
 * Calls for one device go one after the other (lane remote/<addr>), each at most [host] fence_timeout seconds.
 *
 * policy {"storageDomainHostIdMap": {domain: host id}} asks to leave a host alone that still renews its storage leases. This agent keeps no
 * leases on storage by host ids, so there is nothing it could look at, and as with vdsm a state that is not known does not stop the fencing.
 */
#define LOG_MODULE "host"
#include "agent/host/fence.h"

#include <string.h>
#include <unistd.h>
#include "agent/process.h"
#include "common/error.h"
#include "common/log.h"

#define EXIT_ON 0
#define EXIT_OFF 2
#define SAID_MAX 1000

static bool add(GString *input, const char *name, const char *value, GError **error)
{
	if (strpbrk(value, "\r\n")) {
		error_set(error, ERR_INVALID_PARAMETER, "%s is more than one line", name);
		return false;
	}
	g_string_append_printf(input, "%s=%s\n", name, value);
	return true;
}

/* "lanplus=1,power_wait=4", or one a line. */
static bool add_options(GString *input, const char *options, GError **error)
{
	static const char *const ours[] = { "agent", "action", "option", "ipaddr", "ip", "login", "username", "passwd", "password", "passwd_script",
					    "password_script", "debug", "debug_file", "verbose", "ssh_path", "sudo_path", NULL };
	g_auto(GStrv) all = g_strsplit_set(options, ",\n", -1);

	for (char **option = all; *option; option++) {
		char *value = strchr(g_strstrip(*option), '=');

		if (!**option)
			continue;
		if (!value || value == *option) {
			error_set(error, ERR_INVALID_PARAMETER, "options: '%s' is not name=value", *option);
			return false;
		}
		*value++ = '\0';
		if (strspn(*option, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(*option) || g_strv_contains(ours, *option) ||
		    g_str_has_suffix(*option, "_path")) {
			error_set(error, ERR_INVALID_PARAMETER, "options: '%s' is not one that can be given", *option);
			return false;
		}
		if (!add(input, *option, value, error))
			return false;
	}
	return true;
}

char *fence_input(const struct fence_params *p, GError **error)
{
	g_autoptr(GString) input = g_string_new(NULL);
	g_autofree char *name = g_strconcat("fence_", p->agent, NULL);

	if (!add(input, "agent", name, error) || !add(input, "ipaddr", p->addr, error) || !add(input, "login", p->username ? p->username : "", error) ||
	    !add(input, "action", p->action, error) || !add(input, "passwd", p->password ? p->password : "", error))
		return NULL;
	if (p->port > 0)
		g_string_append_printf(input, "port=%d\n", p->port);
	if (p->secure)
		g_string_append(input, "secure=yes\n");
	if (p->options && !add_options(input, p->options, error))
		return NULL;
	return g_string_free(g_steal_pointer(&input), FALSE);
}

/* What it said, on one line, without the password; g_free */
static char *said(const GString *output, const char *password)
{
	g_auto(GStrv) parts = *password ? g_strsplit(output->str, password, -1) : g_strsplit(output->str, "\n", 1);
	g_autofree char *masked = g_strjoinv("***", parts), *valid = g_utf8_make_valid(masked, -1);

	g_strdelimit(g_strstrip(valid), "\r\n", ' ');
	return g_utf8_strlen(valid, -1) > SAID_MAX ? g_utf8_substring(valid, 0, SAID_MAX) : g_steal_pointer(&valid);
}

bool fence_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct fence_params *p = params;
	g_autofree char *program = g_strdup_printf("%s/fence_%s", config_string(agent->config, "host", "fence_dir"), p->agent);
	g_autofree char *input = NULL, *words = NULL;
	const char *argv[] = { program, NULL };
	struct process process = { .argv = argv, .limit_usec = config_int(agent->config, "host", "fence_timeout") * G_USEC_PER_SEC };
	bool ask = !strcmp(p->action, "status");

	if (access(program, X_OK) < 0) {
		error_set(error, ERR_UNSUPPORTED_FENCE_AGENT, "'%s': there is no %s", p->agent, program);
		return false;
	}
	process.input = input = fence_input(p, error);
	if (!input)
		return false;
	if (!ask)
		log_warn("fencing: %s of the host with power device %s, by fence_%s", p->action, p->addr, p->agent);
	if (!process_run(&process, error)) {
		error_wrap(error, "fence_%s %s %s", p->agent, p->action, p->addr);
		return false;
	}
	words = said(process.output, p->password ? p->password : "");
	g_string_free(process.output, TRUE);
	if (process.status != EXIT_ON && !(ask && process.status == EXIT_OFF)) {
		error_set(error, ERR_GENERAL, "fence_%s %s %s: %s %d: %s", p->agent, p->action, p->addr, process.status < 0 ? "signal" : "exit status",
			  ABS(process.status), words);
		return false;
	}
	result_json(ret_result, ask ? json_pack("{s:s}", "power", process.status == EXIT_ON ? "on" : "off")
				    : json_pack("{s:s, s:s}", "power", "unknown", "operationStatus", "initiated"));
	return true;
}
