/* SPDX-License-Identifier: Apache-2.0 */
/* Users, groups and directory domains: the tables. See user.h. */
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/user.h"

#define CU (CREATE | UPDATE)

static const struct field user_fields[] = {
	FIELD_UUID_(struct user, id, "@id", CREATE, "id in the directory; instead of user_name"),
	FIELD_STRING_(struct user, name, "name", SEARCH | HEAD, "first or full name", .max = 255),
	FIELD_STRING_(struct user, domain, "domain", CREATE | SEARCH, "directory domain; may be part of user_name", .max = 255),
	FIELD_STRING_(struct user, domain, "domain/name", CREATE | ALIAS, "other form of domain"),
	FIELD_BOOL_(struct user, logged_in, "logged_in", VOLATILE_, "has a session"),
	FIELD_STRING_(struct user, user_name, "user_name", CREATE | SEARCH | UNIQUE, "name@domain: what is typed to log in", .search = "usrname",
		      .min = 1, .max = 255),
	FIELD_STRING_(struct user, last_name, "last_name", SEARCH, "family name", .search = "lastname"),
	FIELD_STRING_(struct user, email, "email", SEARCH, "mail address"),
	FIELD_STRINGS_(struct user, groups, "groups/group", READ_ONLY, "groups of the directory"),
	FIELD_STRINGS_(struct user, group_ids, "group_ids/id", INTERNAL, "ids of those groups"),
	FIELD_LIST_(struct user, roles, "roles/role", CREATE | INPUT_ONLY, &object_ref_type, "first roles", .target = "roles"),
};
const struct record_type user_type = RECORD_TYPE("user", "users", struct user, user_fields, "Somebody who may log in");

static const struct field group_fields[] = {
	FIELD_UUID_(struct group, id, "@id", CREATE, "id in the directory; instead of name"),
	FIELD_STRING_(struct group, name, "name", CREATE | SEARCH | UNIQUE | HEAD, "name in the directory", .min = 1, .max = 255),
	FIELD_STRING_(struct group, domain_name, "domain/name", CREATE | INPUT_ONLY, "directory domain", .max = 255),
	FIELD_STRING_(struct group, domain_entry_id, "domain_entry_id", READ_ONLY, "id in the directory"),
	FIELD_STRING_(struct group, namespace_, "namespace", READ_ONLY, "part of the directory"),
};
const struct record_type group_type = RECORD_TYPE("group", "groups", struct group, group_fields, "A group of the directory");

static const struct field directory_domain_fields[] = {
	FIELD_UUID_(struct directory_domain, id, "@id", READ_ONLY, "identity"),
	FIELD_STRING_(struct directory_domain, name, "name", SEARCH | HEAD, "name of the domain"),
};
const struct record_type directory_domain_type =
	RECORD_TYPE("domain", "domains", struct directory_domain, directory_domain_fields, "A directory of users");

static const struct field directory_group_fields[] = {
	FIELD_STRING_(struct directory_group, id, "@id", READ_ONLY, "id in the directory"),
	FIELD_STRING_(struct directory_group, name, "name", SEARCH | HEAD, "name in the directory"),
	FIELD_REF_(struct directory_group, domain, "domain", WEAK, "domains", "directory domain"),
};
const struct record_type directory_group_type =
	RECORD_TYPE("group", "groups", struct directory_group, directory_group_fields, "A group in the directory");

static const struct field directory_user_fields[] = {
	FIELD_STRING_(struct directory_user, id, "@id", READ_ONLY, "id in the directory"),
	FIELD_STRING_(struct directory_user, name, "name", SEARCH | HEAD, "first or full name"),
	FIELD_REF_(struct directory_user, domain, "domain", WEAK, "domains", "directory domain"),
	FIELD_STRING_(struct directory_user, user_name, "user_name", SEARCH, "name@domain: what is typed to log in", .search = "usrname"),
	FIELD_STRING_(struct directory_user, last_name, "last_name", SEARCH, "family name", .search = "lastname"),
	FIELD_STRING_(struct directory_user, email, "email", READ_ONLY, "mail address"),
	FIELD_LIST_(struct directory_user, groups, "groups/group", SEARCH, &directory_group_type, "groups of the directory", .search = "group"),
	FIELD_BOOL_(struct directory_user, disabled, "disabled", INTERNAL, "may not log in"),
};
const struct record_type directory_user_type =
	RECORD_TYPE("user", "users", struct directory_user, directory_user_fields, "A user in the directory");
