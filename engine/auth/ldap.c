/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory on an LDAP server.
 *
 * Where things stand in it differs by server; a schema (a row of schemas[]) says it. A user is found by one attribute with the name and must be the
 * only one: a name that two have is nobody's. What was typed must be the name's own letters but for their case, though servers match more loosely
 * (blanks, characters that do not show): otherwise one account would have many names, each with its own count of wrong passwords.
 *
 * Groups. One is named by its place: "cn=dev,ou=teams,dc=example,dc=org" is "example.org/teams/dev". A member is named by its DN, and a group may be
 * a member, to any depth: of one user they are found level by level, as (member=DN) of all groups of the level below; of all users, from one search for
 * all groups. In the schema rfc2307 members are user names, and groups are not nested. Each is looked at once, so a circle of groups ends.
 *
 * Logging in is a bind with the user's DN and password. For a name that there is not, a bind with a DN that there is not: it costs the same. Only after
 * it is the account looked at more closely: disabled (Active Directory's userAccountControl, nsAccountLock, pwdAccountLockedTime), expired (accountExpires,
 * shadowExpire). What the server refuses by its own policy is told by the bind (ldap_link.c).
 *
 * Ids are the server's own: entryUUID (RFC 4530) or objectGUID, which survive renaming.
 */
#include "engine/auth/ldap.h"

#include <stdlib.h>
#include <string.h>
#include "common/error.h"
#include "common/log.h"
#include "common/record.h"
#include "engine/auth/ldap_link.h"
#include "engine/model/misc.h"

#define LOG_MODULE "ldap"
#define GROUPS_MAX 1000                      /* of one user */
#define MEMBERS_AT_ONCE 50                   /* in one filter */

static const struct schema {
	const char *name, *id, *user_name, *user_filter, *group_filter;
	const char *members[2];
	bool guid;                           /* the id is 16 bytes, as Microsoft lays them out */
	bool member_names;                   /* members are user names, not DNs */
} schemas[] = {
	{ "rfc2307bis", "entryUUID", "uid", "(objectClass=inetOrgPerson)", "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))",
	  { "member", "uniqueMember" }, false, false },
	{ "rfc2307", "entryUUID", "uid", "(objectClass=posixAccount)", "(objectClass=posixGroup)", { "memberUid", NULL }, false, true },
	{ "ad", "objectGUID", "sAMAccountName", "(&(objectCategory=person)(objectClass=user))", "(objectClass=group)", { "member", NULL }, true, false },
};

const struct option ldap_options[] = {
	{ "domain", "name", OPTION_STRING, NULL, 0, 0, "Name of the domain: what stands after the '@' of its users' names." },
	{ "domain", "uri", OPTION_LIST, NULL, 0, 0, "Servers, tried in this order: ldaps://host, ldap://host:port or ldapi://socket." },
	{ "domain", "start_tls", OPTION_BOOL, "true", 0, 0, "On ldap:// speak TLS before anything else. Without it passwords go over the network in the clear." },
	{ "domain", "ca", OPTION_PATH, "/etc/ssl/certs/ca-certificates.crt", 0, 0, "CAs that the servers' certificates must be of, PEM." },
	{ "domain", "timeout", OPTION_INT, "10", 1, 60, "Seconds that a server may take for one answer." },
	{ "domain", "bind_dn", OPTION_STRING, NULL, 0, 0, "Who searches. Unset: an anonymous client." },
	{ "domain", "bind_password_file", OPTION_PATH, NULL, 0, 0, "File whose first line is that one's password; read anew each time." },
	{ "domain", "schema", OPTION_STRING, "rfc2307bis", 0, 0, "How users and groups stand in the directory: rfc2307bis, rfc2307 or ad." },
	{ "domain", "user_base", OPTION_STRING, NULL, 0, 0, "DN below which users are." },
	{ "domain", "group_base", OPTION_STRING, NULL, 0, 0, "DN below which groups are. Unset: user_base." },
	{ "domain", "user_filter", OPTION_STRING, NULL, 0, 0, "Filter of users. Unset: the schema's." },
	{ "domain", "group_filter", OPTION_STRING, NULL, 0, 0, "Filter of groups. Unset: the schema's." },
	{ "domain", "id_attribute", OPTION_STRING, NULL, 0, 0, "Attribute that holds an entry's id, a UUID. Unset: the schema's." },
	{ "domain", "recheck", OPTION_INT, "300", 1, 3600,
	  "Seconds after which a user who has a session is looked up again; gone, disabled or expired ones are thrown out." },
};
const size_t n_ldap_options = G_N_ELEMENTS(ldap_options);

