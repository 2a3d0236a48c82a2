/* SPDX-License-Identifier: MIT */
/*
 * Flows: their tables, what is read of a packet that may be of one, whether it is ordinary enough to be forwarded, its new header,
 * and what is counted of it. Packets of the stack and frames that are none yet are looked at by the same code.
 */
#ifndef VIADUCT_FLOW_H
#define VIADUCT_FLOW_H

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

/* One more than the place of a flow that has a port, or 0: for each even port and the odd one behind it in 16 bits, four in a word. A
 * guess that is right for nearly all packets, and stays in the caches where FLOWS does not. User space has it in its memory. */
struct map SECTION("maps") GUESSES = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(u64),
	.max_entries = 8192,
	.flags = MAP_MMAPABLE,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") RULES = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct rule),
	.max_entries = 16384,
	/* Begins at a page, so that no entry is in more lines of the caches than it fills. */
	.flags = MAP_MMAPABLE,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") COUNTERS = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct counters),
	.max_entries = 16384,
	/* Begins at a page, so that no entry is in more lines of the caches than it fills. */
	.flags = MAP_MMAPABLE,
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

/* Neighbours to whom packets may be sent without the stack. */
struct map SECTION("maps") HOPS = {
	.type = MAP_TYPE_HASH,
	.key_size = sizeof(struct hop_key),
	.value_size = sizeof(struct hop),
	.max_entries = 16384,
	.flags = NO_PREALLOC,
	.pinning = PIN_BY_NAME,
};

struct map SECTION("maps") PASSED = {
	.type = MAP_TYPE_PERCPU_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(u64),
	.max_entries = SHORTCUTS,
	.pinning = PIN_BY_NAME,
};

