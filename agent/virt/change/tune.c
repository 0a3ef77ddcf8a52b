/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a running VM.
 *
 * Two things are kept apart, as vdsm does: what is in force (VM.setIoTune, VM.setCpuTuneQuota: libvirt has it), and the policy of the VM
 * (VM.updateVmPolicy: what of the host's processors and of its disks it may use), which is in the domain's metadata where vdsm has it:
 *
 *	<ovirt-tune:qos xmlns:ovirt-tune="http://ovirt.org/vm/tune/1.0">
 *	  <ovirt-tune:vcpuLimit>25</ovirt-tune:vcpuLimit>
 *	  <ovirt-tune:ioTune><ovirt-tune:device name="vda" path="..."><ovirt-tune:maximum><ovirt-tune:total_bytes_sec>...
 *
 * With vdsm another program (MOM) reads the policy and puts it in force. Here the agent does, when the policy changes, when the VM starts or is seen again
 * (tune_settle()) and when its number of CPUs changes. The part of the host's processors becomes a quota for each virtual CPU:
 *
 *	quota = period * processors of the host * vcpuLimit / 100 / virtual CPUs           (a whole processor and more: no quota)
 *
 * What is in force of the disks is read from the domain's XML, which libvirt keeps right: nothing of reading can hang.
 */
#define LOG_MODULE "virt"
#include "agent/virt/change/tune.h"

#include <libvirt/virterror.h>
#include <string.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/virt/disk/drive.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/device.h"

#define TUNE_NS "http://ovirt.org/vm/tune/1.0"
#define TUNE_PREFIX "ovirt-tune"
#define QUOTA_PERIOD 100000              /* us */
#define QUOTA_LEAST 1000                 /* libvirt's */

/* ---- limits of a disk: names of members, of libvirt's parameters and of XML elements are the same ---- */

static int64_t *limit_at(const struct io_limits *limits, const struct field *field)
{
	return (int64_t *)((char *)limits + field->offset);
}

/* Of <iotune>, <maximum>, <guaranteed>; all that are missing: 0 when whole, else absent. */
static struct io_limits *read_limits(const xmlNode *node, bool whole)
{
	struct io_limits *limits = record_new(&io_limits_type);

	for (size_t i = 0; i < io_limits_type.n_fields; i++) {
		const struct field *field = &io_limits_type.fields[i];
		g_autofree char *text = xml_text(xml_child(node, field->path));

		if (!text && !whole)
			continue;
		*limit_at(limits, field) = text ? g_ascii_strtoll(text, NULL, 10) : 0;
		record_mark(limits, field->offset, true);
	}
	return limits;
}

static void write_limits(xmlNode *node, const struct io_limits *limits)
{
	for (size_t i = 0; limits && i < io_limits_type.n_fields; i++) {
		const struct field *field = &io_limits_type.fields[i];
		char text[24];

		if (!record_has(limits, field->offset))
			continue;
		g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, *limit_at(limits, field));
		xml_add_text(node, field->path, text);
	}
}

/* What is in force and what changes, joined: a whole record. */
static struct io_limits *joined(const xmlNode *disk, const struct io_limits *change)
{
	struct io_limits *limits = read_limits(xml_child(disk, "iotune"), /* whole= */ true);

	if (change)
		record_overlay(limits, change);
	return limits;
}

static bool check_limits(const struct io_limits *l, enum error_code code, GError **error)
{
	const char *bad = l->total_bytes && (l->read_bytes || l->write_bytes) ? "bytes" : l->total_iops && (l->read_iops || l->write_iops) ? "iops" : NULL;

	for (size_t i = 0; i < io_limits_type.n_fields; i++)
		if (*limit_at(l, &io_limits_type.fields[i]) < 0) {
			error_set(error, code, "%s is negative", io_limits_type.fields[i].path);
			return false;
		}
	if (bad)
		error_set(error, code, "total_%s_sec and a limit of its own for reading or writing exclude each other", bad);
	return !bad;
}

static bool set_limits(struct live *live, const char *target, const struct io_limits *limits, GError **error)
{
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0, r;

	for (size_t i = 0; i < io_limits_type.n_fields; i++)
		(void)virTypedParamsAddULLong(&params, &n, &max, io_limits_type.fields[i].path,
					      (unsigned long long)*limit_at(limits, &io_limits_type.fields[i]));
	r = virDomainSetBlockIoTune(live->domain, target, params, n, VIR_DOMAIN_AFFECT_LIVE);
	if (r < 0)
		live_failed(live, error, ERR_UPDATE_IO_TUNE_ERROR, "disk '%s'", target);
	virTypedParamsFree(params, n);
	return r == 0;
}

