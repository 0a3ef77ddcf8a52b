/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the channel costs: Host.ping over TLS, the server in a process of its own, so that its CPU is measured alone.
 *
 * The child runs a channel server whose handler answers "true" at once, and to Bench.cpu with the CPU time it has used (usec). The
 * parent drives it with the product's own client. One JSON object a line: {"name","value","unit","limit","ok"}.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "proto/channel.h"

#define CHANNELS 8
#define IN_FLIGHT 8
#define WARM_UP 5000
#define PINGS 80000
#define ROUNDS 4                        /* the best of them counts for the rate, all for the CPU */
#define LATENCY_PINGS 10000
#define CONNECTS 30
#define BIG_ROUNDS 9
#define NEXT (70 * 1024)                /* just big enough for the helper thread */
#define MIB (1024 * 1024)
#define TIMEOUT_USEC (60 * G_USEC_PER_SEC)

static struct loop *loop;
static struct tls_context *client_tls;
static struct sockaddr_in address = { .sin_family = AF_INET };
static bool failed;

static void check(bool ok, const GError *error)
{
	if (ok)
		return;
	fprintf(stderr, "bench-ping: %s\n", error ? error->message : "failed");
	exit(1);
}

static void report(const char *name, double value, const char *unit, double limit, bool at_least)
{
	bool ok = at_least ? value >= limit : value <= limit;

	printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"limit\": %.3f, \"ok\": %s}\n", name, value, unit, limit, ok ? "true" : "false");
	fflush(stdout);
	failed = failed || !ok;
}

/* Where there are two processors, one for each process: the scheduler likes to put two that talk this much on one. Only while small frames
 * are measured; the helper thread for big ones would inherit it. */
static void pin(pid_t process, int processor)
{
	static cpu_set_t all;
	cpu_set_t one;

	/* as we were started, before the first pinning */
	if (!CPU_COUNT(&all) && sched_getaffinity(0, sizeof(all), &all))
		return;
	if (CPU_COUNT(&all) < 2)
		return;
	CPU_ZERO(&one);
	for (int i = 0, n = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && n++ == processor)
			CPU_SET(i, &one);
	(void)sched_setaffinity(process, sizeof(one), processor < 0 ? &all : &one);
}

/* ---- the server's process ---- */

