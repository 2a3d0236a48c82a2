/* SPDX-License-Identifier: MIT */
/*
 * Hands the datagrams of many ports to few sockets: at the very end of their way through the kernel (sk_lookup), and, at the
 * interfaces that are asked for it, at the very beginning (XDP).
 */
#include "kernel.h"
#include "packet.h"
#include "steer.h"

/* Where the ports of an address begin in PORTS. */
struct map SECTION("maps") ADDRESSES = {
	.type = MAP_TYPE_HASH,
	.key_size = sizeof(struct address),
	.value_size = sizeof(u32),
	.max_entries = 1,
};

/* Who hears each port of each address. User space has it in its memory: ports come and go with calls. */
struct map SECTION("maps") PORTS = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct hearer),
	.max_entries = PORTS_EACH,
	.flags = MAP_MMAPABLE,
};

struct map SECTION("maps") SOCKETS = {
	.type = MAP_TYPE_SOCKMAP,
	.key_size = sizeof(u32),
	.value_size = sizeof(u32),
	.max_entries = 16,
};

struct map SECTION("maps") INTERFACES = {
	.type = MAP_TYPE_HASH,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct interface),
	.max_entries = 16,
};

/* Sockets for frames (AF_XDP): of each interface, of each of its queues, of each worker. */
struct map SECTION("maps") FRAMES = {
	.type = MAP_TYPE_XSKMAP,
	.key_size = sizeof(u32),
	.value_size = sizeof(u32),
	.max_entries = 1024,
};

/* What forwards the frames of flows, while the kernel has flows. */
struct map SECTION("maps") FORWARDER = {
	.type = MAP_TYPE_PROG_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(u32),
	.max_entries = 1,
};

/* Who hears a port, if it is steered. */
INLINE const struct hearer *hearer_of(const struct address *address, u32 port)
{
	const u32 *first = map_lookup(&ADDRESSES, address);
	const struct hearer *hearer;
	u32 at;

	if (!first)
		return 0;
	at = *first + port;
	hearer = map_lookup(&PORTS, &at);
	if (!hearer || (hearer->socket == NOBODY && hearer->worker == NOBODY))
		return 0;
	return hearer;
}

/*
 * Runs where the kernel looks for the socket of a datagram that has come to this host and that no connected socket has. A port
 * that is in PORTS belongs to the socket of SOCKETS that is named there; of every other port the program knows nothing, and the
 * kernel goes on as if it were not there: to a bound socket of whomever, or to "port unreachable".
 */
SECTION("sk_lookup") int viaduct_steer(struct lookup_context *ctx)
{
	struct address address = {};
	const struct hearer *hearer;
	u32 slot;
	void *socket;

	if (ctx->protocol != PROTOCOL_UDP)
		return SK_PASS;
	address.family = ctx->family;
	if (ctx->family == FAMILY_IPV4) {
		address.words[0] = ctx->local_ip4;
	} else {
		address.words[0] = ctx->local_ip6[0];
		address.words[1] = ctx->local_ip6[1];
		address.words[2] = ctx->local_ip6[2];
		address.words[3] = ctx->local_ip6[3];
	}
	hearer = hearer_of(&address, ctx->local_port & 0xffff);
	if (!hearer || hearer->socket == NOBODY)
		return SK_PASS;
	slot = hearer->socket - 1;
	socket = map_lookup(&SOCKETS, &slot);
	if (!socket)
		return SK_PASS;
	/* Refused only where an earlier program of this namespace has chosen a socket: then it is that one's. */
	sk_assign(ctx, socket, 0);
	sk_release(socket);
	return SK_PASS;
}

/* Whether a host may have this address: what the kernel would not take from the network, and what it would have to tell the
 * interface of, goes up to it. */
INLINE int is_of_a_host(const u8 *source)
{
	return source[0] != 0 && source[0] != 127 && source[0] < 224;
}

/* Reads the port that a frame is for, and a number that all frames of its peer share. 0: not a datagram that may be for a worker.
 * Whatever is not quite ordinary is the kernel's: fragments, options, extension headers, VLAN tags. */
