//! Deterministic changes to seeds, for machines without libFuzzer.

/// Octets on which parsers decide.
const TELLING: &[u8] = b"\r\n \t:;,<>\"\\@?=&%/*[]()-.0139aAdeilm\0\x7f\x80\xff";

/// The longest piece that one step inserts, removes or copies, in octets.
const PIECE_MAX: usize = 64;

/// How many steps one mutation takes at most.
const STEPS_MAX: usize = 8;

/// What one input may grow to, in octets.
const OCTETS_MAX: usize = 16_384;

/// A sequence of mutations that is the same in every run.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Another `seed` gives another sequence.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The input with a few pieces changed, removed, repeated, or taken from one of the `others`.
    pub fn mutate(&mut self, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = input.to_vec();
        for _ in 0..=self.below(STEPS_MAX) {
            self.step(&mut octets, others);
        }
        octets.truncate(OCTETS_MAX);
        octets
    }

    fn step(&mut self, octets: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(octets.len() + 1);
        let end = (at + 1 + self.below(PIECE_MAX)).min(octets.len());
        match self.below(9) {
            0 => octets.insert(at, self.telling()),
            1 => drop(octets.drain(at..end)),
            2 => {
                let copy = octets[at..end].to_vec();
                let to = self.below(octets.len() + 1);
                octets.splice(to..to, copy);
            }
            3 => {
                let repeated = octets[at..end].repeat(1 + self.below(40));
                octets.splice(at..at, repeated);
            }
            4 => octets.truncate(at),
            5 if !others.is_empty() => {
                let other = &others[self.below(others.len())];
                let from = self.below(other.len() + 1);
                let piece = &other[from..(from + self.below(PIECE_MAX)).min(other.len())];
                octets.splice(at..at, piece.iter().copied());
            }
            kind if at < octets.len() => {
                octets[at] = match kind {
                    6 => octets[at] ^ (1 << self.below(8)),
                    7 => octets[at].wrapping_add(if self.below(2) == 0 { 1 } else { 0xff }),
                    _ => self.telling(),
                };
            }
            _ => octets.push(self.telling()),
        }
    }

    fn telling(&mut self) -> u8 {
        TELLING[self.below(TELLING.len())]
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// SplitMix64: passes through all states, needs no care with seeds.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_another_gives_others() {
        let run = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..50)
                .map(|_| mutator.mutate(b"some input", &[b"another".to_vec()]))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn nearly_every_mutation_changes_something_and_none_grows_without_end() {
        let mut mutator = Mutator::new(3);
        let inputs: Vec<_> = (0..500).map(|_| mutator.mutate(b"some input", &[])).collect();
        assert!(inputs.iter().filter(|input| **input != b"some input").count() > 450);
        let mut octets = vec![0; 100];
        for _ in 0..500 {
            octets = mutator.mutate(&octets, &[]);
            assert!(octets.len() <= OCTETS_MAX);
        }
    }

    #[test]
    fn nothing_can_be_mutated_as_well() {
        let mut mutator = Mutator::new(4);
        assert!((0..100).any(|_| !mutator.mutate(b"", &[]).is_empty()));
    }
}
