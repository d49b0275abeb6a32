//! The invariants of the house, which no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use larder::admin::markdown;
use larder::config::{AdminConfig, reference_markdown};
use larder::outcome::JoinReason;
use larder::outcome::reference::{metrics_markdown, reasons_markdown};

use crate::mutants::substitution::with_mistakes;
use crate::mutants::table::MUTANTS;

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The lines of what is shipped, outside tests, that hold `what`, but for the files that `may`.
fn lines_with(what: &str, may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in ["src", "wasm/src", "cli/src"].into_iter().flat_map(sources) {
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let hits = code.lines().filter(|line| line.contains(what) && !line.trim_start().starts_with("//"));
        found.extend(hits.filter(|_| !may(&name)).map(|line| format!("{name}: {}", line.trim())));
    }
    found
}

#[test]
fn time_is_an_argument() {
    for clock in ["Instant::now", "SystemTime", "wall_clock_ns", "monotonic_ns", "clock_time_get"] {
        let may = |file: &str| {
            file == "wasm/src/host.rs" || file == "wasm/src/abi.rs" || file == "src/http/date.rs"
        };
        assert_eq!(lines_with(clock, may), [""; 0]);
    }
}

/// The rooms of the house, each with those that it names. A room stands above all that it names: who knows whom is
/// decided here, and not by the next import.
const ROOMS: [(&str, &[&str]); 21] = [
    ("heap", &[]),
    ("time", &[]),
    ("turn", &["time"]),
    ("sorting", &[]),
    ("json", &[]),
    ("glob", &[]),
    ("in_flight", &["heap"]),
    ("protobuf", &[]),
    ("http", &["heap", "sorting", "time"]),
    ("config", &["glob", "http", "json", "protobuf", "sorting"]),
    ("rate_limit", &["config", "time"]),
    ("invalidation", &["config", "glob", "http", "sorting", "time"]),
    ("outcome", &["invalidation"]),
    ("policy", &["config", "http", "outcome", "sorting", "time"]),
    ("store", &["heap", "http", "in_flight", "invalidation", "outcome", "policy", "time", "turn"]),
    ("breaker", &["config", "store", "time"]),
    (
        "cache",
        &[
            "breaker",
            "config",
            "heap",
            "http",
            "in_flight",
            "invalidation",
            "outcome",
            "policy",
            "store",
            "time",
            "turn",
        ],
    ),
    (
        "fleet",
        &[
            "cache",
            "config",
            "http",
            "invalidation",
            "json",
            "outcome",
            "protobuf",
            "rate_limit",
            "store",
            "time",
        ],
    ),
    (
        "admin",
        &[
            "breaker",
            "cache",
            "config",
            "fleet",
            "http",
            "invalidation",
            "json",
            "outcome",
            "policy",
            "rate_limit",
            "sorting",
            "store",
            "time",
        ],
    ),
    (
        "exchange",
        &[
            "admin",
            "cache",
            "config",
            "fleet",
            "heap",
            "http",
            "in_flight",
            "invalidation",
            "outcome",
            "policy",
            "rate_limit",
            "store",
            "time",
        ],
    ),
    ("lib", &[]),
];

/// What runs back up, to be turned: a file and the room above its own that it names.
const BACK_UP: [(&str, &str); 1] = [
    // The sizes of the layout bound what a configuration may ask for. They belong below both.
    ("src/config/sections.rs", "store"),
];

/// The rooms that code names: what stands behind `crate::`.
fn named(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = lines.flat_map(|line| line.split("crate::").skip(1));
    let word = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
    names.filter_map(word).collect()
}

