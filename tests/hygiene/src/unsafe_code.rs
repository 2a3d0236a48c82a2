//! `unsafe` and the comment that must stand above it.

use crate::rust_source::{code_only, has_word};

/// What a comment above `unsafe` begins with, or what the documentation of an `unsafe fn` has as a heading.
const MARKS: [&str; 2] = ["SAFETY:", "# Safety"];

/// One line with `unsafe` in its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsafe {
    /// Counted from 1.
    pub line: usize,
    /// Whether a comment directly above, with nothing but attributes between, says why it is sound.
    pub is_explained: bool,
}

/// The lines of a source file that say `unsafe`.
pub fn unsafes(source: &str) -> Vec<Unsafe> {
    let code = code_only(source);
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in code.lines().enumerate() {
        if has_word(line, "unsafe") {
            let above = lines[..at].iter().rev().map(|line| line.trim());
            let mut above = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
            let is_explained =
                above.any(|line| line.starts_with("//") && MARKS.iter().any(|mark| line.contains(mark)));
            found.push(Unsafe {
                line: at + 1,
                is_explained,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(source: &str) -> Vec<bool> {
        unsafes(source).iter().map(|found| found.is_explained).collect()
    }

    #[test]
    fn the_comment_stands_directly_above() {
        assert_eq!(
            explained("// SAFETY: the descriptor is ours.\nunsafe { close(fd) }"),
            [true]
        );
        assert_eq!(
            explained("// SAFETY: it is\n// long.\n#[inline]\nlet x = unsafe { f() };"),
            [true]
        );
        assert_eq!(
            explained("/// Does.\n///\n/// # Safety\n/// The pointer is valid.\npub unsafe fn f() {}"),
            [true]
        );
        assert_eq!(explained("// SAFETY: no.\n\nunsafe {}"), [false]);
        assert_eq!(explained("// SAFETY: no.\nlet a = 1;\nunsafe {}"), [false]);
        assert_eq!(explained("unsafe {} // SAFETY: too late."), [false]);
        assert_eq!(explained("// Quite safe.\nunsafe {}"), [false]);
    }

    #[test]
    fn every_line_counts_and_texts_do_not() {
        let found = unsafes(
            "#![deny(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";\nunsafe { unsafe { f() } }\nunsafe {}",
        );
        let lines: Vec<usize> = found.iter().map(|found| found.line).collect();
        assert_eq!(lines, [4, 5]);
    }
}