/* A disk and its limits before and after. */
struct step { char *target; struct io_limits *old, *limits; };

static void step_free(void *data)
{
	struct step *step = data;

	g_free(step->target);
	record_unref(step->old);
	record_unref(step->limits);
	g_free(step);
}

static struct step *step_new(const xmlNode *disk, const struct io_limits *change, GError **error)
{
	struct step *step = g_new0(struct step, 1);

	step->target = drive_target(disk);
	step->old = joined(disk, NULL);
	step->limits = joined(disk, change);
	if (check_limits(step->limits, ERR_UPDATE_IO_TUNE_ERROR, error))
		return step;
	error_wrap(error, "disk '%s'", step->target);
	step_free(step);
	return NULL;
}

/* All of them, or none. */
static bool carry_out(struct live *live, const GPtrArray *steps, GError **error)
{
	for (guint i = 0; i < steps->len; i++) {
		const struct step *step = steps->pdata[i];

		if (record_equal(step->old, step->limits))
			continue;
		if (!set_limits(live, step->target, step->limits, error)) {
			while (i-- > 0) {
				step = steps->pdata[i];
				(void)set_limits(live, step->target, step->old, NULL);
			}
			return false;
		}
		fault_point("limits: one disk");
	}
	return true;
}

/* ---- VM.setIoTune, VM.getIoTune ---- */

static bool plan_tune(const struct live *live, const struct io_tune *tune, GPtrArray *steps, GError **error)
{
	const struct drive_spec spec = { .name = tune->name, .path = tune->path, .index = -1 };
	xmlNode *disk = drive_find(live, &spec);
	g_autofree char *target = disk ? drive_target(disk) : NULL;
	struct step *step;

	for (guint i = 0; disk && tune->limits && i < steps->len; i++) {
		step = steps->pdata[i];
		if (strcmp(step->target, target))
			continue;
		record_overlay(step->limits, tune->limits);             /* named twice */
		return check_limits(step->limits, ERR_UPDATE_IO_TUNE_ERROR, error);
	}
	if (disk && tune->limits) {
		step = step_new(disk, tune->limits, error);
		if (step)
			g_ptr_array_add(steps, step);
		return step;
	}
	error_set(error, ERR_UPDATE_IO_TUNE_ERROR, "VM %s: %s '%s'", live->vm->id, disk ? "no ioTune for disk" : "there is no disk",
		  tune->name ? tune->name : tune->path ? tune->path : "");
	return false;
}

static bool set_io_tune(struct live *live, const struct io_tune_params *p, GError **error)
{
	g_autoptr(GPtrArray) steps = g_ptr_array_new_with_free_func(step_free);
	bool many = p->tunables->len > 1, good;

	for (guint i = 0; i < p->tunables->len; i++)
		if (!plan_tune(live, p->tunables->pdata[i], steps, error))
			return false;
	if (many && !live_begin(live, "VM.setIoTune", p, error))
		return false;
	good = carry_out(live, steps, error);
	if (many)
		good = live_end(live, good ? error : NULL) && good;
	return good && live_read(live, error);
}

bool io_tune_redo(struct live *live, const void *params, GError **error)
{
	return set_io_tune(live, params, error);
}

bool io_tune_set_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct io_tune_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);

	if (!live || !set_io_tune(live, p, error))
		return false;
	live_answer_done(ret_result);
	return true;
}

/* struct io_tune of each disk of a domain. */
static GPtrArray *tunes_of(const xmlNode *devices)
{
	GPtrArray *list = list_new();

	for XML_EACH(disk, devices, "disk") {
		struct io_tune *tune;

		if (drive_is_removable(disk))
			continue;
		tune = record_new(&io_tune_type);
		tune->name = drive_target(disk);
		tune->path = drive_path(disk);
		tune->limits = joined(disk, NULL);
		g_ptr_array_add(list, tune);
	}
	return list;
}

/* ---- policies ---- */

static xmlNode *qos_of(const xmlNode *domain)
{
	return xml_find(domain, "metadata/qos");
}

/* struct io_policy of each disk. */
static GPtrArray *policies_of(const xmlNode *qos)
{
	GPtrArray *list = list_new();

	for XML_EACH(device, xml_child(qos, "ioTune"), "device") {
		struct io_policy *policy = record_new(&io_policy_type);

		policy->name = xml_get(device, "name");
		policy->path = xml_get(device, "path");
		if (xml_child(device, "maximum"))
			policy->maximum = read_limits(xml_child(device, "maximum"), /* whole= */ false);
		if (xml_child(device, "guaranteed"))
			policy->guaranteed = read_limits(xml_child(device, "guaranteed"), /* whole= */ false);
		g_ptr_array_add(list, policy);
	}
	return list;
}

