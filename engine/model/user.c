/* SPDX-License-Identifier: Apache-2.0 */
/* Users, groups and directory domains: the tables. See user.h. */
#include "engine/model/misc.h"
#include "engine/model/user.h"

#define CU (CREATE | UPDATE)

static const struct field user_fields[] = {
	FIELD_UUID_(struct user, id, "@id", READ_ONLY, "identity"),
	FIELD_STRING_(struct user, name, "name", CREATE | SEARCH | HEAD, "first or full name", .max = 255),
	FIELD_STRING_(struct user, domain, "domain", SEARCH, "directory domain"),
	FIELD_BOOL_(struct user, logged_in, "logged_in", VOLATILE_, "has a session"),
	FIELD_STRING_(struct user, user_name, "user_name", CREATE | REQUIRED | SEARCH | UNIQUE, "name@domain: what is typed to log in", .search = "usrname",
		      .min = 1, .max = 255),
	FIELD_STRING_(struct user, last_name, "last_name", CREATE | SEARCH, "family name", .search = "lastname", .max = 255),
	FIELD_STRING_(struct user, email, "email", CREATE, "mail address", .max = 255),
	FIELD_STRINGS_(struct user, groups, "groups/group", READ_ONLY, "groups of the directory"),
	FIELD_LIST_(struct user, roles, "roles/role", CREATE | INPUT_ONLY, &object_ref_type, "first roles", .target = "roles"),
	FIELD_STRING_(struct user, password_hash, "password_hash", INTERNAL | SECRET, "password of a local user, hashed"),
};
const struct record_type user_type = RECORD_TYPE("user", "users", struct user, user_fields, "Somebody who may log in");

static const struct field group_fields[] = {
	FIELD_UUID_(struct group, id, "@id", READ_ONLY, "identity"),
	FIELD_STRING_(struct group, name, "name", CREATE | REQUIRED | SEARCH | UNIQUE | HEAD, "name in the directory", .min = 1, .max = 255),
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
