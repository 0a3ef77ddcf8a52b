/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See kdump.h. What comes are datagrams of 8 bytes in the host's own byte order: a magic number and a version (fence-agents, fence_kdump(8)). There is no
 * proof of who sent one but the sender's address, so little is believed: only a host that is silent already, whose power is managed and whose
 * kdump_detection is on becomes kdumping, and an administrator may switch its power by force.
 *
 *	connecting, non_responsive   -- a message from the host's address ->                kdumping
 *	kdumping                     -- no message for [agent] kdump_finished seconds ->    non_responsive
 *	kdumping                     -- the agent answers again ->                          up (sync.c)
 *
 * The loop receives; the addresses of hosts are looked up on the lane "kdump", for a name server may be slow. A sender whose message is being looked at is
 * not listened to meanwhile, and of others at most SENDERS_MAX are. After a restart of the engine a host that was kdumping has its seconds anew.
 */
#include "engine/fleet/kdump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/resolve.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/model.h"
#include "engine/store/store.h"

#define LOG_MODULE "fleet"
#define MAGIC 0x1B302A40u
#define VERSION 1u
#define SENDERS_MAX 64
#define DATAGRAMS_MAX 100                /* in one turn of the loop */

/* Codes of our own */
#define EVENT_DUMPS 20310
#define EVENT_DUMPED 20311

struct kdump {
	struct engine *engine;
	int fd;
	int64_t finished_usec;
	struct watch *watch;
	struct timer *timer;
	GHashTable *last;                /* host id -> struct kdump_time: when it was heard last */
	GHashTable *senders;             /* addresses that are being looked at */
};
struct kdump_time { int64_t usec; };

/* ---- into the model: lane "kdump" ---- */

struct sighting { struct kdump *kdump; struct in6_addr from; char *sender, *host_id; };

static void sighting_free(void *data)
{
	struct sighting *sighting = data;

	g_free(sighting->sender);
	g_free(sighting->host_id);
	g_free(sighting);
}

static bool is_candidate(const struct host *host)
{
	bool silent = host->state == HOST_CONNECTING || host->state == HOST_NON_RESPONSIVE || host->state == HOST_KDUMPING;

	return silent && host->pm_enabled && host->kdump_detection;
}

static bool edit_dumps(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;

	if (!is_candidate(host) || host->state == HOST_KDUMPING)
		return false;
	SET(host, state, HOST_KDUMPING);
	set_string(&host->state_detail, "its kernel has crashed, its memory is being saved");
	change_event(change, EVENT_DUMPS, NULL, (void *[]){ host, NULL }, "The kernel of host %s has crashed and saves its memory: its power is left on.",
		     host->name);
	return true;
}

static bool edit_dumped(void *copy, struct change *change, void *data, GError **error)
{
	struct host *host = copy;

	if (host->state != HOST_KDUMPING)
		return false;
	SET(host, state, HOST_NON_RESPONSIVE);
	set_string(&host->state_detail, "nothing is heard any more of the dump of its memory");
	change_event(change, EVENT_DUMPED, NULL, (void *[]){ host, NULL }, "The dump of the memory of host %s is over.", host->name);
	return true;
}

