/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual CPUs: number, topology, model and features, weight and pinning, the guest's NUMA cells and where the host takes their memory from. */
#include <stdlib.h>
#include <string.h>
#include "agent/virt/domain/domain_xml.h"
#include "common/xml.h"
#include "common/error.h"

#define SET_MAX 4096

struct set { uint64_t bits[SET_MAX / 64]; };

static bool set_has(const struct set *set, unsigned n)
{
	return set->bits[n / 64] >> (n % 64) & 1;
}

static void set_put(struct set *set, unsigned n, bool in)
{
	set->bits[n / 64] = (set->bits[n / 64] & ~(UINT64_C(1) << (n % 64))) | (uint64_t)in << (n % 64);
}

static bool read_number(const char **p, unsigned *ret_number)
{
	char *end;
	unsigned long n = g_ascii_isdigit(**p) ? strtoul(*p, &end, 10) : SET_MAX;

	if (n >= SET_MAX)
		return false;
	*p = end;
	*ret_number = (unsigned)n;
	return true;
}

/* "0-3,^2,7" */
static bool set_read(const char *text, struct set *ret_set)
{
	const char *p = text;
	unsigned first, last;
	bool in;

	*ret_set = (struct set){ 0 };
	do {
		p += *p == ',';
		in = *p != '^';
		p += !in;
		if (!read_number(&p, &first))
			return false;
		last = first;
		if (*p == '-' && (p++, !read_number(&p, &last) || last < first))
			return false;
		for (unsigned n = first; n <= last; n++)
			set_put(ret_set, n, in);
	} while (*p == ',');
	return !*p;
}

/* path: the member, for the message; of: what `all` are, "CPU of this host". Not empty, and nothing but what is in all. */
static bool check_set(const char *path, const char *text, const char *of, const char *all, GError **error)
{
	struct set set, have;
	bool any = false;

	if (!text || !set_read(text, &set)) {
		error_set(error, ERR_INVALID_PARAMETER, "%s: '%s' is not a set of numbers (0-3,^2)", path, text ? text : "");
		return false;
	}
	if (!all || !set_read(all, &have))
		return true;
	for (unsigned n = 0; n < SET_MAX; n++) {
		any |= set_has(&set, n);
		if (set_has(&set, n) && !set_has(&have, n)) {
			error_set(error, ERR_INVALID_PARAMETER, "%s: %u is no %s (%s)", path, n, of, all);
			return false;
		}
	}
	if (!any)
		error_set(error, ERR_INVALID_PARAMETER, "%s: '%s' is empty", path, text);
	return any;
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* ---- model ---- */

static void add_model(xmlNode *cpu, const struct vm_params *p, bool kvm)
{
	static const struct { const char *name, *mode; } whole[] = { { "hostPassthrough", "host-passthrough" }, { "hostModel", "host-model" } };
	g_auto(GStrv) words = NULL;

	if (!p->cpu_type || !*p->cpu_type)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(whole); i++)
		if (!g_ascii_strcasecmp(p->cpu_type, whole[i].name)) {
			xml_set(cpu, "mode", kvm ? whole[i].mode : "maximum");  /* TCG has no host CPU */
			return;
		}
	words = g_strsplit(p->cpu_type, ",", -1);                               /* "Nehalem,+aes,-vmx" */
	xml_set(cpu, "mode", "custom");
	xml_set(cpu, "match", "exact");
	xml_add_text(cpu, "model", words[0]);
	for (char **word = words + 1; *word; word++)
		if (**word == '+' || **word == '-')
			xml_add_with(cpu, "feature", "policy", **word == '+' ? "require" : "disable", "name", *word + 1, NULL);
}

/* ---- NUMA ---- */

static int by_index(const void *a, const void *b)
{
	const char *left = text_of(*(const json_t *const *)a, "nodeIndex"), *right = text_of(*(const json_t *const *)b, "nodeIndex");

	return atoi(left ? left : "0") - atoi(right ? right : "0");
}

static void add_cell(xmlNode *numa, guint index, const char *cpus, const char *memory, bool shared)
{
	xmlNode *cell = xml_add(numa, "cell");

	xml_set_number(cell, "id", index);
	xml_set(cell, "cpus", cpus);
	xml_set(cell, "memory", memory);
	xml_set(cell, "unit", "MiB");
	xml_set(cell, "memAccess", shared ? "shared" : NULL);
}

