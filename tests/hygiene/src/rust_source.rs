//! Rust source with everything blanked that is not code.

/// The source with comments, strings and character literals replaced by blanks. Line numbers and columns stay.
///
/// Enough of Rust's lexical grammar to find a keyword: nested comments, raw, byte and C strings, escapes, and the
/// difference between `'a'` and `'a`.
pub fn code_only(source: &str) -> String {
    let mut scanner = Scanner {
        rest: source,
        code: String::with_capacity(source.len()),
    };
    while !scanner.rest.is_empty() {
        scanner.step();
    }
    scanner.code
}

/// Whether `word` stands in the code on its own, not as a part of a longer name.
pub fn has_word(code: &str, word: &str) -> bool {
    let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word).any(|(at, _)| {
        let after = &code[at + word.len()..];
        !code[..at].ends_with(is_of_name) && !after.starts_with(is_of_name)
    })
}

struct Scanner<'s> {
    rest: &'s str,
    code: String,
}

impl Scanner<'_> {
    fn step(&mut self) {
        let length = self.blank_length();
        if length > 0 {
            self.blank(length);
            return;
        }
        // A name is taken whole: the `r` of `for"x"` begins no raw string.
        let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
        let name = self
            .rest
            .find(|character| !is_of_name(character))
            .unwrap_or(self.rest.len());
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        self.keep(name.max(first));
    }

    /// Octets of the comment or literal that begins here; 0 where code does.
    fn blank_length(&self) -> usize {
        let rest = self.rest;
        if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if rest.starts_with('\'') {
            character(rest)
        } else {
            string(rest)
        }
    }

    fn keep(&mut self, octets: usize) {
        let (kept, rest) = self.rest.split_at(octets);
        self.code.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, octets: usize) {
        let (blanked, rest) = self.rest.split_at(octets);
        self.code.extend(
            blanked
                .chars()
                .map(|character| if character == '\n' { '\n' } else { ' ' }),
        );
        self.rest = rest;
    }
}

fn block_comment(rest: &str) -> usize {
    let octets = rest.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at < octets.len() {
        match &octets[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    octets.len()
}

/// Octets of a character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            // What is escaped may be the quote itself.
            let after = characters.nth(1).map_or(rest.len(), |(at, _)| at);
            rest[after..].find('\'').map_or(rest.len(), |end| after + end + 1)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// Octets of a string literal of any kind, prefix included; 0 where none begins.
fn string(rest: &str) -> usize {
    let unprefixed = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - unprefixed.len();
    if prefix > 1 {
        return 0;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let Some(text) = raw[hashes..].strip_prefix('"') else {
            return 0;
        };
        let end = format!("\"{}", "#".repeat(hashes));
        let length = text.find(&end).map_or(text.len(), |at| at + end.len());
        return prefix + 1 + hashes + 1 + length;
    }
    let Some(text) = unprefixed.strip_prefix('"') else {
        // `b'x'`, but neither `c'x'` nor a lifetime after a name that ends in b.
        let is_octet = rest.starts_with("b'");
        return if is_octet { 1 + character(&rest[1..]) } else { 0 };
    };
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return prefix + 1 + at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        for source in [
            "// unsafe",
            "/* a /* unsafe */ unsafe */",
            "\"unsafe \\\" unsafe\"",
            "r\"unsafe\"",
            "br##\"unsafe \"# unsafe\"##",
            "c\"unsafe\"",
            "\"unsafe",
            "/* unsafe",
            "b\"\\\\ unsafe\"",
        ] {
            let code = code_only(source);
            assert!(!has_word(&code, "unsafe"), "{source}: {code}");
            assert_eq!(code.len(), source.len());
        }
    }

    #[test]
    fn code_after_a_literal_is_code() {
        for source in [
            "/* a */ unsafe {}",
            "'\"'; unsafe {}",
            "'\\''; unsafe {}",
            "b'\"'; unsafe {}",
            "'\\u{22}'; unsafe {}",
            "fn f<'a>(x: &'a str) { unsafe {} }",
            "\"\\\\\"; unsafe {}",
            "r#\"\"\"#; unsafe {}",
            "let r = br; unsafe {}",
            "'label: loop { unsafe {} }",
            "// x\nunsafe {}",
            "r#type; unsafe {}",
        ] {
            assert!(
                has_word(&code_only(source), "unsafe"),
                "{source}: {}",
                code_only(source)
            );
        }
    }

    #[test]
    fn lines_and_columns_stay() {
        let source = "a // é\n\"x\ny\" b\n";
        assert_eq!(code_only(source), "a     \n  \n   b\n");
    }

    #[test]
    fn a_word_is_not_a_part_of_a_name() {
        assert!(has_word("(unsafe", "unsafe") && !has_word("unsafe_code unsafer my_unsafe", "unsafe"));
    }
}
