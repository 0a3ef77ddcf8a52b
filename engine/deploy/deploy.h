/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DEPLOY_H
#define BERTH_ENGINE_DEPLOY_H
/*
 * The agent's way onto a host, over SSH: see deploy.c. Worker threads; each call ends within [deploy] timeout.
 * Nothing of this engine is changed but its SSH key, made at first use. Errors (ERR_OPERATION_FAILED) say what was being done and why it failed.
 */
#include <stdbool.h>
#include "common/config.h"

struct deploy_target {
	const struct config *config;
	const char *data_dir, *engine_id;
	const char *name, *address;          /* of the host; its certificate has both */
	int ssh_port, agent_port;
	const char *user;
	const char *password;                /* NULL: the engine's key */
	const char *fingerprint;             /* NULL: any */
	void (*told)(void *data, const char *text);       /* how far it is: a sentence without its full stop */
	void *data;
};

/*
 * The host has the agent of [deploy] package, a new key with a certificate of [agent] ca_dir, and the agent runs. Any state that an earlier try left is fine.
 * ret_fingerprint: of the SSH server's key; g_free.
 */
bool deploy_agent(const struct deploy_target *target, char **ret_fingerprint, GError **error);
/* It has that package, and it runs. */
bool deploy_upgrade(const struct deploy_target *target, char **ret_fingerprint, GError **error);
/* A rhev-h host has begun to install itself from the image and reboots. */
bool deploy_image(const struct deploy_target *target, const char *image, char **ret_fingerprint, GError **error);

/* May this file be given to hosts: is it an .iso below [deploy] image_dir? ERR_OPERATION_FAILED names it. */
bool deploy_image_check(const struct config *config, const char *image, GError **error);

/* The SSH key is made when hosts are installed by this engine: an administrator may give it to hosts before. */
bool deploy_prepare(const struct config *config, const char *data_dir, const char *engine_id, GError **error);

#endif
