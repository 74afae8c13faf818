#!/usr/bin/env python3
"""Draws bandwidth.csv as bandwidth.png: time per step, time to an accuracy and bytes against link rate.

Usage: tools/experiments/bandwidth_plot.py DIR    (bandwidth.sh calls it; DIR holds its bandwidth.csv)
The time to the accuracy has a panel of its own where at least one method reached it in the long run.
Needs matplotlib: tools/install_dependencies.sh --plots
"""
import csv
import pathlib
import re
import sys

COLORS = {"ddp": "#4d4d4d", "ab": "#c8381e", "ab-nogroups": "#e69f00", "powersgd": "#0072b2",
          "local-sgd": "#009e73"}
MARKERS = {"ddp": "o", "ab": "s", "ab-nogroups": "D", "powersgd": "^", "local-sgd": "v"}


def megabits(text):
    """A rate as tc writes it, in Mbit/s."""
    found = re.fullmatch(r"([\d.]+)([kmg]?)bit", text)
    if not found:
        sys.exit(f"bandwidth_plot: rate '{text}': a number and kbit, mbit or gbit, for example 200mbit")
    return float(found[1]) * {"": 1e-6, "k": 1e-3, "m": 1.0, "g": 1e3}[found[2]]


def panels_of(rows):
    """(title, value of a row or None)"""
    panels = [("seconds per step", lambda row: float(row["seconds_per_step"])),
              ("MB sent per host and step", lambda row: float(row["bytes_per_host_and_step"]) / 1e6)]
    if any(row["steps_to_target"] for row in rows):
        panels.insert(1, ("seconds to the accuracy", lambda row: row["steps_to_target"] and
                          float(row["seconds_per_step"]) * int(row["steps_to_target"])))
    return panels


def draw(rows, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, ScalarFormatter

    panels = panels_of(rows)
    rates = sorted({megabits(row["rate"]) for row in rows})
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.6), dpi=110)
    for axis, (title, value) in zip(axes, panels):
        for method in dict.fromkeys(row["method"] for row in rows):
            points = sorted((megabits(row["rate"]), float(value(row))) for row in rows
                            if row["method"] == method and value(row))
            axis.plot([x for x, _ in points], [y for _, y in points], label=method, linewidth=1.6,
                      marker=MARKERS.get(method, "."), markersize=5, color=COLORS.get(method))
        axis.set(xscale="log", yscale="log", xlabel="link of a host, Mbit/s")
        axis.set_title(title, fontsize=11)
        axis.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.minorticks_off()
        axis.grid(True, alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    with open(folder / "bandwidth.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        sys.exit(f"bandwidth_plot: {folder}/bandwidth.csv has no row yet")
    draw(rows, folder / "bandwidth.png")


if __name__ == "__main__":
    main()
