/* SPDX-License-Identifier: Apache-2.0 */
/* Resources that are data only: the rules of data centers, clusters, networks, tags, events. The handlers are called as the protocol machinery does. */
#include "tests/unit/cmocka-all.h"
#include <string.h>
#include <glib/gstdio.h>
#include "common/error.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/event.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/role.h"
#include "engine/model/storage_domain.h"
#include "engine/model/tag.h"
#include "engine/model/template.h"
#include "engine/model/user.h"
#include "engine/store/store.h"
#include "tests/unit/store-place.h"

static char *dir;
static struct engine engine;
static struct request request;

static int setup(void **state)
{
	g_autoptr(GError) error = NULL;

	dir = g_dir_make_tmp("berth-data-XXXXXX", NULL);
	engine.model = model_new();
	engine.store = place_open(dir, engine.model, &error);
	if (!engine.store)
		fail_msg("%s", error->message);
	request = (struct request) { .engine = &engine, .actor = { ADMIN_USER_ID, "admin", NULL }, .base = "/api" };
	return 0;
}

static int teardown(void **state)
{
	store_close(engine.store);
	model_free(engine.model);
	place_remove(dir, NULL);
	g_free(dir);
	return 0;
}

#define assert_fails(expected, part, call) do { \
	g_autoptr(GError) error = NULL; \
	if (call) \
		fail_msg("no error, expected %d with '%s'", (int)(expected), part); \
	assert_non_null(error); \
	if (error->code != (expected) || !strstr(error->message, part)) \
		fail_msg("got %d '%s', expected %d with '%s'", error->code, error->message, (int)(expected), part); \
} while (0)

static void *input_of(const struct record_type *type, const char *xml, uint32_t take)
{
	struct record_input input = { .dialect = RECORD_REST, .take = take };
	xmlDoc *doc = xml_parse(xml, strlen(xml), NULL);
	g_autoptr(GError) error = NULL;
	void *record = record_from_xml(type, xmlDocGetRootElement(doc), &input, &error);

	xmlFreeDoc(doc);
	if (!record)
		fail_msg("%s", error->message);
	record_input_clear(&input);
	return record;
}

/* POST; a new reference, NULL on failure. */
static void *post(const struct resource *resource, void *parent, const char *xml, GError **error)
{
	void *input = input_of(resource->type ? resource->type : resource->kind->type, xml, CREATE), *record = NULL;
	bool good;

	record_defaults(input, 0);
	request.resource = resource;
	request.parent = parent;
	good = resource->add(&request, input, &record, error);
	record_unref(input);
	return good ? record : NULL;
}

static void *must_post(const struct resource *resource, void *parent, const char *xml)
{
	g_autoptr(GError) error = NULL;
	void *record = post(resource, parent, xml, &error);

	if (!record)
		fail_msg("%s", error->message);
	return record;
}

static bool put(const struct resource *resource, void *parent, const void *current, const char *xml, GError **error)
{
	void *input = input_of(((const struct record *)current)->type, xml, UPDATE), *changed = record_copy(current), *record = NULL;
	bool good;

	request.resource = resource;
	request.parent = parent;
	good = record_merge(changed, input, error) && resource->update(&request, current, changed, input, &record, error);
	record_unref(record);
	record_unref(changed);
	record_unref(input);
	return good;
}

static bool delete(const struct resource *resource, void *parent, const void *current, bool force, GError **error)
{
	struct plain_action *action = record_new(&plain_action_type);
	bool good;

	SET(action, force, force);
	request.resource = resource;
	request.parent = parent;
	good = resource->remove(&request, current, action, error);
	record_unref(action);
	return good;
}

static struct datacenter *new_datacenter(const char *name)
{
	g_autofree char *xml = g_strdup_printf("<data_center><name>%s</name><local>false</local></data_center>", name);

	return must_post(&resource_datacenter, NULL, xml);
}

static struct cluster *new_cluster(const struct datacenter *dc, const char *name)
{
	g_autofree char *xml = g_strdup_printf("<cluster><name>%s</name><cpu id='Intel Penryn Family'/><data_center id='%s'/></cluster>", name, dc->id);

	return must_post(&resource_cluster, NULL, xml);
}

