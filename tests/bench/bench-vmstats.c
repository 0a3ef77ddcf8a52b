/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answers about 500 VMs cost the agent: Host.getAllVmStats and the VMs' part of /metrics. Times are CPU time, the best of ten; "fresh" is the
 * first answer after a sample of all VMs, "again" the next. Then the verb is asked over TLS for some seconds by a client that only reads what comes: as
 * often as it can, two in flight; and RATE times a second, while another client pings. All VMs are sampled once a second meanwhile.
 */
#include <time.h>
#include "common/lane.h"
#include "common/stream.h"
#include "tests/bench/made-up-vms.h"

#define COUNT 500
#define ROUNDS 10
#define TLS_USEC (5 * G_USEC_PER_SEC)
#define IN_FLIGHT 2
#define RATE 120
#define BEHIND_MAX 8                    /* a paced client waits, on a machine that is too busy */

static double cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ---- the answers ---- */

static double all_stats_ms(size_t *ret_size)
{
	g_autoptr(GString) out = g_string_new(NULL);
	double begun = cpu_ms();

	all_stats(/* wanted= */ NULL, out);
	*ret_size = out->len;
	return cpu_ms() - begun;
}

static void bench_cpu(void)
{
	double fresh_ms = 1e9, again_ms = 1e9, metrics_ms = 1e9;
	size_t size = 0;

	for (int round = 0; round < ROUNDS; round++) {
		g_autoptr(GString) text = g_string_new(NULL);
		double begun;

		sample_all();
		fresh_ms = MIN(fresh_ms, all_stats_ms(&size));
		again_ms = MIN(again_ms, all_stats_ms(&size));
		begun = cpu_ms();
		vms_write_metrics(&vms, text);
		metrics_ms = MIN(metrics_ms, cpu_ms() - begun);
	}
	report("vmstats_500 fresh", fresh_ms, "ms", 7.5, false);
	report("vmstats_500 again", again_ms, "ms", 7.5, false);
	report("vmstats_500 size", (double)size / 1e6, "MB", 1.3, true);
	report("vmmetrics_500", metrics_ms, "ms", 15, false);
}

/* ---- over TLS: the server, as agent/rpc does it: on a worker, the answer from the loop ---- */

struct asked { struct loop *loop; struct call *call; GString *out; };
static struct lane_pool *lanes;

static void reply(void *data)
{
	struct asked *asked = data;

	call_reply(asked->call, asked->out->str, asked->out->len);
	g_string_free(asked->out, TRUE);
	g_free(asked);
}

static void run_all_stats(void *data)
{
	struct asked *asked = data;

	all_stats(/* wanted= */ NULL, asked->out);
	loop_post(asked->loop, reply, asked, NULL);
}

static void run_sample(void *data)
{
	sample_all();
}

static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	static int64_t sampled_usec;
	char text[32] = "true";

	if (!strcmp(method, "Host.getAllVmStats")) {
		struct asked *asked = g_new(struct asked, 1);
		struct lane_job job = { .name = "getAllVmStats", .run = run_all_stats, .data = asked }, sampling = { .name = "sample", .run = run_sample };

		if (!lanes)
			lanes = lane_pool_new(8);
		if (now_usec() - sampled_usec > G_USEC_PER_SEC) {
			sampled_usec = now_usec();
			check(lane_submit(lanes, "sampling", &sampling, NULL), NULL);
		}
		*asked = (struct asked){ .loop = serving, .call = call, .out = g_string_new(NULL) };
		check(lane_submit(lanes, NULL, &job, NULL), NULL);
		return;
	}
	if (!strcmp(method, "Bench.cpu"))
		g_snprintf(text, sizeof(text), "%" PRId64, used_usec());
	call_reply(call, text, strlen(text));
}

/* ---- the client that reads: a process of its own ---- */

static unsigned asked_for, answers;     /* answers: those that were read whole: frames that end with NUL, CONNECTED left out */
static bool paced;
static struct timer *pace;
static int64_t pace_usec;               /* when it asked last */

static void send_frame(struct stream *stream, const char *text)
{
	(void)stream_send_copy(stream, text, strlen(text) + 1);
}

static void ask_all(struct stream *stream)
{
	asked_for++;
	send_frame(stream, "SEND\ndestination:jms.topic.vdsm_requests\nreply-to:jms.topic.bench\n\n"
		   "{\"jsonrpc\": \"2.0\", \"method\": \"Host.getAllVmStats\", \"params\": {}, \"id\": \"1\"}");
}

static void ask_paced(void *stream)
{
	if (asked_for - answers < BEHIND_MAX)
		ask_all(stream);
	pace_usec += G_USEC_PER_SEC / RATE;
	timer_set(pace, MAX(pace_usec - now_usec(), 0));
}

