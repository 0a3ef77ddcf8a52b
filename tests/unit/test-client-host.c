/* SPDX-License-Identifier: Apache-2.0 */
/* berth host against a small server of the channel: arguments, output, exit codes. */
#include "client/client.h"
#include "cmocka-all.h"
#include "common/error.h"
#include "common/record.h"
#include "proto/channel.h"
#include "proto/jsonrpc.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t server;
static char port[16];

/* Host.echo brings back its parameters, VM.getStats fails, Host.ping2 is true, Host.getCapabilities never answers. */
static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	if (strcmp(method, "Host.ping2") == 0) {
		call_reply(call, "true", 4);
	} else if (strcmp(method, "VM.getStats") == 0) {
		error_set(&error, ERR_NO_SUCH_VM, "{'vmId': 'x'}");
		call_fail(call, error);
	} else if (strcmp(method, "Host.getCapabilities") != 0) {
		json_t *seen = json_pack("{s:O, s:s?}", "params", params ? params : json_null(), "flow", call_flow_id(call));

		json_write(text, seen);
		json_decref(seen);
		call_reply(call, text->str, text->len);
	}
}

static void serve(int tell)
{
	struct loop *loop = loop_new();
	struct channel_server_settings settings = { .loop = loop, .address = "127.0.0.1", .request = on_request };
	struct channel_server *channel;
	uint16_t number;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	channel = channel_server_new(&settings, NULL);
	number = channel ? channel_server_port(channel) : 0;
	(void)!write(tell, &number, sizeof(number));
	if (channel)
		loop_run(loop);
	_exit(0);
}

static int setup(void **state)
{
	int tell[2];
	uint16_t number = 0;

	if (pipe(tell) != 0)
		return -1;
	server = fork();
	if (server == 0)
		serve(tell[1]);
	(void)!read(tell[0], &number, sizeof(number));
	snprintf(port, sizeof(port), "%u", number);
	return number ? 0 : -1;
}

static int teardown(void **state)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return 0;
}

static char out[65536], err[65536];

static void slurp(FILE *file, char *ret, size_t size)
{
	rewind(file);
	ret[fread(ret, 1, size - 1, file)] = 0;
	fclose(file);
}

/* Runs "berth host ..." in a process of its own; what it wrote is in out and err. input: its standard input. */
static int run(const char *input, const char *const *words)
{
	FILE *files[3] = { tmpfile(), tmpfile(), tmpfile() };
	const char *argv[32] = { "host" };
	int argc = 1, status;
	pid_t pid;

	if (input)
		fputs(input, files[0]);
	rewind(files[0]);
	while (*words)
		argv[argc++] = *words++;
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			dup2(fileno(files[i]), i);
		setenv("AGENT_PORT", port, 1);
		setenv("AGENT_HOST", "127.0.0.1", 1);
		status = host_main(argc, (char **)argv);
		fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	fclose(files[0]);
	slurp(files[1], out, sizeof(out));
	slurp(files[2], err, sizeof(err));
	return WEXITSTATUS(status);
}
#define RUN(...) run(NULL, (const char *const[]){ __VA_ARGS__, NULL })
#define RUN_INPUT(input, ...) run((input), (const char *const[]){ __VA_ARGS__, NULL })

static void test_results(void **state)
{
	assert_int_equal(RUN("--insecure", "Host", "ping2"), 0);
	assert_string_equal(out, "true\n");
	assert_string_equal(err, "");
	assert_int_equal(RUN("--insecure", "--flow-id", "f1", "Host", "echo", "message=h\303\266"), 0);
	assert_string_equal(out, "{\n    \"flow\": \"f1\",\n    \"params\": {\n        \"message\": \"h\\u00f6\"\n    }\n}\n");
}

static void test_arguments(void **state)
{
	const char *id = "vmID=11111111-2222-4333-8444-555555555555";

	/* numbers and booleans by the table, JSON where it says so, objects merged */
	assert_int_equal(RUN("--insecure", "VM", "shutdown", id, "delay=5", "reboot=true"), 0);
	assert_non_null(strstr(out, "\"delay\": 5"));
	assert_non_null(strstr(out, "\"reboot\": true"));
	assert_int_equal(RUN("--insecure", "VM", "setTicket", id, "{\"password\": \"p\", \"ttl\": 7}", "params={\"a\": \"b\"}"), 0);
	assert_non_null(strstr(out, "\"ttl\": 7"));
	assert_non_null(strstr(out, "\"a\": \"b\""));
	assert_int_equal(RUN("--insecure", "Host", "getVMList", "vmList=a,b"), 0);
	assert_non_null(strstr(out, "\"a\",\n"));
	assert_int_equal(RUN_INPUT("{\"message\": \"from a file\"}", "--insecure", "-f", "-", "Host", "echo"), 0);
	assert_non_null(strstr(out, "from a file"));
}