#[test]
fn a_room_knows_only_rooms_below_it_and_of_those_only_the_ones_it_names() {
    let floor = |room: &str| ROOMS.iter().position(|(name, _)| *name == room);
    let mut seen = Vec::new();
    for (file, code) in files("src") {
        let room = file.strip_prefix("src/").unwrap().split('/').next().unwrap().trim_end_matches(".rs");
        let floor_of = floor(room).unwrap_or_else(|| panic!("{file} is in no room of the list"));
        for other in named(&code).into_iter().filter(|other| other != room) {
            if BACK_UP.contains(&(&file, &other)) {
                assert!(
                    floor(&other) > Some(floor_of),
                    "{file} names {other}, which is below it: no exception"
                );
                seen.push((file.clone(), other));
                continue;
            }
            assert!(ROOMS[floor_of].1.contains(&&*other), "{file} names {other}, which {room} may not know");
            assert!(floor(&other) < Some(floor_of), "{room} names {other}, which is above it");
            seen.push((room.to_owned(), other));
        }
    }
    for (room, may) in ROOMS {
        for other in may {
            assert!(
                seen.contains(&(room.to_owned(), (*other).to_owned())),
                "{room} does not know {other} any more"
            );
        }
    }
    for (file, room) in BACK_UP {
        assert!(seen.contains(&(file.to_owned(), room.to_owned())), "{file} does not name {room} any more");
    }
}

/// The code of each file outside its tests, by the name of the file.
fn files(folder: &str) -> Vec<(String, String)> {
    let code = |text: String| text.split("mod tests {").next().unwrap_or_default().to_owned();
    let name = |path: &Path| {
        path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().replace('\\', "/")
    };
    sources(folder).into_iter().map(|(path, text)| (name(&path), code(text))).collect()
}

/// The paths that `use` brings in, without braces: `use a::{b, c::d}` is `a::b` and `a::c::d`.
fn used(code: &str) -> Vec<(bool, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap().trim();
        let is_public = line.starts_with("pub");
        if line.is_empty() || (is_public && line.len() < 20) {
            let statement = &code[at + 4..];
            let statement: String = statement.split(';').next().unwrap().split_whitespace().collect();
            found.extend(unbraced(&statement).into_iter().map(|path| (is_public, path)));
        }
    }
    found
}

fn unbraced(tree: &str) -> Vec<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in tree.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let mut found = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        match part.split_once('{') {
            None => found
                .push(part.split("::").map(|name| name.split("as_").next().unwrap().to_owned()).collect()),
            Some((before, inner)) => {
                let before: Vec<String> =
                    before.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
                let inner = unbraced(inner.strip_suffix('}').unwrap());
                found.extend(inner.into_iter().map(|path| [before.clone(), path].concat()));
            }
        }
    }
    found
}

/// A room as a tree of modules: `admin::dialects::url` is in this file, and so are names that nobody re-exports.
struct Room(BTreeMap<Vec<String>, (String, String)>);

impl Room {
    fn new(room: &str) -> Room {
        let module = |file: &str| -> Vec<String> {
            let path = file.strip_prefix("src/").unwrap().trim_end_matches(".rs").trim_end_matches("/mod");
            path.split('/').map(str::to_owned).collect()
        };
        let files = files(&format!("src/{room}"));
        Room(files.into_iter().map(|(file, code)| (module(&file), (file, code))).collect())
    }

    /// The module that a path leads to from another, past what is re-exported on the way.
    fn home(&self, from: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut at = from.to_vec();
        let mut rest = path;
        while let [first, after @ ..] = rest {
            match first.as_str() {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                name => {
                    let inner = [&at[..], &[name.to_owned()]].concat();
                    if !self.0.contains_key(&inner) {
                        let (_, code) = self.0.get(&at)?;
                        let passed_on = used(code)
                            .into_iter()
                            .find(|(_, path)| path.last().is_some_and(|last| last == name));
                        let beyond = |path: &[String]| self.0.contains_key(&[&at[..], &path[..1]].concat());
                        return match passed_on {
                            Some((_, path)) if beyond(&path) => self.home(&at, &path),
                            Some(_) | None => Some(at),
                        };
                    }
                    at = inner;
                }
            }
            rest = after;
        }
        Some(at)
    }

    /// Which modules each one imports from. A folder's own `mod.rs` and its files are one: what the machine of an
    /// exchange is stands there, and the files tell parts of it.
    fn arrows(&self) -> BTreeMap<&[String], BTreeSet<Vec<String>>> {
        let mut arrows: BTreeMap<&[String], BTreeSet<Vec<String>>> = BTreeMap::new();
        for (module, (_, code)) in &self.0 {
            for (is_public, path) in used(code) {
                let Some(home) = self.home(module, &path) else { continue };
                let parent = &module[..module.len() - 1];
                if !is_public && home != *module && home != parent && self.0.contains_key(&home) {
                    arrows.entry(module).or_default().insert(home);
                }
            }
        }
        arrows
    }
}

