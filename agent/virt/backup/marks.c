/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup since a checkpoint of a disk that was made larger above a snapshot.
 *
 * What changed since a checkpoint is marked in a bitmap of its name, in each volume of the chain from the active one down to the one that was active when it
 * was made. Each is as large as its volume, and QEMU joins only bitmaps of one size (bdrv_merge_dirty_bitmap()), so libvirt cannot begin such a backup. The
 * snapshot is not made larger for that: it is what the disk was. Its bitmap is not touched either: others may read it, and it counts again after a merge.
 *
 * Instead all marks are joined in one more bitmap of the active volume, before the guest is frozen, and libvirt is told of a checkpoint of that name, since
 * which the backup is:
 *
 *	add      the bitmap. From now on it is marked with what the guest writes, as the checkpoint's own
 *	join     bitmaps that are as large as the disk; and the others by way of a node that has no data (a memfd): a bitmap there, as large as the volume,
 *	         takes in that of the volume; then the node is made as large as the disk, QEMU makes the bitmap larger with it, and that is joined
 *	define   the checkpoint, which has no parent and is none's. For libvirt it must be persistent
 *
 * When libvirt has begun, or has not, the backup's job drops the checkpoint with its bitmap, and what an agent that died may have left of the rest; from the
 * volume, when the VM has ended in between and QEMU wrote the bitmap there.
 */
#define LOG_MODULE "backup"
#include <errno.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "agent/fault.h"
#include "agent/virt/backup/backup.h"
#include "agent/virt/qmp.h"
#include "common/xml.h"
#include "common/log.h"

#define NODE "berth-marks"
#define FDSET 1651471976                         /* far from those libvirt counts up */
#define BITMAP "marks"                           /* of NODE */

static const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static int64_t number(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

static char *joined_name(const char *backup)
{
	return g_strconcat(MARKS_PREFIX, backup, NULL);
}

/* arguments: taken over; NULL: there are none. */
static bool order(const struct block_job *b, const char *command, json_t *arguments, json_t **ret_return, GError **error)
{
	bool good = qmp_command(b->live->domain, command, arguments, ERR_BACKUP_ERROR, ret_return, error);

	json_decref(arguments);
	return good;
}

static json_t *nodes_of(const struct block_job *b, GError **error)
{
	json_t *nodes = NULL;

	return order(b, "query-named-block-nodes", json_pack("{s:b}", "flat", true), &nodes, error) ? nodes : NULL;
}

static const json_t *find(const json_t *list, const char *member, const char *value)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (!g_strcmp0(text(one, member), value))
			return one;
	return NULL;
}

/* ---- are they of several sizes? ---- */

static bool is_sound(const json_t *bitmap)
{
	return json_is_true(json_object_get(bitmap, "persistent")) && json_is_true(json_object_get(bitmap, "recording")) &&
	       !json_is_true(json_object_get(bitmap, "inconsistent"));
}

/* Volumes that are marked, from the active one down, as libvirt has them. New reference; NULL: they are not as they must be, which libvirt says better. */
static json_t *marked(const struct disk_chain *chain, const char *checkpoint, const json_t *nodes)
{
	json_t *marks = json_array();

	for (guint i = 0; i < chain->layers->len; i++) {
		g_autofree char *name = disk_layer_node(chain->layers->pdata[i]);
		const json_t *node = find(nodes, "node-name", name), *bitmap = find(json_object_get(node, "dirty-bitmaps"), "name", checkpoint);

		if (!bitmap && i > 0)
			continue;
		if (!bitmap || !is_sound(bitmap) || json_array_size(marks) != i) {
			json_decref(marks);
			return NULL;
		}
		json_array_append_new(marks, json_pack("{s:s, s:I, s:I}", "node", name, "size",
						       (json_int_t)number(json_object_get(node, "image"), "virtual-size"), "granularity",
						       (json_int_t)number(bitmap, "granularity")));
	}
	return marks;
}

static bool has_one_size(const json_t *marks)
{
	const json_t *mark;
	size_t i;

	json_array_foreach(marks, i, mark)
		if (number(mark, "size") != number(json_array_get(marks, 0), "size"))
			return false;
	return true;
}

