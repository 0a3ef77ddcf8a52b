/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the model: every row is documented and sound; kinds; what a VM takes from its template. */
#include "tests/unit/cmocka-all.h"
#include <string.h>
#include "common/error.h"
#include "engine/model/cdrom.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/event.h"
#include "engine/model/fence_agent.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/storage_connection.h"
#include "engine/model/storage_domain.h"
#include "engine/model/tag.h"
#include "engine/model/template.h"
#include "engine/model/user.h"
#include "engine/model/vm.h"

static const struct record_type *const others[] = {
	&datacenter_cluster_type, &datacenter_network_type, &cluster_member_network_type, &attached_domain_type, &attached_connection_type,
	&power_agent_type, &power_proxy_type, &bond_type, &host_nic_type, &cdrom_type, &permit_type,
	&directory_domain_type, &version_type, &object_ref_type, &option_item_type, &ip_type, &logical_unit_type, &boot_item_type, &vcpu_pin_type,
	&sso_method_type, &payload_type, &payload_file_type, &nic_configuration_type, &vm_initialization_type, NULL
};

static void each_type(void (*fn)(const struct record_type *type))
{
	for (size_t i = 0; kinds[i]; i++)
		fn(kinds[i]->type);
	for (size_t i = 0; others[i]; i++)
		fn(others[i]);
}

static void check_rows(const struct record_type *type)
{
	assert_true(type->n_fields <= RECORD_FIELDS_MAX);
	assert_non_null(type->doc);
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *field = &type->fields[i];

		if (!field->doc || !*field->doc)
			fail_msg("%s: %s has no doc", type->name, field->path);
		if (field->kind == FIELD_REF && (!field->target || !kind_by_collection(field->target)))
			fail_msg("%s: %s refers to no kind", type->name, field->path);
		if ((field->kind == FIELD_LIST || field->kind == FIELD_RECORD) && !field->item)
			fail_msg("%s: %s has no item type", type->name, field->path);
		if (field->flags & REQUIRED && !(field->flags & CREATE) && !(field->flags & VOLATILE_))
			fail_msg("%s: %s is required but cannot be given", type->name, field->path);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(type->fields[j].path, field->path))
				fail_msg("%s: %s stands twice", type->name, field->path);
	}
}

static void every_row_is_documented_and_sound(void **state)
{
	each_type(check_rows);
}

static void check_defaults(const struct record_type *type)
{
	void *record = record_new(type);

	record_defaults(record, 0);          /* aborts when a default does not fit its row */
	record_unref(record);
}

static void every_default_fits(void **state)
{
	each_type(check_defaults);
}

static void elements_with_a_prefix_in_common_stand_together(void **state)
{
	for (size_t i = 0; kinds[i]; i++) {
		const struct record_type *type = kinds[i]->type;
		g_autoptr(GHashTable) closed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_autofree char *last = NULL;

		for (size_t j = 0; j < type->n_fields; j++) {
			g_autofree char *first = g_strndup(type->fields[j].path, strcspn(type->fields[j].path + 1, "/@") + 1);

			if (type->fields[j].flags & (ALIAS | INPUT_ONLY | INTERNAL))
				continue;
			if (!g_strcmp0(first, last))
				continue;
			if (g_hash_table_contains(closed, first))
				fail_msg("%s: %s is apart from its neighbours", type->name, type->fields[j].path);
			if (last)
				g_hash_table_add(closed, g_strdup(last));
			g_free(last);
			last = g_steal_pointer(&first);
		}
	}
}

static void every_kind_begins_with_id_and_name(void **state)
{
	for (size_t i = 0; kinds[i]; i++) {
		const struct field *id = record_field(kinds[i]->type, "@id");
		void *record;

		assert_non_null(id);
		assert_int_equal(id->offset, sizeof(struct record));
		assert_ptr_equal(kind_by_collection(kinds[i]->collection), kinds[i]);
		record = record_new(kinds[i]->type);
		assert_ptr_equal(kind_of(record), kinds[i]);
		assert_null(object_id(record));
		assert_null(object_name(record));
		assert_null(object_parent(record));
		record_unref(record);
		if (kinds[i]->parent)
			assert_non_null(kinds[i]->parent_kind);
	}
	assert_null(kind_by_collection("nonsense"));
}

