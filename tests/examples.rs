//! The configurations that are shown and shipped are right, and say nothing that has no effect.

use std::fs;
use std::path::{Path, PathBuf};

use larder::config::Config;

use crate::scenarios::operating::configuration;
use crate::tidy::kubernetes_configurations;

#[test]
fn no_example_says_anything_without_effect() {
    let mut shown = kubernetes_configurations();
    let pages = ["README.md", "envoy/ADMIN.md", "envoy/fleet/envoy.yaml"].map(|page| root().join(page));
    for page in pages.into_iter().chain(files("envoy", "yaml")) {
        let text = fs::read_to_string(&page).unwrap();
        let found = configurations(&text);
        assert!(!found.is_empty() || is_without(&page), "{}: no configuration is found", page.display());
        shown.extend(found.into_iter().map(|json| (page.display().to_string(), json)));
    }
    let conformance =
        files("tests/conformance", "json").into_iter().filter(|file| file.ends_with("larder.json"));
    shown.extend(conformance.map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())));
    shown.push(("the scenarios".into(), configuration("", "")));
    shown.push(("the shipped one".into(), crate::stand::SHIPPED.into()));
    assert!(shown.len() >= 11, "{shown:?}");
    for (place, json) in shown {
        let config = Config::parse(with_digests(&json).as_bytes());
        let config = config.unwrap_or_else(|error| panic!("{place}: {error}\n{json}"));
        assert_eq!(config.warnings(), [""; 0], "{place}\n{json}");
    }
}

/// Examples leave out the digests of tokens, which must differ.
fn with_digests(json: &str) -> String {
    let mut parts = json.split('…');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |json, (n, part)| format!("{json}{n:064x}{part}"))
}

/// A file that has no filter in it.
fn is_without(page: &Path) -> bool {
    ["docker-compose.yaml", "envoy-fail-open.yaml"].iter().any(|name| page.ends_with(name))
}

/// The plugin configurations of a page: blocks of JSON, and texts of YAML that are JSON.
fn configurations(text: &str) -> Vec<String> {
    let fenced =
        text.split("```json\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()));
    let quoted =
        text.split("value: \"{").skip(1).filter_map(|rest| Some(format!("{{{}", rest.split_once('"')?.0)));
    let blocks = text.split("value: |\n").skip(1).map(block);
    fenced.chain(quoted).chain(blocks).collect()
}

/// The lines that are indented as deep as the first one.
fn block(rest: &str) -> String {
    let indent = rest.len() - rest.trim_start_matches(' ').len();
    let lines = rest.lines().take_while(|line| line.len() - line.trim_start_matches(' ').len() >= indent);
    lines.collect::<Vec<_>>().join("\n")
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
