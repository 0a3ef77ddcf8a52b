/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST side with 10,000 VMs in the model, over TLS, as clients see it: an engine without hosts in this process, clients in threads of their own.
 * CPU is the process's less the clients' own threads. One JSON object a line: {"name","value","unit","limit","ok"}.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/error.h"
#include "engine/api/api.h"
#include "engine/auth/auth.h"
#include "engine/http/http.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"
#include "tests/bench/rest-client.h"

#define VMS 10000
#define CLIENTS 4
#define CLIENT_REQUESTS 20000

static struct engine engine;
static struct http_server *server;
static struct tls_context *tls;
static struct rest_server where;
static bool failed;

static void report(const char *name, double value, const char *unit, double limit, bool at_least)
{
	bool ok = at_least ? value >= limit : value <= limit;
	failed = failed || !ok;
	printf("{\"name\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"limit\": %g, \"ok\": %s}\n", name, value, unit, limit, ok ? "true" : "false");
	fflush(stdout);
}

static void die(const char *what, GError *error)
{
	fprintf(stderr, "bench-rest: %s: %s\n", what, error ? error->message : "failed");
	exit(1);
}

static double cpu_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- what is in the engine ---- */

static char *vm_id(unsigned i)
{
	return g_strdup_printf("%08x-0000-4000-8000-%012x", i, i);
}

static struct vm *make_vm(unsigned i, const char *cluster)
{
	struct vm *vm = record_new(&vm_type);
	vm->id = vm_id(i);
	vm->name = g_strdup_printf("vm-%05u", i);
	vm->description = g_strdup("a virtual machine of the benchmark");
	SET(vm, state, VM_DOWN);
	SET(vm, memory, 1073741824);
	SET(vm, creation_time, 1423490033647);
	set_ref(&vm->cluster, cluster);
	set_ref(&vm->template, BLANK_ID);
	struct boot_item *boot = list_add(&vm->boot, &boot_item_type);
	SET(boot, dev, BOOT_HD);
	record_defaults(vm, 0);
	return vm;
}

static void fill(void)
{
	struct datacenter *dc = record_new(&datacenter_type);
	struct cluster *cluster = record_new(&cluster_type);
	struct template *template = record_new(&template_type);
	dc->id = g_strdup("00000000-0000-4000-8000-0000000000d0");
	dc->name = g_strdup("Default");
	cluster->id = g_strdup("00000000-0000-4000-8000-0000000000c0");
	cluster->name = g_strdup("Default");
	set_ref(&cluster->data_center, dc->id);
	template->id = g_strdup(BLANK_ID);
	template->name = g_strdup("Blank");
	struct model_change first[] = { { &datacenter_kind, dc->id, dc }, { &cluster_kind, cluster->id, cluster }, { &template_kind, template->id, template } };
	model_publish(engine.model, first, G_N_ELEMENTS(first));

	size_t before = mallinfo2().uordblks;
	for (unsigned i = 0; i < VMS; i++) {
		struct vm *vm = make_vm(i, cluster->id);
		const struct model_change change = { &vm_kind, vm->id, vm };
		model_publish(engine.model, &change, 1);
		record_unref(vm);
	}
	report("engine_memory_per_vm", (double)(mallinfo2().uordblks - before) / VMS / 1024, "KiB", 4, false);
	record_unref(dc);
	record_unref(cluster);
	record_unref(template);
}

static void *run_loop(void *data)
{
	loop_run(engine.loop);
	return NULL;
}

static void set_up(const char *dir)
{
	GError *error = NULL;
	const char *addresses[] = { "127.0.0.1", NULL };
	const struct ca_request request = { .common_name = "localhost", .addresses = addresses, .server = true, .days = 10 };
	char *cert = g_build_filename(dir, "engine.pem", NULL), *key = g_build_filename(dir, "engine.key", NULL), *ca = g_build_filename(dir, "ca.pem", NULL);
	if (!ca_create(dir, "Bench", 10, &error) || !ca_issue(dir, &request, cert, key, &error))
		die("certificates", error);
	engine.loop = loop_new();
	engine.lanes = lane_pool_new(8);
	engine.model = model_new();
	const struct auth_settings auth = { .data_dir = dir };
	const struct api_settings api = { .ca_file = ca };
	if (!(engine.auth = auth_new(&auth, &error)) || !(engine.api = api_new(&engine, &api, &error)))
		die("engine", error);
	const struct tls_settings settings = { .cert_file = cert, .key_file = key, .server = true };
	tls = tls_context_new(&settings, &error);
	if (!tls)
		die("tls", error);
	const struct http_settings http = { .loop = engine.loop, .address = "127.0.0.1", .tls = tls, .serve = api_serve, .data = engine.api };
	server = http_server_new(&http, &error);
	if (!server)
		die("listen", error);
	where.port = http_server_port(server);
	const struct auth_user user = { .id = AUTH_ADMIN_ID, .name = AUTH_ADMIN_NAME };
	static struct auth_user kept;
	kept = user;
	where.session = session_open(engine.auth, &kept, 0);
	where.context = rest_context(ca);
	g_free(cert);
	g_free(key);
	g_free(ca);
}

