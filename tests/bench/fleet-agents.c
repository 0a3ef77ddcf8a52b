/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part of fleet.py:
 *
 *	fleet-agents CERTS HOSTS VMS
 *
 * Agents that answer the real channel over TLS: host h at 127.1.<h / 250>.<h % 250 + 1>, all on one port, which is printed. Each has so many made-up
 * VMs, all Up. A line "H V STATUS" on standard input: that VM's status changes, and is told as an event. CERTS holds ca.pem, engine.pem, engine.key.
 */
#include <pthread.h>
#include <sys/resource.h>
#include "tests/bench/fleet.h"
#include "tests/bench/made-up-vms.h"

#define ID_LENGTH 36

struct fake_host { unsigned number; struct channel_server *server; };

#define SAMPLED_USEC G_USEC_PER_SEC     /* so long a sample is told */

/* What an agent says of its VMs, with the ids of the made-up ones; and where these are, in the order of their numbers. */
struct vm_list { GString *text; size_t *ids; int64_t made_usec; };
static struct vm_list lists[2];         /* without and with the facts */
static struct fake_host *fakes;

static void renew(struct vm_list *list, bool facts)
{
	if (list->made_usec && now_usec() - list->made_usec < SAMPLED_USEC)
		return;
	sample_all();
	if (!list->text) {
		list->text = g_string_new(NULL);
		list->ids = g_new(size_t, vms_each);
	}
	g_string_truncate(list->text, 0);
	all_figures(facts, list->text);
	for (unsigned i = 0; i < vms_each; i++) {
		g_autofree char *id = g_strdup_printf("%08x-1111-4222-8333-%012x", i * 2654435761U, i);
		const char *at = strstr(list->text->str, id);

		check(at, NULL);
		list->ids[i] = (size_t)(at - list->text->str);
	}
	list->made_usec = now_usec();
}

static char *vm_list_of(unsigned h, bool facts)
{
	struct vm_list *list = &lists[facts];
	char *text;

	renew(list, facts);
	text = g_memdup2(list->text->str, list->text->len + 1);
	for (unsigned i = 0; i < vms_each; i++) {
		g_autofree char *id = vm_id(h * vms_each + i);

		memcpy(text + list->ids[i], id, ID_LENGTH);
	}
	return text;
}

static void agent_asked(struct call *call, const char *method, const json_t *params, void *data)
{
	const struct fake_host *fake = data;
	g_autofree char *text = NULL, *id = host_id(fake->number);

	if (!strcmp(method, "Host.getAllVmFigures"))
		text = vm_list_of(fake->number, json_is_true(json_object_get(params, "facts")));
	else if (!strcmp(method, "Host.getCapabilities"))
		text = g_strdup_printf("{\"uuid\": \"%s\", \"memSize\": \"262144\", \"cpuCores\": \"32\", \"cpuThreads\": \"64\", \"cpuSockets\": \"2\", "
				       "\"cpuModel\": \"EPYC\", \"software_version\": \"4.5.1\"}", id);
	else if (!strcmp(method, "Host.getStats"))
		text = g_strdup("{\"cpuIdle\": \"77.5\", \"cpuUser\": \"12.25\", \"cpuSys\": \"10.25\", \"memUsed\": \"52\", \"memFree\": 120000, \"memAvailable\": 120000, "
				"\"vmCount\": 100, \"vmActive\": 100, \"network\": {}, \"storageDomains\": {}}");
	else
		text = g_strdup(g_str_has_prefix(method, "Host.get") ? "{}" : "true");
	call_reply(call, text, strlen(text));
}

struct command { unsigned host, vm; char status[32]; };

static void change_status(void *data)
{
	static int64_t time = INT64_C(1) << 50;
	const struct command *command = data;
	g_autofree char *id = vm_id(command->host * vms_each + command->vm), *method = g_strconcat("|virt|VM_status|", id, NULL);
	g_autofree char *params = g_strdup_printf("{\"%s\": {\"vmId\": \"%s\", \"status\": \"%s\", \"statusTime\": \"%" PRId64 "\"}, \"notify_time\": %" PRId64 "}",
						  id, id, command->status, time, time);

	time++;
	channel_server_publish(fakes[command->host].server, method, params);
}

static void *read_commands(void *unused)
{
	struct command command;

	while (scanf("%u %u %31[^\n]", &command.host, &command.vm, command.status) == 3 && command.host < hosts && command.vm < vms_each)
		loop_post(serving, change_status, g_memdup2(&command, sizeof(command)), g_free);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *certs = argc == 4 ? argv[1] : "";
	g_autofree char *ca = g_build_filename(certs, "ca.pem", NULL), *cert = g_build_filename(certs, "engine.pem", NULL);
	g_autofree char *key = g_build_filename(certs, "engine.key", NULL);
	const struct tls_settings settings = { .ca_file = ca, .cert_file = cert, .key_file = key, .server = true, .require_peer = true };
	struct rlimit files;
	g_autoptr(GError) error = NULL;
	struct tls_context *tls;
	uint16_t port = 0;
	pthread_t reader;

	check(argc == 4, NULL);
	hosts = number(argv[2]);
	vms_each = number(argv[3]);
	files.rlim_cur = files.rlim_max = 4 * hosts + 100;
	check(setrlimit(RLIMIT_NOFILE, &files) == 0, NULL);
	vms_make_up(vms_each);
	tls = tls_context_new(&settings, &error);
	check(tls, error);
	serving = loop_new();
	fakes = g_new0(struct fake_host, hosts);
	for (unsigned h = 0; h < hosts; h++) {
		g_autofree char *address_text = host_address(h);
		struct channel_server_settings server = {
			.loop = serving, .address = address_text, .port = port, .tls = tls, .request = agent_asked, .data = &fakes[h],
		};

		fakes[h].number = h;
		fakes[h].server = channel_server_new(&server, &error);
		check(fakes[h].server, error);
		port = channel_server_port(fakes[h].server);
	}
	printf("%u\n", port);
	fflush(stdout);
	check(pthread_create(&reader, NULL, read_commands, NULL) == 0, NULL);
	loop_run(serving);
	return 0;
}
