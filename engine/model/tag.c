/* SPDX-License-Identifier: Apache-2.0 */
/* Tags: the table. See tag.h. */
#include "engine/model/kinds.h"
#include "engine/model/tag.h"

#define CU (CREATE | UPDATE)

static const struct field tag_fields[] = {
	FIELD_STRING_(struct tag, id, "@id", READ_ONLY, "identity, given by the engine; -1: the root"),
	FIELD_STRING_(struct tag, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "unique name", .min = 1, .max = 50),
	FIELD_STRING_(struct tag, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_REF_(struct tag, parent, "parent/tag", CU, "tags", "tag above; absent: the root"),
	FIELD_REF_(struct tag, host, "host", VOLATILE_ | WEAK, "hosts", "host it is attached to"),
	FIELD_REF_(struct tag, user, "user", VOLATILE_ | WEAK, "users", "user it is attached to"),
	FIELD_REF_(struct tag, vm, "vm", VOLATILE_ | WEAK, "vms", "virtual machine it is attached to"),
};
const struct record_type tag_type = RECORD_TYPE("tag", "tags", struct tag, tag_fields, "A label for hosts, users and virtual machines");
