//! Answers of other people's HTTP services: decisions about calls, and users.

use serde_json::Value;
use viaduct_settings::{ChallengeSettings, UserDefaults};
use viaduct_trunk::hook::{ANSWER_OCTETS_MAX, HookDecision, TARGETS_MAX, TEXT_OCTETS_MAX};

/// Reads octets as the decision of a hook.
///
/// Laws: what is read can go into a message as it is: texts are short and have no line breaks, codes are refusals that need
/// no challenge, targets are a few; and it prints as what is read as the same.
pub fn hook_answer(data: &[u8]) {
    let Ok(decision) = HookDecision::from_json(data) else {
        return;
    };
    assert!(data.len() <= ANSWER_OCTETS_MAX);
    let changes = decision.changes();
    for text in [&changes.number, &changes.from_number, &changes.from_name]
        .into_iter()
        .flatten()
    {
        fits_a_message(text);
    }
    match &decision {
        HookDecision::Continue(_) => {}
        HookDecision::Route(route) => assert!((1..=TARGETS_MAX).contains(&route.send_to.len())),
        HookDecision::Reject(rejection) => {
            assert!(matches!(rejection.status, 400..=699) && !matches!(rejection.status, 401 | 407));
            rejection.reason.iter().for_each(|reason| fits_a_message(reason));
        }
    }
    let printed = serde_json::to_vec(&decision).unwrap();
    assert_eq!(HookDecision::from_json(&printed), Ok(decision));
}

fn fits_a_message(text: &str) {
    assert!(text.len() <= TEXT_OCTETS_MAX && !text.contains(|character: char| character.is_ascii_control()));
}

/// Reads octets as the user that a service answers with.
///
/// Laws: whoever is found has the name that was asked for; what is wrong is said in one line, which shows nothing of a
/// secret.
pub fn user_answer(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let defaults = UserDefaults {
        devices: 3,
        challenge: ChallengeSettings::default(),
    };
    match defaults.user_of_json("alice", text) {
        Ok(user) => assert_eq!(user.login, "alice"),
        Err(why) => {
            assert!(!why.is_empty());
            assert!(!(is_only_a_password(text) && why.contains(SECRET)), "{why}");
        }
    }
}

/// True when the password of the seeds stands where passwords belong, and nowhere else: other values and keys are shown to
/// whoever has to mend them.
fn is_only_a_password(text: &str) -> bool {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let is_once = |text: &str| text.matches(SECRET).count() == 1;
    parsed.is_some_and(|value| value["secret"] == SECRET && is_once(&value.to_string()) && is_once(text))
}

/// The password in the seeds.
const SECRET: &str = "apple pie";
