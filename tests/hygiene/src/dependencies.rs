//! Layers, and dependencies that point up.

/// Crates that may not depend on each other, nor on those of a layer above.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// What they have in common.
    pub what: &'a str,
    /// Their names.
    pub crates: &'a [&'a str],
}

/// What is wrong with these dependencies, given the layers from the top down: one sentence for each that points up or
/// sideways, and one for each crate that stands in no layer.
pub fn upward<'e>(layers: &[Layer<'_>], edges: impl IntoIterator<Item = (&'e str, &'e str)>) -> Vec<String> {
    let rank = |name: &str| layers.iter().position(|layer| layer.crates.contains(&name));
    let mut findings = Vec::new();
    for (from, to) in edges {
        match (rank(from), rank(to)) {
            (Some(above), Some(below)) if above < below => {}
            (Some(from_rank), Some(to_rank)) => {
                let place = if from_rank == to_rank { "beside" } else { "above" };
                let (from_what, to_what) = (layers[from_rank].what, layers[to_rank].what);
                findings.push(format!(
                    "{from} ({from_what}) depends on {to} ({to_what}), which stands {place} it: arrows point down only"
                ));
            }
            (None, _) => findings.push(unknown(from)),
            (_, None) => findings.push(unknown(to)),
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Dependencies from one half of the program to the other that are not among the bridges.
pub fn unbridged<'e>(
    here: &[&str],
    there: &[&str],
    bridges: &[(&str, &str)],
    edges: impl IntoIterator<Item = (&'e str, &'e str)>,
) -> Vec<(&'e str, &'e str)> {
    let edges = edges
        .into_iter()
        .filter(|(from, to)| here.contains(from) && there.contains(to));
    edges.filter(|edge| !bridges.contains(edge)).collect()
}

fn unknown(name: &str) -> String {
    format!("{name} stands in no layer: docs/architecture.md and LAYERS must say where it belongs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [Layer<'static>; 2] = [
        Layer {
            what: "shells",
            crates: &["top", "other"],
        },
        Layer {
            what: "cores",
            crates: &["bottom"],
        },
    ];

    #[test]
    fn arrows_down_are_right() {
        assert!(upward(&LAYERS, [("top", "bottom"), ("other", "bottom")]).is_empty());
    }

    #[test]
    fn every_other_arrow_is_named() {
        let findings = upward(
            &LAYERS,
            [("bottom", "top"), ("top", "other"), ("top", "stranger")],
        );
        assert_eq!(findings.len(), 3);
        assert!(findings[0].starts_with("bottom (cores) depends on top (shells), which stands above it"));
        assert!(findings[1].starts_with("stranger stands in no layer"));
        assert!(findings[2].contains("top (shells) depends on other (shells), which stands beside it"));
    }

    #[test]
    fn the_halves_meet_at_bridges() {
        let edges = [("a", "x"), ("a", "y"), ("x", "a"), ("a", "b")];
        assert_eq!(
            unbridged(&["a", "b"], &["x", "y"], &[("a", "x")], edges),
            [("a", "y")]
        );
    }
}
