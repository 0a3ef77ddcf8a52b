/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_HOOKS_H
#define BERTH_AGENT_HOOKS_H
/* Hook scripts: finding, order, environment, exit codes, time limit. Theory of operation in hooks.c. Call on a worker, never on the loop. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

struct hooks;
struct hooks_settings {
	const char *directory;            /* "/etc/berth/hooks" */
	const char *run_dir;              /* launch flags are below it; NULL: there are none */
	int64_t limit_usec;               /* for a script */
	const char *limits;               /* "before_vm_start=300 after_vm_start=5": seconds, for scripts of these points; NULL */
};
/* ERR_INVALID_CONFIGURATION: names the point that does not exist or the number that is none. */
struct hooks *hooks_new(const struct hooks_settings *settings, GError **error);
struct hooks *hooks_free(struct hooks *hooks);

struct hook_run {
	const char *point;                /* "before_vm_freeze", of hook_points.h */
	const char *vm_id;                /* NULL at host points */
	const char *data;                 /* what is in the data file: XML or JSON, as the point has it; NULL where it has none */
	const json_t *parameters;         /* call parameters: map of texts for the environment; NULL: none */
	const json_t *custom;             /* the VM's custom properties; they win over parameters; NULL: none */
};
/* Runs the point's scripts in order. ret_data (may be NULL): the data file's content afterwards when there are scripts and the point uses it, else NULL;
 * g_free. false + error only at points that may fail: the point's code, the failing script, its exit and its standard error. */
bool hooks_run(struct hooks *hooks, const struct hook_run *run, char **ret_data, GError **error);
/* A JSON point over an answer: what the scripts leave takes its place, unless it is no JSON. answer NULL: before there is one. */
bool hooks_run_over(struct hooks *hooks, const char *point, const char *vm_id, GString *answer, GError **error);
/* What a before_vm_start script asked for beside the XML: flags of virDomainCreateXML() that it wrote as a decimal number into the file
 * $_hook_launchflags. The file is removed. 0 when there is none. */
unsigned hooks_take_launch_flags(struct hooks *hooks, const char *vm_id);
/* {point: {script: {"checksum": sha256}}} for Host.getCapabilities; new reference */
json_t *hooks_inventory(struct hooks *hooks);

#endif
