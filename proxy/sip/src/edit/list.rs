//! Taking values off both ends of comma lists.

use std::ops::Range;

use super::Edit;
use super::splice::Splices;
use crate::HeaderName;
use crate::list::Elements;

/// How much of one header's list is gone. Values are taken off its ends only, so two offsets say it all, and taking the
/// next one looks at that one only.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListChange {
    name: HeaderName,
    /// Values that begin before this offset are gone.
    front: usize,
    /// Values that end after this offset are gone.
    back: usize,
}

impl<'m> Edit<'m> {
    pub(super) fn remove_first_element(&mut self, name: HeaderName) -> Option<&'m [u8]> {
        let range = self.first_left(name)?;
        self.list_change(name).front = range.end;
        Some(&self.message.octets()[range])
    }

    pub(super) fn remove_last_element(&mut self, name: HeaderName) -> Option<&'m [u8]> {
        let range = self.last_left(name)?;
        self.list_change(name).back = range.start;
        Some(&self.message.octets()[range])
    }

    /// The first value of a list header on lines that stay.
    pub(super) fn first_left(&self, name: HeaderName) -> Option<Range<usize>> {
        let ListChange { front, back, .. } = self.list_bounds(name);
        let lines = self
            .message
            .line_indices(name.into())
            .filter(|&index| !self.is_changed(index));
        lines
            .flat_map(|index| self.elements_between(index, front, back).next())
            .next()
    }

    fn last_left(&self, name: HeaderName) -> Option<Range<usize>> {
        let ListChange { front, back, .. } = self.list_bounds(name);
        let lines = self
            .message
            .line_indices(name.into())
            .filter(|&index| !self.is_changed(index));
        lines
            .filter_map(|index| self.elements_between(index, front, back).last())
            .last()
    }

    /// Turns removed values into removed octets. A line that loses all its values goes as a whole; otherwise the removed
    /// values take their commas and folds with them, and those that stay are not touched.
    pub(super) fn remove_elements(&self, splices: &mut Splices<'_>) {
        for &ListChange { name, front, back } in &self.lists {
            for index in self.message.line_indices(name.into()) {
                let value = self.message.line(index).value.range();
                if self.is_changed(index) || (front <= value.start && value.end <= back) {
                    continue;
                }
                let mut kept = self.elements_between(index, front, back);
                let Some(first) = kept.next() else {
                    splices.remove(self.message.line_range(index));
                    continue;
                };
                if front > value.start {
                    splices.remove(value.start..first.start);
                }
                if back < value.end {
                    let last = kept.last().unwrap_or(first);
                    splices.remove(last.end..value.end);
                }
            }
        }
    }

    /// Ranges of the values of one line that lie between two offsets, both at the edge of a value.
    fn elements_between(
        &self,
        index: usize,
        front: usize,
        back: usize,
    ) -> impl Iterator<Item = Range<usize>> + use<'m> {
        let value = self.message.line(index).value.range();
        let start = value.start.max(front).min(value.end);
        let end = value.end.min(back).max(start);
        let mut elements = Elements::new(&self.message.octets()[start..end]);
        std::iter::from_fn(move || {
            elements
                .next_range()
                .map(|range| start + range.start..start + range.end)
        })
    }

    fn list_bounds(&self, name: HeaderName) -> ListChange {
        let change = self.lists.iter().find(|change| change.name == name).copied();
        change.unwrap_or(ListChange {
            name,
            front: 0,
            back: usize::MAX,
        })
    }

    fn list_change(&mut self, name: HeaderName) -> &mut ListChange {
        let known = self.lists.iter().position(|change| change.name == name);
        let place = known.unwrap_or_else(|| {
            self.lists.push(ListChange {
                name,
                front: 0,
                back: usize::MAX,
            });
            self.lists.len() - 1
        });
        &mut self.lists[place]
    }
}
