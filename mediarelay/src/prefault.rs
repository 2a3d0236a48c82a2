//! The program's own code, in memory before anybody calls.
//!
//! The kernel reads a program from the disk when it is first executed, a few pages at a time. Without this the first call of a
//! kind would wait for its code, and packets of other calls with it: a handshake alone takes hundreds of such pages.

#![expect(unsafe_code, reason = "no library wraps what is asked of the kernel safely")]

use std::ffi::c_void;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};

/// Has the kernel read all of the program's code, and what is constant in it.
///
/// It may take them back when memory is scarce, as always. Kernels before 5.14 do not know how; then code is read when it is
/// first executed.
pub fn read_code() {
    if let Err(error) = ask() {
        tracing::debug!("the program's code was not read ahead: {error}");
    }
}

fn ask() -> io::Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    for Range { start, end } in constant_parts(&fs::read_to_string("/proc/self/maps")?, &program) {
        let start_address = NonZeroUsize::new(start).map(NonNull::<c_void>::with_exposed_provenance);
        let (Some(address), Some(octets)) = (start_address, end.checked_sub(start)) else {
            continue;
        };
        // SAFETY: the kernel writes nowhere: it makes pages present that are mapped from the program's file. Of other
        // addresses it says that nothing is mapped there.
        unsafe { madvise(address, octets, MmapAdvise::MADV_POPULATE_READ) }?;
    }
    Ok(())
}

/// Where `maps`, in the form of `/proc/PID/maps`, has the parts of `program` that nobody can write.
fn constant_parts(maps: &str, program: &Path) -> Vec<Range<usize>> {
    let part = |line: &str| {
        // Address, rights, offset, device, inode; then the name, in which there may be spaces.
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let is_constant = words.next()?.starts_with("r-");
        let name = words.nth(3)?.trim_start();
        let hexadecimal = |text| usize::from_str_radix(text, 16).ok();
        let range = hexadecimal(start)?..hexadecimal(end)?;
        (is_constant && Path::new(name) == program).then_some(range)
    };
    maps.lines().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c0000000-55d0c0100000 r--p 00000000 fe:00 1234                       /opt/my relay
55d0c0100000-55d0c0900000 r-xp 00100000 fe:00 1234                       /opt/my relay
55d0c0900000-55d0c0910000 rw-p 00900000 fe:00 1234                       /opt/my relay
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000020000 r-xp 00000000 fe:00 99                         /lib/libc.so.6
7f0000020000-7f0000030000 rw-p 00000000 00:00 0 
";

    #[test]
    fn code_and_constants_of_the_program_are_found() {
        assert_eq!(
            constant_parts(MAPS, Path::new("/opt/my relay")),
            [
                0x55d0_c000_0000..0x55d0_c010_0000,
                0x55d0_c010_0000..0x55d0_c090_0000
            ]
        );
        assert_eq!(constant_parts(MAPS, Path::new("/opt/other")), []);
        assert_eq!(constant_parts("nonsense\n\n-\n", Path::new("")), []);
    }

    #[test]
    fn all_of_it_is_present_then() {
        read_code();
        let program = fs::read_link("/proc/self/exe").unwrap();
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let maps: String = smaps
            .lines()
            .filter(|line| line.contains(" r-xp "))
            .map(|line| format!("{line}\n"))
            .collect();
        let code = constant_parts(&maps, &program);
        assert_eq!(code.len(), 1, "{maps}");
        // The lines after that of a part tell of it; their values are in KiB.
        let of_code = smaps.split_once(
            maps.lines()
                .find(|line| line.contains(&*program.to_string_lossy()))
                .unwrap(),
        );
        let value = |name: &str| -> usize {
            let line = of_code
                .unwrap()
                .1
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        assert_eq!(value("Rss:"), value("Size:"));
    }
}
