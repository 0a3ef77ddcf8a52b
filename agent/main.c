/* SPDX-License-Identifier: Apache-2.0 */
/*
 * berth-agent: one on every host.
 *
 * Start: configuration -> lock file (one agent a run directory) -> rooms, from the ground up -> listener -> READY -> libvirt, recovery -> events.
 * Each verb answers 99 until recovery is over, so the listener can be open before libvirt is there.
 *
 * End (SIGTERM, SIGINT): no new connections, what runs on lanes gets STOP_WAIT_USEC, rooms go from the top down. VMs go on; everything
 * needed to know them again is in libvirt. SIGHUP: certificates are read again. SIGUSR1: the flight recorder is written to standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/agent.h"
#include "agent/events.h"
#include "agent/hooks.h"
#include "agent/host/host.h"
#include "agent/jobs.h"
#include "agent/net/net.h"
#include "agent/rpc/dispatch.h"
#include "agent/storage/storage.h"
#include "agent/virt/vms.h"
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/service.h"
#include "proto/channel.h"

#define LOG_MODULE "main"
#define STOP_WAIT_USEC (5 * G_USEC_PER_SEC)
#define DEFAULT_CONFIG "/etc/berth/agent.conf"
#ifndef BERTH_VERSION
#define BERTH_VERSION "0.1.0"
#endif

static const struct option options[] = {
	{ "rpc", "address", OPTION_STRING, "::", 0, 0, "Address to listen on; :: is every address, IPv4 included." },
	{ "rpc", "port", OPTION_INT, "54321", 0, 65535, "TCP port; 0 lets the system choose one, written to run_dir/port." },
	{ "rpc", "plain", OPTION_BOOL, "false", 0, 0, "Without TLS. Only allowed on a loopback address: whoever can connect rules the host." },
	{ "rpc", "max_connections", OPTION_INT, "1000", 1, 100000, "Connections beyond this number are closed at once." },
	{ "rpc", "deadline", OPTION_INT, G_STRINGIFY(VERB_DEADLINE_S), 1, 3600,
	  "Seconds after which the caller of a verb that hangs is told so; it may still be done later." },
	{ "rpc", "workers", OPTION_INT, "64", 4, 1000, "Most threads that work at the same time; at rest there are none." },
	{ "tls", "cert", OPTION_PATH, "/etc/pki/berth/agent.pem", 0, 0, "The agent's certificate (chain). SIGHUP reads the three files again." },
	{ "tls", "key", OPTION_PATH, "/etc/pki/berth/agent.key", 0, 0, "The key of the certificate." },
	{ "tls", "ca", OPTION_PATH, "/etc/pki/berth/ca.pem", 0, 0, "The CA whose clients may connect." },
	{ "libvirt", "uri", OPTION_STRING, "qemu:///system", 0, 0, "libvirt connection of the VMs." },
	{ "libvirt", "swtpm_dir", OPTION_PATH, "/var/lib/libvirt/swtpm", 0, 0, "Where that libvirt keeps the state of emulated TPMs." },
	{ "libvirt", "qemu_conf", OPTION_PATH, "/etc/libvirt/qemu.conf", 0, 0, "Configuration of libvirt's QEMU driver: says whether leases are held (lock_manager)." },
	{ "agent", "state_dir", OPTION_PATH, "/var/lib/berth-agent", 0, 0,
	  "What survives a boot: host id, networks, storage links; and the scratch disks of backups, which may become as large as the disks." },
	{ "agent", "run_dir", OPTION_PATH, "/run/berth-agent", 0, 0, "What lives until the next boot: lock file, port." },
	{ "agent", "hooks_dir", OPTION_PATH, "/etc/berth/hooks", 0, 0, "One directory of scripts for each hook point." },
	{ "agent", "hook_timeout", OPTION_INT, "60", 1, 3600, "Seconds a hook script may take before it is killed." },
	{ "agent", "hook_timeouts", OPTION_STRING, "", 0, 0, "The same for single points: 'before_vm_start=300 after_vm_freeze=5'." },
	{ "agent", "log_level", OPTION_STRING, "info", 0, 0, "error, warn, info, debug or trace." },
	{ "storage", "low_space", OPTION_INT, "10", 0, 100, "Percent of a storage domain: with less free space it is told to be low (event, log)." },
	{ "transfer", "port", OPTION_INT, "54322", 0, 65535,
	  "TCP port where image tickets are good, on [rpc] address, as long as there are any; 0 lets the system choose one, written to run_dir/transfer-port." },
	{ "transfer", "max_connections", OPTION_INT, "64", 1, 1000, "Connections of clients with image tickets beyond this number are closed at once." },
	{ "transfer", "nbd_port", OPTION_INT, "10809", 1, 65535, "First of 64 TCP ports for NBD servers with TLS, of which the first free one is taken." },
	{ "transfer", "idle", OPTION_INT, "60", 1, 3600, "Seconds without a byte after which Image.download and Image.upload give a web server up." },
	{ "host", "policy_period", OPTION_INT, "10", 1, 3600, "Seconds between two looks of the memory policy (Host.setMOMPolicyParameters)." },
	{ "host", "fence_dir", OPTION_PATH, "/usr/sbin", 0, 0, "Where fence_<agent> programs are, for Host.fenceNode." },
	{ "host", "fence_timeout", OPTION_INT, "120", 1, 3600, "Seconds a fence agent may take before it is killed." },
	{ "gluster", "program", OPTION_PATH, "/usr/sbin/gluster", 0, 0, "Gluster's command. Without it this host has no verbs of Gluster." },
	{ "gluster", "socket", OPTION_PATH, "/run/glusterd.socket", 0, 0, "Socket of the glusterd to talk to." },
	{ "gluster", "timeout", OPTION_INT, "120", 1, 160, "Seconds a command of Gluster may take before it is killed; glusterd may then still do it." },
	{ "vm", "stats_period", OPTION_INT, "15", 1, 3600, "Seconds between two samples of the VMs' statistics." },
	{ "vm", "guest_wait", OPTION_INT, "60", 1, 3600, "Seconds a VM is 'Powering up' until it counts as 'Up' without its guest agent." },
	{ "vm", "guest_poll", OPTION_BOOL, "true", 0, 0, "Ask the guest agents for addresses, users, file systems and so on." },
	{ "vm", "sync_time", OPTION_BOOL, "true", 0, 0, "Set the guest's clock after a pause, a restore or a migration, through its guest agent." },
	{ "vm", "kill_paused_time", OPTION_INT, "80", 1, 86400,
	  "Seconds after which a VM that an I/O error paused is powered off, if its metadata say resumeBehavior 'kill'." },
	{ "vm", "unplug_timeout", OPTION_INT, "30", 1, 150, "Seconds a guest has to let go of a device that is taken out of its VM." },
	{ "vm", "frozen_limit", OPTION_INT, "10", 1, 600,
	  "Seconds after which a guest that VM.snapshot or VM.start_backup has frozen is thawed, whatever holds them up." },
	{ "vm", "crash_dump_max", OPTION_INT, "4096", 0, 16777216, "MiB that the dump of a crashed guest may have; a longer one is not kept." },
	{ "vm", "display_address", OPTION_STRING, "0.0.0.0", 0, 0, "Address that VNC and SPICE consoles listen on. They need a ticket (VM.setTicket)." },
	{ "migration", "outgoing_limit", OPTION_INT, "2", 1, 1000, "Most VMs that leave this host at a time, unless VM.migrate says otherwise; further ones wait." },
	{ "migration", "incoming_limit", OPTION_INT, "2", 1, 1000, "Most VMs that come to this host at a time, unless the other host says otherwise; further ones wait there." },
	{ "migration", "bandwidth", OPTION_INT, "0", 0, 1048576, "MiB a second for each VM that leaves, unless VM.migrate says otherwise; 0: no limit." },
	{ "migration", "downtime", OPTION_INT, "500", 1, 2000000, "Milliseconds a VM may stand still at the end, unless VM.migrate says otherwise." },
	{ "migration", "transport", OPTION_STRING, "tls", 0, 0, "How libvirt calls libvirt on the other host: tls, with the agent's certificate, or tcp, in clear." },
	{ "migration", "encrypted", OPTION_BOOL, "true", 0, 0, "The memory travels encrypted, unless VM.migrate says otherwise." },
	{ "migration", "address", OPTION_STRING, "", 0, 0, "Address of this host to which the memory of VMs is sent; empty: the one its agent is called by." },
	{ "migration", "schedule_period", OPTION_INT, "10", 1, 3600, "Seconds between two looks at a convergence schedule." },
	{ "migration", "arrival_timeout", OPTION_INT, "300", 1, 86400, "Seconds in which libvirt must begin to send a VM that was announced." },
	{ "migration", "postcopy_timeout", OPTION_INT, "120", 1, 86400, "Seconds in which a broken post-copy is tried to be continued; then the VM is lost." },
};

struct daemon {
	struct agent agent;
	struct config *config;
	struct channel_server *server;
	struct dispatch *dispatch;
	struct tls_context *tls;
	char *storage_dir;
	int lock;
};

/* ---- signals ---- */