/// The methods of a type whose `impl` stands in several files: by its name, the file of each.
fn methods<'a>(
    files: &'a BTreeMap<Vec<String>, (String, String)>,
    of: &str,
) -> BTreeMap<&'a str, &'a [String]> {
    let mut found = BTreeMap::new();
    for (module, (_, code)) in files {
        for (_, body) in blocks(code, of) {
            let names = body.lines().filter_map(|line| line.trim_start().split_once("fn "));
            let names = names.filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
            let name = |rest: &'a str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
            found.extend(names.filter_map(|(_, rest)| Some((name(rest)?, module.as_slice()))));
        }
    }
    found
}

/// The blocks of a file that implement a type: where each begins, and what is in it.
fn blocks<'a>(code: &'a str, of: &str) -> Vec<(usize, &'a str)> {
    let head = format!("\nimpl {of} {{\n");
    let begins = code.match_indices(&head).map(|(at, _)| at + head.len());
    begins.map(|at| (at, code[at..].split("\n}\n").next().unwrap())).collect()
}

impl Room {
    /// Which files call methods of a type that stand in which others. Those of the type's own file are its base.
    fn calls(&self, of: &str, own: &[&str]) -> BTreeMap<&[String], BTreeSet<Vec<String>>> {
        let methods = methods(&self.0, of);
        let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        let mut arrows: BTreeMap<&[String], BTreeSet<Vec<String>>> = BTreeMap::new();
        for (module, (_, code)) in &self.0 {
            for (_, body) in blocks(code, of) {
                for (at, _) in body.match_indices("self.") {
                    let name =
                        body[at + 5..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                    let Some(home) = methods.get(name) else { continue };
                    if *home != module.as_slice() && *home != own && *module != own {
                        arrows.entry(module).or_default().insert(home.to_vec());
                    }
                }
            }
        }
        arrows
    }
}

#[test]
fn no_file_of_the_cache_the_admin_room_or_of_exchanges_is_on_a_circle() {
    let cache = Room::new("cache");
    let storage = ["cache", "storage"];
    for (of, own, arrows_min) in [("Cache", &["cache"][..], 15), ("Storage", &storage[..], 8)] {
        no_circle(&cache.calls(of, own), arrows_min);
    }
    for (room, arrows_min) in [("admin", 60), ("cache", 100), ("exchange", 10)] {
        no_circle(&Room::new(room).arrows(), arrows_min);
    }
}

fn no_circle(arrows: &BTreeMap<&[String], BTreeSet<Vec<String>>>, arrows_min: usize) {
    let count = arrows.values().map(BTreeSet::len).sum::<usize>();
    assert!(count >= arrows_min, "the arrows are not read any more: {count}");
    for start in arrows.keys() {
        let mut reached: BTreeSet<&[String]> = BTreeSet::new();
        let mut open: Vec<&[String]> = vec![start];
        while let Some(at) = open.pop() {
            for next in arrows.get(at).into_iter().flatten() {
                assert!(next != start, "{} is on a circle, by {}", start.join("::"), at.join("::"));
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
    }
}

#[test]
fn nothing_in_src_is_a_mutable_static_or_allows_what_may_panic() {
    for what in [
        "static mut ",
        "allow(clippy::unwrap",
        "allow(clippy::expect",
        "allow(clippy::panic",
        "allow(clippy::index",
    ] {
        assert_eq!(lines_with(what, |_| false), [""; 0]);
    }
}

#[test]
fn the_readme_lists_the_options_as_they_are() {
    page_has("README.md", "end of options", &reference_markdown());
}

#[test]
fn the_readme_lists_what_is_honoured_as_it_is() {
    page_has("README.md", "end of what is honoured", &crate::honours::markdown());
}

#[test]
fn the_page_of_outcomes_lists_reasons_and_metrics_as_they_are() {
    page_has("docs/outcomes.md", "end of reasons", &reasons_markdown());
    page_has("docs/outcomes.md", "end of metrics", &metrics_markdown());
}

#[test]
fn the_page_of_limits_lists_every_bound_as_it_is() {
    let files = ["src", "wasm/src"].into_iter().flat_map(files).collect::<Vec<_>>();
    page_has("docs/limits.md", "end of limits", &crate::limits::markdown(&files));
}

#[test]
fn the_page_of_the_admin_route_lists_its_routes_as_they_are() {
    page_has("envoy/ADMIN.md", "end of routes", &markdown(&AdminConfig::default().path));
}

/// The page of the admin route shows what Larder says: a sample stands for what differs from run to run, and for no more.
#[test]
fn samples_in_pages_keep_what_does_not_differ() {
    let table = [
        ("cache-status: larder; hit; ttl=42", "cache-status: larder; hit; ttl=59"),
        ("larder; hit; ttl=0; detail=soft-purged", "larder; hit; ttl=-1; detail=soft-purged"),
        ("larder; hit; ttl=-13; detail=soft-purged", "larder; hit; ttl=-1; detail=soft-purged"),
        (r#"{"age":7,"bytes":812,"ttl":53}"#, r#"{"age":1,"bytes":812,"ttl":59}"#),
        (r#"{"age":70,"ttl":-10}"#, r#"{"age":1,"ttl":-1}"#),
        (r#"{"ttl":0}"#, r#"{"ttl":-1}"#),
        (
            "Its age of 3 s is below 60 s: fresh for another 57 s.",
            "Its age of 1 s is below 60 s: fresh for another 59 s.",
        ),
        ("stale for 3 s", "stale for 3 s"),
        ("larder-receipt: 9", "larder-receipt: 9"),
    ];
    for (said, shown) in table {
        let mut run = std::process::Command::new("python3");
        run.args(["-c", "import sys, transcript; print(transcript.sampled(sys.argv[1]), end='')", said]);
        run.env("PYTHONDONTWRITEBYTECODE", "1");
        let ran = run.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/demo")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), shown, "{said}");
    }
}

/// A page is rendered up to this mark, from the comment before it that says how.
fn page_has(page: &str, end: &str, rendered: &str) {
    const START: &str = "UPDATE_README=1 cargo test --test main tidy -->\n";
    // Several tables are written to one file.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).unwrap();
    let end = format!("<!-- {end} -->");
    let (before, after) = text.split_once(&end).unwrap();
    let (before, table) = before.rsplit_once(START).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{before}{START}{rendered}{end}{after}")).unwrap();
    } else {
        assert_eq!(table, rendered, "run: UPDATE_README=1 cargo test --test main tidy");
    }
}

/// The plugin configurations that stand in the objects of `envoy/kubernetes`, each with the name of its file. They are
/// written as JSON there, which is YAML too.
pub fn kubernetes_configurations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/kubernetes");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let text = lines.join("\n");
        for begin in ["pluginConfig: {\n", " config: {\n", "value: |\n"] {
            for (at, _) in text.match_indices(begin) {
                let json = &text[at..];
                let json = &json[json.find('{').unwrap()..];
                let mut depth = 0;
                let end = json.find(|c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    depth == 0
                });
                found.push((path.display().to_string(), json[..=end.unwrap()].to_owned()));
            }
        }
    }
    found
}

#[test]
fn the_configurations_for_kubernetes_are_right() {
    let found = kubernetes_configurations();
    assert_eq!(found.len(), 3, "one in each file");
    for (file, json) in found {
        let config = larder::config::Config::parse(json.as_bytes());
        let config = config.unwrap_or_else(|error| panic!("{file}: {error}\n{json}"));
        assert_eq!(config.admin.tokens.len(), 1, "{file}");
    }
}

#[test]
fn every_attack_of_the_checklist_is_tried_by_a_test_that_exists() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/CHECKLIST.md")).unwrap();
    let code: String =
        [sources("tests"), sources("src")].into_iter().flatten().map(|(_, text)| text).collect();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    for number in 1..=30 {
        assert!(rows.iter().any(|row| row.starts_with(&format!("| {number} |"))), "no row {number}");
    }
    for row in rows {
        let names = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in names.split('`').skip(1).step_by(2) {
            let is_there = code.contains(&format!("fn {name}("));
            assert!(is_there, "{name} is no test: {row}");
        }
    }
}

/// What is shipped and what tests it: from crates.io alone, under licences that let anybody use and change it. Needs no
/// network: everything has been fetched for the build.
#[test]
fn dependencies_come_from_crates_io_under_permissive_licences() {
    const LICENCES: [&str; 11] = [
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "Unlicense",
        "CC0-1.0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let version = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    for target in ["wasm32-wasip1", host] {
        let mut metadata = std::process::Command::new(&cargo);
        metadata.args([
            "metadata",
            "--offline",
            "--locked",
            "--format-version",
            "1",
            "--filter-platform",
            target,
        ]);
        let ran = metadata.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        assert!(packages.len() > 10);
        for package in packages.iter().filter(|package| {
            !package["manifest_path"]
                .as_str()
                .is_some_and(|path| path.starts_with(env!("CARGO_MANIFEST_DIR")))
        }) {
            let source = package["source"].as_str().unwrap_or("a folder");
            assert_eq!(
                source, "registry+https://github.com/rust-lang/crates.io-index",
                "{}",
                package["name"]
            );
            let licence = package["license"].as_str().unwrap_or_default();
            let is_allowed = |text: &str| {
                text.split([' ', '/']).any(|one| LICENCES.contains(&one.trim_matches(['(', ')'])))
            };
            // Of alternatives one will do; of what holds together each has to.
            assert!(licence.split(" AND ").all(is_allowed), "{}: {licence}", package["name"]);
        }
    }
}

/// A document for whoever works on Larder.
fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// What can be referred to in a document: its sections and numbered items, in headings and in bold.
fn anchors(name: &str) -> BTreeSet<String> {
    let text = document(name);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let items = text.split("**").skip(1).step_by(2);
    let first = |text: &str| text.split_whitespace().next().map(|word| word.trim_end_matches('.').to_owned());
    headings.chain(items).filter_map(first).collect()
}

/// A source or a document as one line, without the marks of comments.
fn in_one_line(text: &str) -> String {
    let bare = |line: &str| line.trim().trim_start_matches(['/', '!', '-', '>']).trim().to_owned();
    text.lines().map(bare).collect::<Vec<_>>().join(" ")
}

/// The sections that a text refers to, each with the document that is named before it, if one is. Sections that follow
/// each other are of the same one.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut before = 0;
    for (at, mark) in text.match_indices('§') {
        let number = &text[at + mark.len()..];
        let length = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (between, section) = (&text[before..at], format!("§{}", number[..length].trim_end_matches('.')));
        let named = match between {
            ", " | " and " | ", and " => found.last().map(|(named, _)| named.clone()).unwrap_or_default(),
            _ => {
                let mut words = between.split_whitespace().rev();
                let last = words.next().unwrap_or_default().trim_start_matches(['(', '[', '"']).to_owned();
                let rfc = words.next().is_some_and(|word| word.ends_with("RFC"));
                if rfc { "RFC".into() } else { last }
            }
        };
        before = at + section.len();
        found.push((named, section));
    }
    found
}