static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	char text[32] = "true";

	if (!strcmp(method, "Bench.cpu")) {
		struct rusage usage;

		getrusage(RUSAGE_SELF, &usage);
		g_snprintf(text, sizeof(text), "%" PRId64, (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
			   usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	}
	call_reply(call, text, strlen(text));
}

static struct tls_context *make_tls(const char *dir, const char *who, bool server)
{
	g_autofree char *ca = g_build_filename(dir, "ca.pem", NULL);
	g_autofree char *cert = g_strdup_printf("%s/%s.pem", dir, who), *key = g_strdup_printf("%s/%s.key", dir, who);
	static const char *const names[] = { "127.0.0.1", NULL };
	struct ca_request request = { .common_name = who, .addresses = names, .server = server, .client = !server, .days = 1 };
	struct tls_settings settings = { .ca_file = ca, .cert_file = cert, .key_file = key, .server = server, .require_peer = true };
	g_autoptr(GError) error = NULL;
	struct tls_context *tls;

	check(ca_issue(dir, &request, cert, key, &error), error);
	tls = tls_context_new(&settings, &error);
	check(tls, error);
	return tls;
}

static void serve(const char *dir, int port_fd)
{
	struct loop *serving = loop_new();
	struct channel_server_settings settings = { .loop = serving, .address = "127.0.0.1", .tls = make_tls(dir, "server", true), .request = on_request };
	g_autoptr(GError) error = NULL;
	struct channel_server *server = channel_server_new(&settings, &error);
	uint16_t port;

	check(server, error);
	port = channel_server_port(server);
	check(write(port_fd, &port, sizeof(port)) == sizeof(port), NULL);
	close(port_fd);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	loop_run(serving);
}

/* ---- the client ---- */

static void on_up(struct channel *channel, void *data)
{
	if (data)
		(*(unsigned *)data)--;
	if (!data || !*(unsigned *)data)
		loop_stop(loop);
}

static void on_down(struct channel *channel, const GError *error, void *data)
{
	check(false, error);
}

static const struct channel_events events = { .up = on_up, .down = on_down };

static struct channel *start_channel(unsigned *waiting)
{
	struct channel_settings settings = {
		.loop = loop, .address = (struct sockaddr *)&address, .address_length = sizeof(address), .tls = client_tls, .events = &events, .data = waiting,
	};
	g_autoptr(GError) error = NULL;
	struct channel *channel = channel_open(&settings, &error);

	check(channel, error);
	return channel;
}

static struct channel *open_channel(void)
{
	struct channel *channel = start_channel(NULL);

	loop_run(loop);
	return channel;
}

static int64_t last_number;

static void on_number(const json_t *result, const GError *error, void *data)
{
	check(result, error);
	last_number = json_integer_value(result);
	loop_stop(loop);
}

static int64_t call_and_wait(struct channel *channel, const char *method, const char *params)
{
	channel_call(channel, method, params, /* flow_id= */ NULL, TIMEOUT_USEC, on_number, NULL);
	loop_run(loop);
	return last_number;
}

static int64_t server_cpu(struct channel *channel)
{
	return call_and_wait(channel, "Bench.cpu", NULL);
}

/* ---- throughput ---- */

static unsigned to_start, to_finish;

static void on_pong(const json_t *result, const GError *error, void *data)
{
	struct channel *channel = data;

	check(result && json_is_true(result), error);
	if (to_start) {
		to_start--;
		channel_call(channel, "Host.ping", "{}", NULL, TIMEOUT_USEC, on_pong, channel);
	}
	if (!--to_finish)
		loop_stop(loop);
}

static void ping_all(struct channel **channels, unsigned n_channels, unsigned in_flight, unsigned pings)
{
	to_finish = pings;
	to_start = pings - n_channels * in_flight;
	for (unsigned i = 0; i < n_channels * in_flight; i++)
		channel_call(channels[i % n_channels], "Host.ping", "{}", NULL, TIMEOUT_USEC, on_pong, channels[i % n_channels]);
	loop_run(loop);
}

static void bench_rate(void)
{
	struct channel *channels[CHANNELS];
	unsigned waiting = CHANNELS;
	int64_t cpu, best = G_MAXINT64;

	for (unsigned i = 0; i < CHANNELS; i++)
		channels[i] = start_channel(&waiting);
	loop_run(loop);
	ping_all(channels, CHANNELS, IN_FLIGHT, WARM_UP);
	cpu = server_cpu(channels[0]);
	for (unsigned round = 0; round < ROUNDS; round++) {
		int64_t start = now_usec();

		ping_all(channels, CHANNELS, IN_FLIGHT, PINGS);
		best = MIN(best, now_usec() - start);
	}
	cpu = server_cpu(channels[0]) - cpu;
	report("channel: Host.ping over TLS, 8 connections x 8 in flight", PINGS * 1e6 / (double)best, "answers/s", 40000, true);
	report("channel: server CPU per answer", (double)cpu / (ROUNDS * PINGS), "us", 25, false);
	for (unsigned i = 0; i < CHANNELS; i++)
		channel_free(channels[i]);
}

/* ---- latency ---- */

static int compare(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

static double percentile_ms(GArray *samples, double percent)
{
	g_array_sort(samples, compare);
	return (double)g_array_index(samples, int64_t, (guint)((double)(samples->len - 1) * percent / 100)) / 1000;
}

static void bench_latency(void)
{
	g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(int64_t));
	struct channel *channel = open_channel();

	for (unsigned i = 0; i < LATENCY_PINGS; i++) {
		int64_t start = now_usec(), took;

		ping_all(&channel, 1, 1, 1);
		took = now_usec() - start;
		if (i >= LATENCY_PINGS / 10)
			g_array_append_val(samples, took);
	}
	report("channel: p50 of one connection, one in flight", percentile_ms(samples, 50), "ms", 0.2, false);
	channel_free(channel);
}

static void bench_connect(void)
{
	g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(int64_t));

	for (unsigned i = 0; i < CONNECTS; i++) {
		unsigned not_for_us = 2;
		int64_t start = now_usec(), took;
		struct channel *channel = start_channel(&not_for_us);

		ping_all(&channel, 1, 1, 1);
		took = now_usec() - start;
		g_array_append_val(samples, took);
		channel_free(channel);
	}
	report("channel: new TLS connection and first answer, p50", percentile_ms(samples, 50), "ms", 5, false);
}

/* ---- big frames ---- */