static void a_data_center_comes_with_its_network_and_goes_when_empty(void **state)
{
	struct datacenter *dc = new_datacenter("dc1"), *shown;
	struct cluster *cluster;
	g_autoptr(GPtrArray) networks = model_referring(engine.model, &network_kind, offsetof(struct network, data_center), dc->id);

	assert_int_equal(dc->state, DATACENTER_UNINITIALIZED);
	assert_int_equal(dc->storage_format, STORAGE_FORMAT_V3);
	assert_int_equal(dc->minor, 6);
	assert_int_equal(networks->len, 1);
	assert_string_equal(object_name(networks->pdata[0]), "ovirtmgmt");
	shown = resource_datacenter.view(&request, dc);
	assert_int_equal(shown->supported_versions->len, 0);
	record_unref(shown);
	assert_fails(ERR_OPERATION_FAILED, "already used", post(&resource_datacenter, NULL, "<data_center><name>DC1</name><local>false</local></data_center>",
								&error) != NULL);
	cluster = new_cluster(dc, "c1");
	assert_fails(ERR_OPERATION_FAILED, "data center 'dc1' cannot be removed: it is used by cluster 'c1'",
		     delete(&resource_datacenter, NULL, dc, false, &error));
	assert_true(delete(&resource_cluster, NULL, cluster, false, NULL));
	assert_true(delete(&resource_datacenter, NULL, dc, false, NULL));
	assert_int_equal(model_count(engine.model, &network_kind), 1);
	assert_int_equal(model_count(engine.model, &cpu_profile_kind), 1);
	record_unref(cluster);
	record_unref(dc);
}

static void a_forced_removal_forgets_storage(void **state)
{
	struct datacenter *dc = new_datacenter("dc1");
	struct cluster *cluster = new_cluster(dc, "c1");
	struct change *change = change_new(engine.store);

	for (int type = DOMAIN_DATA; type <= DOMAIN_ISO; type++) {
		struct storage_domain *domain = record_new(&storage_domain_type);

		set_string(&domain->name, type == DOMAIN_DATA ? "data" : "iso");
		SET(domain, type, type);
		SET(domain, state, DOMAIN_ACTIVE);
		set_ref(&domain->data_center, dc->id);
		set_ref(&domain->local_host, "55555555-5555-5555-5555-555555555555");
		change_add(change, domain);
		record_unref(domain);
	}
	assert_true(change_commit(change, NULL));
	assert_int_equal(datacenter_status(engine.model, dc->id), DATACENTER_UP);
	assert_fails(ERR_OPERATION_FAILED, "cannot be removed", delete(&resource_datacenter, NULL, dc, false, &error));
	assert_true(delete(&resource_datacenter, NULL, dc, true, NULL));
	{
		struct storage_domain *iso = model_find(engine.model, &storage_domain_kind, NULL, "iso");
		struct cluster *left = model_get(engine.model, &cluster_kind, cluster->id);

		assert_int_equal(model_count(engine.model, &storage_domain_kind), 1);
		assert_int_equal(iso->state, DOMAIN_UNATTACHED);
		assert_null(iso->data_center.id);
		assert_null(left->data_center.id);
		record_unref(iso);
		record_unref(left);
	}
	record_unref(cluster);
	record_unref(dc);
}

static void levels_only_rise(void **state)
{
	struct datacenter *dc = must_post(&resource_datacenter, NULL,
					  "<data_center><name>old</name><local>false</local><version major='3' minor='4'/></data_center>");
	struct cluster *cluster = new_cluster(dc, "c1"), *newer;

	assert_int_equal(cluster->minor, 4);
	assert_fails(ERR_OPERATION_FAILED, "only up to 3.4",
		     put(&resource_datacenter, NULL, dc, "<data_center><version major='3' minor='5'/></data_center>", &error));
	assert_fails(ERR_OPERATION_FAILED, "cannot be lowered",
		     put(&resource_cluster, NULL, cluster, "<cluster><version major='3' minor='3'/></cluster>", &error));
	assert_fails(ERR_BAD_VALUE, "3.9", put(&resource_cluster, NULL, cluster, "<cluster><version major='3' minor='9'/></cluster>", &error));
	assert_true(put(&resource_cluster, NULL, cluster, "<cluster><version major='3' minor='5'/></cluster>", NULL));
	assert_true(put(&resource_datacenter, NULL, dc, "<data_center><version major='3' minor='5'/></data_center>", NULL));
	newer = model_get(engine.model, &cluster_kind, cluster->id);
	assert_fails(ERR_IMMUTABLE, "data_center",
		     put(&resource_cluster, NULL, newer, "<cluster><data_center id='11111111-1111-1111-1111-111111111111'/></cluster>", &error));
	record_unref(newer);
	record_unref(cluster);
	record_unref(dc);
}

static void a_local_data_center_has_one_cluster(void **state)
{
	struct datacenter *dc = must_post(&resource_datacenter, NULL, "<data_center><name>here</name><local>true</local></data_center>");
	g_autofree char *xml = g_strdup_printf("<cluster><name>c2</name><cpu id='Intel Penryn Family'/><data_center id='%s'/></cluster>", dc->id);

	record_unref(new_cluster(dc, "c1"));
	assert_fails(ERR_OPERATION_FAILED, "is local and has a cluster already: 'c1'", post(&resource_cluster, NULL, xml, &error) != NULL);
	record_unref(dc);
}

