/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What 10,000 virtual machines cost as records: listing them as XML and as JSON, loading them from the store, and keeping them.
 * Each has about 70 members in nested paths, 15 of them references and lists. One JSON line a number; times are CPU time, the best of five.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "common/record.h"

#define COUNT 10000
#define ROUNDS 5

static const char *const types[] = { "desktop", "server", NULL };

struct bench_boot { struct record record; char *dev; };
static const struct field boot_fields[] = {
	FIELD_STRING_(struct bench_boot, dev, "@dev", CREATE | UPDATE, "device"),
};
static const struct record_type boot_type = RECORD_TYPE("boot", NULL, struct bench_boot, boot_fields, "Boot device");

struct bench_property { struct record record; char *name, *value; };
static const struct field property_fields[] = {
	FIELD_STRING_(struct bench_property, name,  "name",  CREATE | UPDATE, "name"),
	FIELD_STRING_(struct bench_property, value, "value", CREATE | UPDATE, "value"),
};
static const struct record_type property_type = RECORD_TYPE("custom_property", NULL, struct bench_property, property_fields, "Property");

struct bench_vm {
	struct record record;
	char *id, *strings[18];
	int ints[14], enums[4];
	bool bools[14];
	int64_t longs[6], times[4];
	double decimals[2];
	struct ref refs[9];
	GPtrArray *boot, *properties, *usages, *groups, *addresses, *labels;
};
#define S(i, path, flags)  FIELD_STRING_(struct bench_vm, strings[i], path, flags, "text")
#define I(i, path)         FIELD_INT_(struct bench_vm, ints[i], path, CREATE | UPDATE, "number")
#define B(i, path)         FIELD_BOOL_(struct bench_vm, bools[i], path, CREATE | UPDATE, "switch")
#define L(i, path)         FIELD_LONG_(struct bench_vm, longs[i], path, CREATE | UPDATE, "bytes")
#define T(i, path)         FIELD_TIME_(struct bench_vm, times[i], path, READ_ONLY, "time")
#define E(i, path)         FIELD_ENUM_(struct bench_vm, enums[i], path, CREATE | UPDATE, types, "kind")
#define R(i, path, target) FIELD_REF_(struct bench_vm, refs[i], path, CREATE | UPDATE, target, "reference")
static const struct field vm_fields[] = {
	FIELD_UUID_(struct bench_vm, id, "@id", READ_ONLY, "id"),
	S(0, "name", CREATE | UPDATE | HEAD), S(1, "description", CREATE | UPDATE | HEAD), S(2, "comment", CREATE | UPDATE | HEAD),
	E(0, "type"), S(3, "status/state", READ_ONLY), S(4, "status/detail", READ_ONLY), L(0, "memory"), L(1, "memory_policy/guaranteed"),
	L(2, "memory_policy/max"), B(0, "memory_policy/ballooning"), I(0, "cpu/topology@sockets"), I(1, "cpu/topology@cores"),
	I(2, "cpu/topology@threads"), S(5, "cpu/architecture", READ_ONLY), S(6, "cpu/mode", CREATE), I(3, "cpu_shares"), S(7, "os@type", CREATE | UPDATE),
	FIELD_LIST_(struct bench_vm, boot, "os/boot", CREATE | UPDATE, &boot_type, "boot devices"),
	S(8, "os/kernel", CREATE | UPDATE), S(9, "os/initrd", CREATE | UPDATE), S(10, "os/cmdline", CREATE | UPDATE),
	B(1, "high_availability/enabled"), I(4, "high_availability/priority"), E(1, "display/type"), S(11, "display/address", READ_ONLY),
	I(5, "display/port"), I(6, "display/secure_port"), I(7, "display/monitors"), B(2, "display/single_qxl_pci"), B(3, "display/allow_override"),
	B(4, "display/smartcard_enabled"), B(5, "display/file_transfer_enabled"), R(0, "cluster", "clusters"), R(1, "template", "templates"),
	R(2, "host", "hosts"), R(3, "placement_policy/host", "hosts"), S(12, "placement_policy/affinity", CREATE | UPDATE), R(4, "quota", "quotas"),
	R(5, "cpu_profile", "cpuprofiles"), R(6, "instance_type", "instancetypes"), R(7, "vmpool", "vmpools"), R(8, "storage_domain", "storagedomains"),
	T(0, "creation_time"), T(1, "start_time"), T(2, "stop_time"), T(3, "guest_time"), B(6, "stateless"), B(7, "delete_protected"), B(8, "usb/enabled"),
	E(2, "usb/type"), S(13, "origin", READ_ONLY), B(9, "tunnel_migration"), I(8, "migration_downtime"), E(3, "migration/auto_converge"),
	B(10, "migration/compressed"), I(9, "io/threads"), S(14, "time_zone/name", CREATE | UPDATE), S(15, "serial_number/policy", CREATE | UPDATE),
	S(16, "guest_info/fqdn", READ_ONLY), FIELD_STRINGS_(struct bench_vm, addresses, "guest_info/ips/ip", READ_ONLY, "addresses"),
	FIELD_LIST_(struct bench_vm, properties, "custom_properties/custom_property", CREATE | UPDATE, &property_type, "properties"),
	FIELD_STRINGS_(struct bench_vm, usages, "usages/usage", CREATE | UPDATE, "usages"),
	FIELD_STRINGS_(struct bench_vm, groups, "groups/group", CREATE | UPDATE, "groups"),
	FIELD_STRINGS_(struct bench_vm, labels, "labels/label", CREATE | UPDATE, "labels"), B(11, "bios/boot_menu/enabled"), B(12, "console/enabled"),
	B(13, "next_run_configuration_exists"), I(10, "numa/nodes"), FIELD_DECIMAL_(struct bench_vm, decimals[0], "statistics/cpu", READ_ONLY, "load"),
	FIELD_DECIMAL_(struct bench_vm, decimals[1], "statistics/memory", READ_ONLY, "memory"), L(3, "statistics/rx"), L(4, "statistics/tx"),
	L(5, "statistics/disk"), I(11, "statistics/sessions"), I(12, "version@major"), I(13, "version@minor"), S(17, "version/text", READ_ONLY),
};
static const struct record_type vm_type = RECORD_TYPE("vm", "vms", struct bench_vm, vm_fields, "VM of the benchmark");

