//! The file that keeps calls over a restart, and the thread that writes it.
//!
//! It is an embedded database, so a relay that is killed leaves it as it was after the last batch. Batches are written
//! behind: a command is answered before what it has changed is on disk. It holds the SRTP keys of calls, so nobody but its
//! owner may read it.

mod file;
mod writer;

pub(crate) use file::{Saved, StateFile};
pub(crate) use writer::{Batch, StateWriter, prepare};
