/* SPDX-License-Identifier: Apache-2.0 */
/* berth engine: the commands of berth-engine on this machine (accounts, backup, restore), which has them beside its own. */
#include "client/client.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ENGINE "berth-engine"

/* The one that was installed or built with this program, else the one of PATH. g_free */
static char *beside(void)
{
	static const char *const places[] = { ".", "../sbin" };
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	g_autofree char *dir = NULL;

	self[MAX(n, 0)] = '\0';
	dir = g_path_get_dirname(self);
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = g_build_filename(dir, places[i], ENGINE, NULL);

		if (access(path, X_OK) == 0)
			return g_steal_pointer(&path);
	}
	return g_strdup(ENGINE);
}

int engine_main(int argc, char **argv)
{
	g_autofree char *program = beside();
	char *help[] = { (char *)ENGINE, (char *)"--help", NULL };
	char **arguments = argc < 2 ? help : argv;

	argv[0] = (char *)ENGINE;
	execvp(program, arguments);
	complain("%s: %s", program, g_strerror(errno));
	return EXIT_FAILED;
}
