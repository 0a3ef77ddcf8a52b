/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_DIARY_H
#define BERTH_ENGINE_DIARY_H
/*
 * The time diary of a host that falls silent. With the defaults:
 *
 *	t =  0 s   last byte from the agent (an answer, an event, a heart-beat)
 *	t =  5 s   the engine asks (Host.getStats, which it does every 5 s anyhow); the agent beats by itself as well
 *	t = 10 s   second silent interval is over: the channel is closed, the host is *connecting*, the engine tries to connect again every 2 s
 *	t = 60 s   grace is over: the host is *non_responsive*, its VMs are *unknown*; fencing may begin (for VMs with leases not before the
 *	           lease says so); the engine goes on trying every 10 s
 *
 * A connection that is refused or cut (agent killed) enters at t = 10 s. The host is *up* again when it answers and its capabilities fit.
 * This file is the diary as a pure function of the clock, so that a test can replay it.
 */
#include <stdint.h>

struct diary { int64_t ask_usec, connecting_usec, non_responsive_usec, retry_usec, late_retry_usec; };
#define DIARY_DEFAULT { 5000000, 10000000, 60000000, 2000000, 10000000 }

enum silence { SILENCE_NONE, SILENCE_CONNECTING, SILENCE_NON_RESPONSIVE };

static inline enum silence diary_silence(const struct diary *diary, int64_t silent_usec)
{
	return silent_usec >= diary->non_responsive_usec ? SILENCE_NON_RESPONSIVE : silent_usec >= diary->connecting_usec ? SILENCE_CONNECTING : SILENCE_NONE;
}

/* When to try the next connection, after one failed. */
static inline int64_t diary_retry(const struct diary *diary, int64_t silent_usec)
{
	return silent_usec >= diary->non_responsive_usec ? diary->late_retry_usec : diary->retry_usec;
}

/* Heart-beat asked of the agent: its channel is given up after 1.5 of these. */
static inline unsigned diary_beat_ms(const struct diary *diary)
{
	return (unsigned)(diary->connecting_usec / 1500);
}

#endif
