/* SPDX-License-Identifier: MIT */
/*
 * Forwards RTP between two peers of a media relay, at the ingress of an interface (tcx).
 *
 * A packet whose addresses and ports are those of a flow gets the flow's new ones and leaves. Every other packet, and every
 * packet of a flow that is not quite ordinary, goes on to the stack and so to the relay's socket, which knows what to do with it.
 * Fragments and packets with IP options or extension headers are never looked up, and neither are frames with a VLAN tag: they
 * come again without it on the VLAN's own interface.
 */
#include "forward.h"
#include "packet.h"

#define RTP_HEADER 12

/* RFC 3550, appendix A.1: how far a sequence number may leap ahead, and lag behind, and still be of the same stream. */
#define DROPOUT_MAX 3000
#define MISORDER_MAX 100

struct map SECTION("maps") FLOWS = {
	.type = MAP_TYPE_HASH,
	.key_size = sizeof(struct key),
	.value_size = sizeof(u32),
	.max_entries = 16384,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") RULES = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct rule),
	.max_entries = 16384,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") COUNTERS = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct counters),
	.max_entries = 16384,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") PULSE = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct pulse),
	.max_entries = 1,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") UPS = {
	.type = MAP_TYPE_PERCPU_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(u64),
	.max_entries = REASONS,
	.pinning = PIN_BY_NAME,
};

union header {
	struct ipv4 v4;
	struct ipv6 v6;
	u64 words[5];
};

/* The beginning of what follows the IP header. */
struct beginning {
	u16 source;
	u16 destination;
	u16 length;
	u16 checksum;
	u8 first;
	u8 second;
	u16 sequence;
	u32 timestamp;
	u32 ssrc;
};

struct packet {
	union header ip;
	struct beginning udp;
	u32 family;
	u32 header_len;
	/* Octets of the UDP datagram, header included. */
	u32 udp_len;
	u8 ttl;
};

INLINE u32 header_len(u32 family)
{
	return family == FAMILY_IPV4 ? IPV4_HEADER : IPV6_HEADER;
}

INLINE int up(u32 why)
{
	u64 *count = map_lookup(&UPS, &why);

	if (count)
		*count += 1;
	return TCX_NEXT;
}

INLINE u16 folded(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

INLINE void copy4(u8 *to, const u8 *from)
{
	__builtin_memcpy(to, from, 4);
}

INLINE void copy16(u8 *to, const u8 *from)
{
	__builtin_memcpy(to, from, 16);
}

/* Reads headers and makes the key. 0: not a datagram that may belong to a flow. */
INLINE int read_v4(struct packet_context *ctx, struct packet *packet, struct key *key)
{
	struct ipv4 *ip = &packet->ip.v4;

	if (load_bytes(ctx, ETHERNET, ip, IPV4_HEADER) || ip->version_and_length != 0x45)
		return 0;
	if (ip->protocol != PROTOCOL_UDP || (ip->fragment & NET16(0x3fff)))
		return 0;
	/* The stack drops what has a wrong one; a right one must not be made of it. */
	if (folded(csum_diff(0, 0, ip, IPV4_HEADER, 0)))
		return 0;
	packet->family = FAMILY_IPV4;
	packet->ttl = ip->ttl;
	packet->udp_len = NET16(ip->length) - IPV4_HEADER;
	copy4(key->peer, ip->source);
	copy4(key->local, ip->destination);
	return 1;
}

INLINE int read_v6(struct packet_context *ctx, struct packet *packet, struct key *key)
{
	struct ipv6 *ip = &packet->ip.v6;

	if (load_bytes(ctx, ETHERNET, ip, IPV6_HEADER))
		return 0;
	if ((ip->version_class_label & NET32(0xf0000000)) != NET32(0x60000000) || ip->next != PROTOCOL_UDP)
		return 0;
	packet->family = FAMILY_IPV6;
	packet->ttl = ip->hops;
	packet->udp_len = NET16(ip->length);
	copy16(key->peer, ip->source);
	copy16(key->local, ip->destination);
	return 1;
}

INLINE int read(struct packet_context *ctx, struct packet *packet, struct key *key)
{
	int ok;

	if (ctx->pkt_type != PACKET_HOST || ctx->vlan_present)
		return 0;
	if (ctx->protocol == ETHERTYPE_IPV4)
		ok = read_v4(ctx, packet, key);
	else if (ctx->protocol == ETHERTYPE_IPV6)
		ok = read_v6(ctx, packet, key);
	else
		return 0;
	packet->header_len = header_len(packet->family);
	if (!ok || load_bytes(ctx, ETHERNET + packet->header_len, &packet->udp, sizeof(packet->udp)))
		return 0;
	key->family = packet->family;
	key->local_port = packet->udp.destination;
	key->peer_port = packet->udp.source;
	return 1;
}

INLINE int same_key(const struct key *left, const struct key *right)
{
	const u64 *a = (const u64 *)left;
	const u64 *b = (const u64 *)right;

	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]));
}

