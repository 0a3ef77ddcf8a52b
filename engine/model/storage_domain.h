/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_STORAGE_DOMAIN_H
#define BERTH_ENGINE_MODEL_STORAGE_DOMAIN_H
/*
 * Storage domains (REST chapter 12) and their attachment to a data center (9.5.1): one record for both, a domain is in at most one data center.
 * Its id is the domain's UUID on the storage.
 */
#include "common/record.h"

enum storage_domain_state {
	DOMAIN_ACTIVE, DOMAIN_INACTIVE, DOMAIN_LOCKED, DOMAIN_MIXED, DOMAIN_UNATTACHED, DOMAIN_MAINTENANCE, DOMAIN_PREPARING_FOR_MAINTENANCE,
	DOMAIN_DETACHING, DOMAIN_ACTIVATING, DOMAIN_UNKNOWN, DOMAIN_STATE_MAX
};
extern const char *const storage_domain_state_names[];
enum storage_domain_flavor { DOMAIN_DATA, DOMAIN_ISO, DOMAIN_EXPORT, DOMAIN_IMAGE, DOMAIN_FLAVOR_MAX };
extern const char *const storage_domain_flavor_names[];
enum storage_type { STORAGE_NFS, STORAGE_POSIXFS, STORAGE_ISCSI, STORAGE_FCP, STORAGE_LOCALFS, STORAGE_GLUSTERFS, STORAGE_GLANCE, STORAGE_TYPE_MAX };
extern const char *const storage_type_names[];

struct storage_domain {
	struct record record;
	char *id, *name, *description, *comment;
	int type;                            /* enum storage_domain_flavor */
	int state;                           /* enum storage_domain_state */
	char *state_detail;
	int external_state;
	bool master;
	struct ref data_center;              /* attached to; shown below the data center only */
	struct ref host;                     /* that made it; may be gone by now */
	char *storage_id;                    /* of a storage connection */
	int storage_type;                    /* enum storage_type */
	char *address, *path, *vfs_type, *mount_options, *nfs_version;         /* as its connection has them */
	int nfs_timeo, nfs_retrans;
	char *volume_group;                  /* iscsi, fcp: its id, LVM's */
	GPtrArray *logical_units;            /* struct logical_unit: what it lies on */
	bool override_luns;                  /* INPUT_ONLY */
	int64_t available, used, committed;  /* bytes; last known */
	int storage_format;                  /* enum storage_format */
	bool wipe_after_delete;
	int warning_low_space_indicator;     /* percent */
	int critical_space_action_blocker;   /* GB */
	bool import;                         /* INPUT_ONLY */
	GPtrArray *data_centers;             /* struct object_ref: the one of data_center, as a list; shown elsewhere than below it */
	/* INTERNAL */
	struct ref local_host;               /* localfs: the one host that sees it */
	struct ref provider;                 /* image: the service that it stands for; it goes with that */
	GPtrArray *connections;              /* struct object_ref: storage connections by which it is reached */
};
extern const struct record_type storage_domain_type;
/* The same rows for POST in /datacenters/{}/storagedomains: a domain named by id or name. */
extern const struct record_type attached_domain_type;

/* It lies in a volume group on LUNs, not in files. */
static inline bool storage_type_is_block(int type)
{
	return type == STORAGE_ISCSI || type == STORAGE_FCP;
}

/* units: of struct logical_unit */
static inline void storage_domain_set_group(struct storage_domain *domain, const char *group, GPtrArray *units)
{
	set_string(&domain->volume_group, group);
	CLEAR(domain, logical_units);
	domain->logical_units = g_ptr_array_ref(units);
}

static inline void storage_domain_set_sizes(struct storage_domain *domain, int64_t total, int64_t available)
{
	SET(domain, available, available);
	SET(domain, used, total - available);
}

#endif
