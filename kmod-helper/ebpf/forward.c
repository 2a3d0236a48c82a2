/* SPDX-License-Identifier: MIT */
/*
 * Forwards RTP between two peers of a media relay: at the ingress of an interface (tcx), and, where an interface is asked for it,
 * before the kernel makes packets of its frames (XDP).
 *
 * A packet whose addresses and ports are those of a flow gets the flow's new ones and leaves. Every other packet, and every
 * packet of a flow that is not quite ordinary, goes on to the stack and so to the relay's socket, which knows what to do with it.
 * Fragments and packets with IP options or extension headers are never looked up, and neither are frames with a VLAN tag: they
 * come again without it on the VLAN's own interface.
 */
#include "flow.h"

INLINE int up(u32 why)
{
	u64 *count = map_lookup(&UPS, &why);

	if (count)
		*count += 1;
	return TCX_NEXT;
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

SECTION("classifier") int viaduct_forward(struct packet_context *ctx)
{
	struct view view = { .ctx = ctx, .len = ctx->len, .ifindex = ctx->ifindex, .kind = ctx->protocol };
	struct packet packet = {};
	struct key key = {};
	struct next_hop next = {};
	struct counters *counters;
	struct rule *rule;
	int is_changing;
	u32 why;
	u64 now;

	if (ctx->pkt_type != PACKET_HOST || ctx->vlan_present || !read(&view, &packet, &key))
		return TCX_NEXT;
	rule = find(&key, &counters, &is_changing);
	if (!rule)
		return is_changing ? up(UP_CHANGING) : TCX_NEXT;
	now = ktime_ns();
	if (!lives(now))
		return up(UP_NO_HEARTBEAT);
	why = ctx->gso_size ? UP_MERGED : objection(&view, &packet, rule);
	if (why == REASONS)
		why = rewrite(ctx, &packet, rule);
	if (why != REASONS) {
		up(why);
		return why == LOST ? TCX_DROP : TCX_NEXT;
	}
	count(counters, &packet, now);
	if (rule->flags & RULE_DELIVER)
		return TCX_NEXT;
	next.family = rule->next_family;
	copy16(next.address, rule->next);
	return redirect_neigh(rule->ifindex, &next, sizeof(next), 0);
}

/* The sum of addresses, length and protocol that a UDP checksum covers beside the datagram. */
INLINE u32 sum_of_addresses(const struct packet *packet)
{
	u32 seed = NET16(PROTOCOL_UDP) + NET16(packet->udp_len);

	if (packet->family == FAMILY_IPV4)
		return csum_diff(0, 0, packet->ip.v4.source, 8, seed);
	return csum_diff(0, 0, packet->ip.v6.source, 32, seed);
}

/* A sender on this machine writes the sum of the addresses and leaves the rest to hardware, which a frame cannot ask for. */
INLINE int is_left_to_hardware(const struct packet *packet)
{
	return packet->udp.checksum == (u16)~folded(sum_of_addresses(packet));
}

/* The UDP checksum after addresses and ports have changed (RFC 1624). */
INLINE u16 new_checksum(const struct packet *packet, u32 addresses, u32 *ports)
{
	u64 sum = (u16)~packet->udp.checksum;
	u16 checksum;

	if (!packet->udp.checksum)
		return 0;
	sum += addresses;
	sum += (u32)csum_diff(&ports[0], 4, &ports[1], 4, 0);
	checksum = folded((sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32));
	return checksum ? checksum : 0xffff;
}

/* Writes the heads of a frame from its first octet on. 0: it has no room for them. */
INLINE int write_heads(struct frame_context *ctx, const struct hop *hop, u32 family, const union header *ip, u32 ports, u16 checksum)
{
	u8 *at = (u8 *)(u64)ctx->data, *end = (u8 *)(u64)ctx->data_end, *udp;

	if (family == FAMILY_IPV4) {
		udp = at + ETHERNET + IPV4_HEADER;
		if (udp + UDP_HEADER > end)
			return 0;
		__builtin_memcpy(at + ETHERNET, ip, IPV4_HEADER);
		*(u16 *)(at + 12) = ETHERTYPE_IPV4;
	} else {
		udp = at + ETHERNET + IPV6_HEADER;
		if (udp + UDP_HEADER > end)
			return 0;
		__builtin_memcpy(at + ETHERNET, ip, IPV6_HEADER);
		*(u16 *)(at + 12) = ETHERTYPE_IPV6;
	}
	__builtin_memcpy(at, hop->to, sizeof(hop->to));
	__builtin_memcpy(at + sizeof(hop->to), hop->from, sizeof(hop->from));
	*(u32 *)udp = ports;
	*(u16 *)(udp + 6) = checksum;
	return 1;
}

/*
 * The same for a frame that is no packet yet. viaduct_frames leads here those for ports of flows, and they are for this host. What is
 * not forwarded goes on as it is, to the program above in the end, which counts why.
 */
SECTION("xdp") int viaduct_forward_frames(struct frame_context *ctx)
{
	struct view view = {};
	struct packet packet = {};
	struct key key = {};
	union header out = {};
	struct sums sums;
	struct counters *counters;
	struct rule *rule;
	struct hop *hop;
	int is_changing;
	u32 ports[2], zero = 0;
	u64 now, *passed;
	u16 kind;

	if (load_frame(ctx, 12, &kind, sizeof(kind)))
		return XDP_PASS;
	view.ctx = ctx;
	view.len = frame_len(ctx);
	view.ifindex = ctx->ingress_ifindex;
	view.kind = kind;
	view.is_frame = 1;
	if (!read(&view, &packet, &key))
		return XDP_PASS;
	rule = find(&key, &counters, &is_changing);
	if (!rule)
		return XDP_PASS;
	now = ktime_ns();
	if (!lives(now) || (rule->flags & RULE_DELIVER) || objection(&view, &packet, rule) != REASONS)
		return XDP_PASS;
	if (is_left_to_hardware(&packet))
		return XDP_PASS;
	/* By interface and neighbour, which a rule has side by side. */
	hop = map_lookup(&HOPS, &rule->ifindex);
	if (!hop)
		return XDP_PASS;
	if (now - hop->asked > HOP_ASKED_EVERY) {
		hop->asked = now;
		return XDP_PASS;
	}
	write_header(&packet, rule, &out);
	sums = sum_up(&packet, &out, rule->family);
	ports[0] = packet.udp.source | (u32)packet.udp.destination << 16;
	ports[1] = rule->source_port | (u32)rule->destination_port << 16;
	/* The heads end where they ended, and begin where there is room for them. */
	if (packet.family != rule->family && move_head(ctx, header_len(packet.family) - header_len(rule->family)))
		return XDP_PASS;
	if (!write_heads(ctx, hop, rule->family, &out, ports[1], new_checksum(&packet, sums.addresses, ports))) {
		up(LOST);
		return XDP_DROP;
	}
	count(counters, &packet, now);
	passed = map_lookup(&AS_FRAMES, &zero);
	if (passed)
		*passed += 1;
	/* Also back to where it came from: with XDP_TX a veth leaves it lying there, unless its peer has a program too. */
	return redirect(rule->ifindex, 0);
}

SECTION("license") char viaduct_license[] = "MIT";
