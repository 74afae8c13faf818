#!/usr/bin/env python3
"""Hyperparameter search: many short trainings over a search space, proposed by an optimiser.

  tools/search/search.py SPACE.json --out DIR [--optimizer random|optuna|propulate] [--trials N]

Each trial is a run of abtrain in DIR/trials/<number>, in a process group of its own. Its evaluations
are followed as they come; a trial that the optimiser finds hopeless gets SIGTERM. The same call again
goes on where the last one ended, interrupted trials included. Leaves in DIR
  journal.jsonl   a line per trial begun and ended, what a later call goes on from
  results.json    all trials, best first
  best.json       settings of the best one, a configuration to lay over the space's (--config twice)
Exit codes: 0 done, 2 usage, space or configuration, 3 and 6 as of abtrain, 1 too many failures, 75
stopped by a signal: call again.
"""
import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from optimizers import OPTIMIZERS, MissingPackage  # noqa: E402
from space import SpaceError, read_space  # noqa: E402
from trial import DONE, FATAL, INTERRUPTED, STOPPED, Trial, command_of  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST_FAILURES = 5  # trials in a row that fail for another reason than their loss


def read_options():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="The space file is explained in docs/search.md.")
    parser.add_argument("space", metavar="SPACE.json")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the search")
    parser.add_argument("--optimizer", choices=sorted(OPTIMIZERS), default="random")
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="in all (default 20)")
    parser.add_argument("--parallel", type=int, default=1, metavar="N",
                        help="trials at a time (default 1)")
    parser.add_argument("--seed", type=int, default=1, metavar="N",
                        help="of the optimiser; the trials' own is train.seed")
    parser.add_argument("--local-ranks", type=int, default=0, metavar="N",
                        help="ranks of a trial, as threads of one process")
    parser.add_argument("--launch", default="{abtrain} train {arguments}", metavar="COMMAND",
                        help='how to start a trial, as in "srun -n 8 {abtrain} train {arguments}"')
    parser.add_argument("--data", metavar="DIR", help="as of abtrain train")
    parser.add_argument("--abtrain", default=os.path.join(ROOT, "build/release/bin/abtrain"),
                        metavar="PROGRAM")
    parser.add_argument("--stop-signal", choices=("TERM", "USR1"), default="TERM",
                        help="what ends a trial early; USR1 with Open MPI's mpirun, which kills "
                        "ranks a second after SIGTERM")
    parser.add_argument("--grace", type=float, default=120.0, metavar="SECONDS",
                        help="between SIGTERM and SIGKILL (default 120)")
    options = parser.parse_args()
    if options.trials < 1 or options.parallel < 1 or "{arguments}" not in options.launch.split():
        parser.error("--trials and --parallel are at least 1, and --launch holds the word {arguments}")
    return options


def write_json(path, tree):
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(tree, file, indent=2)
        file.write("\n")
    os.replace(path + ".tmp", path)


def nested(settings):
    tree = {}
    for key, value in settings.items():
        at, parts = tree, key.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value
    return tree