static void on_stop(void *data)
{
	struct daemon *d = data;

	log_info("told to end");
	service_notify("STOPPING=1");
	loop_stop(d->agent.loop);
}

static void on_reload(void *data)
{
	struct daemon *d = data;
	g_autoptr(GError) error = NULL;

	if (!d->tls)
		return;
	if (tls_context_reload(d->tls, &error))
		log_info("certificates were read again");
	else
		log_error("certificates stay as they were: %s", error->message);
	storage_reload(d->agent.storage);
}

static void on_dump(void *data)
{
	g_autofree char *text = log_dump();
	struct daemon *d = data;
	json_t *lanes = lane_pool_list(d->agent.lanes);
	char *list = json_dumps(lanes, JSON_INDENT(1));

	fputs(text, stderr);
	fprintf(stderr, "lanes: %s\n", list ? list : "");
	free(list);
	json_decref(lanes);
}

/* ---- the channel ---- */

static void send_event(const char *method, const char *params_json, void *data)
{
	struct daemon *d = data;

	if (d->server)
		channel_server_publish(d->server, method, params_json);
}

static void on_request(struct call *call, const char *method, const json_t *params, void *data)
{
	struct daemon *d = data;

	dispatch_request(call, method, params, d->dispatch);
}

static char *http_get(const char *path, const char **ret_content_type, void *data)
{
	struct daemon *d = data;
	GString *text;
	struct vms_counts vms;

	if (strcmp(path, "/metrics"))
		return NULL;
	vms = vms_count(d->agent.vms);
	metric_set(metric_gauge("berth_agent_vms", NULL, "VMs this host knows"), vms.all);
	metric_set(metric_gauge("berth_agent_vms_up", NULL, "VMs that run"), vms.up);
	metric_set(metric_gauge("berth_agent_connections", NULL, "Connections of clients"), channel_server_connections(d->server));
	metric_set(metric_gauge("berth_agent_threads", NULL, "Threads that work or are about to end"), lane_pool_threads(d->agent.lanes));
	text = g_string_new(NULL);
	metrics_write(text);
	host_write_metrics(text);
	vms_write_metrics(d->agent.vms, text);
	*ret_content_type = "text/plain; version=0.0.4; charset=utf-8";
	return g_string_free(text, FALSE);
}

