/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_RECORD_H
#define BERTH_COMMON_RECORD_H
/*
 * Records: everything with an outside form is described once.
 *
 * A record is a flat C struct that begins with `struct record` and a table beside it that says what each member is. Nesting in XML and JSON
 * is a matter of the member's *path*, not of the struct:
 *
 *	struct vm { struct record record; char *id, *name; int sockets; struct ref cluster; GPtrArray *boot; ... };
 *
 *	static const struct field vm_fields[] = {
 *		FIELD_UUID_  (struct vm, id,      "@id",                   READ_ONLY,                          "..."),
 *		FIELD_STRING_(struct vm, name,    "name",                  CREATE | UPDATE | REQUIRED | SEARCH, "unique name"),
 *		FIELD_INT_   (struct vm, sockets, "cpu/topology@sockets",  CREATE | UPDATE, "virtual sockets", .def = "1", .min = 1, .max = 64),
 *		FIELD_REF_   (struct vm, cluster, "cluster",               CREATE | UPDATE | REQUIRED, "clusters", "host cluster"),
 *		FIELD_LIST_  (struct vm, boot,    "os/boot",               CREATE | UPDATE, &boot_type, "boot devices in order"),
 *	};
 *	const struct record_type vm_type = RECORD_TYPE("vm", "vms", struct vm, vm_fields, "A virtual machine");
 *
 * Path: element names separated by '/', an attribute after '@'. "cpu/topology@sockets" is <cpu><topology sockets="1"/></cpu> and
 * {"cpu":{"topology":{"sockets":"1"}}}. Text of an element that also has attributes: path without '@' beside paths with '@' on the same
 * element; JSON calls it "value". Path "" is the text of the record's own element. Members that share a prefix stand together in the
 * table; their order is the order of output.
 *
 * Presence: a pointer member is present when it is not NULL; a scalar member is present when its bit is set (HAS, SET). Absent members are
 * not written, not merged, not checked. Records are reference-counted; one that others can see is never changed: copy, change, publish.
 *
 * Dialects. One table serves three outside forms:
 *	RECORD_REST     guide style: XML; JSON with booleans and 32-bit integers as strings, 64-bit quantities, decimals and times (epoch ms) as numbers
 *	RECORD_CHANNEL  the agent channel: JSON, native types; FIELD_TEXT members as text ("%d", "%.2f", "true"); paths nest the same way
 *	RECORD_STORE    the database: one flat JSON object, path -> native value; enums by name; secrets included
 * On input each dialect takes native and text forms of numbers and booleans.
 */
#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

enum field_kind {
	FIELD_STRING,    /* char * */
	FIELD_UUID,      /* char *, checked and lower-cased on input */
	FIELD_BOOL,      /* bool */
	FIELD_INT,       /* int (32 bit) */
	FIELD_LONG,      /* int64_t: bytes, counters; a JSON number in REST */
	FIELD_DECIMAL,   /* double */
	FIELD_ENUM,      /* int, index into names[] (NULL-terminated); case-insensitive on input */
	FIELD_TIME,      /* int64_t, ms since the epoch; ISO 8601 with ms and zone in XML (output UTC "Z"), number in JSON */
	FIELD_REF,       /* struct ref: another resource; XML <x id= href=/>; on input @id or <name> child */
	FIELD_STRINGS,   /* GPtrArray * of char *: repeated element, path "usages/usage" */
	FIELD_LIST,      /* GPtrArray * of records of type `item`: repeated element, path "os/boot" */
	FIELD_RECORD,    /* one nested record of type `item` (pointer) */
	FIELD_JSON,      /* json_t *: a free map or array (channel and store; in REST not written) */
	FIELD_KIND_MAX
};

/* Reference to another resource. id (common/ref_id.h) is set in every stored record; name only on input, until the API has looked it up. */
struct ref { const char *id; char *name; };

