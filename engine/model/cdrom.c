/* SPDX-License-Identifier: Apache-2.0 */
/* The CD drive: the table. See cdrom.h. */
#include "engine/model/cdrom.h"
#include "engine/model/kinds.h"

static const struct field cdrom_fields[] = {
	FIELD_UUID_(struct cdrom, id, "@id", READ_ONLY, "always zero"),
	FIELD_STRING_(struct cdrom, file, "file@id", CREATE | UPDATE, "ISO file in the drive; empty: none", .max = 4095),
	FIELD_REF_(struct cdrom, vm, "vm", WEAK, "vms", "virtual machine that has it"),
};
const struct record_type cdrom_type = RECORD_TYPE("cdrom", "cdroms", struct cdrom, cdrom_fields, "The CD drive of a virtual machine");
