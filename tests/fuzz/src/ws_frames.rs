//! Where WebSocket messages begin and end.

use viaduct_proxy::frames::Frames;

/// Follows octets as WebSocket frames, however they are cut.
///
/// Laws: cuts change nothing; after the last fragment of a message nothing is under way; a control frame between two
/// fragments ends nothing.
pub fn ws_frames(data: &[u8]) {
    let mut whole = Frames::default();
    let ended = whole.follow(data);
    for size in [1, 2, 7, 100] {
        let mut cut_up = Frames::default();
        let ends = data.chunks(size).filter(|chunk| cut_up.follow(chunk)).count();
        assert_eq!(
            (ended, whole.is_inside()),
            (ends > 0, cut_up.is_inside()),
            "pieces of {size}"
        );
    }
    let mut beginning = Frames::default();
    if !beginning.follow(data) && !beginning.is_inside() {
        assert!(data.is_empty(), "octets of nothing");
    }
    // Behind a whole message: a first fragment, a ping, and the last fragment.
    if !whole.is_inside() {
        assert!(!whole.follow(&[0x02, 0x01, b'a']) && whole.is_inside());
        assert!(!whole.follow(&[0x89, 0x00]) && whole.is_inside());
        assert!(whole.follow(&[0x80, 0x00]) && !whole.is_inside());
    }
}
