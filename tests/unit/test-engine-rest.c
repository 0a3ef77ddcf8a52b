/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Representations against golden files: tests/golden/rest/NAME.{xml,json}. REGENERATE=1 writes them anew; review the difference with care.
 * The API in this process, with a model of fixed ids and without store and hosts.
 */
#include "tests/unit/cmocka-all.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/api/api.h"
#include "engine/auth/auth.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/nic.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"

#define DC "00000002-0002-0002-0002-0000000003ab"
#define CLUSTER "00000001-0001-0001-0001-00000000021a"
#define VM "11111111-2222-3333-4444-555555555555"
#define NIC "22222222-2222-3333-4444-555555555555"

static struct engine engine;
static char dir[] = "/tmp/berth-rest-XXXXXX";
static char *cookie;
static const struct auth_user admin = { .id = AUTH_ADMIN_ID, .name = AUTH_ADMIN_NAME };

static void publish(const struct kind *kind, const char *id, void *record)
{
	const struct model_change change = { kind, id, record };
	model_publish(engine.model, &change, 1);
	record_unref(record);
}

static void fill(void)
{
	struct datacenter *dc = record_new(&datacenter_type);
	dc->id = g_strdup(DC);
	dc->name = g_strdup("Default");
	dc->description = g_strdup("The default Data Center");
	SET(dc, local, false);
	SET(dc, state, DATACENTER_UP);
	record_defaults(dc, 0);
	publish(&datacenter_kind, DC, dc);
	struct cluster *cluster = record_new(&cluster_type);
	cluster->id = g_strdup(CLUSTER);
	cluster->name = g_strdup("Default");
	cluster->cpu_id = g_strdup("Intel Penryn Family");
	set_ref(&cluster->data_center, DC);
	SET(cluster, major, 3);
	SET(cluster, minor, 6);
	record_defaults(cluster, 0);
	publish(&cluster_kind, CLUSTER, cluster);
	struct template *blank = record_new(&template_type);
	blank->id = g_strdup(BLANK_ID);
	blank->name = g_strdup("Blank");
	publish(&template_kind, BLANK_ID, blank);
	struct vm *vm = record_new(&vm_type);
	vm->id = g_strdup(VM);
	vm->name = g_strdup("vm1");
	vm->description = g_strdup("<Größe> & \"Zeichen\"");
	SET(vm, state, VM_DOWN);
	SET(vm, memory, 1073741824);
	SET(vm, creation_time, 1423490033647);
	set_ref(&vm->cluster, CLUSTER);
	set_ref(&vm->template, BLANK_ID);
	struct boot_item *boot = list_add(&vm->boot, &boot_item_type);
	SET(boot, dev, BOOT_HD);
	record_defaults(vm, 0);
	publish(&vm_kind, VM, vm);
	struct nic *nic = record_new(&nic_type);
	nic->id = g_strdup(NIC);
	nic->name = g_strdup("nic1");
	set_ref(&nic->vm, VM);
	SET(nic, interface, NIC_VIRTIO);
	publish(&nic_kind, NIC, nic);
	struct event *event = record_new(&event_type);
	event->id = g_strdup("101");
	event->description = g_strdup("User admin logged in.");
	SET(event, code, 30);
	SET(event, severity, SEVERITY_NORMAL);
	SET(event, time, 1308113282167);
	set_ref(&event->user, AUTH_ADMIN_ID);
	publish(&event_kind, "101", event);
}

static int set_up(void **state)
{
	if (!mkdtemp(dir))
		return 1;
	engine.loop = loop_new();
	engine.lanes = lane_pool_new(4);
	engine.model = model_new();
	const struct auth_settings auth = { .data_dir = dir };
	const struct api_settings api = { 0 };
	engine.auth = auth_new(&auth, NULL);
	engine.api = api_new(&engine, &api, NULL);
	cookie = session_open(engine.auth, &admin, 0);
	fill();
	return engine.auth && engine.api ? 0 : 1;
}

static int tear_down(void **state)
{
	engine.lanes = lane_pool_free(engine.lanes, G_USEC_PER_SEC);
	engine.loop = loop_free(engine.loop);
	engine.api = api_free(engine.api);
	engine.auth = auth_free(engine.auth);
	engine.model = model_free(engine.model);
	g_free(cookie);
	char *command = g_strdup_printf("rm -rf %s", dir);
	int status = system(command);
	g_free(command);
	return status;
}

static void finish(struct exchange *exchange)
{
	loop_stop(engine.loop);
}

