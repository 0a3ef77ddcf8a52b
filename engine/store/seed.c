/* SPDX-License-Identifier: Apache-2.0 */
/* What a new installation has: data center and cluster Default, the management network, template Blank, the root tag, roles, the administrator. */
#include "common/error.h"
#include "common/loop.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/tag.h"
#include "engine/model/template.h"
#include "engine/model/user.h"
#include "engine/model/vnic_profile.h"
#include "engine/store/store-priv.h"
#include <string.h>

/* The named members that every seeded object has. Takes part in the change; the change holds the record. */
static void add(struct change *change, void *record)
{
	change_add(change, record);
	record_unref(record);
}

static struct datacenter *datacenter(void)
{
	struct datacenter *dc = record_new(&datacenter_type);

	dc->id = g_uuid_string_random();
	set_string(&dc->name, "Default");
	set_string(&dc->description, "The default Data Center");
	SET(dc, local, false);
	SET(dc, state, DATACENTER_UNINITIALIZED);
	record_defaults(dc, CREATE);
	return dc;
}

static struct cluster *cluster(const char *datacenter_id)
{
	struct cluster *new = record_new(&cluster_type);

	new->id = g_uuid_string_random();
	set_string(&new->name, "Default");
	set_string(&new->description, "The default server cluster");
	set_string(&new->cpu_id, "Intel Conroe Family");
	set_ref(&new->data_center, datacenter_id);
	SET(new, major, LEVEL_MAJOR);
	SET(new, minor, LEVEL_MINOR);
	record_defaults(new, CREATE);
	return new;
}

static struct network *network(const char *datacenter_id)
{
	struct network *new = record_new(&network_type);

	set_string(&new->id, MANAGEMENT_NETWORK_ID);
	set_string(&new->name, MANAGEMENT_NETWORK);
	set_string(&new->description, "Management Network");
	set_ref(&new->data_center, datacenter_id);
	SET(new, management, true);
	new->usages = strings_new();
	g_ptr_array_add(new->usages, g_strdup("vm"));
	record_defaults(new, CREATE);
	return new;
}

/* A network for VMs begins with a profile of its name. */
static struct vnic_profile *vnic_profile(const struct network *of)
{
	struct vnic_profile *new = record_new(&vnic_profile_type);

	set_string(&new->name, of->name);
	set_ref(&new->network, of->id);
	record_defaults(new, CREATE);
	return new;
}

static struct cluster_network *membership(const char *cluster_id)
{
	struct cluster_network *new = record_new(&cluster_network_type);

	set_ref(&new->cluster, cluster_id);
	set_ref(&new->network, MANAGEMENT_NETWORK_ID);
	SET(new, required, true);
	SET(new, display, true);
	new->usages = strings_new();
	g_ptr_array_add(new->usages, g_strdup("vm"));
	g_ptr_array_add(new->usages, g_strdup("display"));
	return new;
}

static struct template *blank(void)
{
	struct template *new = record_new(&template_type);
	struct boot_item *boot = list_add(&new->boot, &boot_item_type);
	struct sso_method *method = list_add(&new->sso_methods, &sso_method_type);

	set_string(&new->id, BLANK_ID);
	set_string(&new->name, "Blank");
	set_string(&new->description, "Blank template");
	SET(new, state, TEMPLATE_OK);
	SET(new, creation_time, wall_msec());
	SET(boot, dev, BOOT_HD);
	set_string(&method->id, "GUEST_AGENT");
	set_ref(&new->base_template, BLANK_ID);
	SET(new, version_number, 1);
	set_string(&new->version_name, "base version");
	record_defaults(new, /* flags= */ 0);
	return new;
}

static struct cpu_profile *cpu_profile(const char *cluster_id)
{
	struct cpu_profile *new = record_new(&cpu_profile_type);

	set_string(&new->name, "Default");
	set_ref(&new->cluster, cluster_id);
	return new;
}

static struct tag *root_tag(void)
{
	struct tag *new = record_new(&tag_type);