static void views_have_the_rows_of_their_kind(void **state)
{
	static const struct record_type *const pairs[][2] = {
		{ &cluster_type, &datacenter_cluster_type }, { &network_type, &datacenter_network_type }, { &network_type, &cluster_member_network_type },
		{ &storage_domain_type, &attached_domain_type },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		struct record *view = record_new(pairs[i][1]);

		assert_int_equal(pairs[i][0]->n_fields, pairs[i][1]->n_fields);
		assert_int_equal(pairs[i][0]->size, pairs[i][1]->size);
		for (size_t j = 0; j < pairs[i][0]->n_fields; j++)
			assert_string_equal(pairs[i][0]->fields[j].path, pairs[i][1]->fields[j].path);
		assert_ptr_equal(kind_of(view)->type, pairs[i][0]);
		record_unref(view);
	}
}

static void a_vm_takes_from_its_template_what_it_does_not_say(void **state)
{
	struct template *template = record_new(&template_type);
	struct vm *vm = record_new(&vm_type);
	struct boot_item *boot;

	set_string(&template->name, "Blank");
	set_string(&template->description, "Blank template");
	record_defaults(template, 0);
	boot = list_add(&template->boot, &boot_item_type);
	SET(boot, dev, BOOT_HD);
	set_string(&vm->name, "vm1");
	SET(vm, sockets, 4);
	vm_inherit(vm, template);
	assert_string_equal(vm->name, "vm1");
	assert_null(vm->description);
	assert_int_equal(vm->sockets, 4);
	assert_int_equal(vm->cores, 1);
	assert_int_equal(vm->memory, 1073741824);
	assert_int_equal(vm->memory_guaranteed, 1073741824);
	assert_int_equal(vm->boot->len, 1);
	assert_int_equal(((struct boot_item *)vm->boot->pdata[0])->dev, BOOT_HD);
	assert_string_equal(vm->timezone, "Etc/GMT");
	assert_int_equal(vm->migration_downtime, -1);
	assert_false(HAS(vm, state));
	record_unref(vm);
	record_unref(template);
}

static void severities_follow_the_codes(void **state)
{
	assert_int_equal(event_severity(30), SEVERITY_NORMAL);
	assert_int_equal(event_severity(34), SEVERITY_NORMAL);
	assert_int_equal(event_severity(12), SEVERITY_ERROR);
	assert_int_equal(event_severity(25), SEVERITY_WARNING);
	assert_int_equal(event_severity(126), SEVERITY_WARNING);
	assert_int_equal(event_severity(604), SEVERITY_WARNING);
	assert_int_equal(event_severity(153), SEVERITY_NORMAL);
	assert_int_equal(event_severity(1000000), SEVERITY_NORMAL);
}

static void there_are_18_vm_states(void **state)
{
	size_t n = 0;

	while (vm_state_names[n])
		n++;
	assert_int_equal(n, 18);
	assert_int_equal(n, VM_STATE_MAX);
	assert_string_equal(vm_state_names[VM_POWERING_DOWN], "powering_down");
	assert_string_equal(vm_state_names[VM_WAIT_FOR_LAUNCH], "wait_for_launch");
	assert_string_equal(host_state_names[HOST_UP], "up");
	assert_null(host_state_names[HOST_STATE_MAX]);
	assert_null(storage_domain_state_names[DOMAIN_STATE_MAX]);
	assert_null(datacenter_state_names[DATACENTER_STATE_MAX]);
	assert_null(disk_state_names[DISK_STATE_MAX]);
	assert_null(vm_origin_names[ORIGIN_MAX]);
	assert_null(severity_names[SEVERITY_MAX]);
	assert_null(template_state_names[TEMPLATE_STATE_MAX]);
}

/* ---- outside forms ---- */

static void *from_xml(const struct record_type *type, const char *text, uint32_t take, struct record_input *input)
{
	g_autoptr(GError) error = NULL;
	xmlDoc *doc = xml_parse(text, strlen(text), &error);
	void *record;

	if (!doc)
		fail_msg("%s", error->message);
	*input = (struct record_input) { .dialect = RECORD_REST, .take = take };
	record = record_from_xml(type, xmlDocGetRootElement(doc), input, &error);
	xmlFreeDoc(doc);
	if (!record)
		fail_msg("%s", error->message);
	return record;
}

/* The same record after the database had it. */
static void *through_store(const void *record)
{
	struct record_input input = { .dialect = RECORD_STORE };
	g_autofree char *text = record_to_text(record, RECORD_STORE);
	json_t *json = json_loads(text, 0, NULL);
	g_autoptr(GError) error = NULL;
	void *again = record_from_json(((const struct record *)record)->type, json, &input, &error);

	if (!again)
		fail_msg("%s: %s", text, error->message);
	assert_null(input.ignored);
	json_decref(json);
	return again;
}

