//! The reference page, made from the same tables that decode the files.

use std::fmt::Write as _;

use crate::code::Code;
use crate::decode::Section;
use crate::gateway::GatewayFile;
use crate::gateway::live::RESTART_KEYS;
use crate::gateway::table::COLUMNS;
use crate::relay::RelayFile;
use crate::relay::options::{OPTIONS, unused_names};
use crate::shape::{Key, Presence, Shape, one_line};

const INTRODUCTION: &str = "\
# Configuration

This page is made from the program's own tables by `cargo run -p viaduct-settings --example reference`; a test
compares the two. Complete, annotated files are in `config/`.

Check a file with `viaduct check FILE`: it reports every mistake in one run, with line and column.

## How values are written

| value | spelling | examples |
|---|---|---|
| duration | numbers with the units `d`, `h`, `m`, `s`, `ms`, `us`, from large to small; a fraction in seconds only | `30s`, `1m30s`, `2.5s`, `500ms` |
| size | a number with `B`, `KiB`, `MiB` or `GiB` | `64KiB` |
| rate | a number, `/`, a duration | `10/1m`, `50/1s` |
| address | IPv4 or IPv6; with a port, IPv6 stands in brackets | `10.0.0.5`, `127.0.0.1:9100`, `[::1]:9100` |
| switch | `true` or `false`; never `yes`, `no`, `on` or `off`, which some readers of YAML turn into switches | `true` |
| number or name of a phone | text, so quote it where YAML would read a number | `\"201\"`, `\"+4930123\"` |
| path | absolute, or relative to the folder of the configuration file | `secrets/alice` |

Every key has a default unless it says *required*. An unknown key is an error.
";

/// The whole reference as Markdown: both YAML files, the user table, rtpengine's options, and the codes of
/// diagnostics.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    file::<GatewayFile>(&mut page, "The gateway: `viaduct run FILE`");
    reload(&mut page);
    user_table(&mut page);
    file::<RelayFile>(
        &mut page,
        "The relay alone: `viaduct-relay --config-file=FILE.yaml`",
    );
    relay_options(&mut page);
    diagnostics(&mut page);
    page
}

fn file<S: Section>(page: &mut String, title: &str) {
    let _ = writeln!(page, "\n## {title}\n\n{}\n", one_line(S::DOC));
    section(page, "", &S::keys());
}