	set_string(&new->id, ROOT_TAG_ID);
	set_string(&new->name, "root");
	set_string(&new->description, "root");
	set_ref(&new->parent, ROOT_TAG_ID);
	return new;
}

static struct role *builtin(const struct builtin_role *row)
{
	struct role *role = record_new(&role_type);

	set_string(&role->id, row->id);
	set_string(&role->name, row->name);
	set_string(&role->description, row->description);
	SET(role, mutable, false);
	SET(role, administrative, row->administrative);
	if (row->permits)
		role_give(role, row->permits);
	return role;
}

/* Roles that are missing, and those that were built in otherwise by an older program. A role of the same name that somebody made keeps the name. */
static void add_roles(struct change *change, struct model *model)
{
	for (const struct builtin_role *row = builtin_roles; row->id; row++) {
		struct role *there = model_get(model, &role_kind, row->id), *namesake = model_find(model, &role_kind, NULL, row->name);
		struct role *role = builtin(row);

		if (there && !record_equal(there, role))
			change_replace(change, there, role);
		else if (!there && !namesake)
			change_add(change, role);
		record_unref(role);
		record_unref(there);
		record_unref(namesake);
	}
}

static void give_everyone(struct change *change, const char *role, const char *collection, const char *id)
{
	struct permission *new = record_new(&permission_type);

	set_ref(&new->role, role);
	set_ref(&new->group, EVERYONE_GROUP_ID);
	set_string(&new->object_kind, collection);
	set_string(&new->object_id, id);
	set_ref(collection == template_kind.collection ? &new->template : &new->network, id);
	add(change, new);
}

/* The group that everybody is in, and what everybody may use. */
static void add_everyone(struct change *change, struct model *model)
{
	struct group *group = record_new(&group_type);
	void *network = model_get(model, &network_kind, MANAGEMENT_NETWORK_ID);

	set_string(&group->id, EVERYONE_GROUP_ID);
	set_string(&group->name, "Everyone");
	set_string(&group->domain_entry_id, "65656530303030302D303030302D303030302D303030302D313233343536373839656565");
	set_string(&group->namespace_, "*");
	add(change, group);
	give_everyone(change, ROLE_TEMPLATE_USER, template_kind.collection, BLANK_ID);
	if (network)
		give_everyone(change, ROLE_NETWORK_USER, network_kind.collection, MANAGEMENT_NETWORK_ID);
	record_unref(network);
}

static struct user *administrator(void)
{
	struct user *new = record_new(&user_type);

	set_string(&new->id, ADMIN_USER_ID);
	set_string(&new->name, "admin");
	set_string(&new->user_name, "admin@internal");
	set_string(&new->domain, "internal");
	return new;
}

static struct permission *everything(void)
{
	struct permission *new = record_new(&permission_type);

	set_ref(&new->role, ROLE_SUPER_USER);
	set_ref(&new->user, ADMIN_USER_ID);
	return new;
}

bool store_seed(struct store *store, GError **error)
{
	struct change *change = change_new(store);
	struct datacenter *dc = datacenter();
	struct cluster *first = cluster(dc->id);
	struct network *management = network(dc->id);

	add(change, vnic_profile(management));
	add(change, management);
	add(change, membership(first->id));
	add(change, cpu_profile(first->id));
	add(change, dc);
	add(change, first);
	add(change, blank());
	add(change, root_tag());
	add_roles(change, store->model);
	add(change, administrator());
	add(change, everything());
	if (change_commit(change, error))
		return true;
	error_wrap(error, "make the first objects");
	return false;
}

bool store_update_builtin(struct store *store, GError **error)
{
	struct change *change = change_new(store);
	void *group = model_get(store->model, &group_kind, EVERYONE_GROUP_ID);

	add_roles(change, store->model);
	if (!group)
		add_everyone(change, store->model);
	record_unref(group);
	if (change_commit(change, error))
		return true;
	error_wrap(error, "bring the built-in roles up to date");
	return false;
}
