"""The figures of attention_table.py: merging files of them, and printing them as Markdown tables.

    {"runs": [{"device": ..., ...}], "table": {"d128-causal-8k": row, ...}, "varlen": ..., ...}

A row is {"run": index, "us": {implementation: microseconds}, "flops": {...}, "spread": {...}, "error": {...},
"graph": {...}, "tiles": {...}}. Its implementations took turns in one process; those of another row need not have.
"""

import math
import re

SECTIONS = ("table", "grouped", "varlen", "features", "short")
IMPLEMENTATIONS = ("sprue", "portable", "cudnn", "flash", "flex")
TITLES = {"sprue": "Sprue", "portable": "Sprue portable", "cudnn": "cuDNN", "flash": "FlashAttention-2",
          "flex": "FlexAttention"}


def empty_report():
    return {"runs": [], **{section: {} for section in SECTIONS}}


def add_run(report, run):
    """Its index."""
    if run not in report["runs"]:
        report["runs"].append(run)
    return report["runs"].index(run)


def merge(reports):
    """One report of several; a cell that is in more than one is taken whole from the last. ValueError for reports of
    different GPUs."""
    merged = empty_report()
    for report in reports:
        for section in SECTIONS:
            for name, row in report.get(section, {}).items():
                merged[section][name] = row | {"run": add_run(merged, report["runs"][row["run"]])}
    devices = {run["device"] for run in merged["runs"]}
    if len(devices) > 1:
        raise ValueError(f"these are figures of different GPUs: {', '.join(sorted(devices))}")
    for section in SECTIONS:
        merged[section] = dict(sorted(merged[section].items(), key=lambda item: natural(item[0])))
    return merged


def natural(name):
    """Sorts d64 before d128, full before causal, and 512 before 1k."""
    def value(part):
        number = re.fullmatch(r"(\D*)(\d+)(x\d+)?(k?)", part)
        if not number:
            return ("", 0 if part == "full" else 1, part)
        return (number[1], int(number[2]) * (1024 if number[4] else 1), number[3] or "")

    return [value(part) for part in name.split("-")]


def tflops(row, name):
    return row["flops"][name] / row["us"][name] / 1e6


def speedup(row, name, other):
    """How many times as fast; None where one of them was not measured."""
    if name not in row["us"] or other not in row["us"]:
        return None
    return tflops(row, name) / tflops(row, other)


def geometric_mean(values):
    """Of those that are not None; None if none is left."""
    values = [value for value in values if value is not None]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def cell_key(name):
    """("128", "causal", "8k") of a cell of the table; the head dimensions as a reader writes them."""
    head_dim, mask, seqlen = name[1:].split("-")
    return head_dim.replace("x", "/"), mask, seqlen


def number(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


def markdown(header, rows):
    """A table whose columns line up in the source too; the first column is text."""
    widths = [max(len(row[n]) for row in [header, *rows]) for n in range(len(header))]
    lines = ["| " + " | ".join(cell.rjust(width) if n else cell.ljust(width)
                               for n, (cell, width) in enumerate(zip(row, widths))) + " |" for row in [header, *rows]]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if n == 0 else ":") for n, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def present(rows):
    return [name for name in IMPLEMENTATIONS if any(name in row["us"] for row in rows.values())]


def table_text(rows):
    names = present(rows)
    header = ["TFLOPS", *(TITLES[name] for name in names), "Sprue / cuDNN"]
    body = [[" ".join(cell_key(cell)), *(number(tflops(row, name) if name in row["us"] else None) for name in names),
             number(speedup(row, "sprue", "cudnn"), 3)] for cell, row in rows.items()]
    return markdown(header, body)


def means_text(rows):
    """Geometric means over the lengths, and over everything; "" if Sprue ran alone."""
    groups = {}
    for cell, row in rows.items():
        head_dim, mask, _ = cell_key(cell)
        groups.setdefault(f"{head_dim} {mask}", []).append(row)
    for mask in ("full", "causal"):
        groups[f"all {mask}"] = [row for cell, row in rows.items() if cell_key(cell)[1] == mask]
    groups["all"] = list(rows.values())
    pairs = [(name, other) for name, other in (("sprue", "cudnn"), ("sprue", "flash"), ("portable", "flash"),
                                               ("sprue", "portable"), ("sprue", "flex"))
             if any(speedup(row, name, other) for row in rows.values())]
    if not pairs:
        return ""
    body = [[group, *(number(geometric_mean(speedup(row, *pair) for row in members), 3) for pair in pairs)]
            for group, members in groups.items() if members]
    return markdown(["geometric mean", *(f"{TITLES[a]} / {TITLES[b]}" for a, b in pairs)], body)


def varlen_text(rows):
    body = []
    for cell, row in rows.items():
        for name in IMPLEMENTATIONS:
            packed, fixed = ((tflops(row, key) if key in row["us"] else None) for key in (name, f"{name} fixed"))
            if packed or fixed:
                body.append([f"{cell} {TITLES[name]}", number(packed), number(fixed),
                             number(packed / fixed if packed and fixed else None, 3)])
    return markdown(["TFLOPS", "packed", "one length", "packed / one length"], body)


def features_text(rows):
    """Times relative to the same family's plain kernel; a window's also per tile that holds a visible pair."""
    body = []
    for cell, row in rows.items():
        for name, us in row["us"].items():
            plain = " ".join([*name.split()[:-1], "plain"])
            if plain not in row["us"]:
                continue
            ratio, tiles = us / row["us"][plain], row.get("tiles", {})
            per_tile = ratio * tiles[plain] / tiles[name] if name in tiles else None
            body.append([f"{cell} {name}", number(us, 1), number(ratio, 3), number(per_tile, 3)])
    return markdown(["feature", "us", "time / plain", "per visited tile"], body)


def short_text(rows):
    names = present(rows)
    body = [[cell, *(number(row["us"].get(name), 2) for name in names), number(speedup(row, "sprue", "cudnn"), 3),
             number(speedup(row, "sprue", "flash"), 3)] for cell, row in rows.items()]
    return markdown(["us", *(TITLES[name] for name in names), "speed / cuDNN", "/ FlashAttention-2"], body)


def run_text(run):
    return (f"{run['device']}, driver {run['driver']}, PyTorch {run['pytorch']} (CUDA {run['pytorch_cuda']}, "
            f"cuDNN {run['cudnn']}), Sprue {run['sprue']}, {run['date']}")


def text(report):
    """Everything that the report has."""
    parts = [run_text(run) for run in report["runs"]]
    for section, write in (("table", table_text), ("table", means_text), ("grouped", table_text),
                           ("grouped", means_text), ("varlen", varlen_text), ("features", features_text),
                           ("short", short_text)):
        if report[section]:
            parts.append(write(report[section]))
    rows = [(cell, row) for section in SECTIONS for cell, row in report[section].items()]
    launched = [f"{cell} {name}" for cell, row in rows for name, graph in row["graph"].items() if not graph]
    spreads = sorted((100 * spread, f"{cell} {name}") for cell, row in rows for name, spread in row["spread"].items())
    if spreads:
        parts.append(f"The interquartile range is at most {spreads[-1][0]:.1f} % of the median ({spreads[-1][1]}); "
                     f"half are below {spreads[len(spreads) // 2][0]:.1f} %.")
    if launched:
        parts.append(f"Timed by launches, not by a graph's replay: {', '.join(launched)}.")
    return "\n\n".join(filter(None, parts))
