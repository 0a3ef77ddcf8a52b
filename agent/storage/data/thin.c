/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images seen from inside, by way of qemu-nbd: one process per image, started by libnbd with a socket between the two, ended with the handle, and dying
 * with the agent (setpriv). From its first to its last moment it holds QEMU's locks on the image, so no VM writes meanwhile; one that has the image open
 * makes it refuse to start.
 *
 * Thinning walks what is allocated (base:allocation), reads it, and writes zeros where only zeros were read, which qemu-nbd turns into holes
 * (--discard=unmap). Each of these writes leaves the image reading as before: killed at any moment, nothing is lost, and the next run goes on.
 *
 * Each request has ANSWER_USEC: when the storage below hangs longer, the process is killed and the job fails.
 */
#define LOG_MODULE "storage"
#include "agent/storage/data/thin.h"
#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <signal.h>
#include <string.h>
#include "agent/jobs.h"
#include "agent/storage/files.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"

#define READ_MAX (2 * 1024 * 1024)
#define GRAIN (64 * 1024)                        /* a cluster of qcow2; smaller holes are not worth a write */
#define STATUS_MAX (INT64_C(1) << 30)
#define ANSWER_USEC (60 * G_USEC_PER_SEC)
/* A sample: so many grains that hold something, of the first bytes, and so many over the whole */
#define SAMPLE_FIRST 64
#define SAMPLE_HEAD (INT64_C(256) << 20)
#define SAMPLE_SPREAD 192

#define CONNECTED 0                              /* no request has this number */

/* Until the request is done, or the server there (CONNECTED). The handle's private data say that it took too long. */
static bool await(struct nbd_handle *nbd, int64_t request)
{
	int64_t until_usec = now_usec() + ANSWER_USEC, left_usec;

	if (request < 0)
		return false;
	while ((left_usec = until_usec - now_usec()) > 0) {
		int done = request == CONNECTED ? nbd_aio_is_ready(nbd) : nbd_aio_command_completed(nbd, (uint64_t)request);

		if (done)
			return done > 0;
		if (nbd_aio_is_dead(nbd) > 0 || nbd_aio_is_closed(nbd) > 0 || nbd_poll(nbd, (int)(left_usec / 1000) + 1) < 0)
			return false;
	}
	nbd_set_private_data(nbd, true);
	(void)nbd_kill_subprocess(nbd, SIGKILL);
	return false;
}

static bool failed(struct nbd_handle *nbd, const char *path, const char *what, GError **error)
{
	bool busy = nbd_get_error() && strstr(nbd_get_error(), "server");

	if (nbd && nbd_get_private_data(nbd)) {
		error_set(error, ERR_TIMEOUT, "%s '%s': no answer within %d s", what, path, (int)(ANSWER_USEC / G_USEC_PER_SEC));
		return false;
	}
	error_set(error, nbd_get_errno() == ENOSPC ? ERR_NO_SPACE_LEFT_ON_DOMAIN : ERR_STORAGE_EXCEPTION, "%s '%s': %s%s", what, path, nbd_get_error(),
		  busy ? " (is it in use?)" : "");
	return false;
}

static struct nbd_handle *serve(const char *path, const char *format, bool write, GError **error)
{
	struct nbd_handle *nbd = nbd_create();
	const char *const more = write ? "--detect-zeroes=off" : "--read-only";
	const char *argv[] = { "setpriv", "--pdeathsig", "KILL", "qemu-nbd", "-f", format, "--discard=unmap", more, "--", path, NULL };

	if (nbd && nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 && nbd_aio_connect_systemd_socket_activation(nbd, (char **)argv) == 0 &&
	    await(nbd, CONNECTED))
		return nbd;
	failed(nbd, path, "cannot look into", error);
	nbd_close(nbd);
	return NULL;
}

/* One answer of block status: where data are. */
struct extents { GArray *list; int64_t end; };
struct extent { int64_t start, length; };