/* The last seen XML, for those who only look. */
static xmlDoc *seen(struct vm *vm)
{
	g_autofree char *xml = vm_xml(vm);

	return xml ? xml_parse(xml, strlen(xml), NULL) : NULL;
}

/* The list that `read` finds below an element of the VM's XML; NULL + error. */
static bool answer_list(struct agent *agent, const char *vm_id, bool policies, GString *ret_result, GError **error)
{
	AUTO_VM vm = vms_find(agent->vms, vm_id, error);
	g_autoptr(xmlDoc) doc = vm && vm_check_running(vm, error) ? seen(vm) : NULL;
	g_autoptr(GPtrArray) list = NULL;

	if (!doc)
		return false;
	list = policies ? policies_of(qos_of(xmlDocGetRootElement(doc))) : tunes_of(xml_child(xmlDocGetRootElement(doc), "devices"));
	result_list(ret_result, list);
	return true;
}

bool io_tune_get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return answer_list(agent, ((struct vm_id_params *)params)->vm_id, /* policies= */ false, ret_result, error);
}

bool io_policy_get_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return answer_list(agent, ((struct vm_id_params *)params)->vm_id, /* policies= */ true, ret_result, error);
}

static json_t *list_to_json(GPtrArray *list)
{
	json_t *array = json_array();

	for (guint i = 0; i < list->len; i++)
		json_array_append_new(array, record_to_json(list->pdata[i], RECORD_CHANNEL));
	g_ptr_array_unref(list);
	return array;
}

bool io_policies_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	g_autoptr(GPtrArray) all = vms_all(agent->vms);
	json_t *map = json_object();

	for (guint i = 0; i < all->len; i++) {
		struct vm *vm = all->pdata[i];
		g_autoptr(xmlDoc) doc = vm_check_running(vm, NULL) ? seen(vm) : NULL;
		xmlNode *domain = doc ? xmlDocGetRootElement(doc) : NULL;

		if (domain)
			json_object_set_new(map, vm->id, json_pack("{s:o, s:o}", "policy", list_to_json(policies_of(qos_of(domain))), "current_values",
								   list_to_json(tunes_of(xml_child(domain, "devices")))));
	}
	result_json(ret_result, map);
	return true;
}

/* ---- processors ---- */

static bool set_scheduler(struct live *live, const char *name, int64_t value, GError **error)
{
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0, r;

	if (!strcmp(name, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA))
		(void)virTypedParamsAddLLong(&params, &n, &max, name, value);
	else
		(void)virTypedParamsAddULLong(&params, &n, &max, name, (unsigned long long)value);
	r = virDomainSetSchedulerParametersFlags(live->domain, params, n, VIR_DOMAIN_AFFECT_LIVE);
	if (r < 0)
		live_failed(live, error, ERR_CPU_TUNE_ERROR, "%s %" G_GINT64_FORMAT, name, value);
	virTypedParamsFree(params, n);
	fault_point("limits: processors");
	return r == 0 && live_read(live, error);
}

/* -1: none */
static int64_t quota_for(int limit, int vcpus)
{
	int64_t quota = (int64_t)QUOTA_PERIOD * sysconf(_SC_NPROCESSORS_ONLN) * limit / 100 / MAX(vcpus, 1);

	return limit <= 0 || limit >= 100 || quota >= QUOTA_PERIOD ? -1 : MAX(quota, QUOTA_LEAST);
}

static int64_t number_in(const xmlNode *node, int64_t otherwise)
{
	g_autofree char *text = xml_text(node);

	return text ? g_ascii_strtoll(text, NULL, 10) : otherwise;
}

static bool limit_vcpus(struct live *live, int limit, GError **error)
{
	xmlNode *vcpu = xml_child(live->root, "vcpu");
	int64_t quota = quota_for(limit, (int)xml_get_number(vcpu, "current", number_in(vcpu, 1)));
	int64_t old = number_in(xml_find(live->root, "cputune/quota"), -1), period = number_in(xml_find(live->root, "cputune/period"), QUOTA_PERIOD);

	if (period != QUOTA_PERIOD && quota > 0 && !set_scheduler(live, VIR_DOMAIN_SCHEDULER_VCPU_PERIOD, QUOTA_PERIOD, error))
		return false;
	return quota == old || (quota < 0 && old <= 0) || set_scheduler(live, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, quota, error);
}

