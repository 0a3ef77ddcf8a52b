/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host.getExternalVMs and Host.getExternalVMNames: what can be imported from another hypervisor.
 *
 * Each call opens its own connection, which can only read, with user and password given to libvirt when it asks for them, and closes it. The form of the
 * answer is vdsm's (lib/vdsm/v2v.py). A VM whose disks' sizes cannot be read is left out, as it could not be imported, and the log says why. What does not
 * answer holds up the calls for its own URI, nothing else (lane remote/<uri>); a peer that falls silent is given up by libvirt's keep-alive.
 *
 * The URI comes from users of the engine: those with which libvirt starts a program of their choice, as root, are refused: the transport "ext",
 * and the parameters that name programs, or keys of this host.
 */
#define LOG_MODULE "virt"
#include "agent/virt/domain/external_vms.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/virt/libvirt_connection.h"
#include "common/xml.h"
#include "common/log.h"
#include "proto/host_calls.h"

#define KEEPALIVE_S 5
#define KEEPALIVE_COUNT 3

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageVol, virStorageVolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStoragePool, virStoragePoolFree)

/* ---- the connection ---- */

bool external_uri_check(const char *uri, GError **error)
{
	static const char *const refused[] = { "command", "netcat", "keyfile" };
	g_autoptr(GError) cause = NULL;
	g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NON_DNS, &cause);
	g_autoptr(GHashTable) parameters = NULL;

	if (!parsed) {
		error_set(error, ERR_INVALID_PARAMETER, "uri '%s': %s", uri, cause->message);
		return false;
	}
	if (g_str_has_suffix(g_uri_get_scheme(parsed), "+ext")) {
		error_set(error, ERR_INVALID_PARAMETER, "uri '%s': the transport 'ext' runs programs of this host", uri);
		return false;
	}
	if (!g_uri_get_query(parsed))
		return true;
	parameters = g_uri_parse_params(g_uri_get_query(parsed), -1, "&;", G_URI_PARAMS_CASE_INSENSITIVE, &cause);
	if (!parameters) {
		error_set(error, ERR_INVALID_PARAMETER, "uri '%s': %s", uri, cause->message);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		if (g_hash_table_contains(parameters, refused[i])) {
			error_set(error, ERR_INVALID_PARAMETER, "uri '%s': the parameter '%s' is not allowed: it names a program or a key of this host", uri, refused[i]);
			return false;
		}
	return true;
}

struct login { const char *user, *password; };

static int answer(virConnectCredentialPtr asked, unsigned n, void *data)
{
	const struct login *login = data;

	for (unsigned i = 0; i < n; i++) {
		bool secret = asked[i].type == VIR_CRED_PASSPHRASE || asked[i].type == VIR_CRED_NOECHOPROMPT;
		const char *text = secret ? login->password : login->user;

		/* libvirt frees it */
		asked[i].result = strdup(text ? text : "");
		if (!asked[i].result)
			return -1;
		asked[i].resultlen = (unsigned)strlen(asked[i].result);
	}
	return 0;
}

static virConnectPtr open_external(const struct external_vms_params *p, GError **error)
{
	int kinds[] = { VIR_CRED_USERNAME, VIR_CRED_AUTHNAME, VIR_CRED_PASSPHRASE, VIR_CRED_NOECHOPROMPT, VIR_CRED_ECHOPROMPT };
	struct login login = { p->username, p->password };
	virConnectAuth auth = { kinds, G_N_ELEMENTS(kinds), answer, &login };
	virConnectPtr conn;

	if (!external_uri_check(p->uri, error))
		return NULL;
	conn = virConnectOpenAuth(p->uri, &auth, VIR_CONNECT_RO);
	if (!conn) {
		libvirt_error_set(error, ERR_V2V_CONNECTION_ERROR, "'%s'", p->uri);
		return NULL;
	}
	(void)virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT);
	return conn;
}

/* ---- one VM ---- */

