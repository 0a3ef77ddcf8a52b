/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes of volumes nobody uses: growing, shrinking, and how far that is safe.
 *
 * A shrink cuts off what lies beyond. Safe is what keeps all partitions, with room for the second copy of a GPT behind them; where there is no partition
 * table but data, nothing is known of what is in them, and no shrink is safe. The table is read by sfdisk from a sparse copy of the first and last MiB.
 *
 * On block storage a raw volume has its size in whole extents. A qcow2 one may have more than it needs: reducing gives back what lies beyond the end of its
 * data; a leaf keeps a chunk to be written (vdsm's optimal_size(), lib/vdsm/storage/blockVolume.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/process.h"
#include "agent/storage/data/data.h"
#include "agent/storage/data/thin.h"
#include "agent/storage/form/block.h"
#include "common/error.h"
#include "common/record.h"

#define EDGE (1 << 20)
#define SFDISK_USEC (20 * G_USEC_PER_SEC)

static bool check(struct data_run *run, GError **error)
{
	if (!strcmp(metadata_get(run->values, "VOLTYPE"), "SHARED"))
		error_set(error, ERR_SHARED_VOLUME_NON_WRITABLE, "'%s'", run->volume);
	else if (strcmp(metadata_get(run->values, "VOLTYPE"), "LEAF"))
		error_set(error, ERR_NON_LEAF_VOLUME_NOT_WRITABLE, "'%s' is the parent of another volume", run->volume);
	else if (volume_in_use(run->domain, run->image, run->volume))
		error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", run->volume);
	else
		return true;
	return false;
}

static bool resize_file(const struct data_run *run, int64_t size, GError **error)
{
	bool allocate = !strcmp(metadata_get(run->values, "TYPE"), "PREALLOCATED");
	int64_t before = metadata_get_int(run->values, "CAP", 0);
	autofd fd = volume_open(run->domain, run->image, run->volume, O_RDWR, error);

	if (fd < 0)
		return false;
	if (ftruncate(fd, size) == 0 && (!allocate || fallocate(fd, 0, 0, size) == 0 || errno == EOPNOTSUPP) && fsync(fd) == 0)
		return true;
	files_error(error, ERR_VOLUME_EXTENDING_ERROR, errno, "'%s'", run->volume);
	if (size > before)
		(void)!ftruncate(fd, before);
	return false;
}

static bool is_raw(const struct data_run *run)
{
	return !strcmp(volume_format(run->values), "raw");
}

static bool resize(struct data_run *run, int64_t size, bool shrink, GError **error)
{
	g_autofree char *text = g_strdup_printf("%" PRId64, size);
	struct chain_hold hold;
	bool good;

	/* on block storage it never has less than its metadata say, whenever we are killed */
	if (is_raw(run) && !run->domain->form->grows && shrink)
		return volume_change(run->domain, run->image, run->volume, error, "CAP", text, NULL) &&
		       volume_fit(run->domain, run->image, run->volume, size, /* shrink= */ true, error);
	if (is_raw(run))
		good = run->domain->form->grows ? resize_file(run, size, error)
						: volume_fit(run->domain, run->image, run->volume, size, /* shrink= */ false, error);
	else if ((good = chain_hold(&hold, run->domain, run->image, run->volume, /* write= */ true, /* allow_illegal= */ false, error))) {
		good = qemu_img_resize(hold.path, "qcow2", (uint64_t)size, shrink, /* preallocate= */ false, error);
		chain_release(&hold);
	}
	return good && volume_change(run->domain, run->image, run->volume, error, "CAP", text, NULL);
}

/* ---- Volume.extendSize ---- */

static bool parse_size(const char *text, int64_t *ret_size, GError **error)
{
	guint64 size;

	if (!g_ascii_string_to_unsigned(text, 10, 1, VOLUME_SIZE_MAX, &size, NULL)) {
		error_set(error, ERR_VOLUME_RESIZE_VALUE_ERROR, "newSize: '%s' is not a number of bytes from 1 to %" PRId64, text, VOLUME_SIZE_MAX);
		return false;
	}
	*ret_size = (int64_t)(size + VOLUME_SIZE_STEP - 1) / VOLUME_SIZE_STEP * VOLUME_SIZE_STEP;
	return true;
}

static bool extend_check(struct data_run *run, GError **error)
{
	int64_t size, capacity = metadata_get_int(run->values, "CAP", 0);

	if (!check(run, error) || !parse_size(((const struct volume_call *)run->params)->size, &size, error))
		return false;
	if (size >= capacity)
		return true;
	error_set(error, ERR_VOLUME_RESIZE_VALUE_ERROR, "volume '%s' has %" PRId64 " bytes, which is more than %" PRId64, run->volume, capacity, size);
	return false;
}

static bool extend_work(struct data_run *run, GError **error)
{
	int64_t size;

	return parse_size(((const struct volume_call *)run->params)->size, &size, error) && resize(run, size, /* shrink= */ false, error);
}

DATA_KIND_RUN(volume_extend_kind)
const struct data_kind volume_extend_kind = {
	.kind = { "extend_volume", "storage", volume_extend_kind_run }, .params = &volume_extend_params_type, .quiet = true, .target = data_target_volume,
	.check = extend_check, .work = extend_work,
};

/* ---- how small it can be ---- */

/* The end of the last partition in bytes; 0: there is no partition table. -1 + error */
static int64_t last_end(const char *file, GError **error)
{
	const char *argv[] = { "/usr/sbin/sfdisk", "--json", file, NULL };
	struct process process = { .argv = argv, .limit_usec = SFDISK_USEC, .apart = true };
	json_t *json, *table, *partition;
	int64_t end = 0, sector;
	size_t i;

	if (!process_run(&process, error))
		return -1;
	json = process.status == 0 ? json_parse(process.output->str, process.output->len, NULL) : NULL;
	g_string_free(process.output, TRUE);
	g_string_free(process.errors, TRUE);
	table = json_object_get(json, "partitiontable");
	sector = json_integer_value(json_object_get(table, "sectorsize"));
	json_array_foreach(json_object_get(table, "partitions"), i, partition)
		end = MAX(end, (json_integer_value(json_object_get(partition, "start")) + json_integer_value(json_object_get(partition, "size"))) *
				       (sector ? sector : 512));
	json_decref(json);
	return end;
}

static int64_t end_of_partitions(const char *directory, const char *first, const char *last, int64_t size, GError **error)
{
	g_autofree char *file = g_build_filename(directory, ".partitions-XXXXXX", NULL);
	autofd fd = g_mkstemp_full(file, O_RDWR | O_CLOEXEC, 0600);
	int64_t end;

	if (fd < 0 || ftruncate(fd, size) < 0 || pwrite(fd, last, EDGE, MAX(size - EDGE, 0)) != EDGE || ftruncate(fd, size) < 0 ||
	    pwrite(fd, first, (size_t)MIN(size, EDGE), 0) != MIN(size, EDGE)) {
		error_set_errno(error, ERR_MISC_FILE_WRITE_EXCEPTION, errno, "'%s'", file);
		end = -1;
	} else
		end = last_end(file, error);
	if (fd >= 0)
		unlink(file);
	return end;
}

static bool smallest(struct storage *storage, struct domain *domain, const char *image, const char *volume, int64_t *ret_size, const char **ret_reason,
		     GError **error)
{
	g_autofree char *first = NULL;
	g_autofree char *last = NULL;
	struct chain_hold hold;
	int64_t size = 0, end;
	bool any = false, good;

	if (!chain_hold(&hold, domain, image, volume, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	good = thin_ends(hold.path, hold.format, EDGE, &first, &last, &size, &any, error);
	chain_release(&hold);
	if (!good)
		return false;
	if ((end = end_of_partitions(storage->agent->run_dir, first, last, size, error)) < 0)
		return false;
	*ret_reason = end ? "end of the last partition" : any ? "no partition table: nothing is known of the data" : "nothing is allocated";
	*ret_size = end ? MIN((end + EDGE - 1) / EDGE * EDGE + EDGE, size) : any ? size : EDGE;
	return true;
}

bool volume_smallest_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	struct volume_call *params = data;
	autodomain domain = domain_open_active(agent->storage, params->domain_id, error);
	const char *reason;
	int64_t size;

	if (!domain || !smallest(agent->storage, domain, params->image_id, params->volume_id, &size, &reason, error))
		return false;
	result_json(ret_result, json_pack("{s:I, s:s}", "size", (json_int_t)size, "reason", reason));
	return true;
}

static int64_t wanted_size(const struct data_run *run)
{
	return (((const struct volume_call *)run->params)->new_size + VOLUME_SIZE_STEP - 1) / VOLUME_SIZE_STEP * VOLUME_SIZE_STEP;
}

static bool shrink_check(struct data_run *run, GError **error)
{
	int64_t size = wanted_size(run), safe;
	const char *reason;

	if (!check(run, error))
		return false;
	if (volume_has_parent(run->values)) {
		error_set(error, ERR_MISC_UNSUPPORTED_OPERATION, "volume '%s' is based on '%s'; only one without parent can be made smaller", run->volume,
			  metadata_get(run->values, "PUUID"));
		return false;
	}
	if (size > metadata_get_int(run->values, "CAP", 0)) {
		error_set(error, ERR_VOLUME_RESIZE_VALUE_ERROR, "volume '%s' has only %s bytes", run->volume, metadata_get(run->values, "CAP"));
		return false;
	}
	if (!((const struct volume_call *)run->params)->safe)
		return true;
	if (!smallest(run->storage, run->domain, run->image, run->volume, &safe, &reason, error))
		return false;
	if (size >= safe)
		return true;
	error_set(error, ERR_VOLUME_RESIZE_VALUE_ERROR, "%" PRId64 " bytes are not safe for volume '%s', %" PRId64 " are (%s)", size, run->volume, safe, reason);
	return false;
}

static bool shrink_work(struct data_run *run, GError **error)
{
	return resize(run, wanted_size(run), /* shrink= */ true, error);
}

DATA_KIND_RUN(volume_shrink_kind)
const struct data_kind volume_shrink_kind = {
	.kind = { "shrink_volume", "storage", volume_shrink_kind_run }, .params = &volume_shrink_params_type, .target = data_target_volume, .check = shrink_check,
	.work = shrink_work,
};

/* ---- StoragePool.reduceVolume ---- */

int64_t volume_largest(metadata *values)
{
	int64_t capacity = metadata_get_int(values, "CAP", 0);

	return capacity + capacity / 10;
}

bool volume_give_back(const struct domain *domain, const char *image, const char *volume, bool leaf, GError **error)
{
	g_autoptr(metadata) values = domain->form->grows ? NULL : volume_read(domain, image, volume, error);
	int64_t end = 0;
	g_autofree char *path = NULL;
	bool good;

	if (domain->form->grows)
		return true;
	if (!values)
		return false;
	if (!strcmp(volume_format(values), "raw"))
		return volume_fit(domain, image, volume, metadata_get_int(values, "CAP", 0), /* shrink= */ true, error);
	if (!volume_hold(domain, image, volume, /* write= */ false, &path, error))
		return false;
	good = qemu_img_end(path, "qcow2", &end, error);
	volume_release(domain, image, volume);
	if (leaf)
		end += BLOCK_CHUNK;
	return good && volume_fit(domain, image, volume, MIN(end, volume_largest(values)), /* shrink= */ true, error);
}

static bool reduce_check(struct data_run *run, GError **error)
{
	if (run->domain->form->grows || !volume_in_use(run->domain, run->image, run->volume))
		return true;
	error_set(error, ERR_VOLUME_IS_BUSY, "'%s' is open in a virtual machine", run->volume);
	return false;
}

/* A file has no more blocks than were written: nothing to do, when the volume is there. */
static bool reduce_work(struct data_run *run, GError **error)
{
	return volume_give_back(run->domain, run->image, run->volume, !strcmp(metadata_get(run->values, "VOLTYPE"), "LEAF"), error);
}

DATA_KIND_RUN(volume_reduce_kind)
const struct data_kind volume_reduce_kind = {
	.kind = { "reduce_volume", "storage", volume_reduce_kind_run }, .params = &volume_reduce_params_type, .quiet = true, .target = data_target_volume,
	.check = reduce_check, .work = reduce_work,
};
