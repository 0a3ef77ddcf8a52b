/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sent to a host for a set-up of its networks, and what is refused before anything is sent: with bonds and VLANs, which not every kernel that runs
 * the tests has. Host: nic0..nic3; bond0 of nic0 and nic1 with network "red" and, on VLAN 12, "tagged"; "blue" on nic2. Label "L" is on nic3.
 */
#include "tests/unit/cmocka-all.h"

#include <string.h>
#include "common/error.h"
#include "engine/api/host_network.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/qos.h"

#define DC "00000000-0000-0000-0000-0000000000d0"
#define CLUSTER "00000000-0000-0000-0000-0000000000c0"
#define HOST "00000000-0000-0000-0000-0000000000b0"

static struct { struct engine engine; struct request request; struct host *host; struct host_caps *caps; } w;

static void put(const struct kind *kind, void *record)
{
	const struct model_change change = { kind, object_id(record), record };

	model_publish(w.engine.model, &change, 1);
	record_unref(record);
}

static char *network_id(const char *name)
{
	return host_part_id("test", "network", name);
}

static void put_network(const char *name, int vlan, const char *label)
{
	struct network *network = record_new(&network_type);
	struct cluster_network *member = record_new(&cluster_network_type);

	network->id = network_id(name);
	set_string(&network->name, name);
	set_ref(&network->data_center, DC);
	set_string(&network->label, label);
	if (vlan)
		SET(network, vlan, vlan);
	member->id = host_part_id("test", "member", name);
	set_ref(&member->cluster, CLUSTER);
	set_ref(&member->network, network->id);
	put(&network_kind, network);
	put(&cluster_network_kind, member);
}

static int set_up(void **state)
{
	struct cluster *cluster = record_new(&cluster_type);

	w.engine.model = model_new();
	w.request.engine = &w.engine;
	w.request.base = "/api";
	set_string(&cluster->id, CLUSTER);
	set_string(&cluster->name, "c");
	set_ref(&cluster->data_center, DC);
	put(&cluster_kind, cluster);
	put_network("red", 0, NULL);
	put_network("tagged", 12, NULL);
	put_network("blue", 0, NULL);
	put_network("fresh", 0, NULL);
	put_network("named", 0, "L");
	w.host = record_new(&host_type);
	set_string(&w.host->id, HOST);
	set_string(&w.host->name, "h1");
	set_ref(&w.host->cluster, CLUSTER);
	w.host->nic_labels = json_pack("{s:[s]}", "nic3", "M");
	w.caps = record_new(&host_caps_type);
	w.caps->nics = json_pack("{s:{}, s:{}, s:{}, s:{}}", "nic0", "nic1", "nic2", "nic3");
	w.caps->bondings = json_pack("{s:{s:[s, s], s:{s:s}}}", "bond0", "slaves", "nic0", "nic1", "opts", "mode", "1");
	w.caps->vlans = json_pack("{s:{s:s, s:i}}", "bond0.12", "iface", "bond0", "vlanid", 12);
	w.caps->networks = json_pack("{s:{s:s, s:b}, s:{s:s, s:b, s:i}, s:{s:s, s:b}}", "red", "southbound", "bond0", "bridged", true, "tagged", "southbound", "bond0.12",
				     "bridged", true, "vlanid", 12, "blue", "southbound", "nic2", "bridged", true);
	return 0;
}

static int tear_down(void **state)
{
	record_unref(w.host);
	record_unref(w.caps);
	w.engine.model = model_free(w.engine.model);
	return 0;
}

/* ---- wishes ---- */

static struct network_setup setup;

static void begin(void)
{
	GPtrArray **const lists[] = { &setup.modified, &setup.synchronized, &setup.removed, &setup.modified_bonds, &setup.removed_bonds, &setup.removed_unmanaged,
				      &setup.modified_labels, &setup.removed_labels };

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		g_clear_pointer(lists[i], g_ptr_array_unref);
}

static void bond(const char *name, const char *first, const char *second, const char *mode)
{
	struct host_nic *nic = list_add(&setup.modified_bonds, &bond_type);

	set_string(&nic->name, name);
	for (int i = 0; i < 2; i++)
		if (i ? second : first) {
			struct object_ref *slave = list_add(&nic->bond_slaves, &object_ref_type);

			set_string(&slave->name, i ? second : first);
		}
	if (mode) {
		struct option_item *option = list_add(&nic->bond_options, &option_item_type);

		set_string(&option->name, "mode");
		set_string(&option->value, mode);
	}
}

static void unbond(const char *name)
{
	struct host_nic *nic = list_add(&setup.removed_bonds, &bond_type);

	set_string(&nic->name, name);
}

static void attach(const char *network, const char *nic)
{
	struct network_attachment *wish = list_add(&setup.modified, &network_attachment_type);
	g_autofree char *id = network_id(network);

	set_ref(&wish->network, id);
	set_string(&wish->host_nic_name, nic);
}

