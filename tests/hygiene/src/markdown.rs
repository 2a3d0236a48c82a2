//! What a Markdown document points to.

/// The targets of links and images that are paths in the tree, without `#anchor` and in order. Code is left out.
pub fn relative_links(document: &str) -> Vec<String> {
    let prose = without_code(document);
    let mut links = Vec::new();
    let inline = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
    let inline = inline.filter_map(|rest| match rest.strip_prefix('<') {
        Some(rest) => rest.split('>').next(),
        None => rest.split([')', ' ', '\n']).next(),
    });
    // `[name]: target` on a line of its own.
    let named = prose
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('['));
    let named = named
        .filter_map(|line| line.split_once("]:"))
        .map(|(_, rest)| rest.trim());
    let named = named.filter_map(|rest| rest.split(' ').next());
    for target in inline.chain(named) {
        let path = target.split(['#', '?']).next().unwrap_or_default();
        if !path.is_empty() && !has_scheme(path) {
            links.push(path.to_owned());
        }
    }
    links
}

/// The programs below `scripts/` that a document names, in code or prose: every `scripts/…` with a name after it.
pub fn scripts(document: &str) -> Vec<String> {
    let is_of_path = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
    let starts = document.match_indices("scripts/").map(|(at, _)| at);
    let starts = starts.filter(|at| {
        let before = &document[..*at];
        // `./scripts/x` counts, `other/scripts/x` is another folder.
        before.ends_with("./") || !before.ends_with(is_of_path)
    });
    let mut names: Vec<String> = starts
        .map(|at| {
            let rest = &document[at..];
            let end = rest
                .find(|character| !is_of_path(character))
                .unwrap_or(rest.len());
            rest[..end].trim_end_matches(['.', '/']).to_owned()
        })
        .filter(|name| name.contains('/'))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn has_scheme(target: &str) -> bool {
    target.starts_with("//")
        || target.split_once(':').is_some_and(|(scheme, _)| {
            scheme
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "+.-".contains(character))
        })
}

/// The document with fenced blocks and inline code blanked.
fn without_code(document: &str) -> String {
    let mut prose = String::with_capacity(document.len());
    let mut fence: Option<&str> = None;
    for line in document.lines() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                // Every other piece between back-quotes is code.
                let pieces = line.split('`').enumerate();
                let plain: Vec<&str> = pieces
                    .filter(|(at, _)| at % 2 == 0)
                    .map(|(_, piece)| piece)
                    .collect();
                prose.push_str(&plain.join(" "));
                prose.push('\n');
            }
        }
    }
    prose
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_tree_are_found_and_others_are_not() {
        let document = "[a](docs/a.md) ![b](<x y.png>) [c](../c.md#part \"title\") [d](https://example.com/d.md)\n\
            [e](#here) [f](mailto:a@example.com) [g](//example.com)\n[h]: docs/h.md\n[i]: https://example.com";
        assert_eq!(
            relative_links(document),
            ["docs/a.md", "x y.png", "../c.md", "docs/h.md"]
        );
    }

    #[test]
    fn code_holds_no_links() {
        let document = "`[a](b.md)` [c](d.md)\n```\n[e](f.md)\n```\n~~~\n```\n[g](h.md)\n~~~\n[i](j.md)";
        assert_eq!(relative_links(document), ["d.md", "j.md"]);
    }

    #[test]
    fn scripts_are_found_wherever_they_are_named() {
        let document = "Run `scripts/test`, then ./scripts/bench-all.sh. Not other/scripts/x, not `scripts/` itself.\n\
            ```sh\nscripts/test --all\n```";
        assert_eq!(scripts(document), ["scripts/bench-all.sh", "scripts/test"]);
    }
}
