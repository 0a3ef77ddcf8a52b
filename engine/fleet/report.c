/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fleet/report.h"

#include <stdlib.h>

#include "common/json_reader.h"
#include "common/record.h"
#include "proto/vm.h"

/* ---- values ---- */

static bool read_string(struct json_reader *reader, char **ret_text)
{
	struct json_slice text;

	if (!json_read_text(reader, &text))
		return false;
	g_free(*ret_text);
	*ret_text = text.length ? g_strndup(text.text, text.length) : NULL;
	return true;
}

/* What is too long is none of ours: "". */
static bool read_short(struct json_reader *reader, char *buffer, size_t size)
{
	struct json_slice text;

	if (!json_read_text(reader, &text))
		return false;
	if (text.length >= size)
		text.length = 0;
	memcpy(buffer, text.text, text.length);
	buffer[text.length] = '\0';
	return true;
}

static bool read_int(struct json_reader *reader, int *ret_value)
{
	int64_t value;

	if (!json_read_long(reader, &value))
		return false;
	*ret_value = (int)CLAMP(value, INT32_MIN, INT32_MAX);
	return true;
}

/* A text; "-1" and whatever else is no port: none */
static bool read_port(struct json_reader *reader, int *ret_port)
{
	char digits[12];

	if (!read_short(reader, digits, sizeof(digits)))
		return false;
	*ret_port = MAX(atoi(digits), 0);
	return true;
}

static bool read_status(struct json_reader *reader, struct report_row *row)
{
	char name[32];

	if (!read_short(reader, name, sizeof(name)))
		return false;
	row->status = enum_value(vm_wire_status_names, name);
	return row->status >= 0 || json_fail(reader, "not a state of a VM");
}

static bool read_digest(struct json_reader *reader, struct report_row *row)
{
	char digits[20], *end;

	if (!read_short(reader, digits, sizeof(digits)))
		return false;
	row->digest = strtoull(digits, &end, 16);
	return (*digits && !*end) || json_fail(reader, "not a digest");
}

/* Arrays of so many numbers each, which may have more behind them; beyond max they are skipped. */
static bool read_numbers(struct json_reader *reader, int64_t *numbers, unsigned columns, unsigned max, unsigned *ret_rows)
{
	unsigned rows = 0;

	for (bool open = json_enter(reader, '['); open && json_item(reader);) {
		unsigned n = 0;

		if (rows == max) {
			(void)json_skip(reader);
			continue;
		}
		for (bool inner = json_enter(reader, '['); inner && json_item(reader); n++)
			(void)(n < columns ? json_read_long(reader, &numbers[rows * columns + n]) : json_skip(reader));
		if (n < columns)
			return json_fail(reader, "too few numbers of a device");
		rows++;
	}
	*ret_rows = rows;
	return !reader->problem;
}

static bool read_names(struct json_reader *reader, char *names, size_t size, unsigned max, unsigned *ret_n)
{
	unsigned n = 0;

	for (bool open = json_enter(reader, '['); open && json_item(reader);)
		(void)(n < max ? read_short(reader, names + size * n++, size) : json_skip(reader));
	*ret_n = n;
	return !reader->problem;
}

/* ---- facts ---- */

static bool read_os(struct json_reader *reader, struct report_row *row)
{
	const struct { const char *name; char **value; } members[] = {
		{ "type", &row->os_family }, { "distribution", &row->os_distribution }, { "version", &row->os_version }, { "kernel", &row->os_kernel },
		{ "arch", &row->os_architecture },
	};
	struct json_slice name;

	for (bool open = json_enter(reader, '{'); open && json_member(reader, &name);) {
		size_t i = 0;

		while (i < G_N_ELEMENTS(members) && !json_slice_is(name, members[i].name))
			i++;
		(void)(i < G_N_ELEMENTS(members) ? read_string(reader, members[i].value) : json_skip(reader));
	}
	return !reader->problem;
}

/* The first console's. */
static bool read_displays(struct json_reader *reader, struct report_row *row)
{
	struct json_slice name;
	unsigned n = 0;

	for (bool open = json_enter(reader, '['); open && json_item(reader);) {
		if (n++) {
			(void)json_skip(reader);
			continue;
		}
		for (bool inner = json_enter(reader, '{'); inner && json_member(reader, &name);) {
			if (json_slice_is(name, "ipAddress"))
				(void)read_string(reader, &row->display_address);
			else if (json_slice_is(name, "port"))
				(void)read_port(reader, &row->display_port);
			else if (json_slice_is(name, "tlsPort"))
				(void)read_port(reader, &row->display_secure_port);
			else
				(void)json_skip(reader);
		}
	}
	return !reader->problem;
}

/* ---- rows ---- */

static bool read_disks(struct json_reader *reader, struct report_row *row)
{
	return read_numbers(reader, &row->disks[0][0], ROW_DISK_NUMBERS, REPORT_DISKS_MAX, &row->n_disks);
}