static char *uuid(int n)
{
	return g_strdup_printf("%08x-1111-4222-8333-%012x", (unsigned)n * 2654435761u, (unsigned)n);
}

static struct bench_vm *vm_new(int n)
{
	struct bench_vm *vm = record_new(&vm_type);
	char text[32];

	vm->id = uuid(n);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->strings); i++) {
		(void)g_snprintf(text, sizeof(text), "value %zu of vm %d", i, n);
		set_string(&vm->strings[i], text);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(vm->ints); i++)
		SET(vm, ints[i], (int)i + n % 100);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->enums); i++)
		SET(vm, enums[i], n % 2);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->bools); i++)
		SET(vm, bools[i], (n + i) % 2);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->longs); i++)
		SET(vm, longs[i], INT64_C(1073741824) * (int64_t)(i + 1) + n);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->times); i++)
		SET(vm, times[i], INT64_C(1423550982110) + n);
	SET(vm, decimals[0], n / 7.0);
	SET(vm, decimals[1], 12);
	for (size_t i = 0; i < G_N_ELEMENTS(vm->refs); i++)
		vm->refs[i].id = uuid((int)i);
	set_string(&((struct bench_boot *)list_add(&vm->boot, &boot_type))->dev, "hd");
	set_string(&((struct bench_boot *)list_add(&vm->boot, &boot_type))->dev, "network");
	for (int i = 0; i < 2; i++) {
		struct bench_property *property = list_add(&vm->properties, &property_type);

		set_string(&property->name, i ? "sap_agent" : "viodiskcache");
		set_string(&property->value, i ? "true" : "writethrough");
	}
	vm->usages = strings_new();
	g_ptr_array_add(vm->usages, g_strdup("vm"));
	vm->groups = strings_new();
	g_ptr_array_add(vm->groups, g_strdup("web servers"));
	vm->addresses = strings_new();
	g_ptr_array_add(vm->addresses, g_strdup("192.0.2.17"));
	g_ptr_array_add(vm->addresses, g_strdup("2001:db8::17"));
	vm->labels = strings_new();
	return vm;
}

