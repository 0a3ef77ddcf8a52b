/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What domain XML asks of this host: volumes, networks, filters, devices, names.
 *
 * The network filter vdsm-no-mac-spoofing, which engines give every NIC, is defined when a VM wants it and libvirt has none of that name: a NIC sends
 * from its own hardware address only.
 */
#define LOG_MODULE "virt"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "agent/hooks.h"
#include "agent/host/host.h"
#include "agent/net/net.h"
#include "agent/storage/storage.h"
#include "agent/virt/domain/external_data.h"
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

#define COMMON_FILTER "vdsm-no-mac-spoofing"
static const char common_filter[] =
	"<filter name='" COMMON_FILTER "' chain='root'>"
	"<rule action='drop' direction='out' priority='-900'><mac match='no' srcmacaddr='$MAC'/></rule>"
	"<rule action='drop' direction='out' priority='-800'><arp match='no' arpsrcmacaddr='$MAC'/></rule>"
	"</filter>";

static bool prepare(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error)
{
	const struct vm_xml_env *env = data;

	return storage_prepare(env->agent->storage, env->vm_id, domain, image, volume, ret_path, ret_format, error);
}

static bool prepared(void *data, const json_t *drive, json_t **ret_drive, GError **error)
{
	const struct vm_xml_env *env = data;
	char *text = json_dumps(drive, JSON_COMPACT);
	g_autofree char *changed = NULL;
	struct hook_run run = { .point = "after_disk_prepare", .vm_id = env->vm_id, .data = text, .custom = env->custom };
	bool good = hooks_run(env->agent->hooks, &run, &changed, error);

	free(text);
	if (good && changed && !(*ret_drive = json_parse(changed, strlen(changed), error))) {
		error_wrap(error, "after_disk_prepare");
		good = false;
	}
	return good;
}

static bool lease(void *data, const char *domain, const char *image, const char *id, char **ret_path, int64_t *ret_offset, GError **error)
{
	const struct vm_xml_env *env = data;

	return storage_lease(env->agent->storage, domain, image, id, ret_path, ret_offset, error);
}

/*
 * Does libvirt have a lock manager? Without one it takes a <lease> and does not hold it, and the VM would run on two hosts at a time. It does not tell,
 * its configuration does.
 */
static bool holds_leases(void *data, GError **error)
{
	const struct vm_xml_env *env = data;
	const char *path = config_string(env->agent->config, "libvirt", "qemu_conf");
	g_autofree char *text = NULL;
	g_autoptr(GRegex) regex = g_regex_new("^\\s*lock_manager\\s*=\\s*\"(sanlock|lockd)\"", G_REGEX_MULTILINE, 0, NULL);

	if (path && g_file_get_contents(path, &text, NULL, NULL) && g_regex_match(regex, text, 0, NULL))
		return true;
	error_set(error, ERR_CANNOT_CREATE_VM, "libvirt has no lock manager here (%s: lock_manager): nobody would hold the lease", path ? path : "");
	return false;
}

static char *bridge(void *data, const char *network, int *ret_tag, GError **error)
{
	const struct vm_xml_env *env = data;

	return net_bridge_of(env->agent->net, network, ret_tag, error);
}

static char *link_below(void *data, const char *network, GError **error)
{
	const struct vm_xml_env *env = data;

	return net_link_of(env->agent->net, network, error);
}

static char *address(void *data, const char *network)
{
	int tag = -1;
	g_autofree char *place = bridge(data, network, &tag, NULL);
	const char *name = place && tag >= 0 ? network : place;       /* of Open vSwitch: the host's own port is named as the network */
	struct ifaddrs *all = NULL, *a;
	char text[INET6_ADDRSTRLEN], *found = NULL;

	if (!name || getifaddrs(&all) < 0)
		return NULL;
	for (a = all; a && !found; a = a->ifa_next)
		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET && !strcmp(a->ifa_name, name) &&
		    inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr, text, sizeof(text)))
			found = g_strdup(text);
	freeifaddrs(all);
	return found;
}

static bool filter(void *data, const char *name, GError **error)
{
	const struct vm_xml_env *env = data;
	g_autoptr(virConnect) conn = libvirt_connection_get(env->agent->vms->connection, error);
	virNWFilterPtr found;

	if (!conn)
		return false;
	found = virNWFilterLookupByName(conn, name);
	if (!found && !strcmp(name, COMMON_FILTER))
		found = virNWFilterDefineXML(conn, common_filter);
	if (!found) {
		error_set(error, ERR_INVALID_PARAMETER, "filter: '%s' is no network filter of this host: %s", name, virGetLastErrorMessage());
		return false;
	}
	virNWFilterFree(found);
	return true;
}

static char *port(void *data, const char *mac, const char *bridge, const json_t *policies, GError **error)
{
	const struct vm_xml_env *env = data;
	g_autofree char *tap = mac ? net_port_name(mac) : NULL;

	if (bridge && !net_port_check(bridge, policies, error))
		return NULL;
	if (tap)
		return net_port_set(env->agent->net, tap, mac, policies, error) ? g_steal_pointer(&tap) : NULL;
	error_set(error, ERR_INVALID_PARAMETER, "policies: a NIC that has them needs macAddr");
	return NULL;
}

