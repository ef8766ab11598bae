#!/usr/bin/env python3
"""Draws the figures of attention_table.py: attention_forward.png, attention_ratio.png and attention_features.png, and
of compare_pytorch.py: memory_bound.png.

    python3 -m pip install matplotlib        # a virtual environment will do
    python3 tools/bench/plot.py all.json     # into tools/bench/plots; --out for another directory

Several files of attention_table.py are merged as its --merge does. A plot of which there are no figures is not drawn.
"""

import argparse
import io
import json
import pathlib
import sys

import attention_report as report_of

try:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image  # comes with matplotlib
except ImportError as error:
    sys.exit(f"plot.py needs matplotlib: {error}. Run: python3 -m pip install matplotlib")

COLORS = {"sprue": "#1b6ca8", "portable": "#7fb3d8", "cudnn": "#5d8a2f", "flash": "#c8782a", "flex": "#8a5fa8"}
MASKS = ("full", "causal")


def unique(values):
    return list(dict.fromkeys(values))


def cudnn_version(number):
    """91900 as cuDNN writes it, 9.19.0."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def where(report):
    parts = (lambda run: run["device"], lambda run: f"driver {run['driver']}",
             lambda run: f"cuDNN {cudnn_version(run['cudnn'])}", lambda run: f"PyTorch {run['pytorch']}",
             lambda run: run["date"])
    return "; ".join(", ".join(unique(part(run) for run in report["runs"])) for part in parts)


def save(figure, report, path):
    """Says where the figures come from, at the foot. A palette makes the file a third as large."""
    foot = 16 / (100 * figure.get_figheight())
    figure.get_layout_engine().set(rect=(0, foot, 1, 1 - foot))
    figure.text(0.995, 0.25 * foot, where(report), ha="right", va="bottom", fontsize=7, color="#606060")
    pixels = io.BytesIO()
    figure.savefig(pixels, dpi=100)
    plt.close(figure)
    Image.open(pixels).convert("RGB").quantize(256).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


def tidy(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)


def by_panel(rows):
    """{(head_dim, mask): {seqlen: row}}, both in the order of the rows."""
    panels = {}
    for cell, row in rows.items():
        head_dim, mask, seqlen = report_of.cell_key(cell)
        panels.setdefault((head_dim, mask), {})[seqlen] = row
    return panels


def draw_forward(rows):
    """TFLOPS over the length: a panel per head dimension and mask."""
    panels = by_panel(rows)
    head_dims = unique(head_dim for head_dim, _ in panels)
    seqlens = sorted(unique(s for panel in panels.values() for s in panel), key=report_of.natural)
    figure, grid = plt.subplots(len(MASKS), len(head_dims), figsize=(2 * len(head_dims) + 1, 5), sharex=True,
                                sharey=True, squeeze=False, layout="constrained")
    for (head_dim, mask), panel in panels.items():
        axes = grid[MASKS.index(mask)][head_dims.index(head_dim)]
        for name in report_of.present(panel):
            points = [(seqlens.index(s), report_of.tflops(row, name)) for s, row in panel.items() if name in row["us"]]
            axes.plot(*zip(*points), marker="o", markersize=3.5, color=COLORS[name], label=report_of.TITLES[name],
                      linewidth=2.2 if name == "sprue" else 1.4)
        axes.set_title(f"head_dim {head_dim}, {mask}", fontsize=9)
    for axes in grid.flat:
        tidy(axes)
        axes.set_ylim(bottom=0)
        axes.set_xticks(range(len(seqlens)), seqlens, fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("seqlen", fontsize=8)
    figure.supylabel("TFLOPS", fontsize=9)
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels())}
    title = "Attention forward, bf16, batch · seqlen = 16384, heads = 2048 / head_dim, rounded down"
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), fontsize=8,
                  frameon=False, title=title, title_fontsize=10)
    return figure


def draw_ratio(rows):
    """Sprue's speed relative to cuDNN's: a bar per cell, up or down from 1, and the geometric mean."""
    panels = by_panel(rows)
    head_dims = unique(head_dim for head_dim, _ in panels)
    seqlens = sorted(unique(s for panel in panels.values() for s in panel), key=report_of.natural)
    figure, grid = plt.subplots(len(MASKS), 1, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
    for axes, mask in zip(grid, MASKS):
        ratios = []
        for n, seqlen in enumerate(seqlens):
            bars = [(at, report_of.speedup(panels[d, mask][seqlen], "sprue", "cudnn")) for at, d in enumerate(head_dims)
                    if seqlen in panels.get((d, mask), {})]
            bars = [(at - 0.4 + 0.8 * (n + 0.5) / len(seqlens), ratio) for at, ratio in bars if ratio]
            if bars:
                axes.bar([at for at, _ in bars], [ratio - 1 for _, ratio in bars], bottom=1, width=0.8 / len(seqlens),
                         label=seqlen, color=plt.cm.Blues(0.3 + 0.6 * n / len(seqlens)))
            ratios += [ratio for _, ratio in bars]
        tidy(axes)
        axes.axhline(1, color="#404040", linewidth=1)
        axes.set_xticks(range(len(head_dims)), [f"head_dim {d}" for d in head_dims], fontsize=9)
        mean = report_of.number(report_of.geometric_mean(ratios), 3)
        axes.set_title(f"{mask}: geometric mean {mean}", fontsize=9)
    grid[0].legend(title="seqlen", fontsize=8, title_fontsize=8, frameon=False, loc="center left",
                   bbox_to_anchor=(1, 0.5))
    figure.suptitle("Attention forward, bf16: TFLOPS of Sprue / TFLOPS of cuDNN", fontsize=10)
    return figure


def draw_features(report):
    """Times of features relative to the plain kernel, and packed sequences beside ones of equal length."""
    bars = []  # (label, ratio)
    for cell, row in report["features"].items():
        for name in ("softcap", "alibi", "sinks", "dropout", "window"):
            if name in row["us"]:
                ratio = row["us"][name] / row["us"]["plain"]
                tiles = row.get("tiles", {})
                per_tile = tiles["plain"] / tiles[name] if name in tiles else 1
                problem = ["per visited tile"] if name in tiles else report_of.cell_key(cell)[1:]
                bars.append((", ".join([name, *problem]), ratio * per_tile))
    for row in report["varlen"].values():
        if {"sprue", "sprue fixed"} <= row["us"].keys():
            bars.append(("lengths that differ, per FLOP", 1 / report_of.speedup(row, "sprue", "sprue fixed")))
    figure, axes = plt.subplots(figsize=(7, 0.32 * len(bars) + 1.1), layout="constrained")
    axes.barh([label for label, _ in bars], [ratio for _, ratio in bars], color=COLORS["sprue"], height=0.65)
    for at, (_, ratio) in enumerate(bars):
        axes.text(max(ratio, 1) + 0.01, at, f"{ratio:.2f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.axvline(1, color="#404040", linewidth=1)
    axes.tick_params(labelsize=8)
    axes.set_title("Sprue: time of a feature / time of the plain kernel, head_dim 128", fontsize=9)
    return figure


def draw_memory(report):
    """Shares of the copy ceiling over the cases: a panel per operator."""
    colors = {"sprue": COLORS["sprue"], "eager": "#9a9a9a", "compiled": COLORS["flash"]}
    operators = {name: rows for name, rows in report["operators"].items() if rows}
    columns = min(3, len(operators))
    lines = -(-len(operators) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(3.6 * columns, 2.4 * lines + 0.6), sharey=True, squeeze=False,
                                layout="constrained")
    for axes in grid.flat[len(operators):]:
        axes.set_visible(False)
    for axes, (operator, rows) in zip(grid.flat, operators.items()):
        for name, color in colors.items():
            points = [(at, 100 * row[name]["gb_per_s"] / report["copy_gb_per_s"])
                      for at, row in enumerate(rows.values()) if name in row]
            if points:
                axes.plot(*zip(*points), marker="o", markersize=3.5, color=color, label=name)
        tidy(axes)
        axes.set_title(operator, fontsize=9)
        axes.set_xticks(range(len(rows)), list(rows), fontsize=7, rotation=60)
        axes.set_ylim(bottom=0)
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), fontsize=8,
                  frameon=False)
    figure.supylabel("% of the copy ceiling", fontsize=9)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path, help="JSON of attention_table.py and compare_pytorch.py")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "plots", help="directory")
    args = parser.parse_args()
    try:
        files = [json.loads(path.read_text(encoding="utf-8")) for path in args.files]
        report = report_of.merge([file for file in files if "operators" not in file])
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"plot.py: {error}")
    args.out.mkdir(parents=True, exist_ok=True)
    for memory in (file for file in files if "operators" in file):
        save(draw_memory(memory), {"runs": [memory["run"]]}, args.out / "memory_bound.png")
    if report["table"]:
        save(draw_forward(report["table"]), report, args.out / "attention_forward.png")
        if any(report_of.speedup(row, "sprue", "cudnn") for row in report["table"].values()):
            save(draw_ratio(report["table"]), report, args.out / "attention_ratio.png")
    if report["features"] or report["varlen"]:
        save(draw_features(report), report, args.out / "attention_features.png")


if __name__ == "__main__":
    main()
