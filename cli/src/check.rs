//! `larder check`: what the filter would say of a configuration.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use larder::config::Config;

use crate::find::{Found, configurations};

/// What came of a file, from good to bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Accepted = 0,
    Refused = 1,
    Unreadable = 2,
}

/// Checks each file and prints the result; the exit code stands for the worst result.
pub fn check(files: &[PathBuf], out: &mut impl Write) -> ExitCode {
    let outcomes = files.iter().map(|file| check_file(file, out).unwrap_or(Outcome::Unreadable));
    ExitCode::from(outcomes.max().unwrap_or(Outcome::Unreadable) as u8)
}

fn check_file(file: &Path, out: &mut impl Write) -> io::Result<Outcome> {
    let name = file.display();
    let found = match read(file).map_err(|error| error.to_string()).and_then(|text| configurations(&text)) {
        Ok(found) => found,
        Err(error) => {
            writeln!(out, "{name}: {error}")?;
            return Ok(Outcome::Unreadable);
        }
    };
    let mut worst = Outcome::Accepted;
    for Found { place, json } in found {
        let place = if place.is_empty() { format!("{name}") } else { format!("{name}: {place}") };
        worst = worst.max(check_one(&place, &json, out)?);
    }
    Ok(worst)
}

fn check_one(place: &str, json: &[u8], out: &mut impl Write) -> io::Result<Outcome> {
    match Config::parse(json) {
        Ok(config) => {
            for warning in config.warnings() {
                writeln!(out, "{place}: warning: {warning}")?;
            }
            writeln!(out, "{place}: accepted")?;
            Ok(Outcome::Accepted)
        }
        Err(error) => {
            writeln!(out, "{place}: error: {error}")?;
            Ok(Outcome::Refused)
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with this text, and with which outcome.
    fn said(name: &str, text: &str) -> (String, Outcome) {
        let folder = std::env::temp_dir().join(format!("larder-check-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        let outcome = check_file(&file, &mut out).unwrap();
        let shown = String::from_utf8(out).unwrap();
        (shown.replace(&format!("{}/", folder.display()), ""), outcome)
    }

    #[test]
    fn a_file_is_accepted_refused_or_unreadable() {
        for (name, text, expected, outcome) in [
            ("fine.json", r#"{"ttl": "1m"}"#, "fine.json: accepted\n", Outcome::Accepted),
            (
                "odd.json",
                r#"{"ttl": {"min": "2h", "max": "1h"}}"#,
                "odd.json: error: ttl.min: 2h is longer than max, which is 1h\n",
                Outcome::Refused,
            ),
            (
                "wrong.yaml",
                "wasm: [{ name: larder, code: x, config: { ttl: soon } }]",
                "wrong.yaml: wasm[0].config: error: ttl: \"soon\" is not a duration; expected",
                Outcome::Refused,
            ),
            ("none.yaml", "a: 1", "none.yaml: no plugin configuration in it", Outcome::Unreadable),
        ] {
            let (shown, what) = said(name, text);
            assert!(shown.starts_with(expected), "{shown}");
            assert!(what == outcome, "{shown}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told_and_accepted() {
        let (shown, outcome) = said("rules.json", r#"{"rules": [{"tags": []}]}"#);
        assert!(shown.contains("rules.json: warning: rules[0]: has no effect"), "{shown}");
        assert!(shown.ends_with("rules.json: accepted\n") && outcome == Outcome::Accepted, "{shown}");
    }
}
