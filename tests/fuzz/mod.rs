//! What fuzzing throws bytes at: every parser and codec, and the whole filter on the emulated host, each with what
//! must hold whatever the bytes are.
//!
//! `make fuzz` lets libFuzzer look for new inputs (the crate in `fuzz/`); every ordinary test run plays the corpus
//! that is committed there, and some mutations of it.

mod admin;
mod config;
mod exchanges;
mod found;
mod invalidation;
mod messages;
#[cfg(test)]
mod seeds;
mod shared_data;
mod values;

use crate::chance::Chance;

/// Something that takes bytes, with the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Everything that is fuzzed.
pub const TARGETS: [Target; 14] = [
    ("admin", admin::command),
    ("cache_control", values::cache_control),
    ("chaos", crate::chaos::play_bytes),
    ("config", config::read),
    ("dates", values::dates),
    ("etags", values::etags),
    ("exchanges", exchanges::play),
    ("invalidation", invalidation::record),
    ("policy", messages::policy),
    ("ranges", values::ranges),
    ("shared_data", shared_data::read),
    ("structured", values::structured),
    ("tags", invalidation::tags),
    ("uris", values::uris),
];

/// Gives the bytes to the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(own, _)| *own == name).expect("a target of this name");
    (target.1)(bytes);
}

/// Mutations of the corpus of each target in an ordinary test run; fewer where each takes milliseconds.
const MUTATIONS: u64 = 400;
const MUTATIONS_OF_WORKLOADS: u64 = 10;

#[test]
fn the_corpus_and_what_is_nearly_like_it_do_no_harm() {
    for (name, run) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        corpus.iter().for_each(|bytes| tried(name, run, bytes));
        let mutations =
            if matches!(name, "chaos" | "exchanges") { MUTATIONS_OF_WORKLOADS } else { MUTATIONS };
        for seed in 0..mutations {
            tried(name, run, &mutated(&mut Chance::new(seed), &corpus));
        }
    }
}

fn tried(name: &str, run: fn(&[u8]), bytes: &[u8]) {
    let result = std::panic::catch_unwind(|| run(bytes));
    assert!(result.is_ok(), "{name} fails, see above, with b\"{}\"", bytes.escape_ascii());
}

/// The committed inputs of a target, in order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// One input with a few bytes changed, or with the end of another.
fn mutated(by: &mut Chance, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = by.pick(corpus).clone();
    for _ in 0..=by.below(4) {
        let at = by.below(bytes.len() as u64 + 1) as usize;
        match by.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << by.below(8),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at, *by.pick(b" ,;=\"\\/:*\n\0\xff09aZ{}[]")),
            3 => bytes.truncate(at),
            _ => {
                let other = by.pick(corpus);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[by.below(other.len() as u64 + 1) as usize..]);
            }
        }
    }
    bytes
}
