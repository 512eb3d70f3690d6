"""The GPU report as Markdown and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def found(results: dict[str, Any], way: str) -> dict[str, dict[str, Any]]:
    """What the jobs of one kind found, by their argument."""
    return {
        name.split(" ", 1)[1]: entry["result"]
        for name, entry in results["jobs"].items()
        if name.startswith(f"{way} ") and "result" in entry
    }


def number(value: float | None, digits: int = 1, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:,.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, empty without rows."""
    if not rows:
        return []
    rule = "|---|" + "---:|" * (len(head) - 1)
    return ["", *(f"| {' | '.join(row)} |" for row in (head,)), rule,
            *(f"| {' | '.join(row)} |" for row in rows)]  # fmt: skip


def document(results: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "# GPU report",
        "",
        f"{results['command']} at commit {results['commit']} (sources {results['sources']}) on "
        f"{results.get('device', 'an unknown device')}, {results['machine']}; torch "
        f"{results.get('torch')}, triton {results.get('triton')}; products in "
        f"{results.get('precision')}.",
        "",
        "Mini-batches/s of generated sessions: `engine` whole epochs, planning and copies "
        "included; `eager` and `graph` the reference in plain PyTorch and one fixed step of it in "
        "a CUDA graph. Of a step, in µs: `device` in the engine's graph of a block, launches "
        "chained, also with dependent launches; `gap` what the engine takes more; `host` packing, "
        "upload and launch; `plan` the planner alone; `floor` that of benchmarks/roofline.py. "
        "`bits`: whether two trainings gave the same parameters.",
        *_settings(results),
        *_kernels(results),
        *_losses(results),
    ]
    for each in found(results, "ranks").values():
        ranks = each["ranks"]
        lines += ["", f"{ranks['rows']} rows, V = {ranks['V']:,}, k = {ranks['k']}, ms:"]
        ways = {name: value for name, value in ranks.items() if isinstance(value, float)}
        lines += table(["way", "ms"], [[name, number(s, 3, 1e3)] for name, s in ways.items()])
    lines += ["", "Jobs:"]
    rows = []
    for name, entry in results["jobs"].items():
        clock = entry.get("clocks", {}).get("sm_mhz")
        notes = [entry.get("result", {}).get(key, "") for key in ("summary", "note")]
        last = entry.get("error", "").strip().splitlines()[-1:]
        remark = "; ".join(note for note in [*notes, *last] if note).replace("|", "/")
        mhz = "-" if clock is None else "–".join(f"{mhz:.0f}" for mhz in clock)
        rows.append([name, entry["status"], number(entry.get("seconds")), mhz, remark[:160]])
    lines += table(["job", "status", "s", "SM clock, MHz", "remark"], rows)
    return "\n".join(lines) + "\n"


def _settings(results: dict[str, Any]) -> list[str]:
    references, rows = found(results, "reference"), []
    for name, r in found(results, "setting").items():
        plain = references.get(name, {})
        graph = 1 / plain["graph_seconds"] if plain.get("graph_seconds") else None
        ratio = r["engine"] / plain["eager"] if plain.get("eager") else None
        dependent = r.get("dependent", {})
        rows.append([
            name, number(r["engine"], 0), number(plain.get("eager"), 0), number(graph, 0),
            number(ratio), number(r["steps"], 0),
            *(number(r.get(f"{part}_seconds"), 1, 1e6)
              for part in ("device", "short_graphs", "gap", "host", "plan", "floor")),
            "same" if r["same_bits"] else "OTHER",
            number(dependent.get("device_seconds"), 1, 1e6),
            {True: "same", False: "OTHER", None: dependent.get("note", "-")[:80]}[
                dependent.get("same_bits")
            ],
        ])  # fmt: skip
    head = ["setting", "engine", "eager", "graph", "engine/eager", "steps", "device"]
    head += ["device, graphs of 16", "gap", "host", "plan", "floor", "bits"]
    return table([*head, "device, dependent launches", "their bits"], rows)


def _kernels(results: dict[str, Any]) -> list[str]:
    """Each kernel alone, within the graph, and its floor."""
    measured = found(results, "kernels")
    names = list(dict.fromkeys(k for r in measured.values() for k in r["kernels"]))
    rows = []
    for kernel in names:
        cells = []
        for r in measured.values():
            parts = (r["kernels"], r.get("profile", {}), r["kernel_floors"])
            cells.append(" / ".join(number(part.get(kernel), 1, 1e6) for part in parts))
        rows.append([kernel, *cells])
    lines = table(["kernel", *measured], rows)
    if lines:
        lines.insert(1, "Each kernel, µs: alone from a graph, its data in the cache / within the "
                        "step's graph, by the profiler / floor")  # fmt: skip
        lines.insert(2, "")
    for name, r in found(results, "counters").items():
        per_kernel = r.get("counters", {})
        metrics = list(dict.fromkeys(m for each in per_kernel.values() for m in each))
        counts = [[k, *(number(v.get(m), 1) for m in metrics)] for k, v in per_kernel.items()]
        lines += ["", f"Nsight Compute on {name}, means in base units:"] if counts else []
        lines += table(["kernel", *metrics], counts)
    return lines


def _losses(results: dict[str, Any]) -> list[str]:
    lines = []
    for r in found(results, "loss").values():
        loss = r["loss"]
        lines += [
            "",
            f"Cross-entropy of {loss['rows']:,} rows over as many targets and "
            f"{loss['negatives']:,} negatives, H = {loss['units']}, V = {loss['V']:,}, forward "
            "and backward:",
        ]
        rows = [
            [name, number(way.get("seconds"), 3, 1e3), number(way.get("peak_bytes"), 1, 1e-6),
             way.get("note") or f"{way['gradient_off']:.1e}"]
            for name, way in loss["ways"].items()
        ]  # fmt: skip
        lines += table(["way", "ms", "peak MB", "gradient off by"], rows)
    return lines


def draw(results: dict[str, Any], path: Path) -> None:
    """Mini-batches/s of every setting as bars."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    settings, references = found(results, "setting"), found(results, "reference")
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    rates = {
        "engine": [r["engine"] for r in settings.values()],
        "graph": [1 / references[n]["graph_seconds"]
                  if references.get(n, {}).get("graph_seconds") else 0.0 for n in settings],
        "eager": [references.get(n, {}).get("eager", 0.0) for n in settings],
    }  # fmt: skip
    for i, (way, values) in enumerate(rates.items()):
        axes.bar([x + 0.27 * (i - 1) for x in range(len(settings))], values, 0.25, label=way)
    axes.set_xticks(range(len(settings)), list(settings))
    if settings:
        axes.set_yscale("log")
    axes.set_ylabel("mini-batches/s")
    axes.set_title(f"{results.get('device')}, {results.get('precision')}, {results['commit']}")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
