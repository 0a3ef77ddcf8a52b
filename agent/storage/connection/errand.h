/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_CONNECTION_ERRAND_H
#define BERTH_AGENT_STORAGE_CONNECTION_ERRAND_H
/*
 * Work on another lane that somebody waits for, but not for ever: what may hang (a mount, a log-in, a look into a directory of a server) hangs there, and
 * who asked gets an answer in time. The work goes on after that, and is what the next errand on its lane waits for.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "common/lane.h"

struct errand;
/* run(data) on a lane (NULL: any worker). free_data, also when it fails. NULL + ERR_RESOURCE_EXHAUSTED. errand_done() */
struct errand *errand_begin(struct lane_pool *lanes, const char *lane, const char *name, void (*run)(void *data), void *data, GDestroyNotify free_data,
			    GError **error);
/* Is it over by until_usec (now_usec() clock)? Then what run() wrote into data can be read until errand_done(). */
bool errand_wait(struct errand *errand, int64_t until_usec);
/* Nobody waits for it any more. NULL accepted. Returns NULL. */
struct errand *errand_done(struct errand *errand);

#endif
