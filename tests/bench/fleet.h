/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_BENCH_FLEET_H
#define BERTH_TESTS_BENCH_FLEET_H
/* Many hosts and their VMs, as fleet-agents and fleet-engine both know them. */
#include <stdio.h>
#include <stdlib.h>
#include <glib.h>

static unsigned hosts, vms_each;        /* how many; VMs of each host */

static inline char *host_address(unsigned h)
{
	return g_strdup_printf("127.1.%u.%u", h / 250, h % 250 + 1);
}

static inline char *host_id(unsigned h) { return g_strdup_printf("%08x-0000-4000-8000-00000000a9e7", h); }

/* v counts over all hosts. Mixed, so that the ids of a host's VMs are not neighbours. */
static inline char *vm_id(unsigned v) { return g_strdup_printf("%08x-0000-4000-9000-%012x", v * 2654435761U, v); }

static inline unsigned number(const char *text)
{
	unsigned n = 0;

	if (sscanf(text, "%u", &n) != 1) {
		fprintf(stderr, "bench: '%s' is no number\n", text);
		exit(1);
	}
	return n;
}

#endif