static int note_extents(void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n, int *error)
{
	struct extents *extents = data;

	for (size_t i = 0; i + 1 < n; i += 2) {
		struct extent extent = { (int64_t)offset, entries[i] };

		if (!(entries[i + 1] & (LIBNBD_STATE_HOLE | LIBNBD_STATE_ZERO)) || entries[i + 1] == LIBNBD_STATE_ZERO)
			g_array_append_val(extents->list, extent);
		offset += entries[i];
	}
	extents->end = (int64_t)offset;
	return 0;
}

/* Where something is allocated, from `at` on, as far as the server says at once. */
static bool find_data(struct nbd_handle *nbd, int64_t at, int64_t size, struct extents *extents)
{
	g_array_set_size(extents->list, 0);
	extents->end = at;
	return await(nbd, nbd_aio_block_status(nbd, (uint64_t)MIN(size - at, STATUS_MAX), (uint64_t)at,
					       (nbd_extent_callback){ .callback = note_extents, .user_data = extents }, NBD_NULL_COMPLETION, 0)) &&
	       extents->end > at;
}

static bool read_at(struct nbd_handle *nbd, void *buffer, size_t length, int64_t at)
{
	return await(nbd, nbd_aio_pread(nbd, buffer, length, (uint64_t)at, NBD_NULL_COMPLETION, 0));
}

/* Of one extent. Runs of zeros are written as a whole. */
static bool thin_extent(struct nbd_handle *nbd, const struct extent *extent, char *buffer, int64_t *ret_freed)
{
	for (int64_t at = extent->start, end = extent->start + extent->length; at < end;) {
		size_t length = (size_t)MIN(end - at, READ_MAX), run = 0;

		if (!read_at(nbd, buffer, length, at))
			return false;
		for (size_t i = 0, grain; i < length; i += grain) {
			grain = MIN(length - i, (size_t)GRAIN);
			if (files_is_zero(buffer + i, grain))
				run += grain;
			if (!run || (files_is_zero(buffer + i, grain) && i + grain < length))
				continue;
			/* the run ends before this grain, or with it at the end of what was read */
			if (!await(nbd, nbd_aio_zero(nbd, run, (uint64_t)at + (files_is_zero(buffer + i, grain) ? i + grain : i) - run, NBD_NULL_COMPLETION, 0)))
				return false;
			*ret_freed += (int64_t)run;
			run = 0;
		}
		at += (int64_t)length;
	}
	return true;
}

static bool thin(struct nbd_handle *nbd, const char *path, struct job *job, GError **error)
{
	int64_t size = nbd_get_size(nbd), freed = 0;
	g_autofree char *buffer = g_malloc(READ_MAX);
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct extent));
	struct extents extents = { .list = list };

	for (int64_t at = 0; at < size; at = extents.end) {
		if (!find_data(nbd, at, size, &extents))
			return failed(nbd, path, "cannot look into", error);
		for (guint i = 0; i < list->len; i++) {
			const struct extent *extent = &g_array_index(list, struct extent, i);

			if (job_canceled(job)) {
				error_set(error, ERR_TASK_ABORTED, "thinning was canceled");
				return false;
			}
			if (!thin_extent(nbd, extent, buffer, &freed))
				return failed(nbd, path, "cannot thin", error);
			job_progress(job, (int)((double)extent->start / (double)size * 100));
		}
	}
	if (!await(nbd, nbd_aio_flush(nbd, NBD_NULL_COMPLETION, 0)))
		return failed(nbd, path, "cannot thin", error);
	log_info("thinned '%s': %" PRId64 " bytes of zeros", path, freed);
	return true;
}

bool thin_zeros(const char *path, const char *format, struct job *job, GError **error)
{
	struct nbd_handle *nbd = serve(path, format, /* write= */ true, error);
	bool good = nbd && thin(nbd, path, job, error);

	nbd_close(nbd);
	return good;
}

