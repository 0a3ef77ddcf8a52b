/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part of fleet.py:
 *
 *	fleet-engine fill HOSTS VMS DATA PORT   these hosts, with so many VMs each, go into an engine's store
 *	fleet-engine mixed HOSTS VMS CA PORT SESSION CLIENTS SECONDS RATE   so many requests a second in all; a request's time counts from when it was due
 *	fleet-engine changes HOSTS VMS CA PORT SESSION CLIENTS SECONDS      each client changes a VM of its own, as often as it can
 *
 * The last two print one JSON object: {"rate": 1/s, "p50": ms, "p99": ms, "worst": ms}.
 */
#include <poll.h>
#include "common/error.h"
#include "common/loop.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "tests/bench/fleet.h"
#include "tests/bench/rest-client.h"

#define TOGETHER 500                    /* in one change, when the store is filled */

static void check(bool ok, const GError *error)
{
	if (!ok)
		rest_die(error ? error->message : "failed");
}

/* ---- the store ---- */

static void *made_host(unsigned h, uint16_t port, const char *cluster)
{
	struct host *host = record_new(&host_type);

	host->id = host_id(h);
	host->agent_uuid = host_id(h);
	host->name = g_strdup_printf("host-%04u", h);
	host->address = host_address(h);
	SET(host, port, port);
	SET(host, state, HOST_UP);
	set_ref(&host->cluster, cluster);
	record_defaults(host, 0);
	return host;
}

static void *made_vm(unsigned v, const char *cluster, const struct template *blank)
{
	g_autofree char *host = host_id(v / vms_each);
	struct vm *vm = record_new(&vm_type);

	vm->id = vm_id(v);
	vm->name = g_strdup_printf("vm-%06u.example.com", v);
	set_string(&vm->description, "made by the bench");
	set_ref(&vm->cluster, cluster);
	set_ref(&vm->template, BLANK_ID);
	SET(vm, state, VM_UP);
	set_ref(&vm->host, host);
	SET(vm, creation_time, wall_msec());
	SET(vm, start_time, wall_msec());
	vm_inherit(vm, blank);
	return vm;
}

static void fill(const char *dir, uint16_t port)
{
	struct model *model = model_new();
	g_autoptr(GError) error = NULL;
	const struct store_settings settings = { .data_dir = dir };
	struct store *store = store_open(&settings, model, &error);
	struct cluster *cluster;
	struct template *blank;

	check(store, error);
	cluster = model_find(model, &cluster_kind, NULL, "Default");
	blank = model_get(model, &template_kind, BLANK_ID);
	for (unsigned i = 0, all = hosts + hosts * vms_each; i < all;) {
		struct change *change = change_new(store);

		for (unsigned together = 0; together < TOGETHER && i < all; together++, i++) {
			void *record = i < hosts ? made_host(i, port, cluster->id) : made_vm(i - hosts, cluster->id, blank);

			change_add(change, record);
			record_unref(record);
		}
		check(change_commit(change, &error), error);
	}
	record_unref(cluster);
	record_unref(blank);
	(void)store_close(store);
	(void)model_free(model);
}

/* ---- clients ---- */

/* due_usec: of the request under way, if busy, or of the next one. gap_usec: from one to the next; 0 means as often as it can. */
struct load_client { struct rest_client rest; unsigned number, n, random; int64_t due_usec, gap_usec; bool mixed, busy; };

static const char *const searches[] = {
	"/ovirt-engine/api/vms?search=name%%3Dvm-%03u*%%20page%%201", "/ovirt-engine/api/vms?search=host%%3Dhost-%04u%%20sortby%%20name%%20page%%201",
};

/* Of a hundred: 80 single VMs and hosts, 10 statistics, 5 parts of one, 4 changes, 1 list of a hundred. */
static void mixed_request(struct rest_client *client, unsigned n, unsigned random)
{
	unsigned kind = n % 100, v = random % (hosts * vms_each);
	g_autofree char *id = kind % 10 == 3 && kind < 80 ? host_id(random % hosts) : vm_id(v);
	char path[256], body[128];
	bool change = kind >= 95 && kind < 99;

	if (kind < 80)
		g_snprintf(path, sizeof(path), "/ovirt-engine/api/%s/%s", kind % 10 == 3 ? "hosts" : "vms", id);
	else if (kind < 95)
		g_snprintf(path, sizeof(path), "/ovirt-engine/api/vms/%s/%s", id, kind < 90 ? "statistics" : "nics");
	else if (change)
		g_snprintf(path, sizeof(path), "/ovirt-engine/api/vms/%s", id);
	else
		g_snprintf(path, sizeof(path), searches[random % 2], random % 2 ? random % hosts : random % 1000);
	g_snprintf(body, sizeof(body), "<vm><comment>changed %u</comment></vm>", random);
	rest_send(client, change ? "PUT" : "GET", path, change || n % 2 ? "application/xml" : "application/json", change ? body : NULL);
}

