/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connections cost: 500 mutual TLS connections opened against a listener in the same process, and what one of them keeps at rest.
 *
 * Memory is the difference of the process's PSS with and without them, divided by the connections and, since both ends are here, by two;
 * certificate, CA and contexts are there before. Small requests on one connection give the cost of a block there and back.
 */
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "common/lane.h"
#include "common/stream.h"
#include "tests/unit/tls-fixture.h"

#define CONNECTIONS 500
#define LIMIT_USEC (60 * G_USEC_PER_SEC)
#define TURNS 20000

struct bench {
	struct loop *loop;
	struct stream *streams[CONNECTIONS + 1];
	unsigned n_ready, n_input;
};

static void on_server_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	(void)stream_send_copy(stream, bytes, n);
}

static void on_server_ready(struct stream *stream, void *data)
{
	struct bench *bench = data;

	if (++bench->n_ready == 2 * CONNECTIONS)
		loop_stop(bench->loop);
}

static void on_closed(struct stream *stream, const GError *error, void *data)
{
	if (error)
		g_error("%s", error->message);
}

static const struct stream_events server_events = { .ready = on_server_ready, .input = on_server_input, .closed = on_closed };

static void on_accepted(struct stream *stream, void *data)
{
	stream_set_events(stream, &server_events, data);
}

static void on_client_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	struct bench *bench = data;

	if (++bench->n_input == TURNS)
		loop_stop(bench->loop);
	else
		(void)stream_send_copy(stream, bytes, n);
}

static const struct stream_events client_events = { .ready = on_server_ready, .input = on_client_input, .closed = on_closed };

static void too_late(void *data)
{
	g_error("the benchmark does not end");
}

static double pss_kib(void)
{
	g_autofree char *text = NULL;
	const char *line;

	malloc_trim(0);
	if (!g_file_get_contents("/proc/self/smaps_rollup", &text, NULL, NULL) || !(line = strstr(text, "\nPss:")))
		g_error("no /proc/self/smaps_rollup");
	return g_ascii_strtod(line + 5, NULL);
}

static double heap_kib(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)(info.uordblks + info.hblkhd) / 1024;
}

static double cpu_usec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * G_USEC_PER_SEC + (double)now.tv_nsec / 1000;
}

/* limit 0: for information only */
static bool report(const char *name, double value, const char *unit, double limit)
{
	bool ok = limit == 0 || value <= limit;

	printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"limit\": ", name, value, unit);
	if (limit == 0)
		printf("null");
	else
		printf("%.3f", limit);
	printf(", \"ok\": %s}\n", ok ? "true" : "false");
	return ok;
}

static void nothing(void *data)
{
}

/* CPU of the whole process for a job that does nothing, submitted from here, many at a time. */
static double lane_job_usec(void)
{
	struct lane_pool *pool = lane_pool_new(8);
	struct lane_job job = { .name = "nothing", .run = nothing };
	double begin = cpu_usec(CLOCK_PROCESS_CPUTIME_ID);
	unsigned done = 0;

	while (done < TURNS)
		if (lane_submit(pool, "bench", &job, NULL))
			done++;
		else
			g_thread_yield();
	lane_pool_free(pool, LIMIT_USEC);
	return (cpu_usec(CLOCK_PROCESS_CPUTIME_ID) - begin) / TURNS;
}

int main(void)
{
	struct rlimit files = { .rlim_cur = 4 * CONNECTIONS, .rlim_max = 4 * CONNECTIONS };
	struct bench bench = { .loop = loop_new() };
	struct pki *pki = pki_new("bench", 1);
	struct tls_context *server = pki_context(pki, pki->cert, pki->key, true), *client = pki_context(pki, pki->cert, pki->key, false);
	struct listener_settings settings = { .address = "127.0.0.1", .tls = server, .max_connections = 2 * CONNECTIONS,
					      .max_handshakes = CONNECTIONS, .accepted = on_accepted, .data = &bench };
	struct listener *listener;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timer *limit = timer_new(bench.loop, too_late, NULL);
	struct rlimit before;
	double pss, heap, begin, seconds, cpu;
	bool ok = true;

	if (getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_cur < files.rlim_cur) {
		files.rlim_max = MAX(before.rlim_max, files.rlim_cur);
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	listener = listener_new(bench.loop, &settings, NULL);
	address.sin_port = htons(listener_port(listener));
	timer_set(limit, LIMIT_USEC);

	pss = pss_kib();
	heap = heap_kib();
	begin = (double)now_usec();
	for (unsigned i = 0; i < CONNECTIONS; i++)
		bench.streams[i] = stream_connect(bench.loop, (struct sockaddr *)&address, sizeof(address), client, "127.0.0.1", LIMIT_USEC, 0,
						  &client_events, &bench, NULL);
	loop_run(bench.loop);
	seconds = ((double)now_usec() - begin) / G_USEC_PER_SEC;
	ok &= report("stream.open_500_tls", seconds, "s", 1.5);
	ok &= report("stream.idle_tls_pss", (pss_kib() - pss) / CONNECTIONS / 2, "KiB", 40);
	ok &= report("stream.idle_tls_heap", (heap_kib() - heap) / CONNECTIONS / 2, "KiB", 40);

	begin = (double)now_usec();
	cpu = cpu_usec(CLOCK_THREAD_CPUTIME_ID);
	(void)stream_send_copy(bench.streams[0], "0123456789abcdef0123456789abcdef", 32);
	loop_run(bench.loop);
	cpu = (cpu_usec(CLOCK_THREAD_CPUTIME_ID) - cpu) / TURNS;
	(void)report("stream.round_trip_tls", ((double)now_usec() - begin) / TURNS, "us", 0);
	(void)report("stream.round_trip_tls_cpu_both_ends", cpu, "us", 0);
	(void)report("lane.job_cpu", lane_job_usec(), "us", 0);
	pki_free(pki);
	return ok ? 0 : 1;
}
