/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LLDP (IEEE 802.1AB), receiving only: which switch port each nic is plugged into. One packet socket takes the frames of all nics, on the loop; the last
 * of each nic is kept until its time to live is over. Nothing is ever sent, so lldpd, which is a whole protocol engine, is not needed for it.
 *
 * Frames come from the wire: at most FRAME_MAX bytes, every length is checked, texts that are no UTF-8 are shown as hexadecimal digits; a frame that
 * does not begin with chassis, port and time to live is dropped.
 */
#define LOG_MODULE "lldp"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <string.h>
#include <unistd.h>
#include "agent/net/net-priv.h"
#include "common/log.h"
#include "common/loop.h"

#define ETHERTYPE_LLDP 0x88cc
#define FRAME_MAX 9216
#define ORGANIZATION 127
#define LOCAL 7
#define OUI_8021 0x0080c2
#define OUI_8023 0x00120f

struct neighbour { json_t *tlvs; int64_t until_usec; };

struct net_lldp {
	int fd;
	struct watch *watch;
	pthread_mutex_t lock;            /* guards neighbours */
	GHashTable *neighbours;          /* index of the nic -> struct neighbour */
	GHashTable *joined;              /* indices of nics whose LLDP group we are in */
};

static void neighbour_free(void *data)
{
	json_decref(((struct neighbour *)data)->tlvs);
	g_free(data);
}

/* ---- frames ---- */

struct part { const uint8_t *data; size_t length; };

static json_t *text_of(struct part part)
{
	g_autoptr(GString) hex = g_string_new(NULL);

	if (g_utf8_validate((const char *)part.data, (gssize)part.length, NULL))
		return json_stringn((const char *)part.data, part.length);
	for (size_t i = 0; i < part.length; i++)
		g_string_append_printf(hex, "%02x", part.data[i]);
	return json_string(hex->str);
}

/* Address family number of IANA, address. */
static json_t *address_of(struct part part, const char **ret_kind)
{
	char text[INET6_ADDRSTRLEN];

	if (part.length == 5 && part.data[0] == 1) {
		*ret_kind = "IPv4";
		return json_string(inet_ntop(AF_INET, part.data + 1, text, sizeof(text)));
	}
	if (part.length == 17 && part.data[0] == 2) {
		*ret_kind = "IPv6";
		return json_string(inet_ntop(AF_INET6, part.data + 1, text, sizeof(text)));
	}
	if (part.length == 7 && part.data[0] == 6) {
		g_autofree char *mac = net_mac_text(part.data + 1);

		*ret_kind = "MAC";
		return json_string(mac);
	}
	*ret_kind = "Network address";
	return text_of((struct part){ part.data + (part.length > 0), part.length - (part.length > 0) });
}

/* {"<name> subtype": , "<name>": } of a chassis or port, whose subtypes have different numbers; that of an interface's alias is 4 below its name's. */
static json_t *id_of(const char *name, struct part part, int mac, int address, int interface)
{
	g_autofree char *subtype_name = g_strdup_printf("%s subtype", name);
	struct part value = { part.data + 1, part.length - 1 };
	const char *kind = "Other";
	json_t *text;

	if (part.length < 2)
		return NULL;
	if (part.data[0] == mac && value.length == 6) {
		g_autofree char *digits = net_mac_text(value.data);

		kind = "MAC";
		text = json_string(digits);
	} else if (part.data[0] == address)
		text = address_of(value, &kind);
	else {
		kind = part.data[0] == interface ? "Ifname" : part.data[0] == interface - 4 ? "Ifalias" : part.data[0] == LOCAL ? "Local" : kind;
		text = text_of(value);
	}
	return json_pack("{s:s, s:o}", subtype_name, kind, name, text);
}

static json_t *capabilities_of(struct part part)
{
	static const char *const names[] = { "Other", "Repeater", "Bridge", "WLAN Access Point", "Router", "Telephone", "DOCSIS cable device", "Station only",
		"C-VLAN", "S-VLAN", "TPMR" };
	static const char *const members[] = { "system capabilities", "enabled capabilities" };
	json_t *object = json_object();

	for (size_t i = 0; i < G_N_ELEMENTS(members) && part.length >= 4; i++) {
		unsigned bits = (unsigned)part.data[2 * i] << 8 | part.data[2 * i + 1];
		g_autoptr(GString) list = g_string_new(NULL);

		for (size_t k = 0; k < G_N_ELEMENTS(names); k++)
			if (bits & 1u << k)
				g_string_append_printf(list, "%s%s", list->len ? ", " : "", names[k]);
		json_object_set_new(object, members[i], json_string(list->str));
	}
	return object;
}

