"""Fuzzes each target for its share of the time: fuzz.py SECONDS [TARGET …]

Inputs that reach something new are kept in target/fuzz; the committed corpus in fuzz/corpus only grows by hand.
Prints what was executed, and exits with 1 when there are findings, each with the input that shows it.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CARGO_FUZZ = ROOT / ".tools/cargo-fuzz/bin/cargo-fuzz"
# Shares of the time, 1 for all others: a workload takes a thousand times as long as a value.
SHARES = {"chaos": 6, "exchanges": 4}
TARGET = re.compile(r'\[\[bin\]\]\nname = "(\w+)"')


def cargo_fuzz(command, *arguments, **options):
    # Without a sanitizer: there is no unsafe code to watch, and nothing of it needs a nightly compiler.
    words = [CARGO_FUZZ, command, "--sanitizer", "none", *arguments]
    return subprocess.run([str(word) for word in words], cwd=ROOT, check=False, **options)


def fuzz(target, seconds):
    """Runs one target; returns (executions, edges covered, the output when something was found)."""
    grown, found = ROOT / "target/fuzz/corpus" / target, ROOT / "target/fuzz/found" / target
    for folder in (grown, found):
        folder.mkdir(parents=True, exist_ok=True)
    # A whole workload takes longer than a value, and a debug build of it on a busy machine longer still.
    limits = ["-timeout=120", "-report_slow_units=60", "-rss_limit_mb=4096", "-max_len=4096"]
    limits += ["-print_final_stats=1", "-verbosity=1"]
    run = cargo_fuzz(
        "run", target, grown, ROOT / "fuzz/corpus" / target, "--",
        f"-max_total_time={seconds}", f"-artifact_prefix={found}/", *limits,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    text = run.stdout.decode(errors="replace")
    executed = re.findall(r"stat::number_of_executed_units: *(\d+)", text)
    covered = re.findall(r"cov: (\d+)", text)
    numbers = (int(found[-1]) if found else 0 for found in (executed, covered))
    return (*numbers, text[-6000:] if run.returncode else None)


def main():
    seconds = int(sys.argv[1])
    targets = sys.argv[2:] or TARGET.findall((ROOT / "fuzz/Cargo.toml").read_text())
    if cargo_fuzz("build").returncode:
        sys.exit("the fuzz targets do not build")
    failed, shares = [], sum(SHARES.get(target, 1) for target in targets)
    for target in targets:
        executions, edges, finding = fuzz(target, max(1, seconds * SHARES.get(target, 1) // shares))
        print(f"{target:<14} {executions:>10} executions, {edges:>6} edges", flush=True)
        if finding:
            print(finding, flush=True)
            failed.append(target)
    if failed:
        sys.exit(f"findings: {', '.join(failed)}")


if __name__ == "__main__":
    main()
