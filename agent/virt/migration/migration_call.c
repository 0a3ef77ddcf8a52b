/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What libvirt is told to migrate, and the thread that waits for it.
 *
 * libvirtd here connects to libvirtd there. [migration] transport=tls: qemu+tls://HOST/system with the agent's own certificate, which it finds in run_dir/pki
 * under the names it wants (pkipath). The memory goes from QEMU to QEMU: encrypted by QEMU with the certificates of its qemu.conf, or through libvirt's own
 * connection when it is tunneled.
 *
 * Disks are shared when the other agent has prepared the very same volumes of the same storage domains, which it has: it fitted the XML. libvirt, which
 * only knows file systems' names, is told so (VIR_MIGRATE_UNSAFE) when that holds for every disk that is written, and none of them has a host
 * cache. Else libvirt judges.
 */
#define LOG_MODULE "migration"
#include <arpa/inet.h>
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/peer.h"
#include "agent/virt/migration/convergence.h"
#include "agent/virt/migration/migration.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

struct call {
	struct vms *vms;
	struct migration *m;
	char *uri;
	virTypedParameterPtr params;
	int n_params, max_params;
	unsigned flags;
};

static void call_free(void *data)
{
	struct call *call = data;

	virTypedParamsFree(call->params, call->n_params);
	migration_unref(call->m);
	g_free(call->uri);
	g_free(call);
}

/* ---- on its own lane ---- */

static void call_run(void *data)
{
	struct call *call = data;
	struct migration *m = call->m;
	g_autoptr(virConnect) conn = libvirt_connection_get(call->vms->connection, NULL);
	g_autoptr(virDomain) domain = conn ? virDomainLookupByUUIDString(conn, m->vm_id) : NULL;
	int r = domain ? virDomainMigrateToURI3(domain, call->uri, call->params, (unsigned)call->n_params, call->flags) : -1;
	g_autofree char *said = r < 0 ? g_strdup(virGetLastErrorMessage()) : NULL;

	{
		AUTO_LOCK(&call->vms->lock);
		m->call = CALL_BACK;
		m->call_good = r == 0;
		m->call_code = r < 0 ? libvirt_error_code() : 0;
		set_string(&m->call_error, said);
	}
	log_info("VM %s: migration to %s came back: %s", m->vm_id, m->dst, r < 0 ? said : "done");
	jobs_wake(call->vms->agent->jobs, m->job);
}

static bool submit(struct call *call, GError **error)
{
	g_autofree char *lane = g_strconcat("migration-call/", call->m->vm_id, NULL);
	struct lane_job job = { .name = "virDomainMigrateToURI3", .run = call_run, .data = call, .free_data = call_free };
	struct vms *vms = call->vms;
	struct migration *m = call->m;

	{
		AUTO_LOCK(&vms->lock);
		m->call = CALL_OUT;
	}
	if (lane_submit(vms->agent->lanes, lane, &job, error))
		return true;
	{
		AUTO_LOCK(&vms->lock);
		m->call = CALL_NONE;
	}
	call_free(call);
	return false;
}

/* ---- where to ---- */

/* The agent's own certificate under the names that libvirt looks for. g_free */
static char *pki_dir(struct agent *agent, GError **error)
{
	static const char *const files[] = { "cacert.pem", "clientcert.pem", "clientkey.pem" };

	return peer_credentials(agent, "pki", files, error);
}

static char *libvirt_uri(struct vms *vms, const struct migration *m, GError **error)
{
	g_autofree char *host = peer_uri_host(m->host), *dir = NULL, *escaped = NULL;

	if (!vms->migrations->settings.tls)
		return g_strdup_printf("qemu+tcp://%s/system", host);
	if (!(dir = pki_dir(vms->agent, error)))
		return NULL;
	escaped = g_uri_escape_string(dir, "/", FALSE);
	return g_strdup_printf("qemu+tls://%s/system?pkipath=%s", host, escaped);
}

static bool is_numeric(const char *address)
{
	unsigned char buffer[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, address, buffer) == 1 || inet_pton(AF_INET6, address, buffer) == 1;
}

/* ---- the domain ---- */

char *migration_domain_xml(virDomainPtr domain, GError **error)
{
	char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE), *copy;

	if (!xml) {
		libvirt_error_set(error, ERR_MIGRATION_ERROR, "its XML");
		return NULL;
	}
	copy = g_strdup(xml);
	free(xml);
	return copy;
}