static void what_a_client_sends_of_a_vm_comes_back(void **state)
{
	static const char *const text =
		"<vm><name>vm1</name><description>d</description><comment>c</comment><type>server</type><memory>536870912</memory>"
		"<cpu><topology sockets='2' cores='3'/><cputune><vcpupin vcpu='0' cpuset='0-3,^2'/></cputune><cpu_mode>host_model</cpu_mode>"
		"<architecture>X86_64</architecture></cpu><cpu_shares>0</cpu_shares><bios><boot_menu><enabled>true</enabled></boot_menu></bios>"
		"<os type='rhel_6x64'><boot dev='cdrom'/><boot dev='hd'/><kernel>/k</kernel><initrd>/i</initrd><cmdline>c</cmdline></os>"
		"<high_availability><enabled>true</enabled><priority>50</priority></high_availability>"
		"<display><type>spice</type><monitors>2</monitors><single_qxl_pci>false</single_qxl_pci><allow_override>true</allow_override>"
		"<smartcard_enabled>true</smartcard_enabled><file_transfer_enabled>false</file_transfer_enabled>"
		"<copy_paste_enabled>false</copy_paste_enabled><keyboard_layout>de</keyboard_layout></display>"
		"<cluster id='00000000-0000-0000-0000-000000000001'/><template id='00000000-0000-0000-0000-000000000000'/><origin>vmware</origin>"
		"<stateless>true</stateless><delete_protected>true</delete_protected><sso><methods><method id='GUEST_AGENT'/></methods></sso>"
		"<console enabled='true'/><timezone>Europe/Berlin</timezone><domain><name>example.com</name></domain>"
		"<initialization><host_name>h</host_name><root_password>secret</root_password>"
		"<nic_configurations><nic_configuration><name>eth0</name><ip address='1.2.3.4'/><on_boot>true</on_boot></nic_configuration>"
		"</nic_configurations>"
		"</initialization><payloads><payload type='cdrom'><file><name>a</name><content>b</content></file></payload></payloads>"
		"<placement_policy><affinity>pinned</affinity><hosts><host id='00000000-0000-0000-0000-000000000002'/></hosts></placement_policy>"
		"<memory_policy><guaranteed>268435456</guaranteed><ballooning>false</ballooning></memory_policy><quota id='q'/>"
		"<custom_properties><custom_property name='n' value='v'/></custom_properties><usb><enabled>true</enabled><type>native</type></usb>"
		"<soundcard_enabled>true</soundcard_enabled><migration_downtime>500</migration_downtime><virtio_scsi enabled='false'/>"
		"<cpu_profile id='00000000-0000-0000-0000-000000000003'/><numa_tune_mode>strict</numa_tune_mode>"
		"<cdroms><cdrom><file id='x.iso'/></cdrom></cdroms></vm>";
	struct record_input input;
	struct vm *vm = from_xml(&vm_type, text, CREATE, &input), *again;
	GString *out = g_string_new(NULL);
	struct writer *writer = writer_new_xml(out);
	static const char *const parts[] = {
		"<topology sockets=\"2\" cores=\"3\"/>", "<vcpu_pin vcpu=\"0\" cpu_set=\"0-3,^2\"/>", "<mode>host_model</mode>", "<boot dev=\"cdrom\"/>",
		"<memory>536870912</memory>", "<os type=\"rhel_6x64\">", "<console enabled=\"true\"/>", "<method id=\"GUEST_AGENT\"/>",
		"<custom_property name=\"n\" value=\"v\"/>", "<affinity>pinned</affinity>", "<virtio_scsi enabled=\"false\"/>", "<host_name>h</host_name>", NULL
	};

	if (input.ignored)
		fail_msg("not taken: %s", (char *)input.ignored->pdata[0]);
	again = through_store(vm);
	assert_true(record_equal(vm, again));
	assert_string_equal(again->initialization->root_password, "secret");
	record_write(writer, NULL, again, &(struct record_view) { .base = "/api" });
	writer_free(writer);
	for (size_t i = 0; parts[i]; i++)
		if (!strstr(out->str, parts[i]))
			fail_msg("no %s in %s", parts[i], out->str);
	assert_null(strstr(out->str, "secret"));
	assert_null(strstr(out->str, "<cdrom"));
	g_string_free(out, TRUE);
	record_unref(vm);
	record_unref(again);
}

