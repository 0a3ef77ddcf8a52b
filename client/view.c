/* SPDX-License-Identifier: Apache-2.0 */
/* Lists as tables: which members of which collection are columns. */
#include "client/view.h"
#include "client/client.h"
#include "client/table.h"
#include <string.h>

enum cell_kind { CELL_TEXT, CELL_NUMBER, CELL_SIZE, CELL_MEASURE /* its unit is another member */, CELL_TIME, CELL_REF };

struct cell_spec {
	const char *title, *path;
	enum cell_kind kind;
};

struct view {
	const char *collection;
	struct cell_spec cells[9];
};

#define NAME { "NAME", "name|alias" }
#define ID { "ID", "id" }
#define STATUS { "STATUS", "status.state|status" }
#define CLUSTER { "CLUSTER", "cluster", CELL_REF }
#define DATA_CENTER { "DATA CENTER", "data_center", CELL_REF }

static const struct view views[] = {
	{ "vms", { NAME, STATUS, { "MEMORY", "memory", CELL_SIZE }, { "ADDRESS", "guest_info.ips.ip.address" }, { "HOST", "host", CELL_REF },
		   CLUSTER, ID } },
	{ "hosts", { NAME, STATUS, { "ADDRESS", "address" }, { "MEMORY", "memory", CELL_SIZE }, { "VMS", "summary.active", CELL_NUMBER }, CLUSTER, ID } },
	{ "datacenters", { NAME, STATUS, { "LOCAL", "local" }, { "DESCRIPTION", "description" }, ID } },
	{ "clusters", { NAME, { "CPU", "cpu.id" }, DATA_CENTER, { "DESCRIPTION", "description" }, ID } },
	{ "networks", { NAME, STATUS, { "VLAN", "vlan.id", CELL_NUMBER }, { "MTU", "mtu", CELL_NUMBER }, DATA_CENTER, ID } },
	{ "storagedomains", { NAME, STATUS, { "TYPE", "type" }, { "STORAGE", "storage.type" }, { "AVAILABLE", "available", CELL_SIZE },
			      { "USED", "used", CELL_SIZE }, ID } },
	{ "templates", { NAME, STATUS, { "MEMORY", "memory", CELL_SIZE }, CLUSTER, ID } },
	{ "disks", { NAME, STATUS, { "SIZE", "provisioned_size|size", CELL_SIZE }, { "ACTUAL", "actual_size", CELL_SIZE }, { "FORMAT", "format" },
		     { "INTERFACE", "interface" }, { "VM", "vm", CELL_REF }, ID } },
	{ "nics", { NAME, STATUS, { "MAC", "mac.address" }, { "ADDRESS", "ip.address" }, { "NETWORK", "network", CELL_REF }, { "INTERFACE", "interface" },
		    { "PLUGGED", "plugged" }, { "LINKED", "linked" }, ID } },
	{ "networkattachments", { { "NETWORK", "network", CELL_REF }, { "NIC", "host_nic", CELL_REF },
				  { "ADDRESS", "ip_address_assignments.ip_address_assignment.ip.address" }, { "IN SYNC", "reported_configurations.in_sync" }, ID } },
	{ "cpuprofiles", { NAME, CLUSTER, { "DESCRIPTION", "description" }, ID } },
	{ "vnicprofiles", { NAME, { "NETWORK", "network", CELL_REF }, { "MIRRORING", "port_mirroring" }, ID } },
	{ "storageconnections", { { "TYPE", "type" }, { "ADDRESS", "address" }, { "PATH", "path|target" }, ID } },
	{ "openstackimageproviders", { NAME, { "URL", "url" }, { "DESCRIPTION", "description" }, ID } },
	{ "externalhostproviders", { NAME, { "URL", "url" }, { "DESCRIPTION", "description" }, ID } },
	{ "diskprofiles", { NAME, { "STORAGE DOMAIN", "storage_domain", CELL_REF }, { "DESCRIPTION", "description" }, ID } },
	{ "qoss", { NAME, { "TYPE", "type" }, { "DESCRIPTION", "description" }, ID } },
	{ "statistics", { NAME, { "VALUE", "values.value.datum", CELL_MEASURE }, { "DESCRIPTION", "description" } } },
	{ "permissions", { { "USER", "user", CELL_REF }, { "GROUP", "group", CELL_REF }, { "ROLE", "role", CELL_REF }, ID } },
	{ "users", { NAME, { "USER NAME", "user_name" }, ID } },
	{ "events", { { "TIME", "time", CELL_TIME }, { "SEVERITY", "severity" }, { "ID", "id", CELL_NUMBER }, { "DESCRIPTION", "description" } } },
	{ "cdroms", { ID, { "FILE", "file.id" } } },
	{ NULL, { NAME, STATUS, { "DESCRIPTION", "description" }, ID } },
};