static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool report(const char *name, double value, const char *unit, double limit)
{
	bool ok = value <= limit;

	printf("{\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\",\"limit\":%.0f,\"ok\":%s}\n", name, value, unit, limit, ok ? "true" : "false");
	return ok;
}

static double list_ms(struct bench_vm **vms, bool xml, size_t *ret_size)
{
	static const char *const actions[] = { "start", "stop", "suspend", "shutdown", "reboot", "migrate", "ticket", "move", "export", "detach", NULL };
	static const char *const links[] = { "applications", "disks", "nics", "cdroms", "snapshots", "tags", "permissions", "statistics", NULL };
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		GString *out = g_string_new(NULL);
		struct writer *w = xml ? writer_new_xml(out) : writer_new_json(out, RECORD_REST, /* pretty= */ false);
		double start = cpu_ms();

		writer_open(w, "vms");
		writer_open_list(w, "vm");
		for (int i = 0; i < COUNT; i++) {
			char href[96];
			struct record_view view = { .base = "/ovirt-engine/api", .href = href, .actions = actions, .links = links };

			(void)g_snprintf(href, sizeof(href), "/ovirt-engine/api/vms/%s", vms[i]->id);
			record_write(w, NULL, vms[i], &view);
		}
		writer_close_list(w);
		writer_close(w);
		best = MIN(best, cpu_ms() - start);
		*ret_size = out->len;
		writer_free(w);
		g_string_free(out, TRUE);
	}
	return best;
}

static double load_ms(char **texts, struct bench_vm **vms)
{
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		double start = cpu_ms();

		for (int i = 0; i < COUNT; i++) {
			struct record_input input = { .dialect = RECORD_STORE };
			json_t *json = json_parse(texts[i], strlen(texts[i]), NULL);

			vms[i] = record_from_json(&vm_type, json, &input, NULL);
			json_decref(json);
		}
		best = MIN(best, cpu_ms() - start);
		for (int i = 0; i < COUNT && round < ROUNDS - 1; i++)
			record_unref(vms[i]);
	}
	return best;
}

int main(void)
{
	struct bench_vm **vms = g_new(struct bench_vm *, COUNT), **loaded = g_new(struct bench_vm *, COUNT);
	char **texts = g_new(char *, COUNT);
	size_t before = mallinfo2().uordblks, size = 0;
	bool ok = true, same = true;
	double start, ms;

	for (int i = 0; i < COUNT; i++)
		vms[i] = vm_new(i);
	ok &= report("record_memory", (double)(mallinfo2().uordblks - before) / COUNT, "bytes", 8192);
	ms = list_ms(vms, true, &size);
	ok &= report("record_write_xml_10000", ms, "ms", 150);
	(void)report("record_write_xml_size", (double)size / COUNT, "bytes", 1e6);
	ms = list_ms(vms, false, &size);
	ok &= report("record_write_json_10000", ms, "ms", 120);
	(void)report("record_write_json_size", (double)size / COUNT, "bytes", 1e6);
	for (int i = 0; i < COUNT; i++)
		texts[i] = record_to_text(vms[i], RECORD_STORE);
	ok &= report("record_store_load_10000", load_ms(texts, loaded), "ms", 300);
	start = cpu_ms();
	for (int i = 0; i < COUNT; i++)
		record_unref(record_copy(vms[i]));
	ok &= report("record_copy_10000", cpu_ms() - start, "ms", 150);
	for (int i = 0; i < COUNT; i++) {
		same &= record_equal(vms[i], loaded[i]);
		record_unref(vms[i]);
		record_unref(loaded[i]);
		g_free(texts[i]);
	}
	if (!same)
		fprintf(stderr, "what was loaded is not what was stored\n");
	g_free(vms);
	g_free(loaded);
	g_free(texts);
	return ok && same ? 0 : 1;
}
