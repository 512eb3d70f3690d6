"""Compile a kernel for a chip that is not there, and read what it became."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
class Usage:
    """Registers of a thread (gfx942: vector registers); bytes of its stack and of a program."""

    registers: int
    spilled: int
    shared: int


def source_of(
    kernel: Any,
    signature: Mapping[str, Any],
    constants: Mapping[str, Any],
    divisible_by_16: Sequence[tuple[int, ...]],
) -> ASTSource:
    """A jit function as a launch with these arguments would compile it; see `launches.Launch`."""
    return ASTSource(
        kernel,
        dict(signature),
        {(kernel.arg_names.index(name),): value for name, value in constants.items()},
        {path: [["tt.divisibility", 16]] for path in divisible_by_16},
    )


def compile_kernel(source: ASTSource, options: Mapping[str, int], target: Target) -> Any:
    """What Triton makes of a source, which no GPU needs to load."""
    return triton.compile(source, target=target.gpu, options=dict(options))


def usage_of(compiled: Any, target: Target) -> Usage:
    """The resources that a compiled kernel asks for."""
    shared = compiled.metadata.shared
    if target.gpu.backend == "cuda":
        text = _nvidia("cuobjdump", "-res-usage", compiled.asm["cubin"])
        spilled = max(int(n) for n in re.findall(r"(?:STACK|LOCAL):(\d+)", text))
        return Usage(int(re.findall(r"REG:(\d+)", text)[-1]), spilled, shared)
    registers, spilled = (
        int(re.findall(rf"\.{name}:\s+(\d+)", compiled.asm["amdgcn"])[-1])
        for name in ("vgpr_count", "private_segment_fixed_size")
    )
    return Usage(registers, spilled, shared)


def tensor_core_instructions(compiled: Any, target: Target) -> str:
    """How many of which there are, empty if none."""
    if target.gpu.backend == "cuda":
        assembly = _nvidia("nvdisasm", "-c", compiled.asm["cubin"])
        found = re.findall(r"\b(HGMMA|HMMA)\b", assembly)
    else:
        found = re.findall(r"\b(v_mfma)_", compiled.asm["amdgcn"])
    return ", ".join(f"{found.count(name)} {name}" for name in sorted(set(found)))


def _nvidia(tool: str, option: str, cubin: bytes) -> str:
    """What one of the tools that come with Triton prints of a compiled kernel."""
    folder = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        return subprocess.run(
            [str(folder / tool), option, file.name], check=True, capture_output=True, text=True
        ).stdout
