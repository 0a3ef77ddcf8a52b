/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both forms -> domain XML. Parameter form: domain_cpu.c, domain_memory.c, domain_os.c, device.c; the other: domain_adapt.c.
 *
 * Choices where the caller leaves them open: q35; UTC clock; the CPU libvirt's default for the accelerator; a console (VNC), a balloon, the guest agent's
 * channel, a crash and a generation device; spare PCIe ports to plug into.
 */
#define LOG_MODULE "virt"
#include "agent/virt/domain/domain_xml.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "agent/storage/storage.h"
#include "agent/virt/change/tune.h"
#include "agent/virt/vm_metadata.h"
#include "common/xml.h"
#include "common/error.h"
#include "common/log.h"

void domain_order_free(void *data)
{
	struct domain_order *order = data;

	if (!order)
		return;
	g_free(order->path);
	g_free(order->label);
	json_decref(order->files);
	g_free(order->mdev_type);
	g_free(order->mdev_uuid);
	g_free(order);
}

bool domain_xml_check_file(const char *path, const char *purpose, bool *ret_block, GError **error)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		error_set_errno(error, ERR_IMAGE_FILE_NOT_FOUND, errno, "%s '%s'", purpose, path);
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		error_set(error, ERR_IMAGE_FILE_NOT_FOUND, "%s '%s' is a directory", purpose, path);
		return false;
	}
	if (!storage_check_path(path, error)) {
		error_wrap(error, "%s", purpose);
		return false;
	}
	if (ret_block)
		*ret_block = S_ISBLK(st.st_mode);
	return true;
}

static bool is_block(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

bool domain_xml_prepare(const struct domain_xml_env *env, json_t *drive, char **ret_path, const char **ret_format, GError **error)
{
	const char *domain = json_string_value(json_object_get(drive, "domainID")), *image = json_string_value(json_object_get(drive, "imageID"));
	const char *volume = json_string_value(json_object_get(drive, "volumeID")), *changed_path, *changed_format;
	g_autofree char *path = NULL;
	const char *format = NULL;
	json_t *changed = NULL;

	if (!env->prepare(env->data, domain, image, volume, &path, &format, error))
		return false;
	json_object_set_new(drive, "path", json_string(path));
	json_object_set_new(drive, "format", json_string(strcmp(format, "raw") ? "cow" : "raw"));
	json_object_set_new(drive, "diskType", json_string(is_block(path) ? "block" : "file"));
	if (env->prepared && !env->prepared(env->data, drive, &changed, error))
		return false;
	changed_path = json_string_value(json_object_get(changed, "path"));
	changed_format = json_string_value(json_object_get(changed, "format"));
	*ret_path = changed_path ? g_strdup(changed_path) : g_steal_pointer(&path);
	*ret_format = !changed_format ? format : strcmp(changed_format, "raw") ? "qcow2" : "raw";
	json_decref(changed);
	return true;
}

void domain_xml_ticket(xmlNode *graphics, const char *password, int ttl, const struct domain_xml_env *env)
{
	const char *given = password ? password : env->password;
	g_autofree char *cut = xml_is(graphics, "type", "vnc") ? g_strndup(given, VNC_PASSWORD_MAX) : g_strdup(given);
	time_t until = password ? (time_t)env->start_time + ttl : 1;
	struct tm utc;
	char text[32];

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&until, &utc));
	xml_set(graphics, "passwd", cut);
	xml_set(graphics, "passwdValidTo", text);
}

json_t *domain_json_texts(const json_t *json)
{
	const char *name;
	json_t *value, *copy;
	size_t i;

	if (json_is_object(json)) {
		copy = json_object();
		json_object_foreach((json_t *)json, name, value)
			json_object_set_new(copy, name, domain_json_texts(value));
		return copy;
	}
	if (json_is_array(json)) {
		copy = json_array();
		json_array_foreach((json_t *)json, i, value)
			json_array_append_new(copy, domain_json_texts(value));
		return copy;
	}
	if (json_is_integer(json))
		return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(json));
	if (json_is_real(json))
		return json_sprintf("%.17g", json_real_value(json));
	if (json_is_boolean(json))
		return json_string(json_is_true(json) ? "true" : "false");
	return json ? json_incref((json_t *)json) : NULL;
}

