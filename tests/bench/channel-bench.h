/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_BENCH_CHANNEL_BENCH_H
#define BERTH_TESTS_BENCH_CHANNEL_BENCH_H
/*
 * A server of the channel in a process of its own, so that its CPU is measured alone, and clients of it, with certificates on both sides. For benches:
 * what fails ends the program. One JSON object a line: {"name","value","unit","limit","ok"}.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/error.h"
#include "common/log.h"
#include "proto/channel.h"

#define TIMEOUT_USEC (60 * G_USEC_PER_SEC)

static struct loop *loop, *serving;     /* the client's, the server's */
static struct tls_context *client_tls;
static struct sockaddr_in address = { .sin_family = AF_INET };
static bool failed;

static inline void check(bool ok, const GError *error)
{
	if (ok)
		return;
	fprintf(stderr, "bench: %s\n", error ? error->message : "failed");
	exit(1);
}

static inline void report(const char *name, double value, const char *unit, double limit, bool at_least)
{
	bool ok = at_least ? value >= limit : value <= limit;

	printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"limit\": %.3f, \"ok\": %s}\n", name, value, unit, limit, ok ? "true" : "false");
	fflush(stdout);
	failed = failed || !ok;
}

/* ---- the server's process ---- */

/* user and system time of this process, usec */
static inline int64_t used_usec(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static inline struct tls_context *make_tls(const char *dir, const char *who, bool server)
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

static inline void serve(const char *dir, int port_fd, void (*request)(struct call *, const char *, const json_t *, void *))
{
	struct channel_server_settings settings = { .loop = serving = loop_new(), .address = "127.0.0.1", .tls = make_tls(dir, "server", true), .request = request };
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

/* Forks it; the client's loop, certificate and address are made. request: as of struct channel_server_settings; Bench.cpu is answered with used_usec(). */
static inline pid_t start_server(const char *dir, void (*request)(struct call *, const char *, const json_t *, void *))
{
	g_autoptr(GError) error = NULL;
	int port_pipe[2];
	uint16_t port;
	pid_t server;

	check(dir && ca_create(dir, "bench", 1, &error), error);
	check(pipe(port_pipe) == 0, NULL);
	server = fork();
	check(server >= 0, NULL);
	if (server == 0) {
		serve(dir, port_pipe[1], request);
		_exit(0);
	}
	close(port_pipe[1]);
	check(read(port_pipe[0], &port, sizeof(port)) == sizeof(port), NULL);
	close(port_pipe[0]);
	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client_tls = make_tls(dir, "client", false);
	loop = loop_new();
	return server;
}

static inline void stop_server(pid_t server, const char *dir)
{
	g_autofree char *remove = g_strdup_printf("rm -r '%s'", dir);

	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	(void)!system(remove);
}

/* ---- the client ---- */

static inline void on_up(struct channel *channel, void *data)
{
	if (data)
		(*(unsigned *)data)--;
	if (!data || !*(unsigned *)data)
		loop_stop(loop);
}

static inline void on_down(struct channel *channel, const GError *error, void *data)
{
	check(false, error);
}

static const struct channel_events events = { .up = on_up, .down = on_down };

static inline struct channel *start_channel(unsigned *waiting)
{
	struct channel_settings settings = {
		.loop = loop, .address = (struct sockaddr *)&address, .address_length = sizeof(address), .tls = client_tls, .events = &events, .data = waiting,
	};
	g_autoptr(GError) error = NULL;
	struct channel *channel = channel_open(&settings, &error);

	check(channel, error);
	return channel;
}

static inline struct channel *open_channel(void)
{
	struct channel *channel = start_channel(NULL);

	loop_run(loop);
	return channel;
}

static int64_t last_number;

static inline void on_number(const json_t *result, const GError *error, void *data)
{
	check(result, error);
	last_number = json_integer_value(result);
	loop_stop(loop);
}

static inline int64_t call_and_wait(struct channel *channel, const char *method, const char *params)
{
	channel_call(channel, method, params, /* flow_id= */ NULL, TIMEOUT_USEC, on_number, NULL);
	loop_run(loop);
	return last_number;
}

static inline int64_t server_cpu(struct channel *channel)
{
	return call_and_wait(channel, "Bench.cpu", NULL);
}

static inline int compare(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

static inline double percentile_ms(GArray *samples, double percent)
{
	g_array_sort(samples, compare);
	return (double)g_array_index(samples, int64_t, (guint)((double)(samples->len - 1) * percent / 100)) / 1000;
}

#endif
