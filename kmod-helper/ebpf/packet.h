/* SPDX-License-Identifier: MIT */
/* Headers of packets, as they are on the wire. */
#ifndef VIADUCT_PACKET_H
#define VIADUCT_PACKET_H

#include "kernel.h"

#define ETHERNET 14
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define UDP_HEADER 8

struct ipv4 {
	u8 version_and_length;
	u8 tos;
	u16 length;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u8 source[4];
	u8 destination[4];
};

struct ipv6 {
	u32 version_class_label;
	u16 length;
	u8 next;
	u8 hops;
	u8 source[16];
	u8 destination[16];
};

#endif