static void networks_have_their_rules(void **state)
{
	struct datacenter *dc = model_find(engine.model, &datacenter_kind, NULL, "Default");
	struct network *management = model_get(engine.model, &network_kind, MANAGEMENT_NETWORK_ID), *red;
	static const struct { int code; const char *says, *members; } rows[] = {
		{ ERR_OPERATION_FAILED, "name 'RED' is already used", "<name>RED</name>" },
		{ ERR_OPERATION_FAILED, "VLAN 10 is already used by network 'red'", "<name>blue</name><vlan id='10'/>" },
		{ ERR_BAD_VALUE, "begins with 'bond'", "<name>Bond7</name>" },
		{ ERR_BAD_VALUE, "stp", "<name>green</name><stp>true</stp><usages><usage>migration</usage></usages>" },
		{ ERR_BAD_VALUE, "mtu", "<name>green</name><mtu>10</mtu>" },
	};
	g_autofree char *first = g_strdup_printf("<network><name>red</name><vlan id='10'/><data_center id='%s'/></network>", dc->id);

	red = must_post(&resource_network, NULL, first);
	assert_int_equal(red->usages->len, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *xml = g_strdup_printf("<network>%s<data_center id='%s'/></network>", rows[i].members, dc->id);

		assert_fails(rows[i].code, rows[i].says, post(&resource_network, NULL, xml, &error) != NULL);
	}
	assert_fails(ERR_OPERATION_FAILED, "is the management network", delete(&resource_network, NULL, management, false, &error));
	assert_fails(ERR_OPERATION_FAILED, "cannot be renamed", put(&resource_network, NULL, management, "<network><name>x</name></network>", &error));
	assert_true(put(&resource_network, NULL, red, "<network><mtu>1500</mtu><vlan id='10'/></network>", NULL));
	record_unref(red);
	/* in the data center's collection: named by name or id, or new */
	red = must_post(&resource_datacenter_network, dc, "<network><name>ovirtmgmt</name></network>");
	assert_string_equal(red->id, MANAGEMENT_NETWORK_ID);
	record_unref(red);
	red = must_post(&resource_datacenter_network, dc, "<network><name>fresh</name></network>");
	assert_string_equal(red->data_center.id, dc->id);
	assert_true(delete(&resource_datacenter_network, dc, red, false, NULL));
	record_unref(red);
	assert_fails(ERR_INCOMPLETE, "[id|name]", post(&resource_datacenter_network, dc, "<network/>", &error) != NULL);
	record_unref(management);
	record_unref(dc);
}

static void a_cluster_has_networks(void **state)
{
	struct datacenter *dc = model_find(engine.model, &datacenter_kind, NULL, "Default");
	struct cluster *cluster = model_find(engine.model, &cluster_kind, NULL, "Default");
	g_autofree char *xml = g_strdup_printf("<network><name>red</name><data_center id='%s'/></network>", dc->id);
	struct network *red = must_post(&resource_network, NULL, xml), *shown;
	g_autoptr(GPtrArray) list = NULL, rest = NULL;

	shown = must_post(&resource_cluster_network, cluster, "<network><name>Red</name><required>false</required></network>");
	assert_string_equal(shown->id, red->id);
	assert_string_equal(shown->cluster.id, cluster->id);
	assert_false(shown->required);
	assert_fails(ERR_OPERATION_FAILED, "has network 'red' already",
		     post(&resource_cluster_network, cluster, "<network><name>red</name></network>", &error) != NULL);
	assert_fails(ERR_NOT_FOUND, "blue", post(&resource_cluster_network, cluster, "<network><name>blue</name></network>", &error) != NULL);
	assert_true(put(&resource_cluster_network, cluster, shown,
			"<network><required>true</required><usages><usage>VM</usage><usage>DISPLAY</usage></usages></network>", NULL));
	list = resource_cluster_network.list(&request, NULL);
	assert_int_equal(list->len, 2);
	record_unref(shown);
	shown = record_ref(list->pdata[1]);
	assert_true(shown->required && shown->display);
	assert_string_equal(shown->usages->pdata[1], "display");
	assert_fails(ERR_IMMUTABLE, "mtu", put(&resource_cluster_network, cluster, shown, "<network><mtu>9000</mtu></network>", &error));
	assert_fails(ERR_OPERATION_FAILED, "management", delete(&resource_cluster_network, cluster, list->pdata[0], false, &error));
	assert_true(delete(&resource_network, NULL, red, false, NULL));
	rest = model_children(engine.model, &cluster_network_kind, cluster->id);
	assert_int_equal(rest->len, 1);
	record_unref(shown);
	record_unref(red);
	record_unref(cluster);
	record_unref(dc);
}

