/* SPDX-License-Identifier: MIT */
/*
 * Forwards RTP between two peers of a media relay: at the ingress of an interface (tcx), and, where an interface is asked for it,
 * before the kernel makes packets of its frames (XDP).
 *
 * A packet whose addresses and ports are those of a flow gets the flow's new ones and leaves. Every other packet, and every
 * packet of a flow that is not quite ordinary, goes on to the stack and so to the relay's socket, which knows what to do with it.
 * One whose receiver is at the other end of a pair of interfaces, in another network namespace, comes in there at once: neither the
 * stack's way out nor its queue for what comes in is asked.
 * Fragments and packets with IP options or extension headers are never looked up, and neither are frames with a VLAN tag: they
 * come again without it on the VLAN's own interface.
 */
#include "flow.h"

/* Keeps the compiler from making one piece of code for both families, with a distance that varies: without CAP_PERFMON programs may
 * not go such a distance in a packet. */
#define APART() __asm__ volatile("")

INLINE int up(u32 why)
{
	u64 *count = map_lookup(&UPS, &why);

	if (count)
		*count += 1;
	return TCX_NEXT;
}

/* Everything before the datagram's payload, as it leaves. Only packets that do not leave by the stack have the first line written. */
struct head {
	u16 unused;
	u8 to[6];
	u8 from[6];
	u16 kind;
	union {
		union header ip;
		u32 words[(IPV6_HEADER + UDP_HEADER) / 4];
	};
};

/* Writes so much of it, from the IP header on, and what is before that too if the packet goes to a neighbour across. */
INLINE s64 store_head(struct packet_context *ctx, struct head *head, const struct hop *across, u32 len)
{
	if (!across)
		return store_bytes(ctx, ETHERNET, &head->ip, len, 0);
	__builtin_memcpy(head->to, across->to, sizeof(head->to));
	__builtin_memcpy(head->from, across->from, sizeof(head->from));
	return store_bytes(ctx, 0, head->to, ETHERNET + len, 0);
}

/* Makes the packet the flow's. REASONS: done; else where it went wrong. */
INLINE u32 rewrite(struct packet_context *ctx, const struct packet *packet, const struct rule *rule, const struct hop *across)
{
	struct head head = {};
	u32 checksum_at = ETHERNET + header_len(family_of(rule)) + 6;
	u32 old_ports = ports(packet->udp.source, packet->udp.destination);
	u32 new_ports = ports(rule->source_port, rule->destination_port);
	int of_hardware = may_be_left_to_hardware(packet);
	u64 addresses, headers;
	u32 rest = packet->udp.length;
	s64 failed;

	write_header(packet, rule, &head.ip);
	addresses = addresses_diff(packet, &head.ip, family_of(rule));
	headers = headers_diff(packet, &head.ip, family_of(rule));
	rest |= (u32)(of_hardware ? packet->udp.checksum : new_checksum(packet, rule, addresses)) << 16;
	if (packet->family != family_of(rule) &&
	    change_proto(ctx, family_of(rule) == FAMILY_IPV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6, 0))
		return UP_MEMORY;
	if (family_of(rule) == FAMILY_IPV4) {
		head.kind = ETHERTYPE_IPV4;
		head.words[5] = new_ports;
		head.words[6] = rest;
		failed = store_head(ctx, &head, across, IPV4_HEADER + UDP_HEADER);
	} else {
		head.kind = ETHERTYPE_IPV6;
		head.words[10] = new_ports;
		head.words[11] = rest;
		failed = store_head(ctx, &head, across, IPV6_HEADER + UDP_HEADER);
	}
	if (failed)
		return packet->family == family_of(rule) ? UP_MEMORY : LOST;
	/* From here on nothing fails for want of memory. Only the kernel knows what a sum that may be hardware's is. */
	if (of_hardware) {
		failed |= l4_csum_replace(ctx, checksum_at, 0, in_32_bits(addresses), CSUM_PSEUDO_HEADER | CSUM_ZERO_IS_NONE);
		failed |= l4_csum_replace(ctx, checksum_at, old_ports, new_ports, 4 | CSUM_ZERO_IS_NONE);
	} else {
		headers += (u32)~in_32_bits(addresses);
	}
	/* Refused where the interface gave no sum of its own: then there is none to correct. */
	csum_update(ctx, in_32_bits(headers));
	return failed ? LOST : REASONS;
}

/* Some drivers leave all that follows the first octets elsewhere. Whether it is worth fetching. */
INLINE int may_be_elsewhere(const struct view *view)
{
	u8 protocol;

	if (view->at + HEADS_MAX <= view->end || view->len < HEADS_MAX)
		return 0;
	if (view->at + ETHERNET + IPV4_HEADER > view->end)
		return 1;
	if (view->kind == ETHERTYPE_IPV4) {
		protocol = view->at[ETHERNET + 9];
		APART();
	} else {
		protocol = view->at[ETHERNET + 6];
		APART();
	}
	return protocol == PROTOCOL_UDP;
}