static bool mirror(void *data, const char *mac, const char *const *networks, GError **error)
{
	const struct vm_xml_env *env = data;
	g_autoptr(GPtrArray) bridges = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *tap = mac ? net_port_name(mac) : NULL;

	if (!tap) {
		error_set(error, ERR_INVALID_PARAMETER, "portMirroring: '%s' is no hardware address of a NIC", mac ? mac : "");
		return false;
	}
	for (; *networks; networks++) {
		char *name = bridge(data, *networks, /* ret_tag= */ NULL, error);

		if (!name) {
			error_wrap(error, "portMirroring");
			return false;
		}
		g_ptr_array_add(bridges, name);
	}
	net_mirror_expected(env->agent->net, mac, bridges);
	return true;
}

static bool has_nic(struct vms *vms, const char *mac)
{
	GHashTableIter iter;
	gpointer vm;

	AUTO_LOCK(&vms->lock);
	g_hash_table_iter_init(&iter, vms->table);
	while (g_hash_table_iter_next(&iter, NULL, &vm)) {
		const struct domain_info *info = ((const struct vm *)vm)->info;

		for (guint i = 0; info && i < info->nics->len; i++)
			if (!g_strcmp0(((const struct domain_nic *)info->nics->pdata[i])->mac, mac))
				return true;
	}
	return false;
}

/* Of QEMU's range, which is locally administered. */
char *vm_new_mac(struct vms *vms)
{
	char *mac = NULL;

	do {
		guint32 number = g_random_int();

		g_free(mac);
		mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff);
	} while (has_nic(vms, mac));
	return mac;
}

static char *mac(void *data)
{
	const struct vm_xml_env *env = data;

	return vm_new_mac(env->agent->vms);
}

static char *node_device(void *data, const char *name, GError **error)
{
	const struct vm_xml_env *env = data;
	g_autoptr(virConnect) conn = libvirt_connection_get(env->agent->vms->connection, error);
	virNodeDevicePtr device = conn ? virNodeDeviceLookupByName(conn, name) : NULL;
	char *xml = device ? virNodeDeviceGetXMLDesc(device, 0) : NULL, *copy = g_strdup(xml);

	if (conn && !copy)
		error_set(error, ERR_HOSTDEV_DETACH_FAILED, "host device '%s': %s", name, virGetLastErrorMessage());
	free(xml);
	if (device)
		virNodeDeviceFree(device);
	return copy;
}

static bool usb_device(void *data, unsigned bus, unsigned device, GError **error)
{
	g_autofree char *path = g_strdup_printf("/dev/bus/usb/%03u/%03u", bus, device);

	if (access(path, F_OK) == 0)
		return true;
	error_set_errno(error, ERR_HOSTDEV_DETACH_FAILED, errno, "host device: USB bus %u, device %u", bus, device);
	return false;
}

static void random_password(char out[VNC_PASSWORD_MAX + 1])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	unsigned char bytes[VNC_PASSWORD_MAX];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)g_random_int();
	for (size_t i = 0; i < sizeof(bytes); i++)
		out[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	out[VNC_PASSWORD_MAX] = '\0';
}

/* "0-3"; NULL when the kernel does not say */
static const char *online(const char *what)
{
	g_autofree char *path = g_strdup_printf("/sys/devices/system/%s/online", what), *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? g_intern_string(g_strstrip(text)) : NULL;
}

static const char *os_info(const char *key)
{
	g_autofree char *text = g_get_os_info(key);

	return text ? g_intern_string(text) : NULL;
}

void vm_xml_env(struct agent *agent, const char *vm_id, struct vm_xml_env *ret_env)
{
	*ret_env = (struct vm_xml_env){
		.agent = agent,
		.env = {
			.vm_id = ret_env->vm_id, .kvm = host_has_kvm(agent->host), .no_kvm = host_acceleration_reason(agent->host),
			.host_uuid = host_uuid(agent->host), .os_name = os_info(G_OS_INFO_KEY_NAME), .os_version = os_info(G_OS_INFO_KEY_VERSION_ID),
			.host_cpus = online("cpu"), .host_nodes = online("node"), .start_time = (double)wall_msec() / 1e3,
			.display_address = config_string(agent->config, "vm", "display_address"), .password = ret_env->password,
			.files_dir = agent->vms->files_dir, .nvram_dir = agent->vms->nvram_dir, .prepare = prepare, .prepared = prepared, .lease = lease,
			.holds_leases = holds_leases, .bridge = bridge, .link = link_below, .address = address, .filter = filter, .port = port, .mirror = mirror, .mac = mac,
			.node_device = node_device, .usb_device = usb_device, .data = ret_env,
		},
	};
	g_strlcpy(ret_env->vm_id, vm_id, sizeof(ret_env->vm_id));
	random_password(ret_env->password);
}