static json_t *management_of(struct part part)
{
	size_t length = part.length ? part.data[0] : 0;
	const char *kind = "";
	json_t *object, *address;

	if (!length || part.length < 1 + length + 5)
		return NULL;
	address = address_of((struct part){ part.data + 1, length }, &kind);
	object = json_pack("{s:s, s:o}", "management address subtype", kind, "management address", address);
	part.data += 1 + length;
	json_object_set_new(object, "interface numbering subtype", json_string(part.data[0] == 2 ? "Ifindex" : part.data[0] == 3 ? "System port number" : "Unknown"));
	json_object_set_new(object, "interface numbering", json_sprintf("%u", (unsigned)part.data[1] << 24 | part.data[2] << 16 | part.data[3] << 8 | part.data[4]));
	return object;
}

static unsigned number_of(struct part part)
{
	return part.length >= 2 ? (unsigned)part.data[0] << 8 | part.data[1] : 0;
}

static json_t *tlv(int type, const char *name, json_t *properties)
{
	return properties ? json_pack("{s:i, s:s, s:o}", "type", type, "name", name, "properties", properties) : NULL;
}

static json_t *organization_of(struct part part)
{
	unsigned oui, subtype;
	json_t *object = NULL;

	if (part.length < 4)
		return NULL;
	oui = (unsigned)part.data[0] << 16 | part.data[1] << 8 | part.data[2];
	subtype = part.data[3];
	part = (struct part){ part.data + 4, part.length - 4 };
	if (oui == OUI_8021 && subtype == 1 && part.length >= 2)
		object = tlv(ORGANIZATION, "Port VLAN ID", json_pack("{s:o}", "Port VLAN ID", json_sprintf("%u", number_of(part))));
	else if (oui == OUI_8021 && subtype == 3 && part.length >= 3 && part.length >= 3u + part.data[2])
		object = tlv(ORGANIZATION, "VLAN Name", json_pack("{s:o, s:o}", "VLAN ID", json_sprintf("%u", number_of(part)), "VLAN Name",
								  text_of((struct part){ part.data + 3, part.data[2] })));
	else if ((oui == OUI_8021 ? subtype == 7 : oui == OUI_8023 && subtype == 3) && part.length >= 5)
		object = tlv(ORGANIZATION, "Link Aggregation",
			     json_pack("{s:s, s:s, s:o}", "Aggregation capable", part.data[0] & 1 ? "True" : "False", "Currently aggregated",
				       part.data[0] & 2 ? "True" : "False", "Aggregated Port ID",
				       json_sprintf("%u", (unsigned)part.data[1] << 24 | part.data[2] << 16 | part.data[3] << 8 | part.data[4])));
	else if (oui == OUI_8023 && subtype == 4 && part.length >= 2)
		object = tlv(ORGANIZATION, "MTU", json_pack("{s:o}", "mtu", json_sprintf("%u", number_of(part))));
	if (object) {
		json_object_set_new(object, "oui", json_integer(oui));
		json_object_set_new(object, "subtype", json_integer(subtype));
	}
	return object;
}

static json_t *tlv_of(int type, struct part part)
{
	switch (type) {
	case 1:
		return tlv(type, "Chassis ID", id_of("chassis ID", part, 4, 5, 6));
	case 2:
		return tlv(type, "Port ID", id_of("port ID", part, 3, 4, 5));
	case 3:
		return part.length < 2 ? NULL : tlv(type, "Time to Live", json_pack("{s:o}", "time to live", json_sprintf("%u", number_of(part))));
	case 4:
		return tlv(type, "Port Description", json_pack("{s:o}", "port description", text_of(part)));
	case 5:
		return tlv(type, "System Name", json_pack("{s:o}", "system name", text_of(part)));
	case 6:
		return tlv(type, "System Description", json_pack("{s:o}", "system description", text_of(part)));
	case 7:
		return tlv(type, "System Capabilities", capabilities_of(part));
	case 8:
		return tlv(type, "Management Address", management_of(part));
	case ORGANIZATION:
		return organization_of(part);
	default:
		return NULL;
	}
}

json_t *net_lldp_parse(const uint8_t *frame, size_t length, unsigned *ret_seconds)
{
	json_t *tlvs = json_array();

	for (int n = 1; length >= 2; n++) {
		int type = frame[0] >> 1;
		size_t size = (size_t)(frame[0] & 1) << 8 | frame[1];
		struct part part = { frame + 2, size };
		json_t *object;

		if (!type)
			break;
		if (size > length - 2 || (n <= 3 && type != n))
			goto bad;
		object = tlv_of(type, part);
		if (object)
			json_array_append_new(tlvs, object);
		else if (n <= 3)
			goto bad;
		if (type == 3)
			*ret_seconds = number_of(part);
		frame += 2 + size;
		length -= 2 + size;
	}
	if (json_array_size(tlvs) >= 3)
		return tlvs;
bad:
	json_decref(tlvs);
	return NULL;
}

/* ---- the socket ---- */

