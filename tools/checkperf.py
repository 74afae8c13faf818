#!/usr/bin/env python3
"""Compares the speed of the working tree with another commit in one run, A B A B.

Builds the other commit under build/checkperf/ (once), runs bench_step and bench_kernels of both in
turns, and compares each row's best figure. Rows that look slower are measured again, alone, in further
turns before they count, since other work on the machine slows single turns. Ends with exit code 1 when any
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


def step_rates(bin_folder, options, wanted):
    rates = {}
    for precision in options.precisions:
        for model, batch in STEPS:
            row = f"step {model} batch {batch} {precision}"
            if wanted is None or row in wanted:
                result = json.loads(output_of([bin_folder / "bench_step", "--model", model, "--batch", batch,
                                               "--precision", precision, "--seconds", options.seconds, "--json"]))
                rates[row] = result["images_per_s"]
    return rates


def kernel_rates(bin_folder, options, wanted):
    names = options.filter
    if wanted is not None:
        names = "^(" + "|".join(sorted({row.split()[0] for row in wanted if not row.startswith("step ")})) + ")$"
    if names == "^()$":
        return {}
    rows = json.loads(output_of([bin_folder / "bench_kernels", "--filter", names, "--json"]))
    return {f"{row['kernel']} {row['shape']} {row['dtype']}": 1.0 / row["seconds"] for row in rows}


def measure(bin_folder, options, wanted):
    """Rates of the rows that are wanted, of all for None."""
    steps = {} if options.kernels_only else step_rates(bin_folder, options, wanted)
    return {**steps, **kernel_rates(bin_folder, options, wanted)}


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
    losses, wanted = {}, None
    for turn in range(options.rounds + options.more_rounds):
        for side, folder in (("then", other), ("now", options.bin)):
            for row, rate in measure(folder, options, wanted).items():
                best[side][row] = max(rate, best[side].get(row, 0.0))
        both = [row for row in best["now"] if row in best["then"]]
        losses = {row: 1.0 - best["now"][row] / best["then"][row] for row in both}
        slower = [row for row, loss in losses.items() if loss > options.tolerance]
        print(f"turn {turn + 1}: {len(slower)} of {len(both)} rows look slower", file=sys.stderr)
        if turn + 1 >= options.rounds:
            wanted = slower
            if not slower:
                break
    print(f"{'row':72} now / {options.commit}")
    for row, loss in losses.items():
        print(f"{row:72} {1.0 - loss:6.3f}{'  SLOWER' if loss > options.tolerance else ''}")
    if slower:
        sys.exit(f"checkperf: {len(slower)} of {len(losses)} rows lost more than {options.tolerance:.0%}: "
                 + "; ".join(slower))
    print(f"checkperf: no row of {len(losses)} lost more than {options.tolerance:.0%}")


if __name__ == "__main__":
    main()
