//! Every bound of the code in one table, from which docs/limits.md is rendered. A bound is a constant that is called
//! `…_MAX`, or whose comment says what is so beyond it. Its first sentence says what is bounded.

use std::collections::BTreeMap;
use std::fmt::Write;

use larder::config::REFERENCE;

/// What is so beyond the bounds that an operator sets.
#[rustfmt::skip] // One after another, whatever their length.
const BEYOND_OPTIONS: &[(&str, &str)] = &[
    ("key.content_bytes_max", "the request goes to the origin uncached (`fwd=bypass; detail=request-body`)"),
    ("variants_max", "the variant that is asked for least gives up its place"),
    ("rules[].object_bytes_max", "the response passes and is not stored (`too-large`)"),
    ("store.bytes_max", "what is worth least is evicted; where that is not enough, the response is not stored (`no-room`)"),
    ("store.object_bytes_max", "the response passes and is not stored (`too-large`)"),
    ("store.entries_max", "what is worth least in its set of sixteen is evicted"),
    ("store.host_bytes_max", "others of the host are evicted; where that is not enough, the response is not stored (`host-quota`)"),
    ("store.worker_bytes_max", "the worker gives up copies that it has not used lately; shared data still has them"),
    ("store.in_flight_bytes_max", "the largest bodies under way are not stored, or requests pass uncached (`memory`)"),
    ("tags.count_max", "the response is not stored (`limits`)"),
    ("tags.length_max", "the response is not stored (`limits`)"),
    ("collapse.wait_max", "the request is served stale where it may be, or goes to the origin by itself (`fwd=bypass; detail=not-shared`)"),
    ("collapse.waiters_max", "the request goes to the origin by itself (`fwd=bypass; detail=not-shared`)"),
    ("collapse.key_waiters_max", "the request goes to the origin by itself (`fwd=bypass; detail=not-shared`)"),
    ("collapse.refresh_concurrency_max", "what is stale is served without being refreshed until there is room"),
    ("admin.body_bytes_max", "the command is refused with a 413"),
    ("admin.selectors_max", "the command is refused with a 400"),
    ("fleet.replay_max", "everything that is stored is invalidated as `fleet.history_lost` says"),
];

/// A bound of the code.
struct Bound {
    name: String,
    value: String,
    /// What is bounded, and what is so beyond.
    of: String,
    beyond: String,
    file: String,
}

/// The tables of docs/limits.md.
pub fn markdown(files: &[(String, String)]) -> String {
    let mut rooms: BTreeMap<String, Vec<Bound>> = BTreeMap::new();
    for (file, code) in files {
        rooms.entry(room(file)).or_default().extend(bounds(file, code));
    }
    let mut page = options();
    for (room, mut bounds) in rooms.into_iter().filter(|(_, bounds)| !bounds.is_empty()) {
        bounds.sort_by(|a, b| a.file.cmp(&b.file));
        let head = "| Bound | Value | What it bounds | Beyond it | In |\n|---|---|---|---|---|";
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {room}\n\n{head}\n");
        for Bound { name, value, of, beyond, file } in bounds {
            let _ = writeln!(page, "| `{name}` | {value} | {of} | {beyond} | `{file}` |");
        }
    }
    page
}

fn options() -> String {
    let mut table = String::from("| Option | Values | Default | Beyond it |\n|---|---|---|---|\n");
    let are_bounds = REFERENCE.iter().filter(|row| row.path.ends_with("_max"));
    for row in are_bounds.clone() {
        let said = BEYOND_OPTIONS.iter().find(|(path, _)| *path == row.path);
        let (_, beyond) = said.unwrap_or_else(|| panic!("what is so beyond {}?", row.path));
        let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        let _ = writeln!(table, "| `{}` | {} | {default} | {beyond} |", row.path, row.kind);
    }
    assert_eq!(are_bounds.count(), BEYOND_OPTIONS.len(), "an option that is none");
    table
}

/// `src/cache/room.rs` is in the room `cache`.
fn room(file: &str) -> String {
    let inside = file.strip_prefix("src/").unwrap_or("wasm");
    inside.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn bounds(file: &str, code: &str) -> Vec<Bound> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        let Some((name, value)) = constant(line, next) else { continue };
        let comment = comment_above(&lines[..at]);
        let sentences = sentences(&comment);
        let beyond = sentences.iter().find_map(|sentence| beyond(sentence));
        if !name.ends_with("_MAX") && beyond.is_none() {
            continue;
        }
        let beyond = beyond.unwrap_or_else(|| {
            panic!(
                "{file}: the comment of {name} says what it bounds, and then \"Beyond it …\" what is so there"
            )
        });
        let of = sentences[0].trim_end_matches('.').to_owned();
        found.push(Bound {
            value: shown(name, value),
            name: name.to_owned(),
            of,
            beyond,
            file: file.to_owned(),
        });
    }
    found
}

/// Name and value of a constant. A long value stands on the next line.
fn constant<'a>(line: &'a str, next: &'a str) -> Option<(&'a str, &'a str)> {
    let (before, rest) = line.split_once("const ")?;
    let (name, rest) = rest.split_once(": ")?;
    let (_, value) = rest.split_once(" =")?;
    let value = if value.is_empty() { next } else { value };
    let is_plain = before.is_empty() || before.starts_with("pub");
    is_plain.then(|| (name, value.split(';').next().unwrap_or_default().trim()))
}

fn comment_above(lines: &[&str]) -> String {
    let above = lines.iter().rev().map_while(|line| line.strip_prefix("///"));
    let mut comment: Vec<&str> = above.map(str::trim).collect();
    comment.reverse();
    // A link is for rustdoc.
    comment
        .join(" ")
        .replace("](crate::invalidation::RECORD_BYTES_MAX)", "")
        .replace("[`", "`")
        .replace("`]", "`")
}

fn sentences(text: &str) -> Vec<String> {
    let mut sentences: Vec<String> = text.split(". ").map(|one| format!("{one}.")).collect();
    if let Some(last) = sentences.last_mut() {
        last.pop();
    }
    sentences
}

/// What a sentence says of what is beyond: the sentence without its beginning.
fn beyond(sentence: &str) -> Option<String> {
    let said = sentence.strip_prefix("Beyond it ");
    let said = said.or_else(|| sentence.starts_with("Nothing is beyond it").then_some(sentence))?;
    Some(said.trim_end_matches('.').to_owned())
}

/// A value as a reader wants it: bytes with their unit, large numbers in groups.
fn shown(name: &str, value: &str) -> String {
    if let Some(secs) = value.strip_prefix("Duration::from_secs(") {
        return format!("{} s", secs.trim_end_matches(')'));
    }
    let Some(number) = number(value) else { return format!("`{value}`") };
    match number {
        _ if name.contains("SECS") || name.contains("SECONDS") => format!("{} s", grouped(number)),
        _ if !name.contains("BYTES") && name != "REGEX_SIZE_MAX" => grouped(number),
        number if number.is_multiple_of(1 << 20) => format!("{} MiB", number >> 20),
        number if number.is_multiple_of(1 << 10) => format!("{} KiB", number >> 10),
        number => format!("{number} bytes"),
    }
}

fn number(value: &str) -> Option<u64> {
    let one = |text: &str| text.trim().trim_end_matches(".0").replace('_', "").parse::<u64>().ok();
    match value.split_once(" << ") {
        Some((number, by)) => Some(one(number)? << one(by)?),
        None => one(value),
    }
}

/// `100000` is `100,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
    digits.char_indices().flat_map(|(at, c)| comma(at).then_some(',').into_iter().chain([c])).collect()
}
