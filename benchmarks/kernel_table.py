"""Compile every kernel of every published setting without a GPU; write docs/KERNELS.md.

    python -m benchmarks.kernel_table [--check] [--targets sm_90 …] [--presets rsc15 …]

Prints registers, spilled bytes, shared memory and tensor-core instructions of each kernel, and
fails on a spill, on shared memory above the target's limit, and on a product of a tile that fills
a tensor-core instruction but compiled to none. `--check` writes nothing, and fails as well where
the committed document is of other kernels. Run it in a process without TRITON_INTERPRET.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks import launches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCUMENT = Path(__file__).parent.parent / "docs" / "KERNELS.md"


@dataclass(frozen=True)
class Target:
    """A chip to compile for; `shared_limit` in bytes is what one program can have."""

    name: str
    gpu: GPUTarget
    shared_limit: int


TARGETS = {
    target.name: target
    for target in (
        Target("sm_80", GPUTarget("cuda", 80, 32), 163 * 1024),
        Target("sm_90", GPUTarget("cuda", 90, 32), 227 * 1024),
        Target("gfx942", GPUTarget("hip", "gfx942", 64), 64 * 1024),
    )
}


@dataclass(frozen=True)
class Compiled:
    """What one kernel became on one target; sizes in bytes, registers per thread."""

    preset: str
    kernel: str
    target: str
    tile: str
    registers: int
    spilled: int
    shared: int
    tensor_core: str
    failures: tuple[str, ...]


def compile_kernel(
    kernel: Any,
    signature: Mapping[str, Any],
    constants: Mapping[str, Any],
    divisible_by_16: Sequence[tuple[int, ...]],
    options: Mapping[str, int],
    target: Target,
) -> Any:
    """Compile a jit function as a launch with these arguments would; see `launches.Launch`."""
    source = ASTSource(
        kernel,
        dict(signature),
        {(kernel.arg_names.index(name),): value for name, value in constants.items()},
        {path: [["tt.divisibility", 16]] for path in divisible_by_16},
    )
    return triton.compile(source, target=target.gpu, options=dict(options))


def compile_launch(preset: str, index: int, target_name: str) -> Compiled:
    """Compile one launch of a setting's step; processes share nothing but these names."""
    launch = launches.setting_launches(preset, target_name)[index]
    target = TARGETS[target_name]
    kernel = compile_kernel(
        launch.kernel, launch.signature, launch.constants, launch.divisible_by_16, launch.options,
        target,
    )  # fmt: skip
    registers, spilled, instructions = (
        _read_cuda(kernel.asm["cubin"])
        if target.gpu.backend == "cuda"
        else _read_hip(kernel.asm["amdgcn"])
    )
    shared = kernel.metadata.shared
    failures = []
    if spilled:
        failures.append(f"spills {spilled} bytes")
    if shared > target.shared_limit:
        failures.append(f"needs {shared} bytes of shared memory of {target.shared_limit}")
    if _has_product(launch) and not instructions:
        failures.append("its product uses no tensor core")
    return Compiled(
        preset, launch.name, target_name, _tile(launch), registers, spilled, shared,
        instructions, tuple(failures),
    )  # fmt: skip


def _has_product(launch: launches.Launch) -> bool:
    return bool(launch.constants.get("PRECISION") == "tf32")


def _tile(launch: launches.Launch) -> str:
    blocks = [str(v) for name, v in launch.constants.items() if name.startswith("BLOCK_")]
    return "x".join(blocks) + f", {launch.options.get('num_warps', 4)} warps"


def _read_cuda(cubin: bytes) -> tuple[int, int, str]:
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = _output(tools / "cuobjdump", "-res-usage", file.name)
        sass = _output(tools / "nvdisasm", "-c", file.name)
    registers = int(re.findall(r"REG:(\d+)", usage)[-1])
    spilled = max(int(n) for n in re.findall(r"(?:STACK|LOCAL):(\d+)", usage))
    return registers, spilled, _instructions(r"\b(HGMMA|HMMA)\b", sass)


def _read_hip(assembly: str) -> tuple[int, int, str]:
    def value(name: str) -> int:
        return int(re.findall(rf"\.{name}:\s+(\d+)", assembly)[-1])

    return (
        value("vgpr_count"),
        value("private_segment_fixed_size"),
        _instructions(r"\b(v_mfma)_", assembly),
    )


def _output(*command: object) -> str:
    return subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True
    ).stdout


def _instructions(pattern: str, assembly: str) -> str:
    found = re.findall(pattern, assembly)
    return ", ".join(f"{found.count(name)} {name}" for name in sorted(set(found)))


def jobs(presets: Sequence[str], targets: Sequence[str]) -> list[tuple[str, int, str]]:
    """(preset, launch, target), each code once: settings of equal shape share their kernels."""
    found, seen = [], set()
    for preset, target in itertools.product(presets, targets):
        for index, launch in enumerate(launches.setting_launches(preset, target)):
            if (target, launch.key()) not in seen:
                seen.add((target, launch.key()))
                found.append((preset, index, target))
    return found


def document(rows: Sequence[Compiled]) -> str:
    lines = [
        "# Kernels, compiled ahead of time",
        "",
        f"Generated by `python -m benchmarks.kernel_table` with triton {triton.__version__}; "
        "no GPU was involved and nothing here is a speed. Products in tf32; tile: the kernel's "
        "BLOCK_ constants in order; spilled: stack and local memory in bytes; shared: bytes for a "
        "program (limits: "
        + ", ".join(f"{t.name} {t.shared_limit // 1024} KiB" for t in TARGETS.values())
        + "); registers of a thread (gfx942: vector registers).",
        "",
        "| setting | kernel | target | tile | registers | spilled | shared | tensor core |",
        "|---|---|---|---|---:|---:|---:|---|",
    ]
    lines += [
        f"| {r.preset} | {r.kernel} | {r.target} | {r.tile} | {r.registers} | {r.spilled} | "
        f"{r.shared} | {r.tensor_core or '-'} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def _is_stale(text: str) -> bool:
    """Whether the committed table differs, if this triton made it; another makes other code."""
    committed = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    return f"triton {triton.__version__};" in committed and committed != text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="check only, write nothing")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument(
        "--presets", nargs="+", choices=launches.SETTINGS, default=list(launches.SETTINGS)
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes that compile")
    arguments = parser.parse_args()
    work = jobs(arguments.presets, arguments.targets)
    # Spawned: a fork of a process whose threads torch has started can hang.
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(compile_launch, *zip(*work, strict=True)))
    text = document(rows)
    print(text)
    everything = len(work) == len(jobs(launches.SETTINGS, list(TARGETS)))
    stale = arguments.check and everything and _is_stale(text)
    if not arguments.check and everything:
        DOCUMENT.write_text(text)
    failed = [row for row in rows if row.failures]
    for row in failed:
        print(f"{row.preset} {row.kernel} {row.target}: {'; '.join(row.failures)}", file=sys.stderr)
    print(f"{len(rows) - len(failed)} kernels passed, {len(failed)} failed")
    if stale:
        print(f"{DOCUMENT} is not of these kernels: run `make kernels`", file=sys.stderr)
    return 1 if failed or stale else 0


if __name__ == "__main__":
    sys.exit(main())