/// The words of a text that are numbers of this kind, such as `I4` and `M07`.
fn numbered(text: &str, kind: char) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_one = |word: &&str| {
        word.strip_prefix(kind).is_some_and(|n| (1..=2).contains(&n.len()) && n.parse::<u8>().is_ok())
    };
    words.filter(is_one).map(str::to_owned).collect()
}

/// The kinds of numbers in what is of the fleet: rules, procedures, and runs of its model.
const FLEET_KINDS: [char; 9] = ['A', 'C', 'E', 'F', 'J', 'M', 'P', 'R', 'S'];

/// Whether a file is of the fleet, so that its numbers are those of `docs/fleet.md`.
fn is_of_fleet(path: &str) -> bool {
    let folders = ["src/fleet/", "tests/fleet/", "docs/fleet-model/"];
    let files = ["src/store/journal/fleet.rs", "tests/e2e/fleet.rs", "wasm/src/grpc.rs", "fleet.md"];
    folders.iter().any(|folder| path.starts_with(folder)) || files.contains(&path)
}

/// The rules and procedures that `docs/fleet.md` explains, and the runs of its model.
fn in_fleet_page() -> BTreeSet<String> {
    let runs: String = sources("docs/fleet-model/src/runs").into_iter().map(|(_, text)| text).collect();
    let runs = ['M', 'P', 'R'].into_iter().flat_map(|kind| numbered(&runs, kind));
    anchors("fleet.md").into_iter().chain(runs).collect()
}