bool thin_ends(const char *path, const char *format, size_t length, char **ret_first, char **ret_last, int64_t *ret_size, bool *ret_any, GError **error)
{
	struct nbd_handle *nbd = serve(path, format, /* write= */ false, error);
	int64_t size = nbd ? nbd_get_size(nbd) : 0;
	g_autofree char *first = g_malloc0(length);
	g_autofree char *last = g_malloc0(length);
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct extent));
	struct extents extents = { .list = list };
	size_t there = (size_t)MIN(size, (int64_t)length);
	bool any = false, good;

	if (!nbd)
		return false;
	good = read_at(nbd, first, there, 0) && read_at(nbd, last + (length - there), there, size - (int64_t)there);
	for (int64_t at = 0; good && !any && at < size; at = extents.end) {
		good = find_data(nbd, at, size, &extents);
		any = list->len > 0;
	}
	if (!good)
		failed(nbd, path, "cannot look into", error);
	nbd_close(nbd);
	if (!good)
		return false;
	*ret_first = g_steal_pointer(&first);
	*ret_last = g_steal_pointer(&last);
	*ret_size = size;
	*ret_any = any;
	return true;
}

/* ---- what tells two images apart ---- */

/* Grains of zeros do not count, whether they are allocated or not: the same data in another format, or copied thin, are the same. */
static bool add_grain(struct nbd_handle *nbd, GChecksum *sum, char *buffer, int64_t grain, int64_t size, bool *ret_data)
{
	size_t length = (size_t)MIN(size - grain * GRAIN, GRAIN);
	g_autofree char *place = g_strdup_printf("%" PRId64 "\n", grain);

	if (!read_at(nbd, buffer, length, grain * GRAIN))
		return false;
	*ret_data = !files_is_zero(buffer, length);
	if (*ret_data) {
		g_checksum_update(sum, (const guchar *)place, -1);
		g_checksum_update(sum, (const guchar *)buffer, (gssize)length);
	}
	return true;
}

/* The first grains that hold something, of which partition tables and the heads of file systems are. */
static bool add_first(struct nbd_handle *nbd, GChecksum *sum, char *buffer, int64_t size)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct extent));
	struct extents extents = { .list = list };
	int64_t end = MIN(size, SAMPLE_HEAD), next = 0;
	int found = 0;

	for (int64_t at = 0; at < end && found < SAMPLE_FIRST; at = extents.end) {
		if (!find_data(nbd, at, size, &extents))
			return false;
		for (guint i = 0; i < list->len; i++) {
			const struct extent *extent = &g_array_index(list, struct extent, i);
			int64_t stop = MIN(extent->start + extent->length, end);

			for (int64_t grain = MAX(next, extent->start / GRAIN); grain * GRAIN < stop && found < SAMPLE_FIRST; grain++) {
				bool data;

				if (!add_grain(nbd, sum, buffer, grain, size, &data))
					return false;
				found += data;
				next = grain + 1;
			}
		}
	}
	return true;
}

char *thin_sample(const char *path, const char *format, GError **error)
{
	struct nbd_handle *nbd = serve(path, format, /* write= */ false, error);
	int64_t size = nbd ? nbd_get_size(nbd) : 0, grains = (size + GRAIN - 1) / GRAIN;
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree char *buffer = g_malloc(GRAIN);
	g_autofree char *head = g_strdup_printf("%" PRId64 " bytes\n", size);
	char *sample = NULL;
	bool good = nbd, data;

	g_checksum_update(sum, (const guchar *)head, -1);
	good = good && add_first(nbd, sum, buffer, size);
	for (int64_t i = 0; good && i < MIN(SAMPLE_SPREAD, grains); i++)
		good = add_grain(nbd, sum, buffer, i * grains / MIN(SAMPLE_SPREAD, grains), size, &data);
	if (good)
		sample = g_strdup(g_checksum_get_string(sum));
	else if (nbd)
		failed(nbd, path, "cannot look into", error);
	nbd_close(nbd);
	g_checksum_free(sum);
	return sample;
}