class Search:
    def __init__(self, options, space):
        self.options, self.space, self.signalled, self.failures = options, space, False, 0
        os.makedirs(os.path.join(options.out, "trials"), exist_ok=True)
        self.journal_path = os.path.join(options.out, "journal.jsonl")
        self.begun, self.ended = self.read_journal()
        past = [(number, end["point"], end["cost"], end["curve"])
                for number, end in sorted(self.ended.items())]
        self.optimizer = OPTIMIZERS[options.optimizer](space, options.seed, past, options.out)
        self.running = []

    def read_journal(self):
        begun, ended = {}, {}
        keys = {d.key for d in self.space.dimensions}
        try:
            with open(self.journal_path, encoding="utf-8") as file:
                lines = file.read().split("\n")
        except FileNotFoundError:
            return begun, ended
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:  # cut off when a machine went down
                continue
            if set(record["point"]) != keys:
                raise SpaceError("%s: holds trials of another space; choose another --out" %
                                 self.journal_path)
            (ended if "state" in record else begun)[record["number"]] = record
        return begun, ended

    def note(self, record):
        with open(self.journal_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def next_trial(self):
        """An interrupted one first; None when all have begun."""
        active = {trial.number for trial in self.running}
        for number in range(self.options.trials):
            if number in self.ended or number in active:
                continue
            if number in self.begun:
                return self.make_trial(number, self.begun[number]["point"])
            point = self.optimizer.ask(number)
            self.begun[number] = {"number": number, "point": point,
                                  "settings": self.space.settings(point)}
            self.note(self.begun[number])
            return self.make_trial(number, point)
        return None

    def make_trial(self, number, point):
        folder = os.path.join(self.options.out, "trials", "%04d" % number)
        arguments = ["--config", self.space.config, "--out", folder]
        if self.space.method:
            arguments += ["--method", self.space.method]
        if self.options.data:
            arguments += ["--data", self.options.data]
        if self.options.local_ranks:
            arguments += ["--local-ranks", str(self.options.local_ranks)]
        for key, value in self.space.settings(point).items():
            arguments += ["--set", "%s=%s" % (key, json.dumps(value))]
        command = command_of(self.options.launch, self.options.abtrain, arguments)
        return Trial(number, point, folder, command, self.space,
                     getattr(signal, "SIG" + self.options.stop_signal))

    def finish(self, trial):
        """False where the search cannot go on."""
        self.running.remove(trial)
        if trial.state == INTERRUPTED:
            return True
        record = {"number": trial.number, "point": trial.point,
                  "settings": self.space.settings(trial.point), "state": trial.state,
                  "exit": trial.exit, "cost": trial.cost(), "curve": trial.curve,
                  "step": trial.last_step, "seconds": round(time.time() - trial.began, 1)}
        if trial.state == FATAL:
            print("search: trial %d ended with %d: %s" % (trial.number, trial.exit,
                                                          trial.last_words()), file=sys.stderr)
            return False
        self.ended[trial.number] = record
        self.note(record)
        self.optimizer.tell(trial.number, trial.point, record["cost"], record["curve"])
        self.write_results()
        shown = "-" if record["cost"] is None else "%.4f" % self.space.cost(record["cost"])
        print("trial %4d  %-8s exit %3d  step %7d  %s %s  %s" % (
            trial.number, trial.state, trial.exit, trial.last_step, self.space.metric, shown,
            self.searched(record)), flush=True)
        self.failures = 0 if trial.state in (DONE, STOPPED) or trial.exit == 4 else self.failures + 1
        if self.failures >= MOST_FAILURES:
            print("search: %d trials in a row failed, the last with %d: %s" %
                  (self.failures, trial.exit, trial.last_words()), file=sys.stderr)
        return self.failures < MOST_FAILURES

    def searched(self, record):
        return "  ".join("%s=%s" % (d.key, record["settings"][d.key])
                         for d in self.space.dimensions)

    def ranking(self):
        """Whole runs by cost, then those that were stopped, then the failed ones."""
        order = {DONE: 0, STOPPED: 1}
        return sorted(self.ended.values(), key=lambda r: (
            order.get(r["state"], 2) if r["cost"] is not None else 3,
            r["cost"] if r["cost"] is not None else 0.0, r["number"]))

    def write_results(self):
        ranking = self.ranking()
        rows = [{"trial": r["number"], "state": r["state"], "exit": r["exit"],
                 self.space.metric: None if r["cost"] is None else self.space.cost(r["cost"]),
                 "step": r["step"], "seconds": r["seconds"], "settings": r["settings"]}
                for r in ranking]
        write_json(os.path.join(self.options.out, "results.json"), rows)
        if ranking[0]["state"] == DONE and ranking[0]["cost"] is not None:
            best = nested(ranking[0]["settings"])
            if self.space.method:
                best["method"] = self.space.method
            write_json(os.path.join(self.options.out, "best.json"), best)

    def stop_all(self, why):
        for trial in self.running:
            trial.ask_to_stop(why)
        while self.running:
            for trial in list(self.running):
                trial.follow()
                if trial.poll(self.options.grace):
                    self.finish(trial)
            time.sleep(0.1)

    def run(self):
        """The exit code."""
        while not self.signalled:
            while len(self.running) < self.options.parallel:
                trial = self.next_trial()
                if trial is None:
                    break
                trial.start()
                self.running.append(trial)
            if not self.running:
                return 0
            for trial in list(self.running):
                if trial.follow() and self.optimizer.hopeless(trial.number, trial.curve):
                    trial.ask_to_stop(STOPPED)
                if trial.poll(self.options.grace) and not self.finish(trial):
                    self.stop_all(INTERRUPTED)
                    return trial.exit if trial.state == FATAL else 1
            time.sleep(0.1)
        print("search: stopping; the same call goes on", file=sys.stderr)
        self.stop_all(INTERRUPTED)
        return 75

    def table(self):
        for r in self.ranking()[:10]:
            cost = "-" if r["cost"] is None else "%.4f" % self.space.cost(r["cost"])
            print("%-8s %4d  %-8s %s" % (cost, r["number"], r["state"],
                                         self.searched(r)))


def main():
    options = read_options()
    try:
        search = Search(options, read_space(options.space))
    except (SpaceError, MissingPackage) as error:
        print("search: error: %s" % error, file=sys.stderr)
        return 2

    def on_signal(number, frame):
        search.signalled = True

    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(which, on_signal)
    code = search.run()
    print("\nbest first (%s, %s), of %d trials ended:" % (search.space.metric,
                                                        search.space.direction, len(search.ended)))
    search.table()
    return code


if __name__ == "__main__":
    sys.exit(main())