static void set_attribute(json_t *map, const char *key, const xmlNode *node, const char *attribute)
{
	g_autofree char *text = xml_get(node, attribute);

	if (text)
		json_object_set_new(map, key, json_string(text));
}

/* KiB, MiB ... of libvirt's XML, into MiB; libvirt writes KiB */
static int64_t mebibytes(const xmlNode *memory)
{
	g_autofree char *text = xml_text(memory), *unit = xml_get(memory, "unit");
	int64_t number = text ? g_ascii_strtoll(text, NULL, 10) : 0;

	if (!unit || !strcmp(unit, "KiB") || !strcmp(unit, "k"))
		return number / 1024;
	if (!strcmp(unit, "b") || !strcmp(unit, "bytes"))
		return number >> 20;
	return !strcmp(unit, "GiB") || !strcmp(unit, "G") ? number * 1024 : number;
}

static json_t *networks(const xmlNode *devices)
{
	json_t *list = json_array();

	for XML_EACH(nic, devices, "interface") {
		json_t *entry = json_object();

		set_attribute(entry, "type", nic, "type");
		set_attribute(entry, "macAddr", xml_child(nic, "mac"), "address");
		set_attribute(entry, "bridge", xml_child(nic, "source"), "bridge");
		set_attribute(entry, "dev", xml_child(nic, "target"), "dev");
		set_attribute(entry, "model", xml_child(nic, "model"), "type");
		json_array_append_new(list, entry);
	}
	return list;
}

/* capacity and allocation; false when the disk cannot be measured (libvirt's last error says why). */
static bool measure(virDomainPtr domain, const xmlNode *disk, const char *type, json_t *entry)
{
	virConnectPtr conn = virDomainGetConnect(domain);
	const char *alias = json_string_value(json_object_get(entry, "alias"));
	g_autoptr(virStoragePool) pool = NULL;
	g_autoptr(virStorageVol) volume = NULL;
	unsigned long long capacity, allocation;

	if (!strcmp(type, "volume")) {
		g_autofree char *pool_name = xml_get(xml_child(disk, "source"), "pool"), *name = xml_get(xml_child(disk, "source"), "volume");

		pool = pool_name ? virStoragePoolLookupByName(conn, pool_name) : NULL;
		volume = pool && name ? virStorageVolLookupByName(pool, name) : NULL;
		if (!volume)
			return false;
	} else if (!strcmp(type, "file")) {
		volume = virStorageVolLookupByPath(conn, alias);
	}
	if (volume) {
		virStorageVolInfo info;

		if (virStorageVolGetInfo(volume, &info) < 0)
			return false;
		capacity = info.capacity;
		allocation = info.allocation;
		json_object_set_new(entry, "vol-key", json_string(virStorageVolGetKey(volume)));
	} else {
		virDomainBlockInfo info;

		if (virDomainGetBlockInfo(domain, alias, &info, 0) < 0)
			return false;
		capacity = info.capacity;
		allocation = info.physical;
	}
	json_object_set_new(entry, "capacity", json_sprintf("%llu", capacity));
	json_object_set_new(entry, "allocation", json_sprintf("%llu", allocation));
	return true;
}