static bool add_cells(xmlNode *cpu, const struct vm_params *p, int max, GError **error)
{
	g_autofree char *all = g_strdup_printf("0-%d", max - 1), *memory = g_strdup_printf("%" G_GINT64_FORMAT, p->mem_size);
	bool shared = text_of(p->custom, "hugepages_shared") && !g_ascii_strcasecmp(text_of(p->custom, "hugepages_shared"), "true");
	g_autoptr(GPtrArray) cells = g_ptr_array_new();
	json_t *nodes = domain_json_texts(p->numa_nodes), *node;
	bool good = true;
	xmlNode *numa;
	size_t i;

	json_array_foreach(nodes, i, node)
		g_ptr_array_add(cells, node);
	g_ptr_array_sort(cells, by_index);
	/* memory can only be plugged into a cell: there is one then, whatever was asked for */
	numa = cells->len || HAS(p, max_mem_size) ? xml_add(cpu, "numa") : NULL;
	if (numa && !cells->len)
		add_cell(numa, 0, max > 1 ? all : "0", memory, shared);
	for (guint n = 0; good && n < cells->len; n++) {
		const char *index = text_of(cells->pdata[n], "nodeIndex"), *size = text_of(cells->pdata[n], "memory");
		g_autofree char *number = g_strdup_printf("%u", n), *path = g_strdup_printf("guestNumaNodes/%u/cpus", n);

		good = false;
		if (index && strcmp(index, number))
			error_set(error, ERR_INVALID_PARAMETER, "guestNumaNodes: nodeIndex '%s' where %u would follow", index, n);
		else if (!size || !g_ascii_string_to_unsigned(size, 10, 1, G_MAXUINT32, NULL, NULL))
			error_set(error, ERR_INVALID_PARAMETER, "guestNumaNodes/%u/memory: '%s' is not a size in MiB", n, size ? size : "");
		else
			good = check_set(path, text_of(cells->pdata[n], "cpus"), "vCPU of this VM", all, error);
		if (good)
			add_cell(numa, n, text_of(cells->pdata[n], "cpus"), size, shared);
	}
	json_decref(nodes);
	return good;
}

static bool add_numatune(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	static const char *const modes[] = { "strict", "interleave", "preferred", NULL };
	json_t *tune = domain_json_texts(p->numa_tune), *nodes = json_object_get(tune, "memnodes"), *node;
	const char *mode = text_of(tune, "mode") ? text_of(tune, "mode") : "strict", *set = text_of(tune, "nodeset");
	bool good = true;
	xmlNode *numatune = NULL;
	size_t i;

	if (!g_strv_contains(modes, mode)) {
		error_set(error, ERR_INVALID_PARAMETER, "numaTune/mode: '%s' is not strict, interleave or preferred", mode);
		good = false;
	}
	if (good && (set || json_array_size(nodes)))
		numatune = xml_add(domain, "numatune");
	if (good && set && (good = check_set("numaTune/nodeset", set, "NUMA node of this host", env->host_nodes, error)))
		xml_add_with(numatune, "memory", "mode", mode, "nodeset", set, NULL);
	json_array_foreach(nodes, i, node) {
		g_autofree char *path = g_strdup_printf("numaTune/memnodes/%zu/nodeset", i);

		good = good && check_set(path, text_of(node, "nodeset"), "NUMA node of this host", env->host_nodes, error);
		if (good)
			xml_add_with(numatune, "memnode", "cellid", text_of(node, "vmNodeIndex"), "mode", mode, "nodeset", text_of(node, "nodeset"), NULL);
	}
	json_decref(tune);
	return good;
}

/* ---- time ---- */

static bool add_cputune(xmlNode *domain, const struct vm_params *p, int max, const struct domain_xml_env *env, GError **error)
{
	json_t *pins = domain_json_texts(p->cpu_pinning), *pin;
	bool good = true;
	xmlNode *cputune = NULL;
	const char *vcpu;

	if (json_object_size(pins) || (HAS(p, cpu_shares) && p->cpu_shares))
		cputune = xml_add(domain, "cputune");
	if (HAS(p, cpu_shares) && p->cpu_shares) {
		g_autofree char *shares = g_strdup_printf("%d", p->cpu_shares);

		xml_add_text(cputune, "shares", shares);
	}
	json_object_foreach(pins, vcpu, pin) {
		g_autofree char *path = g_strdup_printf("cpuPinning/%s", vcpu);

		if (good && !g_ascii_string_to_unsigned(vcpu, 10, 0, (guint64)max - 1, NULL, NULL)) {
			error_set(error, ERR_INVALID_PARAMETER, "cpuPinning: '%s' is no vCPU of this VM (0-%d)", vcpu, max - 1);
			good = false;
		}
		good = good && check_set(path, json_string_value(pin), "CPU of this host", env->host_cpus, error);
		if (good)
			xml_add_with(cputune, "vcpupin", "vcpu", vcpu, "cpuset", json_string_value(pin), NULL);
	}
	json_decref(pins);
	return good;
}

bool domain_xml_cpus(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	int threads = p->smp_threads_per_core, cores = p->smp_cores_per_socket, max = HAS(p, max_vcpus) ? p->max_vcpus : p->smp;
	xmlNode *vcpu, *cpu, *topology;
	char text[24];

	if (max < p->smp) {
		error_set(error, ERR_INVALID_PARAMETER, "maxVCpus: %d is less than smp, %d", max, p->smp);
		return false;
	}
	max = (max + cores * threads - 1) / (cores * threads) * (cores * threads);
	g_snprintf(text, sizeof(text), "%d", max);
	vcpu = xml_add_text(domain, "vcpu", text);
	xml_set_number(vcpu, "current", p->smp);
	if (HAS(p, io_threads) && p->io_threads) {
		g_snprintf(text, sizeof(text), "%d", p->io_threads);
		xml_add_text(domain, "iothreads", text);
	}
	cpu = xml_add(domain, "cpu");
	add_model(cpu, p, xml_is(domain, "type", "kvm"));
	topology = xml_add(cpu, "topology");
	xml_set_number(topology, "sockets", max / (cores * threads));
	xml_set_number(topology, "cores", cores);
	xml_set_number(topology, "threads", threads);
	return add_cells(cpu, p, max, error) && add_numatune(domain, p, env, error) && add_cputune(domain, p, max, env, error);
}
