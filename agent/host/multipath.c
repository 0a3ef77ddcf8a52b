/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipath devices with paths that failed, for Host.getStats.
 *
 * The kernel's device mapper is asked, not multipathd: devices are found in sysfs by their UUID, "mpath-<guid>"; which of their paths failed stands in the
 * status of their table (Linux, drivers/md/dm-mpath.c, multipath_status()):
 *
 *	<features> <hardware handler> <groups> <current group> { <state> <selector> <paths> <n> { <major:minor> A|F <times it failed> <n words> } }
 *
 * where features, handler and selector are each a number and as many words. The kernel reads none of the devices for it, so one that hangs holds nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "agent/host/host-priv.h"

#define CONTROL "/dev/mapper/control"
#define UUID_PREFIX "mpath-"
#define STATUS_MAX 65536               /* about a thousand paths */
#define COUNT_MAX 10000

/* ---- the status line ---- */

struct words { char **next; };

static const char *word(struct words *words)
{
	while (*words->next && !**words->next)          /* it ends in a blank */
		words->next++;
	return *words->next ? *words->next++ : NULL;
}

/* -1: the next word is none */
static int number(struct words *words)
{
	const char *text = word(words);
	guint64 n;

	return text && g_ascii_string_to_unsigned(text, 10, 0, COUNT_MAX, &n, NULL) ? (int)n : -1;
}

static bool skip(struct words *words, int n)
{
	while (n > 0 && word(words))
		n--;
	return n == 0;
}

static bool read_path(struct words *words, int more, GPtrArray *failed, int *valid)
{
	const char *device = word(words), *state = word(words);

	if (!state || (strcmp(state, "A") && strcmp(state, "F")) || number(words) < 0 || !skip(words, more))
		return false;
	if (*state == 'F')
		g_ptr_array_add(failed, g_strdup(device));
	else
		(*valid)++;
	return true;
}

static bool read_group(struct words *words, GPtrArray *failed, int *valid)
{
	int paths, more;

	if (!skip(words, 1) || !skip(words, number(words)))
		return false;
	paths = number(words);
	more = number(words);
	for (int i = 0; i < paths && more >= 0; i++)
		if (!read_path(words, more, failed, valid))
			return false;
	return paths >= 0 && more >= 0;
}

bool multipath_read(const char *status, GPtrArray *failed, int *ret_valid)
{
	g_auto(GStrv) all = g_strsplit_set(status, " ", -1);
	struct words words = { all };
	int groups;

	*ret_valid = 0;
	if (!skip(&words, number(&words)) || !skip(&words, number(&words)) || (groups = number(&words)) < 0 || number(&words) < 0)
		return false;
	while (groups-- > 0)
		if (!read_group(&words, failed, ret_valid))
			return false;
	return true;
}

/* ---- the kernel ---- */

/* Of the device with that UUID; g_free, NULL + errno: it is not told; ENXIO: it is gone. */
static char *status_of(int control, const char *uuid)
{
	g_autofree struct dm_ioctl *io = g_malloc0(STATUS_MAX);
	const struct dm_target_spec *target;

	errno = 0;
	*io = (struct dm_ioctl){ .version = { DM_VERSION_MAJOR, 0, 0 }, .data_size = STATUS_MAX, .data_start = sizeof(*io), .flags = DM_NOFLUSH_FLAG };
	g_strlcpy(io->uuid, uuid, sizeof(io->uuid));
	if (ioctl(control, DM_TABLE_STATUS, io) < 0 || !io->target_count || io->flags & DM_BUFFER_FULL_FLAG)
		return NULL;
	target = (const void *)((const char *)io + io->data_start);
	return strcmp(target->target_type, "multipath") ? NULL : g_strdup((const char *)(target + 1));
}

/* "8:16" -> "sdb"; as it is when there is none any more */
static json_t *device_name(const char *number)
{
	g_autofree char *link = g_strconcat("/sys/dev/block/", number, NULL), *path = g_file_read_link(link, NULL), *name = path ? g_path_get_basename(path) : NULL;

	return json_string(name ? name : number);
}

/* Adds it to health, if a path has failed. false: not known */
static bool look(int control, const char *uuid, json_t *health)
{
	g_autofree char *status = status_of(control, uuid);
	g_autoptr(GPtrArray) failed = g_ptr_array_new_with_free_func(g_free);
	json_t *names;
	int valid;

	if (!status && errno == ENXIO)
		return true;
	if (!status || !multipath_read(status, failed, &valid))
		return false;
	if (!failed->len)
		return true;
	names = json_array();
	for (guint i = 0; i < failed->len; i++)
		json_array_append_new(names, device_name(failed->pdata[i]));
	json_object_set_new(health, uuid + strlen(UUID_PREFIX), json_pack("{s:o, s:i}", "failed_paths", names, "valid_paths", valid));
	return true;
}

json_t *multipath_health(void)
{
	g_autoptr(GDir) dir = g_dir_open("/sys/block", 0, NULL);
	int control = open(CONTROL, O_RDWR | O_CLOEXEC);
	json_t *health = json_object();
	const char *name;
	bool known = true;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename("/sys/block", name, "dm/uuid", NULL), *uuid = g_str_has_prefix(name, "dm-") ? file_text(path) : NULL;

		if (uuid && g_str_has_prefix(uuid, UUID_PREFIX))
			known &= control >= 0 && look(control, uuid, health);
	}
	if (control >= 0)
		close(control);
	if (known)
		return health;
	json_decref(health);
	return NULL;
}
