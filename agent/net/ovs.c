/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridges of Open vSwitch: read from its database, and set there, one transaction a bridge.
 *
 * What a bridge has of ours is a document: {port: {"interfaces": "eth0 eth1", "tag": "5", ...}}, members that are as Open vSwitch has them by itself
 * absent; steps carry it as text, "": no bridge. Setting it makes the bridge so, whatever was there: it can be repeated, and done is all of it or
 * nothing, also when the agent or the database is killed. Ours are bridges and ports with "berth" in their external_ids; other ports of the bridge
 * (machines, which libvirt plugs in with ovs-vsctl) are let alone.
 *
 * The database keeps what is wanted, ovs-vswitchd makes it: next_cfg is counted up with each change, and cur_cfg follows when it has been made
 * (ovs-vswitchd.conf.db(5)). A change is over then, and an interface that could not be made says so.
 *
 * Bridges are of the datapath "system" where the kernel has the Open vSwitch one, else of "netdev", which is within ovs-vswitchd.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include "agent/net/net-priv.h"

#define MARK "berth"
#define TRIES 5                          /* somebody else may change the bridge at the same time */

/* Members of a port: columns of Port and Interface; of maps, column:key. */
enum what { WORD, NUMBER, MAP };
static const struct member { const char *name; enum what what; const char *standard; } members[] = {
	{ "tag", NUMBER, NULL }, { "vlan_mode", WORD, NULL }, { "bond_mode", WORD, NULL }, { "lacp", WORD, NULL }, { "bond_updelay", NUMBER, "0" },
	{ "bond_downdelay", NUMBER, "0" }, { "other_config:bond-detect-mode", MAP, NULL }, { "other_config:bond-miimon-interval", MAP, NULL },
	{ "other_config:bond-primary", MAP, NULL }, { "other_config:lacp-time", MAP, NULL },
}, of_interface[] = { { "type", WORD, "" }, { "mac", WORD, NULL }, { "mtu_request", NUMBER, NULL } };

/* ---- values of the database ---- */

/* An optional value or set, as the array of its members. New reference */
static json_t *set_of(const json_t *value)
{
	const char *what = json_string_value(json_array_get(value, 0));

	if (!value)
		return json_array();
	if (what && !strcmp(what, "set"))
		return json_incref(json_array_get(value, 1));
	return json_pack("[O]", (json_t *)value);
}

static const char *uuid_of(const json_t *value)
{
	return json_string_value(json_array_get(value, 1));
}

static const char *in_map(const json_t *map, const char *key)
{
	const json_t *pair;
	size_t i;

	json_array_foreach(json_array_get(map, 1), i, pair)
		if (!strcmp(json_string_value(json_array_get(pair, 0)), key))
			return json_string_value(json_array_get(pair, 1));
	return NULL;
}

/* As text; NULL: absent, or as Open vSwitch has it by itself. g_free */
static char *column_text(const json_t *row, const struct member *member)
{
	g_auto(GStrv) parts = g_strsplit(member->name, ":", 2);
	const json_t *value = json_object_get(row, parts[0]);
	char *text;

	if (member->what == MAP)
		return g_strdup(in_map(value, parts[1]));
	text = json_is_integer(value) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value)) : g_strdup(json_string_value(value));
	if (g_strcmp0(text, member->standard))
		return text;
	g_free(text);
	return NULL;
}

static void read_members(json_t *port, const json_t *row, const struct member *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_autofree char *text = column_text(row, &list[i]);

		if (text)
			json_object_set_new(port, list[i].name, json_string(text));
	}
}

/* Into a row: all members, also those that the port does not have. */
static void write_members(json_t *row, const json_t *port, const struct member *list, size_t n)
{
	json_t *map = json_array();

	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_object_get(port, list[i].name));

		text = text ? text : list[i].standard;
		if (list[i].what == MAP && text)
			json_array_append_new(map, json_pack("[s, s]", strchr(list[i].name, ':') + 1, text));
		else if (list[i].what != MAP)
			json_object_set_new(row, list[i].name, !text ? json_pack("[s, []]", "set") : list[i].what == WORD ? json_string(text) :
					    json_integer(g_ascii_strtoll(text, NULL, 10)));
	}
	if (list == members)
		json_object_set_new(row, "other_config", json_pack("[s, o]", "map", map));
	else
		json_decref(map);
}

/* ---- what there is ---- */

/* Rows of the tables, by uuid. */
struct tables { json_t *root, *bridges, *ports, *interfaces; };

