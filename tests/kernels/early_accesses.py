"""What kernels access before they wait for the kernel before them, from their compiled code.

    python -m tests.kernels.early_accesses          in a process without TRITON_INTERPRET

Compiles the kernels of some settings with dependent launches for sm_90, and a kernel that accesses
too early. Prints each kernel with its faults, as JSON. No GPU is needed.
"""

from __future__ import annotations

import json
import re
from typing import Any

import triton
import triton.language as tl

from benchmarks import launches
from benchmarks.ahead_of_time import TARGETS, compile_kernel, source_of
from gru4rec_fast.config import Config
from gru4rec_fast.kernels.dependent_launch import wait_for_writes

WAIT, RECORD = "griddepcontrol.wait", 0
"""RECORD: which parameter of a kernel is the step's record."""
SMALL: dict[str, Any] = {"layers": (16,), "batch_size": 4, "n_sample": 8}
SETTINGS: tuple[dict[str, Any], ...] = (
    {"momentum": 0.1, "logq": 1.0, "dropout_p_embed": 0.2, "lr_schedule": "linear"},
    {"loss": "bpr-max", "constrained_embedding": False, "adapt": "adam"},
)


@triton.jit
def planted_kernel(record_ptr, other_ptr, DEPENDENT: tl.constexpr):
    """Reads and writes too early, and one of its programs never waits."""
    value = tl.load(other_ptr + tl.load(record_ptr))
    tl.store(other_ptr + 1, value)
    if value > 0:
        return
    wait_for_writes(DEPENDENT)
    tl.store(other_ptr, value)


def faults(ptx: str) -> list[str]:
    """What the code does on some way from its start before it waits."""
    body = ptx[ptx.index("{", ptx.index(".entry")) :]
    body = re.sub(r"//[^\n]*", "", body)
    lines = [line.strip() for line in re.split(r"[;\n]", body) if line.strip()]
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    pointers = _pointers(lines)
    found, seen, waiting = set(), set(), [0]
    while waiting:
        at = waiting.pop()
        while at not in seen and at < len(lines):
            seen.add(at)
            line = lines[at]
            if WAIT in line:
                break
            found |= _faults_of(line, pointers)
            branch = re.search(r"\bbra(\.uni)?\s+(\$\w+)", line)
            if branch:
                waiting.append(labels[branch[2]])
                if not line.startswith("@"):
                    break
            at += 1
    return sorted(found)


def _faults_of(line: str, pointers: dict[str, set[int]]) -> set[str]:
    if re.search(r"\b(st\.global|cp\.async|red\.|atom\.)", line):
        return {"writes or copies"}
    if re.search(r"\bret$", line):
        return {"ends"}
    if "ld.global" in line:
        (register,) = re.findall(r"\[\s*(%rd\d+)", line)
        if pointers.get(register) != {RECORD}:
            return {f"reads parameter {sorted(pointers.get(register, ()))}"}
    return set()


def _pointers(lines: list[str]) -> dict[str, set[int]]:
    """Register of an address -> the kernel's parameters that it can come from."""
    found: dict[str, set[int]] = {}
    changed = True
    while changed:
        changed = False
        for line in lines:
            target = re.match(r"(?:@!?%p\d+\s+)?(\w[\w.:]*)\s+(%rd\d+),(.*)", line)
            if not target or target[1].startswith("ld.global"):
                continue
            parameters = {int(n) for n in re.findall(r"_param_(\d+)", target[3])}
            for register in re.findall(r"%rd\d+", target[3]):
                parameters |= found.get(register, set())
            if not parameters <= found.setdefault(target[2], set()):
                found[target[2]] |= parameters
                changed = True
    return found


def main() -> None:
    target, result = TARGETS["sm_90"], {}
    signature = {"record_ptr": "*i32", "other_ptr": "*i32", "DEPENDENT": "constexpr"}
    source = source_of(planted_kernel, signature, {"DEPENDENT": True}, [])
    planted = compile_kernel(source, {"launch_pdl": True}, target)
    result["planted"] = faults(planted.asm["ptx"])
    for options in SETTINGS:
        config = Config(**{**SMALL, **options})
        for each in launches.record(config, target.name, dependent_launches=True):
            assert each.options["launch_pdl"]
            code = source_of(each.kernel, each.signature, each.constants, each.divisible_by_16)
            compiled = compile_kernel(code, each.options, target)
            result.setdefault(each.name, []).extend(faults(compiled.asm["ptx"]))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
