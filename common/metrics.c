/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics.
 *
 * A series is made once and lives as long as the process, so its pointer can be kept and its numbers are plain atomics: adding takes no
 * lock. The lock is for finding series only. Labels come from tables, not from users; should some code get that wrong, there are at
 * most SERIES_MAX series, and what would be more is counted in one that is never shown.
 *
 * A histogram keeps each bucket's own count; the sums Prometheus wants are made when it is written. A reader may see an observation in
 * its bucket and not yet in the sum; the next reading has it.
 */
#include "common/metrics.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include "common/lock.h"

#define SERIES_MAX 10000

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

static const struct {
	int64_t usec;
	const char *text;
} buckets[] = {
	{ 50, "5e-05" }, { 100, "0.0001" }, { 250, "0.00025" }, { 500, "0.0005" }, { 1000, "0.001" }, { 2500, "0.0025" }, { 5000, "0.005" },
	{ 10000, "0.01" }, { 25000, "0.025" }, { 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" }, { 500000, "0.5" }, { 1000000, "1" },
	{ 2500000, "2.5" }, { 5000000, "5" }, { 10000000, "10" }, { 30000000, "30" }, { 60000000, "60" }, { INT64_MAX, "+Inf" },
};

struct metric {
	enum kind kind;
	char *name, *labels, *help;          /* labels: "" for none */
	atomic_int_fast64_t value;           /* of a histogram: the sum in microseconds */
	atomic_int_fast64_t *counts;         /* a histogram's, one a bucket */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *series;                   /* "name{labels" -> struct metric */
static struct metric *spare[G_N_ELEMENTS(kind_names)];

static struct metric *make(enum kind kind, const char *name, const char *labels, const char *help)
{
	struct metric *metric = g_new0(struct metric, 1);

	metric->kind = kind;
	metric->name = g_strdup(name);
	metric->labels = g_strdup(labels ? labels : "");
	metric->help = g_strdup(help);
	if (kind == HISTOGRAM)
		metric->counts = g_new0(atomic_int_fast64_t, G_N_ELEMENTS(buckets));
	return metric;
}

static struct metric *find(enum kind kind, const char *name, const char *labels, const char *help)
{
	g_autofree char *key = g_strdup_printf("%s{%s", name, labels ? labels : "");
	AUTO_LOCK(&lock);
	struct metric *metric;

	if (!series)
		series = g_hash_table_new(g_str_hash, g_str_equal);
	metric = g_hash_table_lookup(series, key);
	if (metric) {
		if (metric->kind != kind)
			g_error("metric %s is a %s and a %s", name, kind_names[metric->kind], kind_names[kind]);
		return metric;
	}
	if (g_hash_table_size(series) >= SERIES_MAX) {
		if (!spare[kind])
			spare[kind] = make(kind, name, labels, help);
		return spare[kind];
	}
	metric = make(kind, name, labels, help);
	g_hash_table_insert(series, g_steal_pointer(&key), metric);
	return metric;
}

struct metric *metric_counter(const char *name, const char *labels, const char *help)
{
	return find(COUNTER, name, labels, help);
}

struct metric *metric_gauge(const char *name, const char *labels, const char *help)
{
	return find(GAUGE, name, labels, help);
}

struct metric *metric_histogram(const char *name, const char *labels, const char *help)
{
	return find(HISTOGRAM, name, labels, help);
}

static void add(atomic_int_fast64_t *number, int64_t n)
{
	atomic_fetch_add_explicit(number, n, memory_order_relaxed);
}

static int64_t get(const atomic_int_fast64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

void metric_add(struct metric *metric, int64_t n)
{
	add(&metric->value, n);
}

void metric_set(struct metric *metric, int64_t value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, int64_t usec)
{
	size_t i = 0;

	usec = MAX(usec, 0);
	while (usec > buckets[i].usec)
		i++;
	add(&metric->counts[i], 1);
	add(&metric->value, usec);
}

/* Of a histogram: how many observations. */
int64_t metric_value(const struct metric *metric)
{
	int64_t total = 0;

	if (metric->kind != HISTOGRAM)
		return get(&metric->value);
	for (size_t i = 0; i < G_N_ELEMENTS(buckets); i++)
		total += get(&metric->counts[i]);
	return total;
}

static void write_histogram(GString *out, const struct metric *metric)
{
	const char *comma = *metric->labels ? "," : "", *open = *metric->labels ? "{" : "", *close = *metric->labels ? "}" : "";
	int64_t sum = get(&metric->value), total = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(buckets); i++) {
		total += get(&metric->counts[i]);
		g_string_append_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRId64 "\n", metric->name, metric->labels, comma, buckets[i].text, total);
	}
	g_string_append_printf(out, "%s_sum%s%s%s %" PRId64 ".%06d\n", metric->name, open, metric->labels, close, sum / G_USEC_PER_SEC,
			       (int)(sum % G_USEC_PER_SEC));
	g_string_append_printf(out, "%s_count%s%s%s %" PRId64 "\n", metric->name, open, metric->labels, close, total);
}

static int compare(const void *a, const void *b)
{
	const struct metric *one = *(struct metric *const *)a, *other = *(struct metric *const *)b;
	int order = strcmp(one->name, other->name);

	return order ? order : strcmp(one->labels, other->labels);
}

void metrics_write_family(GString *out, const char *name, const char *kind, const char *help)
{
	g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

void metrics_write_label(GString *out, const char *name, const char *value)
{
	g_string_append(out, name);
	g_string_append(out, "=\"");
	for (const char *c = value; *c; c++) {
		if (*c == '\\' || *c == '"')
			g_string_append_c(out, '\\');
		if (*c == '\n')
			g_string_append(out, "\\n");
		else
			g_string_append_c(out, *c);
	}
	g_string_append_c(out, '"');
}

/* The families in the order of their names, HELP and TYPE once each. */
void metrics_write(GString *out)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	const char *family = "";
	GHashTableIter iter;
	void *value;

	{
		AUTO_LOCK(&lock);

		if (!series)
			return;
		g_hash_table_iter_init(&iter, series);
		while (g_hash_table_iter_next(&iter, NULL, &value))
			g_ptr_array_add(all, value);
	}
	g_ptr_array_sort(all, compare);
	for (guint i = 0; i < all->len; i++) {
		const struct metric *metric = all->pdata[i];

		if (strcmp(family, metric->name))
			metrics_write_family(out, metric->name, kind_names[metric->kind], metric->help);
		family = metric->name;
		if (metric->kind == HISTOGRAM)
			write_histogram(out, metric);
		else if (*metric->labels)
			g_string_append_printf(out, "%s{%s} %" PRId64 "\n", metric->name, metric->labels, get(&metric->value));
		else
			g_string_append_printf(out, "%s %" PRId64 "\n", metric->name, get(&metric->value));
	}
}