static void an_event_takes_the_status_of_its_host(void **state)
{
	struct record_input input;
	struct event *event = from_xml(&event_type, "<event><description>d</description><severity>warning</severity><origin>HP Openview</origin><custom_id>1"
				       "</custom_id><flood_rate>30</flood_rate><host id='00000000-0000-0000-0000-000000000002'><external_status><state>warning"
				       "</state></external_status></host></event>", CREATE, &input);

	assert_null(input.ignored);
	assert_string_equal(event->host.id, "00000000-0000-0000-0000-000000000002");
	assert_true(HAS(event, host_external_state));
	assert_int_equal(event->host_external_state, EXTERNAL_WARNING);
	record_unref(event);
}

static void short_forms_are_taken(void **state)
{
	struct record_input input;
	struct host *host = from_xml(&host_type, "<host><ksm>true</ksm><transparent_hugepages>false</transparent_hugepages><storage_manager priority='3'>true"
				     "</storage_manager></host>", UPDATE, &input);
	struct disk *disk;
	struct nic *nic;

	assert_true(host->ksm && HAS(host, ksm) && !host->transparent_hugepages && HAS(host, transparent_hugepages));
	assert_int_equal(host->spm_priority, 3);
	record_unref(host);
	record_input_clear(&input);
	disk = from_xml(&disk_type, "<disk><name>d1</name><size>8589934592</size><format>COW</format><storage_domains><storage_domain><name>data1</name>"
			"</storage_domain></storage_domains></disk>", CREATE, &input);
	assert_null(input.ignored);
	assert_string_equal(disk->name, "d1");
	assert_int_equal(disk->size, 8589934592);
	assert_int_equal(disk->format, DISK_COW);
	assert_string_equal(((struct object_ref *)disk->storage_domains->pdata[0])->name, "data1");
	record_unref(disk);
	nic = from_xml(&nic_type, "<nic><name>nic1</name><type>e1000</type><active>false</active><network><name>ovirtmgmt</name></network></nic>", CREATE,
		       &input);
	assert_null(input.ignored);
	assert_int_equal(nic->interface, NIC_E1000);
	assert_false(nic->plugged);
	assert_string_equal(nic->network.name, "ovirtmgmt");
	record_unref(nic);
}

static bool note_ref(const struct field *field, const char *id, void *data)
{
	g_string_append_printf(data, "%s=%s ", field->path, id);
	return true;
}

static void references_are_all_found(void **state)
{
	struct vm *vm = record_new(&vm_type);
	GString *text = g_string_new(NULL);
	struct object_ref *item;

	set_ref(&vm->cluster, "c");
	set_ref(&vm->template, "t");
	item = list_add(&vm->placement_hosts, &object_ref_type);
	set_string(&item->id, "h");
	record_each_ref(vm, note_ref, text);
	assert_string_equal(text->str, "cluster=c template=t placement_policy/hosts/host=h ");
	g_string_free(text, TRUE);
	record_unref(vm);
}

static void levels_above(void **state)
{
	GPtrArray *list = NULL;

	level_list(&list, (struct level) { 3, 4 }, NULL);
	assert_int_equal(list->len, 2);
	assert_int_equal(((struct version *)list->pdata[0])->minor, 5);
	level_list(&list, (struct level) { 3, 4 }, &(struct level) { 3, 5 });
	assert_int_equal(list->len, 1);
	level_list(&list, (struct level) { 3, 6 }, NULL);
	assert_int_equal(list->len, 0);
	g_ptr_array_unref(list);
	assert_true(level_known(3, 0));
	assert_false(level_known(4, 0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_documented_and_sound),
		cmocka_unit_test(every_default_fits),
		cmocka_unit_test(elements_with_a_prefix_in_common_stand_together),
		cmocka_unit_test(every_kind_begins_with_id_and_name),
		cmocka_unit_test(views_have_the_rows_of_their_kind),
		cmocka_unit_test(a_vm_takes_from_its_template_what_it_does_not_say),
		cmocka_unit_test(severities_follow_the_codes),
		cmocka_unit_test(there_are_18_vm_states),
		cmocka_unit_test(what_a_client_sends_of_a_vm_comes_back),
		cmocka_unit_test(an_event_takes_the_status_of_its_host),
		cmocka_unit_test(short_forms_are_taken),
		cmocka_unit_test(references_are_all_found),
		cmocka_unit_test(levels_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
