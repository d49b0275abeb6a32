//! The sessions that pages show: they run, and the pages say what they print.

use std::process::Command;

#[test]
fn the_sessions_of_the_admin_page_run_as_they_are_shown() {
    let mut run = Command::new("python3");
    run.args(["envoy/demo/transcript.py", "envoy/ADMIN.md"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_README").is_some() {
        run.arg("--update");
    }
    let ran = run.output().expect("python3 starts");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "UPDATE_README=1 cargo test --test main pages\n{said}");
}