static void tags_are_a_tree(void **state)
{
	struct tag *root = resource_tag.get(&request, BLANK_ID, NULL), *a = must_post(&resource_tag, NULL, "<tag><name>a</name></tag>"), *b, *now;
	g_autofree char *below = g_strdup_printf("<tag><name>b</name><parent><tag id='%s'/></parent></tag>", a->id), *circle = NULL;

	assert_string_equal(root->id, "-1");
	assert_string_equal(a->parent.id, "-1");
	b = must_post(&resource_tag, NULL, below);
	assert_string_equal(b->parent.id, a->id);
	circle = g_strdup_printf("<tag><parent><tag id='%s'/></parent></tag>", b->id);
	assert_fails(ERR_OPERATION_FAILED, "below itself", put(&resource_tag, NULL, a, circle, &error));
	assert_fails(ERR_OPERATION_FAILED, "is the root", put(&resource_tag, NULL, root, circle, &error));
	assert_fails(ERR_OPERATION_FAILED, "is the root", delete(&resource_tag, NULL, root, false, &error));
	assert_fails(ERR_OPERATION_FAILED, "used by tag 'b'", delete(&resource_tag, NULL, a, false, &error));
	assert_true(put(&resource_tag, NULL, b, "<tag><parent><tag id='-1'/></parent></tag>", NULL));
	assert_true(delete(&resource_tag, NULL, a, false, NULL));
	now = model_find(engine.model, &tag_kind, NULL, "b");
	assert_string_equal(now->parent.id, "-1");
	record_unref(now);
	record_unref(root);
	record_unref(a);
	record_unref(b);
}

static void others_add_events(void **state)
{
	static const char *const xml =
		"<event><description>Fan broken</description><severity>Warning</severity><origin>HP Openview</origin><custom_id>1</custom_id>"
		"<flood_rate>30</flood_rate></event>";
	struct event *event = must_post(&resource_event, NULL, xml), *again;

	assert_int_equal(event->severity, SEVERITY_WARNING);
	assert_int_equal(event->code, 9802);
	assert_string_equal(event->user.id, ADMIN_USER_ID);
	assert_true(HAS(event, time));
	again = must_post(&resource_event, NULL, xml);
	assert_string_equal(again->id, event->id);
	record_unref(again);
	assert_fails(ERR_NOT_FOUND, "vm '11111111-1111-1111-1111-111111111111'",
		     post(&resource_event, NULL, "<event><description>x</description><severity>error</severity><origin>x</origin><custom_id>2</custom_id>"
			  "<vm id='11111111-1111-1111-1111-111111111111'/></event>", &error) != NULL);
	record_unref(event);
}

static void blank_stays_as_it_is(void **state)
{
	struct template *blank = model_get(engine.model, &template_kind, BLANK_ID);

	assert_fails(ERR_OPERATION_FAILED, "cannot be changed", put(&resource_template, NULL, blank, "<template><name>White</name></template>", &error));
	assert_fails(ERR_OPERATION_FAILED, "cannot be removed", delete(&resource_template, NULL, blank, false, &error));
	assert_true(put(&resource_template, NULL, blank, "<template><name>Blank</name></template>", NULL));
	record_unref(blank);
}

static void roles_say_what_they_allow(void **state)
{
	struct role *role = model_get(engine.model, &role_kind, ROLE_SUPER_USER);
	g_autoptr(GPtrArray) all = NULL, some = NULL, roles = NULL;

	request.parent = role;
	all = resource_role_permit.list(&request, NULL);
	assert_string_equal(object_id(all->pdata[0]), "1");
	assert_string_equal(object_name(all->pdata[0]), "create_vm");
	record_unref(role);
	role = model_get(engine.model, &role_kind, ROLE_USER);
	request.parent = role;
	some = resource_role_permit.list(&request, NULL);
	assert_true(some->len > 0 && some->len < all->len);
	record_unref(role);
	request.parent = model_get(engine.model, &user_kind, ADMIN_USER_ID);
	roles = resource_user_role.list(&request, NULL);
	assert_int_equal(roles->len, 1);
	record_unref(request.parent);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(a_data_center_comes_with_its_network_and_goes_when_empty), TEST(a_forced_removal_forgets_storage), TEST(levels_only_rise),
		TEST(a_local_data_center_has_one_cluster), TEST(networks_have_their_rules), TEST(a_cluster_has_networks), TEST(tags_are_a_tree),
		TEST(others_add_events), TEST(blank_stays_as_it_is), TEST(roles_say_what_they_allow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