INLINE int read_port(const u8 *at, const u8 *end, struct address *address, u32 *port, u32 *peer)
{
	u16 kind = *(const u16 *)(at + 12);
	const u16 *ports;
	const u32 *words;

	if (kind == ETHERTYPE_IPV4) {
		const struct ipv4 *ip = (const void *)(at + ETHERNET);

		if (at + ETHERNET + IPV4_HEADER + UDP_HEADER > end)
			return 0;
		if (ip->version_and_length != 0x45 || ip->protocol != PROTOCOL_UDP)
			return 0;
		if ((ip->fragment & NET16(0x3fff)) || !is_of_a_host(ip->source))
			return 0;
		words = (const u32 *)ip->destination;
		address->family = FAMILY_IPV4;
		address->words[0] = words[0];
		words = (const u32 *)ip->source;
		*peer = words[0];
		ports = (const u16 *)(at + ETHERNET + IPV4_HEADER);
	} else if (kind == ETHERTYPE_IPV6) {
		const struct ipv6 *ip = (const void *)(at + ETHERNET);

		if (at + ETHERNET + IPV6_HEADER + UDP_HEADER > end)
			return 0;
		if ((ip->version_class_label & NET32(0xf0000000)) != NET32(0x60000000) || ip->next != PROTOCOL_UDP)
			return 0;
		/* Global and unique local addresses: 2000::/3 and fc00::/7. */
		if ((ip->source[0] & 0xe0) != 0x20 && (ip->source[0] & 0xfe) != 0xfc)
			return 0;
		words = (const u32 *)ip->destination;
		address->family = FAMILY_IPV6;
		address->words[0] = words[0];
		address->words[1] = words[1];
		address->words[2] = words[2];
		address->words[3] = words[3];
		words = (const u32 *)ip->source;
		*peer = words[0] ^ words[1] ^ words[2] ^ words[3];
		ports = (const u16 *)(at + ETHERNET + IPV6_HEADER);
	} else {
		return 0;
	}
	*peer ^= ports[0];
	*port = NET16(ports[1]);
	return 1;
}

INLINE int is_for(const struct interface *interface, const u8 *frame)
{
	const u16 *a = (const u16 *)interface->address, *b = (const u16 *)frame;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/*
 * Runs where a frame has come in, before the kernel makes a packet of it. A frame for a port whose hearer is a worker goes to that
 * worker, one for a port whose flows the kernel forwards to what forwards them; every other one takes its way through the kernel.
 */
SECTION("xdp") int viaduct_frames(struct frame_context *ctx)
{
	const u8 *at = (const u8 *)(u64)ctx->data, *end = (const u8 *)(u64)ctx->data_end;
	u32 ifindex = ctx->ingress_ifindex, queue = ctx->rx_queue_index, worker, port, peer;
	struct interface *interface;
	struct address address = {};
	const struct hearer *hearer;

	/* Longer ones find no room in a worker's frames. */
	if (at + ETHERNET > end || at + FRAME_MAX < end || !read_port(at, end, &address, &port, &peer))
		return XDP_PASS;
	hearer = hearer_of(&address, port);
	if (!hearer)
		return XDP_PASS;
	interface = map_lookup(&INTERFACES, &ifindex);
	if (!interface || !is_for(interface, at))
		return XDP_PASS;
	worker = hearer->worker;
	if (worker == NOBODY) {
		/* Does not come back, unless there is nothing to go to. */
		tail_call(ctx, &FORWARDER, 0);
		return XDP_PASS;
	}
	if (queue >= interface->queues)
		return XDP_PASS;
	worker = worker == ANYBODY && interface->workers ? (peer * 0x9e3779b1 >> 16) % interface->workers : worker - 1;
	if (worker >= interface->workers)
		return XDP_PASS;
	/* Where no socket is, the kernel's way is the answer. */
	return redirect_map(&FRAMES, interface->first + queue * interface->workers + worker, XDP_PASS);
}

SECTION("license") char viaduct_license[] = "MIT";