static void on_frame(int fd, unsigned what, void *data)
{
	struct net_lldp *lldp = data;
	struct sockaddr_ll from = { 0 };
	uint8_t frame[FRAME_MAX];

	for (;;) {
		socklen_t length = sizeof(from);
		ssize_t n = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &length);
		unsigned seconds = 0;
		json_t *tlvs;
		void *key;

		if (n < 0)
			return;
		key = GINT_TO_POINTER(from.sll_ifindex);
		if (from.sll_pkttype == PACKET_OUTGOING || !(tlvs = net_lldp_parse(frame, (size_t)n, &seconds)))
			continue;
		AUTO_LOCK(&lldp->lock);
		if (seconds && g_hash_table_contains(lldp->joined, key)) {
			struct neighbour *neighbour = g_new0(struct neighbour, 1);

			neighbour->tlvs = json_incref(tlvs);
			neighbour->until_usec = now_usec() + (int64_t)seconds * G_USEC_PER_SEC;
			g_hash_table_replace(lldp->neighbours, key, neighbour);
		} else
			g_hash_table_remove(lldp->neighbours, key);            /* it says good-bye */
		json_decref(tlvs);
	}
}

void net_lldp_refresh(struct net_lldp *lldp)
{
	struct netlink *netlink = netlink_new(NULL);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, NULL) : NULL;
	struct packet_mreq group = { .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6, .mr_address = { 0x01, 0x80, 0xc2, 0, 0, 0x0e } };

	AUTO_LOCK(&lldp->lock);
	for (guint i = 0; state && i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];
		void *key = GINT_TO_POINTER(link->index);

		group.mr_ifindex = link->index;
		/* what is gone may come back with the same index: the kernel has forgotten it then, an index is not used twice before 2^31 others */
		if (net_link_is_nic(link) && !g_hash_table_contains(lldp->joined, key) &&
		    setsockopt(lldp->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group)) == 0)
			g_hash_table_add(lldp->joined, key);
	}
	net_state_free(state);
	netlink_free(netlink);
}

json_t *net_lldp_tlvs(struct net_lldp *lldp, int index)
{
	const struct neighbour *neighbour;
	AUTO_LOCK(&lldp->lock);

	neighbour = g_hash_table_lookup(lldp->neighbours, GINT_TO_POINTER(index));
	return neighbour && neighbour->until_usec > now_usec() ? json_deep_copy(neighbour->tlvs) : json_array();
}

struct net_lldp *net_lldp_free(struct net_lldp *lldp)
{
	if (!lldp)
		return NULL;
	watch_free(lldp->watch);
	if (lldp->fd >= 0)
		close(lldp->fd);
	g_hash_table_unref(lldp->neighbours);
	g_hash_table_unref(lldp->joined);
	pthread_mutex_destroy(&lldp->lock);
	g_free(lldp);
	return NULL;
}

/* Blocks for a dump of the links only. */
struct net_lldp *net_lldp_new(struct loop *loop, GError **error)
{
	struct net_lldp *lldp = g_new0(struct net_lldp, 1);

	pthread_mutex_init(&lldp->lock, NULL);
	lldp->neighbours = g_hash_table_new_full(NULL, NULL, NULL, neighbour_free);
	lldp->joined = g_hash_table_new(NULL, NULL);
	/* the frame without its Ethernet header, of every link: a slave's come before its bond takes them */
	if ((lldp->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETHERTYPE_LLDP))) < 0) {
		error_set_errno(error, ERR_UNEXPECTED_ERROR, errno, "LLDP");
		return net_lldp_free(lldp);
	}
	lldp->watch = watch_new(loop, lldp->fd, on_frame, lldp);
	watch_set(lldp->watch, WATCH_READ);
	net_lldp_refresh(lldp);
	return lldp;
}

/* ---- Host.getLldp ---- */

static bool is_asked(const json_t *devices, const char *name)
{
	for (size_t i = 0; i < json_array_size(devices); i++)
		if (!g_strcmp0(json_string_value(json_array_get(devices, i)), name))
			return true;
	return json_array_size(devices) == 0;
}

bool net_lldp_verb(struct agent *agent, const struct verb_call *call, void *data, GString *ret_result, GError **error)
{
	const json_t *devices = json_object_get(((const struct lldp_params *)data)->filter, "devices");
	struct netlink *netlink = netlink_new(error);
	struct net_state *state = netlink ? net_state_read(netlink, /* addresses= */ false, error) : NULL;
	json_t *told = json_object();

	if (devices && !json_is_array(devices)) {
		g_clear_error(error);
		error_set(error, ERR_BAD_PARAMS, "filter: devices is no array of names");
		state = net_state_free(state);
	}
	for (guint i = 0; state && i < state->links->len; i++) {
		const struct net_link *link = state->links->pdata[i];

		if (net_link_is_nic(link) && is_asked(devices, link->name))
			json_object_set_new(told, link->name, json_pack("{s:b, s:o}", "enabled", true, "tlvs", net_lldp_tlvs(agent->net->lldp, link->index)));
	}
	netlink_free(netlink);
	if (!state) {
		json_decref(told);
		return false;
	}
	net_state_free(state);
	result_json(ret_result, told);
	return true;
}
