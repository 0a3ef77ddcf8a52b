/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_TOOL_H
#define BERTH_ENGINE_TOOL_H
/* What berth-engine does besides serving: accounts of the built-in directory, backup, restore. On the engine's own machine, by who owns its files. */
#include <stdio.h>
#include "engine/store/store.h"

/* argv: the command and its arguments. Returns the exit status. */
int tool_run(int argc, char **argv, const struct store_settings *settings);
void tool_usage(FILE *out);

#endif