INLINE int lives(u64 now)
{
	u32 zero = 0;
	struct pulse *pulse = map_lookup(&PULSE, &zero);

	return pulse && now - pulse->heartbeat <= pulse->patience;
}

/* Whether contributing sources and a header extension end within the datagram (RFC 3550, sections 5.1 and 5.3.1). */
INLINE int header_fits(struct packet_context *ctx, const struct packet *packet)
{
	u32 len = UDP_HEADER + RTP_HEADER + 4 * (packet->udp.first & 0x0f);
	u16 extension[2];

	if (packet->udp.first & 0x10) {
		if (load_bytes(ctx, ETHERNET + packet->header_len + len, extension, 4))
			return 0;
		len += 4 + 4 * (u32)NET16(extension[1]);
	}
	return len <= packet->udp_len;
}

/* Why the packet goes up, or REASONS. */
INLINE u32 objection(struct packet_context *ctx, const struct packet *packet, const struct rule *rule)
{
	u8 payload_type = packet->udp.second & 0x7f;
	u32 out_len = header_len(rule->family) + packet->udp_len;

	if (ctx->gso_size)
		return UP_MERGED;
	if (ctx->len != ETHERNET + packet->header_len + packet->udp_len ||
	    NET16(packet->udp.length) != packet->udp_len)
		return UP_LENGTH;
	if (packet->udp_len < UDP_HEADER + RTP_HEADER || (packet->udp.first & 0xc0) != 0x80)
		return UP_NOT_RTP;
	if (packet->udp.second >= 192 && packet->udp.second <= 223) {
		if (!(rule->flags & RULE_RTCP))
			return UP_RTCP;
	} else {
		if (!(rule->payload_types[payload_type >> 6] >> (payload_type & 63) & 1))
			return UP_PAYLOAD_TYPE;
		if (packet->udp.first & 0x20)
			return UP_PADDING;
		if ((packet->udp.first & 0x1f) && !header_fits(ctx, packet))
			return UP_HEADER;
	}
	if (packet->ttl <= 1)
		return UP_TTL;
	/* Without a checksum over IPv4: there is none to change into IPv6's, which must have one (RFC 8200, section 8.1). */
	if (!packet->udp.checksum && (packet->family == FAMILY_IPV6 || rule->family == FAMILY_IPV6))
		return UP_CHECKSUM;
	if (out_len > rule->mtu)
		return UP_MTU;
	if ((rule->flags & RULE_DELIVER) && ctx->ifindex != LOOPBACK_IFINDEX)
		return UP_NOT_LOOPBACK;
	return REASONS;
}

/* The new IP header. A change of family makes an atomic datagram (RFC 6864) or one without flow label. */
INLINE void write_header(const struct packet *packet, const struct rule *rule, union header *out)
{
	if (rule->family == FAMILY_IPV4) {
		struct ipv4 *ip = &out->v4;
		int was_v4 = packet->family == FAMILY_IPV4;

		ip->version_and_length = 0x45;
		ip->tos = rule->tos;
		ip->length = NET16(IPV4_HEADER + packet->udp_len);
		ip->id = was_v4 ? packet->ip.v4.id : 0;
		ip->fragment = was_v4 ? packet->ip.v4.fragment : NET16(0x4000);
		ip->ttl = packet->ttl - 1;
		ip->protocol = PROTOCOL_UDP;
		ip->checksum = 0;
		copy4(ip->source, rule->source);
		copy4(ip->destination, rule->destination);
		ip->checksum = folded(csum_diff(0, 0, ip, IPV4_HEADER, 0));
	} else {
		struct ipv6 *ip = &out->v6;
		u32 label = packet->family == FAMILY_IPV6 ? packet->ip.v6.version_class_label & NET32(0x000fffff) : 0;

		ip->version_class_label = NET32(0x60000000 | (u32)rule->tos << 20) | label;
		ip->length = NET16(packet->udp_len);
		ip->next = PROTOCOL_UDP;
		ip->hops = packet->ttl - 1;
		copy16(ip->source, rule->source);
		copy16(ip->destination, rule->destination);
	}
}

/* Sums that change: of the addresses, which the UDP checksum covers, and of all that the interface's own sum covers. An IPv4
 * header sums up to nothing, since it has its own checksum. */
struct sums {
	u32 addresses;
	u32 header;
};

INLINE struct sums sum_up(const struct packet *packet, const union header *out, u32 family)
{
	struct sums sums;
	int was_v4 = packet->family == FAMILY_IPV4, is_v4 = family == FAMILY_IPV4;

	if (was_v4 && is_v4)
		sums.addresses = csum_diff(packet->ip.v4.source, 8, out->v4.source, 8, 0);
	else if (was_v4)
		sums.addresses = csum_diff(packet->ip.v4.source, 8, out->v6.source, 32, 0);
	else if (is_v4)
		sums.addresses = csum_diff(packet->ip.v6.source, 32, out->v4.source, 8, 0);
	else
		sums.addresses = csum_diff(packet->ip.v6.source, 32, out->v6.source, 32, 0);
	sums.header = 0;
	if (!was_v4 && is_v4)
		sums.header = csum_diff(&packet->ip, IPV6_HEADER, 0, 0, 0);
	else if (was_v4 && !is_v4)
		sums.header = csum_diff(0, 0, out, IPV6_HEADER, 0);
	else if (!was_v4)
		sums.header = csum_diff(&packet->ip, IPV6_HEADER, out, IPV6_HEADER, 0);
	return sums;
}

