/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: main(), help and completion read it. */
#include "client/client.h"
#include <string.h>

#define RESOURCE(collection, what) \
	{ .name = (collection), .synopsis = "[list] [--search Q] [--max N] [--json] | OPERATION ...", .doc = (what), .run = resource_main }

const struct command commands[] = {
	{ .name = "help", .synopsis = "[COMMAND...]", .doc = "Explain a command", .run = help_main },
	{ .name = "host", .synopsis = "[OPTION...] NAMESPACE VERB [NAME=VALUE | JSON]...", .doc = "Call a verb of an agent", .run = host_main,
	  .complete = host_complete },
	{ .name = "pki", .synopsis = "init|issue|show ...", .doc = "Make a CA and certificates for agents, engine and clients", .run = pki_main,
	  .complete = pki_complete },
	{ .name = "login", .synopsis = "[--url URL] [--ca FILE] [--user USER] [--password-file FILE]", .doc = "Open a session on an engine", .run = login_main,
	  .complete = login_complete },
	{ .name = "logout", .synopsis = "", .doc = "End the session", .run = logout_main },
	RESOURCE("vms", "Virtual machines"),
	RESOURCE("hosts", "Hosts"),
	RESOURCE("datacenters", "Data centers"),
	RESOURCE("clusters", "Clusters"),
	RESOURCE("networks", "Networks"),
	RESOURCE("storagedomains", "Storage domains"),
	RESOURCE("templates", "Templates"),
	RESOURCE("disks", "Disks"),
	RESOURCE("events", "Events, the newest first"),
	{ .name = "completion", .synopsis = "bash", .doc = "Print the completion script of a shell", .run = completion_main },
	{ .name = "__complete", .synopsis = "WORD...", .doc = "What the completion script calls", .run = complete_main, .hidden = true },
};
const size_t n_commands = G_N_ELEMENTS(commands);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void commands_help(FILE *out)
{
	fputs("usage: berth COMMAND ...\n\nCommands:\n", out);
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden)
			fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].doc);
	fputs("\n`berth help COMMAND` or `berth COMMAND --help` explains one; `berth --version` prints the version. See also berth(1).\n", out);
}

/* "berth help host VM getStats" is "berth host VM getStats --help" */
int help_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) args = NULL;
	const struct command *command;

	if (argc < 2) {
		commands_help(stdout);
		return 0;
	}
	command = command_find(argv[1]);
	if (!command)
		return usage_error("there is no command '%s'; `berth help` lists them", argv[1]);
	if (command->run == help_main) {
		commands_help(stdout);
		return 0;
	}
	args = g_ptr_array_new();
	for (int i = 1; i < argc; i++)
		g_ptr_array_add(args, argv[i]);
	g_ptr_array_add(args, (char *)"--help");
	g_ptr_array_add(args, NULL);
	return command->run(argc, (char **)args->pdata);
}
