/* SPDX-License-Identifier: MIT */
/* What the programs that steer ports and user space tell each other. src/abi.rs has the same in Rust. */
#ifndef VIADUCT_STEER_H
#define VIADUCT_STEER_H

#include "kernel.h"

/* A local address. It is in network order; of IPv4 it is the first word, and the others are zero. */
struct address {
	u32 words[4];
	u32 family;
};

/* Ports of one address. */
#define PORTS_EACH 65536

enum {
	/* No socket of SOCKETS: the kernel finds who is bound to the port. No worker: frames take the way through the kernel. A port
	 * with neither is not steered. */
	NOBODY = 0,
	/* Whichever worker: peers are spread over them. */
	ANYBODY = 0xffffffff,
};

/* Octets of the longest frame that workers take: more than Ethernet has without jumbo frames. */
#define FRAME_MAX 1536

/* Who hears a port. User space writes all of it at once. */
struct hearer {
	/* By its place in SOCKETS, from 1. */
	u32 socket;
	/* By its number, from 1. */
	u32 worker;
};

/* An interface that hands frames to workers before the kernel makes packets of them. */
struct interface {
	/* The place in FRAMES of the first worker at the first queue; its other workers follow, then the next queue. */
	u32 first;
	u32 queues;
	u32 workers;
	/* What frames are sent to. */
	u8 address[6];
	u16 unused;
};

#endif
