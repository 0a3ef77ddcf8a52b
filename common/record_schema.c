/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptions made from the tables: the XML schema (?schema) and the parameters of the RSDL (?rsdl).
 *
 * The schema accepts what record_write() produces and what the readers take, in any order: a choice that may repeat, for xs:all of XSD 1.0
 * forbids repeated elements. Each type is a named complex type; the elements between a record and its members are anonymous ones.
 * Where several types have one element name (the actions' parameters, a user of the engine and one of a directory), that name's global element and its
 * place in collections are of a type of their own, which takes what any of them takes: a member that they do not agree on may hold anything.
 */
#include "common/record-priv.h"
#include <string.h>

struct schema {
	GString *out;
	unsigned level;
	GPtrArray *types;              /* const struct record_type *, all that are reachable */
	GHashTable *names;             /* type -> name of its complex type */
	GPtrArray *collections;        /* const struct record_type *: those with a global collection element */
	GHashTable *merged;            /* element name -> GPtrArray of the types that share it, when they are several */
	bool bare;                     /* without documentation: to compare */
};

/* ---- lines ---- */

static void line(struct schema *s, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void line(struct schema *s, const char *format, ...)
{
	va_list arguments;

	for (unsigned i = 0; i < s->level; i++)
		g_string_append(s->out, "  ");
	va_start(arguments, format);
	g_string_append_vprintf(s->out, format, arguments);
	va_end(arguments);
	g_string_append_c(s->out, '\n');
}

static void document(struct schema *s, const char *doc, const char *unit)
{
	g_autofree char *text = doc && *doc ? g_markup_escape_text(doc, -1) : NULL;
	/* the unit once for programs, once for people */
	g_autofree char *appinfo = unit ? g_strdup_printf("<xs:appinfo source=\"unit\">%s</xs:appinfo>", unit) : NULL;

	if (text && !s->bare)
		line(s, "<xs:annotation>%s<xs:documentation>%s%s%s%s</xs:documentation></xs:annotation>", appinfo ? appinfo : "", text, unit ? " (" : "",
		     unit ? unit : "", unit ? ")" : "");
}

/* ---- types ---- */

static const char *scalar_type(const struct field *field)
{
	switch (field->kind) {
	case FIELD_BOOL:
		return "xs:boolean";
	case FIELD_INT:
		return "xs:int";
	case FIELD_LONG:
		return "xs:long";
	case FIELD_DECIMAL:
		return "xs:double";
	case FIELD_TIME:
		return "xs:dateTime";
	default:
		return "xs:string";
	}
}

/* The same where the text may be missing: beside attributes. */
static const char *optional_type(const struct field *field)
{
	switch (field->kind) {
	case FIELD_BOOL:
		return "OptionalBoolean";
	case FIELD_INT:
	case FIELD_LONG:
		return "OptionalInteger";
	case FIELD_DECIMAL:
		return "OptionalDecimal";
	case FIELD_TIME:
		return "OptionalTime";
	default:
		return "xs:string";
	}
}

static bool field_shown(const struct field *field)
{
	return field && !(field->flags & INTERNAL) && field->kind != FIELD_JSON;
}

static bool shown(const struct node *node)
{
	if (field_shown(node->field))
		return true;
	for (const struct node *child = node->first; child; child = child->next)
		if (shown(child))
			return true;
	return false;
}

static char *camel(const char *name)
{
	GString *out = g_string_new(NULL);
	bool upper = true;

	for (; *name; name++) {
		if (*name == '_')
			upper = true;
		else {
			g_string_append_c(out, upper ? g_ascii_toupper(*name) : *name);
			upper = false;
		}
	}
	return g_string_free(out, FALSE);
}

static bool name_taken(struct schema *s, const char *name)
{
	static const char *const own[] = { "Reference", "Links", "Link", "State", "OptionalBoolean", "OptionalInteger", "OptionalDecimal",
					   "OptionalTime", "Empty", "Anything" };
	GHashTableIter i;
	gpointer value;

	for (size_t j = 0; j < G_N_ELEMENTS(own); j++)
		if (!strcmp(own[j], name))
			return true;
	g_hash_table_iter_init(&i, s->names);
	while (g_hash_table_iter_next(&i, NULL, &value))
		if (!strcmp(value, name))
			return true;
	return false;
}

/* The type and all it is made of. */
static void collect(struct schema *s, const struct record_type *type)
{
	g_autofree char *base = NULL;
	char *name;

	if (g_hash_table_contains(s->names, type))
		return;
	base = camel(type->name);
	name = g_strdup(base);
	for (int i = 2; name_taken(s, name); i++) {
		g_free(name);
		name = g_strdup_printf("%s%d", base, i);
	}
	g_hash_table_insert(s->names, (gpointer)type, name);
	g_ptr_array_add(s->types, (gpointer)type);
	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].item && field_shown(&type->fields[i]))
			collect(s, type->fields[i].item);
}