enum field_flags {
	CREATE    = 1 << 0,    /* may be given on creation (or: in a parameter record, may be given) */
	UPDATE    = 1 << 1,    /* may be changed later */
	REQUIRED  = 1 << 2,    /* must be given on creation */
	SEARCH    = 1 << 3,    /* can be searched and sorted by */
	SECRET    = 1 << 4,    /* never written in REST, masked in logs */
	TEXT      = 1 << 5,    /* FIELD_TEXT: in RECORD_CHANNEL numbers and booleans are written as text */
	INTERNAL  = 1 << 6,    /* only in RECORD_STORE (never shown to or taken from clients) */
	ALL_CONTENT = 1 << 7,  /* in REST only when the client sent All-Content: true */
	HEAD      = 1 << 8,    /* common head member (name, description, comment): written before links */
	UNIQUE    = 1 << 9,    /* no two objects of the type share the value (case-insensitive), within the parent when the type has one */
	VOLATILE_ = 1 << 10,   /* not written in RECORD_STORE: known only while the engine runs */
	INPUT_ONLY = 1 << 11,  /* taken on input, never written in REST and not stored (actions' parameters) */
	ALIAS     = 1 << 12,   /* another spelling accepted on input for the member with the same offset; never written */
	READ_ONLY = 0
};

struct record_type;

struct field {
	const char *path;
	enum field_kind kind;
	uint16_t offset;
	uint32_t flags;
	const char *const *names;             /* FIELD_ENUM */
	const struct record_type *item;       /* FIELD_LIST, FIELD_RECORD */
	const char *target;                   /* FIELD_REF: top-level collection of the target ("clusters") */
	const char *search;                   /* name in the search language when it is not the path */
	const char *def;                      /* default as text: set by record_defaults() */
	const char *unit;                     /* "bytes", "ms", "MHz", "%"... for the documentation */
	double min, max;                      /* numbers: bounds; strings: length in bytes. Both 0: any; max below min: no upper bound */
	const char *pattern;                  /* FIELD_STRING: PCRE the whole value must match */
	const char *doc;                      /* what it means; required (a test checks) */
};

struct record_type {
	const char *name;                     /* element: "vm" */
	const char *plural;                   /* collection element: "vms"; NULL for parameter records */
	size_t size;
	const struct field *fields;
	size_t n_fields;                      /* at most RECORD_FIELDS_MAX */
	const char *doc;
};
#define RECORD_FIELDS_MAX 192

struct record {
	const struct record_type *type;
	int refs;                             /* atomic */
	bool shadow;                          /* what it is the shadow of stands behind the struct */
	uint64_t present[RECORD_FIELDS_MAX / 64];
};

#define RECORD_TYPE(element, collection, structure, table, text) \
	{ .name = (element), .plural = (collection), .size = sizeof(structure), .fields = (table), .n_fields = G_N_ELEMENTS(table), .doc = (text) }
