//! Mutations that know a little of what they mutate.
//!
//! Owns what is done besides libFuzzer's own mutations: words of the format are put in,
//! and checksums, page hashes and signatures put right again, so that what lies behind
//! them is reached. Not always: that a broken one is refused is looked at as well.

use crate::random::Random;
use crate::targets::Target;

/// Mutates `data[..size]` in place and says how long it is now.
pub fn mutate(target: &Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random::new(seed);
    let mut size = size;
    if !target.words.is_empty() && random.below(4) == 0 {
        let word = target.words[random.below(target.words.len())].as_bytes();
        size = put(word, data, size, max_size, &mut random);
    } else {
        size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    if let Some(repair) = target.repair
        && random.below(4) != 0
        && let Some(repaired) = repair(&data[..size])
        && repaired.len() <= max_size
    {
        data[..repaired.len()].copy_from_slice(&repaired);
        size = repaired.len();
    }
    size
}

/// Inserts a word somewhere, or writes it over what is there.
fn put(word: &[u8], data: &mut [u8], size: usize, max_size: usize, random: &mut Random) -> usize {
    let at = random.below(size + 1);
    if random.below(2) == 0 && size + word.len() <= max_size {
        data.copy_within(at..size, at + word.len());
        data[at..at + word.len()].copy_from_slice(word);
        return size + word.len();
    }
    let end = (at + word.len()).min(size);
    data[at..end].copy_from_slice(&word[..end - at]);
    size
}
