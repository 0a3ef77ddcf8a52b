/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a plan: made, in the journal, and told as differences between what is and what should be. */
#define LOG_MODULE "net"
#include <string.h>
#include "agent/net/net-priv.h"
#include "common/log.h"

static const char *const kind_names[] = { [STEP_LINK_ADD] = "link add", [STEP_LINK_DELETE] = "link delete", [STEP_LINK_SET] = "set",
	[STEP_ACCEPT_RA] = "accept_ra", [STEP_ADDRESS_ADD] = "address add", [STEP_ADDRESS_DELETE] = "address delete", [STEP_ROUTE_ADD] = "route add",
	[STEP_ROUTE_DELETE] = "route delete", [STEP_RULE_ADD] = "rule add", [STEP_RULE_DELETE] = "rule delete",
	[STEP_PEER_ADD] = "peer add", [STEP_PEER_DELETE] = "peer delete", [STEP_RESOLV] = "resolv",
	[STEP_FORWARDING] = "forwarding", [STEP_RULESET] = "ruleset", [STEP_QOS] = "qos", [STEP_OVS] = "ovs", [STEP_FOREIGN_AWAY] = "foreign route away",
	[STEP_FOREIGN_BACK] = "foreign route back", [STEP_LEARNED_AWAY] = "learned away", [STEP_LEARNED_BACK] = "learned back", NULL };

void net_step_free(void *data)
{
	struct net_step *step = data;

	g_free(step->link);
	g_free(step->value);
	g_free(step->old);
	g_free(step);
}

void net_step_add(GPtrArray *steps, enum net_step_kind kind, const char *link, const char *value, const char *old)
{
	struct net_step *step = g_new0(struct net_step, 1);

	step->kind = kind;
	step->link = g_strdup(link);
	step->value = g_strdup(value ? value : "");
	step->old = g_strdup(old ? old : "");
	g_ptr_array_add(steps, step);
}

json_t *net_steps_to_json(const GPtrArray *steps)
{
	json_t *array = json_array();

	for (guint i = 0; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];

		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", "step", kind_names[step->kind], "link", step->link, "value", step->value,
						       "old", step->old));
	}
	return array;
}

GPtrArray *net_steps_from_json(const json_t *json)
{
	GPtrArray *steps = g_ptr_array_new_with_free_func(net_step_free);

	for (size_t i = 0; i < json_array_size(json); i++) {
		const char *kind, *link, *value, *old;
		int number;

		if (json_unpack(json_array_get(json, i), "{s:s, s:s, s:s, s:s}", "step", &kind, "link", &link, "value", &value, "old", &old) == 0 &&
		    (number = enum_value(kind_names, kind)) >= 0)
			net_step_add(steps, (enum net_step_kind)number, link, value, old);
	}
	return steps;
}

/* "link mtu=1400 up=1" against "link mtu=1500 up=0": one difference a word. */
static void add_words(json_t *list, const struct net_step *step)
{
	g_auto(GStrv) wanted = g_strsplit(step->value, " ", -1);
	g_auto(GStrv) actual = g_strsplit(step->old, " ", -1);

	for (size_t i = 1; wanted[i] && actual[i]; i++) {
		char *value = strchr(wanted[i], '='), *old = strchr(actual[i], '=');

		*value++ = '\0';
		if (!strcmp(value, old + 1))
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "link", step->link, "property", wanted[i], "expected", value, "actual", old + 1));
	}
}

