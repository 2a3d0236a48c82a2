/* SPDX-License-Identifier: MIT */
/* What the program and user space tell each other. src/abi.rs has the same in Rust, and a test compares the sizes. */
#ifndef VIADUCT_FORWARD_H
#define VIADUCT_FORWARD_H

#include "kernel.h"

/* Addresses are 16 octets; of IPv4 the first four count and the others are zero. Ports are in network order. */
struct key {
	u8 local[16];
	u8 peer[16];
	u16 local_port;
	u16 peer_port;
	u32 family;
};

enum {
	/* RTCP is forwarded as well; without it, RTCP is for user space. */
	RULE_RTCP = 1 << 0,
	/* The receiver is a socket of this host, reached over the loopback interface. */
	RULE_DELIVER = 1 << 1,
	/* The interface is one end of a pair, and the other end is in another network namespace of this host. */
	RULE_PAIR = 1 << 2,
	/* What leaves is IPv6; without it, IPv4. */
	RULE_IPV6 = 1 << 3,
};

/* One flow, in two lines of the caches. A slot is written while no key leads to it, and is left alone for a while after the last one
 * did. */
struct rule {
	/* The key that leads here: who finds another one was led by a slot that has changed hands. */
	struct key key;
	/* What the packet carries when it leaves. */
	u8 source[16];
	u8 destination[16];
	u16 source_port;
	u16 destination_port;
	/* Where it leaves. */
	u32 ifindex;
	u32 next_family;
	u8 next[16];
	/* Octets that a packet may have, from its IP header. */
	u16 mtu;
	u8 tos;
	u8 flags;
	/* Bit n: payload type n is forwarded. */
	u64 payload_types[2];
	/* Which call, for people. */
	u64 tag;
};

/* A neighbour: as a rule has it. */
struct hop_key {
	u32 ifindex;
	u32 family;
	u8 address[16];
};

/* How often one packet to a neighbour takes its way through the stack, which then asks whether the neighbour is still there: of
 * those that do not it knows nothing. Nanoseconds. */
#define HOP_ASKED_EVERY 10000000000ll

enum {
	/* The interface sends frames that were none of the stack's. */
	HOP_FRAMES = 1 << 0,
	/* The neighbour is the other end of the pair that the interface is of, and nothing looks at what leaves there. */
	HOP_ACROSS = 1 << 1,
};

/* How frames to a neighbour begin. */
struct hop {
	/* Nanoseconds of the monotonic clock. */
	u64 asked;
	u8 to[6];
	u8 from[6];
	u32 ways;
};

/* Packets that did not leave by the stack, among those of counters. */
enum passed {
	AS_FRAMES,
	ACROSS,
	SHORTCUTS
};

/* What was forwarded of one flow, in one line. */
struct counters {
	u64 rtp_packets;
	u64 rtp_octets;
	u64 rtcp_packets;
	u64 rtcp_octets;
	/* Nanoseconds of the monotonic clock; 0: never. */
	u64 last_packet;
	/* RTP packets that sources before the present one should have sent. */
	u64 expected_before;
	/* The present source: first and highest sequence number, the latter with its cycles. */
	u32 ssrc;
	u32 highest;
	u32 timestamp;
	u16 first;
	u8 payload_type;
	/* There was one. */
	u8 is_heard;
};

/* How user space says that it lives. */
struct pulse {
	u64 heartbeat;
	u64 patience;
};

/* Why a packet of a known flow went up to user space. */
enum up {
	UP_CHANGING,
	UP_NO_HEARTBEAT,
	UP_MERGED,
	UP_LENGTH,
	UP_NOT_RTP,
	UP_RTCP,
	UP_PAYLOAD_TYPE,
	UP_PADDING,
	UP_HEADER,
	UP_TTL,
	UP_CHECKSUM,
	UP_MTU,
	UP_NOT_LOOPBACK,
	UP_MEMORY,
	/* The one that never goes anywhere: memory was short when the packet had been changed already. */
	LOST,
	REASONS
};

#endif
