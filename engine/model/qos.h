/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_ENGINE_MODEL_QOS_H
#define BERTH_ENGINE_MODEL_QOS_H
/* Limits that a data center offers, for profiles to name (link qoss of REST 9.2). Go with their data center. */
#include "common/record.h"

enum qos_class { QOS_STORAGE, QOS_CPU, QOS_NETWORK, QOS_HOSTNETWORK, QOS_CLASS_MAX };
extern const char *const qos_class_names[];

struct qos {
	struct record record;
	char *id, *name, *description;
	struct ref data_center;              /* parent */
	int type;                            /* enum qos_class */
	int max_throughput, max_read_throughput, max_write_throughput;       /* MB/s */
	int max_iops, max_read_iops, max_write_iops;
	int cpu_limit;                       /* percent */
	int inbound_average, inbound_peak, inbound_burst, outbound_average, outbound_peak, outbound_burst;     /* Mbit/s; bursts: MB */
	int outbound_average_linkshare, outbound_average_upperlimit, outbound_average_realtime;
};
extern const struct record_type qos_type;

#endif