static void on_recovered(void *data)
{
	struct daemon *d = data;

	jobs_resume(d->agent.jobs);
	events_open(d->agent.events);
	service_notify("STATUS=Serving");
	malloc_trim(0);
}

static void restore_networks(void *data)
{
	struct agent *agent = data;
	g_autoptr(GError) error = NULL;

	if (!net_restore(agent->net, &error))
		log_error("networks could not be restored: %s", error->message);
	net_mirror_sweep(agent->net);
}

static bool open_channel(struct daemon *d, GError **error)
{
	const struct config *c = d->config;
	bool plain = config_bool(c, "rpc", "plain");
	struct channel_server_settings settings = {
		.loop = d->agent.loop,
		.address = config_string(c, "rpc", "address"),
		.port = (uint16_t)config_int(c, "rpc", "port"),
		.max_connections = (unsigned)config_int(c, "rpc", "max_connections"),
		.request = on_request,
		.http_get = http_get,
		.data = d,
	};
	g_autofree char *port_file = g_build_filename(d->agent.run_dir, "port", NULL);
	g_autofree char *port = NULL;

	if (!plain) {
		struct tls_settings tls = {
			.ca_file = config_string(c, "tls", "ca"), .cert_file = config_string(c, "tls", "cert"), .key_file = config_string(c, "tls", "key"),
			.server = true, .require_peer = true,
		};

		if (!tls_renewal_settle(tls.cert_file, tls.key_file, error))
			return false;
		d->tls = tls_context_new(&tls, error);
		if (!d->tls)
			return false;
		settings.tls = d->tls;
	}
	d->server = channel_server_new(&settings, error);
	if (!d->server)
		return false;
	port = g_strdup_printf("%u\n", channel_server_port(d->server));
	if (!g_file_set_contents(port_file, port, -1, NULL))
		log_warn("cannot write %s, ignoring", port_file);
	log_info("listening on %s port %u%s", settings.address, channel_server_port(d->server), plain ? ", without TLS" : "");
	return true;
}

