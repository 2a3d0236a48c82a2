/* SPDX-License-Identifier: MIT */
/*
 * Hands the datagrams of many ports to few sockets (sk_lookup).
 *
 * Runs where the kernel looks for the socket of a datagram that has come to this host and that no connected socket has. A port
 * that is in PORTS belongs to the socket of SOCKETS that is named there; of every other port the program knows nothing, and the
 * kernel goes on as if it were not there: to a bound socket of whomever, or to "port unreachable".
 */
#include "kernel.h"
#include "steer.h"

struct map SECTION("maps") PORTS = {
	.type = MAP_TYPE_HASH,
	.key_size = sizeof(struct port),
	.value_size = sizeof(u32),
	.max_entries = 16384,
};

struct map SECTION("maps") SOCKETS = {
	.type = MAP_TYPE_SOCKMAP,
	.key_size = sizeof(u32),
	.value_size = sizeof(u32),
	.max_entries = 16,
};

SECTION("sk_lookup") int viaduct_steer(struct lookup_context *ctx)
{
	struct port port = {};
	u32 *found, slot;
	void *socket;

	if (ctx->protocol != PROTOCOL_UDP)
		return SK_PASS;
	port.family = ctx->family;
	port.number = ctx->local_port;
	if (ctx->family == FAMILY_IPV4) {
		port.address[0] = ctx->local_ip4;
	} else {
		port.address[0] = ctx->local_ip6[0];
		port.address[1] = ctx->local_ip6[1];
		port.address[2] = ctx->local_ip6[2];
		port.address[3] = ctx->local_ip6[3];
	}
	found = map_lookup(&PORTS, &port);
	if (!found)
		return SK_PASS;
	slot = *found;
	socket = map_lookup(&SOCKETS, &slot);
	if (!socket)
		return SK_PASS;
	/* Refused only where an earlier program of this namespace has chosen a socket: then it is that one's. */
	sk_assign(ctx, socket, 0);
	sk_release(socket);
	return SK_PASS;
}

SECTION("license") char viaduct_license[] = "MIT";