/* Makes the packet the flow's. 0: done; else where it went wrong. */
INLINE u32 rewrite(struct packet_context *ctx, const struct packet *packet, const struct rule *rule)
{
	union header out = {};
	struct sums sums;
	u32 udp_at = ETHERNET + header_len(rule->family);
	u32 ports[2];
	s64 failed = 0;

	/* From here on nothing fails for want of memory, but for the growth of the header, which comes first. */
	if (pull_data(ctx, ETHERNET + packet->header_len + sizeof(packet->udp)))
		return UP_MEMORY;
	if (packet->family != rule->family &&
	    change_proto(ctx, rule->family == FAMILY_IPV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6, 0))
		return UP_MEMORY;
	write_header(packet, rule, &out);
	sums = sum_up(packet, &out, rule->family);
	ports[0] = packet->udp.source | (u32)packet->udp.destination << 16;
	ports[1] = rule->source_port | (u32)rule->destination_port << 16;
	if (rule->family == FAMILY_IPV4)
		failed |= store_bytes(ctx, ETHERNET, &out, IPV4_HEADER, 0);
	else
		failed |= store_bytes(ctx, ETHERNET, &out, IPV6_HEADER, 0);
	failed |= l4_csum_replace(ctx, udp_at + 6, 0, sums.addresses, CSUM_PSEUDO_HEADER | CSUM_ZERO_IS_NONE);
	failed |= l4_csum_replace(ctx, udp_at + 6, ports[0], ports[1], 4 | CSUM_ZERO_IS_NONE);
	failed |= store_bytes(ctx, udp_at, &ports[1], 4, 0);
	/* Refused where the interface gave no sum of its own: then there is none to correct. */
	csum_update(ctx, sums.header);
	return failed ? LOST : REASONS;
}

INLINE void new_source(struct counters *counters, u32 ssrc, u16 sequence)
{
	if (counters->sources)
		counters->expected_before += counters->highest - counters->first + 1;
	counters->ssrc = ssrc;
	counters->first = sequence;
	counters->highest = sequence;
	counters->sources += 1;
}

/* Flows have one sender, whose packets one processor handles: only the sums are added up as if there were several. */
INLINE void count(struct counters *counters, const struct packet *packet, u64 now)
{
	u64 octets = packet->udp_len - UDP_HEADER;
	u32 ssrc = NET32(packet->udp.ssrc);
	u16 sequence = NET16(packet->udp.sequence);
	u16 ahead = sequence - (u16)counters->highest;

	counters->last_packet = now;
	if (packet->udp.second >= 192 && packet->udp.second <= 223) {
		__sync_fetch_and_add(&counters->rtcp_packets, 1);
		__sync_fetch_and_add(&counters->rtcp_octets, octets);
		return;
	}
	__sync_fetch_and_add(&counters->rtp_packets, 1);
	__sync_fetch_and_add(&counters->rtp_octets, octets);
	if (!counters->sources || counters->ssrc != ssrc)
		new_source(counters, ssrc, sequence);
	else if (ahead < DROPOUT_MAX)
		counters->highest += ahead;
	else if (ahead <= 0xffff - MISORDER_MAX)
		new_source(counters, ssrc, sequence);
	counters->timestamp = NET32(packet->udp.timestamp);
	counters->payload_type = packet->udp.second & 0x7f;
}

SECTION("classifier") int viaduct_forward(struct packet_context *ctx)
{
	struct packet packet = {};
	struct key key = {};
	struct next_hop next = {};
	struct counters *counters;
	struct rule *rule;
	u32 *found, slot, why;
	u64 now;

	if (!read(ctx, &packet, &key))
		return TCX_NEXT;
	found = map_lookup(&FLOWS, &key);
	if (!found)
		return TCX_NEXT;
	slot = *found;
	rule = map_lookup(&RULES, &slot);
	counters = map_lookup(&COUNTERS, &slot);
	if (!rule || !counters || !same_key(&key, &rule->key))
		return up(UP_CHANGING);
	now = ktime_ns();
	if (!lives(now))
		return up(UP_NO_HEARTBEAT);
	why = objection(ctx, &packet, rule);
	if (why != REASONS)
		return up(why);
	why = rewrite(ctx, &packet, rule);
	if (why == LOST) {
		up(why);
		return TCX_DROP;
	}
	if (why != REASONS)
		return up(why);
	count(counters, &packet, now);
	if (rule->flags & RULE_DELIVER)
		return TCX_NEXT;
	next.family = rule->next_family;
	copy16(next.address, rule->next);
	return redirect_neigh(rule->ifindex, &next, sizeof(next), 0);
}

SECTION("license") char viaduct_license[] = "MIT";
