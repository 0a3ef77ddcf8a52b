/* SPDX-License-Identifier: Apache-2.0 */
/* berth help: commands from their table, and the few things that concern all of them. */
#include "client/client.h"
#include <string.h>

static void exit_topic(void)
{
	puts("The exit status of berth:\n");
	for (int i = 0; i <= EXIT_TIMEOUT; i++)
		printf("  %d  %s\n", i, exit_statuses[i]);
}

static void values_topic(void)
{
	puts("How NAME=VALUE is written for the resources of an engine:\n\n"
	     "  name=web1                         a text\n"
	     "  cpu.topology.sockets=2            a member of a member: dots\n"
	     "  sockets=2                         the end of a name, where it is the end of one only\n"
	     "  vlan=20                           its beginning, where one member is required, or the id, or all there is\n"
	     "  version=3.6                       version.major and version.minor\n"
	     "  memory=1.5GiB                     a size: B; K, M, G, T, P or KiB, MiB, ... are powers of 1024; kB, MB, ... of 1000\n"
	     "  cluster=Default                   another object, by its name or id\n"
	     "  os.boot.dev=network,hd            a list\n"
	     "  '{\"comment\": \"from JSON\"}'        members of the REST API, merged with the others\n\n"
	     "`berth RESOURCE create -h` and `berth RESOURCE ACTION -h` list names, permitted values and what they mean.");
}

static void search_topic(void)
{
	puts("How --search is written:\n\n"
	     "  berth vms --search web*                                          names that begin with web\n"
	     "  berth vms --search 'status=up and memory>=1073741824'            and, or; = != < > <= >=; sizes in bytes\n"
	     "  berth hosts --search 'name=node* sortby name desc'               order\n"
	     "  berth events --search 'severity>normal sortby time desc' --max 10\n\n"
	     "Names are those of the members (`berth vms show NAME`); the engine says which it does not know.");
}

static void environment_topic(void)
{
	puts("Variables that berth reads:\n");
	print_entry(stdout, "ENGINE_URL, ENGINE_CA", "the engine, where --url and --ca of `berth login` are not given");
	print_entry(stdout, "ENGINE_USER, ENGINE_PASSWORD", "with ENGINE_URL: no `berth login` is needed");
	print_entry(stdout, "AGENT_HOST, AGENT_PORT", "the agent of `berth host`");
	print_entry(stdout, "AGENT_CA, AGENT_CERT, AGENT_KEY", "its CA, our certificate, its key");
	print_entry(stdout, "XDG_CONFIG_HOME, HOME", "where the session is kept: berth/session in there, mode 0600");
}

static const struct topic {
	const char *name, *doc;
	void (*print)(void);
} topics[] = {
	{ "values", "how NAME=VALUE is written", values_topic },
	{ "search", "how --search is written", search_topic },
	{ "environment", "variables that are read", environment_topic },
	{ "exit", "what the exit status means", exit_topic },
};

static void list(FILE *out, bool resources)
{
	for (size_t i = 0; i < n_commands; i++)
		if (!commands[i].hidden && (commands[i].run == resource_main) == resources)
			fprintf(out, "  %-16s %s\n", commands[i].name, commands[i].doc);
}

void commands_help(FILE *out)
{
	fputs("usage: berth COMMAND ...\n\nCommands:\n", out);
	list(out, /* resources= */ false);
	fputs("\nResources of an engine:\n", out);
	list(out, /* resources= */ true);
	fputs("\nOther help:\n", out);
	for (size_t i = 0; i < G_N_ELEMENTS(topics); i++)
		fprintf(out, "  %-16s %s\n", topics[i].name, topics[i].doc);
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
	for (size_t i = 0; i < G_N_ELEMENTS(topics); i++)
		if (strcmp(argv[1], topics[i].name) == 0) {
			topics[i].print();
			return 0;
		}
	command = command_find(argv[1]);
	if (!command)
		return command_unknown(argv[1]);
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

void help_complete(GPtrArray *words, GPtrArray *ret)
{
	if (words->len == 1)
		for (size_t i = 0; i < G_N_ELEMENTS(topics); i++)
			g_ptr_array_add(ret, g_strdup(topics[i].name));
}