static void write_element(struct schema *s, const struct node *node);

static void write_enumeration(struct schema *s, const char *const *names)
{
	line(s, "<xs:simpleType><xs:restriction base=\"xs:string\">");
	for (; *names; names++)
		line(s, "  <xs:enumeration value=\"%s\"/>", *names);
	line(s, "</xs:restriction></xs:simpleType>");
}

static void write_attribute(struct schema *s, const struct node *node)
{
	const struct field *field = node->field;

	if (field->kind == FIELD_ENUM)
		line(s, "<xs:attribute name=\"%s\">", node->name);
	else
		line(s, "<xs:attribute name=\"%s\" type=\"%s\">", node->name, scalar_type(field));
	s->level++;
	document(s, field->doc, field->unit);
	if (field->kind == FIELD_ENUM)
		write_enumeration(s, field->names);
	s->level--;
	line(s, "</xs:attribute>");
}

static void write_attributes(struct schema *s, const struct node *node, const char *const *more)
{
	for (const struct node *child = node->first; child && child->attribute; child = child->next)
		if (field_shown(child->field))
			write_attribute(s, child);
	for (; more && *more; more++) {
		bool known = false;

		for (const struct node *child = node->first; child && child->attribute; child = child->next)
			known |= !strcmp(child->name, *more) && field_shown(child->field);
		if (!known)
			line(s, "<xs:attribute name=\"%s\" type=\"xs:string\"/>", *more);
	}
}

/* Names of the elements below a node. */
static void add_children(GHashTable *names, const struct node *node)
{
	for (const struct node *child = node->first; child; child = child->next)
		if (!child->attribute && shown(child))
			g_hash_table_add(names, (gpointer)child->name);
}

static bool has_child(const struct node *node, const char *name)
{
	for (const struct node *child = node->first; child; child = child->next)
		if (!child->attribute && !strcmp(child->name, name) && shown(child))
			return true;
	return false;
}

/* Elements every record may hold besides its own. */
static void write_common(struct schema *s, GHashTable *own, const struct record_type *type)
{
	bool group = s->collections->len > 0;

	if (!g_hash_table_contains(own, "actions"))
		line(s, "<xs:element name=\"actions\" type=\"Links\"/>");
	if (!g_hash_table_contains(own, "link"))
		line(s, "<xs:element name=\"link\" type=\"Link\"/>");
	if (!type->plural)
		return;
	if (!g_hash_table_contains(own, "creation_status"))
		line(s, "<xs:element name=\"creation_status\" type=\"State\"/>");
	/* expanded sub-collections; a name of the type's own must not be declared twice */
	for (unsigned i = 0; i < s->collections->len; i++)
		group &= !g_hash_table_contains(own, ((const struct record_type *)s->collections->pdata[i])->plural);
	if (group) {
		line(s, "<xs:group ref=\"collections\"/>");
		return;
	}
	for (unsigned i = 0; i < s->collections->len; i++) {
		const char *plural = ((const struct record_type *)s->collections->pdata[i])->plural;

		if (!g_hash_table_contains(own, plural))
			line(s, "<xs:element ref=\"%s\"/>", plural);
	}
}

