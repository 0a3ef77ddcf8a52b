/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of what is ours in Open vSwitch, as its database tells them (RFC 7047, 4.1.5), on the loop: `changed` is called once, WATCH_DEBOUNCE_USEC
 * after the first of a burst. Ports of machines are none of ours, so that they do not matter. Only while there are networks of Open vSwitch; a database
 * that has gone is looked for each WATCH_RETRY_USEC then.
 */
#define LOG_MODULE "net"
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/log.h"
#include "common/loop.h"

#define WATCH_DEBOUNCE_USEC (20 * 1000)
#define WATCH_RETRY_USEC (5 * G_USEC_PER_SEC)

struct net_ovs_watch {
	struct loop *loop;
	struct ovsdb *db;
	struct watch *watch;
	struct timer *debounce, *retry;
	bool wanted, armed;
	void (*changed)(void *data);
	void *data;
};

static void arm(struct net_ovs_watch *watch)
{
	if (!watch->armed)
		timer_set(watch->debounce, WATCH_DEBOUNCE_USEC);
	watch->armed = true;
}

static void on_debounce(void *data)
{
	struct net_ovs_watch *watch = data;

	watch->armed = false;
	watch->changed(watch->data);
}

static void end(struct net_ovs_watch *watch)
{
	watch->watch = watch_free(watch->watch);
	watch->db = ovsdb_free(watch->db);
}

static bool has_mark(const json_t *row)
{
	g_autofree char *text = json_dumps(json_object_get(row, "external_ids"), JSON_COMPACT);

	return text && strstr(text, "\"berth\"");
}

/* {table: {uuid: {"old", "new"}}}: is a row of ours among them? */
static bool is_about_us(const json_t *updates)
{
	const char *table, *uuid;
	json_t *rows, *row;

	json_object_foreach((json_t *)updates, table, rows)
		json_object_foreach(rows, uuid, row)
			if (has_mark(json_object_get(row, "new")) || has_mark(json_object_get(row, "old")))
				return true;
	return false;
}

static void lose(struct net_ovs_watch *watch, const char *why)
{
	log_warn("%s: looked for again", why);
	end(watch);
	timer_set(watch->retry, WATCH_RETRY_USEC);
	arm(watch);
}

static void on_readable(int fd, unsigned what, void *data)
{
	struct net_ovs_watch *watch = data;
	g_autoptr(GError) problem = NULL;
	json_t *message;

	while ((message = ovsdb_next(watch->db, &problem))) {
		if (!g_strcmp0(json_string_value(json_object_get(message, "method")), "update") &&
		    is_about_us(json_array_get(json_object_get(message, "params"), 1)))
			arm(watch);
		json_decref(message);
	}
	if (problem)
		lose(watch, problem->message);
}

static void begin(void *data)
{
	static const struct { const char *table, *columns[8]; } tables[] = {
		{ "Bridge", { "name", "external_ids" } },
		{ "Port", { "interfaces", "tag", "trunks", "vlan_mode", "bond_mode", "lacp", "bond_active_slave", "external_ids" } },
		{ "Interface", { "type", "mac", "mtu_request", "ifindex", "error", "external_ids" } },
	};
	struct net_ovs_watch *watch = data;
	json_t *requests;
	g_autoptr(GError) problem = NULL;

	if (!watch->wanted || watch->db)
		return;
	if (!(watch->db = ovsdb_new(NULL))) {
		timer_set(watch->retry, WATCH_RETRY_USEC);
		return;
	}
	watch->watch = watch_new(watch->loop, ovsdb_fd(watch->db), on_readable, watch);
	watch_set(watch->watch, WATCH_READ);
	requests = json_object();
	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
		json_t *columns = json_array();

		for (size_t k = 0; k < G_N_ELEMENTS(tables[i].columns) && tables[i].columns[k]; k++)
			json_array_append_new(columns, json_string(tables[i].columns[k]));
		json_object_set_new(requests, tables[i].table, json_pack("{s:o, s:{s:b}}", "columns", columns, "select", "initial", 0));
	}
	if (!ovsdb_send(watch->db, "monitor", json_pack("[s, n, o]", "Open_vSwitch", requests), &problem))
		lose(watch, problem->message);
	else
		arm(watch);                    /* what has changed while nobody looked */
}

struct wish { struct net_ovs_watch *watch; bool wanted; };

static void take(void *data)
{
	struct wish *wish = data;

	wish->watch->wanted = wish->wanted;
	if (wish->wanted)
		begin(wish->watch);
	else
		end(wish->watch);
	g_free(wish);
}

void net_ovs_watch_set(struct net_ovs_watch *watch, const struct net_config *config)
{
	struct wish *wish = g_new0(struct wish, 1);
	GHashTableIter iter;
	void *value;

	wish->watch = watch;
	g_hash_table_iter_init(&iter, config->networks);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		wish->wanted |= net_is_ovs(((const struct network_config *)value)->switch_type);
	g_hash_table_iter_init(&iter, config->bonds);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		wish->wanted |= net_is_ovs(((const struct bond_config *)value)->switch_type);
	loop_post(watch->loop, take, wish, g_free);
}

struct net_ovs_watch *net_ovs_watch_new(struct loop *loop, void (*changed)(void *data), void *data)
{
	struct net_ovs_watch *watch = g_new0(struct net_ovs_watch, 1);

	watch->loop = loop;
	watch->changed = changed;
	watch->data = data;
	watch->debounce = timer_new(loop, on_debounce, watch);
	watch->retry = timer_new(loop, begin, watch);
	return watch;
}

struct net_ovs_watch *net_ovs_watch_free(struct net_ovs_watch *watch)
{
	if (!watch)
		return NULL;
	end(watch);
	timer_free(watch->debounce);
	timer_free(watch->retry);
	g_free(watch);
	return NULL;
}
