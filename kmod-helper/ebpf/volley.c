/* SPDX-License-Identifier: MIT */
/* Puts frames on a link that user space has written down, many for one system call (BPF_PROG_TEST_RUN with live frames). For
 * benchmarks, whose phones would be the limit otherwise. */
#include "kernel.h"

enum {
	FRAMES_MAX = 256,
	/* Octets of one. */
	ROOM = 256,
};

struct volley {
	u32 ifindex;
	/* Octets of each frame, as many as the frames have that the program is run on. */
	u32 len;
	/* The next one, of so many. */
	u32 next;
	u32 count;
	u8 frames[FRAMES_MAX][ROOM];
};

struct map SECTION("maps") VOLLEY = {
	.type = MAP_TYPE_ARRAY,
	.key_size = sizeof(u32),
	.value_size = sizeof(struct volley),
	.max_entries = 1,
};

SECTION("xdp") int viaduct_volley(struct frame_context *ctx)
{
	u32 only = 0, at, len;
	struct volley *volley = map_lookup(&VOLLEY, &only);

	if (!volley)
		return XDP_PASS;
	at = volley->next;
	len = volley->len;
	/* None of a volley's. */
	if (at >= volley->count || at >= FRAMES_MAX || !len || len > ROOM)
		return XDP_PASS;
	volley->next = at + 1;
	if (store_frame(ctx, 0, volley->frames[at], len))
		return XDP_DROP;
	return redirect(volley->ifindex, 0);
}

SECTION("license") char viaduct_license[] = "MIT";
