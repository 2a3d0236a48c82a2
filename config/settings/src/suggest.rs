//! "Did you mean": the nearest known word to a misspelt one.

/// How many known words are compared. Thousands of users must not make every mistake expensive.
const CANDIDATES_MAX: usize = 1_000;

/// Words longer than this are not compared, in characters.
const LENGTH_MAX: usize = 64;

/// The candidate nearest to `word`, if it is near enough to be what was meant.
///
/// Near enough is a third of its length; case does not count, nor does `-` for `_`.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word)?;
    let near = candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter_map(|candidate| {
            let allowed = allowed(word.len().max(candidate.len()));
            // A difference in length is a distance that costs nothing to find.
            if word.len().abs_diff(candidate.len()) > allowed {
                return None;
            }
            let distance = distance(&word, &fold(candidate)?);
            (distance <= allowed).then_some((distance, candidate))
        });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?` for the label beside the caret.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

fn allowed(length: usize) -> usize {
    if length < 3 { 0 } else { (length / 3).min(4) }
}

/// Lower case, `-` and `_` alike; `None` if the word is too long to compare.
fn fold(word: &str) -> Option<Vec<char>> {
    if word.len() > LENGTH_MAX * 4 {
        return None;
    }
    let folded: Vec<char> = word
        .chars()
        .map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() })
        .collect();
    (folded.len() <= LENGTH_MAX).then_some(folded)
}

/// Edits between two words: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_swaps_case_and_separators() {
        let known = ["address", "advertise", "rtp_ports"];
        assert_eq!(nearest("advertize", known), Some("advertise"));
        assert_eq!(nearest("adress", known), Some("address"));
        assert_eq!(nearest("addrses", known), Some("address"));
        assert_eq!(nearest("RTP-ports", known), Some("rtp_ports"));
    }

    #[test]
    fn does_not_guess_wildly() {
        assert_eq!(nearest("colour", ["address", "advertise"]), None);
        assert_eq!(nearest("x", ["no"]), None);
        assert_eq!(nearest("", ["domain"]), None);
        assert_eq!(nearest(&"a".repeat(100_000), ["a"]), None);
    }
}
