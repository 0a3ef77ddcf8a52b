/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of volumes whose data a job uses: checked as for a VM (image.c), and held while it runs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "agent/storage/data/data.h"
#include "common/error.h"

const char *volume_format(metadata *values)
{
	return !strcmp(metadata_get(values, "FORMAT"), "COW") ? "qcow2" : "raw";
}

bool volume_has_parent(metadata *values)
{
	return strcmp(metadata_get(values, "PUUID"), BLANK_UUID) != 0;
}

GPtrArray *chain_list(const struct domain *domain, const char *image, const char *volume, GError **error)
{
	g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(g_free);

	for (g_autofree char *current = g_strdup(volume); strcmp(current, BLANK_UUID);) {
		g_autoptr(metadata) values = volume_read(domain, image, current, error);

		if (!values)
			return NULL;
		if (chain->len == VOLUME_CHAIN_MAX) {
			error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "volume '%s' has more than %d ancestors", volume, VOLUME_CHAIN_MAX);
			return NULL;
		}
		g_ptr_array_add(chain, g_steal_pointer(&current));
		current = g_strdup(metadata_get(values, "PUUID"));
	}
	return g_steal_pointer(&chain);
}

bool image_is_whole(const char *path, GError **error)
{
	g_autoptr(GError) problem = NULL;
	int64_t end;

	/* whoever writes it now would know */
	if (qemu_img_end(path, "qcow2", &end, &problem) || error_is(problem, ERR_VOLUME_IS_BUSY))
		return true;
	error_set(error, ERR_IMAGE_IS_NOT_LEGAL_CHAIN, "'%s' is cut off: data are missing at its end", path);
	return false;
}

static bool hold_one(struct chain_hold *hold, const char *volume, bool write, bool allow_illegal, GError **error)
{
	g_autoptr(metadata) values = volume_read(hold->domain, hold->image, volume, error);
	g_autofree char *path = NULL;
	bool cut;

	if (!values)
		return false;
	if (!allow_illegal && !strcmp(metadata_get(values, "LEGALITY"), "ILLEGAL")) {
		error_set(error, ERR_PREPARE_ILLEGAL_VOLUME_ERROR, "'%s'", volume);
		return false;
	}
	if (!volume_hold(hold->domain, hold->image, volume, write, &path, error))
		return false;
	g_ptr_array_add(hold->volumes, g_strdup(volume));
	if (!volume_check_header(hold->domain, hold->image, volume, values, &cut, error) ||
	    (cut && !allow_illegal && !image_is_whole(path, error)))
		return false;
	if (!hold->path) {
		hold->path = g_steal_pointer(&path);
		hold->format = volume_format(values);
	}
	return true;
}

static bool hold_chain(struct chain_hold *hold, struct domain *domain, const char *image, const char *volume, bool write, guint illegal, GError **error)
{
	g_autoptr(GPtrArray) chain = chain_list(domain, image, volume, error);

	*hold = (struct chain_hold){ .domain = domain, .image = image, .volumes = g_ptr_array_new_with_free_func(g_free), .write = write };
	for (guint i = 0; chain && i < chain->len; i++)
		if (!hold_one(hold, chain->pdata[i], write && i == 0, i < illegal, error)) {
			chain_release(hold);
			return false;
		}
	if (!chain)
		chain_release(hold);
	return chain != NULL;
}

bool chain_hold(struct chain_hold *hold, struct domain *domain, const char *image, const char *volume, bool write, bool allow_illegal, GError **error)
{
	return hold_chain(hold, domain, image, volume, write, allow_illegal ? 1 : 0, error);
}

bool chain_hold_all(struct chain_hold *hold, struct domain *domain, const char *image, const char *volume, GError **error)
{
	return hold_chain(hold, domain, image, volume, /* write= */ true, VOLUME_CHAIN_MAX, error);
}

int64_t chain_raw_size(const struct chain_hold *hold)
{
	g_autoptr(metadata) values = strcmp(hold->format, "raw") ? NULL : volume_read(hold->domain, hold->image, hold->volumes->pdata[0], NULL);

	return values ? metadata_get_int(values, "CAP", 0) : 0;
}

void chain_release(struct chain_hold *hold)
{
	for (guint i = hold->volumes ? hold->volumes->len : 0; i > 0; i--)
		volume_release(hold->domain, hold->image, hold->volumes->pdata[i - 1]);
	chain_keep(hold);
}

void chain_keep(struct chain_hold *hold)
{
	if (hold->volumes)
		g_ptr_array_unref(hold->volumes);
	g_free(hold->path);
	*hold = (struct chain_hold){ .path = NULL };
}

bool volume_settle(const struct domain *domain, const char *image, const char *volume, int64_t written, struct job *job, GError **error)
{
	g_autoptr(metadata) values = volume_read(domain, image, volume, error);
	autofd fd = values ? volume_open(domain, image, volume, O_RDWR, error) : -1;
	bool raw = fd >= 0 && !strcmp(volume_format(values), "raw"), good = true;
	int64_t end = raw ? metadata_get_int(values, "CAP", 0) : written;

	if (fd < 0)
		return false;
	if (written != VOLUME_WHOLE)
		good = domain->form->grows ? ftruncate(fd, end) == 0 : !raw || volume_write_zeros(fd, written, end, job);
	if (good && domain->form->grows && raw && !strcmp(metadata_get(values, "TYPE"), "PREALLOCATED"))
		good = fallocate(fd, 0, 0, end) == 0 || errno == EOPNOTSUPP;
	if (good && fsync(fd) == 0)
		return true;
	files_error(error, errno == ECANCELED ? ERR_TASK_ABORTED : ERR_VOLUME_COPY_ERROR, errno, "'%s'", volume);
	return false;
}