#[test]
fn what_code_and_documents_refer_to_is_in_the_documents() {
    let (protocol, envoy, fleet) = (anchors("protocol.md"), anchors("envoy-facts.md"), in_fleet_page());
    // There a section is of no RFC unless it says so.
    let own =
        ["src/store", "src/cache", "wasm/src", "src/collapse", "src/exchange", "src/in_flight", "tests/host"];
    let own =
        |path: &str| own.iter().chain(&["tests/interleave", "tests/chaos"]).any(|own| path.starts_with(own));
    let mut texts: Vec<(String, String)> = Vec::new();
    for (path, text) in
        ["src", "wasm/src", "tests", "docs/model/src", "docs/fleet-model/src"].into_iter().flat_map(sources)
    {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
        if path != "tests/tidy.rs" {
            texts.push((path, in_one_line(&text)));
        }
    }
    for name in ["protocol.md", "envoy-facts.md", "fleet.md", "glossary.md", "architecture.md"] {
        texts.push((name.into(), in_one_line(&document(name))));
    }
    let mut lost = Vec::new();
    for (path, text) in &texts {
        for (named, section) in sections(text) {
            let is_there = match named.as_str() {
                "protocol" => protocol.contains(&section),
                "envoy-facts" => envoy.contains(&section),
                "RFC" => true,
                _ if path == "protocol.md" || path.starts_with("docs/model") => protocol.contains(&section),
                _ if path == "envoy-facts.md" => envoy.contains(&section),
                _ => !own(path),
            };
            if !is_there {
                lost.push(format!("{path}: {named} {section}"));
            }
        }
        if is_of_fleet(path) {
            let numbers = FLEET_KINDS.into_iter().flat_map(|kind| numbered(text, kind));
            lost.extend(numbers.filter(|n| !fleet.contains(n)).map(|n| format!("{path}: {n}")));
        } else {
            // What is a number "of the fleet's model" elsewhere says so.
            let of_fleet = |n: &String| text.contains("the fleet's model") && fleet.contains(n);
            let numbers = ['I', 'M'].into_iter().flat_map(|kind| numbered(text, kind));
            let is_lost = |n: &String| !protocol.contains(n) && !of_fleet(n);
            lost.extend(numbers.filter(is_lost).map(|n| format!("{path}: {n}")));
        }
    }
    assert_eq!(lost, [""; 0], "the form is \"protocol §1.8\", \"envoy-facts §20.1\", \"I4\", \"M07\"");
}

