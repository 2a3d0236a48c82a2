//! The program in the kernel that these tests run on. Each makes network namespaces and a BPF file system of its own; where
//! that is not allowed it is skipped and says so.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is a failed test, and a skipped one says why"
)]

mod across;
mod bench;
mod flow_frames;
mod frames;
mod life;
mod model;
mod network;
mod steering;
mod verbs;