bool marks_plan(struct block_job *b, const struct disk_chain *chain, const char *checkpoint, json_t *planned, GError **error)
{
	json_t *nodes, *marks;

	if (chain->layers->len == 1 || !checkpoint_is_known(b->live->domain, checkpoint))
		return true;
	if (!(nodes = nodes_of(b, error)))
		return false;
	marks = marked(chain, checkpoint, nodes);
	if (marks && !has_one_size(marks))
		json_object_set(planned, "marks", marks);
	json_decref(marks);
	json_decref(nodes);
	return true;
}

bool marks_any(const json_t *plan)
{
	const json_t *planned;
	size_t i;

	json_array_foreach(plan, i, planned)
		if (json_object_get(planned, "marks"))
			return true;
	return false;
}

/* ---- join ---- */

static json_t *bitmap_of(const char *node, const char *name)
{
	return json_pack("{s:s, s:s}", "node", node, "name", name);
}

static bool add_bitmap(const struct block_job *b, const char *node, const char *name, bool persistent, int64_t granularity, GError **error)
{
	return order(b, "block-dirty-bitmap-add", json_pack("{s:s, s:s, s:b, s:I}", "node", node, "name", name, "persistent", persistent, "granularity",
							    (json_int_t)granularity), NULL, error);
}

static bool merge(const struct block_job *b, const char *to_node, const char *to, const char *node, const char *name, GError **error)
{
	return order(b, "block-dirty-bitmap-merge", json_pack("{s:s, s:s, s:[o]}", "node", to_node, "target", to, "bitmaps", bitmap_of(node, name)), NULL,
		     error);
}

static bool add_node(const struct block_job *b, int64_t size, GError **error)
{
	int fd = memfd_create(NODE, MFD_CLOEXEC);
	bool good = fd >= 0 && ftruncate(fd, size) == 0;

	if (!good)
		error_set_errno(error, ERR_BACKUP_ERROR, errno, "memory for marks");
	good = good && qmp_add_fd(b->live->domain, FDSET, fd, ERR_BACKUP_ERROR, error);
	if (fd >= 0)
		close(fd);
	return good && order(b, "blockdev-add", json_pack("{s:s, s:s, s:s}", "driver", "file", "node-name", NODE, "filename", "/dev/fdset/" G_STRINGIFY(FDSET)),
			     NULL, error);
}

static bool delete_node(const struct block_job *b, GError **error)
{
	return order(b, "blockdev-del", json_pack("{s:s}", "node-name", NODE), NULL, error);
}

static bool remove_fd(const struct block_job *b, GError **error)
{
	return order(b, "remove-fd", json_pack("{s:i}", "fdset-id", FDSET), NULL, error);
}

static bool join_other_size(const struct block_job *b, const json_t *mark, const json_t *active, const char *checkpoint, const char *joined, GError **error)
{
	bool good = add_node(b, number(mark, "size"), error) && add_bitmap(b, NODE, BITMAP, /* persistent= */ false, number(mark, "granularity"), error) &&
		    merge(b, NODE, BITMAP, text(mark, "node"), checkpoint, error);

	fault_point("marks: taken");
	return good && order(b, "block_resize", json_pack("{s:s, s:I}", "node-name", NODE, "size", (json_int_t)number(active, "size")), NULL, error) &&
	       merge(b, text(active, "node"), joined, NODE, BITMAP, error) && delete_node(b, error) &&
	       remove_fd(b, error);
}

static bool join_disk(const struct block_job *b, const json_t *marks, const char *checkpoint, const char *joined, GError **error)
{
	const json_t *active = json_array_get(marks, 0), *mark;
	bool good = add_bitmap(b, text(active, "node"), joined, /* persistent= */ true, number(active, "granularity"), error);
	size_t i;

	fault_point("marks: added");
	json_array_foreach(marks, i, mark)
		good = good && (number(mark, "size") == number(active, "size") ? merge(b, text(active, "node"), joined, text(mark, "node"), checkpoint, error)
									       : join_other_size(b, mark, active, checkpoint, joined, error));
	return good;
}