/* The complex type of a node that has members below it. type: the node is the root of that type's record. */
static void write_complex(struct schema *s, const struct node *node, const struct record_type *type)
{
	static const char *const of_record[] = { "href", "id", NULL };
	bool ref = field_shown(node->field) && node->field->kind == FIELD_REF, text = field_shown(node->field) && !ref, elements = false;
	const char *const *attributes = type || ref ? of_record : NULL;

	for (const struct node *child = node->first; child; child = child->next)
		elements |= !child->attribute && shown(child);
	if (type)
		line(s, "<xs:complexType name=\"%s\"%s>", (char *)g_hash_table_lookup(s->names, type), text && elements ? " mixed=\"true\"" : "");
	else
		line(s, "<xs:complexType%s>", text && elements ? " mixed=\"true\"" : "");
	s->level++;
	if (type)
		document(s, type->doc, NULL);
	if (text && !elements) {
		line(s, "<xs:simpleContent>");
		s->level++;
		line(s, "<xs:extension base=\"%s\">", optional_type(node->field));
		s->level++;
		write_attributes(s, node, attributes);
		s->level--;
		line(s, "</xs:extension>");
		s->level--;
		line(s, "</xs:simpleContent>");
	} else {
		line(s, "<xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">");
		s->level++;
		if (ref && !has_child(node, "name"))
			line(s, "<xs:element name=\"name\" type=\"xs:string\"/>");
		for (const struct node *child = node->first; child; child = child->next)
			if (!child->attribute && shown(child))
				write_element(s, child);
		if (type) {
			g_autoptr(GHashTable) own = g_hash_table_new(g_str_hash, g_str_equal);

			add_children(own, node);
			write_common(s, own, type);
		}
		s->level--;
		line(s, "</xs:choice>");
		write_attributes(s, node, attributes);
	}
	s->level--;
	line(s, "</xs:complexType>");
}

static void write_element(struct schema *s, const struct node *node)
{
	const struct field *field = field_shown(node->field) ? node->field : NULL;
	const char *type = NULL;
	bool below = false;

	for (const struct node *child = node->first; child; child = child->next)
		below |= shown(child);
	if (field && (field->kind == FIELD_LIST || field->kind == FIELD_RECORD))
		type = g_hash_table_lookup(s->names, field->item);
	else if (field && field->kind == FIELD_REF && !below)
		type = "Reference";
	else if (field && !below && field->kind != FIELD_ENUM)
		type = scalar_type(field);
	if (type)
		line(s, "<xs:element name=\"%s\" type=\"%s\">", node->name, type);
	else
		line(s, "<xs:element name=\"%s\">", node->name);
	s->level++;
	if (field)
		document(s, field->doc, field->unit);
	if (field && !type && !below) {
		write_enumeration(s, field->names);
	} else if (!type) {
		write_complex(s, node, NULL);
	}
	s->level--;
	line(s, "</xs:element>");
}

/* ---- types that share an element's name ---- */

/* One member as text, to be compared or written later. g_free */
static char *member_text(struct schema *s, const struct node *node, bool bare)
{
	struct schema one = *s;
	GString *text = g_string_new(NULL);

	one.out = text;
	one.level = 3;
	one.bare = bare;
	if (node->attribute)
		write_attribute(&one, node);
	else
		write_element(&one, node);
	return g_string_free(text, FALSE);
}

struct shared { char *name, *bare, *text; };

static void shared_free(gpointer data)
{
	struct shared *shared = data;

	g_free(shared->bare);
	g_free(shared->text);
	g_free(shared);
}

static void share(struct schema *s, GPtrArray *members, const struct node *node)
{
	struct shared *shared;
	g_autofree char *bare = NULL;

	for (unsigned i = 0; i < members->len; i++) {
		shared = members->pdata[i];
		if (strcmp(shared->name, node->name))
			continue;
		bare = member_text(s, node, /* bare= */ true);
		if (!node->attribute && strcmp(shared->bare, bare)) {
			g_free(shared->text);
			shared->text = g_strdup_printf("      <xs:element name=\"%s\" type=\"Anything\"/>\n", node->name);
		}
		return;
	}
	shared = g_new(struct shared, 1);
	*shared = (struct shared){ (char *)node->name, member_text(s, node, true), member_text(s, node, false) };
	g_ptr_array_add(members, shared);
}

static bool has_shared(const GPtrArray *members, const char *name)
{
	for (unsigned i = 0; i < members->len; i++)
		if (!strcmp(((const struct shared *)members->pdata[i])->name, name))
			return true;
	return false;
}

static void write_merged(struct schema *s, const char *element, const GPtrArray *types)
{
	g_autoptr(GPtrArray) elements = g_ptr_array_new_with_free_func(shared_free), attributes = g_ptr_array_new_with_free_func(shared_free);
	g_autoptr(GHashTable) own = g_hash_table_new(g_str_hash, g_str_equal);
	g_autofree char *name = camel(element);
	const struct record_type *first = types->pdata[0];

	for (unsigned i = 0; i < types->len; i++) {
		const struct node *root = record_plan(types->pdata[i])->root;

		if (((const struct record_type *)types->pdata[i])->plural)
			first = types->pdata[i];
		add_children(own, root);
		for (const struct node *child = root->first; child; child = child->next)
			if (child->attribute ? field_shown(child->field) : shown(child))
				share(s, child->attribute ? attributes : elements, child);
	}
	line(s, "<xs:complexType name=\"Any%s\">", name);
	line(s, "  <xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">");
	for (unsigned i = 0; i < elements->len; i++)
		g_string_append(s->out, ((const struct shared *)elements->pdata[i])->text);
	s->level += 2;
	write_common(s, own, first);
	s->level -= 2;
	line(s, "  </xs:choice>");
	for (unsigned i = 0; i < attributes->len; i++)
		g_string_append(s->out, ((const struct shared *)attributes->pdata[i])->text);
	if (!has_shared(attributes, "href"))
		line(s, "  <xs:attribute name=\"href\" type=\"xs:string\"/>");
	if (!has_shared(attributes, "id"))
		line(s, "  <xs:attribute name=\"id\" type=\"xs:string\"/>");
	line(s, "</xs:complexType>");
}

/* Finds the names that several of the types have; the same tables count once. */
static void find_merged(struct schema *s, const struct record_type *const *types, size_t n_types)
{
	for (size_t i = 0; i < n_types; i++) {
		GPtrArray *same = g_hash_table_lookup(s->merged, types[i]->name);

		if (!same) {
			same = g_ptr_array_new();
			g_hash_table_insert(s->merged, (gpointer)types[i]->name, same);
		}
		if (!g_ptr_array_find(same, types[i], NULL))
			g_ptr_array_add(same, (gpointer)types[i]);
	}
}

/* Name of the complex type that an element of this name has at the top or in a collection. g_free */
static char *global_type(struct schema *s, const struct record_type *type)
{
	const GPtrArray *same = g_hash_table_lookup(s->merged, type->name);
	g_autofree char *name = NULL;

	if (!same || same->len < 2)
		return g_strdup(g_hash_table_lookup(s->names, type));
	name = camel(type->name);
	return g_strconcat("Any", name, NULL);
}

/* Types that need no table. */
static void write_basics(struct schema *s)
{
	static const char *const optional[][2] = { { "OptionalBoolean", "xs:boolean" }, { "OptionalInteger", "xs:long" },
						   { "OptionalDecimal", "xs:double" }, { "OptionalTime", "xs:dateTime" } };

	line(s, "<xs:simpleType name=\"Empty\"><xs:restriction base=\"xs:string\"><xs:length value=\"0\"/></xs:restriction></xs:simpleType>");
	for (size_t i = 0; i < G_N_ELEMENTS(optional); i++)
		line(s, "<xs:simpleType name=\"%s\"><xs:union memberTypes=\"%s Empty\"/></xs:simpleType>", optional[i][0], optional[i][1]);
	line(s, "<xs:complexType name=\"Link\">");
	line(s, "  <xs:attribute name=\"href\" type=\"xs:string\"/>");
	line(s, "  <xs:attribute name=\"rel\" type=\"xs:string\"/>");
	line(s, "</xs:complexType>");
	line(s, "<xs:complexType name=\"Links\">");
	line(s, "  <xs:sequence><xs:element name=\"link\" type=\"Link\" minOccurs=\"0\" maxOccurs=\"unbounded\"/></xs:sequence>");
	line(s, "</xs:complexType>");
	line(s, "<xs:complexType name=\"Reference\">");
	line(s, "  <xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\"><xs:element name=\"name\" type=\"xs:string\"/></xs:choice>");
	line(s, "  <xs:attribute name=\"href\" type=\"xs:string\"/>");
	line(s, "  <xs:attribute name=\"id\" type=\"xs:string\"/>");
	line(s, "</xs:complexType>");
	line(s, "<xs:complexType name=\"Anything\" mixed=\"true\">");
	line(s, "  <xs:sequence><xs:any minOccurs=\"0\" maxOccurs=\"unbounded\" processContents=\"skip\"/></xs:sequence>");
	line(s, "  <xs:anyAttribute processContents=\"skip\"/>");
	line(s, "</xs:complexType>");
	line(s, "<xs:complexType name=\"State\">");
	line(s, "  <xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">");
	line(s, "    <xs:element name=\"state\" type=\"xs:string\"/>");
	line(s, "    <xs:element name=\"detail\" type=\"xs:string\"/>");
	line(s, "  </xs:choice>");
	line(s, "</xs:complexType>");
}

static void write_collection(struct schema *s, const struct record_type *type)
{
	g_autofree char *item = global_type(s, type);

	line(s, "<xs:element name=\"%s\">", type->plural);
	line(s, "  <xs:complexType>");
	line(s, "    <xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">");
	line(s, "      <xs:element name=\"%s\" type=\"%s\"/>", type->name, item);
	if (strcmp(type->name, "actions"))
		line(s, "      <xs:element name=\"actions\" type=\"Links\"/>");
	if (strcmp(type->name, "link"))
		line(s, "      <xs:element name=\"link\" type=\"Link\"/>");
	line(s, "    </xs:choice>");
	line(s, "    <xs:attribute name=\"href\" type=\"xs:string\"/>");
	line(s, "    <xs:attribute name=\"id\" type=\"xs:string\"/>");
	line(s, "  </xs:complexType>");
	line(s, "</xs:element>");
}

void record_write_xsd(GString *out, const struct record_type *const *types, size_t n_types)
{
	struct schema s = { .out = out, .types = g_ptr_array_new(), .names = g_hash_table_new_full(NULL, NULL, NULL, g_free),
			    .collections = g_ptr_array_new(),
			    .merged = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref) };
	g_autoptr(GHashTable) globals = g_hash_table_new(g_str_hash, g_str_equal);

	find_merged(&s, types, n_types);
	for (size_t i = 0; i < n_types; i++)
		collect(&s, types[i]);
	line(&s, "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>");
	line(&s, "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" version=\"1.0\">");
	s.level++;
	/* a plural is claimed first: sub-collections are looked up by it */
	for (size_t i = 0; i < n_types; i++)
		if (types[i]->plural && g_hash_table_add(globals, (gpointer)types[i]->plural)) {
			g_ptr_array_add(s.collections, (gpointer)types[i]);
			write_collection(&s, types[i]);
		}
	for (size_t i = 0; i < n_types; i++)
		if (g_hash_table_add(globals, (gpointer)types[i]->name)) {
			g_autofree char *name = global_type(&s, types[i]);

			line(&s, "<xs:element name=\"%s\" type=\"%s\"/>", types[i]->name, name);
		}
	if (s.collections->len) {
		line(&s, "<xs:group name=\"collections\">");
		line(&s, "  <xs:choice>");
		for (unsigned i = 0; i < s.collections->len; i++)
			line(&s, "    <xs:element ref=\"%s\"/>", ((const struct record_type *)s.collections->pdata[i])->plural);
		line(&s, "  </xs:choice>");
		line(&s, "</xs:group>");
	}
	write_basics(&s);
	for (unsigned i = 0; i < s.types->len; i++)
		write_complex(&s, record_plan(s.types->pdata[i])->root, s.types->pdata[i]);
	for (size_t i = 0; i < n_types; i++) {
		const GPtrArray *same = g_hash_table_lookup(s.merged, types[i]->name);

		if (same->len > 1 && same->pdata[0] == types[i])
			write_merged(&s, types[i]->name, same);
	}
	s.level--;
	line(&s, "</xs:schema>");
	g_hash_table_unref(s.merged);
	g_ptr_array_unref(s.types);
	g_ptr_array_unref(s.collections);
	g_hash_table_unref(s.names);
}

/* ---- RSDL ---- */

#define RSDL_DEPTH_MAX 3               /* records may hold their own kind */

static const char *parameter_type(const struct field *field)
{
	switch (field->kind) {
	case FIELD_STRINGS:
	case FIELD_LIST:
		return "collection";
	case FIELD_ENUM:
	case FIELD_REF:
		return "xs:string";
	default:
		return scalar_type(field);
	}
}

static void open_parameter(struct writer *w, bool required, const char *type, const char *name)
{
	writer_open(w, "parameter");
	writer_attribute(w, "required", required ? "true" : "false");
	writer_attribute(w, "type", type);
	writer_text(w, "name", name);
}

/* What a value may be: the names of an enumeration, "true|false", the unit of a number. */
static void write_value(struct writer *w, const struct field *field)
{
	g_autofree char *names = field->names ? g_strjoinv("|", (char **)(gpointer)field->names) : NULL;
	const char *value = names ? names : field->kind == FIELD_BOOL ? "true|false" : field->unit;

	if (value)
		writer_text(w, "value", value);
}

static void write_description(struct writer *w, const struct field *field, uint32_t operation)
{
	g_autofree char *more = operation & CREATE && field->def && *field->def ? g_strdup_printf(" (default %s)", field->def) : g_strdup("");
	g_autofree char *text = g_strconcat(field->doc, more, NULL);

	writer_text(w, "description", text);
}

static void write_parameters(struct writer *w, const struct record_type *type, const char *prefix, uint32_t operation, bool required, unsigned depth)
{
	const struct plan *plan = record_plan(type);

	for (unsigned i = 0; i < plan->n_members; i++) {
		const struct field *field = plan->members[i].field;
		bool must = required && operation & CREATE && field->flags & REQUIRED;
		g_autofree char *path = g_strdelimit(g_strdup(field->path), "/@", '.'), *name = NULL;
		const char *last = strrchr(path, '.');

		if (!(field->flags & operation) || !field_shown(field))
			continue;
		last = last ? last + 1 : path;
		name = g_strconcat(prefix, *path && *path != '.' ? "." : "", path, field->kind == FIELD_REF ? ".id|name" : "", NULL);
		if (field->kind == FIELD_RECORD) {
			if (depth < RSDL_DEPTH_MAX)
				write_parameters(w, field->item, name, operation, must, depth + 1);
			continue;
		}
		open_parameter(w, must, parameter_type(field), name);
		if (field->kind != FIELD_STRINGS)
			write_value(w, field);
		write_description(w, field, operation);
		if (field->kind == FIELD_LIST || field->kind == FIELD_STRINGS) {
			writer_open(w, "parameters_set");
			writer_open_list(w, "parameter");
			if (field->kind == FIELD_STRINGS) {
				open_parameter(w, false, "xs:string", last);
				write_value(w, field);
				writer_close(w);
			} else if (depth < RSDL_DEPTH_MAX) {
				write_parameters(w, field->item, last, operation, /* required= */ true, depth + 1);
			}
			writer_close_list(w);
			writer_close(w);
		}
		writer_close(w);
	}
}

void record_write_rsdl(struct writer *w, const struct record_type *type, uint32_t operation)
{
	writer_open(w, "parameters_set");
	writer_open_list(w, "parameter");
	write_parameters(w, type, type->name, operation, /* required= */ true, 0);
	writer_close_list(w);
	writer_close(w);
}