static bool is_shared_volume(const xmlNode *disk, const xmlNode *metadata)
{
	static const char *const ids[] = { "domainID", "imageID", "volumeID" };
	xmlNode *driver = xml_child(disk, "driver"), *kept;
	g_autofree char *target = xml_get(xml_child(disk, "target"), "dev");

	kept = target ? vm_metadata_device(metadata, "name", target) : NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		g_autofree char *id = vm_metadata_get(kept, ids[i]);

		if (!id)
			return false;
	}
	return xml_is(driver, "cache", "none") || xml_is(driver, "cache", "directsync");
}

static bool disks_are_shared(const xmlNode *domain)
{
	const xmlNode *metadata = vm_metadata_of(domain);

	for XML_EACH(disk, xml_child(domain, "devices"), "disk")
		if (xml_child(disk, "source") && !xml_child(disk, "readonly") && !is_shared_volume(disk, metadata))
			return false;
	return true;
}

/* Virtual CPUs and memory on the CPUs and nodes of the other host. */
static void pin(xmlNode *domain, const struct migrate_options *o)
{
	xmlNode *tune = xml_child(domain, "cputune"), *numa = xml_child(domain, "numatune");
	char number[16];

	for (guint i = 0; o->cpusets && i < o->cpusets->len; i++) {
		xmlNode *found = NULL;

		g_snprintf(number, sizeof(number), "%u", i);
		if (!tune)
			tune = xml_add(domain, "cputune");
		for XML_EACH(node, tune, "vcpupin")
			if (xml_is(node, "vcpu", number))
				found = node;
		if (!found)
			found = xml_add_with(tune, "vcpupin", "vcpu", number, NULL);
		xml_set(found, "cpuset", o->cpusets->pdata[i]);
	}
	for XML_EACH(node, numa, "memnode") {
		g_autofree char *cell = xml_get(node, "cellid");
		gint64 i = cell ? g_ascii_strtoll(cell, NULL, 10) : -1;

		if (o->numa_nodesets && i >= 0 && i < o->numa_nodesets->len)
			xml_set(node, "nodeset", o->numa_nodesets->pdata[i]);
	}
}

/* ---- flags and parameters ---- */

static bool is_encrypted(const struct vms *vms, const struct migration *m)
{
	return HAS(m->options, encrypted) ? m->options->encrypted : vms->migrations->settings.encrypted;
}

static unsigned flags_of(const struct vms *vms, const struct migration *m)
{
	const struct migrate_options *o = m->options;
	bool postcopy = o->postcopy || convergence_wants_postcopy(m->schedule);
	const struct { bool wanted; unsigned flag; } flags[] = {
		{ true, VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER },
		{ o->tunneled, VIR_MIGRATE_TUNNELLED },
		{ o->abort_on_error, VIR_MIGRATE_ABORT_ON_ERROR },
		{ o->compressed, VIR_MIGRATE_COMPRESSED },
		{ o->auto_converge, VIR_MIGRATE_AUTO_CONVERGE },
		{ o->parallel, VIR_MIGRATE_PARALLEL },
		{ o->zerocopy, VIR_MIGRATE_ZEROCOPY },
		{ postcopy, VIR_MIGRATE_POSTCOPY },
		{ is_encrypted(vms, m) && !o->tunneled, VIR_MIGRATE_TLS },
	};
	unsigned all = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
		all |= flags[i].wanted ? flags[i].flag : 0;
	return all;
}

static bool add_text(struct call *call, const char *name, const char *value)
{
	return virTypedParamsAddString(&call->params, &call->n_params, &call->max_params, name, value) == 0;
}

static bool add_speed(struct call *call, const char *name, int mib)
{
	return !mib || virTypedParamsAddULLong(&call->params, &call->n_params, &call->max_params, name, (unsigned long long)mib) == 0;
}

/* Where the memory goes: the other QEMU listens on no other address. */
static bool add_address(struct call *call)
{
	const struct migrate_options *o = call->m->options;
	const char *address = o->dst_qemu && *o->dst_qemu ? o->dst_qemu : call->m->address ? call->m->address : call->m->host;
	g_autofree char *host = peer_uri_host(address), *uri = g_strconcat("tcp://", host, NULL);

	return o->tunneled || (add_text(call, VIR_MIGRATE_PARAM_URI, uri) &&
			       (!is_numeric(address) || add_text(call, VIR_MIGRATE_PARAM_LISTEN_ADDRESS, address)));
}

