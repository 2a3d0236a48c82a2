//! Where each setting stands in its file, for messages about values that turn out not to work later.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Place;
use crate::source::Source;
use crate::tree::{Kind, Node, Spot};

/// The places of all keys and values that are written. Values themselves are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    root: Branch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Branch {
    /// Of a key, the key itself; of an item of a list, the item.
    key: Place,
    value: Place,
    inner: BTreeMap<Arc<str>, Branch>,
}

impl Positions {
    /// The places of a tree.
    pub(crate) fn of(root: &Node, source: &Source) -> Self {
        Self {
            root: Branch::of(root, root.spot, source),
        }
    }

    /// No places but that of the whole text.
    pub(crate) fn empty(whole: Place) -> Self {
        Self {
            root: Branch::at(whole),
        }
    }

    /// Says that the value at `path` stands at `place`.
    pub(crate) fn insert(&mut self, path: &[&str], place: &Place) {
        let mut branch = &mut self.root;
        for step in path {
            let inner = branch.inner.entry((*step).into());
            branch = inner.or_insert_with(|| Branch::at(place.clone()));
        }
        branch.key = place.clone();
        branch.value = place.clone();
    }

    /// Where the value at `path` stands, such as `["relay", "rtp_ports"]` or `["listen", "0"]`; `None` if it is
    /// not written, so that a default holds.
    #[must_use]
    pub fn value(&self, path: &[&str]) -> Option<Place> {
        self.branch(path).map(|branch| branch.value.clone())
    }

    /// Where the key at `path` stands; for an item of a list, where the item stands.
    #[must_use]
    pub fn key(&self, path: &[&str]) -> Option<Place> {
        self.branch(path).map(|branch| branch.key.clone())
    }

    /// The names written in the map at `path`.
    pub(crate) fn names(&self, path: &[&str]) -> impl Iterator<Item = &str> {
        let inner = self
            .branch(path)
            .into_iter()
            .flat_map(|branch| branch.inner.keys());
        inner.map(|name| &**name)
    }

    /// The value at `path`, or the innermost key around it that is written.
    pub(crate) fn nearest(&self, path: &[&str]) -> Place {
        self.value(path).unwrap_or_else(|| {
            let outer = (0..path.len()).rev().find_map(|end| self.key(&path[..end]));
            outer.unwrap_or_else(|| self.root.value.clone())
        })
    }

    fn branch(&self, path: &[&str]) -> Option<&Branch> {
        path.iter()
            .try_fold(&self.root, |branch, step| branch.inner.get(*step))
    }
}

impl Branch {
    fn of(node: &Node, key: Spot, source: &Source) -> Self {
        let inner = match &node.kind {
            Kind::Map(entries) => entries
                .iter()
                .map(|entry| {
                    let branch = Self::of(&entry.value, entry.key_spot, source);
                    (Arc::clone(&entry.key), branch)
                })
                .collect(),
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (index.to_string().into(), Self::of(item, item.spot, source)))
                .collect(),
            Kind::Null | Kind::Refused | Kind::Scalar { .. } => BTreeMap::new(),
        };
        Self {
            key: source.at(key.span),
            value: source.at(node.spot.span),
            inner,
        }
    }

    fn at(place: Place) -> Self {
        Self {
            key: place.clone(),
            value: place,
            inner: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileLimits, Reporter};

    #[test]
    fn finds_keys_values_items_and_the_nearest_around_a_default() {
        let mut reporter = Reporter::new(vec![Source::new("f", "relay:\n  a: 5\nlisten:\n  - x\n  - yy\n")]);
        let tree = crate::tree::build(&mut reporter, 0, &FileLimits::default());
        let mut positions = Positions::of(&tree.root, &reporter.sources[0]);
        let at = |place: Option<Place>| place.map(|place| place.to_string());
        assert_eq!(at(positions.value(&["relay", "a"])).as_deref(), Some("f:2:6"));
        assert_eq!(at(positions.key(&["relay", "a"])).as_deref(), Some("f:2:3"));
        assert_eq!(at(positions.value(&["listen", "1"])).as_deref(), Some("f:5:5"));
        assert_eq!(positions.value(&["relay", "b"]), None);
        assert_eq!(positions.nearest(&["relay", "b", "c"]).to_string(), "f:1:1");
        assert_eq!(positions.names(&["relay"]).collect::<Vec<_>>(), ["a"]);
        let place = positions.nearest(&["listen", "0"]);
        positions.insert(&["relay", "b", "c"], &place);
        assert_eq!(positions.value(&["relay", "b", "c"]), Some(place));
    }
}