/* <domaincheckpoint>; g_free */
static char *xml_of(const struct block_job *b, const json_t *plan, const char *joined)
{
	g_autoptr(xmlDoc) doc = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = xmlNewNode(NULL, (const xmlChar *)"domaincheckpoint"), *disks;
	g_autofree char *now = g_strdup_printf("%" G_GINT64_FORMAT, wall_msec() / 1000);

	xmlDocSetRootElement(doc, root);
	xml_add_text(root, "name", joined);
	xml_add_text(root, "creationTime", now);
	disks = xml_add(root, "disks");
	for (guint i = 0; i < b->chains->len; i++) {
		const char *target = ((const struct disk_chain *)b->chains->pdata[i])->target;
		bool in = json_object_get(find(plan, "target", target), "marks") != NULL;

		xml_add_with(disks, "disk", "name", target, "checkpoint", in ? "bitmap" : "no", "bitmap", in ? joined : NULL, NULL);
	}
	return xml_to_text(root);
}

bool marks_join(struct block_job *b, const json_t *plan, const char *checkpoint, const char *backup, GError **error)
{
	g_autofree char *joined = joined_name(backup), *xml = xml_of(b, plan, joined);
	const json_t *planned, *marks;
	size_t i;
	bool good = !marks_any(plan) || marks_drop(b, plan, backup, error);

	json_array_foreach(plan, i, planned)
		if ((marks = json_object_get(planned, "marks")))
			good = good && join_disk(b, marks, checkpoint, joined, error);
	if (!good || !marks_any(plan))
		return good;
	fault_point("marks: joined");
	good = checkpoint_define(b->live->domain, xml);
	if (!good)
		live_failed(b->live, error, ERR_BACKUP_ERROR, "marks of checkpoint %s", checkpoint);
	fault_point("marks: defined");
	return good;
}

char *marks_since(const json_t *planned, const struct backup_config *config)
{
	return json_object_get(planned, "marks") ? joined_name(config->id) : g_strdup(config->from_checkpoint);
}

/* ---- drop ---- */

/* Of the node, whoever left them. */
static bool drop_bitmaps(const struct block_job *b, const json_t *node, GError **error)
{
	const json_t *bitmap;
	size_t i;
	bool good = true;

	json_array_foreach(json_object_get(node, "dirty-bitmaps"), i, bitmap)
		if (text(bitmap, "name") && g_str_has_prefix(text(bitmap, "name"), MARKS_PREFIX))
			good = good && order(b, "block-dirty-bitmap-remove", bitmap_of(text(node, "node-name"), text(bitmap, "name")), NULL, error);
	return good;
}

static bool drop_node(const struct block_job *b, const json_t *nodes, GError **error)
{
	json_t *sets = NULL;
	const json_t *set;
	size_t i;
	bool good = (!find(nodes, "node-name", NODE) || delete_node(b, error)) && order(b, "query-fdsets", NULL, &sets, error);

	json_array_foreach(sets, i, set)
		if (number(set, "fdset-id") == FDSET)
			good = good && remove_fd(b, error);
	json_decref(sets);
	return good;
}

bool marks_drop(struct block_job *b, const json_t *plan, const char *backup, GError **error)
{
	g_autofree char *joined = joined_name(backup);
	json_t *nodes = NULL;
	const json_t *planned, *marks;
	size_t i;
	bool good;

	if (!marks_any(plan))
		return true;
	if (!checkpoint_delete(b->live->domain, joined)) {
		live_failed(b->live, error, ERR_BACKUP_ERROR, "checkpoint %s", joined);
		return false;
	}
	if (!(nodes = nodes_of(b, error)))
		return false;
	good = drop_node(b, nodes, error);
	json_array_foreach(plan, i, planned)
		if ((marks = json_object_get(planned, "marks")))
			good = good && drop_bitmaps(b, find(nodes, "node-name", text(json_array_get(marks, 0), "node")), error);
	json_decref(nodes);
	fault_point("marks: dropped");
	return good;
}

void marks_drop_stored(struct storage *storage, const json_t *request)
{
	const json_t *plan = json_object_get(request, "disks"), *disks = json_object_get(json_object_get(request, "config"), "disks"), *planned;
	g_autofree char *joined = joined_name(text(request, "backupID"));
	size_t i;

	json_array_foreach(plan, i, planned) {
		const json_t *disk = json_array_get(disks, i);
		g_autoptr(GError) error = NULL;

		if (json_object_get(planned, "marks") &&
		    !storage_drop_bitmap(storage, text(disk, "domainID"), text(disk, "imageID"), text(disk, "volumeID"), joined, &error))
			log_warn("volume %s may keep bitmap %s, ignoring: %s", text(disk, "volumeID"), joined, error->message);
	}
}
