use super::*;

fn tree(text: &str) -> (Tree, String) {
    let mut reporter = Reporter::new(vec![Source::new("f", text)]);
    let tree = build(&mut reporter, 0, &FileLimits::default());
    (tree, reporter.finish().to_string())
}

/// The tree as compact text: scalars in their own spelling.
fn shape(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "-".into(),
        Kind::Refused => "!".into(),
        Kind::Scalar { text, .. } => format!("<{text}>"),
        Kind::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(" ")),
        Kind::Map(entries) => format!(
            "{{{}}}",
            entries
                .iter()
                .map(|entry| format!("{}={}", entry.key, shape(&entry.value)))
                .collect::<Vec<_>>()
                .join(" ")
        ),
    }
}

#[test]
fn scalars_keep_their_spelling() {
    let (tree, found) =
        tree("a: +4930123\nb: \"201\"\nc: 0100\nd: yes\ne: 1e3\nf: ~\ng:\nh: ''\ni: |\n  x\n  y\nj: -.inf\n");
    assert_eq!(found, "");
    assert_eq!(
        shape(&tree.root),
        "{a=<+4930123> b=<201> c=<0100> d=<yes> e=<1e3> f=- g=- h=<> i=<x\ny\n> j=<-.inf>}"
    );
}

#[test]
fn aliases_repeat_a_value() {
    let (tree, found) = tree("a: &x [1, 2]\nb: *x\n");
    assert_eq!(found, "");
    assert_eq!(shape(&tree.root), "{a=[<1> <2>] b=[<1> <2>]}");
}

#[test]
fn several_mistakes_of_form_are_found_in_one_run() {
    let (tree, found) =
        tree("a: 1\na: 2\n? [x]\n: 3\n<<: {q: 1}\nb: !!str 5\nc: *nowhere\nd: &self [*self]\ne: 6\n");
    assert_eq!(shape(&tree.root), "{a=<1> b=! c=! d=[!] e=<6>}");
    for part in [
        "E103]: key `a` is given twice",
        "f:2:1",
        "first given at line 1",
        "keys that are not text",
        "merge keys",
        "tags",
        "an alias without its anchor",
        "f:8:11",
    ] {
        assert!(found.contains(part), "{part} is missing in\n{found}");
    }
}

#[test]
fn a_second_document_is_refused() {
    let (tree, found) = tree("a: 1\n---\nb: 2\n");
    assert_eq!(shape(&tree.root), "{a=<1>}");
    assert!(
        found.contains("several documents") && found.contains("f:2:1"),
        "{found}"
    );
}

#[test]
fn after_a_syntax_error_finished_top_level_entries_remain() {
    let (tree, found) = tree("a: 1\nb: {c: 2}\nd: {e: 3\nf: 4\n");
    assert!(!tree.complete);
    assert_eq!(shape(&tree.root), "{a=<1> b={c=<2>}}");
    assert!(
        found.contains("E101") && found.contains("is a `}` or a comma missing"),
        "{found}"
    );
}

#[test]
fn nesting_is_limited_through_brackets_and_through_aliases() {
    let (_, found) = tree(&"[".repeat(100));
    assert!(found.contains("E102") || found.contains("E101"), "{found}");
    let mut text = String::from("a0: &a0 [1]\n");
    for i in 1..60 {
        text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    let (_, found) = tree(&text);
    assert!(found.contains("E102"), "{found}");
}

#[test]
fn an_alias_bomb_is_defused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let inner = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{inner}]\n"));
    }
    let (tree, found) = tree(&text);
    assert!(found.contains("E102"), "{found}");
    assert!(tree.root.size < 20_000);
}

#[test]
fn secrets_of_any_spelling_and_form_are_masked() {
    for text in [
        "secret: hunter2\nx: @",
        "a: {sercet: 'hunter2', b: }\nb: @",
        "password:\n  - hunter2\nx: @",
        "a: { secret: hunter2, c: d: }",
        "secret: \"hunter2\n",
        "secret hunter2: {",
        "a: { secret: \"x\nhunter2",
    ] {
        let (_, found) = tree(text);
        assert!(
            !found.is_empty() && !found.contains("hunter2"),
            "{text:?}\n{found}"
        );
    }
}

#[test]
fn large_files_are_refused_before_reading() {
    let mut reporter = Reporter::new(vec![Source::new("f", &"#".repeat(100))]);
    let limits = FileLimits {
        bytes: 99,
        ..FileLimits::default()
    };
    build(&mut reporter, 0, &limits);
    assert!(reporter.finish().to_string().contains("E100"));
}
