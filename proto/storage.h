/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_STORAGE_H
#define BERTH_PROTO_STORAGE_H
/* What agent and engine both know of storage: connections, domains, volumes, tasks. Wire names are vdsm's. */
#include "common/record.h"

/* domainType / storage type codes of the channel */
enum storage_wire_type { STORAGE_UNKNOWN, STORAGE_NFS, STORAGE_FCP, STORAGE_ISCSI, STORAGE_LOCALFS, STORAGE_CIFS, STORAGE_POSIXFS, STORAGE_GLUSTERFS };
/* domainClass codes */
enum storage_wire_class { STORAGE_CLASS_UNKNOWN, STORAGE_CLASS_DATA, STORAGE_CLASS_ISO, STORAGE_CLASS_BACKUP };
/* volFormat, preallocate codes */
enum volume_wire_format { VOLUME_COW = 4, VOLUME_RAW = 5 };
enum volume_wire_allocation { VOLUME_PREALLOCATED = 1, VOLUME_SPARSE = 2 };
#define BLANK_UUID "00000000-0000-0000-0000-000000000000"

struct connection_params { struct record record; char *pool_id; int domain_type; json_t *connections; };
extern const struct record_type connection_params_type;
struct connection_ref { struct record record; char *id, *connection, *user, *password, *iqn, *portal, *port, *vfs_type, *mnt_options, *protocol_version,
	*timeo, *retrans, *tpgt, *initiator; };
extern const struct record_type connection_ref_type;

struct domain_create_params { struct record record; char *domain_id, *type_args, *name; int domain_type, domain_class, version, block_size, max_hosts; };
extern const struct record_type domain_create_params_type;
struct domain_pool_params { struct record record; char *domain_id, *pool_id, *master_id; int master_version; bool force; };
extern const struct record_type domain_attach_params_type, domain_deactivate_params_type, domain_detach_params_type;
struct domain_id_params { struct record record; char *domain_id; bool auto_detach; };
extern const struct record_type domain_id_params_type, domain_format_params_type;

struct domain_info {
	struct record record;
	char *uuid, *type, *class_, *name, *role, *remote_path, *version, *master_ver, *lver, *spm_id, *metadata_device, *vg_uuid, *state;
	GPtrArray *pool;
	int block_size, alignment;
};
extern const struct record_type domain_info_type;
struct domain_stats { struct record record; int64_t disk_total, disk_free; char *md_valid, *md_threshold, *md_size, *md_free; json_t *alerts; };
extern const struct record_type domain_stats_type;

struct volume_params {
	struct record record;
	char *volume_id, *pool_id, *domain_id, *image_id, *desc, *src_image, *src_volume, *disk_type, *bitmap, *size, *initial_size;
	int format, preallocate, sequence; bool legal, add_bitmaps, post_zero, force, discard, allow_illegal;
};
extern const struct record_type volume_create_params_type, volume_delete_params_type, volume_id_params_type, image_prepare_params_type,
	image_teardown_params_type;

struct volume_info {
	struct record record;
	char *uuid, *pool, *domain, *image, *parent, *format, *type, *vol_type, *disk_type, *description, *legality, *status;
	int64_t capacity, truesize, apparentsize, ctime; int generation, sequence; json_t *children, *lease;
};
extern const struct record_type volume_info_type;
struct volume_size { struct record record; int64_t truesize, apparentsize; };
extern const struct record_type volume_size_type;

struct task_id_params { struct record record; char *task_id; };
extern const struct record_type task_id_params_type;
struct task_status { struct record record; char *task_id, *state, *result, *message; int code; };
extern const struct record_type task_status_type;

#endif
