/* SPDX-License-Identifier: Apache-2.0 */
/* Completion: the shell's script asks `berth __complete`, which answers from the tables and the engine's own description. */
#include "client/client.h"
#include <string.h>

/* "name=" and what follows are words of their own to bash; only the name is completed, and no blank is put behind its "=". */
static const char script[] =
	"# bash completion for berth: eval \"$(berth completion bash)\"\n"
	"_berth()\n"
	"{\n"
	"\tlocal IFS=$'\\n'\n"
	"\tCOMPREPLY=($(berth __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
	"\tif [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace; fi\n"
	"}\n"
	"complete -o default -F _berth berth\n";

int completion_main(int argc, char **argv)
{
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		puts("usage: berth completion bash\n\nPrint the completion script: eval \"$(berth completion bash)\"");
		return 0;
	}
	if (argc != 2 || strcmp(argv[1], "bash") != 0)
		return usage_error("completion: only bash is known: berth completion bash");
	fputs(script, stdout);
	return 0;
}

static void candidates(int argc, char **argv, GPtrArray *ret)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const struct command *command;

	if (argc <= 2) {
		for (size_t i = 0; i < n_commands; i++)
			if (!commands[i].hidden)
				g_ptr_array_add(ret, g_strdup(commands[i].name));
		return;
	}
	for (int i = 2; i < argc; i++)
		g_ptr_array_add(words, argv[i]);
	if (strcmp(argv[1], "help") == 0) {
		candidates(argc - 1, argv + 1, ret);
		return;
	}
	if (strcmp(argv[1], "completion") == 0) {
		g_ptr_array_add(ret, g_strdup("bash"));
		return;
	}
	command = command_find(argv[1]);
	if (command && command->complete)
		command->complete(words, ret);
	else if (command && command->run == resource_main)
		resource_complete(command->name, words, ret);
}

int complete_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	const char *prefix = argc > 1 ? argv[argc - 1] : "";

	candidates(argc, argv, found);
	for (guint i = 0; i < found->len; i++)
		if (g_str_has_prefix(found->pdata[i], prefix))
			puts(found->pdata[i]);
	return 0;
}
