/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sched/balance.h"

#include <string.h>

#include "common/log.h"
#include "engine/fleet/fleet.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/sched/sched.h"

#define LOG_MODULE "sched"

/* usec; 0: it is not */
struct since { int64_t over, under; };
struct balance { GHashTable *hosts; };       /* id -> struct since */

struct balance *balance_new(void)
{
	struct balance *balance = g_new0(struct balance, 1);

	balance->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return balance;
}

struct balance *balance_free(struct balance *balance)
{
	if (balance)
		g_hash_table_unref(balance->hosts);
	g_free(balance);
	return NULL;
}

static struct since *since_of(struct balance *balance, const char *host_id)
{
	struct since *since = g_hash_table_lookup(balance->hosts, host_id);

	if (!since) {
		since = g_new0(struct since, 1);
		g_hash_table_insert(balance->hosts, g_strdup(host_id), since);
	}
	return since;
}

static void note(int64_t *since, bool is, int64_t now_usec)
{
	*since = !is ? 0 : *since ? *since : now_usec;
}

static double busy(struct engine *engine, const struct vm *vm)
{
	struct vm_figures *figures = fleet_vm_figures(engine->fleet, vm->id);
	double percent = figures ? figures->cpu_user + figures->cpu_sys : 0;

	(void)figures_unref(figures);
	return percent;
}

struct wish { struct engine *engine; const struct cluster *cluster; const struct host *host; double load; bool saves; };

static bool is_good(const struct wish *wish, const char *host_id)
{
	struct host *host = model_get(wish->engine->model, &host_kind, host_id);
	double load = host ? sched_load(wish->engine, host) : 100;
	/* of two that are used alike the later name is emptied */
	bool more = host && (load > wish->load || (load == wish->load && strcmp(host->name, wish->host->name) < 0));

	record_unref(host);
	return load <= cluster_threshold_high(wish->cluster) && (!wish->saves || more);
}

/* The VM of the host that can go somewhere good and costs least. */
static bool choose(const struct wish *wish, char **ret_vm, char **ret_host)
{
	g_autoptr(GPtrArray) vms = model_referring(wish->engine->model, &vm_kind, offsetof(struct vm, host), wish->host->id);
	const struct sched_move anywhere = { NULL, NULL };
	const struct vm *best = NULL;
	double least = 0;

	for (guint i = 0; i < vms->len; i++) {
		const struct vm *vm = vms->pdata[i];
		double percent = busy(wish->engine, vm);
		g_autofree char *to = NULL;

		if (vm->state != VM_UP || vm->affinity != AFFINITY_MIGRATABLE || vm->cpu_mode == CPU_MODE_HOST_PASSTHROUGH || (best && percent >= least))
			continue;
		to = sched_pick_host(wish->engine, vm, &anywhere, NULL);
		if (!to || !is_good(wish, to))
			continue;
		best = vm;
		least = percent;
		g_free(*ret_host);
		*ret_host = g_steal_pointer(&to);
	}
	*ret_vm = best ? g_strdup(best->id) : NULL;
	return best != NULL;
}

/* Overloaded ones first, the most loaded of them first; then the least used one. */
static int by_urgency(const void *a, const void *b)
{
	const struct wish *first = a, *second = b;

	if (first->saves != second->saves)
		return first->saves ? 1 : -1;
	if (first->load != second->load)
		return (first->load > second->load) == !first->saves ? -1 : 1;
	return strcmp(first->host->name, second->host->name);
}

/* The hosts that should give a VM away. */
static GArray *wishes_of(struct balance *balance, struct engine *engine, const struct cluster *cluster, GPtrArray *hosts, int64_t now_usec)
{
	bool even = !g_strcmp0(cluster->scheduling_policy, "evenly_distributed"), save = !g_strcmp0(cluster->scheduling_policy, "power_saving");
	int64_t lasting = (HAS(cluster, threshold_duration) ? cluster->threshold_duration : BALANCE_DURATION_S) * (int64_t)G_USEC_PER_SEC;
	GArray *wishes = g_array_new(FALSE, FALSE, sizeof(struct wish));

	for (guint i = 0; i < hosts->len; i++) {
		const struct host *host = hosts->pdata[i];
		struct since *since = since_of(balance, host->id);
		bool counts = (even || save) && host->state == HOST_UP && fleet_is_connected(engine->fleet, host->id);
		struct wish wish = { engine, cluster, host, counts ? sched_load(engine, host) : 0, false };

		note(&since->over, counts && wish.load > cluster_threshold_high(cluster), now_usec);
		note(&since->under, counts && save && HAS(cluster, threshold_low) && wish.load < cluster->threshold_low, now_usec);
		wish.saves = !since->over;
		if ((since->over && now_usec - since->over >= lasting) || (since->under && now_usec - since->under >= lasting))
			g_array_append_val(wishes, wish);
	}
	g_array_sort(wishes, by_urgency);
	return wishes;
}

bool balance_look(struct balance *balance, struct engine *engine, const struct cluster *cluster, int64_t now_usec, char **ret_vm, char **ret_host)
{
	g_autoptr(GPtrArray) hosts = model_referring(engine->model, &host_kind, offsetof(struct host, cluster), cluster->id);
	g_autoptr(GArray) wishes = wishes_of(balance, engine, cluster, hosts, now_usec);

	*ret_vm = *ret_host = NULL;
	for (guint i = 0; i < wishes->len; i++) {
		const struct wish *wish = &g_array_index(wishes, struct wish, i);

		if (!choose(wish, ret_vm, ret_host))
			continue;
		log_info("host %s of cluster %s has a load of %.0f %%: VM %s goes to host %s", wish->host->name, cluster->name, wish->load, *ret_vm, *ret_host);
		/* what it is without the VM is seen anew */
		*since_of(balance, wish->host->id) = (struct since){ 0, 0 };
		return true;
	}
	return false;
}