static void serve_posted(void *data)
{
	api_serve(data, engine.api);
}

static struct exchange *ask(const char *method, const char *target, const char *accept, const char *body)
{
	struct exchange *exchange = exchange_new();
	char *cookies = g_strdup_printf("JSESSIONID=%s", cookie);
	const struct exchange_header headers[] = { { "Accept", accept }, { "Prefer", "persistent-auth" }, { "Cookie", cookies },
		{ "Content-Type", "application/xml" },
						   { "Host", "localhost" } };
	exchange->method = method;
	exchange->target = g_strdup(target);
	exchange->headers = g_memdup2(headers, sizeof(headers));
	exchange->n_headers = G_N_ELEMENTS(headers);
	exchange->body = body ? g_string_new(body) : NULL;
	exchange->peer = g_strdup("127.0.0.1");
	exchange->local = g_strdup("localhost");
	exchange->secure = true;
	exchange->finish = finish;
	loop_post(engine.loop, serve_posted, exchange, NULL);
	loop_run(engine.loop);
	g_free(cookies);
	return exchange;
}

static void golden(const char *name, const char *method, const char *target, bool json, const char *body, int status)
{
	struct exchange *exchange = ask(method, target, json ? "application/json" : "application/xml", body);
	assert_int_equal(exchange->status, status);
	const char *root = g_getenv("ROOT");
	char *file = g_strdup_printf("%s%stests/golden/rest/%s.%s", root ? root : "", root ? "/" : "", name, json ? "json" : "xml");
	char *expected = NULL;
	if (g_getenv("REGENERATE"))
		assert_true(g_file_set_contents(file, exchange->answer->str, (gssize)exchange->answer->len, NULL));
	if (!g_file_get_contents(file, &expected, NULL, NULL))
		fail_msg("%s is missing; REGENERATE=1 makes it", file);
	if (strcmp(expected, exchange->answer->str) != 0)
		print_error("%s: got\n%s\nexpected\n%s\n", file, exchange->answer->str, expected);
	assert_string_equal(exchange->answer->str, expected);
	g_free(expected);
	g_free(file);
	exchange_free(exchange);
}

static void test_objects(void **state)
{
	golden("datacenters", "GET", "/api/datacenters", false, NULL, 200);
	golden("datacenters", "GET", "/api/datacenters", true, NULL, 200);
	golden("datacenter", "GET", "/api/datacenters/" DC, true, NULL, 200);
	golden("clusters", "GET", "/api/clusters", false, NULL, 200);
	golden("clusters", "GET", "/api/clusters", true, NULL, 200);
	golden("vm", "GET", "/api/vms/" VM, false, NULL, 200);
	golden("vm", "GET", "/api/vms/" VM, true, NULL, 200);
	golden("vms-detail", "GET", "/ovirt-engine/api/vms", false, NULL, 200);
	golden("nics", "GET", "/api/vms/" VM "/nics", false, NULL, 200);
	golden("events", "GET", "/api/events", false, NULL, 200);
	golden("events", "GET", "/api/events", true, NULL, 200);
}

static void test_capabilities(void **state)
{
	golden("capabilities", "GET", "/api/capabilities", false, NULL, 200);
	golden("version", "GET", "/api/capabilities/00000000-0000-0000-0000-000003000006", true, NULL, 200);
}

static void test_faults(void **state)
{
	golden("fault-not-found", "GET", "/api/vms/no", false, NULL, 404);
	golden("fault-not-found", "GET", "/api/vms/no", true, NULL, 404);
	golden("fault-method", "PUT", "/api/vms", false, NULL, 405);
	golden("fault-search", "GET", "/api/vms?search=name%3D", false, NULL, 400);
	golden("fault-id", "PUT", "/api/vms/" VM, false, "<vm id='00000000-0000-0000-0000-000000000001'/>", 409);
	golden("fault-incomplete", "POST", "/api/vms", false, "<vm/>", 400);
	golden("fault-value", "POST", "/api/vms", false, "<vm><name>x</name><memory>much</memory></vm>", 400);
	golden("fault-syntax", "POST", "/api/vms", false, "<vm><name>", 400);
	golden("fault-doctype", "POST", "/api/vms", false, "<!DOCTYPE x><vm/>", 400);
	golden("fault-reference", "POST", "/api/vms", false,
	       "<vm><name>x</name><cluster><name>nosuch</name></cluster><template><name>blank</name></template></vm>", 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_objects), cmocka_unit_test(test_capabilities), cmocka_unit_test(test_faults) };
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
