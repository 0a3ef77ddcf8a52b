/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_MISC_H
#define BERTH_ENGINE_MODEL_MISC_H
/* Small records that several nouns share, and the kinds without a page of their own: CPU profiles, flows. */
#include "common/record.h"

#define BLANK_ID "00000000-0000-0000-0000-000000000000"      /* template Blank, the CD drive of every VM */

/* <version major="3" minor="6"/> in supported_versions */
struct version { struct record record; int major, minor; };
extern const struct record_type version_type;
/* Compatibility levels that this engine knows, oldest first; ends with major 0. */
struct level { int major, minor; };
extern const struct level levels[];
#define LEVEL_MAJOR 3
#define LEVEL_MINOR 6
bool level_known(int major, int minor);
int level_compare(const struct level *a, const struct level *b);
/* Replaces *list by the known levels above from and up to limit (NULL: the newest). An empty list is present: <supported_versions/> */
void level_list(GPtrArray **list, struct level from, const struct level *limit);

/*
 * An item of a list of references: <storage_domain id=""/>. The row of the list names the collection in .target; whoever takes the input replaces
 * a name by the id; the store checks that the object exists and keeps it from being removed.
 */
struct object_ref { struct record record; char *id, *name; };
extern const struct record_type object_ref_type;

/* <option name="" value="" type=""/>; <custom_property name="" value=""/> */
struct option_item { struct record record; char *name, *value, *type; };
extern const struct record_type option_item_type;

/* <ip address="" netmask="" gateway=""/> */
struct ip { struct record record; char *address, *netmask, *gateway; };
extern const struct record_type ip_type;

enum external_state { EXTERNAL_OK, EXTERNAL_INFO, EXTERNAL_WARNING, EXTERNAL_ERROR, EXTERNAL_FAILURE, EXTERNAL_STATE_MAX };
extern const char *const external_state_names[];

struct cpu_profile {
	struct record record;
	char *id, *name, *description;
	struct ref qos;
	struct ref cluster;
};
extern const struct record_type cpu_profile_type;

enum flow_state { FLOW_RUNNING, FLOW_UNDOING, FLOW_STATE_MAX };
extern const char *const flow_state_names[];
#define FLOW_MIGRATE_VM "migrate_vm"         /* name of those that move VMs */
/* A change of many steps that is under way (engine/flow). Never shown to clients. */
struct flow_record {
	struct record record;
	char *id, *name;                     /* name: type of the flow, "start_vm" */
	char *object_id;
	int step;                            /* the next to run; while undoing: the next to undo is step - 1 */
	int state;
	json_t *data;
	int64_t started;
	char *user_id, *user_name, *correlation_id;
	char *waits_for;                     /* id of the host that must be up before it goes on */
};
extern const struct record_type flow_record_type;

#endif
