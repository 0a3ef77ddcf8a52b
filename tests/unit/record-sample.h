/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_RECORD_SAMPLE_H
#define BERTH_TESTS_RECORD_SAMPLE_H
/* A small world of records with every kind and every oddity of paths; for the tests, fuzzers and benchmarks of common/record*.c. */
#include "common/record.h"

enum sample_type { SAMPLE_DESKTOP, SAMPLE_SERVER };
static const char *const sample_types[] = { "desktop", "server", NULL };
static const char *const sample_usages[] = { "vm", "display", "migration", NULL };

struct boot { struct record record; char *dev; };
static const struct field boot_fields[] = {
	FIELD_STRING_(struct boot, dev, "@dev", CREATE | UPDATE | REQUIRED, "device: hd, cdrom, network"),
};
static const struct record_type boot_type = RECORD_TYPE("boot", NULL, struct boot, boot_fields, "A boot device");

/* An item that is a text with attributes, and that can hold its own kind. */
struct option { struct record record; char *name, *value; bool active; GPtrArray *options; };
static const struct record_type option_type;
static const struct field option_fields[] = {
	FIELD_STRING_(struct option, name,    "@name",   CREATE | UPDATE, "name"),
	FIELD_STRING_(struct option, value,   "",        CREATE | UPDATE, "value"),
	FIELD_BOOL_  (struct option, active,  "@active", READ_ONLY,       "in force"),
	FIELD_LIST_  (struct option, options, "option",  CREATE | UPDATE, &option_type, "options of the option"),
};
static const struct record_type option_type = RECORD_TYPE("option", NULL, struct option, option_fields, "An option");

/* A resource that appears as item of another. */
struct nic { struct record record; char *id, *name, *mac; bool linked; struct ref network; int rx; };
static const struct field nic_fields[] = {
	FIELD_UUID_  (struct nic, id,      "@id",          READ_ONLY,                  "id"),
	FIELD_STRING_(struct nic, name,    "name",         CREATE | UPDATE | REQUIRED | HEAD, "name"),
	FIELD_STRING_(struct nic, mac,     "mac@address",  CREATE | UPDATE,            "address", .pattern = "([0-9a-f]{2}:){5}[0-9a-f]{2}"),
	FIELD_BOOL_  (struct nic, linked,  "linked",       CREATE | UPDATE,            "cable in", .def = "true"),
	FIELD_REF_   (struct nic, network, "network",      CREATE | UPDATE,            "networks", "network"),
	FIELD_INT_   (struct nic, rx,      "rx",           READ_ONLY,                  "packets"),
};
static const struct record_type nic_type = RECORD_TYPE("nic", "nics", struct nic, nic_fields, "A network interface");

struct display { struct record record; int monitors; char *address; int type; };
static const struct field display_fields[] = {
	FIELD_INT_   (struct display, monitors, "monitors", CREATE | UPDATE, "screens", .min = 1, .max = 4, .def = "1"),
	FIELD_STRING_(struct display, address,  "address",  READ_ONLY,       "where"),
	FIELD_ENUM_  (struct display, type,     "type",     CREATE,          sample_types, "kind"),
};
static const struct record_type display_type = RECORD_TYPE("display", NULL, struct display, display_fields, "A display");

