/* SPDX-License-Identifier: Apache-2.0 */
/* Tags: the table. See tag.h. */
#include "engine/model/kinds.h"
#include "engine/model/tag.h"

#define CU (CREATE | UPDATE)

#define TAG_FIELDS(id_flags, name_flags) \
	FIELD_STRING_(struct tag, id, "@id", id_flags, "identity, given by the engine; -1: the root", .max = 64), \
	FIELD_STRING_(struct tag, name, "name", name_flags | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 50), \
	FIELD_STRING_(struct tag, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000), \
	FIELD_REF_(struct tag, parent, "parent/tag", CU, "tags", "tag above; absent: the root"), \
	FIELD_REF_(struct tag, host, "host", VOLATILE_ | WEAK, "hosts", "host it is attached to"), \
	FIELD_REF_(struct tag, user, "user", VOLATILE_ | WEAK, "users", "user it is attached to"), \
	FIELD_REF_(struct tag, vm, "vm", VOLATILE_ | WEAK, "vms", "virtual machine it is attached to"), \
	FIELD_REF_(struct tag, group, "group", VOLATILE_ | WEAK, "groups", "group it is attached to"), \
	FIELD_REF_(struct tag, template, "template", VOLATILE_ | WEAK, "templates", "template it is attached to")

static const struct field tag_fields[] = { TAG_FIELDS(READ_ONLY, CU | REQUIRED) };
static const struct field attached_tag_fields[] = { TAG_FIELDS(CREATE, CREATE) };
const struct record_type tag_type = RECORD_TYPE("tag", "tags", struct tag, tag_fields, "A label for hosts, users and virtual machines");
const struct record_type attached_tag_type = RECORD_TYPE("tag", "tags", struct tag, attached_tag_fields, "A label of an object");

#define ON(member, collection) FIELD_REF_(struct tag_assignment, member, #member, READ_ONLY | FOLLOWS, collection, "object that has it")
static const struct field tag_assignment_fields[] = {
	FIELD_UUID_(struct tag_assignment, id, "@id", READ_ONLY, "identity"),
	FIELD_REF_(struct tag_assignment, tag, "tag", READ_ONLY, "tags", "the tag"),
	ON(vm, "vms"), ON(host, "hosts"), ON(user, "users"), ON(group, "groups"), ON(template, "templates"),
};
const struct record_type tag_assignment_type =
	RECORD_TYPE("tag_assignment", "tag_assignments", struct tag_assignment, tag_assignment_fields, "That an object has a tag");
