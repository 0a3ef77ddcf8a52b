/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running qemu-img.
 *
 * One process a call, through agent/process.c: output bounded, ended at its time limit or when its job is canceled, always waited for. It does not
 * outlive the agent (setpriv --pdeathsig): the job that started it goes on after a restart and must not meet its own ghost, which would still write. One
 * that hangs in a dead storage cannot be ended by anyone; it keeps its lane, nothing else.
 *
 * LC_ALL=C, because the causes of a failure are told apart by its text: qemu-img's exit status is 1 for all of them. Formats are always given, never
 * guessed: a guest that writes a qcow2 header into its raw disk must not get us to open a backing file of its choice. What looks at an image of unknown
 * origin gets little memory and processor time (prlimit; the numbers are OpenStack's).
 */
#define LOG_MODULE "storage"
#include "agent/storage/qemu_img.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/process.h"
#include "common/error.h"
#include "common/log.h"
#include "common/record.h"

#define LOOK_MEMORY "--as=1073741824"
#define LOOK_CPU "--cpu=30"

struct run {
	GPtrArray *argv;                 /* the arguments after "qemu-img"; words are borrowed */
	int64_t limit_usec;
	bool look;                       /* with little memory and time */
	const struct qemu_img_work *work;
	unsigned fine;                   /* bits of statuses that are no failure, too: 1 << 3 */
	char **ret_output;
};

static GPtrArray *words(const char *first, ...)
{
	GPtrArray *argv = g_ptr_array_new();
	va_list more;

	va_start(more, first);
	for (const char *word = first; word; word = va_arg(more, const char *))
		g_ptr_array_add(argv, (gpointer)word);
	va_end(more);
	return argv;
}

static void add(GPtrArray *argv, const char *option, const char *value)
{
	g_ptr_array_add(argv, (gpointer)option);
	if (value)
		g_ptr_array_add(argv, (gpointer)value);
}

/* "    (12.34/100%)\r", each in one write of qemu-img's */
static void heard(void *data, const char *text, size_t length)
{
	const struct qemu_img_work *work = data;
	g_autofree char *copy = g_strndup(text, length);
	const char *last = strrchr(copy, '(');
	double percent = last ? g_ascii_strtod(last + 1, NULL) : -1;

	if (percent >= 0 && percent <= 100)
		job_progress(work->job, work->from + (int)(percent * (work->to - work->from) / 100));
}

enum error_code qemu_img_code(const char *text)
{
	if (strstr(text, "No space left") || strstr(text, "quota exceeded"))
		return ERR_NO_SPACE_LEFT_ON_DOMAIN;
	return strstr(text, " lock") && strstr(text, "Failed to get") ? ERR_VOLUME_IS_BUSY : ERR_STORAGE_EXCEPTION;
}

static bool judge(const struct process *process, const char *command, unsigned fine, GError **error)
{
	if (process->stopped)
		error_set(error, ERR_TASK_ABORTED, "qemu-img %s was canceled", command);
	else if (process->status < 0)
		error_set(error, ERR_STORAGE_EXCEPTION, "qemu-img %s was ended by signal %d", command, -process->status);
	else if (process->status > 0 && !(process->status < 32 && fine >> process->status & 1))
		error_set(error, qemu_img_code(process->errors->str), "qemu-img %s: %s", command, g_strstrip(process->errors->str));
	else if (process->cut)
		error_set(error, ERR_STORAGE_EXCEPTION, "qemu-img %s wrote more than %d bytes", command, QEMU_IMG_OUTPUT_MAX);
	else
		return true;
	return false;
}

/* Takes over run->argv. */
static bool run_it(struct run run, GError **error)
{
	g_autoptr(GPtrArray) argv = words("/usr/bin/setpriv", "--pdeathsig", "KILL", NULL);
	g_autoptr(GPtrArray) own = run.argv;
	struct process process = { .limit_usec = run.limit_usec, .output_max = QEMU_IMG_OUTPUT_MAX, .apart = true };
	const char *command = own->pdata[0];
	bool good;

	if (run.look)
		g_ptr_array_extend_and_steal(argv, words("prlimit", LOOK_MEMORY, LOOK_CPU, NULL));
	add(argv, "qemu-img", NULL);
	g_ptr_array_extend(argv, own, NULL, NULL);
	add(argv, NULL, NULL);
	process.argv = (const char *const *)argv->pdata;
	if (run.work && run.work->job) {
		process.stop_fd = job_cancel_fd(run.work->job);
		process.heard = heard;
		process.data = (void *)run.work;
	}
	if (!process_run(&process, error))
		return false;
	good = judge(&process, command, run.fine, error);
	if (good)
		log_debug("qemu-img %s: done", command);
	if (good && run.ret_output)
		*run.ret_output = g_string_free(g_steal_pointer(&process.output), FALSE);
	else
		g_string_free(process.output, TRUE);
	g_string_free(process.errors, TRUE);
	return good;
}

static json_t *look(GPtrArray *argv, GError **error)
{
	g_autofree char *output = NULL;

	if (!run_it((struct run){ .argv = argv, .limit_usec = QEMU_IMG_INFO_USEC, .look = true, .ret_output = &output }, error))
		return NULL;
	return json_parse(output, strlen(output), error);
}

static bool short_run(GPtrArray *argv, GError **error)
{
	return run_it((struct run){ .argv = argv, .limit_usec = QEMU_IMG_CREATE_USEC }, error);
}

static bool long_run(GPtrArray *argv, const struct qemu_img_work *work, GError **error)
{
	return run_it((struct run){ .argv = argv, .limit_usec = QEMU_IMG_DATA_USEC, .work = work }, error);
}

bool qemu_img_create(const struct qemu_img_create *image, GError **error)
{
	g_autofree char *size = g_strdup_printf("%" PRIu64, image->size);
	GPtrArray *argv = words("create", "-q", "-f", image->format, NULL);
	bool qcow2 = !strcmp(image->format, "qcow2");

	if (qcow2)
		add(argv, "-o", image->preallocate ? "compat=1.1,preallocation=falloc" : "compat=1.1");
	else if (image->preallocate)
		add(argv, "-o", "preallocation=falloc");
	if (image->backing) {
		/* -u: the name is relative to where the image will be, not to where it is now; the caller has checked the backing volume */
		add(argv, "-u", NULL);
		add(argv, "-b", image->backing);
		add(argv, "-F", image->backing_format);
	}
	add(argv, "--", image->path);
	add(argv, size, NULL);
	return short_run(argv, error);
}

/* Statuses of qemu-img check: tables contradict each other; there are clusters that nothing refers to, which is only a loss of room. */
#define CHECK_CORRUPT (1u << 2)
#define CHECK_LEAKS (1u << 3)

static json_t *check(const char *path, const char *format, unsigned fine, GError **error)
{
	g_autofree char *output = NULL;

	if (!run_it((struct run){ .argv = words("check", "--output=json", "-f", format, "--", path, NULL), .limit_usec = QEMU_IMG_CREATE_USEC, .fine = fine,
				  .ret_output = &output }, error))
		return NULL;
	return json_parse(output, strlen(output), error);
}

json_t *qemu_img_check(const char *path, const char *format, GError **error)
{
	return check(path, format, CHECK_CORRUPT | CHECK_LEAKS, error);
}

json_t *qemu_img_map(const char *path, const char *format, int64_t offset, int64_t length, GError **error)
{
	g_autofree char *from = g_strdup_printf("%" PRId64, offset), *so_far = g_strdup_printf("%" PRId64, length), *output = NULL;
	GPtrArray *argv = words("map", "--output=json", "-f", format, "-s", from, NULL);

	if (length)
		add(argv, "-l", so_far);
	add(argv, "--", path);
	if (!run_it((struct run){ .argv = argv, .limit_usec = QEMU_IMG_CREATE_USEC, .ret_output = &output }, error))
		return NULL;
	return json_parse(output, strlen(output), error);
}

bool qemu_img_compare(const char *path, const char *format, const char *other, const char *other_format, const struct qemu_img_work *work, GError **error)
{
	g_autofree char *output = NULL;
	const char *why;

	/* 1: they differ */
	if (!run_it((struct run){ .argv = words("compare", "-p", "-f", format, "-F", other_format, "--", path, other, NULL), .limit_usec = QEMU_IMG_DATA_USEC,
				  .work = work, .fine = 1u << 1, .ret_output = &output }, error))
		return false;
	if (strstr(output, "Images are identical"))
		return true;
	why = strstr(output, "Content mismatch");
	error_set(error, ERR_IMAGE_VERIFICATION_ERROR, "%s", why ? g_strchomp((char *)why) : "they differ");
	return false;
}

bool qemu_img_end(const char *path, const char *format, int64_t *ret_end, GError **error)
{
	json_t *json = check(path, format, CHECK_LEAKS, error), *end;

	if (!json)
		return false;
	end = json_object_get(json, "image-end-offset");
	*ret_end = json_integer_value(end);
	if (!end)
		error_set(error, ERR_STORAGE_EXCEPTION, "qemu-img check: '%s' tells no end of the data", path);
	json_decref(json);
	return *ret_end > 0;
}

json_t *qemu_img_info(const char *path, const char *format, GError **error)
{
	/* -U: also while a VM has it open */
	return look(words("info", "-U", "--output=json", "-f", format, "--", path, NULL), error);
}

json_t *qemu_img_measure(const char *image, const char *format, const char *target_format, GError **error)
{
	GPtrArray *argv = words("measure", "-U", "--output=json", "-O", target_format, NULL);
	g_autofree char *output = NULL;

	if (!g_str_has_prefix(image, "json:"))
		add(argv, "-f", format);
	add(argv, "--", image);
	/* of an image we made or checked; it walks all its tables, so it may take its time */
	if (!run_it((struct run){ .argv = argv, .limit_usec = QEMU_IMG_CREATE_USEC, .ret_output = &output }, error))
		return NULL;
	return json_parse(output, strlen(output), error);
}

/* "json:{...}": the beginning of a device. NULL: it is the whole source that is to be read. g_free */
static char *beginning_of(const struct qemu_img_convert *what)
{
	g_autofree char *text = NULL;
	struct stat st;
	json_t *node;

	if (!what->source_size || strcmp(what->source_format, "raw") || stat(what->source, &st) != 0 || !S_ISBLK(st.st_mode))
		return NULL;
	node = json_pack("{s:s, s:I, s:{s:s, s:s}}", "driver", "raw", "size", (json_int_t)what->source_size, "file", "driver", "host_device",
			 "filename", what->source);
	text = json_dumps(node, JSON_COMPACT);
	json_decref(node);
	return g_strconcat("json:", text, NULL);
}

bool qemu_img_convert(const struct qemu_img_convert *what, const struct qemu_img_work *work, GError **error)
{
	g_autofree char *beginning = beginning_of(what);
	const char *source = beginning ? beginning : what->source;
	g_autofree char *rate = what->rate ? g_strdup_printf("%" PRId64, what->rate) : NULL;
	GPtrArray *argv = words("convert", "-p", "-O", what->target_format, NULL);

	if (!g_str_has_prefix(source, "json:"))
		add(argv, "-f", what->source_format);
	if (!what->create)
		add(argv, "-n", NULL);
	if (what->zeroed)
		add(argv, "--target-is-zero", NULL);
	if (what->options)
		add(argv, "-o", what->options);
	if (what->backing) {
		add(argv, "-B", what->backing);
		add(argv, "-F", what->backing_format);
	}
	if (what->compress)
		add(argv, "-c", NULL);
	if (what->bitmaps) {
		add(argv, "--bitmaps", NULL);
		add(argv, "--skip-broken-bitmaps", NULL);
	}
	if (what->keep_allocated)
		add(argv, "-S", "0");
	if (rate)
		add(argv, "-r", rate);
	add(argv, "--", source);
	add(argv, what->target, NULL);
	return long_run(argv, work, error);
}

bool qemu_img_commit(const char *top, const char *base, const struct qemu_img_work *work, GError **error)
{
	/* -d: top is not emptied, it stays what it was until it is deleted */
	return long_run(words("commit", "-p", "-d", "-f", "qcow2", "-b", base, "--", top, NULL), work, error);
}

bool qemu_img_rebase(const char *path, const char *backing, const char *backing_format, bool unsafe, const struct qemu_img_work *work, GError **error)
{
	GPtrArray *argv = words("rebase", "-p", "-f", "qcow2", "-b", backing ? backing : "", NULL);

	if (backing)
		add(argv, "-F", backing_format);
	if (unsafe)
		add(argv, "-u", NULL);
	add(argv, "--", path);
	return long_run(argv, work, error);
}

bool qemu_img_resize(const char *path, const char *format, uint64_t size, bool shrink, bool preallocate, GError **error)
{
	g_autofree char *text = g_strdup_printf("%" PRIu64, size);
	GPtrArray *argv = words("resize", "-q", "-f", format, NULL);

	if (shrink)
		add(argv, "--shrink", NULL);
	if (preallocate)
		add(argv, "--preallocation=falloc", NULL);
	add(argv, "--", path);
	add(argv, text, NULL);
	return short_run(argv, error);
}

bool qemu_img_amend(const char *path, const char *options, GError **error)
{
	return short_run(words("amend", "-q", "-f", "qcow2", "-o", options, "--", path, NULL), error);
}

json_t *qemu_img_bitmaps(const char *path, const char *format, GError **error)
{
	json_t *info = qemu_img_info(path, format, error), *bitmaps, *bitmap, *found;
	size_t i;

	if (!info)
		return NULL;
	found = json_object();
	bitmaps = json_object_get(json_object_get(json_object_get(info, "format-specific"), "data"), "bitmaps");
	json_array_foreach(bitmaps, i, bitmap)
		json_object_set(found, json_string_value(json_object_get(bitmap, "name")), bitmap);
	json_decref(info);
	return found;
}

bool qemu_img_bitmap_add(const char *path, const char *name, int64_t granularity, GError **error)
{
	g_autofree char *text = g_strdup_printf("%" PRId64, granularity);
	GPtrArray *argv = words("bitmap", "--add", "-f", "qcow2", NULL);

	if (granularity)
		add(argv, "-g", text);
	add(argv, "--", path);
	add(argv, name, NULL);
	return short_run(argv, error);
}

bool qemu_img_bitmap_remove(const char *path, const char *name, GError **error)
{
	return short_run(words("bitmap", "--remove", "-f", "qcow2", "--", path, name, NULL), error);
}

bool qemu_img_bitmap_merge(const char *from, const char *to, const char *name, GError **error)
{
	return short_run(words("bitmap", "--merge", name, "-F", "qcow2", "-b", from, "-f", "qcow2", "--", to, name, NULL), error);
}
