//! The programs, compiled.

use aya::Ebpf;
use aya::programs::Program;

use crate::fast::Refused;

/// An object of `ebpf/`, which `ebpf/build` made, where a loader can read it in place.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

static FORWARD_OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../ebpf/forward.o"));
static STEER_OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../ebpf/steer.o"));

/// The forwarding program's name in its object.
pub(crate) const FORWARD: &str = "viaduct_forward";
/// The name of the program that forwards frames, in the same object.
pub(crate) const FORWARD_FRAMES: &str = "viaduct_forward_frames";
/// The steering program's.
pub(crate) const STEER: &str = "viaduct_steer";

/// The name of the program that hands on frames.
pub(crate) const FRAMES: &str = "viaduct_frames";

/// The object with [`FORWARD`] and [`FORWARD_FRAMES`].
pub(crate) fn forward_object() -> &'static [u8] {
    &FORWARD_OBJECT.0
}

/// The object with [`STEER`] and [`FRAMES`].
pub(crate) fn steer_object() -> &'static [u8] {
    &STEER_OBJECT.0
}

/// A program of an object.
///
/// # Errors
/// [`Refused::Load`]: it is not there, or of another kind.
pub(crate) fn program<'e, P>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut P, Refused>
where
    &'e mut P: TryFrom<&'e mut Program>,
{
    let program = ebpf.program_mut(name);
    let program = program.and_then(|program| program.try_into().ok());
    program.ok_or_else(|| Refused::Load(format!("the object lacks {name}")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Which only benchmarks have a use for.
    static DEAF_OBJECT: &[u8] = include_bytes!("../ebpf/deaf.o");
    static VOLLEY_OBJECT: &[u8] = include_bytes!("../ebpf/volley.o");

    #[test]
    fn the_committed_objects_are_what_their_sources_compile_to() {
        let version = Command::new("clang-14").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if !version.as_ref().is_ok_and(|text| text.contains("version 14.0.6")) {
            println!("skipped: clang-14 is not here in version 14.0.6, which made the objects");
            return;
        }
        let out = std::env::temp_dir().join(format!("viaduct-ebpf-{}", std::process::id()));
        std::fs::create_dir(&out).unwrap();
        let built = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf/build"))
            .arg(&out)
            .status()
            .unwrap();
        assert!(built.success());
        let objects = [
            ("forward.o", forward_object()),
            ("steer.o", steer_object()),
            ("deaf.o", DEAF_OBJECT),
            ("volley.o", VOLLEY_OBJECT),
        ];
        let made = objects.map(|(name, _)| std::fs::read(out.join(name)).unwrap());
        std::fs::remove_dir_all(&out).unwrap();
        for ((name, committed), made) in objects.into_iter().zip(made) {
            assert!(made == committed, "run kmod-helper/ebpf/build and commit {name}");
        }
    }
}