/* ---- life ---- */

static bool make_directory(const char *path, GError **error)
{
	if (g_mkdir_with_parents(path, 0755) == 0)
		return true;
	error_set_errno(error, ERR_INVALID_CONFIGURATION, errno, "cannot make directory %s", path);
	return false;
}

static bool take_lock(struct daemon *d, GError **error)
{
	g_autofree char *path = g_build_filename(d->agent.run_dir, "lock", NULL);
	g_autofree char *pid = g_strdup_printf("%d\n", (int)getpid());

	d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (d->lock < 0) {
		error_set_errno(error, ERR_INVALID_CONFIGURATION, errno, "cannot open %s", path);
		return false;
	}
	if (flock(d->lock, LOCK_EX | LOCK_NB) < 0) {
		error_set(error, ERR_INVALID_CONFIGURATION, "%s is locked: another berth-agent runs with this run_dir", path);
		return false;
	}
	(void)!ftruncate(d->lock, 0);
	(void)!pwrite(d->lock, pid, strlen(pid), 0);
	return true;
}

static bool start(struct daemon *d, GError **error)
{
	struct agent *a = &d->agent;
	const struct config *c = d->config;

	a->config = c;
	a->state_dir = config_string(c, "agent", "state_dir");
	a->run_dir = config_string(c, "agent", "run_dir");
	a->started_usec = now_usec();
	if (!a->state_dir || !a->run_dir) {
		error_set(error, ERR_INVALID_CONFIGURATION, "[agent] state_dir and run_dir must not be empty");
		return false;
	}
	if (!make_directory(a->state_dir, error) || !make_directory(a->run_dir, error) || !take_lock(d, error))
		return false;
	a->loop = loop_new();
	a->lanes = lane_pool_new((unsigned)config_int(c, "rpc", "workers"));
	a->events = events_new(a->loop, send_event, d);
	a->hooks = hooks_new(&(struct hooks_settings){ .directory = config_string(c, "agent", "hooks_dir"), .run_dir = a->run_dir,
						       .limit_usec = config_int(c, "agent", "hook_timeout") * G_USEC_PER_SEC,
						       .limits = config_string(c, "agent", "hook_timeouts") }, error);
	if (!a->hooks)
		return false;
	if (!(a->jobs = jobs_new(a->loop, a->lanes, a->events, a->state_dir, error)))
		return false;
	d->storage_dir = g_build_filename(a->state_dir, "storage", NULL);
	if (!(a->net = net_new(a, error)) || !(a->storage = storage_new(a, d->storage_dir, error)) || !(a->host = host_new(a, error)) ||
	    !(a->vms = vms_new(a, config_string(c, "libvirt", "uri"), error)))
		return false;
	d->dispatch = dispatch_new(a);
	/* Nobody is served yet, so this may take its time on the loop's thread. */
	(void)hooks_run(a->hooks, &(struct hook_run){ .point = "before_vdsm_start" }, /* ret_data= */ NULL, /* error= */ NULL);
	return open_channel(d, error);
}