static void reader_ready(struct stream *stream, void *data)
{
	send_frame(stream, "CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n");
	send_frame(stream, "SUBSCRIBE\nid:1\ndestination:jms.topic.bench\nack:auto\n\n");
	for (int i = 0; i < IN_FLIGHT && !paced; i++)
		ask_all(stream);
	if (!paced)
		return;
	pace = timer_new(loop, ask_paced, stream);
	pace_usec = now_usec();
	timer_set(pace, 0);
}

static void reader_input(struct stream *stream, const uint8_t *bytes, size_t n, void *data)
{
	static bool connected;
	const uint8_t *end = bytes + n;

	for (const uint8_t *nul = bytes; nul < end && (nul = memchr(nul, '\0', (size_t)(end - nul))); nul++) {
		if (connected) {
			answers++;
			if (!paced)
				ask_all(stream);
		}
		connected = true;
	}
}

static void reader_closed(struct stream *stream, const GError *error, void *data)
{
	check(false, error);
}

static void reader_over(void *data)
{
	loop_stop(loop);
}

static void read_answers(int result_fd)
{
	static const struct stream_events reader_events = { .ready = reader_ready, .input = reader_input, .closed = reader_closed };
	g_autoptr(GError) error = NULL;
	double rate;
	int64_t begun;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	loop = loop_new();
	timer_set(timer_new(loop, reader_over, NULL), TLS_USEC);
	begun = now_usec();
	check(stream_connect(loop, (struct sockaddr *)&address, sizeof(address), client_tls, NULL, TIMEOUT_USEC, 1 << 20, &reader_events, NULL, &error), error);
	loop_run(loop);
	rate = answers * 1e6 / (double)(now_usec() - begun);
	check(write(result_fd, &rate, sizeof(rate)) == sizeof(rate), NULL);
	_exit(0);
}

static void on_pong(const json_t *result, const GError *error, void *data)
{
	check(result, error);
	loop_stop(loop);
}

static pid_t start_reader(bool with_pace, int *ret_result_fd)
{
	int result[2];
	pid_t reader;

	check(pipe(result) == 0, NULL);
	paced = with_pace;
	reader = fork();
	check(reader >= 0, NULL);
	if (reader == 0)
		read_answers(result[1]);
	close(result[1]);
	*ret_result_fd = result[0];
	return reader;
}

/* answers a second */
static double end_reader(pid_t reader, int result_fd)
{
	double rate;

	check(read(result_fd, &rate, sizeof(rate)) == sizeof(rate), NULL);
	close(result_fd);
	waitpid(reader, NULL, 0);
	return rate;
}

static void ping_for(struct channel *channel, int64_t usec, GArray *samples)
{
	for (int64_t end = now_usec() + usec; now_usec() < end;) {
		int64_t start = now_usec(), took;

		channel_call(channel, "Host.ping", "{}", NULL, TIMEOUT_USEC, on_pong, NULL);
		loop_run(loop);
		took = now_usec() - start;
		g_array_append_val(samples, took);
		g_usleep(2000); /* a steady clientele, not a race for the processor */
	}
}

static void bench_tls(void)
{
	g_autofree char *dir = g_dir_make_tmp("berth-bench-XXXXXX", NULL);
	pid_t server = start_server(dir, on_request), reader;
	g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(int64_t));
	struct channel *channel = open_channel();
	int64_t before = server_cpu(channel);
	double rate;
	int result_fd;

	reader = start_reader(/* with_pace= */ false, &result_fd);
	rate = end_reader(reader, result_fd);
	report("vmstats_500 over TLS", rate, "answers/s", RATE, true);
	report("vmstats_500 over TLS, server CPU of one", (double)(server_cpu(channel) - before) / 1e3 / (rate * TLS_USEC / 1e6), "ms", 1e3 / RATE, false);
	ping_for(channel, TLS_USEC / 2, samples);
	report("p99 of pings alone", percentile_ms(samples, 99), "ms", 5, false);
	g_array_set_size(samples, 0);
	reader = start_reader(true, &result_fd);
	ping_for(channel, TLS_USEC, samples);
	rate = end_reader(reader, result_fd);
	report("vmstats_500 over TLS, while pinged", rate, "answers/s", RATE * 0.98, true);
	report("p99 of pings beside vmstats_500", percentile_ms(samples, 99), "ms", 5, false);
	channel_free(channel);
	stop_server(server, dir);
}

int main(void)
{
	vms_make_up(COUNT);
	bench_cpu();
	bench_tls();
	return failed;
}