/* The disks that an import takes along; NULL when one cannot be measured. */
static json_t *disks(virDomainPtr domain, const xmlNode *devices)
{
	json_t *list = json_array();

	for XML_EACH(disk, devices, "disk") {
		g_autofree char *type = xml_get(disk, "type"), *device = xml_get(disk, "device"), *format = xml_get(xml_child(disk, "driver"), "type");
		const xmlNode *source = xml_child(disk, "source");
		json_t *entry;

		if (!type || (strcmp(type, "file") && strcmp(type, "block") && strcmp(type, "volume")) || !g_strcmp0(device, "cdrom") ||
		    !g_strcmp0(device, "floppy"))
			continue;
		entry = json_pack("{s:s, s:s}", "type", device ? device : "disk", "disktype", type);
		set_attribute(entry, "dev", xml_child(disk, "target"), "dev");
		if (!strcmp(type, "volume")) {
			set_attribute(entry, "pool", source, "pool");
			set_attribute(entry, "volume", source, "volume");
			if (json_object_get(entry, "pool") && json_object_get(entry, "volume"))
				json_object_set_new(entry, "alias", json_sprintf("%s/%s", json_string_value(json_object_get(entry, "pool")),
										 json_string_value(json_object_get(entry, "volume"))));
		} else {
			set_attribute(entry, "alias", source, strcmp(type, "file") ? "dev" : "file");
		}
		if (!g_strcmp0(format, "qcow2") || !g_strcmp0(format, "raw"))
			json_object_set_new(entry, "format", json_string(strcmp(format, "raw") ? "COW" : "RAW"));
		json_array_append(list, entry);
		if (json_object_get(entry, "alias") && !measure(domain, disk, type, entry)) {
			/* a copy: the next call into libvirt frees it */
			g_autofree char *why = g_strdup(virGetLastErrorMessage());

			log_warn("external VM %s: disk %s: %s, leaving the VM out", virDomainGetName(domain), json_string_value(json_object_get(entry, "alias")), why);
			json_decref(entry);
			json_decref(list);
			return NULL;
		}
		json_decref(entry);
	}
	return list;
}

/* NULL: it cannot be imported, or is gone. */
static json_t *describe(virDomainPtr domain)
{
	char *xml = virDomainGetXMLDesc(domain, 0);
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;
	const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *devices = xml_child(root, "devices");
	g_autofree char *id = xml_text(xml_child(root, "uuid")), *cpus = xml_text(xml_child(root, "vcpu"));
	json_t *all = root ? disks(domain, devices) : NULL, *map;
	int snapshots;

	free(xml);
	if (!all)
		return NULL;
	map = json_pack("{s:s, s:s, s:o, s:o, s:I}", "vmName", virDomainGetName(domain), "status", virDomainIsActive(domain) == 1 ? "Up" : "Down", "disks", all,
			"networks", networks(devices), "memSize", (json_int_t)mebibytes(xml_child(root, "currentMemory")));
	if (id)
		json_object_set_new(map, "vmId", json_string(id));
	if (cpus)
		json_object_set_new(map, "smp", json_integer(g_ascii_strtoll(cpus, NULL, 10)));
	set_attribute(map, "arch", xml_find(root, "os/type"), "arch");
	set_attribute(map, "graphics", xml_child(devices, "graphics"), "type");
	set_attribute(map, "video", xml_find(devices, "video/model"), "type");
	snapshots = virDomainHasCurrentSnapshot(domain, 0);
	if (snapshots >= 0)
		json_object_set_new(map, "has_snapshots", json_boolean(snapshots));
	return map;
}

/* ---- the verbs ---- */

static bool is_wanted(const GPtrArray *names, const char *name)
{
	if (!names || !names->len)
		return true;
	for (guint i = 0; i < names->len; i++)
		if (!strcmp(names->pdata[i], name))
			return true;
	return false;
}

static bool list(const struct external_vms_params *p, bool names_only, GString *ret_result, GError **error)
{
	g_autoptr(virConnect) conn = open_external(p, error);
	virDomainPtr *domains = NULL;
	int n = conn ? virConnectListAllDomains(conn, &domains, 0) : -1;
	json_t *answers;

	if (!conn)
		return false;
	if (n < 0) {
		libvirt_error_set(error, ERR_V2V_CONNECTION_ERROR, "'%s': list of the VMs", p->uri);
		return false;
	}
	answers = json_array();
	for (int i = 0; i < n; i++) {
		g_autoptr(virDomain) domain = domains[i];
		const char *name = virDomainGetName(domain);
		json_t *entry = !is_wanted(p->vm_names, name) ? NULL : names_only ? json_string(name) : describe(domain);

		if (entry)
			json_array_append_new(answers, entry);
	}
	free(domains);
	result_json(ret_result, answers);
	return true;
}

bool external_vms_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return list(params, /* names_only= */ false, ret_result, error);
}

bool external_vm_names_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	return list(params, /* names_only= */ true, ret_result, error);
}