struct sample {
	struct record record;
	char *id, *name, *description, *serial, *password, *note, *status, *build, *secret_note;
	int sockets, cores, type, priority, cached;
	bool ksm, stateless, manager;
	int64_t memory, guaranteed, started, stopped;
	double load;
	struct ref cluster, host, template;
	GPtrArray *boot, *usages, *options, *nics, *features;
	struct display *display;
	json_t *custom;
	bool force;
	char *details;
	int delay, guest_load;
};
static const struct field sample_fields[] = {
	FIELD_UUID_   (struct sample, id,          "@id",                      READ_ONLY,                           "id"),
	FIELD_STRING_ (struct sample, name,        "name",                     CREATE | UPDATE | REQUIRED | SEARCH | HEAD, "name", .min = 1, .max = 40),
	FIELD_STRING_ (struct sample, description, "description",              CREATE | UPDATE | HEAD,              "text"),
	FIELD_STRING_ (struct sample, status,      "status/state",             READ_ONLY,                           "state"),
	FIELD_ENUM_   (struct sample, type,        "type",                     CREATE | UPDATE, sample_types,       "kind of VM", .def = "server"),
	FIELD_LONG_   (struct sample, memory,      "memory",                   CREATE | UPDATE | REQUIRED,          "memory", .unit = "bytes", .min = 1),
	FIELD_LONG_   (struct sample, guaranteed,  "memory_policy/guaranteed", CREATE | UPDATE | REQUIRED,          "guaranteed", .unit = "bytes"),
	FIELD_STRING_ (struct sample, build,       "cpu",                      CREATE | UPDATE,                     "text of an element with members"),
	FIELD_INT_    (struct sample, cores,       "cpu/topology@cores",       CREATE | UPDATE,                     "cores", .min = 1, .max = 64),
	FIELD_INT_    (struct sample, sockets,     "cpu/topology@sockets",     CREATE | UPDATE,                     "sockets", .min = 1, .max = 64),
	FIELD_STRING_ (struct sample, serial,      "cpu@id",                   CREATE,                              "attribute of an element opened before"),
	FIELD_LIST_   (struct sample, boot,        "os/boot",                  CREATE | UPDATE, &boot_type,         "boot order"),
	FIELD_BOOL_   (struct sample, manager,     "storage_manager",          CREATE | UPDATE,                     "text with attribute"),
	FIELD_INT_    (struct sample, priority,    "storage_manager@priority", CREATE | UPDATE,                     "attribute with text"),
	FIELD_BOOL_   (struct sample, ksm,         "ksm/enabled",              CREATE | UPDATE,                     "same page merging"),
	FIELD_BOOL_   (struct sample, ksm,         "ksm",                      CREATE | UPDATE | ALIAS,             "old spelling"),
	FIELD_BOOL_   (struct sample, stateless,   "stateless",                CREATE | UPDATE,                     "stateless", .def = "false"),
	FIELD_DECIMAL_(struct sample, load,        "statistics/load",          READ_ONLY,                           "load"),
	FIELD_INT_    (struct sample, guest_load,  "statistics/guest",         READ_ONLY | VOLATILE_,               "load inside"),
	FIELD_REF_    (struct sample, cluster,     "cluster",                  CREATE | UPDATE | REQUIRED, "clusters", "cluster"),
	FIELD_REF_    (struct sample, host,        "placement_policy/host",    CREATE | UPDATE, "hosts",            "host"),
	FIELD_REF_    (struct sample, template,    "template",                 CREATE, "templates",                 "template"),
	FIELD_STRINGS_(struct sample, usages,      "usages/usage",             CREATE | UPDATE,                     "usages", .names = sample_usages),
	FIELD_STRINGS_(struct sample, features,    "feature",                  CREATE | UPDATE,                     "repeated without wrapper"),
	FIELD_LIST_   (struct sample, options,     "options/option",           CREATE | UPDATE, &option_type,       "options"),
	FIELD_LIST_   (struct sample, nics,        "nics/nic",                 CREATE | UPDATE, &nic_type,          "interfaces"),
	FIELD_RECORD_ (struct sample, display,     "display",                  CREATE | UPDATE, &display_type,      "display"),
	FIELD_TIME_   (struct sample, started,     "start_time",               READ_ONLY,                           "start"),
	FIELD_TIME_   (struct sample, stopped,     "stop_time",                CREATE | UPDATE,                     "stop"),
	FIELD_STRING_ (struct sample, password,    "password",                 CREATE | UPDATE | SECRET,            "password", .max = 10),
	FIELD_STRING_ (struct sample, note,        "note",                     INTERNAL,                            "for the engine only"),
	FIELD_STRING_ (struct sample, details,     "details",                  CREATE | UPDATE | ALL_CONTENT,       "only on demand"),
	FIELD_BOOL_   (struct sample, force,       "force",                    CREATE | UPDATE | INPUT_ONLY,        "parameter"),
	FIELD_INT_    (struct sample, delay,       "delay",                    CREATE | UPDATE | TEXT,              "text on the channel"),
	FIELD_JSON_   (struct sample, custom,      "custom",                   CREATE | UPDATE,                     "anything"),
};
static const struct record_type sample_type = RECORD_TYPE("vm", "vms", struct sample, sample_fields, "A virtual machine");

#define UUID_A "0a1b2c3d-1111-2222-3333-444455556666"
#define UUID_B "0a1b2c3d-1111-2222-3333-444455556667"

/* Everything set. */
static inline struct sample *sample_new(void)
{
	struct sample *s = record_new(&sample_type);
	struct option *option;
	struct nic *nic;

	set_string(&s->id, UUID_A);
	set_string(&s->name, "web1");
	set_string(&s->description, "a < b & \"c\" \xe3\x83\x9b\xe3\x82\xb9\xe3\x83\x88");
	set_string(&s->status, "up");
	SET(s, type, SAMPLE_SERVER);
	SET(s, memory, 1073741824);
	SET(s, guaranteed, 536870912);
	set_string(&s->build, "x86");
	SET(s, cores, 2);
	SET(s, sockets, 4);
	set_string(&s->serial, "Intel");
	((struct boot *)list_add(&s->boot, &boot_type))->dev = g_strdup("hd");
	((struct boot *)list_add(&s->boot, &boot_type))->dev = g_strdup("network");
	SET(s, manager, true);
	SET(s, priority, 5);
	SET(s, ksm, true);
	SET(s, stateless, false);
	SET(s, load, 0.25);
	SET(s, guest_load, 7);
	set_ref(&s->cluster, UUID_B);
	set_ref(&s->host, UUID_B);
	s->usages = strings_new();
	g_ptr_array_add(s->usages, g_strdup("vm"));
	s->features = strings_new();
	g_ptr_array_add(s->features, g_strdup("one"));
	g_ptr_array_add(s->features, g_strdup("two"));
	option = list_add(&s->options, &option_type);
	set_string(&option->name, "secure");
	set_string(&option->value, "yes");
	SET(option, active, true);
	nic = list_add(&s->nics, &nic_type);
	set_string(&nic->id, UUID_B);
	set_string(&nic->name, "eth0");
	set_string(&nic->mac, "00:11:22:33:44:55");
	SET(nic, linked, true);
	set_ref(&nic->network, UUID_A);
	s->display = record_new(&display_type);
	SET(s->display, monitors, 2);
	set_string(&s->display->address, "::1");
	SET(s, started, INT64_C(1308113282167));
	set_string(&s->password, "geheim");
	set_string(&s->note, "internal");
	set_string(&s->details, "long");
	SET(s, force, true);
	SET(s, delay, 3);
	s->custom = json_pack("{s:i, s:[f, n, b]}", "a", 1, "b", 12.0, 1);
	return s;
}

#endif
