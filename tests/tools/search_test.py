#!/usr/bin/env python3
"""tools/search with its built-in optimiser: two real trials, going on later, what each exit code does
to a trial and to the search, and stopping by signals (with a stand-in for the trainer, so that the
moments are known). Usage: search_test.py ABTRAIN"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

ABTRAIN = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(ROOT)

# Runs like the trainer as far as the search sees it: evaluations, SIGTERM -> checkpoint -> 75, and
# --resume. "Loss" and pace are settings: adamw.lr is the top-1 it reaches, train.steps its length.
STAND_IN = r'''#!/usr/bin/env python3
import json, os, signal, sys, time
out = sys.argv[sys.argv.index("--out") + 1]
sets = dict(w.split("=", 1) for f, w in zip(sys.argv, sys.argv[1:]) if f == "--set")
def stop(*_):
    open(out + "/stopped", "w").close()
    os._exit(75)
signal.signal(signal.SIGTERM, stop)
resumed = "--resume" in sys.argv and os.path.exists(out + "/stopped")
os.makedirs(out, exist_ok=True)
with open(out + "/metrics.jsonl", "a") as file:
    for step in range(1, int(sets["train.steps"]) + 1):
        file.write(json.dumps({"step": step, "eval": {"top1": float(sets["adamw.lr"])}}) + "\n")
        file.flush()
        time.sleep(0 if resumed else float(sets["train.epochs"]))
if sets["train.seed"] == "75" and not resumed:
    stop()
sys.exit(0 if resumed else int(sets["train.seed"]))
'''


def search(folder, space, *words, expect=0):
    path = os.path.join(folder, "space.json")
    with open(path, "w") as file:
        json.dump(space, file)
    call = [sys.executable, "tools/search/search.py", path, "--out", os.path.join(folder, "out")]
    done = subprocess.run(call + list(words), capture_output=True, text=True, timeout=100)
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done


def results(folder):
    with open(os.path.join(folder, "out", "results.json")) as file:
        return json.load(file)


def real_trials(folder):
    space = {"config": "models/configs/mnist/resnet_quickstart.json", "method": "ab",
             "fixed": {"train.steps": 6, "data.local_batch": 8, "ab.ab_steps": 2,
                       "ab.warmup_steps": 2, "train.eval_every": 0},
             "space": {"adamw.lr": {"low": 1e-4, "high": 1e-2, "log": True},
                       "ab.merge": {"choices": ["all", "learned"]}}}
    words = ["--abtrain", ABTRAIN, "--local-ranks", "2", "--data", "data/samples/mnist", "--trials"]
    search(folder, space, *words, "2")
    rows = results(folder)
    assert sorted(row["trial"] for row in rows) == [0, 1]
    assert rows[0]["top1"] >= rows[1]["top1"]
    for row in rows:
        with open(os.path.join(folder, "out", "trials", "%04d" % row["trial"], "metrics.jsonl")) as f:
            last = json.loads(f.read().splitlines()[-1])
        assert (row["state"], row["exit"], row["step"]) == ("done", 0, 6)
        assert row["top1"] == last["eval"]["top1"] and 1e-4 <= row["settings"]["adamw.lr"] <= 1e-2
    journal = open(os.path.join(folder, "out", "journal.jsonl")).read()
    assert len(journal.splitlines()) == 4
    search(folder, space, *words, "2")  # nothing is left to do
    assert open(os.path.join(folder, "out", "journal.jsonl")).read() == journal
    # The best settings lie over the space's configuration.
    plan = subprocess.run([ABTRAIN, "plan", "--config", space["config"], "--config",
                           os.path.join(folder, "out", "best.json"), "--nodes", "1",
                           "--ranks-per-node", "2", "--json"], capture_output=True, text=True)
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)["phases"][-1]["to"] == 6
    space["space"]["ab.sigma_cut"] = {"low": 0.1, "high": 0.2}
    assert "another space" in search(folder, space, *words, "3", expect=2).stderr
    os.rename(os.path.join(folder, "out"), os.path.join(folder, "first"))
    told = search(folder, space, *words, "3", expect=2).stderr
    assert "nearest known key is \"ab.sigma_cutoff\"" in told, told


def stand_in(folder, seed, steps=3, pace=0.0, lr=(0.5, 0.6)):
    program = os.path.join(folder, "stand_in")
    with open(program, "w") as file:
        file.write(STAND_IN)
    os.chmod(program, 0o755)
    space = {"config": "x", "fixed": {"train.steps": steps, "train.epochs": pace, "train.seed": seed},
             "space": {"adamw.lr": {"low": lr[0], "high": lr[1]}}}
    return program, space


def exit_codes(folder, code, states, expect=0):
    os.makedirs(folder)
    program, space = stand_in(folder, code)
    done = search(folder, space, "--abtrain", program, "--trials", "6", expect=expect)
    found = [row["state"] for row in results(folder)] if states else []
    assert found == states, (code, found, done.stderr)


def hopeless(folder):
    os.makedirs(folder)
    program, space = stand_in(folder, 0)
    search(folder, space, "--abtrain", program, "--trials", "4")
    space["space"]["adamw.lr"] = {"low": 0.1, "high": 0.2}  # worse than all four
    space["fixed"].update({"train.steps": 500, "train.epochs": 0.1})
    search(folder, space, "--abtrain", program, "--trials", "5")
    last = results(folder)[-1]
    assert (last["trial"], last["state"], last["exit"]) == (4, "stopped", 75), last
    assert last["step"] < 500


def interrupted(folder):
    os.makedirs(folder)
    program, space = stand_in(folder, 0, steps=500, pace=0.1)
    path = os.path.join(folder, "space.json")
    with open(path, "w") as file:
        json.dump(space, file)
    metrics = os.path.join(folder, "out", "trials", "0000", "metrics.jsonl")
    call = [sys.executable, "tools/search/search.py", path, "--out", os.path.join(folder, "out"),
            "--abtrain", program, "--trials", "1"]
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not os.path.exists(metrics):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    search(folder, space, "--abtrain", program, "--trials", "1")  # goes on with --resume auto
    assert [(row["state"], row["step"]) for row in results(folder)] == [("done", 500)]


with tempfile.TemporaryDirectory() as work:
    os.makedirs(work + "/real")
    real_trials(work + "/real")
    exit_codes(work + "/0", 0, ["done"] * 6)
    exit_codes(work + "/4", 4, ["failed"] * 6)             # a loss that is not finite fails a trial
    exit_codes(work + "/5", 5, ["failed"] * 5, expect=1)   # five in a row for another reason
    exit_codes(work + "/3", 3, [], expect=3)               # no data: no trial can run
    exit_codes(work + "/75", 75, ["done"] * 6)             # the machine ended it: gone on at once
    hopeless(work + "/hopeless")
    interrupted(work + "/interrupted")
print("search_test: passed")