/* A path inside the image: relative, without "..". */
static bool check_payload_file(const char *path, const char *content, GError **error)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);

	for (char **name = names; *name; name++)
		if (!**name || !strcmp(*name, ".") || !strcmp(*name, "..") || strlen(*name) > 200) {
			error_set(error, ERR_INVALID_PARAMETER, "payload: file '%s' is not a path inside an image", path);
			return false;
		}
	if (!content || strspn(content, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n\t ") != strlen(content)) {
		error_set(error, ERR_INVALID_PARAMETER, "payload: the content of file '%s' is not base64", path);
		return false;
	}
	return true;
}

char *domain_xml_payload(const char *target, bool floppy, const char *label, const json_t *files, const struct domain_xml_env *env, GError **error)
{
	struct domain_order *order;
	const char *path;
	json_t *content;

	if (!env->orders || !json_is_object(files)) {
		error_set(error, ERR_INVALID_PARAMETER, env->orders ? "payload: it has no files" : "payload: a running VM gets none");
		return NULL;
	}
	json_object_foreach((json_t *)files, path, content)
		if (!check_payload_file(path, json_string_value(content), error))
			return NULL;
	if (label && (!*label || strlen(label) > (floppy ? 11 : 32) || strpbrk(label, "\"*/:<>?\\|\n"))) {
		error_set(error, ERR_INVALID_PARAMETER, "payload: volId '%s' is not a label of a %s", label,
			  floppy ? "floppy (1 to 11 characters)" : "CD (1 to 32 characters)");
		return NULL;
	}
	order = g_new0(struct domain_order, 1);
	order->kind = ORDER_PAYLOAD;
	order->path = g_strdup_printf("%s/%s.%s.img", env->files_dir, env->vm_id, target);
	order->floppy = floppy;
	order->label = g_strdup(label);
	order->files = json_incref((json_t *)files);
	g_ptr_array_add(env->orders, order);
	return g_strdup(order->path);
}

static bool wants_software(const struct vm_params *p)
{
	return p->accelerator == VM_ACCELERATOR_TCG || (p->kvm_enable && !g_ascii_strcasecmp(p->kvm_enable, "false"));
}

bool domain_xml_falls_back(const struct vm_params *p, const struct domain_xml_env *env)
{
	return !env->kvm && p->accelerator != VM_ACCELERATOR_KVM && !wants_software(p);
}

const char *domain_xml_accelerator(const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	if (p->accelerator == VM_ACCELERATOR_KVM && !env->kvm) {
		error_set(error, ERR_CANNOT_CREATE_VM, "accelerator 'kvm' is not usable on this host: %s", env->no_kvm ? env->no_kvm : "no reason known");
		return NULL;
	}
	return env->kvm && !wants_software(p) ? "kvm" : "qemu";
}

const char *domain_xml_machine(const char *given)
{
	if (!strstr(given, "rhel"))
		return given;
	return strstr(given, "q35") ? "q35" : "pc";
}

void domain_xml_generation(xmlNode *domain, const struct vm_params *p, const struct domain_xml_env *env)
{
	xmlNode *id = xml_child(domain, "genid");
	g_autofree char *there = xml_text(id);

	if (!p->generation_id && there && *there)
		return;
	xml_remove(id);
	xml_add_text(domain, "genid", p->generation_id ? p->generation_id : env->vm_id);
}

/* ---- NICs that came without an address: libvirt would make one up, too late for what is kept of a NIC by its address (custom properties) ---- */

