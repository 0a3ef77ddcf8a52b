/* SPDX-License-Identifier: Apache-2.0 */
/* berth: the command line of agent and engine. */
#include "client/client.h"
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"

#ifndef BERTH_VERSION
#define BERTH_VERSION "0.1.0"
#endif

int main(int argc, char **argv)
{
	const struct command *command;
	int status;

	/* numbers stay with '.': only what concerns characters comes from the environment */
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	/* what the channel's code logs is said again, better, by the command */
	log_set_level(NULL, LOG_LEVEL_ERROR);
	if (argc < 2) {
		commands_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("berth " BERTH_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		commands_help(stdout);
		return 0;
	}
	command = command_find(argv[1]);
	if (!command)
		return command_unknown(argv[1]);
	status = command->run(argc - 1, argv + 1);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };

		/* "| head" has read what it wants: that is nobody's mistake */
		if (poll(&out, 1, 0) == 1 && out.revents & POLLERR)
			return EXIT_FAILED;
		complain("standard output: cannot write all of it");
		return EXIT_FAILED;
	}
	return status;
}