/* IPv4 as IPv6 shows it. */
static struct in6_addr canonical(const struct sockaddr_storage *address)
{
	struct in6_addr result = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (address->ss_family == AF_INET6)
		result = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	else
		memcpy(&result.s6_addr[12], &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	return result;
}

static bool is_at(const struct host *host, const struct in6_addr *from)
{
	struct sockaddr_storage address;
	socklen_t length;
	struct in6_addr own;

	if (!resolve_address(host->address, 0, &address, &length, NULL))
		return false;
	own = canonical(&address);
	return !memcmp(&own, from, sizeof(own));
}

static void heard(void *data);

/* What the job knows goes to the loop; the job's own end frees an empty shell. */
static void hand_back(struct sighting *sighting)
{
	struct sighting *handed = g_memdup2(sighting, sizeof(*sighting));

	sighting->sender = sighting->host_id = NULL;
	loop_post(handed->kdump->engine->loop, heard, handed, sighting_free);
}

static void look_up(void *data)
{
	struct sighting *sighting = data;
	struct engine *engine = sighting->kdump->engine;
	g_autoptr(GPtrArray) hosts = model_list(engine->model, &host_kind);

	for (guint i = 0; i < hosts->len && !sighting->host_id; i++) {
		const struct host *host = hosts->pdata[i];

		if (is_candidate(host) && is_at(host, &sighting->from)) {
			sighting->host_id = g_strdup(host->id);
			(void)store_modify(engine->store, &host_kind, host->id, edit_dumps, NULL, NULL, NULL);
		}
	}
	hand_back(sighting);
}

static void end_dump(void *data)
{
	struct sighting *sighting = data;
	g_autoptr(GError) error = NULL;

	if (store_modify(sighting->kdump->engine->store, &host_kind, sighting->host_id, edit_dumped, NULL, NULL, &error) || !error)
		return;
	log_warn("host %s: the end of its dump: %s, trying again", sighting->host_id, error->message);
	hand_back(sighting);
}

/* Takes the sighting. */
static bool submit(struct sighting *sighting, void (*run)(void *data))
{
	struct lane_job job = { .name = "kdump", .run = run, .data = sighting, .free_data = sighting_free };
	g_autoptr(GError) error = NULL;

	if (lane_submit(sighting->kdump->engine->lanes, "kdump", &job, &error))
		return true;
	log_warn("kdump: %s, ignoring", error->message);
	sighting_free(sighting);
	return false;
}

/* ---- the loop ---- */

static void note(struct kdump *kdump, const char *host_id)
{
	struct kdump_time *time = g_new(struct kdump_time, 1);

	time->usec = now_usec();
	g_hash_table_insert(kdump->last, g_strdup(host_id), time);
	if (g_hash_table_size(kdump->last) == 1)
		timer_set(kdump->timer, kdump->finished_usec);
}

static void heard(void *data)
{
	struct sighting *sighting = data;

	if (sighting->sender)
		g_hash_table_remove(sighting->kdump->senders, sighting->sender);
	if (sighting->host_id)
		note(sighting->kdump, sighting->host_id);
	sighting_free(sighting);
}

static void on_timer(void *data)
{
	struct kdump *kdump = data;
	int64_t now = now_usec(), next = INT64_MAX;
	GHashTableIter iter;
	void *host_id, *value;

	g_hash_table_iter_init(&iter, kdump->last);
	while (g_hash_table_iter_next(&iter, &host_id, &value)) {
		int64_t left = ((struct kdump_time *)value)->usec + kdump->finished_usec - now;
		struct sighting *sighting;

		if (left > 0) {
			next = MIN(next, left);
			continue;
		}
		sighting = g_new0(struct sighting, 1);
		sighting->kdump = kdump;
		sighting->host_id = g_strdup(host_id);
		if (submit(sighting, end_dump))
			g_hash_table_iter_remove(&iter);
		else
			next = MIN(next, G_USEC_PER_SEC);
	}
	if (next < INT64_MAX)
		timer_set(kdump->timer, next);
}

static bool is_message(const uint32_t *words, ssize_t n)
{
	return n == 8 && ((words[0] == MAGIC && words[1] == VERSION) || (words[0] == GUINT32_SWAP_LE_BE(MAGIC) && words[1] == GUINT32_SWAP_LE_BE(VERSION)));
}

static void on_readable(int fd, unsigned what, void *data)
{
	struct kdump *kdump = data;

	for (int i = 0; i < DATAGRAMS_MAX; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t length = sizeof(from);
		uint32_t words[3];
		ssize_t n = recvfrom(fd, words, sizeof(words), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &length);
		char text[INET6_ADDRSTRLEN];
		struct sighting *sighting;
		struct in6_addr address;

		if (n < 0)
			break;
		if (!is_message(words, n) || g_hash_table_size(kdump->senders) >= SENDERS_MAX)
			continue;
		address = canonical(&from);
		inet_ntop(AF_INET6, &address, text, sizeof(text));
		if (!g_hash_table_add(kdump->senders, g_strdup(text)))
			continue;
		sighting = g_new0(struct sighting, 1);
		*sighting = (struct sighting){ kdump, address, g_strdup(text), NULL };
		if (!submit(sighting, look_up))
			g_hash_table_remove(kdump->senders, text);
	}
}

/* Both families, or IPv4 where there is no IPv6. -1 + error */
static int open_socket(uint16_t port, GError **error)
{
	struct sockaddr_in6 both = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), no = 0;
	bool bound = fd >= 0 && !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) && !bind(fd, (struct sockaddr *)&both, sizeof(both));

	if (!bound && (fd < 0 || errno == EADDRNOTAVAIL)) {
		if (fd >= 0)
			close(fd);
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		bound = fd >= 0 && !bind(fd, (struct sockaddr *)&four, sizeof(four));
	}
	if (bound)
		return fd;
	error_set_errno(error, ERR_IO_FAILED, errno, "[agent] kdump_port %u", port);
	if (fd >= 0)
		close(fd);
	return -1;
}

struct kdump *kdump_new(struct engine *engine, GError **error)
{
	uint16_t port = (uint16_t)config_int(engine->config, "agent", "kdump_port");
	int fd = port ? open_socket(port, error) : -1;
	g_autoptr(GPtrArray) hosts = fd >= 0 ? model_list(engine->model, &host_kind) : NULL;
	struct kdump *kdump;

	if (fd < 0)
		return NULL;
	kdump = g_new0(struct kdump, 1);
	kdump->engine = engine;
	kdump->fd = fd;
	kdump->finished_usec = config_int(engine->config, "agent", "kdump_finished") * G_USEC_PER_SEC;
	kdump->last = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	kdump->senders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	kdump->timer = timer_new(engine->loop, on_timer, kdump);
	kdump->watch = watch_new(engine->loop, fd, on_readable, kdump);
	watch_set(kdump->watch, WATCH_READ);
	for (guint i = 0; i < hosts->len; i++)
		if (((const struct host *)hosts->pdata[i])->state == HOST_KDUMPING)
			note(kdump, object_id(hosts->pdata[i]));
	return kdump;
}

struct kdump *kdump_free(struct kdump *kdump)
{
	if (!kdump)
		return NULL;
	watch_free(kdump->watch);
	timer_free(kdump->timer);
	close(kdump->fd);
	g_hash_table_unref(kdump->last);
	g_hash_table_unref(kdump->senders);
	g_free(kdump);
	return NULL;
}
