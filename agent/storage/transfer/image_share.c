/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image.download and Image.upload: the bytes of a volume's file or device, in its own format, from a web server into it, and to one. As in vdsm
 * (lib/vdsm/storage/image.py, imageSharing.py) "download" is into the volume, the image is one volume that is based on nothing, and a server is asked
 * with GET and PUT (web.c).
 *
 * Download: what the server has is asked for before anything is touched. Then the volume is illegal until all of it is there and was found to be what the
 * metadata say and harmless (volume_verify()). On files the old data go first, and zeros are not written where the volume is thin; on block storage every
 * byte is. Where the caller knows a checksum of the bytes, it must be theirs. One that fails leaves an illegal volume without data. Killed: begun anew.
 *
 * Upload: QEMU's own lock keeps writers out meanwhile. Killed: sent anew.
 *
 * Block storage is read and written past the page cache (O_DIRECT): other hosts write there, too.
 */
#define LOG_MODULE "transfer"
#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>
#include "agent/storage/data/data.h"
#include "agent/storage/transfer/transfer.h"
#include "agent/storage/transfer/web.h"

#define PIECE (1024 * 1024)
#define GRAIN (64 * 1024)                        /* smaller holes are not worth one */
#define ALIGNMENT 4096

static void free_aligned(char **buffer)
{
	free(*buffer);
}
#define autobuffer __attribute__((cleanup(free_aligned))) char *

/* The caller's tokens are not kept longer than they are needed: a job that is over stays in its file for an hour. */
static enum job_run run_share(const struct data_kind *kind, struct job *job, json_t *state, void *storage, GError **error)
{
	enum job_run outcome = data_run(kind, job, state, storage, error);

	if (outcome != JOB_WAITS)
		json_object_del(json_object_get(state, "request"), "methodArgs");
	return outcome;
}

static struct web_request request_of(const struct data_run *run)
{
	const struct image_method *method = ((const struct volume_call *)run->params)->method;

	return (struct web_request){ .agent = run->storage->agent, .job = run->job, .url = method->url, .headers = method->headers, .length = method->length };
}

/* The one volume of the image: the state keeps its id. */
static const char *find_volume(struct data_run *run, GError **error)
{
	const char *wanted = ((const struct volume_call *)run->params)->volume_id;
	json_t *own = image_own_volumes(run->domain, run->image, error);
	const char *volume;

	if (!own)
		return NULL;
	json_object_set(run->state, "volume", json_array_get(own, 0));
	volume = json_string_value(json_object_get(run->state, "volume"));
	if (json_array_size(own) > 1)
		error_set(error, ERR_COPY_IMAGE_ERROR, "image '%s' has %zu volumes; only one that is alone can be shared", run->image, json_array_size(own));
	else if (wanted && strcmp(wanted, volume))
		error_set(error, ERR_VOLUME_DOES_NOT_EXIST, "'%s' in image '%s'", wanted, run->image);
	else
		wanted = volume;
	json_decref(own);
	return wanted == volume ? volume : NULL;
}

static bool check_alone(const struct data_run *run, metadata *values, GError **error)
{
	if (!volume_has_parent(values))
		return true;
	error_set(error, ERR_COPY_IMAGE_ERROR, "volume '%s' is based on '%s'; only one that is alone can be shared", run->volume, metadata_get(values, "PUUID"));
	return false;
}

static int open_data(const struct data_run *run, const char *volume, int flags, GError **error)
{
	return volume_open(run->domain, run->image, volume, flags | (run->domain->block ? O_DIRECT : 0), error);
}

static char *new_buffer(GError **error)
{
	char *buffer = aligned_alloc(ALIGNMENT, PIECE);

	if (!buffer)
		error_set(error, ERR_RESOURCE_EXHAUSTED, "no memory for %d bytes of an image", PIECE);
	return buffer;
}

/* ---- Image.download ---- */

struct fill {
	const struct data_run *run;
	int fd;
	bool sparse;
	char *buffer;                    /* PIECE */
	size_t held;
	int64_t at;                      /* of the buffer's first byte */
	gcry_md_hd_t sum;                /* NULL: nothing to compare with */
};

static void download_target(struct data_run *run)
{
	data_target_image(run, /* write= */ true);
}

static bool download_find(struct data_run *run, GError **error)
{
	return (run->volume = find_volume(run, error)) != NULL;
}

/* A qcow2 image has tables besides the data: a tenth, as everywhere here. */
static int64_t largest(const struct data_run *run)
{
	int64_t capacity = metadata_get_int(run->values, "CAP", 0);

	return !strcmp(volume_format(run->values), "raw") ? capacity : capacity + capacity / 10 + VOLUME_LEASE_SIZE;
}

static bool download_check(struct data_run *run, GError **error)
{
	struct web_request request = request_of(run);
	int64_t size;

	if (!check_alone(run, run->values, error) || !volume_check_idle_leaf(run, error) || !web_size(&request, &size, error))
		return false;
	json_object_set_new(run->state, "size", json_integer(size));
	if (size <= largest(run))
		return true;
	error_set(error, ERR_DESTINATION_VOLUME_TOO_SMALL, "volume '%s' of %s bytes cannot hold an image of %" PRId64, run->volume,
		  metadata_get(run->values, "CAP"), size);
	return false;
}

