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

/// Checks each file, and tells of it; the worst outcome counts.
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
