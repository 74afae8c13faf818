#!/usr/bin/env python3
"""Compares the speed of the working tree with another commit in one run, A B A B.

Builds the other commit under build/checkperf/ (once), with the timing of the working tree, so that both
are measured alike. Then bench_step and bench_kernels of both commits run side by side, row by row: while
one times its calls for a moment the other waits, so that what slows the machine for a while slows both. A
row's figure is the median, over these turns, of the ratio of two neighbours. Rows that may be slower are
measured again in new processes of new copies of the programs, which take their memory in the other order,
since some memory is slower than other, for data and for code; the median of all processes counts. Ends with
exit code 1 when any row lost more than --tolerance, and names the rows.
`cmake --build build/release --target checkperf` runs it against the last commit.
"""
import argparse
import difflib
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
STEPS = [("vgg16", 32), ("resnet50", 4), ("vit", 2), ("mini-vit", 32)]
TIMING = ["bench_kernels.cpp", "bench_step.cpp", "case_runner.cpp", "case_runner.h", "timing.cpp", "timing.h"]
FEWEST_TURNS, MOST_TURNS = 8, 64
FEWEST_SECONDS, MOST_SECONDS = 0.6, 20.0  # of the turns of a row
REST = 0.005  # seconds in which the other side's threads stop waiting for work


def output_of(command, **more):
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if run.returncode != 0:
        sys.exit(f"checkperf: {' '.join(map(str, command))}: exit {run.returncode}\n"
                 + run.stdout[-800:] + run.stderr[-800:])
    return run.stdout


def built_commit(name):
    """Programs of a commit: exported and built once, without touching the working tree."""
    commit = output_of(["git", "-C", ROOT, "rev-parse", "--verify", name + "^{commit}"]).strip()
    source = ROOT / "build" / "checkperf" / commit[:12]
    source.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    for file in TIMING:
        shutil.copy2(ROOT / "tools" / "bench" / file, source / "tools" / "bench" / file)
    print(f"building {commit[:12]} in {source.relative_to(ROOT)}", file=sys.stderr)
    output_of(["cmake", "--preset", "release"], cwd=source)
    output_of(["cmake", "--build", "build/release", "-j", "2", "--target", "bench_step", "bench_kernels"],
              cwd=source)
    return source / "build" / "release" / "bin"


def place(folder, copy):
    copy.mkdir()
    for program in ("bench_step", "bench_kernels"):
        shutil.copy2(folder / program, copy / program)
    return copy


class Program:
    """A benchmark that times its rows on demand (DemandedTurns in tools/bench/timing.h)."""

    def __init__(self, command):
        self.command = [str(part) for part in command] + ["--in-turns"]
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def next_row(self):
        """The row that it offers now; None behind its last one."""
        line = self.process.stdout.readline()
        if line.startswith("row "):
            return line[4:].strip()
        if line or self.process.wait() != 0:
            sys.exit(f"checkperf: {' '.join(self.command)}: exit {self.process.poll()} {line}")
        return None

    def send(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)

    def seconds_of_a_call(self, seconds):
        time.sleep(REST)
        self.send(seconds)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"checkperf: {' '.join(self.command)}: exit {self.process.wait()}")
        return float(line)

    def end_row(self):
        self.send(0)


def rows_of(command):
    program, rows = Program(command), []
    while (row := program.next_row()) is not None:
        rows.append(row)
        program.end_row()
    return rows


def suspicious(ratio, options):
    """Too near to the tolerance to be let go without a second look."""
    return ratio < 1.0 - options.tolerance / 2


def speed_ratio(then, now, options):
    """Median of then's seconds over now's, in turns: above 1 where the working tree is faster."""
    ratios, spent = [], 0.0
    while (len(ratios) < FEWEST_TURNS or spent < FEWEST_SECONDS
           or (len(ratios) < MOST_TURNS and spent < MOST_SECONDS
               and suspicious(statistics.median(ratios), options))):
        order = (then, now) if len(ratios) % 2 == 0 else (now, then)
        began = time.monotonic()
        taken = {program: program.seconds_of_a_call(options.seconds) for program in order}
        spent += time.monotonic() - began
        ratios.append(taken[then] / taken[now])
    return statistics.median(ratios)


