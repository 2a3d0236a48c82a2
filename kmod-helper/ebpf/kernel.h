/* SPDX-License-Identifier: MIT */
/*
 * What the programs use of the kernel's interface: types, the head of its context, and helpers by their numbers. All of it is
 * part of the kernel's stable interface (linux/bpf.h). It is written out here so that the object depends on the compiler alone
 * and not on the headers that happen to be installed.
 */
#ifndef VIADUCT_KERNEL_H
#define VIADUCT_KERNEL_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* The object is for little-endian machines, as Rust's targets for servers are: octets of the network are swapped. */
#define NET16(x) ((u16)__builtin_bswap16(x))
#define NET32(x) ((u32)__builtin_bswap32(x))

/* The context of a TC program, as far as it is read (struct __sk_buff). */
struct packet_context {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol; /* network order */
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 of_sockets[13];
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	u64 sk;
	u32 gso_size;
};

/* The context of an sk_lookup program (struct bpf_sk_lookup). */
struct lookup_context {
	u64 sk;
	u32 family;
	u32 protocol;
	u32 remote_ip4;
	u32 remote_ip6[4];
	u32 remote_port;
	u32 local_ip4; /* network order, as all addresses */
	u32 local_ip6[4];
	u32 local_port; /* a number */
	u32 ingress_ifindex;
};

/* The context of an XDP program (struct xdp_md). */
struct frame_context {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

/* Next hop of redirect_neigh (struct bpf_redir_neigh). */
struct next_hop {
	u32 family;
	u8 address[16];
};

/* A map as loaders read it from the section "maps". */
struct map {
	u32 type;
	u32 key_size;
	u32 value_size;
	u32 max_entries;
	u32 flags;
	u32 id;
	u32 pinning;
};

enum {
	MAP_TYPE_HASH = 1,
	MAP_TYPE_ARRAY = 2,
	MAP_TYPE_PROG_ARRAY = 3,
	MAP_TYPE_PERCPU_ARRAY = 6,
	MAP_TYPE_SOCKMAP = 15,
	MAP_TYPE_XSKMAP = 17,
	PIN_BY_NAME = 1,
	NO_PREALLOC = 1,
	MAP_MMAPABLE = 1 << 10,

	TCX_NEXT = -1,
	TCX_DROP = 2,
	SK_PASS = 1,
	XDP_DROP = 1,
	XDP_PASS = 2,

	FAMILY_IPV4 = 2,
	FAMILY_IPV6 = 10,
	PROTOCOL_UDP = 17,
	PACKET_HOST = 0,
	LOOPBACK_IFINDEX = 1,

	CSUM_PSEUDO_HEADER = 1 << 4,
	CSUM_ZERO_IS_NONE = 1 << 5,
};

#define ETHERTYPE_IPV4 NET16(0x0800)
#define ETHERTYPE_IPV6 NET16(0x86dd)

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static s64 (*const store_bytes)(void *ctx, u32 at, const void *from, u32 len, u64 flags) = (void *)9;
static s64 (*const l4_csum_replace)(void *ctx, u32 at, u64 from, u64 to, u64 flags) = (void *)11;
static void (*const tail_call)(void *ctx, void *programs, u32 at) = (void *)12;
static s64 (*const redirect)(u32 ifindex, u64 flags) = (void *)23;
static s64 (*const load_bytes)(const void *ctx, u32 at, void *to, u32 len) = (void *)26;
static s64 (*const change_proto)(void *ctx, u16 protocol, u64 flags) = (void *)31;
static s64 (*const pull_data)(void *ctx, u32 len) = (void *)39;
static s64 (*const csum_update)(void *ctx, u32 sum) = (void *)40;
static s64 (*const move_head)(void *ctx, s32 by) = (void *)44;
static s64 (*const redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static s64 (*const sk_release)(void *sk) = (void *)86;
static s64 (*const sk_assign)(void *ctx, void *sk, u64 flags) = (void *)124;
static s64 (*const redirect_neigh)(u32 ifindex, void *next, int len, u64 flags) = (void *)152;
static s64 (*const redirect_peer)(u32 ifindex, u64 flags) = (void *)155;
/* As of the last tick of the kernel's clock: cheaper, and a few milliseconds late. */
static u64 (*const clock_ns)(void) = (void *)160;
static u64 (*const frame_len)(void *ctx) = (void *)188;
static s64 (*const load_frame)(void *ctx, u32 at, void *to, u32 len) = (void *)189;
static s64 (*const store_frame)(void *ctx, u32 at, const void *from, u32 len) = (void *)190;

#endif
