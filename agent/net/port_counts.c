/* SPDX-License-Identifier: Apache-2.0 */
/* What the rules of machines' ports counted, read from the kernel's listing of the port's chains: each rule names in its comment what it is of. */
#include <string.h>
#include "agent/net/net-priv.h"

#define TABLE "bridge berth"

static void count(json_t *counts, const char *name, const char *number, json_int_t packets, json_int_t bytes)
{
	json_t *list = *number ? json_object_get(counts, "acls") : NULL, *old = json_object_get(counts, name);
	size_t place = (size_t)g_ascii_strtoull(number, NULL, 10);

	if (*number) {
		json_array_set_new(list, place - 1, json_pack("{s:I, s:I}", "packets", packets, "bytes", bytes));
		return;
	}
	packets += json_integer_value(json_object_get(old, "packets"));
	bytes += json_integer_value(json_object_get(old, "bytes"));
	json_object_set_new(counts, name, json_pack("{s:I, s:I}", "packets", packets, "bytes", bytes));
}

/* Adds what the chain of the tap has counted. */
static bool add_chain(const char *way, const char *tap, json_t *counts, GError **error)
{
	g_autofree char *chain = net_port_chain(way, tap);
	g_autofree char *command = g_strdup_printf("list chain " TABLE " %s\n", chain);         /* nft lists one at a time */
	g_autofree char *problem = NULL;
	g_autofree char *listing = net_nft_run(command, &problem);
	g_autoptr(GRegex) regex = g_regex_new("counter packets (\\d+) bytes (\\d+) \\w+ comment \"(\\w+)(?: (\\d+))?\"", 0, 0, NULL);
	g_autoptr(GMatchInfo) match = NULL;

	if (!listing) {
		error_set(error, ERR_FAILED_IFUP, "rules of '%s': nftables: %s", tap, problem ? problem : "");
		return false;
	}
	for (g_regex_match(regex, listing, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
		g_autofree char *packets = g_match_info_fetch(match, 1), *bytes = g_match_info_fetch(match, 2), *name = g_match_info_fetch(match, 3),
			   *number = g_match_info_fetch(match, 4);

		count(counts, name, number ? number : "", g_ascii_strtoll(packets, NULL, 10), g_ascii_strtoll(bytes, NULL, 10));
	}
	return true;
}

json_t *net_port_counts(const char *tap, const json_t *policies, GError **error)
{
	json_t *counts = json_object(), *acls = json_array();

	for (size_t i = 0; i < json_array_size(json_object_get(policies, "acls")); i++)
		json_array_append_new(acls, json_null());
	json_object_set_new(counts, "acls", acls);
	if (add_chain("in", tap, counts, error) && add_chain("out", tap, counts, error) && add_chain("across", tap, counts, error))
		return counts;
	json_decref(counts);
	return NULL;
}