/* Of the ports of a bridge, one difference a member. */
static void add_ports(json_t *list, const struct net_step *step)
{
	json_t *wanted = json_loads(step->value, 0, NULL), *actual = json_loads(step->old, 0, NULL), *all = json_object(), *port, *value;
	const char *name, *member;

	if (!wanted != !actual || !strcmp(step->value, step->old))
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "link", step->link, "property", "link", "expected", step->value, "actual",
						      wanted && actual ? "not made" : step->old));
	json_object_update(all, wanted);
	json_object_update_missing(all, actual);
	json_object_foreach(all, name, port) {
		json_t *will = json_object_get(wanted, name), *was = json_object_get(actual, name), *members = json_object();

		json_object_update(members, will);
		json_object_update_missing(members, was);
		json_object_foreach(members, member, value) {
			const char *expected = json_string_value(json_object_get(will, member)), *is = json_string_value(json_object_get(was, member));

			if (wanted && actual && g_strcmp0(expected, is))
				json_array_append_new(list, json_pack("{s:s, s:s++, s:s, s:s}", "link", step->link, "property", name, " ", member,
								      "expected", expected ? expected : "", "actual", is ? is : ""));
		}
		json_decref(members);
	}
	json_decref(all);
	json_decref(wanted);
	json_decref(actual);
}

json_t *net_steps_differences(const GPtrArray *steps)
{
	static const struct { const char *property; bool missing; } told[STEP_KIND_MAX] = { [STEP_LINK_ADD] = { "link", true },
		[STEP_LINK_DELETE] = { "link", false }, [STEP_ADDRESS_ADD] = { "address", true }, [STEP_ADDRESS_DELETE] = { "address", false },
		[STEP_ROUTE_ADD] = { "route", true }, [STEP_ROUTE_DELETE] = { "route", false }, [STEP_RULE_ADD] = { "rule", true },
		[STEP_RULE_DELETE] = { "rule", false }, [STEP_PEER_ADD] = { "peer", true }, [STEP_PEER_DELETE] = { "peer", false },
		[STEP_FOREIGN_AWAY] = { "foreign route", false }, [STEP_FOREIGN_BACK] = { "foreign route", true },
		[STEP_LEARNED_AWAY] = { "autoconf", false } };
	json_t *list = json_array();

	for (guint i = 0; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];
		g_autofree char *value = net_foreign_plain(step->value);

		if (step->kind == STEP_ACCEPT_RA && !strcmp(step->value, step->old))
			continue;
		if (step->kind == STEP_LINK_SET)
			add_words(list, step);
		else if (step->kind == STEP_OVS)
			add_ports(list, step);
		else if (step->kind == STEP_RULESET || step->kind == STEP_QOS)
			json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "link", step->link, "property", kind_names[step->kind], "expected",
							      step->kind == STEP_QOS ? step->value : "ours", "actual", "missing or changed"));
		else if (!told[step->kind].property)
			json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "link", step->link, "property", kind_names[step->kind], "expected",
							      step->value, "actual", step->old));
		else
			json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "link", step->link, "property", told[step->kind].property, "expected",
							      told[step->kind].missing ? value : "", "actual",
							      told[step->kind].missing ? "" : value));
	}
	return list;
}

void net_steps_warn(const GPtrArray *steps)
{
	for (guint i = 0; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];
		g_autofree char *route = net_foreign_plain(step->value);

		if (step->kind == STEP_FOREIGN_AWAY && !strcmp(step->old, NET_STEP_LOST))
			log_warn("the route %s over '%s', which somebody else made, went with the link or its address", route, step->link);
	}
}

/* ---- what was before ---- */

void net_note_host(json_t *json, const GPtrArray *steps)
{
	json_t *host = json_object_get(json, "host");

	for (guint i = 0; i < steps->len; i++) {
		const struct net_step *step = steps->pdata[i];

		if (step->kind == STEP_FORWARDING && *step->value == '1')
			json_object_set_new(host, "forwarding", json_false());
		else if (step->kind == STEP_FORWARDING)
			json_object_del(host, "forwarding");
		else if (step->kind == STEP_RESOLV && !*step->link)
			json_object_del(host, "nameservers");
		else if (step->kind == STEP_RESOLV && !json_object_get(host, "nameservers"))
			json_object_set_new(host, "nameservers", net_nameservers(step->old));
	}
}