static void change_request(struct rest_client *client, unsigned number, unsigned n)
{
	g_autofree char *id = vm_id(number), *path = g_strconcat("/ovirt-engine/api/vms/", id, NULL);
	char body[128];

	g_snprintf(body, sizeof(body), "<vm><comment>change %u</comment></vm>", n);
	rest_send(client, "PUT", path, "application/xml", body);
}

static void send_request(struct load_client *load)
{
	load->random = load->random * 1664525 + 1013904223;
	if (load->mixed)
		mixed_request(&load->rest, load->n, load->random >> 8);
	else
		change_request(&load->rest, load->number, load->n);
	load->n++;
	load->busy = true;
}

/* What has come, and what is due. Returns how many wait for an answer. */
static unsigned turn(struct load_client *loads, struct pollfd *polled, unsigned clients, bool ending, GArray *samples)
{
	unsigned busy = 0;
	size_t size;

	check(poll(polled, clients, 0) >= 0, NULL);
	for (unsigned i = 0; i < clients; i++) {
		struct load_client *load = &loads[i];
		int64_t now = now_usec(), took = now - load->due_usec;

		if (load->busy && polled[i].revents) {
			if (rest_read(&load->rest, &size) != 200)
				rest_die(load->rest.buffer);
			g_array_append_val(samples, took);
			load->busy = false;
			load->due_usec = load->gap_usec ? load->due_usec + load->gap_usec : now;
		}
		if (!load->busy && !ending && now >= load->due_usec)
			send_request(load);
		busy += load->busy;
	}
	return busy;
}

static int by_value(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

/* samples: sorted, usec */
static double percentile_ms(const GArray *samples, unsigned percent)
{
	guint64 rank = ((guint64)samples->len - 1) * percent / 100;

	return (double)g_array_index(samples, int64_t, rank) / 1000;
}

/*
 * One thread that polls and never sleeps: a client that sleeps is woken by whoever answers, which between two processors of one virtual machine costs the
 * engine up to a sixth of its time; clients on other machines cost it nothing like it.
 */
static void run_load(struct rest_server *server, unsigned clients, double rate, int64_t usec)
{
	g_autofree struct load_client *loads = g_new0(struct load_client, clients);
	g_autofree struct pollfd *polled = g_new0(struct pollfd, clients);
	g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(int64_t));
	int64_t gap_usec = rate > 0 ? (int64_t)(1e6 * clients / rate) : 0, begun;

	for (unsigned i = 0; i < clients; i++) {
		loads[i] = (struct load_client){ .rest = rest_open(server), .number = i, .n = i * 37, .random = i * 2654435761U + 1, .gap_usec = gap_usec, .mixed = rate > 0 };
		polled[i] = (struct pollfd){ .fd = loads[i].rest.fd, .events = POLLIN };
	}
	begun = now_usec();
	for (unsigned i = 0; i < clients; i++)
		loads[i].due_usec = begun + gap_usec * i / clients;
	while (now_usec() < begun + usec)
		turn(loads, polled, clients, /* ending= */ false, samples);
	while (turn(loads, polled, clients, /* ending= */ true, samples))
		;
	for (unsigned i = 0; i < clients; i++)
		rest_close(&loads[i].rest);
	g_array_sort(samples, by_value);
	printf("{\"rate\": %.0f, \"p50\": %.3f, \"p99\": %.3f, \"worst\": %.3f}\n", samples->len * 1e6 / (double)(now_usec() - begun),
	       percentile_ms(samples, 50), percentile_ms(samples, 99), percentile_ms(samples, 100));
}

int main(int argc, char **argv)
{
	hosts = argc > 3 ? number(argv[2]) : 0;
	vms_each = argc > 3 ? number(argv[3]) : 0;
	if (argc == 6 && !strcmp(argv[1], "fill"))
		fill(argv[4], (uint16_t)number(argv[5]));
	else if ((argc == 10 && !strcmp(argv[1], "mixed")) || (argc == 9 && !strcmp(argv[1], "changes"))) {
		struct rest_server server = { (uint16_t)number(argv[5]), rest_context(argv[4]), argv[6] };

		run_load(&server, number(argv[7]), argc == 10 ? number(argv[9]) : 0, number(argv[8]) * G_USEC_PER_SEC);
	} else
		rest_die("usage: see the head of tests/bench/fleet-engine.c");
	return 0;
}
