/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_RECORD_PRIV_H
#define BERTH_COMMON_RECORD_PRIV_H
/*
 * What the files that implement records share; nothing else includes this.
 *
 * The table of a type is worked up once, on first use, into a *plan*: the tree of elements and attributes its paths make, where each member
 * lies, and hash tables to find both. Plans are kept for the life of the process and never change; a reader needs no lock. Types are
 * therefore static constants.
 */
#include "common/record.h"

#define DIALECT_BIT(dialect) (1u << (dialect))

/* Names of plans can be read so far, and those that are longer to their end. */
#define NAME_BYTES 32

/* One element or attribute of the tree. */
struct node {
	const char *name;             /* "" for the root; NAME_BYTES can be read */
	const char *path;             /* from the root of its record; "" for the root */
	uint16_t length;              /* of name */
	uint8_t index;                /* presence bit of `field` */
	uint8_t written;              /* bit per dialect: `field` is written */
	uint8_t live;                 /* bit per dialect: something here or below is written */
	bool attribute;
	bool head;                    /* a HEAD member is here or below */
	bool object;                  /* members are below: JSON makes an object of it even if it has a text */
	const struct field *field;    /* the member that stands here; NULL: only a prefix, or only aliases */
	const struct field *input;    /* the member read here: `field` or an alias */
	const struct field *main;     /* the row that owns the memory of `input`: its flags count */
	const struct node *parent;
	struct node *first, *next;    /* children: attributes, then elements in table order */
	const struct node *sole_list; /* a mere wrapper of this repeated child */
	gsize item_plan;              /* plan of input->item once it was needed */
};

/* A row that owns memory of the struct. */
struct member {
	const struct field *field;
	uint8_t index;
};

struct plan {
	const struct record_type *type;
	const char *name;             /* of the type; NAME_BYTES can be read */
	size_t name_length;
	struct plan *next;            /* of the same bucket */
	struct node *root;
	struct member *members;       /* in table order */
	unsigned n_members;
	struct node *flat;            /* RECORD_STORE: each member that is stored, its name the path */
	unsigned n_flat;
	unsigned n_nodes;
	uint8_t *index_at;            /* by offset: index of the owning row, PLAN_NO_MEMBER when none */
	struct node **node_slots;     /* open addressing on (parent, name) */
	uint32_t node_mask;
	const struct field **path_slots;
	uint32_t path_mask;
	GRegex **regex;               /* by row; made when first needed */
};
#define PLAN_NO_MEMBER 0xff

const struct plan *record_plan(const struct record_type *type);
/* The plan of the items of a list or record member. */
const struct plan *node_item_plan(const struct node *node);
enum node_sort { NODE_ELEMENT, NODE_ATTRIBUTE, NODE_ANY };     /* ANY: JSON does not tell them apart; the element is preferred */
const struct node *plan_child(const struct plan *plan, const struct node *parent, const char *name, size_t length, enum node_sort sort);
const struct field *plan_field(const struct plan *plan, const char *path, size_t length);
const struct field *plan_owner(const struct plan *plan, const struct field *field);   /* the row that owns the memory of this one */
GRegex *plan_regex(const struct plan *plan, const struct field *field);

static inline void *member_at(const void *record, const struct field *field)
{
	return (char *)record + field->offset;
}

static inline bool present_bit(const void *record, unsigned index)
{
	return ((const struct record *)record)->present[index / 64] >> (index % 64) & 1;
}

static inline void present_set(void *record, unsigned index)
{
	((struct record *)record)->present[index / 64] |= UINT64_C(1) << (index % 64);
}

static inline bool field_is_pointer(enum field_kind kind)
{
	return kind == FIELD_STRING || kind == FIELD_UUID || kind == FIELD_STRINGS || kind == FIELD_LIST || kind == FIELD_RECORD || kind == FIELD_JSON;
}

/* Takes no plan: index is the presence bit of the owning row. */
static inline bool member_present(const void *record, const struct field *field, unsigned index)
{
	const struct ref *ref;

	if (field_is_pointer(field->kind))
		return *(void **)member_at(record, field) != NULL;
	if (field->kind == FIELD_REF) {
		ref = member_at(record, field);
		return ref->id || ref->name;
	}
	return present_bit(record, index);
}