#[test]
fn the_protocol_names_tests_runs_and_files_that_exist() {
    let text = document("protocol.md");
    let code: String =
        [sources("tests"), sources("src")].into_iter().flatten().map(|(_, text)| text).collect();
    let runs: String = sources("docs/model/src/runs").into_iter().map(|(_, text)| text).collect();
    for row in text.lines().filter(|line| line.starts_with("| **")) {
        for name in row.split('`').skip(1).step_by(2).filter(|name| !name.contains(['/', '.', ' '])) {
            let is_there = name == "ordered" || code.contains(&format!("fn {name}("));
            assert!(is_there, "{name} is no test: {row}");
        }
    }
    let searched = |kind| numbered(&runs, kind);
    assert_eq!(numbered(&text, 'P').difference(&searched('P')).collect::<Vec<_>>(), [""; 0], "no such runs");
    assert_eq!(
        searched('M'),
        numbered(&text, 'M'),
        "each mistake is one that the model sees, and is explained"
    );
    let in_code = text.lines().filter(|line| line.starts_with("| **M") && line.ends_with("| code |"));
    let in_code: BTreeSet<String> = in_code.flat_map(|line| numbered(&line[..9], 'M')).collect();
    let mutants = MUTANTS.iter().flat_map(|mutant| mutant.numbers).map(|number| format!("M{number:02}"));
    assert_eq!(in_code, mutants.collect());
    let said: String = sources("src").into_iter().map(|(_, text)| in_one_line(&text)).collect();
    let said = numbered(&said, 'M');
    assert_eq!(in_code.difference(&said).collect::<Vec<_>>(), [""; 0], "the code says why it is right");
    for name in ["protocol.md", "envoy-facts.md", "fleet.md", "glossary.md"] {
        let text = document(name);
        let paths = text.split('`').skip(1).step_by(2).filter(|path| {
            ["src/", "wasm/", "tests/", "docs/", "envoy/"].iter().any(|folder| path.starts_with(folder))
        });
        for path in paths {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{name}: there is no {path}");
        }
    }
}