/* ---- clients ---- */

struct cost { double cpu_ms, wall_ms; };

static struct cost measure(struct rest_client *client, const char *path, const char *accept, unsigned times, size_t *ret_size, double *latencies)
{
	for (unsigned i = 0; i < 2 + times / 10; i++)
		*ret_size = rest_get(client, path, accept);
	double process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID), own = cpu_ms(CLOCK_THREAD_CPUTIME_ID), wall = cpu_ms(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < times; i++) {
		double start = cpu_ms(CLOCK_MONOTONIC);
		(void)rest_get(client, path, accept);
		if (latencies)
			latencies[i] = cpu_ms(CLOCK_MONOTONIC) - start;
	}
	struct cost cost = { (cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - process - (cpu_ms(CLOCK_THREAD_CPUTIME_ID) - own)) / times,
			     (cpu_ms(CLOCK_MONOTONIC) - wall) / times };
	return cost;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

static double clients_cpu[CLIENTS];

static void *client_thread(void *data)
{
	unsigned number = GPOINTER_TO_UINT(data);
	struct rest_client client = rest_open(&where);
	char path[128];
	double own = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned i = 0; i < CLIENT_REQUESTS; i++) {
		char *id = vm_id((i * 37 + number) % VMS);
		g_snprintf(path, sizeof(path), "/ovirt-engine/api/vms/%s", id);
		g_free(id);
		(void)rest_get(&client, path, "application/xml");
	}
	clients_cpu[number] = cpu_ms(CLOCK_THREAD_CPUTIME_ID) - own;
	rest_close(&client);
	return NULL;
}

static void measure_rate(void)
{
	pthread_t threads[CLIENTS];
	double process = cpu_ms(CLOCK_PROCESS_CPUTIME_ID), wall = cpu_ms(CLOCK_MONOTONIC), clients = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_create(&threads[i], NULL, client_thread, GUINT_TO_POINTER(i));
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(threads[i], NULL);
		clients += clients_cpu[i];
	}
	double used = cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - process - clients;
	fprintf(stderr, "# %d clients: %.0f answers a second by the wall clock\n", CLIENTS, CLIENTS * CLIENT_REQUESTS * 1e3 / (cpu_ms(CLOCK_MONOTONIC) - wall));
	/* answers a second of the one loop thread's CPU: what one core can do */
	report("rest_one_vm_rate", CLIENTS * CLIENT_REQUESTS * 1e3 / used, "1/s", 20000, true);
}

int main(void)
{
	char dir[] = "/tmp/berth-bench-XXXXXX";
	pthread_t loop;
	size_t size;
	if (!mkdtemp(dir))
		die("mkdtemp", NULL);
	set_up(dir);
	fill();
	pthread_create(&loop, NULL, run_loop, NULL);

	struct rest_client client = rest_open(&where);
	struct cost cost = measure(&client, "/ovirt-engine/api/vms", "application/xml", 10, &size, NULL);
	fprintf(stderr, "# XML: %.1f MiB, %.1f ms by the wall clock\n", (double)size / (1 << 20), cost.wall_ms);
	report("rest_list_10000_vms_xml_cpu", cost.cpu_ms, "ms", 150, false);
	cost = measure(&client, "/ovirt-engine/api/vms", "application/json", 10, &size, NULL);
	fprintf(stderr, "# JSON: %.1f MiB, %.1f ms by the wall clock\n", (double)size / (1 << 20), cost.wall_ms);
	report("rest_list_10000_vms_json_cpu", cost.cpu_ms, "ms", 120, false);

	char *id = vm_id(4711), *path = g_strconcat("/ovirt-engine/api/vms/", id, NULL);
	static double latencies[5000];
	cost = measure(&client, path, "application/xml", G_N_ELEMENTS(latencies), &size, latencies);
	qsort(latencies, G_N_ELEMENTS(latencies), sizeof(*latencies), by_value);
	report("rest_one_vm_cpu", cost.cpu_ms, "ms", 0.2, false);
	report("rest_one_vm_p50", latencies[G_N_ELEMENTS(latencies) / 2], "ms", 0.3, false);
	fprintf(stderr, "# one VM: %zu bytes, p99 %.3f ms\n", size, latencies[G_N_ELEMENTS(latencies) * 99 / 100]);
	g_free(id);
	g_free(path);

	static double searches[200];
	(void)measure(&client, "/ovirt-engine/api/vms?search=name%3Dvm-0471*", "application/xml", G_N_ELEMENTS(searches), &size, searches);
	qsort(searches, G_N_ELEMENTS(searches), sizeof(*searches), by_value);
	report("rest_search_prefix", searches[G_N_ELEMENTS(searches) / 2], "ms", 5, false);
	rest_close(&client);
	measure_rate();

	loop_stop(engine.loop);
	pthread_join(loop, NULL);
	char *command = g_strdup_printf("rm -rf '%s'", dir);
	int status = system(command);
	(void)status;
	g_free(command);
	return failed ? 1 : 0;
}