static void move(const char *network, const char *nic)
{
	struct network_attachment *wish = list_add(&setup.modified, &network_attachment_type);

	wish->id = host_part_id("attachment", HOST, network);
	set_string(&wish->host_nic_name, nic);
}

static void detach(const char *network)
{
	struct network_attachment *wish = list_add(&setup.removed, &network_attachment_type);

	wish->id = host_part_id("attachment", HOST, network);
}

static void label(const char *text, const char *nic)
{
	struct nic_label *wish = list_add(&setup.modified_labels, &nic_label_type);

	set_string(&wish->id, text);
	set_string(&wish->host_nic_name, nic);
}

/* ---- outcomes ---- */

static void sends(const char *networks, const char *bonds, const char *labels)
{
	struct network_plan plan;
	g_autoptr(GError) error = NULL;
	char *got;

	if (!network_plan_make(&w.request, w.host, w.caps, &setup, &plan, &error))
		fail_msg("%s", error->message);
	got = json_dumps(plan.networks, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(got, networks);
	free(got);
	got = json_dumps(plan.bonds, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(got, bonds);
	free(got);
	got = json_dumps(plan.labels, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(got, labels);
	free(got);
	network_plan_clear(&plan);
	begin();
}

static void refuses(int code, const char *word)
{
	struct network_plan plan;
	g_autoptr(GError) error = NULL;

	assert_false(network_plan_make(&w.request, w.host, w.caps, &setup, &plan, &error));
	if (!error_is(error, code) || !strstr(error->message, word))
		fail_msg("code %d, \"%s\"", error->code, error->message);
	begin();
}

#define LABELS "{\"nic3\":[\"M\"]}"
#define BRIDGE(members) "{\"bootproto\":\"none\",\"bridged\":true,\"mtu\":1500," members "\"stp\":false}"

static void bonds_are_made_changed_and_removed(void **state)
{
	detach("blue");
	bond("bond1", "nic2", "nic3", NULL);
	attach("fresh", "bond1");
	sends("{\"blue\":{\"remove\":true},\"fresh\":{\"bonding\":\"bond1\",\"bootproto\":\"none\",\"bridged\":true,\"mtu\":1500,\"stp\":false}}",
	      "{\"bond1\":{\"nics\":[\"nic2\",\"nic3\"],\"options\":\"mode=4 miimon=100\"}}", LABELS);
	/* what is not said stays */
	bond("bond0", NULL, NULL, "2");
	sends("{}", "{\"bond0\":{\"nics\":[\"nic0\",\"nic1\"],\"options\":\"mode=2\"}}", LABELS);
	bond("bond0", "nic1", "nic3", NULL);
	sends("{}", "{\"bond0\":{\"nics\":[\"nic1\",\"nic3\"],\"options\":\"mode=1\"}}", LABELS);
	detach("red");
	detach("tagged");
	unbond("bond0");
	sends("{\"red\":{\"remove\":true},\"tagged\":{\"remove\":true}}", "{\"bond0\":{\"remove\":true}}", LABELS);
	/* an interface that one bond frees can be another's at once */
	move("red", "nic3");
	detach("tagged");
	unbond("bond0");
	detach("blue");
	bond("bond1", "nic1", "nic2", NULL);
	sends("{\"blue\":{\"remove\":true},\"red\":" BRIDGE("\"nic\":\"nic3\",") ",\"tagged\":{\"remove\":true}}",
	      "{\"bond0\":{\"remove\":true},\"bond1\":{\"nics\":[\"nic1\",\"nic2\"],\"options\":\"mode=4 miimon=100\"}}", LABELS);
}

static void bad_bonds_are_refused(void **state)
{
	bond("bond5", "nic2", "nic3", NULL);
	refuses(ERR_OPERATION_FAILED, "bond5");
	bond("bond1", "nic3", NULL, NULL);
	refuses(ERR_OPERATION_FAILED, "at least two");
	bond("bond1", "nic3", "nic3", NULL);
	refuses(ERR_BAD_VALUE, "twice");
	bond("bond1", "nic3", "eth9", NULL);
	refuses(ERR_NOT_FOUND, "eth9");
	bond("bond1", "nic0", "nic3", NULL);
	refuses(ERR_OPERATION_FAILED, "bond0");
	bond("bond1", "nic2", "nic3", NULL);
	refuses(ERR_OPERATION_FAILED, "blue");
	bond("bond0", NULL, NULL, "0");
	refuses(ERR_OPERATION_FAILED, "mode 0");
	unbond("bond0");
	refuses(ERR_OPERATION_FAILED, "is on it");
	unbond("nic2");
	refuses(ERR_OPERATION_FAILED, "nic2");
	unbond("bond3");
	refuses(ERR_NOT_FOUND, "bond3");
	bond("bond0", NULL, NULL, "1");
	unbond("bond0");
	refuses(ERR_BAD_VALUE, "bond0");
}

/* "blue" gets limits. */
static void limit_blue(int realtime)
{
	struct qos *qos = record_new(&qos_type);
	g_autofree char *id = network_id("blue");
	struct network *network = model_get(w.engine.model, &network_kind, id), *copy = record_copy(network);

	qos->id = host_part_id("test", "qos", "some");
	set_string(&qos->name, "some");
	set_ref(&qos->data_center, DC);
	SET(qos, type, QOS_HOSTNETWORK);
	SET(qos, outbound_average_linkshare, 50);
	SET(qos, outbound_average_upperlimit, 900);
	if (realtime)
		SET(qos, outbound_average_realtime, realtime);
	set_ref(&copy->qos, qos->id);
	put(&qos_kind, qos);
	put(&network_kind, copy);
	record_unref(network);
}

/* What the attachment of "blue" says of the QoS: "name expected actual;" of each, and "+" when all of it is as it should be. */
static void shows(const char *expected)
{
	g_autoptr(GPtrArray) attachments = host_attachments(&w.request, w.host, w.caps);
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; i < attachments->len; i++) {
		const struct network_attachment *attachment = attachments->pdata[i];

		for (guint j = 0; !strcmp(attachment->name, "blue") && j < attachment->reported->len; j++) {
			const struct reported_configuration *row = attachment->reported->pdata[j];

			if (g_str_has_prefix(row->name, "out"))
				g_string_append_printf(text, "%s %s %s%s;", row->name, row->expected ? row->expected : "-", row->actual ? row->actual : "-",
						       row->in_sync ? "+" : "");
		}
	}
	assert_string_equal(text->str, expected);
}

static void limits_of_a_network_go_with_it(void **state)
{
	json_t *blue = json_object_get(w.caps->networks, "blue");

	shows("");
	limit_blue(0);
	shows("outAverageLinkShare 50 -;outAverageUpperLimit 900 -;outAverageRealTime - -+;");
	move("blue", "nic2");
	sends("{\"blue\":{\"bootproto\":\"none\",\"bridged\":true,\"hostQos\":{\"out\":{\"ls\":{\"m2\":50000000},\"ul\":{\"m2\":900000000}}},\"mtu\":1500,"
	      "\"nic\":\"nic2\",\"stp\":false}}", "{}", LABELS);
	limit_blue(100);
	json_object_set_new(blue, "hostQos", json_pack("{s:{s:{s:I}, s:{s:I}}}", "out", "ls", "m2", (json_int_t)50000000, "ul", "m2", (json_int_t)800000000));
	shows("outAverageLinkShare 50 50+;outAverageUpperLimit 900 800;outAverageRealTime 100 -;");
}

static void networks_go_where_there_is_room(void **state)
{
	attach("fresh", "nic3");
	sends("{\"fresh\":" BRIDGE("\"nic\":\"nic3\",") "}", "{}", LABELS);
	attach("fresh", "nic0");
	refuses(ERR_OPERATION_FAILED, "part of bond 'bond0'");
	attach("fresh", "nic2");
	refuses(ERR_OPERATION_FAILED, "without VLAN tag");
	attach("fresh", "bond0");
	refuses(ERR_OPERATION_FAILED, "without VLAN tag");
	attach("fresh", "bond0.12");
	refuses(ERR_NOT_FOUND, "bond0.12");
	/* tagged beside untagged */
	move("tagged", "nic2");
	sends("{\"tagged\":{\"bootproto\":\"none\",\"bridged\":true,\"mtu\":1500,\"nic\":\"nic2\",\"stp\":false,\"vlan\":12}}", "{}", LABELS);
	/* one leaves, another comes */
	detach("blue");
	attach("fresh", "nic2");
	sends("{\"blue\":{\"remove\":true},\"fresh\":" BRIDGE("\"nic\":\"nic2\",") "}", "{}", LABELS);
	detach("blue");
	move("blue", "nic3");
	refuses(ERR_BAD_VALUE, "twice");
}

static void labels_bring_and_take_networks(void **state)
{
	label("L", "nic3");
	sends("{\"named\":" BRIDGE("\"nic\":\"nic3\",") "}", "{}", "{\"nic3\":[\"M\",\"L\"]}");
	label("M", "nic2");
	sends("{}", "{}", "{\"nic2\":[\"M\"]}");
	label("L", "nic2");
	refuses(ERR_OPERATION_FAILED, "without VLAN tag");
	label("L", "nic0");
	refuses(ERR_OPERATION_FAILED, "bond0");
	label("L", "nosuch");
	refuses(ERR_NOT_FOUND, "nosuch");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bonds_are_made_changed_and_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_bonds_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(networks_go_where_there_is_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_of_a_network_go_with_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(labels_bring_and_take_networks, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
