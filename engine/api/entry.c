/* SPDX-License-Identifier: Apache-2.0 */
/* The entry point: where everything is, who answers, and how much of it there is. Guide chapter 4. */
#include <string.h>
#include "common/loop.h"
#include "engine/api/api-priv.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/storage_domain.h"
#include "engine/model/vm.h"

#define PRODUCT_NAME "Red Hat Enterprise Virtualization"    /* clients look for these two */
#define PRODUCT_VENDOR "Red Hat"

struct link { struct record record; char *rel, *href; };
static const struct field link_fields[] = {
	FIELD_STRING_(struct link, href, "@href", READ_ONLY, "where it is; {query} stands for a search"),
	FIELD_STRING_(struct link, rel, "@rel", READ_ONLY, "what it is"),
};
static const struct record_type link_type = RECORD_TYPE("link", NULL, struct link, link_fields, "A link");

struct entry {
	struct record record;
	GPtrArray *links, *special;
	char *name, *vendor;
	int major, minor, build, revision;
	int64_t time;
	int vms_total, vms_active, hosts_total, hosts_active, users_total, users_active, domains_total, domains_active;
};
#define COUNT(member, path, text) FIELD_INT_(struct entry, member, "summary/" path, READ_ONLY, text)
static const struct field entry_fields[] = {
	FIELD_LIST_(struct entry, links, "link", READ_ONLY, &link_type, "collections and searches"),
	FIELD_LIST_(struct entry, special, "special_objects/link", READ_ONLY, &link_type, "objects that always exist"),
	FIELD_STRING_(struct entry, name, "product_info/name", READ_ONLY, "product that the API is one of"),
	FIELD_STRING_(struct entry, vendor, "product_info/vendor", READ_ONLY, "vendor of that product"),
	FIELD_INT_(struct entry, major, "product_info/version@major", READ_ONLY, "version of the API"),
	FIELD_INT_(struct entry, minor, "product_info/version@minor", READ_ONLY, "version of the API, second number"),
	FIELD_INT_(struct entry, build, "product_info/version@build", READ_ONLY, "always 0"),
	FIELD_INT_(struct entry, revision, "product_info/version@revision", READ_ONLY, "always 0"),
	COUNT(vms_total, "vms/total", "virtual machines"),
	COUNT(vms_active, "vms/active", "virtual machines that run"),
	COUNT(hosts_total, "hosts/total", "hosts"),
	COUNT(hosts_active, "hosts/active", "hosts that are up"),
	COUNT(users_total, "users/total", "users"),
	COUNT(users_active, "users/active", "users with a session"),
	COUNT(domains_total, "storage_domains/total", "storage domains"),
	COUNT(domains_active, "storage_domains/active", "storage domains in use"),
	FIELD_TIME_(struct entry, time, "time", READ_ONLY, "the server's clock"),
};
const struct record_type entry_type = RECORD_TYPE("api", NULL, struct entry, entry_fields, "The entry point");

static void add_link(GPtrArray **links, const char *rel, const char *base, const char *tail)
{
	struct link *link = list_add(links, &link_type);
	link->rel = g_strdup(rel);
	link->href = g_strconcat(base, "/", tail, NULL);
}

static bool is_served(const char *path)
{
	for (size_t i = 0; resources[i]; i++)
		if (!resources[i]->parent && strcmp(resources[i]->path, path) == 0)
			return true;
	return false;
}

/* The guide's order; what is not served is not linked, what is served and not in the guide comes last. */
static void add_links(struct entry *entry, const char *base)
{
	static const struct { const char *path; bool search; } order[] = {
		{ "clusters", true }, { "datacenters", true }, { "events", true }, { "hosts", true }, { "networks", true }, { "roles", false },
		{ "storagedomains", true }, { "tags", false }, { "templates", true }, { "users", true }, { "groups", true }, { "domains", false },
		{ "vmpools", true }, { "vms", true }, { "disks", true },
	};
	add_link(&entry->links, "capabilities", base, "capabilities");
	for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
		if (!is_served(order[i].path))
			continue;
		add_link(&entry->links, order[i].path, base, order[i].path);
		if (order[i].search) {
			char *rel = g_strconcat(order[i].path, "/search", NULL), *tail = g_strconcat(order[i].path, "?search={query}", NULL);
			add_link(&entry->links, rel, base, tail);
			g_free(rel);
			g_free(tail);
		}
	}
	for (size_t i = 0; resources[i]; i++) {
		bool listed = resources[i]->parent != NULL;
		for (size_t j = 0; j < G_N_ELEMENTS(order); j++)
			listed = listed || strcmp(order[j].path, resources[i]->path) == 0;
		if (!listed)
			add_link(&entry->links, resources[i]->path, base, resources[i]->path);
	}
	add_link(&entry->special, "templates/blank", base, "templates/" BLANK_ID);
	if (is_served("tags"))
		add_link(&entry->special, "tags/root", base, "tags/" BLANK_ID);
}

static void count(struct call *call, struct entry *entry)
{
	struct model *model = call->api->engine->model;
	int active = 0;
	GPtrArray *vms = model_list(model, &vm_kind);
	for (guint i = 0; i < vms->len; i++)
		active += vm_is_running(g_ptr_array_index(vms, i));
	SET(entry, vms_total, (int)vms->len);
	SET(entry, vms_active, active);
	g_ptr_array_unref(vms);

	GPtrArray *hosts = model_list(model, &host_kind);
	active = 0;
	for (guint i = 0; i < hosts->len; i++)
		active += ((const struct host *)g_ptr_array_index(hosts, i))->state == HOST_UP;
	SET(entry, hosts_total, (int)hosts->len);
	SET(entry, hosts_active, active);
	g_ptr_array_unref(hosts);

	GPtrArray *domains = model_list(model, &storage_domain_kind);
	active = 0;
	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = g_ptr_array_index(domains, i);
		active += HAS(domain, state) && domain->state == DOMAIN_ACTIVE;
	}
	SET(entry, domains_total, (int)domains->len);
	SET(entry, domains_active, active);
	g_ptr_array_unref(domains);

	/* the built-in administrator counts, whether the model knows it or not */
	void *admin = model_get(model, &user_kind, AUTH_ADMIN_ID);
	SET(entry, users_total, (int)model_count(model, &user_kind) + (admin ? 0 : 1));
	SET(entry, users_active, (int)session_users(call->api->engine->auth));
	record_unref(admin);
}

void answer_entry(struct call *call)
{
	struct entry *entry = record_new(&entry_type);
	add_links(entry, call->route.base);
	entry->name = g_strdup(PRODUCT_NAME);
	entry->vendor = g_strdup(PRODUCT_VENDOR);
	SET(entry, major, LEVEL_MAJOR);
	SET(entry, minor, LEVEL_MINOR);
	SET(entry, build, 0);
	SET(entry, revision, 0);
	SET(entry, time, wall_msec());
	count(call, entry);
	answer_record(call, 200, entry, NULL);
	record_unref(entry);
}
