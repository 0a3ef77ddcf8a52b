/* SPDX-License-Identifier: Apache-2.0 */
/* Completion: the shell's script asks `berth __complete`, which answers from the tables and the engine's own description. */
#include "client/client.h"
#include <string.h>

/*
 * To bash "=" is a word of its own: what stands around it is put together again before it is asked about, and only what comes after it is completed.
 * After a "name=" no blank is put.
 */
static const char bash[] =
	"# bash completion for berth: eval \"$(berth completion bash)\"\n"
	"_berth()\n"
	"{\n"
	"\tlocal IFS=$'\\n' i word words=()\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i <= COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif ((i > 1)) && [[ $word == = || ${COMP_WORDS[i-1]} == = ]]; then words[-1]+=$word; else words+=(\"$word\"); fi\n"
	"\tdone\n"
	"\tfor word in $(berth __complete \"${words[@]}\" 2>/dev/null); do\n"
	"\t\tif [[ ${words[-1]} == *=* && $COMP_WORDBREAKS == *=* ]]; then word=${word#*=}; fi\n"
	"\t\tprintf -v word %q \"$word\"\n"
	"\t\tCOMPREPLY+=(\"$word\")\n"
	"\tdone\n"
	"\tif [[ ${COMPREPLY[0]-} == *= ]]; then compopt -o nospace; fi\n"
	"}\n"
	"complete -o default -F _berth berth\n";

static const char zsh[] =
	"#compdef berth\n"
	"# zsh completion for berth: eval \"$(berth completion zsh)\"\n"
	"_berth()\n"
	"{\n"
	"\tlocal -a found names\n"
	"\tfound=(\"${(@f)$(berth __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tnames=(${(M)found:#*=})\n"
	"\tcompadd -S '' -- $names\n"
	"\tcompadd -- ${found:#*=}\n"
	"}\n"
	"compdef _berth berth\n";

static const struct shell { const char *name, *script; } shells[] = { { "bash", bash }, { "zsh", zsh } };

int completion_main(int argc, char **argv)
{
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		puts("usage: berth completion bash|zsh\n\nPrint the completion script, for a shell's start-up file: eval \"$(berth completion bash)\"");
		return 0;
	}
	for (size_t i = 0; argc == 2 && i < G_N_ELEMENTS(shells); i++)
		if (strcmp(argv[1], shells[i].name) == 0) {
			fputs(shells[i].script, stdout);
			return 0;
		}
	return usage_error("completion: name the shell: berth completion bash, or zsh");
}

void completion_complete(GPtrArray *words, GPtrArray *ret)
{
	for (size_t i = 0; words->len == 1 && i < G_N_ELEMENTS(shells); i++)
		g_ptr_array_add(ret, g_strdup(shells[i].name));
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
	command = command_find(argv[1]);
	if (command && command->complete)
		command->complete(words, ret);
	else if (command && command->run == resource_main)
		resource_complete(command->name, words, ret);
	/* after "help" stands what could stand without it */
	if (command && command->run == help_main)
		candidates(argc - 1, argv + 1, ret);
}

int complete_main(int argc, char **argv)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
	const char *prefix = argc > 1 ? argv[argc - 1] : "";

	candidates(argc, argv, found);
	for (guint i = 0; i < found->len; i++)
		if (g_str_has_prefix(found->pdata[i], prefix)) {
			g_autofree char *clean = printable(found->pdata[i]);

			puts(clean);
		}
	return 0;
}