struct ldap_directory {
	struct directory directory;
	struct config *config;
	const struct schema *schema;
	struct ldap_server *server;
	const char *user_base, *group_base, *user_filter, *group_filter, *id_attribute;   /* of config or schema */
	char *nobody;                        /* a DN that there is not */
};

/* ---- values ---- */

/* Ids as they travel: lower-case text. NULL: the entry has none that we could use. g_free */
static char *id_of(const struct ldap_directory *ldap, struct ldap_link *link, LDAPMessage *entry)
{
	struct berval **values = ldap_link_values(link, entry, ldap->id_attribute);
	const guchar *b = values && values[0] ? (const guchar *)values[0]->bv_val : NULL;
	char *id = NULL;

	if (b && ldap->schema->guid && values[0]->bv_len == 16)
		id = g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6],
				     b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	else if (b && !ldap->schema->guid)
		id = g_ascii_strdown((const char *)b, (gssize)values[0]->bv_len);
	ldap_value_free_len(values);
	if (id && !g_uuid_string_is_valid(id))
		g_clear_pointer(&id, g_free);
	return id;
}

/* The same as a filter's value. NULL: not an id. g_free */
static char *escaped_id(const struct ldap_directory *ldap, const char *id)
{
	static const guint8 places[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	guint8 bytes[16];
	unsigned n = 0;

	if (!g_uuid_string_is_valid(id))
		return NULL;
	if (!ldap->schema->guid)
		return ldap_escape(id, strlen(id));
	for (const char *p = id; *p; p++)
		if (*p != '-') {
			bytes[places[n++]] = (guint8)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
			p++;
		}
	return ldap_escape(bytes, sizeof(bytes));
}

/* To compare DNs by: servers do not care for case, nor for blanks between the parts. g_free */
static char *dn_key(const char *dn)
{
	LDAPDN parts = NULL;
	char *plain = NULL, *key;

	if (ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && ldap_dn2str(parts, &plain, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS)
		plain = NULL;
	key = g_utf8_strdown(plain ? plain : dn, -1);
	ldap_memfree(plain);
	ldap_dnfree(parts);
	return key;
}

/* "cn=dev,ou=teams,dc=example,dc=org" -> "example.org/teams/dev"; g_free */
static char *name_of_group(const struct ldap_directory *ldap, const char *dn)
{
	GString *name = g_string_new(NULL);
	LDAPDN parts = NULL;

	if (ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS)
		for (size_t i = 0; parts && parts[i]; i++) {
			const LDAPAVA *first = parts[i][0];
			if (first->la_attr.bv_len == 2 && g_ascii_strncasecmp(first->la_attr.bv_val, "dc", 2) == 0)
				break;
			g_string_prepend_len(name, first->la_value.bv_val, (gssize)first->la_value.bv_len);
			g_string_prepend_c(name, '/');
		}
	ldap_dnfree(parts);
	g_string_prepend(name, ldap->directory.name);
	return g_string_free(name, FALSE);
}

static int64_t number_of(struct ldap_link *link, LDAPMessage *entry, const char *attribute, int64_t missing)
{
	g_autofree char *text = ldap_link_text(link, entry, attribute);

	return text ? g_ascii_strtoll(text, NULL, 10) : missing;
}

/* By whom, see the head of this file. The numbers: Microsoft, "User-Account-Control attribute", "Account-Expires attribute" (100 ns since 1601);
 * shadow(5): days since 1970. */
static bool is_disabled(struct ldap_link *link, LDAPMessage *entry)
{
	g_autofree char *lock = ldap_link_text(link, entry, "nsAccountLock"), *locked = ldap_link_text(link, entry, "pwdAccountLockedTime");
	int64_t now_sec = g_get_real_time() / G_USEC_PER_SEC, day = now_sec / 86400, ticks = (now_sec + INT64_C(11644473600)) * 10000000;
	int64_t control = number_of(link, entry, "userAccountControl", 0), expires = number_of(link, entry, "accountExpires", 0);
	int64_t shadow = number_of(link, entry, "shadowExpire", -1);

	return control & 2 || (expires > 0 && expires <= ticks) || (shadow >= 0 && shadow <= day) || (lock && g_ascii_strcasecmp(lock, "TRUE") == 0) ||
	       (locked && g_str_has_prefix(locked, "000001010000"));
}

/* ---- groups ---- */

struct group_entry {
	char *dn;
	struct directory_group *record;
	GPtrArray *members;                  /* keys of what is in it; NULL: was not asked for */
};

static void group_entry_free(gpointer data)
{
	struct group_entry *group = data;

	g_free(group->dn);
	record_unref(group->record);
	if (group->members)
		g_ptr_array_unref(group->members);
	g_free(group);
}

struct group_search { const struct ldap_directory *ldap; GPtrArray *groups; bool with_members; };

static char *member_key(const struct ldap_directory *ldap, const char *member)
{
	return ldap->schema->member_names ? g_utf8_strdown(member, -1) : dn_key(member);
}

static void take_members(const struct group_search *search, struct ldap_link *link, LDAPMessage *entry, struct group_entry *group)
{
	group->members = g_ptr_array_new_with_free_func(g_free);
	for (size_t i = 0; i < G_N_ELEMENTS(search->ldap->schema->members) && search->ldap->schema->members[i]; i++) {
		struct berval **values = ldap_link_values(link, entry, search->ldap->schema->members[i]);
		for (size_t n = 0; values && values[n]; n++)
			if (g_utf8_validate(values[n]->bv_val, (gssize)values[n]->bv_len, NULL)) {
				g_autofree char *member = g_strndup(values[n]->bv_val, values[n]->bv_len);
				g_ptr_array_add(group->members, member_key(search->ldap, member));
			}
		ldap_value_free_len(values);
	}
}

static void take_group(struct ldap_link *link, LDAPMessage *entry, void *data)
{
	const struct group_search *search = data;
	g_autofree char *id = id_of(search->ldap, link, entry);

	if (!id)
		return;
	struct group_entry *group = g_new0(struct group_entry, 1);
	group->dn = ldap_link_dn(link, entry);
	group->record = record_new(&directory_group_type);
	set_string(&group->record->id, id);
	group->record->name = name_of_group(search->ldap, group->dn);
	set_ref(&group->record->domain, search->ldap->directory.id);
	if (search->with_members)
		take_members(search, link, entry, group);
	g_ptr_array_add(search->groups, group);
}

/* The groups that match the condition as well. */
static GPtrArray *find_groups(const struct ldap_directory *ldap, struct ldap_link *link, const char *condition, bool with_members, GError **error)
{
	const char *const *members = ldap->schema->members;
	const char *const attributes[] = { ldap->id_attribute, with_members ? members[0] : NULL, members[1], NULL };
	struct group_search search = { ldap, g_ptr_array_new_with_free_func(group_entry_free), with_members };
	g_autofree char *filter = g_strdup_printf("(&%s%s)", ldap->group_filter, condition);

	if (ldap_link_search(link, ldap->group_base, filter, attributes, take_group, &search, error))
		return search.groups;
	g_ptr_array_unref(search.groups);
	return NULL;
}

/* "(|(member=a)(member=b))" for the members at this and the following places; moves on. g_free */
static char *member_condition(const struct schema *schema, const GPtrArray *members, guint *place)
{
	GString *filter = g_string_new("(|");
	guint end = MIN(*place + MEMBERS_AT_ONCE, members->len);

	for (; *place < end; (*place)++) {
		g_autofree char *value = ldap_escape(members->pdata[*place], strlen(members->pdata[*place]));
		for (size_t i = 0; i < G_N_ELEMENTS(schema->members) && schema->members[i]; i++)
			g_string_append_printf(filter, "(%s=%s)", schema->members[i], value);
	}
	g_string_append_c(filter, ')');
	return g_string_free(filter, FALSE);
}

/* Adds the record unless it is there; true: it was new. */
static bool add_once(GPtrArray *records, struct directory_group *record)
{
	for (guint i = 0; i < records->len; i++)
		if (strcmp(((const struct directory_group *)records->pdata[i])->id, record->id) == 0)
			return false;
	if (records->len >= GROUPS_MAX)
		return false;
	g_ptr_array_add(records, record_ref(record));
	return true;
}

/* All groups that the user is in, level by level. */
static bool add_groups(const struct ldap_directory *ldap, struct ldap_link *link, const char *first, GPtrArray *records, GError **error)
{
	g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(members, g_strdup(first));
	for (guint place = 0; place < members->len;) {
		g_autofree char *condition = member_condition(ldap->schema, members, &place);
		g_autoptr(GPtrArray) groups = find_groups(ldap, link, condition, /* with_members= */ false, error);
		if (!groups)
			return false;
		for (guint i = 0; i < groups->len; i++) {
			const struct group_entry *group = groups->pdata[i];
			if (add_once(records, group->record) && !ldap->schema->member_names)
				g_ptr_array_add(members, g_strdup(group->dn));
		}
	}
	return true;
}

/* The same from what is known of all groups: member's key -> groups. */
static void add_known_groups(const struct ldap_directory *ldap, GHashTable *by_member, const char *key, GPtrArray *records)
{
	const GPtrArray *groups = g_hash_table_lookup(by_member, key);

	for (guint i = 0; groups && i < groups->len; i++) {
		const struct group_entry *group = groups->pdata[i];
		if (add_once(records, group->record) && !ldap->schema->member_names) {
			g_autofree char *inner = dn_key(group->dn);
			add_known_groups(ldap, by_member, inner, records);
		}
	}
}

static GHashTable *groups_by_member(const GPtrArray *groups)
{
	GHashTable *by_member = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);

	for (guint i = 0; i < groups->len; i++) {
		const struct group_entry *group = groups->pdata[i];
		for (guint n = 0; n < group->members->len; n++) {
			GPtrArray *list = g_hash_table_lookup(by_member, group->members->pdata[n]);
			if (!list)
				g_hash_table_insert(by_member, group->members->pdata[n], list = g_ptr_array_new());
			g_ptr_array_add(list, groups->pdata[i]);
		}
	}
	return by_member;
}

/* ---- users ---- */

struct user_entry { char *dn; struct directory_user *record; };

static void user_entry_free(gpointer data)
{
	struct user_entry *user = data;

	g_free(user->dn);
	record_unref(user->record);
	g_free(user);
}

struct user_search { const struct ldap_directory *ldap; GPtrArray *users; const char *name; /* NULL: any */ };

/* The entry's user name: its first, so that he has one name here whatever he types. NULL: the one that was asked for is none of its names but for case.
 * g_free */
static char *name_of_user(const struct user_search *search, struct ldap_link *link, LDAPMessage *entry)
{
	g_autofree char *wanted = search->name ? g_utf8_strdown(search->name, -1) : NULL;
	struct berval **values = ldap_link_values(link, entry, search->ldap->schema->user_name);
	char *name = NULL;
	bool its = !wanted;

	for (size_t i = 0; values && values[i]; i++) {
		if (!g_utf8_validate(values[i]->bv_val, (gssize)values[i]->bv_len, NULL))
			continue;
		g_autofree char *text = g_strndup(values[i]->bv_val, values[i]->bv_len), *lower = g_utf8_strdown(text, -1);
		its |= wanted && strcmp(lower, wanted) == 0;
		if (!name)
			name = g_steal_pointer(&text);
	}
	if (!its)
		g_clear_pointer(&name, g_free);
	ldap_value_free_len(values);
	return name;
}

static void take_user(struct ldap_link *link, LDAPMessage *entry, void *data)
{
	const struct user_search *search = data;
	const struct ldap_directory *ldap = search->ldap;
	g_autofree char *id = id_of(ldap, link, entry), *name = name_of_user(search, link, entry);

	if (!id || !name)
		return;
	struct user_entry *user = g_new0(struct user_entry, 1);
	struct directory_user *record = user->record = record_new(&directory_user_type);
	user->dn = ldap_link_dn(link, entry);
	set_string(&record->id, id);
	record->user_name = g_strdup_printf("%s@%s", name, ldap->directory.name);
	record->name = ldap_link_text(link, entry, "givenName");
	if (!record->name)
		record->name = ldap_link_text(link, entry, "cn");
	if (!record->name)
		record->name = g_steal_pointer(&name);
	record->last_name = ldap_link_text(link, entry, "sn");
	record->email = ldap_link_text(link, entry, "mail");
	set_ref(&record->domain, ldap->directory.id);
	SET(record, disabled, is_disabled(link, entry));
	record->groups = list_new();
	g_ptr_array_add(search->users, user);
}

static GPtrArray *find_users(const struct ldap_directory *ldap, struct ldap_link *link, const char *condition, const char *name, GError **error)
{
	const char *const attributes[] = { ldap->id_attribute, ldap->schema->user_name, "givenName", "cn", "sn", "mail", "userAccountControl",
					   "accountExpires", "nsAccountLock", "pwdAccountLockedTime", "shadowExpire", NULL };
	struct user_search search = { ldap, g_ptr_array_new_with_free_func(user_entry_free), name };
	g_autofree char *filter = g_strdup_printf("(&%s%s)", ldap->user_filter, condition);

	if (ldap_link_search(link, ldap->user_base, filter, attributes, take_user, &search, error))
		return search.users;
	g_ptr_array_unref(search.users);
	return NULL;
}

static void set_no_user(const struct ldap_directory *ldap, const char *id, const char *name, GError **error)
{
	error_set(error, ERR_NOT_FOUND, "user '%.128s' in the domain '%s'", id ? id : name, ldap->directory.name);
}

/* "joe@example.org" -> "joe"; of another domain: NULL. g_free */
static char *own_name(const struct ldap_directory *ldap, const char *name)
{
	const char *at = strrchr(name, '@');

	if (at && g_ascii_strcasecmp(at + 1, ldap->directory.name) != 0)
		return NULL;
	return at ? g_strndup(name, (gsize)(at - name)) : g_strdup(name);
}

/* The one entry of the id or name, without its groups. NULL + ERR_NOT_FOUND: none, or more than one. */
static struct user_entry *find_user(const struct ldap_directory *ldap, struct ldap_link *link, const char *id, const char *name, GError **error)
{
	g_autofree char *own = name ? own_name(ldap, name) : NULL;
	g_autofree char *value = id ? escaped_id(ldap, id) : own ? ldap_escape(own, strlen(own)) : NULL;

	if (!value) {
		set_no_user(ldap, id, name, error);
		return NULL;
	}
	g_autofree char *condition = g_strdup_printf("(%s=%s)", id ? ldap->id_attribute : ldap->schema->user_name, value);
	g_autoptr(GPtrArray) users = find_users(ldap, link, condition, id ? NULL : own, error);
	if (!users)
		return NULL;
	if (users->len > 1)
		log_warn("domain '%s': %u entries match %s: nobody is meant", ldap->directory.name, users->len, condition);
	if (users->len != 1) {
		set_no_user(ldap, id, name, error);
		return NULL;
	}
	return g_ptr_array_steal_index(users, 0);
}

/* Takes the record of the entry, with all groups. */
static struct directory_user *complete(const struct ldap_directory *ldap, struct ldap_link *link, const struct user_entry *entry, GError **error)
{
	g_autofree char *own = own_name(ldap, entry->record->user_name);

	if (!add_groups(ldap, link, ldap->schema->member_names ? own : entry->dn, entry->record->groups, error))
		return NULL;
	return record_ref(entry->record);
}

/* ---- what a directory can do ---- */

static void wrap(const struct directory *directory, GError **error)
{
	error_wrap(error, "domain '%s'", directory->name);
}

static GPtrArray *list_users(const struct ldap_directory *ldap, struct ldap_link *link, GError **error)
{
	g_autoptr(GPtrArray) groups = find_groups(ldap, link, "", /* with_members= */ true, error);
	g_autoptr(GPtrArray) users = groups ? find_users(ldap, link, "", NULL, error) : NULL;

	if (!users)
		return NULL;
	g_autoptr(GHashTable) by_member = groups_by_member(groups);
	GPtrArray *list = list_new();
	for (guint i = 0; i < users->len; i++) {
		const struct user_entry *user = users->pdata[i];
		g_autofree char *own = own_name(ldap, user->record->user_name), *key = member_key(ldap, ldap->schema->member_names ? own : user->dn);
		add_known_groups(ldap, by_member, key, user->record->groups);
		g_ptr_array_add(list, record_ref(user->record));
	}
	return list;
}

static GPtrArray *users(struct directory *directory, GError **error)
{
	const struct ldap_directory *ldap = (struct ldap_directory *)directory;
	struct ldap_link *link = ldap_link_open(ldap->server, error);
	GPtrArray *list = link ? list_users(ldap, link, error) : NULL;

	ldap_link_close(link);
	if (!list)
		wrap(directory, error);
	return list;
}

static GPtrArray *list_groups(const struct ldap_directory *ldap, const char *condition, GError **error)
{
	struct ldap_link *link = ldap_link_open(ldap->server, error);
	g_autoptr(GPtrArray) groups = link ? find_groups(ldap, link, condition, /* with_members= */ false, error) : NULL;
	GPtrArray *list = NULL;

	ldap_link_close(link);
	if (!groups) {
		wrap(&ldap->directory, error);
		return NULL;
	}
	list = list_new();
	for (guint i = 0; i < groups->len; i++)
		g_ptr_array_add(list, record_ref(((const struct group_entry *)groups->pdata[i])->record));
	return list;
}

static GPtrArray *groups(struct directory *directory, GError **error)
{
	return list_groups((struct ldap_directory *)directory, "", error);
}

static struct directory_user *user(struct directory *directory, const char *id, const char *name, GError **error)
{
	const struct ldap_directory *ldap = (struct ldap_directory *)directory;
	struct ldap_link *link = ldap_link_open(ldap->server, error);
	struct user_entry *entry = link ? find_user(ldap, link, id, name, error) : NULL;
	struct directory_user *record = entry ? complete(ldap, link, entry, error) : NULL;

	if (link && !record)
		wrap(directory, error);
	if (entry)
		user_entry_free(entry);
	ldap_link_close(link);
	return record;
}

/* A name with its path is that group's; without, it must be the only one of that name. A name may have slashes in it. */
static char *name_condition(const struct ldap_directory *ldap, const char *name)
{
	GString *filter = g_string_new("(|");

	for (const char *part = name; part; part = strchr(part, '/')) {
		part += *part == '/';
		g_autofree char *value = ldap_escape(part, strlen(part));
		g_string_append_printf(filter, "(cn=%s)", value);
	}
	g_string_append_c(filter, ')');
	return g_string_free(filter, FALSE);
}

static struct directory_group *group(struct directory *directory, const char *id, const char *name, GError **error)
{
	const struct ldap_directory *ldap = (struct ldap_directory *)directory;
	g_autofree char *value = id ? escaped_id(ldap, id) : NULL, *condition = NULL;
	struct directory_group *found = NULL;
	unsigned n = 0;

	if (value)
		condition = g_strdup_printf("(%s=%s)", ldap->id_attribute, value);
	else if (name)
		condition = name_condition(ldap, name);
	g_autoptr(GPtrArray) list = condition ? list_groups(ldap, condition, error) : list_new();
	if (!list)
		return NULL;
	bool whole = name && strchr(name, '/');
	for (guint i = 0; i < list->len; i++) {
		struct directory_group *one = list->pdata[i];
		if (whole && g_ascii_strcasecmp(one->name, name) != 0)
			continue;
		found = one;
		n++;
	}
	if (n == 1)
		return record_ref(found);
	error_set(error, ERR_NOT_FOUND, n ? "group '%.128s' in the domain '%s': there are several, give the whole name" : "group '%.128s' in the domain '%s'",
		  id ? id : name, directory->name);
	return NULL;
}

static struct directory_user *try_login(const struct ldap_directory *ldap, struct ldap_link *link, const char *name, const char *password,
					bool *ret_disabled, GError **error)
{
	g_autoptr(GError) problem = NULL;
	struct user_entry *entry = find_user(ldap, link, /* id= */ NULL, name, &problem);
	struct directory_user *record = NULL;

	if (!entry && !error_is(problem, ERR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	enum ldap_verdict verdict = ldap_link_try(link, entry ? entry->dn : ldap->nobody, password, error);
	if (verdict == LDAP_VERDICT_RIGHT && !entry)
		verdict = LDAP_VERDICT_WRONG;
	if (verdict == LDAP_VERDICT_RIGHT && entry->record->disabled)
		verdict = LDAP_VERDICT_BARRED;
	*ret_disabled = entry && verdict == LDAP_VERDICT_BARRED;
	if (verdict == LDAP_VERDICT_RIGHT)
		record = ldap_link_bind(link, error) ? complete(ldap, link, entry, error) : NULL;
	else if (verdict != LDAP_VERDICT_NONE)
		error_set(error, ERR_FORBIDDEN, "'%.64s': %s", name, *ret_disabled ? "the account is disabled, locked or expired" : "wrong name or password");
	if (entry)
		user_entry_free(entry);
	return record;
}

static struct directory_user *login(struct directory *directory, const char *name, const char *password, bool *ret_disabled, GError **error)
{
	const struct ldap_directory *ldap = (struct ldap_directory *)directory;
	struct ldap_link *link = ldap_link_open(ldap->server, error);
	struct directory_user *record = link ? try_login(ldap, link, name, password, ret_disabled, error) : NULL;

	ldap_link_close(link);
	if (!record)
		wrap(directory, error);
	return record;
}

static void stop(struct directory *directory)
{
	ldap_server_stop(((struct ldap_directory *)directory)->server);
}

static void free_ldap(struct directory *directory)
{
	struct ldap_directory *ldap = (struct ldap_directory *)directory;

	ldap_server_free(ldap->server);
	config_free(ldap->config);
	g_free(ldap->nobody);
}

static const struct directory_ops ops = { .users = users, .groups = groups, .user = user, .group = group, .login = login, .stop = stop, .free = free_ldap };

/* ---- configuration ---- */

static const char *text_of(const struct config *config, const char *key)
{
	return config_string(config, "domain", key);
}

static bool check_dn(const char *key, const char *dn, GError **error)
{
	LDAPDN parts = NULL;
	bool good = ldap_str2dn(dn, &parts, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS;

	ldap_dnfree(parts);
	if (!good)
		error_set(error, ERR_CONFIG_INVALID, "[domain] %s=%s: not a DN", key, dn);
	return good;
}

/* One filter in brackets, so that what is added stays beside it. */
static bool check_filter(const char *key, const char *filter, GError **error)
{
	int depth = 0;
	bool good = *filter == '(';

	for (const char *p = filter; *p && good; p++) {
		depth += (*p == '(') - (*p == ')');
		good = depth > 0 || (depth == 0 && *p == ')' && !p[1]);
	}
	if (!good || depth != 0)
		error_set(error, ERR_CONFIG_INVALID, "[domain] %s=%s: not one filter in brackets", key, filter);
	return good && depth == 0;
}

static bool check_uris(char *const *uris, GError **error)
{
	for (char *const *uri = uris; *uri; uri++)
		if (!g_str_has_prefix(*uri, "ldap://") && !g_str_has_prefix(*uri, "ldaps://") && !g_str_has_prefix(*uri, "ldapi://")) {
			error_set(error, ERR_CONFIG_INVALID, "[domain] uri=%s: not ldap://, ldaps:// or ldapi://", *uri);
			return false;
		}
	if (!*uris)
		error_set(error, ERR_CONFIG_INVALID, "[domain] uri: not set");
	return *uris;
}

/* What config_load() cannot know. */
static bool check(const struct config *config, const struct schema **ret_schema, GError **error)
{
	static const char *const needed[] = { "name", "user_base" }, *const dns[] = { "user_base", "group_base", "bind_dn" },
			  *const filters[] = { "user_filter", "group_filter" };
	g_auto(GStrv) uris = config_list(config, "domain", "uri");
	const char *name = text_of(config, "name"), *schema = text_of(config, "schema");

	for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
		if (!text_of(config, needed[i])) {
			error_set(error, ERR_CONFIG_INVALID, "[domain] %s: not set", needed[i]);
			return false;
		}
	if (strpbrk(name, "@:/ ")) {
		error_set(error, ERR_CONFIG_INVALID, "[domain] name=%s: not the name of a domain", name);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(dns); i++)
		if (text_of(config, dns[i]) && !check_dn(dns[i], text_of(config, dns[i]), error))
			return false;
	for (size_t i = 0; i < G_N_ELEMENTS(filters); i++)
		if (text_of(config, filters[i]) && !check_filter(filters[i], text_of(config, filters[i]), error))
			return false;
	if (!check_uris(uris, error))
		return false;
	if (text_of(config, "bind_dn") && !text_of(config, "bind_password_file")) {
		error_set(error, ERR_CONFIG_INVALID, "[domain] bind_password_file: not set, though bind_dn is");
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(schemas); i++)
		if (schema && strcmp(schemas[i].name, schema) == 0) {
			*ret_schema = &schemas[i];
			return true;
		}
	error_set(error, ERR_CONFIG_INVALID, "[domain] schema=%s: not rfc2307bis, rfc2307 or ad", schema ? schema : "");
	return false;
}

/* The domain's id: of its name, so that it is the same in every engine (RFC 4122, version 5, name space DNS). g_free */
static char *id_of_domain(const char *name)
{
	static const guint8 dns[16] = { 0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
	g_autofree char *lower = g_ascii_strdown(name, -1);
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA1);
	guint8 b[20];
	gsize n = sizeof(b);

	g_checksum_update(sum, dns, sizeof(dns));
	g_checksum_update(sum, (const guchar *)lower, (gssize)strlen(lower));
	g_checksum_get_digest(sum, b, &n);
	g_checksum_free(sum);
	b[6] = (b[6] & 0x0f) | 0x50;
	b[8] = (b[8] & 0x3f) | 0x80;
	return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
			       b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static const char *or_else(const char *value, const char *otherwise)
{
	return value ? value : otherwise;
}

struct directory *ldap_directory_new(const char *file, GError **error)
{
	struct config *config = config_load(file, ldap_options, n_ldap_options, error);
	const struct schema *schema;

	if (!config)
		return NULL;
	if (!check(config, &schema, error)) {
		error_wrap(error, "%s", file);
		config_free(config);
		return NULL;
	}
	g_auto(GStrv) uris = config_list(config, "domain", "uri");
	const struct ldap_server_settings settings = {
		.uris = uris, .start_tls = config_bool(config, "domain", "start_tls"), .ca = text_of(config, "ca"), .bind_dn = text_of(config, "bind_dn"),
		.bind_password_file = text_of(config, "bind_password_file"), .timeout_usec = config_int(config, "domain", "timeout") * G_USEC_PER_SEC,
	};
	struct ldap_directory *ldap = g_new0(struct ldap_directory, 1);
	const char *name = text_of(config, "name");
	ldap->directory = (struct directory){ .ops = &ops, .id = id_of_domain(name), .name = g_strdup(name),
					      .recheck_usec = config_int(config, "domain", "recheck") * G_USEC_PER_SEC };
	ldap->config = config;
	ldap->schema = schema;
	ldap->server = ldap_server_new(&settings);
	ldap->user_base = text_of(config, "user_base");
	ldap->group_base = or_else(text_of(config, "group_base"), ldap->user_base);
	ldap->user_filter = or_else(text_of(config, "user_filter"), schema->user_filter);
	ldap->group_filter = or_else(text_of(config, "group_filter"), schema->group_filter);
	ldap->id_attribute = or_else(text_of(config, "id_attribute"), schema->id);
	ldap->nobody = g_strdup_printf("cn=nobody,%s", ldap->user_base);
	if (!settings.start_tls)
		for (char **uri = uris; *uri; uri++)
			if (g_str_has_prefix(*uri, "ldap://"))
				log_warn("domain '%s': passwords go to %s in the clear (start_tls=false)", name, *uri);
	return &ldap->directory;
}