static bool is_given(const GPtrArray *devices, const char *mac)
{
	for (guint i = 0; i < devices->len; i++) {
		const char *given = ((const struct vm_device *)devices->pdata[i])->mac_addr;

		if (given && !g_ascii_strcasecmp(given, mac))
			return true;
	}
	return false;
}

static void give_addresses(const GPtrArray *devices, const struct domain_xml_env *env)
{
	for (guint i = 0; devices && env->mac && i < devices->len; i++) {
		struct vm_device *device = devices->pdata[i];
		g_autofree char *mac = NULL;

		if (g_strcmp0(device->type, "interface") || (device->mac_addr && *device->mac_addr))
			continue;
		do {
			g_free(mac);
			mac = env->mac(env->data);
		} while (is_given(devices, mac));
		device->mac_addr = g_steal_pointer(&mac);
	}
}

/* given: as it came; p: with the defaults. */
static bool from_parameters(xmlNode *domain, const struct vm_params *given, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	const char *name = p->vm_name ? p->vm_name : env->vm_id, *type = domain_xml_accelerator(p, env, error);
	xmlNode *metadata;

	if (!type)
		return false;
	give_addresses(p->devices, env);
	if (strpbrk(name, "/\n\r")) {
		error_set(error, ERR_INVALID_PARAMETER, "vmName: '%s' has a character that a name cannot have", name);
		return false;
	}
	xml_set(domain, "type", type);
	xml_add_text(domain, "name", name);
	xml_add_text(domain, "uuid", env->vm_id);
	domain_xml_generation(domain, p, env);
	metadata = vm_metadata_make(domain);
	vm_metadata_write(metadata, given, env->start_time);
	if (HAS(given, vcpu_limit))
		tune_add_limit(metadata->parent, given->vcpu_limit);
	return domain_xml_memory(domain, metadata, p, error) && domain_xml_cpus(domain, p, env, error) && domain_xml_os(domain, p, env, error) &&
	       domain_xml_devices(domain, metadata, p, env, error);
}

static bool from_xml(xmlNode *domain, const struct vm_params *given, const struct vm_params *p, const struct domain_xml_env *env, GError **error)
{
	g_autofree char *uuid = xml_text(xml_child(domain, "uuid"));

	if (strcmp((const char *)domain->name, "domain")) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: the root element is '%s', not 'domain'", domain->name);
		return false;
	}
	if (uuid && g_ascii_strcasecmp(uuid, env->vm_id)) {
		error_set(error, ERR_INVALID_PARAMETER, "xml: uuid is '%s', not vmID '%s'", uuid, env->vm_id);
		return false;
	}
	if (!uuid)
		xml_add_text(domain, "uuid", env->vm_id);
	if (!xml_child(domain, "name"))
		xml_add_text(domain, "name", p->vm_name ? p->vm_name : env->vm_id);
	vm_metadata_write(vm_metadata_make(domain), given, env->start_time);
	return domain_xml_adapt(domain, p, env, error);
}

char *domain_xml_build(const struct vm_params *params, const struct domain_xml_env *env, GError **error)
{
	g_autoptr(xmlDoc) doc = NULL;
	g_autoptr(GError) cause = NULL;
	struct vm_params *p = record_copy(params);
	char *text = NULL;
	bool good = false;

	record_defaults(p, 0);
	if (p->xml) {
		doc = xml_parse(p->xml, strlen(p->xml), &cause);
		if (doc)
			good = from_xml(xmlDocGetRootElement(doc), params, p, env, error);
		else
			error_set(error, ERR_INVALID_PARAMETER, "xml: %s", cause->message);
	} else {
		doc = xmlNewDoc((const xmlChar *)"1.0");
		xmlDocSetRootElement(doc, xmlNewNode(NULL, (const xmlChar *)"domain"));
		good = from_parameters(xmlDocGetRootElement(doc), params, p, env, error);
	}
	if (good)
		text = xml_to_text(xmlDocGetRootElement(doc));
	record_unref(p);
	return text;
}