static bool set_cpu(struct agent *agent, const struct cpu_tune_params *p, const char *name, GString *ret_result, GError **error)
{
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);

	if (!live)
		return false;
	if (!strcmp(name, VIR_DOMAIN_SCHEDULER_VCPU_PERIOD) && p->value < 0) {
		error_set(error, ERR_CPU_TUNE_ERROR, "period %" G_GINT64_FORMAT " is negative", p->value);
		return false;
	}
	if (!set_scheduler(live, name, p->value, error))
		return false;
	live_answer_done(ret_result);
	return true;
}

bool cpu_period_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return set_cpu(agent, params, VIR_DOMAIN_SCHEDULER_VCPU_PERIOD, ret_result, error);
}

bool cpu_quota_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return set_cpu(agent, params, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, ret_result, error);
}

/* ---- a policy in force ---- */

/* Processors and disks as the policy says, or as before. */
static bool enforce(struct live *live, GError **error)
{
	xmlNode *qos = qos_of(live->root), *limit = xml_child(qos, "vcpuLimit");
	int64_t old_quota = number_in(xml_find(live->root, "cputune/quota"), -1);
	g_autoptr(GPtrArray) policies = policies_of(qos), steps = g_ptr_array_new_with_free_func(step_free);

	for (guint i = 0; i < policies->len; i++) {
		const struct io_policy *policy = policies->pdata[i];
		const struct drive_spec spec = { .name = policy->name, .path = policy->path, .index = -1 };
		xmlNode *disk = policy->maximum ? drive_find(live, &spec) : NULL;         /* none: unplugged since */
		struct step *step = disk ? step_new(disk, policy->maximum, error) : NULL;

		if (disk && !step)
			return false;
		if (step)
			g_ptr_array_add(steps, step);
	}
	if (limit && !limit_vcpus(live, (int)number_in(limit, 100), error))
		return false;
	if (carry_out(live, steps, error))
		return live_read(live, error);
	(void)set_scheduler(live, VIR_DOMAIN_SCHEDULER_VCPU_QUOTA, old_quota, NULL);
	return false;
}

void tune_settle(struct live *live)
{
	g_autoptr(GError) error = NULL;

	if (qos_of(live->root))
		(void)enforce(live, &error);
	if (error)
		log_warn("VM %s: its policy is not in force: %s", live->vm->id, error->message);
}

/* ---- VM.updateVmPolicy ---- */

/* What the XML keeps must be such that it can be put in force: negative limits say nothing. */
static void drop_negative(struct io_limits *limits)
{
	for (size_t i = 0; limits && i < io_limits_type.n_fields; i++)
		if (*limit_at(limits, &io_limits_type.fields[i]) < 0) {
			*limit_at(limits, &io_limits_type.fields[i]) = 0;
			record_mark(limits, io_limits_type.fields[i].offset, false);
		}
}

void tune_add_limit(xmlNode *metadata, int percent)
{
	xmlNode *qos = xml_add(metadata, "qos"), *limit;
	g_autofree char *text = g_strdup_printf("%d", percent);

	xmlSetNs(qos, xmlNewNs(qos, (const xmlChar *)TUNE_NS, (const xmlChar *)TUNE_PREFIX));
	limit = xml_add_text(qos, "vcpuLimit", text);
	xmlSetNs(limit, qos->ns);
}

/* Name and path of the disk that a policy is for. */
static bool name_disk(const struct live *live, struct io_policy *policy, GError **error)
{
	const struct drive_spec spec = { .name = policy->name, .path = policy->path, .image = policy->image_id, .index = -1 };
	xmlNode *disk = drive_find(live, &spec);

	if (!disk) {
		g_autofree char *text = drive_spec_text(&spec);

		error_set(error, ERR_UPDATE_VM_POLICY_FAILED, "VM %s has no disk '%s'", live->vm->id, text);
		return false;
	}
	g_free(policy->name);
	g_free(policy->path);
	policy->name = drive_target(disk);
	policy->path = drive_path(disk);
	return true;
}

static struct io_limits *merged(const struct io_limits *old, const struct io_limits *change)
{
	struct io_limits *limits = old ? record_copy(old) : record_new(&io_limits_type);

	if (change)
		record_overlay(limits, change);
	drop_negative(limits);
	return limits;
}

