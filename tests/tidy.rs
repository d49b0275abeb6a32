//! The invariants of the house, which no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use larder::config::reference_markdown;
use larder::outcome::reference::{metrics_markdown, reasons_markdown};

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

#[test]
fn the_vocabulary_of_messages_and_the_policy_know_nothing_of_what_is_above_them() {
    for (room, above) in [
        (
            "src/http/",
            &[
                "crate::outcome",
                "crate::policy",
                "crate::store",
                "crate::cache",
                "crate::exchange",
                "crate::admin",
            ][..],
        ),
        (
            "src/policy/",
            &["crate::store", "crate::cache", "crate::exchange", "crate::admin", "crate::invalidation"],
        ),
        (
            "src/invalidation/",
            &["crate::outcome", "crate::store", "crate::cache", "crate::exchange", "crate::admin"],
        ),
        (
            "src/outcome/",
            &[
                "crate::config",
                "crate::policy",
                "crate::store",
                "crate::cache",
                "crate::exchange",
                "crate::admin",
            ],
        ),
        ("src/store/", &["crate::cache", "crate::exchange", "crate::admin"]),
        ("src/admin/", &["crate::store", "crate::cache", "crate::exchange"]),
    ] {
        for name in above {
            assert_eq!(lines_with(name, |file| !file.starts_with(room)), [""; 0]);
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
