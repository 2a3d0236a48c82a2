/* SPDX-License-Identifier: MIT */
/* Throws away all that comes in. For benchmarks, which measure what sending costs while nobody hears. */
#include "kernel.h"

SECTION("classifier") int viaduct_deaf(struct packet_context *ctx)
{
	(void)ctx;
	return TCX_DROP;
}

SECTION("license") char viaduct_license[] = "MIT";
