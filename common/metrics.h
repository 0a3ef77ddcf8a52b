/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_METRICS_H
#define BERTH_COMMON_METRICS_H
/* Counters, gauges and latency histograms with Prometheus text (version 0.0.4). Cheap, thread-safe, kept for the process's life. */
#include <stdint.h>
#include <glib.h>

struct metric;

/* Finds or makes the series. labels: "op=\"VM.create\",status=\"ok\"" or NULL. The help text of the first call counts. */
struct metric *metric_counter(const char *name, const char *labels, const char *help);
struct metric *metric_gauge(const char *name, const char *labels, const char *help);
struct metric *metric_histogram(const char *name, const char *labels, const char *help);   /* seconds; fixed buckets 50 us .. 60 s */

void metric_add(struct metric *metric, int64_t n);               /* counter, gauge */
void metric_set(struct metric *metric, int64_t value);           /* gauge */
void metric_observe(struct metric *metric, int64_t usec);        /* histogram */
int64_t metric_value(const struct metric *metric);

void metrics_write(GString *out);

/* For numbers that are kept elsewhere: the head of a family (kind: "counter", "gauge"), once, before its samples; a label, its value escaped. */
void metrics_write_family(GString *out, const char *name, const char *kind, const char *help);
void metrics_write_label(GString *out, const char *name, const char *value);

#endif
