//! Writes the copy of the core.

mod substitution;
#[allow(dead_code, reason = "the tests read the rest")]
mod table;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let to = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    println!("cargo::rerun-if-changed={}", root.join("src").display());
    for place in table::MUTANTS.iter().flat_map(|mutant| mutant.places) {
        assert!(
            root.join(place.file).is_file(),
            "the table of mistakes names {}, which is no file",
            place.file
        );
    }
    copy(&root, Path::new("src"), &to);
}

/// Copies a folder of the core, with the mistakes.
fn copy(root: &Path, from: &Path, to: &Path) {
    // What was renamed since must not be found.
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(root.join(from)).unwrap() {
        let name = entry.unwrap().file_name();
        let (from, to) = (from.join(&name), to.join(&name));
        if root.join(&from).is_dir() {
            copy(root, &from, &to);
            continue;
        }
        let text = fs::read_to_string(root.join(&from)).unwrap();
        let mut text = substitution::with_mistakes(&from.to_string_lossy().replace('\\', "/"), &text)
            .unwrap_or_else(|error| panic!("tests/mutants/table.rs no longer fits the code: {error}"));
        if from == Path::new("src/lib.rs") {
            // It is included, and what is included has no documentation of its own.
            text = text
                .lines()
                .filter(|line| !line.starts_with("//!"))
                .fold(String::new(), |text, line| text + line + "\n");
        }
        fs::write(to, text).unwrap();
    }
}
