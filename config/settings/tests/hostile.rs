//! Whatever the text is, there is an answer: never a panic, and never much time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation here is a failed test"
)]

mod common;

use std::sync::LazyLock;

use common::{check_flags, environment, files, read};
use proptest::prelude::*;
use viaduct_settings::{FixedEnvironment, load_gateway, load_relay, load_relay_conf, parse_args};

static ENVIRONMENT: LazyLock<FixedEnvironment> = LazyLock::new(environment);

/// Samples and wrong files, to be mutated.
static SEEDS: LazyLock<Vec<String>> = LazyLock::new(seeds);

fn all(text: &str) {
    let _ = load_gateway("f", text, &*ENVIRONMENT, &check_flags).map_err(|found| found.to_string());
    let _ = load_relay("f", text).map_err(|found| found.to_json());
    let _ = load_relay_conf("f", text, "rtpengine").map_err(|found| found.to_string());
    let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if let Ok(viaduct_settings::Invocation::Run(arguments)) = parse_args(&args) {
        let _ = arguments
            .settings(Some(("f", text)))
            .map_err(|found| found.to_string());
        let _ = arguments
            .settings(Some(("f.yaml", text)))
            .map_err(|found| found.to_string());
    }
}

fn seeds() -> Vec<String> {
    let mut paths = files("..");
    paths.extend(files("tests/wrong"));
    let is_seed = |path: &std::path::PathBuf| {
        path.extension()
            .is_some_and(|e| e == "yaml" || e == "conf" || e == "args")
    };
    paths
        .iter()
        .filter(|path| is_seed(path))
        .map(|path| read(path))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        all(&text);
    }

    #[test]
    fn random_yaml_like_text_never_panics(text in "([a-z]{1,3}|: |- |\n|  |\\{|\\}|\\[|\\]|,|\"|'|\\||>|&a |\\*a|<<: |#|!x |\\? |---\n|\t|~|é|users|listen|secret){0,60}") {
        all(&text);
    }

    #[test]
    fn mutated_samples_never_panic(
        seed in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..20,
        insert in "[ -~\n\té]{0,8}",
    ) {
        let mut chars: Vec<char> = seed.get(&SEEDS).chars().collect();
        let start = at.index(chars.len() + 1);
        let end = (start + cut).min(chars.len());
        chars.splice(start..end, insert.chars());
        all(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn pieces_of_samples_never_panic(
        seed in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let chars: Vec<char> = seed.get(&SEEDS).chars().collect();
        let (a, b) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
        all(&chars[a.min(b)..a.max(b)].iter().collect::<String>());
    }
}

/// Each of these would be slow if any step were quadratic in the size of the file.
#[test]
fn large_files_are_answered_in_linear_work() {
    let many_keys: String = (0..20_000).map(|n| format!("k{n}: 1\n")).collect();
    let one_line = format!(
        "{{{}}}",
        (0..20_000).map(|n| format!("k{n}: 1, ")).collect::<String>()
    );
    let many_users: String = (0..20_000)
        .map(|n| format!("  u{n}: {{ devices: x }}\n"))
        .collect();
    let long_value = format!("site: {{ domain: {} }}\n", "a".repeat(1_000_000));
    let same_key = "a: 1\n".repeat(30_000);
    let conf: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
    for text in [
        many_keys,
        one_line,
        format!("users:\n{many_users}"),
        long_value,
        same_key,
        format!("[rtpengine]\n{conf}"),
        format!("[rtpengine]\ninterface = {}", "1.2.3.4;".repeat(50_000)),
        "[".repeat(100_000),
        "- ".repeat(100_000),
    ] {
        let _ = load_gateway("f", &text, &*ENVIRONMENT, &check_flags).map_err(|found| found.to_string());
        let _ = load_relay("f", &text).map_err(|found| found.to_string());
        let _ = load_relay_conf("f", &text, "rtpengine").map_err(|found| found.to_string());
    }
}