#[test]
fn the_page_of_fleets_explains_each_mistake_and_each_alert() {
    let text = document("fleet.md");
    let runs: String = sources("docs/fleet-model/src/runs").into_iter().map(|(_, text)| text).collect();
    assert_eq!(numbered(&runs, 'M'), numbered(&text, 'M'), "each mistake that the model sees is explained");
    for rule in ["A1", "A7", "C3", "E1", "E4", "F0", "F9", "J3", "R5", "S5"] {
        assert!(anchors("fleet.md").contains(rule), "{rule}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/fleet/alerts.yaml");
    let alerts = fs::read_to_string(path).unwrap();
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let metrics = metrics_markdown();
    for metric in alerts.split(word).filter(|word| word.starts_with("larder_fleet_")) {
        let is_one_of_joined = metric.starts_with("larder_fleet_joined_");
        assert!(metrics.contains(&format!("`{metric}`")) || is_one_of_joined, "there is no metric {metric}");
    }
    for line in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(text.contains(&format!("| `{line}` |")), "{line} is not explained");
    }
    for reason in JoinReason::ALL.into_iter().filter(|reason| *reason != JoinReason::Start) {
        let counter = format!("larder_fleet_joined_{}", reason.as_str());
        assert!(alerts.contains(&counter), "no alert tells of {counter}");
        assert!(text.contains(&format!("`{}`", reason.as_str())), "{} is not explained", reason.as_str());
    }
}

#[test]
fn every_mistake_on_purpose_has_its_place_in_the_code() {
    for place in MUTANTS.iter().flat_map(|mutant| mutant.places) {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(place.file));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", place.file));
        with_mistakes(place.file, &text).unwrap_or_else(|error| panic!("tests/mutants/table.rs: {error}"));
    }
}

#[test]
fn the_protocol_has_the_sizes_of_the_code() {
    use larder::store::{SCHEMA, TRIES, journal, record, set, workers};
    let text = document("protocol.md");
    for (name, size) in [
        ("WAYS", set::WAYS as u64),
        ("LARGE_WAYS", set::LARGE_WAYS as u64),
        ("FLIGHTS", set::FLIGHTS as u64),
        ("GHOSTS", set::GHOSTS as u64),
        ("SEGMENTS", journal::SEGMENTS),
        ("RECORDS", journal::RECORDS),
        ("SEGMENT_BYTES", journal::SEGMENT_BYTES as u64),
        ("RECORD_BYTES_MAX", larder::invalidation::RECORD_BYTES_MAX as u64),
        ("TRIES", TRIES as u64),
        ("CHUNK_BYTES", record::CHUNK_BYTES as u64),
        ("WORKERS_MAX", workers::WORKERS_MAX as u64),
        ("CLUSTERS_MAX", larder::breaker::CLUSTERS_MAX as u64),
        ("SCHEMA", SCHEMA.parse().unwrap()),
    ] {
        assert!(text.contains(&format!("| {size} | `{name}` |")), "{name} is {size}");
    }
}
