//! `media_policy`: relay flags by who calls whom, for those who bring their table along.

use crate::code::Code;
use crate::decode::{Decoder, Fault, Form, TextForm, section};
use crate::diagnostic::{Diagnostic, Place, quoted};
use crate::form::{section_form, text};
use crate::shape::Shape;
use crate::suggest::did_you_mean;
use crate::tree::{Kind, Node, Spot, Style};

/// Where the relay's flags for a call come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaPolicy {
    /// From the profile of the endpoint that reads the SDP.
    Profiles,
    /// From this table; rows that are left out come from the profiles.
    Table(Box<MediaTable>),
}

section! {
    /// Flags for each pair of caller and callee. `ws` is a browser (WS or WSS), `phone` is everything else. What a
    /// row lacks for its reader is added from the profile; `viaduct check` prints the result.
    pub struct MediaTable {
        /// A browser calls a browser.
        ws_to_ws["ws-to-ws"]: Option<MediaRow> = absent(section_form::<MediaRow>(), "profiles");
        /// A browser calls a phone.
        ws_to_phone["ws-to-phone"]: Option<MediaRow> = absent(section_form::<MediaRow>(), "profiles");
        /// A phone calls a browser.
        phone_to_ws["phone-to-ws"]: Option<MediaRow> = absent(section_form::<MediaRow>(), "profiles");
        /// A phone calls a phone.
        phone_to_phone["phone-to-phone"]: Option<MediaRow> = absent(section_form::<MediaRow>(), "profiles");
    }
}

section! {
    /// Flags in the syntax of OpenSIPS' `rtpengine_offer()`, such as `RTP/AVP replace-origin ICE=remove`.
    pub struct MediaRow {
        /// For the SDP that goes to the callee.
        offer: FlagString = required(FlagForm);
        /// For the SDP that goes back to the caller.
        answer: FlagString = required(FlagForm);
    }
}

/// A flag string in which the caller's [`FlagCheck`](crate::FlagCheck) found no error, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagString {
    /// The string as written.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// `profiles`, or a table.
pub(crate) struct MediaPolicyForm;

/// The word form of [`MediaPolicyForm`].
struct PolicyWord;

impl Form for MediaPolicyForm {
    type Value = MediaPolicy;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<MediaPolicy> {
        match &node.kind {
            Kind::Map(_) => {
                let table = decoder.section::<MediaTable>(node)?;
                Some(MediaPolicy::Table(Box::new(table)))
            }
            Kind::Scalar { .. } | Kind::Null | Kind::Refused | Kind::List(_) => {
                PolicyWord.decode(node, decoder)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![
            Shape::Word("profiles"),
            section_form::<MediaTable>().shape(),
        ])
    }
}

impl TextForm for PolicyWord {
    type Value = MediaPolicy;

    fn parse(&self, text: &str) -> Result<MediaPolicy, Fault> {
        if text == "profiles" {
            return Ok(MediaPolicy::Profiles);
        }
        Err(Fault {
            code: Code::UnknownChoice,
            ..Fault::bad().help(did_you_mean(text, ["profiles"]))
        })
    }

    fn shape(&self) -> Shape {
        Form::shape(&MediaPolicyForm)
    }
}

/// A flag string.
pub(crate) struct FlagForm;

const FLAGS_MAX: usize = 1_024;

impl Form for FlagForm {
    type Value = FlagString;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<FlagString> {
        let flags = text("relay flags, such as `RTP/AVP ICE=remove`", FLAGS_MAX).decode(node, decoder)?;
        let mut is_good = true;
        for problem in decoder.flag_problems(&flags) {
            is_good &= !problem.is_error;
            let token = quoted(&problem.token);
            let (code, verdict) = if problem.is_error {
                (Code::Flags, "cannot be used")
            } else {
                (Code::FlagUnused, "has no effect")
            };
            let message = format!("the relay flag {token} in {} {verdict}", decoder.what());
            let diagnostic = Diagnostic::new(code, message).found(token).help(problem.problem);
            decoder.report(
                token_spot(node, &flags, problem.position, &problem.token),
                diagnostic,
            );
        }
        if !is_good {
            return None;
        }
        Some(FlagString {
            text: flags,
            place: decoder.place(node.spot),
        })
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "relay flags, such as `RTP/AVP ICE=remove`".to_owned(),
            pattern: None,
        }
    }
}

/// Where a token of the flag string stands in the file, as far as the string stands there letter by letter.
fn token_spot(node: &Node, flags: &str, position: usize, token: &str) -> Spot {
    let Kind::Scalar { style, .. } = &node.kind else {
        return node.spot;
    };
    let quote = match style {
        Style::Plain if node.spot.end - node.spot.start == flags.len() => 0,
        Style::Quoted { verbatim: true } => 1,
        _ => return node.spot,
    };
    let Some(before) = flags.get(..position) else {
        return node.spot;
    };
    let characters = |text: &str| u32::try_from(text.chars().count()).unwrap_or(0);
    let mut spot = node.spot;
    spot.start += quote + position;
    spot.end = spot.start + token.len();
    spot.span.column += u32::try_from(quote).unwrap_or(0) + characters(before);
    spot.span.length = characters(token).max(1);
    spot
}
