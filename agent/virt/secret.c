/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that libvirt keeps for QEMU: keys of Ceph, passwords of iSCSI. They are ephemeral and private: libvirt holds them in memory and gives them to nobody
 * but QEMU, so the engine registers them again when libvirt was started anew. Ours are those whose usage begins with "ovirt/"; others are not touched.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <string.h>
#include "agent/virt/libvirt_connection.h"
#include "agent/virt/vm.h"
#include "agent/virt/vms.h"
#include "common/xml.h"
#include "common/log.h"
#include "proto/secret.h"

#define NAMESPACE "ovirt/"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSecret, virSecretFree)

/* Its element in <usage>; NULL: not a type that libvirt has for disks. */
static const char *element_of(const char *type)
{
	return !strcmp(type, "ceph") ? "name" : !strcmp(type, "volume") ? "volume" : !strcmp(type, "iscsi") ? "target" : NULL;
}

static char *describe(const struct secret *secret)
{
	g_autofree char *usage = g_strconcat(g_str_has_prefix(secret->usage_id, NAMESPACE) ? "" : NAMESPACE, secret->usage_id, NULL);
	xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"secret"), *node;
	char *text;

	xmlDocSetRootElement(doc, root);
	xml_set(root, "ephemeral", "yes");
	xml_set(root, "private", "yes");
	xml_add_text(root, "uuid", secret->uuid);
	if (secret->description)
		xml_add_text(root, "description", secret->description);
	node = xml_add_with(root, "usage", "type", secret->usage_type, NULL);
	xml_add_text(node, element_of(secret->usage_type), usage);
	text = xml_to_text(root);
	xmlFreeDoc(doc);
	return text;
}

static bool keep(virConnectPtr conn, const struct secret *secret, const unsigned char *value, size_t size, GError **error)
{
	g_autofree char *xml = describe(secret);
	g_autoptr(virSecret) kept = virSecretDefineXML(conn, xml, 0);

	if (kept && virSecretSetValue(kept, value, size, 0) == 0)
		return true;
	libvirt_error_set(error, ERR_SECRET_REGISTRATION_FAILED, "secret '%s' for %s '%s'", secret->uuid, secret->usage_type, secret->usage_id);
	return false;
}

/* g_free; NULL + error */
static unsigned char *value_of(const struct secret *secret, size_t *ret_size, GError **error)
{
	unsigned char *value = NULL;

	if (!element_of(secret->usage_type))
		error_set(error, ERR_INVALID_PARAMETER, "secret '%s': usageType '%s' is neither ceph, volume nor iscsi", secret->uuid, secret->usage_type);
	else if (!(value = g_base64_decode(secret->password, ret_size)) || !*ret_size) {
		error_set(error, ERR_INVALID_PARAMETER, "secret '%s': password is not in base64, or empty", secret->uuid);
		g_clear_pointer(&value, g_free);
	}
	return value;
}

static void forget_all(virConnectPtr conn)
{
	virSecretPtr *all = NULL;
	int n = virConnectListAllSecrets(conn, &all, 0);

	for (int i = 0; i < n; i++) {
		g_autofree char *usage = g_strdup(virSecretGetUsageID(all[i]));

		if (usage && g_str_has_prefix(usage, NAMESPACE) && virSecretUndefine(all[i]) < 0)
			log_warn("secret for '%s' stays: %s, ignoring", usage, virGetLastErrorMessage());
		virSecretFree(all[i]);
	}
	free(all);
}

/* All are looked at before the first is kept. */
static bool register_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct secrets_params *p = data;
	g_autoptr(virConnect) conn = NULL;
	bool good = true;

	for (int pass = 0; pass < 2 && good; pass++) {
		if (pass && !(conn = libvirt_connection_get(agent->vms->connection, error)))
			return false;
		if (pass && p->clear)
			forget_all(conn);
		for (guint i = 0; good && p->secrets && i < p->secrets->len; i++) {
			size_t size = 0;
			unsigned char *value = value_of(p->secrets->pdata[i], &size, error);

			good = value && (!pass || keep(conn, p->secrets->pdata[i], value, size, error));
			if (value)
				explicit_bzero(value, size);
			g_free(value);
		}
	}
	return good;
}

static bool unregister_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct secrets_params *p = data;
	g_autoptr(virConnect) conn = libvirt_connection_get(agent->vms->connection, error);

	if (!conn)
		return false;
	for (guint i = 0; p->uuids && i < p->uuids->len; i++) {
		g_autoptr(virSecret) secret = virSecretLookupByUUIDString(conn, p->uuids->pdata[i]);

		if ((secret && virSecretUndefine(secret) == 0) || (!secret && libvirt_error_code() == VIR_ERR_NO_SECRET))
			continue;
		libvirt_error_set(error, ERR_SECRET_UNREGISTRATION_FAILED, "secret '%s'", (const char *)p->uuids->pdata[i]);
		return false;
	}
	return true;
}

const struct verb_binding secret_bindings[] = {
	{ "Host.registerSecrets", register_verb },
	{ "Host.unregisterSecrets", unregister_verb },
};
const size_t n_secret_bindings = G_N_ELEMENTS(secret_bindings);