static void stop(struct daemon *d)
{
	struct agent *a = &d->agent;
	bool served = d->server != NULL;

	/* A job that hangs still has its hands on the rooms: leave the tidying to the kernel. */
	if (!lane_pool_close(a->lanes, STOP_WAIT_USEC)) {
		json_t *lanes = lane_pool_list(a->lanes);
		char *list = json_dumps(lanes, 0);

		log_warn("ending without what still runs: %s", list);
		_exit(served ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	a->lanes = lane_pool_free(a->lanes, 0);
	d->dispatch = dispatch_free(d->dispatch);
	d->server = channel_server_free(d->server);
	a->vms = vms_free(a->vms);
	a->host = host_free(a->host);
	a->storage = storage_free(a->storage);
	a->net = net_free(a->net);
	a->jobs = jobs_free(a->jobs);
	if (served)
		(void)hooks_run(a->hooks, &(struct hook_run){ .point = "after_vdsm_stop" }, /* ret_data= */ NULL, /* error= */ NULL);
	a->hooks = hooks_free(a->hooks);
	a->loop = loop_free(a->loop);
	a->events = events_free(a->events);
	d->tls = tls_context_free(d->tls);
	g_free(d->storage_dir);
	if (d->lock >= 0)
		close(d->lock);
	config_free(d->config);
}

static int serve(struct daemon *d)
{
	struct agent *a = &d->agent;
	struct lane_job restore = { .name = "restore networks", .run = restore_networks, .data = a };
	g_autoptr(GError) error = NULL;
	enum log_level level = log_level_from_name(config_string(d->config, "agent", "log_level"));

	if (level == LOG_LEVEL_INVALID) {
		fprintf(stderr, "berth-agent: [agent] log_level=%s is not a level\n", config_string(d->config, "agent", "log_level"));
		config_free(d->config);
		return EXIT_FAILURE;
	}
	log_set_level(NULL, level);
	log_dump_on_crash();
	umask(022);
	if (!start(d, &error)) {
		fprintf(stderr, "berth-agent: %s\n", error->message);
		if (a->lanes)
			stop(d);
		return EXIT_FAILURE;
	}
	loop_on_signal(a->loop, SIGTERM, on_stop, d);
	loop_on_signal(a->loop, SIGINT, on_stop, d);
	loop_on_signal(a->loop, SIGHUP, on_reload, d);
	loop_on_signal(a->loop, SIGUSR1, on_dump, d);
	if (!lane_submit(a->lanes, "network", &restore, &error))
		log_warn("networks are not restored: %s", error->message);
	jobs_load(a->jobs);
	vms_start(a->vms, on_recovered, d);
	service_notify("READY=1\nSTATUS=Recovering");
	loop_run(a->loop);
	stop(d);
	log_info("ended; VMs go on");
	return EXIT_SUCCESS;
}

static void usage(FILE *out)
{
	fputs("Usage: berth-agent [--config FILE]\n"
	      "Runs the VMs, storage and networks of this host for an engine.\n\n"
	      "  --config FILE    configuration instead of " DEFAULT_CONFIG "\n"
	      "  --print-config   write a configuration file with every key, its default and its meaning\n"
	      "  --version        write the version\n"
	      "  --help           write this\n", out);
}

/* By hand: getopt.h and common/config.h both have a struct option. */
int main(int argc, char **argv)
{
	struct daemon daemon = { .lock = -1 };
	const char *file = NULL;
	g_autoptr(GError) error = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		if (!strcmp(argv[i], "--version")) {
			puts("berth-agent " BERTH_VERSION);
			return EXIT_SUCCESS;
		}
		if (!strcmp(argv[i], "--print-config")) {
			config_print_defaults(stdout, options, G_N_ELEMENTS(options));
			return EXIT_SUCCESS;
		}
		if (!strcmp(argv[i], "--config") && i + 1 < argc) {
			file = argv[++i];
		} else if (g_str_has_prefix(argv[i], "--config=")) {
			file = argv[i] + strlen("--config=");
		} else {
			fprintf(stderr, "berth-agent: '%s' is not understood\n", argv[i]);
			usage(stderr);
			return EXIT_FAILURE;
		}
	}
	if (!file && access(DEFAULT_CONFIG, F_OK) == 0)
		file = DEFAULT_CONFIG;
	daemon.config = config_load(file, options, G_N_ELEMENTS(options), &error);
	if (!daemon.config) {
		fprintf(stderr, "berth-agent: %s\n", error->message);
		return EXIT_FAILURE;
	}
	return serve(&daemon);
}
