#!/usr/bin/env python3
"""Compares the speed of the working tree with another commit in one run, A B A B.

Builds the other commit under build/checkperf/ (once), runs bench_step and bench_kernels of both in
turns, and compares each row's best figure. A row that looks slower is measured again in further turns
before it counts, since other work on the machine slows single turns. Ends with exit code 1 when any
row lost more than --tolerance, and names the rows.
`cmake --build build/release --target checkperf` runs it against the last commit.
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
STEPS = [("vgg16", 32), ("resnet50", 4), ("vit", 2), ("mini-vit", 32)]


def output_of(command, **more):
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if run.returncode != 0:
        sys.exit(f"checkperf: {' '.join(map(str, command))}: exit {run.returncode}\n{run.stdout[-800:]}{run.stderr[-800:]}")
    return run.stdout


def built_commit(name):
    """Programs of a commit: exported and built once, without touching the working tree."""
    commit = output_of(["git", "-C", ROOT, "rev-parse", "--verify", name + "^{commit}"]).strip()
    source = ROOT / "build" / "checkperf" / commit[:12]
    bin_folder = source / "build" / "release" / "bin"
    source.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    print(f"building {commit[:12]} in {source.relative_to(ROOT)}", file=sys.stderr)
    output_of(["cmake", "--preset", "release"], cwd=source)
    output_of(["cmake", "--build", "build/release", "-j", "2", "--target", "bench_step", "bench_kernels"],
              cwd=source)
    return bin_folder


def step_rates(bin_folder, options):
    rates = {}
    for precision in options.precisions:
        for model, batch in STEPS:
            row = json.loads(output_of([bin_folder / "bench_step", "--model", model, "--batch", batch,
                                        "--precision", precision, "--seconds", options.seconds, "--json"]))
            rates[f"step {model} batch {batch} {precision}"] = row["images_per_s"]
    return rates


def kernel_rates(bin_folder, options):
    rows = json.loads(output_of([bin_folder / "bench_kernels", "--filter", options.filter, "--json"]))
    return {f"{row['kernel']} {row['shape']} {row['dtype']}": 1.0 / row["seconds"] for row in rows}


def measure(bin_folder, options):
    rates = {} if options.kernels_only else step_rates(bin_folder, options)
    return {**rates, **kernel_rates(bin_folder, options)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD", help="what to compare with (default: HEAD)")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--rounds", type=int, default=2, help="turns of A B before a row can fail")
    parser.add_argument("--more-rounds", type=int, default=4, help="further turns while a row looks slower")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each step measurement")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--filter", default=".", help="kernels by regular expression")
    parser.add_argument("--kernels-only", action="store_true")
    options = parser.parse_args()
    other = built_commit(options.commit)
    best = {"then": {}, "now": {}}
    losses = {}
    for turn in range(options.rounds + options.more_rounds):
        for side, folder in (("then", other), ("now", options.bin)):
            for row, rate in measure(folder, options).items():
                best[side][row] = max(rate, best[side].get(row, 0.0))
        both = [row for row in best["now"] if row in best["then"]]
        losses = {row: 1.0 - best["now"][row] / best["then"][row] for row in both}
        print(f"turn {turn + 1}: {sum(loss > options.tolerance for loss in losses.values())} of {len(both)} rows "
              "look slower", file=sys.stderr)
        if turn + 1 >= options.rounds and max(losses.values()) <= options.tolerance:
            break
    print(f"{'row':72} now / {options.commit}")
    for row, loss in losses.items():
        print(f"{row:72} {1.0 - loss:6.3f}{'  SLOWER' if loss > options.tolerance else ''}")
    slower = [row for row, loss in losses.items() if loss > options.tolerance]
    if slower:
        sys.exit(f"checkperf: {len(slower)} of {len(losses)} rows lost more than {options.tolerance:.0%}: "
                 + "; ".join(slower))
    print(f"checkperf: no row of {len(losses)} lost more than {options.tolerance:.0%}")


if __name__ == "__main__":
    main()