/* ---- members ---- */

const json_t *collection_items(const json_t *document)
{
	static json_t *none;
	const char *name;
	json_t *value;

	if (json_is_array(document))
		return document;
	json_object_foreach((json_t *)document, name, value)
		if (json_is_array(value))
			return value;
	if (!none)
		none = json_array();
	return none;
}

char *json_scalar(const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return g_strdup(json_string_value(value));
	case JSON_INTEGER:
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL: {
		char buffer[G_ASCII_DTOSTR_BUF_SIZE];

		return g_strdup(g_ascii_formatd(buffer, sizeof(buffer), "%.10g", json_real_value(value)));
	}
	case JSON_TRUE:
		return g_strdup("true");
	case JSON_FALSE:
		return g_strdup("false");
	default:
		return NULL;
	}
}

static const json_t *value_at(const json_t *object, const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, ".", -1);
	const json_t *value = object;

	for (char **part = parts; *part; part++) {
		value = json_object_get(value, *part);
		if (json_is_array(value))
			value = json_array_get(value, 0);
	}
	return value;
}

char *json_text_at(const json_t *object, const char *path)
{
	g_auto(GStrv) alternatives = g_strsplit(path, "|", -1);
	char *text = NULL;

	for (char **alternative = alternatives; *alternative && !text; alternative++)
		text = json_scalar(value_at(object, *alternative));
	return text;
}

/* ---- tables ---- */

static char *reference_text(const json_t *reference, struct rest *rest, bool all, bool exact)
{
	const char *below = rest ? rest_below_base(rest, json_string_value(json_object_get(reference, "href"))) : NULL, *name = NULL;

	if (below && !exact)
		name = reference_name(rest, below, all);
	return name ? g_strdup(name) : json_text_at(reference, exact ? "id" : "name|id");
}

static char *cell_text(const struct cell_spec *spec, const json_t *item, struct rest *rest, bool all, bool exact)
{
	g_autofree char *text = spec->kind == CELL_REF ? reference_text(value_at(item, spec->path), rest, all, exact) : json_text_at(item, spec->path);
	g_autofree char *unit = NULL, *name = NULL;

	if (!text)
		return NULL;
	switch (spec->kind) {
	case CELL_SIZE:
		return format_quantity(text, "bytes", exact);
	case CELL_MEASURE:
		unit = json_text_at(item, "unit");
		name = json_text_at(item, "name");
		if (g_strcmp0(name, "boot.time") == 0) {
			/* the one figure that is a moment, in seconds */
			g_autofree char *ms = g_strconcat(text, "000", NULL);

			return format_time(ms, exact);
		}
		return format_quantity(text, unit, exact);
	case CELL_TIME:
		return format_time(text, exact);
	default:
		return g_steal_pointer(&text);
	}
}

static const struct view *view_of(const char *collection)
{
	const struct view *view = views;

	while (view->collection && strcmp(view->collection, collection) != 0)
		view++;
	return view;
}

void view_list(const char *collection, const json_t *items, struct rest *rest, bool exact)
{
	const struct view *view = view_of(collection);
	struct table *table = table_new();
	bool used[G_N_ELEMENTS(view->cells)] = { false };
	const json_t *item;
	size_t i;

	/* a column that is empty for all is not shown */
	for (size_t c = 0; c < G_N_ELEMENTS(view->cells) && view->cells[c].title; c++) {
		const struct cell_spec *spec = &view->cells[c];

		json_array_foreach(items, i, item) {
			g_autofree char *text = json_text_at(item, spec->path);

			used[c] |= spec->kind == CELL_REF ? value_at(item, spec->path) != NULL : text && *text;
		}
		used[c] |= !json_array_size(items);
		if (used[c])
			table_column(table, spec->title, spec->kind == CELL_NUMBER || spec->kind == CELL_SIZE || spec->kind == CELL_MEASURE);
	}
	json_array_foreach(items, i, item)
		for (size_t c = 0; c < G_N_ELEMENTS(view->cells); c++)
			if (used[c]) {
				g_autofree char *text = cell_text(&view->cells[c], item, rest, /* all= */ json_array_size(items) > 1, exact);

				table_cell(table, text);
			}
	table_print(table, stdout, /* titles= */ true);
	table_free(table);
}