SECTION("classifier") int viaduct_forward(struct packet_context *ctx)
{
	struct view view = { .ctx = ctx, .len = ctx->len, .ifindex = ctx->ifindex, .kind = ctx->protocol };
	struct packet packet = {};
	struct key key = {};
	struct next_hop next = {};
	struct counters *counters;
	struct rule *rule;
	struct hop *across;
	int is_changing;
	u32 why;
	u64 now;

	if (ctx->pkt_type != PACKET_HOST || ctx->vlan_present)
		return TCX_NEXT;
	if (view.kind != ETHERTYPE_IPV4 && view.kind != ETHERTYPE_IPV6)
		return TCX_NEXT;
	view.at = (const u8 *)(u64)ctx->data;
	view.end = (const u8 *)(u64)ctx->data_end;
	if (!read(&view, &packet, &key)) {
		if (!may_be_elsewhere(&view) || pull_data(ctx, HEADS_MAX))
			return TCX_NEXT;
		view.at = (const u8 *)(u64)ctx->data;
		view.end = (const u8 *)(u64)ctx->data_end;
		if (!read(&view, &packet, &key))
			return TCX_NEXT;
	}
	rule = find(&key, &counters, &is_changing);
	if (!rule)
		return is_changing ? up(UP_CHANGING) : TCX_NEXT;
	now = clock_ns();
	if (!lives(now))
		return up(UP_NO_HEARTBEAT);
	why = ctx->gso_size ? UP_MERGED : objection(&view, &packet, rule);
	across = why == REASONS && (rule->flags & RULE_PAIR) ? hop_of(rule, HOP_ACROSS, now) : 0;
	if (why == REASONS)
		why = rewrite(ctx, &packet, rule, across);
	if (why != REASONS) {
		up(why);
		return why == LOST ? TCX_DROP : TCX_NEXT;
	}
	count(counters, &packet, now);
	if (rule->flags & RULE_DELIVER)
		return TCX_NEXT;
	if (across) {
		count_passed(ACROSS);
		return redirect_peer(rule->ifindex, 0);
	}
	next.family = rule->next_family;
	copy16(next.address, rule->next);
	return redirect_neigh(rule->ifindex, &next, sizeof(next), 0);
}

/* Writes the heads of a frame whose IP header is so long from its first octet on. 0: it has no room for them. */
INLINE int write_heads(struct frame_context *ctx, const struct hop *hop, const struct rule *rule, const union header *ip, u32 ip_len,
		       u16 checksum)
{
	u8 *at = (u8 *)(u64)ctx->data, *end = (u8 *)(u64)ctx->data_end;

	if (at + ETHERNET + ip_len + UDP_HEADER > end)
		return 0;
	__builtin_memcpy(at, hop->to, sizeof(hop->to));
	__builtin_memcpy(at + sizeof(hop->to), hop->from, sizeof(hop->from));
	*(u16 *)(at + 12) = ip_len == IPV4_HEADER ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
	copy_words(at + ETHERNET, ip, ip_len / 4);
	*(u32 *)(at + ETHERNET + ip_len) = ports(rule->source_port, rule->destination_port);
	*(u16 *)(at + ETHERNET + ip_len + 6) = checksum;
	APART();
	return 1;
}

/*
 * The same for a frame that is no packet yet. viaduct_frames leads here those for ports of flows, and they are for this host. What is
 * not forwarded goes on as it is, to the program above in the end, which counts why.
 */
SECTION("xdp") int viaduct_forward_frames(struct frame_context *ctx)
{
	struct view view = { .ctx = ctx, .ifindex = ctx->ingress_ifindex, .is_frame = 1 };
	struct packet packet = {};
	struct key key = {};
	union header out = {};
	struct counters *counters;
	struct rule *rule;
	struct hop *hop;
	int is_changing, written;
	u16 checksum;
	u64 now;

	view.at = (const u8 *)(u64)ctx->data;
	view.end = (const u8 *)(u64)ctx->data_end;
	view.len = frame_len(ctx);
	if (view.at + ETHERNET > view.end)
		return XDP_PASS;
	view.kind = *(const u16 *)(view.at + 12);
	if (!read(&view, &packet, &key))
		return XDP_PASS;
	rule = find(&key, &counters, &is_changing);
	if (!rule)
		return XDP_PASS;
	now = clock_ns();
	if (!lives(now) || (rule->flags & RULE_DELIVER) || objection(&view, &packet, rule) != REASONS)
		return XDP_PASS;
	/* Hardware is not asked for a sum here. */
	if (may_be_left_to_hardware(&packet))
		return XDP_PASS;
	hop = hop_of(rule, HOP_FRAMES, now);
	if (!hop)
		return XDP_PASS;
	write_header(&packet, rule, &out);
	checksum = new_checksum(&packet, rule, addresses_diff(&packet, &out, family_of(rule)));
	/* The heads end where they ended, and begin where there is room for them. */
	if (packet.family != family_of(rule) && move_head(ctx, header_len(packet.family) - header_len(family_of(rule))))
		return XDP_PASS;
	if (family_of(rule) == FAMILY_IPV4)
		written = write_heads(ctx, hop, rule, &out, IPV4_HEADER, checksum);
	else
		written = write_heads(ctx, hop, rule, &out, IPV6_HEADER, checksum);
	if (!written) {
		up(LOST);
		return XDP_DROP;
	}
	count(counters, &packet, now);
	count_passed(AS_FRAMES);
	/* Also back to where it came from: with XDP_TX a veth leaves it lying there, unless its peer has a program too. */
	return redirect(rule->ifindex, 0);
}

SECTION("license") char viaduct_license[] = "MIT";
