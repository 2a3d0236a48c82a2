//! How large tables are from the start.

use slotmap::{Key, SlotMap};

/// Entries beyond which a table grows as it fills, whatever its limit. What many entries need is address space until the
/// first of them comes, but some systems refuse too much of that as well.
const ROOM_MAX: usize = 1 << 18;

/// The entries that a table of at most `limit` has room for from the start.
///
/// A table that fills up moves everything to a place twice as large, which takes tens of milliseconds at a hundred
/// thousand entries, and all that while nothing else is done. Room that is never used costs no memory, so slot maps, which
/// fill from the front, have it from the start. Their entries should be small: large values go in boxes. Hash maps spread
/// over all of their room, so they grow by [`Parts`](crate::Parts).
pub fn room_for(limit: usize) -> usize {
    limit.min(ROOM_MAX)
}

/// Takes the room that a table of slots has from the beginning, or what is left of it.
pub fn make_room<K: Key, V>(table: &mut SlotMap<K, V>, limit: usize) {
    table.reserve(room_for(limit).saturating_sub(table.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_room_for_all_that_may_come_but_not_for_any_number() {
        assert_eq!(room_for(100_000), 100_000);
        assert_eq!(room_for(usize::MAX), ROOM_MAX);
    }
}
