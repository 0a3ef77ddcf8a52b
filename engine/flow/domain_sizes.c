/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/domain_sizes.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/flow/storage_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/model.h"
#include "engine/store/store.h"

#define LOG_MODULE "flow"
#define GIB (INT64_C(1) << 30)

/* Event codes, appendix C */
#define EVENT_LOW_SPACE 26
#define EVENT_CRITICAL_SPACE 201

enum fullness { SPACE_ENOUGH, SPACE_LOW, SPACE_CRITICAL };

/* What this process knows beside the records. An entry costs less than 100 bytes and stays when its domain goes. */
struct seen { int64_t asked_usec; bool asking; enum fullness told; };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *seen_by_id;

/* Lock held. */
static struct seen *seen_of(const char *domain_id)
{
	struct seen *seen;

	if (!seen_by_id)
		seen_by_id = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	seen = g_hash_table_lookup(seen_by_id, domain_id);
	if (!seen) {
		seen = g_new0(struct seen, 1);
		g_hash_table_insert(seen_by_id, g_strdup(domain_id), seen);
	}
	return seen;
}

/* ---- rules ---- */

static enum fullness fullness_of(const struct storage_domain *domain)
{
	int64_t total = domain->available + domain->used;

	if (HAS(domain, critical_space_action_blocker) && domain->available < domain->critical_space_action_blocker * GIB)
		return SPACE_CRITICAL;
	if (HAS(domain, warning_low_space_indicator) && total > 0 && domain->available / (double)total * 100 < domain->warning_low_space_indicator)
		return SPACE_LOW;
	return SPACE_ENOUGH;
}

bool domain_has_space(const struct storage_domain *domain, int64_t bytes, GError **error)
{
	if (fullness_of(domain) == SPACE_CRITICAL) {
		error_set(error, ERR_OPERATION_FAILED,
			  "storage domain '%s' has %" PRId64 " bytes free, below its limit of %d GiB (critical_space_action_blocker)", domain->name,
			  domain->available, domain->critical_space_action_blocker);
		return false;
	}
	if (bytes > domain->available) {
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' has %" PRId64 " bytes free, %" PRId64 " are needed", domain->name, domain->available,
			  bytes);
		return false;
	}
	return true;
}

int64_t domain_committed(struct model *model, const char *domain_id)
{
	g_autoptr(GPtrArray) disks = model_list(model, &disk_kind);
	int64_t sum = 0;

	for (guint i = 0; i < disks->len; i++)
		if (!g_strcmp0(disk_domain(disks->pdata[i]), domain_id))
			sum += ((const struct disk *)disks->pdata[i])->size;
	return sum;
}

/* ---- asking ---- */

struct sizes { int64_t total, free, committed; };

static bool edit_sizes(void *copy, struct change *change, void *data, GError **error)
{
	struct storage_domain *domain = copy;
	const struct sizes *sizes = data;

	if (domain->available == sizes->free && domain->used == sizes->total - sizes->free && domain->committed == sizes->committed)
		return false;
	SET(domain, available, sizes->free);
	SET(domain, used, sizes->total - sizes->free);
	SET(domain, committed, sizes->committed);
	return true;
}

static void warn(struct engine *engine, const struct storage_domain *domain)
{
	enum fullness now = fullness_of(domain), told;

	{
		AUTO_LOCK(&lock);
		told = seen_of(domain->id)->told;
		seen_of(domain->id)->told = now;
	}
	if (now <= told)
		return;
	store_event(engine->store, now == SPACE_LOW ? EVENT_LOW_SPACE : EVENT_CRITICAL_SPACE, NULL, (void *[]){ (void *)domain, NULL },
		    now == SPACE_LOW ? "Warning, Low disk space. %s domain has %" PRId64 " GB of free space." :
				       "Critical, Low disk space. %s domain has %" PRId64 " GB of free space.",
		    domain->name, domain->available / GIB);
}

void domain_sizes_refresh(struct engine *engine, const char *domain_id)
{
	struct storage_domain *domain = model_get(engine->model, &storage_domain_kind, domain_id);
	g_autofree char *host = domain ? storage_worker(engine, domain, NULL) : NULL;
	g_autoptr(GError) error = NULL;

	if (host) {
		const struct storage_call call = { engine, host, NULL, AGENT_PATIENCE_NONE };
		struct sizes sizes = { .committed = domain_committed(engine->model, domain_id) };
		void *now = NULL;

		if (!storage_sizes(&call, domain_id, &sizes.total, &sizes.free, &error) ||
		    !store_modify(engine->store, &storage_domain_kind, domain_id, edit_sizes, &sizes, &now, &error))
			log_debug("storage domain %s: sizes: %s, ignoring", domain_id, error->message);
		if (now)
			warn(engine, now);
		record_unref(now);
	}
	record_unref(domain);
	AUTO_LOCK(&lock);
	seen_of(domain_id)->asked_usec = now_usec();
	seen_of(domain_id)->asking = false;
}

struct wish { struct engine *engine; char *domain_id; };

static void wish_free(void *data)
{
	struct wish *wish = data;

	g_free(wish->domain_id);
	g_free(wish);
}

static void run(void *data)
{
	struct wish *wish = data;

	domain_sizes_refresh(wish->engine, wish->domain_id);
}

void domain_sizes_want(struct engine *engine, const struct storage_domain *domain)
{
	g_autofree char *lane = g_strdup_printf("sizes/%s", domain->id);
	struct wish *wish;
	struct lane_job job = { .name = "sizes", .run = run, .free_data = wish_free };

	if (domain->state == DOMAIN_LOCKED)
		return;
	{
		AUTO_LOCK(&lock);
		struct seen *seen = seen_of(domain->id);

		if (seen->asking || (seen->asked_usec && now_usec() - seen->asked_usec < DOMAIN_SIZES_USEC))
			return;
		seen->asking = true;
	}
	wish = g_new0(struct wish, 1);
	*wish = (struct wish){ engine, g_strdup(domain->id) };
	job.data = wish;
	if (!lane_submit(engine->lanes, lane, &job, NULL)) {
		wish_free(wish);
		AUTO_LOCK(&lock);
		seen_of(domain->id)->asking = false;
	}
}
