/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_MIGRATION_CONVERGENCE_H
#define BERTH_AGENT_VIRT_MIGRATION_CONVERGENCE_H
/*
 * Does a migration come to its end, and what is done when it does not. Pure.
 *
 * A convergence schedule (vdsm's) has `init` actions, done before the memory is sent, and `stalling` steps {limit, action}: QEMU goes over the memory again
 * and again; when it begins an iteration whose number, counted from the first one seen, is greater than the limit of the step that is next, its action is
 * done and the step is over. At most one for each look, however many iterations it made since the last.
 */
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include "proto/migration.h"

/* What vdsm does without a schedule: the downtime is raised to downtime_ms in steps, and in the end it is aborted. One reference. */
struct migration_schedule *convergence_default(int downtime_ms);
/* Actions have the parameters they need: else ERR_INVALID_PARAMETER with the place. NULL: fine. */
bool convergence_check(const struct migration_schedule *schedule, GError **error);
/* Post-copy is among its steps. */
bool convergence_wants_postcopy(const struct migration_schedule *schedule);
/* The action that is due with this many iterations, `done` steps being over; NULL: none. */
const struct migration_action *convergence_due(const struct migration_schedule *schedule, unsigned done, int64_t iterations);
/* Of a setDowntime action: ms; 0 when it is none. */
int convergence_downtime(const struct migration_action *action);

/* A guest that writes `dirty` bytes/s, of whose memory `memory` bytes are still to be sent at `bandwidth` bytes/s, and that may stand still for downtime_ms. */
struct convergence { int64_t memory, dirty, bandwidth; int downtime_ms; };
struct convergence_end { bool converges; int64_t time_ms, downtime_ms; };      /* time_ms only when it converges */
/* Each iteration takes what was written in the one before. false: nothing is known (no bandwidth). */
bool convergence_forecast(const struct convergence *now, struct convergence_end *ret_end);

/* vdsm's: 100 when nothing remains, else at most 99. */
int convergence_percent(int64_t remaining, int64_t total);

#endif
