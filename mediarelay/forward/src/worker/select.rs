//! Which route a packet takes; [`Select`](crate::Select) says how.

use viaduct_rtp::RtpHeader;

use super::flow::CompiledRoute;
use crate::drop_reason::DropReason;

/// A route's selector in the form that is tested per packet.
#[derive(Debug, Default)]
pub(super) struct Selector {
    /// Bit `n`: payload type `n` is listed. Zero: none is, so all match.
    pub(super) payload_types: u128,
    pub(super) ssrcs: Box<[u32]>,
    pub(super) section: Option<u8>,
}

impl Selector {
    /// Whether it takes everything.
    pub(super) fn is_any(&self) -> bool {
        self.payload_types == 0 && self.ssrcs.is_empty() && self.section.is_none()
    }

    fn takes_payload_type(&self, payload_type: u8) -> bool {
        self.payload_types == 0 || self.lists_payload_type(payload_type)
    }

    fn lists_payload_type(&self, payload_type: u8) -> bool {
        self.payload_types >> payload_type & 1 == 1
    }
}

/// The m-lines of a bundle that a flow's routes name.
#[derive(Debug, Default)]
pub(super) struct Sections {
    mids: Vec<Mid>,
    /// Payload types that more than one section lists: they do not tell which.
    ambiguous: u128,
}

#[derive(Debug, PartialEq, Eq)]
struct Mid {
    extension_id: u8,
    value: Box<[u8]>,
}

impl Sections {
    /// The number of a MID's section, made if there is none.
    pub(super) fn enter(&mut self, extension_id: u8, mid: &str) -> u8 {
        let mid = Mid {
            extension_id,
            value: mid.as_bytes().into(),
        };
        let at = self
            .mids
            .iter()
            .position(|known| *known == mid)
            .unwrap_or_else(|| {
                self.mids.push(mid);
                self.mids.len() - 1
            });
        at as u8
    }

    /// To be called when all routes are known, unless the first section that lists a payload type is to have it.
    pub(super) fn refuse_ambiguous(&mut self, routes: &[CompiledRoute]) {
        let mut listed = 0;
        for section in 0..self.mids.len() {
            let of_section = routes
                .iter()
                .filter(|route| route.selector.section == Some(section as u8))
                .fold(0, |all, route| all | route.selector.payload_types);
            self.ambiguous |= listed & of_section;
            listed |= of_section;
        }
    }

    /// The number that a section of an earlier rule has here, so that what SSRCs were found to belong to survives a
    /// new rule. The extension's identifier may have changed.
    pub(super) fn successor(&self, earlier: &Self, section: u8) -> Option<u8> {
        let value = &earlier.mids.get(usize::from(section))?.value;
        self.mids
            .iter()
            .position(|mid| mid.value == *value)
            .map(|at| at as u8)
    }

    /// The section that a packet's MID names. `Ok(None)` if it carries none.
    pub(super) fn named_by(&self, header: &RtpHeader<'_>) -> Result<Option<u8>, DropReason> {
        if self.mids.is_empty() {
            return Ok(None);
        }
        let Some(extension) = header.extension() else {
            return Ok(None);
        };
        for element in extension.elements() {
            if !self.mids.iter().any(|mid| mid.extension_id == element.id) {
                continue;
            }
            let named = self
                .mids
                .iter()
                .position(|mid| mid.extension_id == element.id && *mid.value == *element.data);
            return named.map(|at| Some(at as u8)).ok_or(DropReason::UnknownMid);
        }
        Ok(None)
    }

    /// The section of a packet that names none and whose SSRC is not known to belong to any.
    fn guess(&self, routes: &[CompiledRoute], payload_type: u8, ssrc: u32) -> Option<u8> {
        if self.mids.len() == 1 {
            return Some(0);
        }
        let listing = |matches: &dyn Fn(&Selector) -> bool| {
            routes
                .iter()
                .map(|route| &route.selector)
                .find(|s| s.section.is_some() && matches(s))?
                .section
        };
        listing(&|selector| selector.ssrcs.contains(&ssrc)).or_else(|| {
            let unambiguous = self.ambiguous >> payload_type & 1 == 0;
            listing(&|selector| unambiguous && selector.lists_payload_type(payload_type))
        })
    }

    /// The route of a packet, and its section if one was found. `known` is what its MID or its SSRC's history says.
    pub(super) fn route(
        &self,
        routes: &[CompiledRoute],
        known: Option<u8>,
        payload_type: u8,
        ssrc: u32,
    ) -> Result<(usize, Option<u8>), DropReason> {
        let section = known.or_else(|| self.guess(routes, payload_type, ssrc));
        let at = routes.iter().position(|route| {
            let selector = &route.selector;
            let of_stream = match selector.section {
                Some(_) => selector.section == section,
                None => selector.ssrcs.is_empty() || selector.ssrcs.contains(&ssrc),
            };
            of_stream && selector.takes_payload_type(payload_type)
        });
        Ok((at.ok_or(DropReason::NoRoute)?, section))
    }

    /// The first route with an output for RTCP that belongs to the sender's section or lists its SSRC.
    pub(super) fn rtcp_route(
        &self,
        routes: &[CompiledRoute],
        section: Option<u8>,
        ssrc: u32,
    ) -> Option<usize> {
        let of_section = |selector: &Selector| section.is_some() && selector.section == section;
        routes.iter().position(|route| {
            let selector = &route.selector;
            route.rtcp.is_some() && (of_section(selector) || selector.ssrcs.contains(&ssrc))
        })
    }
}