static void test_failures(void **state)
{
	assert_int_equal(RUN("--insecure", "VM", "getStats", "vmID=x"), 1);
	assert_string_equal(err,
			    "berth: Command VM.getStats with args {'vmID': 'x'} failed:\n(code=1, message=Virtual machine does not exist: {'vmId': 'x'})\n");
	assert_string_equal(out, "");
	assert_int_equal(RUN("--insecure", "--timeout", "0.2", "Host", "getCapabilities"), 1);
	assert_string_equal(err,
			    "berth: Command Host.getCapabilities with args {} failed: Request Host.getCapabilities with args {} timed out after 0.2 seconds\n");
	assert_int_equal(RUN("--insecure", "-p", "1", "Host", "ping2"), 1);
	assert_non_null(strstr(err, "berth: Connection to 127.0.0.1:1 with use_tls=False, timeout=60 failed: "));
	assert_non_null(strstr(err, "Connection refused"));
	assert_int_equal(RUN("Host", "ping2", "--ca", "/nonexistent/ca.pem"), 1);
	assert_non_null(strstr(err, "/nonexistent/ca.pem"));
	/* a secret is not shown again */
	assert_int_equal(RUN("--insecure", "-p", "1", "VM", "setTicket", "vmID=x", "password=geheim", "ttl=1"), 1);
	assert_null(strstr(err, "geheim"));
}

static void test_usage(void **state)
{
	assert_int_equal(RUN("VM", "getStats", "foo=1"), 2);
	assert_string_equal(err, "berth: VM.getStats has no parameter 'foo'; it takes vmID, fields\n");
	assert_int_equal(RUN("VM", "getStats", "{\"foo\": 1}"), 2);
	assert_int_equal(RUN("VM", "create", "{\"vmID\": \"11111111-2222-4333-8444-555555555555\", \"vmParams\": {\"nosuch\": 1}}"), 2);
	assert_non_null(strstr(err, "vmParams/nosuch"));
	assert_int_equal(RUN("Host", "ping2", "a=b"), 2);
	assert_non_null(strstr(err, "it takes none"));
	assert_int_equal(RUN("VM", "shutdown", "delay=soon"), 2);
	assert_non_null(strstr(err, "delay"));
	assert_int_equal(RUN("VM", "getStats", "vmID"), 2);
	assert_int_equal(RUN("VM", "nosuch"), 2);
	assert_int_equal(RUN("Nosuch", "x"), 2);
	assert_non_null(strstr(err, "Host, VM, "));
	assert_int_equal(RUN("VM"), 2);
	assert_int_equal(RUN("--nosuch", "VM", "getStats"), 2);
	assert_int_equal(RUN("-f", "-", "VM", "getStats", "vmID=x"), 2);
	assert_int_equal(RUN("-f", "/nonexistent", "VM", "getStats"), 2);
	assert_int_equal(RUN_INPUT("[1]", "-f", "-", "VM", "getStats"), 2);
	assert_int_equal(RUN_INPUT("{", "-f", "-", "VM", "getStats"), 2);
	assert_int_equal(RUN("--timeout", "-1", "Host", "ping2"), 2);
	assert_int_equal(RUN("-p", "70000", "Host", "ping2"), 2);
}

static void test_help(void **state)
{
	assert_int_equal(RUN("-h"), 0);
	assert_non_null(strstr(out, "StorageDomain"));
	assert_int_equal(RUN("VM", "--help"), 0);
	assert_non_null(strstr(out, "getStats"));
	assert_int_equal(RUN("VM", "setTicket", "-h"), 0);
	assert_non_null(strstr(out, "ttl (number, s, required)"));
	assert_non_null(strstr(out, "existingConnAction (text, default disconnect)"));
	assert_non_null(strstr(out, "Virtual machine is down"));
}

static GPtrArray *completed(const char *const *words)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new();
	GPtrArray *found = g_ptr_array_new_with_free_func(g_free);

	while (*words)
		g_ptr_array_add(list, (char *)*words++);
	host_complete(list, found);
	return found;
}

static bool has(GPtrArray *found, const char *text)
{
	bool there = g_ptr_array_find_with_equal_func(found, text, g_str_equal, NULL);

	g_ptr_array_unref(found);
	return there;
}

static void test_completion(void **state)
{
	assert_true(has(completed((const char *const[]){ "", NULL }), "VM"));
	assert_true(has(completed((const char *const[]){ "--host", "a", "VM", "", NULL }), "getStats"));
	assert_true(has(completed((const char *const[]){ "VM", "getStats", "", NULL }), "vmID="));
	assert_true(has(completed((const char *const[]){ "--fl", NULL }), "--flow-id"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_results), cmocka_unit_test(test_arguments), cmocka_unit_test(test_failures),
		cmocka_unit_test(test_usage), cmocka_unit_test(test_help), cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