#define FIELD_(structure, member, fpath, fkind, fflags, text, ...) \
	{ .path = (fpath), .kind = (fkind), .offset = offsetof(structure, member), .flags = (fflags), .doc = (text), ##__VA_ARGS__ }
#define FIELD_STRING_(s, m, p, f, text, ...)        FIELD_(s, m, p, FIELD_STRING, f, text, ##__VA_ARGS__)
#define FIELD_UUID_(s, m, p, f, text, ...)          FIELD_(s, m, p, FIELD_UUID, f, text, ##__VA_ARGS__)
#define FIELD_BOOL_(s, m, p, f, text, ...)          FIELD_(s, m, p, FIELD_BOOL, f, text, ##__VA_ARGS__)
#define FIELD_INT_(s, m, p, f, text, ...)           FIELD_(s, m, p, FIELD_INT, f, text, ##__VA_ARGS__)
#define FIELD_LONG_(s, m, p, f, text, ...)          FIELD_(s, m, p, FIELD_LONG, f, text, ##__VA_ARGS__)
#define FIELD_DECIMAL_(s, m, p, f, text, ...)       FIELD_(s, m, p, FIELD_DECIMAL, f, text, ##__VA_ARGS__)
#define FIELD_TIME_(s, m, p, f, text, ...)          FIELD_(s, m, p, FIELD_TIME, f, text, ##__VA_ARGS__)
#define FIELD_ENUM_(s, m, p, f, values, text, ...)  FIELD_(s, m, p, FIELD_ENUM, f, text, .names = (values), ##__VA_ARGS__)
#define FIELD_REF_(s, m, p, f, where, text, ...)    FIELD_(s, m, p, FIELD_REF, f, text, .target = (where), ##__VA_ARGS__)
#define FIELD_STRINGS_(s, m, p, f, text, ...)       FIELD_(s, m, p, FIELD_STRINGS, f, text, ##__VA_ARGS__)
#define FIELD_LIST_(s, m, p, f, of, text, ...)      FIELD_(s, m, p, FIELD_LIST, f, text, .item = (of), ##__VA_ARGS__)
#define FIELD_RECORD_(s, m, p, f, of, text, ...)    FIELD_(s, m, p, FIELD_RECORD, f, text, .item = (of), ##__VA_ARGS__)
#define FIELD_JSON_(s, m, p, f, text, ...)          FIELD_(s, m, p, FIELD_JSON, f, text, ##__VA_ARGS__)

/* ---- life ---- */
void *record_new(const struct record_type *type);                   /* one reference, nothing present */
void *record_ref(const void *record);                               /* NULL accepted */
void record_unref(void *record);                                    /* NULL accepted */
void *record_copy(const void *record);                              /* deep, one reference: for changing */
/* To be shown with values of the moment: one reference. Its scalars and the members marked VOLATILE_ are its own and may be set; all else is the record's. */
void *record_shadow(const void *record);
void record_defaults(void *record, uint32_t flags);                 /* sets absent members that have a def and any of these flags (0: all) */

/* ---- members ---- */
const struct field *record_field_at(const struct record_type *type, size_t offset);
const struct field *record_field(const struct record_type *type, const char *path);   /* aliases included */
bool record_has(const void *record, size_t offset);
void record_mark(void *record, size_t offset, bool present);
void record_clear(void *record, size_t offset);                     /* frees and makes absent */
#define HAS(object, member) record_has((object), offsetof(__typeof__(*(object)), member))
/* Scalars: value and presence in one. */
#define SET(object, member, value) ((object)->member = (value), record_mark((object), offsetof(__typeof__(*(object)), member), true))
#define CLEAR(object, member) record_clear((object), offsetof(__typeof__(*(object)), member))
void set_string(char **member, const char *value);                  /* frees the old, copies the new; NULL clears */
void set_ref(struct ref *member, const char *id);
/* A new record appended to a list member (made when NULL). The list owns it. */
void *list_add(GPtrArray **list, const struct record_type *type);
GPtrArray *list_new(void);                                          /* of records, with record_unref */
GPtrArray *strings_new(void);                                       /* of char *, with g_free */
const char *enum_name(const char *const *names, int value);         /* NULL when out of range */
int enum_value(const char *const *names, const char *name);         /* -1 when none, or NULL; case-insensitive */
/* One member as text, for search, logs and tables: enum by name, time as ISO, ref as id, list joined with ',', SECRET as "***". NULL when
 * absent. g_free */
char *record_text(const void *record, const struct field *field);
/* Sets one member from text (name=value of the command line, defaults). Error names path and value. */
bool record_set_text(void *record, const struct field *field, const char *text, GError **error);
bool record_equal(const void *a, const void *b);
/* true when member of a and b is the same (absent equals absent) */
bool record_member_equal(const void *a, const void *b, const struct field *field);

/* ---- input ---- */
enum record_dialect { RECORD_REST, RECORD_CHANNEL, RECORD_STORE };

/* What the reader noticed beside the values. */
struct record_input {
	enum record_dialect dialect;
	/*
	 * Only fields with any of these flags are taken; others are noted as `ignored`. 0: all that are not INTERNAL. UPDATE without CREATE (PUT):
	 * the same, so that record_merge() can tell a changed immutable member from one sent back. "@id" of list items is always taken.
	 */
	uint32_t take;
	GPtrArray *ignored;           /* char * paths that no table knows or that cannot be set here; made by the reader, may stay NULL */
	bool strict;                  /* refuse instead of note: ERR_UNKNOWN_MEMBER with the path */
};
void record_input_clear(struct record_input *input);

/* NULL + error (ERR_BAD_VALUE, "vm: cpu/topology@sockets: 'x' is not an integer") on wrong types, bounds, enums, patterns. */
void *record_from_json(const struct record_type *type, const json_t *json, struct record_input *input, GError **error);
void *record_from_xml(const struct record_type *type, const xmlNode *element, struct record_input *input, GError **error);
/* Parses one document: no DTD, no entities, no network, depth at most 64. The root element may have any name; ERR_SYNTAX on bad text with line. */
xmlDoc *xml_parse(const char *text, size_t length, GError **error);
json_t *json_parse(const char *text, size_t length, GError **error);          /* depth bound, duplicate keys refused; ERR_SYNTAX with line and column */

/*
 * All REQUIRED members present? Else ERR_INCOMPLETE: "Incomplete parameters: Vm [name, cluster.id|name] required for add" (all of them named).
 * more: names of others that are missing, which no table can know (char *), or NULL.
 */
bool record_check_required(const void *record, const char *operation, const GPtrArray *more, GError **error);
/* PUT: members present in change replace those of record (a copy to publish). A change of a member without UPDATE to another value: ERR_IMMUTABLE
 * "Broken immutability constraint: Attempt to set immutable field: <path>". INTERNAL and absent members are untouched. */
bool record_merge(void *record, const void *change, GError **error);
/* What is present in change replaces that of record, without rules: for records of our own making. */
void record_overlay(void *record, const void *change);

/* ---- output ---- */
/*
 * A writer makes XML or JSON text from the same calls. Names are elements in XML, members in JSON.
 */
struct writer;
struct writer *writer_new_xml(GString *out);                        /* pretty: one element a line, 4 blanks a level, after the standard declaration */
struct writer *writer_new_json(GString *out, enum record_dialect dialect, bool pretty);
struct writer *writer_free(struct writer *writer);
void writer_open(struct writer *w, const char *name);               /* object; JSON: the outermost name is dropped, an item of an array too */
void writer_close(struct writer *w);
void writer_open_list(struct writer *w, const char *item_name);     /* JSON: "item_name":[ ; XML: nothing. Until writer_close_list(), open/text are items */
void writer_close_list(struct writer *w);
void writer_attribute(struct writer *w, const char *name, const char *value);         /* right after open; JSON: string member */
void writer_text(struct writer *w, const char *name, const char *value);              /* <name>value</name> / "name":"value" */
void writer_number(struct writer *w, const char *name, const char *digits);           /* JSON without quotes */

/* What the REST side adds around a record's own members. All optional. */
struct record_view {
	const char *base;                     /* "/ovirt-engine/api": prefix of references' hrefs */
	const char *href;                     /* of the record itself; NULL: no href attribute */
	const char *const *actions;           /* NULL-terminated names: <actions><link rel= href=href/name/></actions>, first child */
	const char *const *links;             /* rels: <link rel= href=href/rel/>, after the HEAD members */
	const char *const *link_hrefs;        /* as many; those that are not NULL instead of href/rel. May be NULL */
	bool all_content;
	/* Writes the href of a reference; NULL: base/target/id. */
	void (*ref_href)(const struct record_view *view, GString *out, const struct field *field, const struct ref *ref);
	/* More children at the end (inline sub-collections, creation_status). */
	void (*extra)(const struct record_view *view, struct writer *w, const void *record);
	/* View of the items of a list member, or of a record member (their hrefs). NULL: plain; base, ref_href and all_content are the holder's. */
	const struct record_view *(*item_view)(const struct record_view *view, const struct field *field, const void *item);
	void *data;
};
/* The record as an element/object; name NULL: the type's. */
void record_write(struct writer *w, const char *name, const void *record, const struct record_view *view);

/* Shorthands. */
char *record_to_text(const void *record, enum record_dialect dialect);        /* compact JSON; g_free */
json_t *record_to_json(const void *record, enum record_dialect dialect);      /* new reference; key order = table order */
void json_write(GString *out, const json_t *json);                            /* as the channel writes: ", " ": " separators, ASCII only */

/* ---- description ---- */
void record_write_xsd(GString *out, const struct record_type *const *types, size_t n_types);     /* a whole schema document for REST XML */
/* RSDL parameters_set of a type for an operation (CREATE or UPDATE): <parameter required= type=><name>vm.cpu.topology.sockets</name></parameter> */
void record_write_rsdl(struct writer *w, const struct record_type *type, uint32_t operation);

#endif
