//! `registrations`: where registrations are kept.

use std::time::Duration;

use crate::decode::{section, section_default};
use crate::form::time::MINUTE;
use crate::form::{choice, choices, duration};

section! {
    /// Where registrations are kept, and what of them survives a power cut or a `kill -9`.
    pub struct RegistrationSettings {
        /// Where registrations are kept.
        keep: Keep = default(choice::<Keep>(), "disk");
        /// How long an acknowledged registration may wait before it is written: what a power cut loses at most. With
        /// `0s` a registration is acknowledged after it is on the disk and none is ever lost; a longer window saves
        /// writes where thousands of phones refresh.
        window: Duration = default(duration(Duration::ZERO, MINUTE), "0s");
    }
}
section_default!(RegistrationSettings);

choices! {
    /// Where registrations are kept.
    pub enum Keep {
        /// In the store in `site.state_dir`; phones reached over UDP are still registered after a restart.
        Disk = "disk",
        /// In memory only; after a restart nobody is registered until phones refresh.
        Memory = "memory",
    }
}
