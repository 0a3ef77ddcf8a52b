/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: main(), help and completion read it. */
#include "client/client.h"
#include <string.h>

#define RESOURCE(collection, what) { .name = (collection), .doc = (what), .run = resource_main }

const struct command commands[] = {
	{ .name = "help", .doc = "Explain a command", .run = help_main, .complete = help_complete },
	{ .name = "host", .doc = "Call a verb of an agent", .run = host_main, .complete = host_complete },
	{ .name = "pki", .doc = "Make a CA and certificates for agents, engine and clients", .run = pki_main, .complete = pki_complete },
	{ .name = "engine", .doc = "Accounts, backup and restore of the engine on this machine", .run = engine_main },
	{ .name = "login", .doc = "Open a session on an engine", .run = login_main, .complete = login_complete },
	{ .name = "logout", .doc = "End the session", .run = logout_main },
	{ .name = "completion", .doc = "Print the completion script of a shell", .run = completion_main, .complete = completion_complete },
	{ .name = "__complete", .doc = "What the completion script calls", .run = complete_main, .hidden = true },
	RESOURCE("vms", "Virtual machines"),
	RESOURCE("hosts", "Hosts"),
	RESOURCE("datacenters", "Data centers"),
	RESOURCE("clusters", "Clusters"),
	RESOURCE("cpuprofiles", "CPU profiles of clusters"),
	RESOURCE("schedulingpolicies", "How hosts are chosen for virtual machines"),
	RESOURCE("networks", "Networks"),
	RESOURCE("vnicprofiles", "What interfaces may do on networks"),
	RESOURCE("storagedomains", "Storage domains"),
	RESOURCE("storageconnections", "How storage is reached"),
	RESOURCE("diskprofiles", "Limits of disks on storage domains"),
	RESOURCE("openstackimageproviders", "OpenStack image services"),
	RESOURCE("externalhostproviders", "Foreman servers, which know what hosts lack"),
	RESOURCE("templates", "Templates"),
	RESOURCE("disks", "Disks"),
	RESOURCE("tags", "Tags"),
	RESOURCE("users", "Users"),
	RESOURCE("groups", "Groups of users"),
	RESOURCE("roles", "Roles and their permits"),
	RESOURCE("domains", "Directories that users come from"),
	RESOURCE("events", "Events, the newest first"),
};
const size_t n_commands = G_N_ELEMENTS(commands);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int command_unknown(const char *name)
{
	g_autoptr(GPtrArray) known = g_ptr_array_new();
	g_autofree char *meant = NULL;

	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			g_ptr_array_add(known, (char *)commands[i].name);
	meant = did_you_mean(name, known);
	return usage_error("there is no command '%s'%s `berth help` lists them", name, meant);
}