/* Where the octets of a packet are: in a packet of the stack, or in a frame. Which of the two is known when this is compiled. */
struct view {
	void *ctx;
	/* The first octet, and that behind the last one that can be read in place. */
	const u8 *at;
	const u8 *end;
	/* Octets of the frame. */
	u32 len;
	/* Where it came in. */
	u32 ifindex;
	/* In network order, as in the frame. */
	u16 kind;
	u8 is_frame;
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

/* Octets of a frame that are looked at, whatever its family. */
#define HEADS_MAX (ETHERNET + IPV6_HEADER + sizeof(struct beginning))

struct packet {
	union header ip;
	struct beginning udp;
	u32 family;
	u32 header_len;
	/* Octets of the UDP datagram, header included. */
	u32 udp_len;
	u8 ttl;
};

INLINE s64 load(const struct view *view, u32 at, void *to, u32 len)
{
	return view->is_frame ? load_frame(view->ctx, at, to, len) : load_bytes(view->ctx, at, to, len);
}

INLINE u32 header_len(u32 family)
{
	return family == FAMILY_IPV4 ? IPV4_HEADER : IPV6_HEADER;
}

/* The family of what leaves. */
INLINE u32 family_of(const struct rule *rule)
{
	return rule->flags & RULE_IPV6 ? FAMILY_IPV6 : FAMILY_IPV4;
}

/* The Internet checksum (RFC 1071) of what was summed up in words of 16 or 32 bits, 65,536 at most. */
INLINE u16 folded(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The same sum in 32 bits, as the kernel adds up. */
INLINE u32 in_32_bits(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

INLINE u64 sum(const void *of, int words)
{
	const u32 *word = of;
	u64 sum = 0;

	for (int at = 0; at < words; at += 1)
		sum += word[at];
	return sum;
}

/* What is to be added to take this out of a sum. */
INLINE u64 sum_without(const void *of, int words)
{
	const u32 *word = of;
	u64 sum = 0;

	for (int at = 0; at < words; at += 1)
		sum += (u32)~word[at];
	return sum;
}

INLINE void copy_words(void *to, const void *from, int words)
{
	const u32 *word = from;
	u32 *copy = to;

	for (int at = 0; at < words; at += 1)
		copy[at] = word[at];
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
INLINE int read_v4(const struct view *view, struct packet *packet, struct key *key)
{
	struct ipv4 *ip = &packet->ip.v4;

	if (view->at + ETHERNET + IPV4_HEADER + sizeof(packet->udp) > view->end)
		return 0;
	copy_words(ip, view->at + ETHERNET, IPV4_HEADER / 4);
	copy_words(&packet->udp, view->at + ETHERNET + IPV4_HEADER, sizeof(packet->udp) / 4);
	if (ip->version_and_length != 0x45)
		return 0;
	if (ip->protocol != PROTOCOL_UDP || (ip->fragment & NET16(0x3fff)))
		return 0;
	/* The stack drops what has a wrong one; a right one must not be made of it. */
	if (folded(sum(ip, IPV4_HEADER / 4)))
		return 0;
	packet->family = FAMILY_IPV4;
	packet->ttl = ip->ttl;
	packet->udp_len = NET16(ip->length) - IPV4_HEADER;
	copy4(key->peer, ip->source);
	copy4(key->local, ip->destination);
	return 1;
}

INLINE int read_v6(const struct view *view, struct packet *packet, struct key *key)
{
	struct ipv6 *ip = &packet->ip.v6;

	if (view->at + ETHERNET + IPV6_HEADER + sizeof(packet->udp) > view->end)
		return 0;
	copy_words(ip, view->at + ETHERNET, IPV6_HEADER / 4);
	copy_words(&packet->udp, view->at + ETHERNET + IPV6_HEADER, sizeof(packet->udp) / 4);
	if ((ip->version_class_label & NET32(0xf0000000)) != NET32(0x60000000) || ip->next != PROTOCOL_UDP)
		return 0;
	packet->family = FAMILY_IPV6;
	packet->ttl = ip->hops;
	packet->udp_len = NET16(ip->length);
	copy16(key->peer, ip->source);
	copy16(key->local, ip->destination);
	return 1;
}

INLINE int read(const struct view *view, struct packet *packet, struct key *key)
{
	int ok;

	if (view->kind == ETHERTYPE_IPV4)
		ok = read_v4(view, packet, key);
	else if (view->kind == ETHERTYPE_IPV6)
		ok = read_v6(view, packet, key);
	else
		return 0;
	if (!ok)
		return 0;
	packet->header_len = header_len(packet->family);
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

/* Whether not more than so long has passed. User space has a finer clock, which may be ahead. */
INLINE int is_within(s64 time, u64 since, u64 now)
{
	return (s64)(now - since) <= time;
}

INLINE int lives(u64 now)
{
	u32 zero = 0;
	struct pulse *pulse = map_lookup(&PULSE, &zero);

	return pulse && is_within(pulse->patience, pulse->heartbeat, now);
}

/* The flow that has a place, if it has this key. */
INLINE struct rule *at_place(u32 slot, const struct key *key, struct counters **counters)
{
	struct rule *rule = map_lookup(&RULES, &slot);

	*counters = map_lookup(&COUNTERS, &slot);
	return rule && *counters && same_key(key, &rule->key) ? rule : 0;
}

/* The flow of a packet. 0: there is none, or *is_changing. */
INLINE struct rule *find(const struct key *key, struct counters **counters, int *is_changing)
{
	u32 port = NET16(key->local_port), at = port / 8, guess, *found;
	u64 *guesses = map_lookup(&GUESSES, &at);
	struct rule *rule;

	*is_changing = 0;
	guess = guesses ? (u16)(*guesses >> port % 8 / 2 * 16) : 0;
	if (guess) {
		rule = at_place(guess - 1, key, counters);
		if (rule)
			return rule;
	}
	found = map_lookup(&FLOWS, key);
	if (!found)
		return 0;
	rule = at_place(*found, key, counters);
	*is_changing = !rule;
	return rule;
}

/* Whether contributing sources and a header extension end within the datagram (RFC 3550, sections 5.1 and 5.3.1). */
INLINE int header_fits(const struct view *view, const struct packet *packet)
{
	u32 len = UDP_HEADER + RTP_HEADER + 4 * (packet->udp.first & 0x0f);
	u16 extension[2];

	if (packet->udp.first & 0x10) {
		if (load(view, ETHERNET + packet->header_len + len, extension, 4))
			return 0;
		len += 4 + 4 * (u32)NET16(extension[1]);
	}
	return len <= packet->udp_len;
}

/* Why the packet goes up, or REASONS. */
INLINE u32 objection(const struct view *view, const struct packet *packet, const struct rule *rule)
{
	u8 payload_type = packet->udp.second & 0x7f;
	u32 out_len = header_len(family_of(rule)) + packet->udp_len;

	if (view->len != ETHERNET + packet->header_len + packet->udp_len ||
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
		if ((packet->udp.first & 0x1f) && !header_fits(view, packet))
			return UP_HEADER;
	}
	if (packet->ttl <= 1)
		return UP_TTL;
	/* Without a checksum over IPv4: there is none to change into IPv6's, which must have one (RFC 8200, section 8.1). */
	if (!packet->udp.checksum && (packet->family == FAMILY_IPV6 || family_of(rule) == FAMILY_IPV6))
		return UP_CHECKSUM;
	if (out_len > rule->mtu)
		return UP_MTU;
	if ((rule->flags & RULE_DELIVER) && view->ifindex != LOOPBACK_IFINDEX)
		return UP_NOT_LOOPBACK;
	return REASONS;
}

/* The new IP header. A change of family makes an atomic datagram (RFC 6864) or one without flow label. */
INLINE void write_header(const struct packet *packet, const struct rule *rule, union header *out)
{
	if (family_of(rule) == FAMILY_IPV4) {
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
		ip->checksum = folded(sum(ip, IPV4_HEADER / 4));
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

/* What the sum of the addresses, which the UDP checksum covers, becomes more. */
INLINE u64 addresses_diff(const struct packet *packet, const union header *out, u32 family)
{
	u64 diff;

	if (packet->family == FAMILY_IPV4)
		diff = sum_without(packet->ip.v4.source, 2);
	else
		diff = sum_without(packet->ip.v6.source, 8);
	return diff + (family == FAMILY_IPV4 ? sum(out->v4.source, 2) : sum(out->v6.source, 8));
}

/* What the sum of the headers becomes more. An IPv4 header sums up to nothing, since it has its own checksum. */
INLINE u64 headers_diff(const struct packet *packet, const union header *out, u32 family)
{
	u64 diff = packet->family == FAMILY_IPV4 ? 0 : sum_without(&packet->ip, IPV6_HEADER / 4);

	return diff + (family == FAMILY_IPV4 ? 0 : sum(out, IPV6_HEADER / 4));
}

/* A sender on this machine writes the sum of addresses, length and protocol, and leaves the rest to hardware. Of a whole sum it is
 * chance. */
INLINE int may_be_left_to_hardware(const struct packet *packet)
{
	u64 of = NET16(PROTOCOL_UDP) + NET16(packet->udp_len);

	of += packet->family == FAMILY_IPV4 ? sum(packet->ip.v4.source, 2) : sum(packet->ip.v6.source, 8);
	return packet->udp.checksum == (u16)~folded(of);
}

/* Both ports, as they are side by side in a datagram. */
INLINE u32 ports(u16 source, u16 destination)
{
	return source | (u32)destination << 16;
}

/* The UDP checksum when addresses and ports have changed (RFC 1624). */
INLINE u16 new_checksum(const struct packet *packet, const struct rule *rule, u64 diff)
{
	u16 checksum;

	if (!packet->udp.checksum)
		return 0;
	diff += (u16)~packet->udp.checksum;
	diff += (u32)~ports(packet->udp.source, packet->udp.destination);
	diff += ports(rule->source_port, rule->destination_port);
	checksum = folded(diff);
	return checksum ? checksum : 0xffff;
}

/* The flow's neighbour, if packets may go there that way, and the stack need not be made to ask for it. */
INLINE struct hop *hop_of(const struct rule *rule, u32 way, u64 now)
{
	/* By interface and neighbour, which a rule has side by side. */
	struct hop *hop = map_lookup(&HOPS, &rule->ifindex);

	if (!hop || !(hop->ways & way))
		return 0;
	if (is_within(HOP_ASKED_EVERY, hop->asked, now))
		return hop;
	/* A frame that goes on is soon a packet, which must not go across then. */
	if (way == HOP_ACROSS || !(hop->ways & HOP_ACROSS))
		hop->asked = now;
	return 0;
}

INLINE void count_passed(u32 how)
{
	u64 *passed = map_lookup(&PASSED, &how);

	if (passed)
		*passed += 1;
}

INLINE void new_source(struct counters *counters, u32 ssrc, u16 sequence)
{
	if (counters->is_heard)
		counters->expected_before += counters->highest - counters->first + 1;
	counters->ssrc = ssrc;
	counters->first = sequence;
	counters->highest = sequence;
	counters->is_heard = 1;
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
	if (!counters->is_heard || counters->ssrc != ssrc)
		new_source(counters, ssrc, sequence);
	else if (ahead < DROPOUT_MAX)
		counters->highest += ahead;
	else if (ahead <= 0xffff - MISORDER_MAX)
		new_source(counters, ssrc, sequence);
	counters->timestamp = NET32(packet->udp.timestamp);
	counters->payload_type = packet->udp.second & 0x7f;
}

#endif
