/* SPDX-License-Identifier: MIT */
/* What the program that steers ports and user space tell each other. src/abi.rs has the same in Rust. */
#ifndef VIADUCT_STEER_H
#define VIADUCT_STEER_H

#include "kernel.h"

/* A local port. The address is in network order; of IPv4 it is the first word, and the others are zero. The port's number is a
 * number. */
struct port {
	u32 address[4];
	u32 number;
	u32 family;
};

#endif