static void tables_clear(struct tables *tables)
{
	json_decref(tables->root);
	json_decref(tables->bridges);
	json_decref(tables->ports);
	json_decref(tables->interfaces);
}
#define AUTO_TABLES __attribute__((cleanup(tables_clear))) struct tables

static json_t *by_uuid(const json_t *result, size_t n)
{
	const json_t *rows = json_object_get(json_array_get(result, n), "rows");
	json_t *table = json_object(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
		json_object_set(table, uuid_of(json_object_get(row, "_uuid")), row);
	return table;
}

static bool read_tables(struct ovsdb *db, struct tables *ret_tables, GError **error)
{
	static const char *const names[] = { "Open_vSwitch", "Bridge", "Port", "Interface" };
	json_t *operations = json_array(), *result;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		json_array_append_new(operations, json_pack("{s:s, s:s, s:[]}", "op", "select", "table", names[i], "where"));
	if (!(result = ovsdb_transact(db, operations, net_openvswitch_usec, NULL, error)))
		return false;
	*ret_tables = (struct tables){ .root = json_incref(json_array_get(json_object_get(json_array_get(result, 0), "rows"), 0)),
		.bridges = by_uuid(result, 1), .ports = by_uuid(result, 2), .interfaces = by_uuid(result, 3) };
	json_decref(result);
	if (json_is_object(ret_tables->root))
		return true;
	tables_clear(ret_tables);
	error_set(error, ERR_OVS_CONNECTION, "Open vSwitch: its database is empty: it was not set up (ovs-vsctl init)");
	return false;
}

static bool is_marked(const json_t *row)
{
	return in_map(json_object_get(row, "external_ids"), MARK) != NULL;
}

static int compare(gconstpointer a, gconstpointer b)
{
	return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* {"ours", "interfaces", "active" (hardware address of the nic that a bond uses), members} */
static json_t *port_object(const struct tables *tables, const json_t *row)
{
	json_t *port = json_pack("{s:b}", "ours", is_marked(row)), *list = set_of(json_object_get(row, "interfaces")), *uuid, *trunks;
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	size_t i;

	read_members(port, row, members, G_N_ELEMENTS(members));
	if (json_is_string(json_object_get(row, "bond_active_slave")))
		json_object_set(port, "active", json_object_get(row, "bond_active_slave"));
	trunks = set_of(json_object_get(row, "trunks"));
	if (json_array_size(trunks))
		json_object_set_new(port, "trunks", json_sprintf("%zu of them", json_array_size(trunks)));
	json_decref(trunks);
	json_array_foreach(list, i, uuid) {
		const json_t *interface = json_object_get(tables->interfaces, uuid_of(uuid));

		g_ptr_array_add(names, (char *)json_string_value(json_object_get(interface, "name")));
		if (json_array_size(list) == 1)
			read_members(port, interface, of_interface, G_N_ELEMENTS(of_interface));
	}
	json_decref(list);
	g_ptr_array_sort(names, compare);
	g_ptr_array_add(names, NULL);
	g_autofree char *text = g_strjoinv(" ", (char **)names->pdata);
	json_object_set_new(port, "interfaces", json_string(text));
	return port;
}

/* All but the one that each bridge has by itself, which is named as it is. */
static json_t *bridge_object(const struct tables *tables, const json_t *row)
{
	json_t *ports = json_object(), *list = set_of(json_object_get(row, "ports")), *uuid;
	const char *own = json_string_value(json_object_get(row, "name"));
	size_t i;

	json_array_foreach(list, i, uuid) {
		const json_t *port = json_object_get(tables->ports, uuid_of(uuid));
		const char *name = json_string_value(json_object_get(port, "name"));

		if (name && strcmp(name, own))
			json_object_set_new(ports, name, port_object(tables, port));
	}
	json_decref(list);
	return json_pack("{s:b, s:o}", "ours", is_marked(row), "ports", ports);
}

json_t *net_ovs_read(GError **error)
{
	struct ovsdb *db = ovsdb_new(error);
	AUTO_TABLES tables = { 0 };
	json_t *bridges = NULL, *row;
	const char *uuid;

	if (db && read_tables(db, &tables, error)) {
		bridges = json_object();
		json_object_foreach(tables.bridges, uuid, row)
			json_object_set_new(bridges, json_string_value(json_object_get(row, "name")), bridge_object(&tables, row));
	}
	ovsdb_free(db);
	return bridges;
}

/* ---- ovs-vswitchd ---- */

/* Until what is wanted up to number has been made. */
static bool wait_made(struct ovsdb *db, json_int_t number, GError **error)
{
	json_t *operations = json_pack("[{s:s, s:s, s:i, s:[[s, s, I]], s:[s], s:s, s:[]}]", "op", "wait", "table", "Open_vSwitch",
				       "timeout", (int)(net_openvswitch_usec / 1000), "where", "cur_cfg", ">=", number, "columns", "cur_cfg",
				       "until", "!=", "rows"), *result;
	bool late = false;
	g_autoptr(GError) problem = NULL;

	/* the server tells when it is late; it has a second more for that */
	result = ovsdb_transact(db, operations, net_openvswitch_usec + G_USEC_PER_SEC, &late, &problem);
	if (late)
		error_set(error, ERR_FAILED_IFUP, "Open vSwitch: ovs-vswitchd did not make what is wanted within %g s",
			  (double)net_openvswitch_usec / G_USEC_PER_SEC);
	else if (!result)
		g_propagate_error(error, g_steal_pointer(&problem));
	json_decref(result);
	return result != NULL;
}

/* Appends what counts a change, and returns where in the answer the number is. */
static size_t add_count(json_t *operations)
{
	json_array_append_new(operations, json_pack("{s:s, s:s, s:[], s:[[s, s, i]]}", "op", "mutate", "table", "Open_vSwitch", "where", "mutations",
						    "next_cfg", "+=", 1));
	json_array_append_new(operations, json_pack("{s:s, s:s, s:[], s:[s]}", "op", "select", "table", "Open_vSwitch", "where", "columns", "next_cfg"));
	return json_array_size(operations) - 1;
}

static json_int_t count_of(const json_t *result, size_t n)
{
	return json_integer_value(json_object_get(json_array_get(json_object_get(json_array_get(result, n), "rows"), 0), "next_cfg"));
}

bool net_ovs_ready(GError **error)
{
	struct ovsdb *db = ovsdb_new(error);
	json_t *operations = json_array(), *result;
	size_t n = add_count(operations);
	bool ready = false;

	if (!db)
		json_decref(operations);
	else if ((result = ovsdb_transact(db, operations, net_openvswitch_usec, NULL, error))) {
		ready = wait_made(db, count_of(result, n), error);
		json_decref(result);
	}
	ovsdb_free(db);
	return ready;
}

/* The kernel is asked for the family of its datapath, and loads the module for it. */
static const char *datapath(void)
{
	struct genlmsghdr header = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_msg *message = nlmsg_alloc_simple(GENL_ID_CTRL, NLM_F_ACK);
	bool has = false;

	if (sock && message && nl_connect(sock, NETLINK_GENERIC) == 0 && nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO) == 0 &&
	    nla_put_string(message, CTRL_ATTR_FAMILY_NAME, "ovs_datapath") == 0)
		has = nl_send_sync(sock, g_steal_pointer(&message)) >= 0;
	if (message)
		nlmsg_free(message);
	if (sock)
		nl_socket_free(sock);
	return has ? "system" : "netdev";
}

/* ---- setting a bridge ---- */

static const json_t *find(const json_t *table, const char *name)
{
	json_t *row;
	const char *uuid;

	json_object_foreach((json_t *)table, uuid, row)
		if (!g_strcmp0(json_string_value(json_object_get(row, "name")), name))
			return row;
	return NULL;
}

static json_t *mark(const char *name)
{
	return json_pack("[s, [[s, s]]]", "map", MARK, name);
}

/* Names in one transaction: letters, digits and '_'. */
static json_t *add_row(json_t *operations, const char *table, json_t *row)
{
	g_autofree char *name = g_strdup_printf("row%zu", json_array_size(operations));

	json_array_append_new(operations, json_pack("{s:s, s:s, s:o, s:s}", "op", "insert", "table", table, "row", row, "uuid-name", name));
	return json_pack("[s, s]", "named-uuid", name);
}

static void update_row(json_t *operations, const char *table, const json_t *old, json_t *row)
{
	json_array_append_new(operations, json_pack("{s:s, s:s, s:[[s, s, O]], s:o}", "op", "update", "table", table, "where", "_uuid", "==",
						    json_object_get(old, "_uuid"), "row", row));
}

static void change_list(json_t *operations, const char *table, const json_t *row, const char *column, const char *how, json_t *uuid)
{
	json_array_append_new(operations, json_pack("{s:s, s:s, s:[[s, s, O]], s:[[s, s, [s, [o]]]]}", "op", "mutate", "table", table, "where", "_uuid", "==",
						    json_object_get(row, "_uuid"), "mutations", column, how, "set", uuid));
}

/* Guards against what somebody else changes meanwhile. */
static void expect(json_t *operations, const char *table, const json_t *row, const char *column)
{
	json_array_append_new(operations, json_pack("{s:s, s:s, s:i, s:[[s, s, O]], s:[s], s:s, s:[{s:O}]}", "op", "wait", "table", table, "timeout", 0,
						    "where", "_uuid", "==", json_object_get(row, "_uuid"), "columns", column, "until", "==", "rows",
						    column, json_object_get(row, column)));
}

/* The interfaces of a port, as a set; those that are there are changed. */
static json_t *set_interfaces(json_t *operations, const struct tables *tables, const char *list, const json_t *port)
{
	g_auto(GStrv) names = g_strsplit(list, " ", -1);
	json_t *uuids = json_array();

	for (size_t i = 0; names[i]; i++) {
		const json_t *old = find(tables->interfaces, names[i]);
		json_t *row = json_object();

		write_members(row, port, of_interface, G_N_ELEMENTS(of_interface));
		json_object_set_new(row, "external_ids", mark(names[i]));
		if (old) {
			update_row(operations, "Interface", old, row);
			json_array_append(uuids, json_object_get(old, "_uuid"));
			continue;
		}
		json_object_set_new(row, "name", json_string(names[i]));
		json_array_append_new(uuids, add_row(operations, "Interface", row));
	}
	return json_pack("[s, o]", "set", uuids);
}

static json_t *port_row(json_t *operations, const struct tables *tables, const char *name, const json_t *port)
{
	json_t *row = json_pack("{s:o, s:o, s:[s, []]}", "interfaces",
				set_interfaces(operations, tables, json_string_value(json_object_get(port, "interfaces")), port), "external_ids", mark(name),
				"trunks", "set");

	write_members(row, port, members, G_N_ELEMENTS(members));
	return row;
}

static bool has_port(const json_t *bridge, const json_t *port)
{
	json_t *list = set_of(json_object_get(bridge, "ports")), *uuid;
	bool has = false;
	size_t i;

	json_array_foreach(list, i, uuid)
		has |= !g_strcmp0(uuid_of(uuid), uuid_of(json_object_get(port, "_uuid")));
	json_decref(list);
	return has;
}

/* Somebody else's ports of the bridge that are in the network of one of ours that goes (tag NULL: any); NULL: none */
static const char *user_of(const json_t *ports, const char *tag)
{
	const char *name;
	json_t *port;

	json_object_foreach((json_t *)ports, name, port)
		if (json_is_false(json_object_get(port, "ours")) && (!tag || !g_strcmp0(json_string_value(json_object_get(port, "tag")), tag)))
			return name;
	return NULL;
}

const char *net_ovs_user(const json_t *bridge, const char *tag)
{
	return user_of(json_object_get(bridge, "ports"), tag);
}

/* What goes of the bridge must not be in use now, whatever it was when the change was planned. */
static bool check_unused(const char *name, const json_t *now, const json_t *wanted, GError **error)
{
	const json_t *ports = json_object_get(now, "ports");
	const char *user = wanted ? NULL : user_of(ports, NULL), *port_name;
	json_t *port;

	json_object_foreach((json_t *)ports, port_name, port) {
		const char *tag = json_string_value(json_object_get(port, "tag"));

		if (!user && json_is_true(json_object_get(port, "ours")) && tag &&
		    g_strcmp0(json_string_value(json_object_get(json_object_get(wanted, port_name), "tag")), tag))
			user = user_of(ports, tag);
	}
	if (user)
		error_set(error, ERR_RESOURCE_UNAVAILABLE, "'%s' is used by %s now", name, user);
	return !user;
}

/* The operations that make the bridge so. false + error: it cannot be */
static bool plan_bridge(json_t *operations, const struct tables *tables, const char *name, const json_t *wanted, bool strict, GError **error)
{
	const json_t *bridge = find(tables->bridges, name);
	json_t *now = bridge ? bridge_object(tables, bridge) : NULL, *ports, *port, *row;
	const char *port_name;
	bool good = !bridge || is_marked(bridge);

	if (!good)
		error_set(error, ERR_BAD_BRIDGE, "Open vSwitch bridge '%s' is not ours", name);
	good = good && (!strict || !bridge || check_unused(name, now, wanted, error));
	if (!good || (!bridge && !wanted)) {
		json_decref(now);
		return good;
	}
	expect(operations, bridge ? "Bridge" : "Open_vSwitch", bridge ? bridge : tables->root, bridge ? "ports" : "bridges");
	ports = json_array();
	if (!bridge) {
		json_t *own = add_row(operations, "Interface", json_pack("{s:s, s:s}", "name", name, "type", "internal"));

		json_array_append_new(ports, add_row(operations, "Port", json_pack("{s:s, s:o}", "name", name, "interfaces", own)));
	}
	json_object_foreach((json_t *)wanted, port_name, port) {
		const json_t *old = find(tables->ports, port_name);

		if (old && (!bridge || !has_port(bridge, old) || !is_marked(old))) {
			error_set(error, ERR_USED_NIC, "'%s' is a port of Open vSwitch that is not ours", port_name);
			good = false;
			break;
		}
		row = port_row(operations, tables, port_name, port);
		if (old) {
			update_row(operations, "Port", old, row);
			continue;
		}
		json_object_set_new(row, "name", json_string(port_name));
		json_array_append_new(ports, add_row(operations, "Port", row));
	}
	if (!bridge)
		row = add_row(operations, "Bridge", json_pack("{s:s, s:s, s:[s, O], s:o}", "name", name, "datapath_type", datapath(), "ports", "set", ports,
							      "external_ids", mark(name)));
	if (!bridge)
		change_list(operations, "Open_vSwitch", tables->root, "bridges", "insert", row);
	else if (!wanted)
		change_list(operations, "Open_vSwitch", tables->root, "bridges", "delete", json_incref(json_object_get(bridge, "_uuid")));
	for (size_t i = 0; bridge && wanted && i < json_array_size(ports); i++)
		change_list(operations, "Bridge", bridge, "ports", "insert", json_incref(json_array_get(ports, i)));
	json_object_foreach(json_object_get(now, "ports"), port_name, port) {
		if (wanted && json_is_true(json_object_get(port, "ours")) && !json_object_get(wanted, port_name))
			change_list(operations, "Bridge", bridge, "ports", "delete", json_incref(json_object_get(find(tables->ports, port_name), "_uuid")));
	}
	json_decref(ports);
	json_decref(now);
	return good;
}

/* Interfaces that ovs-vswitchd could not make. */
static bool check_made(struct ovsdb *db, const json_t *wanted, GError **error)
{
	AUTO_TABLES tables = { 0 };
	const char *name;
	json_t *port;

	if (!read_tables(db, &tables, error))
		return false;
	json_object_foreach((json_t *)wanted, name, port) {
		g_auto(GStrv) names = g_strsplit(json_string_value(json_object_get(port, "interfaces")), " ", -1);

		for (size_t i = 0; names[i]; i++) {
			const char *why = json_string_value(json_object_get(find(tables.interfaces, names[i]), "error"));

			if (!why)
				continue;
			error_set(error, ERR_FAILED_IFUP, "Open vSwitch: '%s': %s", names[i], why);
			return false;
		}
	}
	return true;
}

/* Sends the change; *ret_again: somebody else has changed the bridge meanwhile. */
static bool send_change(struct ovsdb *db, const char *name, const json_t *wanted, bool strict, bool *ret_again, json_int_t *ret_number, GError **error)
{
	AUTO_TABLES tables = { 0 };
	json_t *operations = json_array(), *result;
	size_t n;

	*ret_again = false;
	if (!read_tables(db, &tables, error) || !plan_bridge(operations, &tables, name, wanted, strict, error)) {
		json_decref(operations);
		return false;
	}
	n = add_count(operations);
	if (!(result = ovsdb_transact(db, operations, net_openvswitch_usec, ret_again, error)))
		return false;
	*ret_number = count_of(result, n);
	json_decref(result);
	return true;
}

bool net_ovs_set(const char *name, const char *text, bool strict, bool waits, GError **error)
{
	json_t *wanted = *text ? json_loads(text, 0, NULL) : NULL;
	struct ovsdb *db = ovsdb_new(error);
	json_int_t number = 0;
	bool good = false, again = db != NULL;

	for (int i = 0; again && i < TRIES; i++) {
		g_autoptr(GError) problem = NULL;

		good = send_change(db, name, wanted, strict, &again, &number, &problem);
		if (!good && (!again || i == TRIES - 1))
			g_propagate_error(error, g_steal_pointer(&problem));
	}
	good = good && (!waits || wait_made(db, number, error)) && (!strict || check_made(db, wanted, error));
	ovsdb_free(db);
	json_decref(wanted);
	return good;
}
