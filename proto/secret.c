/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/secret.h"
#include "proto/storage.h"
#include "proto/verb.h"

#define IN CREATE
#define NEED (CREATE | REQUIRED)
#define D struct secret

static const struct field secret_fields[] = {
	FIELD_UUID_(D, uuid, "uuid", NEED, "id of the secret, which disks name"),
	FIELD_STRING_(D, usage_type, "usageType", NEED, "ceph, volume or iscsi"),
	FIELD_STRING_(D, usage_id, "usageID", NEED, "what it is for; no two secrets of a type share one", .min = 1, .max = 200),
	FIELD_STRING_(D, password, "password", NEED | SECRET, "the secret in base64"),
	FIELD_STRING_(D, description, "description", IN, "for people"),
};
const struct record_type secret_type = RECORD_TYPE("secret", NULL, D, secret_fields, "A secret that libvirt keeps for QEMU");
#undef D

#define D struct secrets_params
static const struct field register_fields[] = {
	FIELD_LIST_(D, secrets, "secrets", NEED, &secret_type, "secrets"),
	FIELD_BOOL_(D, clear, "clear", IN, "forget all others first", .def = "false"),
};
const struct record_type secrets_register_params_type = RECORD_TYPE("Host.registerSecrets", NULL, D, register_fields, "Secrets to keep");
static const struct field unregister_fields[] = { FIELD_STRINGS_(D, uuids, "uuids", NEED, "ids") };
const struct record_type secrets_unregister_params_type = RECORD_TYPE("Host.unregisterSecrets", NULL, D, unregister_fields, "Secrets to forget");
#undef D

#define D struct managed_params
static const struct field attach_fields[] = {
	FIELD_UUID_(D, volume_id, "vol_id", NEED, "volume"),
	FIELD_JSON_(D, connection, "connection_info", NEED, "{driver_volume_type, data}; of type \"local\": data.device_path, a block device of this host"),
	FIELD_UUID_(D, domain_id, "sd_id", IN, "managed domain", .def = BLANK_UUID),
};
const struct record_type managed_attach_params_type = RECORD_TYPE("ManagedVolume.attach_volume", NULL, D, attach_fields, "A volume and how to reach it");
static const struct field detach_fields[] = {
	FIELD_UUID_(D, volume_id, "vol_id", NEED, "volume"),
	FIELD_UUID_(D, domain_id, "sd_id", IN, "managed domain", .def = BLANK_UUID),
};
const struct record_type managed_detach_params_type = RECORD_TYPE("ManagedVolume.detach_volume", NULL, D, detach_fields, "A volume");
static const struct field info_fields[] = { FIELD_STRINGS_(D, volumes, "vol_ids", IN, "only these; all when absent or empty") };
const struct record_type managed_info_params_type = RECORD_TYPE("ManagedVolume.volumes_info", NULL, D, info_fields, "Which volumes");
#undef D

const struct verb secret_verbs[] = {
	{ .name = "Host.registerSecrets", .params = &secrets_register_params_type, .lane = VERB_REMOTE, .changes = true,
	  .doc = "Has libvirt keep secrets, in memory only, that disks of VMs name; one that is there is replaced", .returns = "true", .errors = "73 91" },
	{ .name = "Host.unregisterSecrets", .params = &secrets_unregister_params_type, .lane = VERB_REMOTE, .changes = true,
	  .doc = "Has libvirt forget secrets; one that is not there: fine", .returns = "true", .errors = "74" },
	{ .name = "ManagedVolume.attach_volume", .params = &managed_attach_params_type, .kind = RESULT_JSON, .lane = VERB_REMOTE, .lane_key = "vol_id",
	  .changes = true, .doc = "Makes a volume of another provider usable on this host: a block device that is there; those that need os-brick are refused",
	  .returns = "{vol_id, path, attachment}", .errors = "925 927 928 929" },
	{ .name = "ManagedVolume.detach_volume", .params = &managed_detach_params_type, .lane = VERB_REMOTE, .lane_key = "vol_id", .changes = true,
	  .doc = "Ends that; one that is not attached: fine", .returns = "true" },
	{ .name = "ManagedVolume.volumes_info", .params = &managed_info_params_type, .kind = RESULT_JSON, .lane = VERB_ANY,
	  .doc = "The volumes of other providers that are attached", .returns = "[{vol_id, path, attachment, connection_info, exists}]" },
};
const size_t n_secret_verbs = G_N_ELEMENTS(secret_verbs);