def advance(program, count):
    """Leaves out the next `count` rows."""
    for _ in range(count):
        program.next_row()
        program.end_row()


def compare(commands, wanted, first, options):
    """Ratios of the rows that both programs offer in the same order, of those wanted if it isn't None.

    commands: of then and of now; first: which of them takes its memory before the other.
    """
    rows = [rows_of(command) for command in commands]
    if wanted is None and rows[0] != rows[1]:
        print(f"{len(set(rows[0]) ^ set(rows[1]))} rows that only one side has are left out")
    programs = [Program(command) for command in commands]
    at, ratios = [0, 0], {}
    for *begins, count in difflib.SequenceMatcher(None, *rows, autojunk=False).get_matching_blocks():
        for i in range(count):
            row = rows[0][begins[0] + i]
            if wanted is not None and row not in wanted:
                continue
            for side, program in enumerate(programs):
                advance(program, begins[side] + i - at[side])
                program.next_row()
                at[side] = begins[side] + i + 1
            for program in (programs[first], programs[1 - first]):
                program.seconds_of_a_call(options.seconds)  # the first one makes the data
            ratios[row] = speed_ratio(*programs, options)
            print(f"{row:72} {ratios[row]:6.3f}", flush=True)
            for program in programs:
                program.end_row()
    for side, program in enumerate(programs):
        advance(program, len(rows[side]) - at[side])
        program.next_row()  # waits for its end
    return ratios


def benchmarks(options, rows):
    """Command lines, without the program's folder, that offer the rows; all rows for None."""
    for precision in [] if options.kernels_only else options.precisions:
        for model, batch in STEPS:
            if rows is None or f"step {model} batch {batch} {precision}" in rows:
                yield ["bench_step", "--model", model, "--batch", batch, "--precision", precision,
                       "--device", options.device]
    if rows is None:
        yield ["bench_kernels", "--device", options.device, "--filter", options.filter]
    elif names := sorted({row.split()[0] for row in rows if not row.startswith("step ")}):
        yield ["bench_kernels", "--device", options.device, "--filter", f"^({'|'.join(map(re.escape, names))})$"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD", help="what to compare with (default: HEAD)")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--rounds", type=int, default=6, help="at most, of rows that may be slower")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--seconds", type=float, default=0.02, help="of a turn; one call at least")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--device", default="host", choices=["host", "cuda"])
    parser.add_argument("--filter", default=".", help="kernels by regular expression")
    parser.add_argument("--kernels-only", action="store_true")
    options = parser.parse_args()
    folders = (built_commit(options.commit), options.bin)
    print(f"{'row':72} now / {options.commit}")
    rounds, again = {}, None
    with tempfile.TemporaryDirectory() as copies:
        for turn in range(options.rounds):
            placed = [place(folder, pathlib.Path(copies) / f"{side}{turn}") for side, folder in enumerate(folders)]
            for program, *more in benchmarks(options, again):
                commands = [[folder / program, *more] for folder in placed]
                for row, ratio in compare(commands, again, turn % 2, options).items():
                    rounds.setdefault(row, []).append(ratio)
            ratios = {row: statistics.median(of_row) for row, of_row in rounds.items()}
            again = [row for row, ratio in ratios.items() if suspicious(ratio, options)]
            print(f"round {turn + 1}: {len(again)} of {len(ratios)} rows may be slower", flush=True)
            if not again:
                break
    slower = [row for row, ratio in ratios.items() if ratio < 1.0 - options.tolerance]
    if slower:
        sys.exit(f"checkperf: {len(slower)} of {len(ratios)} rows lost more than {options.tolerance:.0%}: "
                 + "; ".join(f"{row} {ratios[row]:.3f}" for row in slower))
    print(f"checkperf: no row of {len(ratios)} lost more than {options.tolerance:.0%}")


if __name__ == "__main__":
    main()
