//! Passwords that can be read out over a desk, for the demo: `kite-amber-42`.

use std::collections::BTreeMap;
use std::path::Path;

use rand::Rng;

use crate::private;

/// Short, plain and unlike each other.
const WORDS: [&str; 64] = [
    "amber", "anchor", "apple", "arrow", "autumn", "bamboo", "banjo", "basil", "beacon", "birch", "bison",
    "bridge", "candle", "canyon", "cedar", "cherry", "cobalt", "comet", "copper", "coral", "daisy", "delta",
    "eagle", "ember", "falcon", "fern", "garnet", "ginger", "glacier", "harbor", "hazel", "heron", "indigo",
    "island", "ivory", "jasper", "juniper", "kite", "lagoon", "lemon", "lily", "maple", "marble", "meadow",
    "mint", "moss", "nectar", "ocean", "olive", "onyx", "orchid", "otter", "pebble", "pepper", "pine",
    "quartz", "raven", "river", "saffron", "tiger", "tulip", "velvet", "walnut", "willow",
];

/// Three words and three digits: about 28 bits, enough where ten wrong tries cost minutes.
fn make(rng: &mut impl Rng) -> String {
    let mut word = || WORDS[rng.next_u32() as usize % WORDS.len()];
    let (first, second, third) = (word(), word(), word());
    format!("{first}-{second}-{third}-{:03}", rng.next_u32() % 1_000)
}

/// The passwords of these users: those that were made before, and new ones for the others. Kept in the state folder, so
/// that a phone that was set up once stays set up.
pub(super) fn keep(folder: &Path, users: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let path = folder.join("demo-passwords.json");
    let known = std::fs::read_to_string(&path).ok();
    let mut passwords: BTreeMap<String, String> = known
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let before = passwords.len();
    for user in users {
        passwords
            .entry(user.clone())
            .or_insert_with(|| make(&mut rand::rng()));
    }
    if passwords.len() != before {
        private::make_folder(folder)?;
        private::write(&path, &serde_json::to_string_pretty(&passwords)?)?;
    }
    Ok(passwords)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_kept_and_unlike_each_other() {
        let folder = std::env::temp_dir().join(format!("viaduct-passwords-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let users = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        let first = keep(&folder, &users(&["201", "300"])).unwrap();
        let again = keep(&folder, &users(&["201", "300", "301"])).unwrap();
        assert_eq!(first["201"], again["201"]);
        assert_eq!((first.len(), again.len()), (2, 3));
        assert_ne!(again["300"], again["301"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_word_is_there_twice() {
        let mut words = WORDS.to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), WORDS.len());
    }
}