static bool write_all(struct fill *fill, size_t from, size_t to, GError **error)
{
	while (from < to) {
		ssize_t n = pwrite(fill->fd, fill->buffer + from, to - from, fill->at + (int64_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			files_error(error, ERR_COPY_IMAGE_ERROR, n < 0 ? errno : ENOSPC, "write '%s'", fill->run->volume);
			return false;
		}
		from += (size_t)n;
	}
	return true;
}

/* What is held goes to its place. */
static bool put_piece(struct fill *fill, GError **error)
{
	size_t whole = fill->run->domain->block ? (fill->held + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : fill->held, from = 0;

	memset(fill->buffer + fill->held, 0, whole - fill->held);
	for (size_t at = 0; fill->sparse && at < whole; at += GRAIN) {
		size_t end = MIN(at + GRAIN, whole);

		if (!files_is_zero(fill->buffer + at, end - at))
			continue;
		if (!write_all(fill, from, at, error))
			return false;
		from = end;
	}
	if (!write_all(fill, from, whole, error))
		return false;
	fill->at += (int64_t)fill->held;
	fill->held = 0;
	return true;
}

static bool take(void *data, const char *bytes, size_t n, GError **error)
{
	struct fill *fill = data;

	if (fill->sum)
		gcry_md_write(fill->sum, bytes, n);
	while (n > 0) {
		size_t part = MIN(n, PIECE - fill->held);

		memcpy(fill->buffer + fill->held, bytes, part);
		fill->held += part;
		bytes += part;
		n -= part;
		if (fill->held == PIECE && !put_piece(fill, error))
			return false;
	}
	return true;
}

/* "algorithm:hexadecimal" */
static const char *checksum_of_request(const struct data_run *run)
{
	return ((const struct volume_call *)run->params)->method->checksum;
}

static bool begin_sum(struct fill *fill, GError **error)
{
	const char *wanted = checksum_of_request(fill->run);
	g_autofree char *name = wanted ? g_strndup(wanted, strcspn(wanted, ":")) : NULL;

	gcry_check_version(NULL);
	if (!wanted || gcry_md_open(&fill->sum, gcry_md_map_name(name), 0) == 0)
		return true;
	error_set(error, ERR_COPY_IMAGE_ERROR, "checksum: '%s' cannot be computed here", name);
	return false;
}

static bool check_sum(const struct fill *fill, GError **error)
{
	const char *wanted = checksum_of_request(fill->run);
	const unsigned char *digest = fill->sum ? gcry_md_read(fill->sum, 0) : NULL;
	g_autoptr(GString) found = g_string_new(NULL);

	for (unsigned i = 0; digest && i < gcry_md_get_algo_dlen(gcry_md_get_algo(fill->sum)); i++)
		g_string_append_printf(found, "%02x", digest[i]);
	if (!digest || !strcmp(strchr(wanted, ':') + 1, found->str))
		return true;
	error_set(error, ERR_COPY_IMAGE_ERROR, "the image's checksum is %s, not %s", found->str, wanted);
	return false;
}

static bool fetch(struct fill *fill, const struct web_request *request, GError **error)
{
	bool good = begin_sum(fill, error) && web_get(request, take, fill, error) && put_piece(fill, error) && check_sum(fill, error);

	gcry_md_close(fill->sum);
	return good;
}

static bool download(const struct data_run *run, GError **error)
{
	struct web_request request = request_of(run);
	autobuffer buffer = new_buffer(error);
	struct fill fill = { .run = run, .buffer = buffer, .fd = -1 };
	autofd fd = -1;

	request.length = json_integer_value(json_object_get(run->state, "size"));
	if (!buffer || !volume_fit(run->domain, run->image, run->volume, request.length, /* shrink= */ false, error))
		return false;
	if ((fd = open_data(run, run->volume, O_RDWR, error)) < 0 || !volume_keep_writers_out(fd, run->volume, error))
		return false;
	fill.fd = fd;
	fill.sparse = !run->domain->block && strcmp(metadata_get(run->values, "TYPE"), "PREALLOCATED");
	if (!run->domain->block && ftruncate(fd, 0) < 0) {
		files_error(error, ERR_COPY_IMAGE_ERROR, errno, "'%s'", run->volume);
		return false;
	}
	return fetch(&fill, &request, error) &&
	       volume_settle(run->domain, run->image, run->volume, fill.at, run->job, error);
}

/* Half an image is no use to anybody, but takes room. */
static void empty(const struct data_run *run)
{
	autofd fd = run->domain->block ? -1 : open_data(run, run->volume, O_RDWR, NULL);

	if (fd >= 0)
		(void)!(ftruncate(fd, 0) || (!strcmp(volume_format(run->values), "raw") && ftruncate(fd, metadata_get_int(run->values, "CAP", 0))));
}

static bool download_work(struct data_run *run, GError **error)
{
	g_autofree char *path = NULL;
	bool good;

	if (!volume_hold(run->domain, run->image, run->volume, /* write= */ true, &path, error))
		return false;
	good = download(run, error) && volume_verify(run->domain, run->image, run->volume, error);
	if (!good)
		empty(run);
	volume_release(run->domain, run->image, run->volume);
	return good;
}

static const struct data_kind image_download_kind;
static enum job_run run_download(struct job *job, json_t *state, void *storage, GError **error)
{
	return run_share(&image_download_kind, job, state, storage, error);
}

static const struct data_kind image_download_kind = {
	.kind = { "download_image", "storage", run_download }, .params = &image_share_params_type, .illegal = true, .target = download_target,
	.find = download_find, .check = download_check, .work = download_work,
};

/* ---- Image.upload ---- */

struct source {
	const struct data_run *run;
	const char *volume;
	int fd;
	int64_t size, at;                /* at: of the buffer's first byte */
	char *buffer;                    /* PIECE */
	size_t held;
};

static void upload_target(struct data_run *run)
{
	data_target_image(run, /* write= */ false);
}

/* Until close_source() it is held, and nobody writes it. */
static bool open_source(struct data_run *run, struct chain_hold *hold, struct source *source, GError **error)
{
	const char *volume = find_volume(run, error);
	int64_t truesize, size = 0;
	autofd fd = -1;

	if (!volume || !chain_hold(hold, run->domain, run->image, volume, /* write= */ false, /* allow_illegal= */ false, error))
		return false;
	if (hold->volumes->len > 1)
		error_set(error, ERR_COPY_IMAGE_ERROR, "volume '%s' is based on '%s'; only one that is alone can be shared", volume,
			  (char *)hold->volumes->pdata[1]);
	else if (volume_sizes(run->domain, run->image, volume, &truesize, &size, error))
		fd = open_data(run, volume, O_RDONLY, error);
	if (fd >= 0 && volume_keep_writers_out(fd, volume, error)) {
		*source = (struct source){ .run = run, .volume = volume, .fd = steal_fd(&fd), .size = size };
		return true;
	}
	chain_release(hold);
	return false;
}

static void close_source(struct source *source, struct chain_hold *hold)
{
	close(source->fd);
	chain_release(hold);
}

static bool upload_check(struct data_run *run, GError **error)
{
	int64_t wanted = request_of(run).length;
	struct chain_hold hold;
	struct source source;
	bool good;

	if (!open_source(run, &hold, &source, error))
		return false;
	good = wanted <= source.size;
	if (!good)
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "methodArgs: contentLength: %" PRId64 ", but volume '%s' has %" PRId64 " bytes", wanted,
			  source.volume, source.size);
	close_source(&source, &hold);
	return good;
}

static ssize_t give(void *data, int64_t offset, char *to, size_t n, GError **error)
{
	struct source *source = data;

	if (offset < source->at || offset >= source->at + (int64_t)source->held) {
		ssize_t got;

		source->at = offset / PIECE * PIECE;
		do
			got = pread(source->fd, source->buffer, PIECE, source->at);
		while (got < 0 && errno == EINTR);
		source->held = got > 0 ? (size_t)got : 0;
		if (got < 0 || source->at + got <= offset) {
			error_set_errno(error, ERR_COPY_IMAGE_ERROR, got < 0 ? errno : EIO, "read '%s' at %" PRId64, source->volume, offset);
			return -1;
		}
	}
	n = MIN(n, (size_t)(source->at + (int64_t)source->held - offset));
	memcpy(to, source->buffer + (offset - source->at), n);
	return (ssize_t)n;
}

static bool upload_work(struct data_run *run, GError **error)
{
	struct web_request request = request_of(run);
	autobuffer buffer = new_buffer(error);
	struct chain_hold hold;
	struct source source;
	bool good;

	if (!buffer || !open_source(run, &hold, &source, error))
		return false;
	source.buffer = buffer;
	if (!request.length)
		request.length = source.size;
	good = web_put(&request, give, &source, error);
	close_source(&source, &hold);
	return good;
}

static const struct data_kind image_upload_kind;
static enum job_run run_upload(struct job *job, json_t *state, void *storage, GError **error)
{
	return run_share(&image_upload_kind, job, state, storage, error);
}

static const struct data_kind image_upload_kind = {
	.kind = { "upload_image", "storage", run_upload }, .params = &image_share_params_type, .target = upload_target, .check = upload_check,
	.work = upload_work,
};

/* ---- the verbs ---- */

void image_share_register(struct storage *storage)
{
	jobs_register(storage->agent->jobs, &image_download_kind.kind, storage);
	jobs_register(storage->agent->jobs, &image_upload_kind.kind, storage);
}

static bool share(struct agent *agent, const struct data_kind *kind, const struct volume_call *params, const char *verb, GString *ret_result, GError **error)
{
	return web_check(params->method->url, params->method->headers, error) &&
	       data_task(agent, kind, params, verb, params->job_id, ret_result, error);
}

bool image_download_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return share(agent, &image_download_kind, data, "Image.download", ret_result, error);
}

bool image_upload_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return share(agent, &image_upload_kind, data, "Image.upload", ret_result, error);
}