/* The change into the list of what there is. */
static bool merge_policy(const struct live *live, GPtrArray *policies, const struct io_policy *change, GError **error)
{
	struct io_policy *policy = record_copy(change), *old = NULL;
	bool good = name_disk(live, policy, error);

	for (guint i = 0; good && i < policies->len; i++)
		if (!g_strcmp0(((struct io_policy *)policies->pdata[i])->name, policy->name))
			old = policies->pdata[i];
	if (good) {
		struct io_limits *maximum = merged(old ? old->maximum : NULL, policy->maximum), *guaranteed = merged(old ? old->guaranteed : NULL, policy->guaranteed);

		record_unref(policy->maximum);
		record_unref(policy->guaranteed);
		policy->maximum = maximum;
		policy->guaranteed = guaranteed;
		good = check_limits(maximum, ERR_UPDATE_VM_POLICY_FAILED, error);
	}
	if (!good) {
		record_unref(policy);
		return false;
	}
	if (old)
		g_ptr_array_remove(policies, old);
	g_ptr_array_add(policies, policy);
	return true;
}

/* The metadata of a policy; g_free. limit: text, NULL: none */
static char *qos_text(const char *limit, const GPtrArray *policies)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *qos = xmlNewNode(NULL, (const xmlChar *)"qos"), *list;

	xmlDocSetRootElement(doc, qos);
	if (limit)
		xml_add_text(qos, "vcpuLimit", limit);
	list = policies->len ? xml_add(qos, "ioTune") : NULL;
	for (guint i = 0; i < policies->len; i++) {
		const struct io_policy *policy = policies->pdata[i];
		xmlNode *device = xml_add_with(list, "device", "name", policy->name, "path", policy->path, NULL);

		write_limits(xml_add(device, "maximum"), policy->maximum);
		write_limits(xml_add(device, "guaranteed"), policy->guaranteed);
	}
	return xml_to_text(qos);
}

static bool keep_policy(struct live *live, const char *text, GError **error)
{
	if (virDomainSetMetadata(live->domain, VIR_DOMAIN_METADATA_ELEMENT, text, TUNE_PREFIX, TUNE_NS, VIR_DOMAIN_AFFECT_LIVE) == 0)
		return live_read(live, error);
	live_failed(live, error, ERR_UPDATE_VM_POLICY_FAILED, "its policy");
	return false;
}

static bool update_policy(struct live *live, const struct vm_policy *p, GError **error)
{
	g_autoptr(GPtrArray) old_policies = policies_of(qos_of(live->root)), policies = policies_of(qos_of(live->root));
	g_autofree char *old_limit = xml_text(xml_child(qos_of(live->root), "vcpuLimit")), *limit = NULL, *old_text = NULL, *text = NULL;
	g_autoptr(GError) cause = NULL;

	for (guint i = 0; p->io && i < p->io->len; i++)
		if (!merge_policy(live, policies, p->io->pdata[i], error))
			return false;
	limit = HAS(p, vcpu_limit) ? g_strdup_printf("%d", p->vcpu_limit) : g_strdup(old_limit);
	text = qos_text(limit, policies);
	old_text = qos_text(old_limit, old_policies);
	if (!keep_policy(live, text, error))
		return false;
	fault_point("VM.updateVmPolicy: kept");
	(void)enforce(live, &cause);
	if (!cause)
		return live_read(live, error);
	error_set(error, ERR_UPDATE_VM_POLICY_FAILED, "%s", cause->message);
	(void)keep_policy(live, old_text, NULL);
	return false;
}

bool policy_update_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_policy_params *p = params;
	AUTO_LIVE live = NULL;

	if (!HAS(p->params, vcpu_limit) && !p->params->io) {
		error_set(error, ERR_MISSING_PARAMETER, "params: neither vcpuLimit nor ioTune");
		return false;
	}
	if (p->params->vm_id && strcmp(p->params->vm_id, p->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "params/vmId is '%s', not vmID '%s'", p->params->vm_id, p->vm_id);
		return false;
	}
	live = live_open_id(agent, p->vm_id, error);
	if (!live || !update_policy(live, p->params, error))
		return false;
	live_answer_done(ret_result);
	return true;
}

/* ---- memory ---- */

bool balloon_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct balloon_params *p = params;
	AUTO_LIVE live = live_open_id(agent, p->vm_id, error);
	xmlNode *balloon = live ? xml_child(live->devices, "memballoon") : NULL;

	if (!live)
		return false;
	if (!balloon || xml_is(balloon, "model", "none")) {
		error_set(error, ERR_BALLOON_ERROR, "VM %s has no balloon", p->vm_id);
		return false;
	}
	if (p->target <= 0) {
		error_set(error, ERR_BALLOON_ERROR, "target %" G_GINT64_FORMAT " KiB is not more than nothing", p->target);
		return false;
	}
	if (virDomainSetMemoryFlags(live->domain, (unsigned long)p->target, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		live_failed(live, error, ERR_BALLOON_ERROR, "target %" G_GINT64_FORMAT " KiB", p->target);
		return false;
	}
	live_answer_done(ret_result);
	return true;
}