/* Params of about this size, of many small members, as fetched documents are. */
static char *big_params(size_t size)
{
	GString *text = g_string_sized_new(size + 256);

	g_string_append(text, "{\"items\": [");
	for (unsigned i = 0; text->len < size; i++)
		g_string_append_printf(text, "%s{\"id\": \"%08x-0000-4000-8000-%012x\", \"name\": \"disk %u of a machine\", \"size\": %u, \"ok\": true}",
				       i ? ", " : "", i, i, i, i);
	g_string_append(text, "]}");
	return g_string_free(text, FALSE);
}

/* Server CPU of so many frames with these params. The value of a big frame is taken apart by the server's helper thread after the answer; it is
 * done with that when it has answered the next frame that needs it. */
static double big_frames_cpu(struct channel *channel, const char *params, unsigned frames, const char *next)
{
	int64_t before = server_cpu(channel);

	for (unsigned i = 0; i < frames; i++)
		(void)call_and_wait(channel, "Host.echo", params);
	(void)call_and_wait(channel, "Host.echo", next);
	return (double)(server_cpu(channel) - before);
}

/* The same bytes as one frame and as ten, in turns, so that a busy machine disturbs both alike; the median of the comparisons. */
static double big_frame_ratio(struct channel *channel, const char *one, const char *ten, const char *next)
{
	g_autoptr(GArray) ratios = g_array_new(FALSE, FALSE, sizeof(int64_t));

	for (unsigned i = 0; i < BIG_ROUNDS; i++) {
		int64_t ratio = (int64_t)(10000 * big_frames_cpu(channel, ten, 1, next) / big_frames_cpu(channel, one, 10, next));

		g_array_append_val(ratios, ratio);
	}
	return percentile_ms(ratios, 50);
}

static bool still_big;

static void on_big(const json_t *result, const GError *error, void *data)
{
	void **both = data;

	check(result, error);
	if (still_big)
		channel_call(both[0], "Host.echo", both[1], NULL, TIMEOUT_USEC, on_big, both);
	else
		loop_stop(loop);
}

/* The big frames come from a process of their own: the client must not wait for itself. */
static pid_t start_big_sender(const char *params)
{
	int ready[2];
	pid_t pid;
	char byte;

	check(pipe(ready) == 0, NULL);
	pid = fork();
	check(pid >= 0, NULL);
	if (pid == 0) {
		void *both[2];

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		loop = loop_new();
		both[0] = open_channel();
		both[1] = (void *)params;
		check(write(ready[1], "", 1) == 1, NULL);
		still_big = true;
		on_big(json_true(), NULL, both);
		loop_run(loop);
		_exit(0);
	}
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 1, NULL);
	close(ready[0]);
	return pid;
}

static void bench_big(void)
{
	g_autofree char *one = big_params(MIB), *ten = big_params(10 * MIB), *next = big_params(NEXT);
	g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(int64_t));
	struct channel *channel = open_channel();
	int64_t end;
	pid_t sender;

	report("channel: server CPU of a 10 MiB frame against 1 MiB", big_frame_ratio(channel, one, ten, next), "times", 12, false);
	sender = start_big_sender(ten);
	for (end = now_usec() + 4 * G_USEC_PER_SEC; now_usec() < end;) {
		int64_t start = now_usec(), took;

		ping_all(&channel, 1, 1, 1);
		took = now_usec() - start;
		g_array_append_val(samples, took);
		g_usleep(500);  /* a steady clientele, not a race for the processor */
	}
	report("channel: p99 of pings beside 10 MiB frames", percentile_ms(samples, 99), "ms", 5, false);
	kill(sender, SIGKILL);
	waitpid(sender, NULL, 0);
	channel_free(channel);
}

int main(void)
{
	g_autofree char *dir = g_dir_make_tmp("berth-bench-XXXXXX", NULL), *remove = NULL;
	g_autoptr(GError) error = NULL;
	int port_pipe[2];
	uint16_t port;
	pid_t server;

	log_set_level(NULL, LOG_LEVEL_WARN);
	check(dir && ca_create(dir, "bench", 1, &error), error);
	check(pipe(port_pipe) == 0, NULL);
	server = fork();
	check(server >= 0, NULL);
	if (server == 0) {
		serve(dir, port_pipe[1]);
		_exit(0);
	}
	check(read(port_pipe[0], &port, sizeof(port)) == sizeof(port), NULL);
	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client_tls = make_tls(dir, "client", false);
	loop = loop_new();

	pin(server, 0);
	pin(0, 1);
	bench_rate();
	bench_latency();
	bench_connect();
	pin(server, -1);
	pin(0, -1);
	bench_big();

	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	remove = g_strdup_printf("rm -r '%s'", dir);
	(void)!system(remove);
	return failed;
}
