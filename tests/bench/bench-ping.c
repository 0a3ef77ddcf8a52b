/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the channel costs: Host.ping over TLS, the server in a process of its own, so that its CPU is measured alone.
 *
 * The child runs a channel server whose handler answers "true" at once, and to Bench.cpu with the CPU time it has used (usec). The
 * parent drives it with the product's own client.
 */
#include <sched.h>
#include "tests/bench/channel-bench.h"

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

static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	char text[32] = "true";

	if (!strcmp(method, "Bench.cpu"))
		g_snprintf(text, sizeof(text), "%" PRId64, used_usec());
	call_reply(call, text, strlen(text));
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
	g_autofree char *dir = g_dir_make_tmp("berth-bench-XXXXXX", NULL);
	pid_t server;

	log_set_level(NULL, LOG_LEVEL_WARN);
	server = start_server(dir, on_request);

	pin(server, 0);
	pin(0, 1);
	bench_rate();
	bench_latency();
	bench_connect();
	pin(server, -1);
	pin(0, -1);
	bench_big();

	stop_server(server, dir);
	return failed;
}
