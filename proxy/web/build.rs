//! Writes the table of embedded files: one `Asset` per file below `assets/`, sorted by path.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?).join("assets");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("table.rs");
    println!("cargo::rerun-if-changed=assets");

    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let mut table = String::from("&[\n");
    for file in &files {
        let path = relative(&root, file)?;
        let etag = format!("\\\"{:016x}\\\"", fnv1a(&fs::read(file)?));
        let file = file.display().to_string();
        writeln!(
            table,
            "    Asset::new({path:?}, include_bytes!({file:?}), \"{etag}\"),"
        )
        .map_err(io::Error::other)?;
    }
    table.push(']');
    fs::write(out, table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The path below `root` with forward slashes on every system.
fn relative(root: &Path, file: &Path) -> io::Result<String> {
    let path = file.strip_prefix(root).map_err(io::Error::other)?;
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    parts
        .map(|parts| parts.join("/"))
        .ok_or_else(|| io::Error::other("asset names are UTF-8"))
}

/// FNV-1a, 64 bits. An entity tag only has to change with the content; nobody gains by forging one.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