static bool add_console(struct call *call, const xmlNode *domain)
{
	const char *address = call->m->options->console_address;
	g_autofree char *host = address ? peer_uri_host(address) : NULL, *uri = NULL;
	bool spice = false;

	for XML_EACH(graphics, xml_child(domain, "devices"), "graphics")
		spice |= xml_is(graphics, "type", "spice");
	uri = g_strdup_printf("%s://%s", spice ? "spice" : "vnc", host ? host : "");
	return !address || !*address || add_text(call, VIR_MIGRATE_PARAM_GRAPHICS_URI, uri);
}

static bool add_params(struct call *call, const xmlNode *domain)
{
	const struct migrate_options *o = call->m->options;
	int speed = call->m->max_bandwidth;

	return add_address(call) && add_console(call, domain) && add_speed(call, VIR_MIGRATE_PARAM_BANDWIDTH, speed) &&
	       (!(call->flags & VIR_MIGRATE_POSTCOPY) || add_speed(call, VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, speed)) &&
	       (!o->compressed || add_text(call, VIR_MIGRATE_PARAM_COMPRESSION, o->compression)) &&
	       (!o->parallel ||
		virTypedParamsAddInt(&call->params, &call->n_params, &call->max_params, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, o->parallel) == 0) &&
	       /* The name in its certificate, which an address of a migration network need not be. */
	       (!(call->flags & VIR_MIGRATE_TLS) || add_text(call, VIR_MIGRATE_PARAM_TLS_DESTINATION, call->m->host));
}

static struct call *call_new(struct vms *vms, struct migration *m, GError **error)
{
	struct call *call = g_new0(struct call, 1);

	call->vms = vms;
	call->m = migration_ref(m);
	call->flags = flags_of(vms, m);
	call->uri = libvirt_uri(vms, m, error);
	if (call->uri)
		return call;
	call_free(call);
	return NULL;
}

/* QEMU commit 03bfc2188f06: "physmem: Fix migration dirty bitmap coherency with TCG memory access" */
#define QEMU_EMULATION_MOVES 9000000

static void warn_of_emulation(struct vms *vms, const struct migration *m, const xmlNode *domain)
{
	g_autoptr(virConnect) conn = libvirt_connection_get(vms->connection, NULL);
	unsigned long version;

	if (xml_is(domain, "type", "qemu") && conn && virConnectGetVersion(conn, &version) == 0 && version < QEMU_EMULATION_MOVES)
		log_warn("VM %s runs without hardware acceleration: QEMU before 9.0 may lose changes of its memory while it moves", m->vm_id);
}

bool migration_call_begin(struct vms *vms, struct migration *m, const char *fitted, GError **error)
{
	g_autoptr(xmlDoc) doc = xml_parse(fitted, strlen(fitted), error);
	xmlNode *domain = doc ? xmlDocGetRootElement(doc) : NULL;
	struct call *call = domain ? call_new(vms, m, error) : NULL;
	g_autofree char *xml = NULL;

	if (!call)
		return false;
	pin(domain, m->options);
	if (disks_are_shared(domain))
		call->flags |= VIR_MIGRATE_UNSAFE;
	xml = xml_to_text(domain);
	if (!add_text(call, VIR_MIGRATE_PARAM_DEST_XML, xml) || !add_params(call, domain)) {
		libvirt_error_set(error, ERR_MIGRATION_ERROR, "parameters");
		call_free(call);
		return false;
	}
	warn_of_emulation(vms, m, domain);
	log_info("VM %s leaves for %s: %s, flags 0x%x", m->vm_id, m->dst, call->uri, call->flags);
	return submit(call, error);
}

bool migration_call_resume(struct vms *vms, struct migration *m, GError **error)
{
	struct call *call = call_new(vms, m, error);

	if (!call)
		return false;
	call->flags = (call->flags & (VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_TLS)) | VIR_MIGRATE_POSTCOPY | VIR_MIGRATE_POSTCOPY_RESUME;
	if (!add_address(call)) {
		libvirt_error_set(error, ERR_MIGRATION_ERROR, "parameters");
		call_free(call);
		return false;
	}
	log_info("VM %s: continuing its post-copy to %s", m->vm_id, m->dst);
	return submit(call, error);
}