static bool read_nics(struct json_reader *reader, struct report_row *row)
{
	return read_numbers(reader, &row->nics[0][0], ROW_NIC_NUMBERS, REPORT_NICS_MAX, &row->n_nics);
}

static bool read_disk_ids(struct json_reader *reader, struct report_row *row)
{
	row->has_facts = true;          /* always told with the other facts */
	return read_names(reader, row->disk_ids[0], sizeof(row->disk_ids[0]), REPORT_DISKS_MAX, &row->n_disk_ids);
}

static bool read_nic_macs(struct json_reader *reader, struct report_row *row)
{
	return read_names(reader, row->nic_macs[0], sizeof(row->nic_macs[0]), REPORT_NICS_MAX, &row->n_nic_macs);
}

#define READER(function, call) static bool function(struct json_reader *reader, struct report_row *row) { return call; }
READER(read_id, read_short(reader, row->vm_id, sizeof(row->vm_id)))
READER(read_status_time, json_read_long(reader, &row->status_time))
READER(read_elapsed, json_read_long(reader, &row->elapsed_time))
READER(read_cpu_user, json_read_double(reader, &row->cpu_user))
READER(read_cpu_sys, json_read_double(reader, &row->cpu_sys))
READER(read_mem, read_int(reader, &row->mem_usage))
READER(read_balloon, read_int(reader, &row->balloon_ignored))
READER(read_sampled, json_read_long(reader, &row->sampled_usec))
READER(read_exit_code, read_int(reader, &row->exit_code))
READER(read_exit_reason, read_int(reader, &row->exit_reason))
READER(read_exit_message, read_string(reader, &row->exit_message))
READER(read_pause, read_string(reader, &row->pause_code))
READER(read_ips, read_string(reader, &row->guest_ips))
READER(read_fqdn, read_string(reader, &row->guest_fqdn))
#undef READER

/* In the order in which they come: the search begins behind the last one found. */
static const struct { const char *name; bool (*read)(struct json_reader *reader, struct report_row *row); } members[] = {
	{ "vmId", read_id }, { "status", read_status }, { "statusTime", read_status_time }, { "exitCode", read_exit_code }, { "exitReason", read_exit_reason },
	{ "exitMessage", read_exit_message }, { "pauseCode", read_pause }, { "elapsedTime", read_elapsed }, { "facts", read_digest },
	{ "cpuUser", read_cpu_user }, { "cpuSys", read_cpu_sys }, { "memUsage", read_mem }, { "balloonIgnored", read_balloon }, { "sampled", read_sampled },
	{ "disks", read_disks }, { "nics", read_nics }, { "displayInfo", read_displays }, { "guestIPs", read_ips }, { "guestFQDN", read_fqdn },
	{ "guestOsInfo", read_os }, { "diskIDs", read_disk_ids }, { "nicMACs", read_nic_macs },
};

/* Empties what the row before left: its texts and all numbers but those of its devices. */
static void clear(struct report_row *row)
{
	char **texts[] = { &row->exit_message, &row->pause_code, &row->display_address, &row->guest_ips, &row->guest_fqdn, &row->os_family,
			   &row->os_distribution, &row->os_version, &row->os_kernel, &row->os_architecture };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_clear_pointer(texts[i], g_free);
	row->vm_id[0] = '\0';
	row->status = row->exit_code = row->exit_reason = -1;
	row->status_time = row->elapsed_time = row->sampled_usec = 0;
	row->digest = 0;
	row->cpu_user = row->cpu_sys = 0;
	row->mem_usage = row->balloon_ignored = row->display_port = row->display_secure_port = 0;
	row->n_disks = row->n_nics = row->n_disk_ids = row->n_nic_macs = 0;
	row->has_facts = false;
}

static bool read_row(struct json_reader *reader, struct report_row *row)
{
	struct json_slice name;
	size_t at = 0;

	clear(row);
	for (bool open = json_enter(reader, '{'); open && json_member(reader, &name);) {
		size_t looked = 0;

		while (looked < G_N_ELEMENTS(members) && !json_slice_is(name, members[at].name)) {
			at = (at + 1) % G_N_ELEMENTS(members);
			looked++;
		}
		(void)(looked < G_N_ELEMENTS(members) ? members[at].read(reader, row) : json_skip(reader));
	}
	if (!reader->problem && (!*row->vm_id || row->status < 0))
		return json_fail(reader, "a VM without id or state");
	return !reader->problem;
}

bool report_read(GBytes *text, void (*take)(const struct report_row *row, void *data), void *data, GError **error)
{
	struct report_row *row = g_new0(struct report_row, 1);
	struct json_reader reader;
	size_t size;
	const char *bytes = g_bytes_get_data(text, &size);

	json_reader_init(&reader, bytes, size);
	for (bool open = json_enter(&reader, '['); open && json_item(&reader) && read_row(&reader, row);)
		take(row, data);
	clear(row);
	g_free(row);
	return json_reader_end(&reader, error);
}
