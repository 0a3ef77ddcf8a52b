/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of a data center: the table. See qos.h. */
#include "engine/model/qos.h"

const char *const qos_class_names[] = { "storage", "cpu", "network", "hostnetwork", NULL };

#define CU (CREATE | UPDATE)
#define LIMIT(member, of_unit, text) FIELD_INT_(struct qos, member, #member, CU, text, .unit = (of_unit), .min = 0, .max = 2147483647)

static const struct field qos_fields[] = {
	FIELD_UUID_(struct qos, id, "@id", READ_ONLY, "identity, given by the engine"),
	FIELD_STRING_(struct qos, name, "name", CU | REQUIRED | SEARCH | UNIQUE | HEAD, "name within the data center", .min = 1, .max = 50),
	FIELD_STRING_(struct qos, description, "description", CU | HEAD | SEARCH, "free text", .max = 4000),
	FIELD_REF_(struct qos, data_center, "data_center", CREATE | REQUIRED, "datacenters", "data center it belongs to"),
	FIELD_ENUM_(struct qos, type, "type", CREATE | REQUIRED, qos_class_names, "what it limits"),
	LIMIT(max_throughput, "MB/s", "storage: reading and writing"),
	LIMIT(max_read_throughput, "MB/s", "storage: reading"),
	LIMIT(max_write_throughput, "MB/s", "storage: writing"),
	LIMIT(max_iops, "1/s", "storage: requests"),
	LIMIT(max_read_iops, "1/s", "storage: requests to read"),
	LIMIT(max_write_iops, "1/s", "storage: requests to write"),
	FIELD_INT_(struct qos, cpu_limit, "cpu_limit", CU, "cpu: share of the host's processors", .unit = "%", .min = 1, .max = 100),
	LIMIT(inbound_average, "Mbit/s", "network: average rate in"),
	LIMIT(inbound_peak, "Mbit/s", "network: highest rate in"),
	LIMIT(inbound_burst, "MB", "network: amount in at the highest rate"),
	LIMIT(outbound_average, "Mbit/s", "network: average rate out"),
	LIMIT(outbound_peak, "Mbit/s", "network: highest rate out"),
	LIMIT(outbound_burst, "MB", "network: amount out at the highest rate"),
	LIMIT(outbound_average_linkshare, NULL, "hostnetwork: weight among the networks of an interface"),
	LIMIT(outbound_average_upperlimit, "Mbit/s", "hostnetwork: never more than this"),
	LIMIT(outbound_average_realtime, "Mbit/s", "hostnetwork: at least this"),
};
const struct record_type qos_type = RECORD_TYPE("qos", "qoss", struct qos, qos_fields, "Limits on the use of a resource");
