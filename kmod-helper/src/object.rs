//! The program, compiled.

/// `ebpf/forward.o`, which `ebpf/build` made, where a loader can read it in place.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../ebpf/forward.o"));

/// The program's name in the object.
pub(crate) const PROGRAM: &str = "viaduct_forward";

/// The object.
pub(crate) fn object() -> &'static [u8] {
    &OBJECT.0
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_committed_object_is_what_its_source_compiles_to() {
        let version = Command::new("clang-14").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if !version.as_ref().is_ok_and(|text| text.contains("version 14.0.6")) {
            println!("skipped: clang-14 is not here in version 14.0.6, which made the object");
            return;
        }
        let out = std::env::temp_dir().join(format!("viaduct-forward-{}.o", std::process::id()));
        let built = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf/build"))
            .arg(&out)
            .status()
            .unwrap();
        assert!(built.success());
        let octets = std::fs::read(&out).unwrap();
        std::fs::remove_file(&out).unwrap();
        assert!(
            octets == object(),
            "run kmod-helper/ebpf/build and commit forward.o"
        );
    }
}
