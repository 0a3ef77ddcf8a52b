/* SPDX-License-Identifier: Apache-2.0 */
/* vNIC profiles: the table. See vnic_profile.h. */
#include "engine/model/vnic_profile.h"
#include "engine/model/misc.h"

const char *const pass_through_names[] = { "disabled", "enabled", NULL };

#define CU (CREATE | UPDATE)

static const struct field vnic_profile_fields[] = {
	FIELD_UUID_(struct vnic_profile, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct vnic_profile, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "name within the network", .min = 1, .max = 50),
	FIELD_STRING_(struct vnic_profile, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_REF_(struct vnic_profile, network, "network", CREATE | REQUIRED | SEARCH, "networks", "network it is for"),
	FIELD_BOOL_(struct vnic_profile, port_mirroring, "port_mirroring", CU, "the interface sees all traffic of the network", .def = "false"),
	FIELD_ENUM_(struct vnic_profile, pass_through, "pass_through/mode", CU, pass_through_names, "a function of the host's interface instead of a bridge",
		    .def = "disabled"),
	FIELD_REF_(struct vnic_profile, qos, "qos", CU, "qoss", "limits of the traffic"),
	FIELD_LIST_(struct vnic_profile, custom_properties, "custom_properties/custom_property", CU, &option_item_type, "for hook scripts"),
};
const struct record_type vnic_profile_type =
	RECORD_TYPE("vnic_profile", "vnic_profiles", struct vnic_profile, vnic_profile_fields, "What a VM's interface may do on a network");