/* ---- values (record_value.c) ---- */
/* Sets a member from one value. check: bounds and patterns too. On failure *ret_problem says what is wrong ("is not an integer"); g_free. */
bool field_set_text(const struct plan *plan, const struct field *field, void *record, const char *text, bool check, char **ret_problem);
bool field_set_integer(const struct plan *plan, const struct field *field, void *record, int64_t value, bool check, char **ret_problem);
bool field_set_real(const struct plan *plan, const struct field *field, void *record, double value, bool check, char **ret_problem);
bool field_set_bool(const struct plan *plan, const struct field *field, void *record, bool value, bool check, char **ret_problem);
/* The checked text of one item of a FIELD_STRINGS, or of a FIELD_STRING; NULL on failure. */
char *field_check_string(const struct plan *plan, const struct field *field, const char *text, bool check, char **ret_problem);
void ref_set_id(struct ref *ref, const char *id);       /* UUIDs lower-cased; empty text changes nothing */
void ref_set_name(struct ref *ref, const char *name);
void ref_set_text(struct ref *ref, const char *text);   /* a UUID is the id, all else the name */
bool is_uuid(const char *text);
bool is_blank(const char *text);
bool time_parse(const char *text, int64_t *ret_ms);
#define TIME_TEXT_SIZE 32
size_t time_format(int64_t ms, char buffer[TIME_TEXT_SIZE]);
/* A scalar as text: in buffer, or what the record points to. NULL when absent. *ret_quoted: JSON writes it as a string. */
#define FIELD_TEXT_SIZE 48
const char *field_format(const struct field *field, unsigned index, const void *record, enum record_dialect dialect, bool xml,
			 char buffer[FIELD_TEXT_SIZE], size_t *ret_length, bool *ret_quoted);
/* A finite number as JSON or XML writes it: digits significant digits, or 0 for as many as it takes to read it back. */
size_t decimal_format(double value, int digits, bool fraction, char buffer[FIELD_TEXT_SIZE]);
/* ASCII text for messages: 'value', cut at 64 bytes, control characters as '?' */
char *quote_value(const char *value);
char *clean_name(const char *name);

/* ---- readers (record_input.c) ---- */
/* Where the reader is: the list or record members it went down through. */
struct crumb {
	const struct crumb *up;
	const struct node *node;
};
struct reader {
	struct record_input *input;
	const struct record_type *type;      /* of the outermost record */
	bool check;                          /* not in RECORD_STORE: what is stored was checked */
	GError **error;
};
/* May the member be taken here? */
bool reader_takes(const struct reader *reader, const struct crumb *up, const struct node *node);
/* Notes what is not taken: the node, and below it `name` when not NULL. false (error set) when the input is strict. */
bool reader_note(const struct reader *reader, const struct crumb *up, const struct node *node, const char *name, bool attribute);
/* Sets the error "vm: path: 'value' problem" and returns false; of a member that nobody can set, a PUT's bad value is only noted. Frees problem. */
bool reader_refuse(const struct reader *reader, const struct crumb *up, const struct node *node, const char *value, char *problem);
/* A value where only members can be: refused when one of them can be set here ("vm: cpu: '7' is not an object"), else noted. */
bool reader_no_value(const struct reader *reader, const struct crumb *up, const struct node *node, const char *value);
bool reader_set_text(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		     const char *text);
bool reader_add_string(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		       const char *text);
/* One member from JSON in the given dialect (record_json.c). */
bool reader_set_json(const struct reader *reader, const struct crumb *up, const struct plan *plan, const struct node *node, void *record,
		     const json_t *value);

/* ---- writer (writer.c) ---- */
/* Length of the UTF-8 sequence at p (not ASCII), 0 when it is none. */
unsigned utf8_decode(const unsigned char *p, const unsigned char *end, uint32_t *ret_char);
void json_append(GString *out, const json_t *json, bool compact, bool ascii);

#endif