/// A table of the keys, then the sections below them.
fn section(page: &mut String, path: &str, keys: &[Key]) {
    page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    let mut inner = Vec::new();
    for key in keys {
        let value = cell(&describe(&key.shape));
        let default = match key.presence {
            Presence::Default("{}") => "see below".to_owned(),
            Presence::Default(text) => format!("`{}`", cell(text)),
            Presence::Absent(text) => cell(text),
            Presence::Required => "*required*".to_owned(),
        };
        let meaning = cell(&(one_line(key.doc) + &words(&key.shape)));
        let _ = writeln!(page, "| `{}` | {value} | {default} | {meaning} |", key.name);
        collect(&key.shape, &join(path, key.name), &mut inner);
    }
    for (path, doc, keys) in inner {
        let _ = writeln!(page, "\n### `{path}`\n\n{}\n", one_line(doc));
        section(page, &path, &keys);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The sections within a shape, with their paths.
fn collect(shape: &Shape, path: &str, sections: &mut Vec<(String, &'static str, Vec<Key>)>) {
    match shape {
        Shape::Section { doc, keys } => {
            if !sections.iter().any(|(known, ..)| known == path) {
                sections.push((path.to_owned(), doc, keys.clone()));
            }
        }
        Shape::List(item) => collect(item, path, sections),
        Shape::Map { value, .. } => collect(value, &format!("{path}.NAME"), sections),
        Shape::OneOf(shapes) => shapes.iter().for_each(|shape| collect(shape, path, sections)),
        Shape::Switch
        | Shape::Whole { .. }
        | Shape::Decimal { .. }
        | Shape::Text { .. }
        | Shape::Word(_)
        | Shape::Choice(_) => {}
    }
}

/// The shape in words; a section is described under its own heading.
fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Section { .. } => "keys below".to_owned(),
        Shape::List(item) => format!("a list, each {}", describe(item)),
        Shape::Map { name, value } => format!("{name} → {}", describe(value)),
        Shape::OneOf(shapes) => {
            let mut parts: Vec<String> = shapes.iter().map(describe).collect();
            let last = parts.pop().unwrap_or_default();
            format!("{}; or {last}", parts.join("; "))
        }
        _ => shape.describe(),
    }
}

/// What each word of a choice means.
fn words(shape: &Shape) -> String {
    match shape {
        Shape::Choice(words) => words
            .iter()
            .map(|(word, doc)| format!(" `{word}`: {}", one_line(doc)))
            .collect(),
        Shape::List(item) => words(item),
        _ => String::new(),
    }
}

/// Text within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Which keys `viaduct reload` applies.
fn reload(page: &mut String) {
    page.push_str(
        "\n## What a running gateway takes over\n\n`viaduct reload`, or the signal SIGHUP, reads the file again and applies it without ending a call or a connection; a file\nwith a mistake changes nothing. Calls and connections go on under the settings that they began with. Everything is\napplied except these keys, which are named when they have changed and wait for a restart:\n\n",
    );
    for key in RESTART_KEYS {
        let _ = writeln!(page, "- `{key}`");
    }
}

fn user_table(page: &mut String) {
    page.push_str(
        "\n## The user table of `user_source`\n\nA CSV file (RFC 4180, UTF-8, commas) whose first line names the columns. Each user stands either there or under\n`users`. The file is read at start and at reload. A database that `sqlite` names has the same columns.\n\n| column | meaning |\n|---|---|\n",
    );
    for (name, meaning) in COLUMNS {
        let _ = writeln!(page, "| `{name}` | {} |", cell(meaning));
    }
}

fn relay_options(page: &mut String) {
    page.push_str(
        "\n## The relay with rtpengine's options\n\n`viaduct-relay` takes rtpengine's options and its configuration file (`[rtpengine]`, `key = value`, several values\nseparated by `;`). Options count more than the file. Unlike rtpengine, a listener given as a port alone is on\nloopback, sources are strict, and an unknown option is an error.\n\n| option | value | meaning |\n|---|---|---|\n",
    );
    for option in OPTIONS {
        let short = option
            .short
            .map_or(String::new(), |short| format!(", `-{short}`"));
        let value = option
            .value
            .map_or(String::new(), |value| format!("`{}`", cell(value)));
        let _ = writeln!(
            page,
            "| `--{}`{short} | {value} | {} |",
            option.long,
            cell(option.help)
        );
    }
    let mut unused: Vec<_> = unused_names().map(|name| format!("`{name}`")).collect();
    unused.sort_unstable();
    let _ = writeln!(page, "\nKnown and without effect: {}.", unused.join(", "));
}

fn diagnostics(page: &mut String) {
    page.push_str("\n## Codes\n\n`E` is an error, with which the program does not start; `W` is a warning.\n\n| code | what | why it matters, what to do |\n|---|---|---|\n");
    for code in Code::ALL {
        let _ = writeln!(
            page,
            "| {code} | {} | {} |",
            cell(code.title()),
            cell(code.explanation())
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key of a file as a dotted path, with `NAME` for names chosen by the user.
    fn key_paths<S: Section>() -> Vec<String> {
        let mut paths = Vec::new();
        let mut sections = vec![(String::new(), S::keys())];
        while let Some((path, keys)) = sections.pop() {
            for key in keys {
                let key_path = join(&path, key.name);
                let mut inner = Vec::new();
                collect(&key.shape, &key_path, &mut inner);
                paths.push(key_path);
                sections.extend(inner.into_iter().map(|(path, _, keys)| (path, keys)));
            }
        }
        paths.sort();
        paths
    }

    #[test]
    fn every_key_and_code_is_on_the_page() {
        let page = reference_markdown();
        for path in key_paths::<GatewayFile>().iter().chain(&key_paths::<RelayFile>()) {
            let key = path.rsplit('.').next().unwrap();
            assert!(page.contains(&format!("| `{key}` |")), "{path}");
        }
        for code in Code::ALL {
            assert!(page.contains(&format!("| {code} |")), "{code}");
        }
    }

    #[test]
    fn rows_have_as_many_cells_as_their_table() {
        for line in reference_markdown().lines().filter(|line| line.starts_with('|')) {
            let bars = line.replace("\\|", "").matches('|').count();
            assert!((3..=5).contains(&bars), "{line}");
        }
    }

    #[test]
    fn every_key_is_documented_in_sentences() {
        let mut sections = vec![GatewayFile::keys(), RelayFile::keys()];
        while let Some(keys) = sections.pop() {
            for key in keys {
                let doc = one_line(key.doc);
                assert!(doc.ends_with('.') && doc.len() > 10, "{}: {doc}", key.name);
                let mut inner = Vec::new();
                collect(&key.shape, key.name, &mut inner);
                sections.extend(inner.into_iter().map(|(_, _, keys)| keys));
            }
        }
    }
}
