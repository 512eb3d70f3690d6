"""Fuzz every target of `targets.py`, and the C++ data side under sanitizers.

`make fuzz` takes 5 minutes. Where atheris is installed it chooses the inputs by the lines that they
reach; elsewhere inputs are damaged at random. libFuzzer does the C++ part if clang++ is there, else
a plain loop of the same program compiled by g++. What fails is kept in build/fuzz and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"
BUILD = ROOT / "build" / "fuzz"
SHARE_OF_CPP = 0.2
SOURCES = (*(ROOT / "csrc/data").glob("*.cpp"), *(ROOT / "csrc/baselines").glob("*.cpp"))


def seeds(target: str) -> list[bytes]:
    """The committed inputs of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def fuzz_by_damage(target: str, seconds: float, seed: int) -> None:
    """Run a target with damaged inputs for so long."""
    from tests.fuzz import targets
    from tests.fuzz.mutations import damaged

    inputs, random_ = seeds(target), random.Random(seed)
    end, runs, accepted = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        content = damaged(random_.choice(inputs), random_.choice(inputs), random_)
        kept = BUILD / f"{target}-last"
        kept.write_bytes(content)  # A crash leaves it there.
        accepted += targets.run(target, content)
        runs += 1
    kept.unlink(missing_ok=True)
    print(f"{target}: {runs} inputs, {accepted} of them accepted")


def fuzz_by_coverage(target: str, seconds: float, seed: int) -> None:
    """Run a target by atheris for so long; it does not come back."""
    import atheris

    with atheris.instrument_imports(include=["gru4rec_fast"]):
        from tests.fuzz import targets

    def one(content: bytes) -> None:
        targets.run(target, content)

    found = BUILD / f"corpus-{target}"
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", "-rss_limit_mb=4096",
        "-timeout=60", "-max_len=16384", "-print_final_stats=1", "-verbosity=0",
        f"-artifact_prefix={BUILD}/{target}-", str(found), str(CORPUS / target),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def fuzz_cpp(seconds: float, seed: int) -> bool:
    """Build and run csrc/tests/data_fuzz.cpp under the address and undefined sanitizers."""
    clang = next(filter(None, map(shutil.which, ("clang++", "clang++-14"))), None)
    kind = "fuzzer,address,undefined" if clang else "address,undefined"
    program = BUILD / "data_fuzz"
    sources = [ROOT / "csrc/tests/data_fuzz.cpp", *SOURCES]
    if not clang:
        sources.append(ROOT / "csrc/tests/fuzz_loop.cpp")
    command = [
        clang or "g++", "-std=c++17", "-O1", "-g", f"-fsanitize={kind}",
        "-fno-sanitize-recover=all", "-pthread", f"-I{ROOT / 'csrc'}",
        *map(str, sources), "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    arguments = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}"]
    if clang:
        arguments += ["-max_len=512", "-verbosity=0", "-print_final_stats=1"]
        arguments += [f"-artifact_prefix={BUILD}/cpp-", str(CORPUS / "cpp")]
    folder = BUILD / "corpus-cpp"
    folder.mkdir(exist_ok=True)
    done = subprocess.run([str(program), *arguments[:-1], str(folder), str(CORPUS / "cpp")])
    print(f"C++ data side ({Path(command[0]).name}): status {done.returncode}")
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="in all")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 2**31)
    parser.add_argument("--only", nargs="+", metavar="TARGET", help="'cpp', or names of targets.py")
    parser.add_argument("--plain", action="store_true", help="damage at random, without atheris")
    parser.add_argument("--here", metavar="TARGET", help=argparse.SUPPRESS)
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    by_coverage = not options.plain and importlib.util.find_spec("atheris") is not None
    if options.here:
        fuzz = fuzz_by_coverage if by_coverage else fuzz_by_damage
        fuzz(options.here, options.seconds, options.seed)
        return
    print(f"seed {options.seed}, {'atheris' if by_coverage else 'random damage'}")
    names = options.only or sorted(path.name for path in CORPUS.iterdir())
    parts = [name for name in names if name != "cpp"]
    of_cpp = options.seconds * (SHARE_OF_CPP if parts else 1) if "cpp" in names else 0
    failed = []
    if of_cpp and not fuzz_cpp(of_cpp, options.seed):
        failed.append("cpp")
    for name in parts:
        share = (options.seconds - of_cpp) / len(parts)
        command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.run", "--here", name]
        command += ["--seconds", str(share), "--seed", str(options.seed)]
        done = subprocess.run(
            command + ["--plain"] * options.plain,
            cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        runs = [line for line in done.stdout.splitlines() if "number_of_executed" in line]
        print(f"{name}: status {done.returncode} {' '.join(runs)}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout[-4000:])
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}; the inputs are in {BUILD}")


if __name__ == "__main__":
    main()
