/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DOMAIN_XML_H
#define BERTH_AGENT_VIRT_DOMAIN_XML_H
/*
 * From VM.create's parameters to libvirt's domain XML. Pure: what it must ask of the host goes through the functions of domain_xml_env.
 */
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "proto/vm.h"

struct domain_xml_env {
	bool kvm;                        /* what VMs of this host run on */
	const char *host_uuid;
	const char *display_address;     /* consoles listen there */
	const char *password;            /* of consoles that were given none; expired from the start */
	double start_time;               /* epoch, seconds */
	/* ids -> path and format; errors of storage */
	bool (*prepare)(void *data, const char *domain, const char *image, const char *volume, char **ret_path, const char **ret_format, GError **error);
	/* network -> bridge, g_free */
	char *(*bridge)(void *data, const char *network, GError **error);
	void *data;
};

/* The XML (g_free), with our metadata; of params->xml when there is one, else of the other parameters. */
char *domain_xml_build(const char *vm_id, const struct vm_params *params, const struct domain_xml_env *env, GError **error);

/* ---- parts (domain_devices.c, domain_adapt.c) ---- */
bool domain_xml_devices(xmlNode *domain, xmlNode *metadata, const struct vm_params *params, const struct domain_xml_env *env, GError **error);
/* A domain that came as XML: fitted to this host. */
bool domain_xml_adapt(xmlNode *domain, const struct vm_params *params, const struct domain_xml_env *env, GError **error);
/* The guest agent's channel, when it is not there. */
void domain_xml_agent_channel(xmlNode *devices);
/* passwd and passwdValidTo; password NULL: env->password, already expired. */
void domain_xml_ticket(xmlNode *graphics, const char *password, int ttl, const struct domain_xml_env *env);
/* The file is there: else ERR_IMAGE_FILE_NOT_FOUND with what it is for. ret_block may be NULL. */
bool domain_xml_check_file(const char *path, const char *purpose, bool *ret_block, GError **error);
#define VNC_PASSWORD_MAX 8               /* the protocol's; libvirt refuses longer ones */
#define AGENT_CHANNEL "org.qemu.guest_agent.0"

#endif
