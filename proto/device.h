/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_PROTO_DEVICE_H
#define BERTH_PROTO_DEVICE_H
/* Parameters and results of the verbs that change a running VM: its devices, its limits, its console. Wire names are vdsm's. */
#include "common/record.h"
#include "proto/vm.h"

/* ---- plugging ---- */

/* Either xml or the member of the verb's kind. */
struct plug {
	struct record record;
	char *vm_id, *xml;
	struct vm_device *nic, *drive, *memory;
	int64_t mem_guaranteed;                              /* MiB */
};
extern const struct record_type plug_type;
struct plug_params { struct record record; char *vm_id; struct plug *params; };
extern const struct record_type plug_params_type;

struct lease_params { struct record record; char *vm_id; struct vm_device *lease; };
extern const struct record_type lease_params_type;

struct hostdev_params { struct record record; char *vm_id; GPtrArray *devices; };                       /* texts */
extern const struct record_type hostdev_params_type;

/* ---- changing ---- */

struct vcpus_params { struct record record; char *vm_id; int number; GPtrArray *cpusets; };             /* texts */
extern const struct record_type vcpus_params_type;

struct media_params { struct record record; char *vm_id; json_t *drive; };                               /* changeCD, changeFloppy */
extern const struct record_type media_params_type;
struct drive_params { struct record record; char *vm_id; json_t *drive; };                               /* refresh_disk, getDiskAlignment */
extern const struct record_type drive_params_type, disk_params_type;
struct resize_params { struct record record; char *vm_id; json_t *drive; int64_t size; };
extern const struct record_type resize_params_type;

struct device_update {
	struct record record;
	char *device_type, *alias, *xml;
	/* interface */
	char *network;
	bool link_active;
	GPtrArray *port_mirroring;                           /* texts */
	json_t *custom, *spec_params, *policies;
	int mtu;
	/* graphics */
	char *graphics_type, *password, *existing_conn_action, *disconnect_action;
	int ttl;
	json_t *params;
};
extern const struct record_type device_update_type;
struct device_update_params { struct record record; char *vm_id; struct device_update *params; };
extern const struct record_type device_update_params_type;

/* ---- limits ---- */

/* Bytes and operations a second; 0: no limit. In the order of the table of tune.c. */
struct io_limits { struct record record; int64_t total_bytes, read_bytes, write_bytes, total_iops, read_iops, write_iops; };
extern const struct record_type io_limits_type;
struct io_tune { struct record record; char *name, *path; struct io_limits *limits; };
extern const struct record_type io_tune_type;
struct io_tune_params { struct record record; char *vm_id; GPtrArray *tunables; };                       /* struct io_tune */
extern const struct record_type io_tune_params_type;

/* One disk of a policy; the ids say which, or name, or path. */
struct io_policy { struct record record; char *name, *path, *pool_id, *domain_id, *image_id, *volume_id; struct io_limits *maximum, *guaranteed; };
extern const struct record_type io_policy_type;
struct vm_policy { struct record record; char *vm_id; int vcpu_limit; GPtrArray *io; };                  /* struct io_policy */
extern const struct record_type vm_policy_type;
struct vm_policy_params { struct record record; char *vm_id; struct vm_policy *params; };
extern const struct record_type vm_policy_params_type;

struct cpu_tune_params { struct record record; char *vm_id; int64_t value; };                            /* period, quota */
extern const struct record_type cpu_period_params_type, cpu_quota_params_type;
struct balloon_params { struct record record; char *vm_id; int64_t target; };
extern const struct record_type balloon_params_type;

/* ---- console ---- */

struct screenshot_params { struct record record; char *vm_id; int width, height; };
extern const struct record_type screenshot_params_type;

struct mouse_input { struct record record; int x, y, wheel; GPtrArray *press, *release, *click; };       /* names of buttons */
extern const struct record_type mouse_input_type;
struct input_params { struct record record; char *vm_id, *text, *layout; GPtrArray *keys; json_t *scancodes; struct mouse_input *mouse; int hold; };
extern const struct record_type input_params_type;

/* ---- dirty rate ---- */

extern const char *const dirty_rate_modes[];
enum dirty_rate_mode { DIRTY_RATE_PAGES, DIRTY_RATE_BITMAP, DIRTY_RATE_RING };
struct dirty_rate_params { struct record record; char *vm_id; int seconds, mode; };
extern const struct record_type dirty_rate_params_type;
struct dirty_rate { struct record record; char *status; int mode, period; int64_t start_time, rate; json_t *vcpus; };     /* MiB/s */
extern const struct record_type dirty_rate_type;

#endif
