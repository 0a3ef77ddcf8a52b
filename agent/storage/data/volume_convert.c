/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes as files of other formats (verbs of our own): Volume.convert writes one, SDM.copy_data with an external source reads one. What a format cannot hold
 * is refused before anything is written: VHD 2040 GiB (its allocation table), VHDX 64 TiB (its specification). A running VM's disk is read as it was at a
 * checkpoint, from the backup that keeps that moment. Volume.compact frees zeros, as
 * SDM.sparsify_volume, without a generation to give.
 */
#include <string.h>
#include "agent/storage/data/data.h"
#include "common/error.h"

#define GIB (INT64_C(1) << 30)

static const struct foreign { const char *format, *subformats; int64_t max; } foreign[] = {
	{ "raw", "", VOLUME_SIZE_MAX }, { "qcow2", "", VOLUME_SIZE_MAX }, { "vpc", " fixed dynamic ", 2040 * GIB }, { "vhdx", " fixed dynamic ", 65536 * GIB },
	{ "vmdk", " monolithicSparse streamOptimized ", VOLUME_SIZE_MAX },
};

static const struct foreign *foreign_of(const char *format)
{
	for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
		if (!strcmp(foreign[i].format, format))
			return &foreign[i];
	return NULL;
}

static void read_target(struct data_run *run)
{
	data_target_image(run, /* write= */ false);
}

static bool open_file(struct data_run *run, struct end *end, GError **error)
{
	const struct volume_call *params = run->params;
	struct endpoint *endpoint = record_new(&endpoint_type);
	bool good;

	set_string(&endpoint->type, "external");
	set_string(&endpoint->url, params->value);
	set_string(&endpoint->format, params->format);
	good = end_check(endpoint, "url", error) && end_open(run->storage, endpoint, /* write= */ true, run->again, end, error);
	record_unref(endpoint);
	return good;
}

/* g_free */
static char *moment_of(const struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	const struct storage_disk disk = { .domain = params->domain_id, .image = params->image_id, .volume = params->volume_id };

	return storage_moment_url(run->storage, &disk, params->checkpoint_id, error);
}

static bool convert_check(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	const struct foreign *format = foreign_of(params->format);
	g_autoptr(metadata) values = volume_read(run->domain, run->image, params->volume_id, error);
	g_autofree char *moment = NULL;
	struct end end = END_NONE;
	bool good;

	if (!values)
		return false;
	if (metadata_get_int(values, "CAP", 0) > format->max) {
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "volume '%s' has %s bytes, more than a file of format %s can hold (%" PRId64 ")",
			  params->volume_id, metadata_get(values, "CAP"), format->format, format->max);
		return false;
	}
	if (params->checkpoint_id && !(moment = moment_of(run, error)))
		return false;
	good = open_file(run, &end, error);
	end_close(&end);
	return good;
}

/* g_free */
static char *options_of(const struct volume_call *params)
{
	GString *options = g_string_new(params->subformat ? "subformat=" : NULL);

	if (params->subformat)
		g_string_append(options, params->subformat);
	if (!strcmp(params->format, "vpc") && params->force_size)
		g_string_append(options, options->len ? ",force_size=on" : "force_size=on");
	return g_string_free(options, options->len == 0);
}

static bool convert_work(struct data_run *run, GError **error)
{
	const struct volume_call *params = run->params;
	struct qemu_img_work work = data_work(run, 0, 100);
	g_autofree char *options = options_of(params), *moment = NULL;
	struct qemu_img_convert what = { .source_format = "raw", .target_format = params->format, .create = true, .options = options,
					 .compress = params->compress, .rate = params->rate };
	struct end end = END_NONE;
	struct chain_hold hold = { .path = NULL };
	bool good;

	if (params->checkpoint_id)
		what.source = moment = moment_of(run, error);
	else if (chain_hold(&hold, run->domain, run->image, params->volume_id, /* write= */ false, /* allow_illegal= */ false, error)) {
		what.source = hold.path;
		what.source_format = hold.format;
		what.source_size = chain_raw_size(&hold);
	}
	good = what.source && open_file(run, &end, error);
	what.target = end.path;
	good = good && qemu_img_convert(&what, &work, error) && end_publish(&end, run->again, error);
	end_close(&end);
	chain_release(&hold);
	return good;
}

DATA_KIND_RUN(volume_convert_kind)
const struct data_kind volume_convert_kind = {
	.kind = { "convert_volume", "storage", volume_convert_kind_run }, .params = &volume_convert_params_type, .target = read_target, .check = convert_check,
	.work = convert_work,
};

bool volume_convert_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const struct volume_call *params = data;
	const struct foreign *format = foreign_of(params->format);
	g_autofree char *word = params->subformat ? g_strdup_printf(" %s ", params->subformat) : NULL;

	if (!format)
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "format: '%s' is none of raw, qcow2, vpc, vhdx, vmdk", params->format);
	else if (word && !strstr(format->subformats, word))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "subformat: '%s' is none of format %s", params->subformat, params->format);
	else if (params->compress && strcmp(params->format, "qcow2") && g_strcmp0(params->subformat, "streamOptimized"))
		error_set(error, ERR_INVALID_PARAMETER_EXCEPTION, "compress: a file of format %s is not compressed", params->format);
	else
		return data_own_job(agent, &volume_convert_kind, params, "Volume.convert", ret_result, error);
	return false;
}

/* ---- Volume.compact ---- */

DATA_KIND_RUN(volume_compact_kind)
const struct data_kind volume_compact_kind = {
	.kind = { "compact_volume", "storage", volume_compact_kind_run }, .params = &volume_compact_params_type, .quiet = true, .target = data_target_volume,
	.check = volume_check_idle_leaf, .work = volume_sparsify,
};

bool volume_compact_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	return data_own_job(agent, &volume_compact_kind, data, "Volume.compact", ret_result, error);
}
