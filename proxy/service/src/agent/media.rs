//! What the shell and the streams report.

use std::time::Instant;

use super::Agent;
use crate::{
    CallEnd, DigitSource, Event, MediaAddress, MediaOpenError, MediaParams, Output, StreamEvent, StreamId,
};

impl Agent {
    pub(super) fn media_opened(
        &mut self,
        now: Instant,
        id: StreamId,
        opened: Result<MediaAddress, MediaOpenError>,
    ) {
        let Some(opening) = self.openings.get(&id) else {
            return;
        };
        match opened {
            Ok(address) if address.is_usable(opening.family) => self.answer_call(now, id, address),
            Ok(address) => self.media_missing(now, id, MediaOpenError::Unusable(address.rtp)),
            Err(error) => self.media_missing(now, id, error),
        }
    }

    /// There is no media for a call: it is refused.
    pub(super) fn media_missing(&mut self, now: Instant, id: StreamId, error: MediaOpenError) {
        self.counters.media_unavailable += 1;
        self.event(Event::MediaFailed { stream: id, error });
        self.refuse_opening(now, id, CallEnd::MediaUnavailable);
    }

    pub(super) fn stream_told(&mut self, now: Instant, id: StreamId, event: StreamEvent) {
        if !self.calls.contains_key(&id) {
            return;
        }
        match event {
            StreamEvent::Heard => {}
            StreamEvent::Digit(digit) => self.digit_pressed(id, digit, DigitSource::Rtp),
            StreamEvent::Silent => self.end_call(now, id, CallEnd::Silent),
        }
    }

    pub(super) fn digit_pressed(&mut self, id: StreamId, digit: char, source: DigitSource) {
        self.counters.digits += 1;
        self.event(Event::Digit {
            stream: id,
            digit,
            source,
        });
    }

    /// Tells the shell what was agreed, if that is something else than before.
    pub(super) fn update_media(&mut self, id: StreamId, params: MediaParams) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if call.params != params {
            call.params = params;
            self.push(Output::UpdateMedia { stream: id, params });
        }
    }
}
