"""One trial: a run of abtrain in a process group of its own, watched through its metrics.jsonl.

How it ends (docs/running.md, exit codes):
  0 done · 2, 3, 6 the search cannot go on (configuration, data, device) · 4 failed: loss not finite
  75 checkpointed: stopped by us, or by the machine and then gone on with --resume
  5, 1, a signal: failed; the caller decides how often that may happen
"""
import json
import os
import shlex
import signal
import subprocess
import time

DONE, FAILED, STOPPED, INTERRUPTED, FATAL = "done", "failed", "stopped", "interrupted", "fatal"
FATAL_CODES = {2: "usage or configuration", 3: "data", 6: "device"}
MOST_RESUMES = 20  # of one trial
# A launcher's variables say "you are a rank of mine"; a trial is not.
LAUNCHER_VARIABLES = ("OMPI_", "PMIX_", "PMI_", "PRTE_")


def command_of(launch, abtrain, arguments):
    words = []
    for word in shlex.split(launch):
        if word == "{arguments}":
            words += arguments
        else:
            words.append(word.replace("{abtrain}", abtrain))
    return words


class Trial:
    def __init__(self, number, point, folder, command, space, stop_signal=signal.SIGTERM):
        self.number, self.point, self.folder, self.space = number, point, folder, space
        self.command, self.stop_signal, self.curve, self.last_step = command, stop_signal, [], 0
        self.process, self.asked, self.state, self.exit, self.resumes = None, None, None, None, 0
        self.began = time.time()

    def start(self):
        words = list(self.command)
        if os.path.isdir(self.folder):  # an earlier call, or the machine, ended it
            words += ["--resume", "auto"]
        self.curve, self.last_step, self.inode = [], 0, None
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(LAUNCHER_VARIABLES) or key.startswith("OMPI_ALLOW") or
                       key.startswith("OMPI_MCA")}
        with open(self.folder + ".log", "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, start_new_session=True)

    def signal_group(self, which):
        try:
            os.killpg(self.process.pid, which)
        except ProcessLookupError:
            pass

    def ask_to_stop(self, why):
        """SIGTERM, or what was asked for, to the group: the trainer checkpoints and ends with 75."""
        if self.asked is None and self.state is None:
            self.asked, self.asked_at = why, time.time()
            self.signal_group(self.stop_signal)

    def follow(self):
        """Takes the lines that were written since; True when an evaluation was among them."""
        try:
            with open(os.path.join(self.folder, "metrics.jsonl"), "rb") as file:
                if os.fstat(file.fileno()).st_ino != self.inode:  # new, or cut back by --resume
                    self.inode = os.fstat(file.fileno()).st_ino
                    self.curve, self.offset, self.rest = [], 0, b""
                file.seek(self.offset)
                text = file.read()
        except OSError:
            return False
        self.offset += len(text)
        lines = (self.rest + text).split(b"\n")
        self.rest, before = lines.pop(), len(self.curve)
        for line in lines:
            try:
                record = json.loads(line)
                self.last_step = record.get("step", self.last_step)
                value = record.get("eval", {}).get(self.space.metric)
            except (ValueError, AttributeError):
                continue
            if isinstance(value, (int, float)):
                self.curve.append(self.space.cost(value))
        return len(self.curve) > before

    def poll(self, grace_s):
        """True when the trial has ended; state and exit then say how."""
        code = self.process.poll()
        if code is None:
            if self.asked is not None and time.time() - self.asked_at > grace_s:
                self.signal_group(signal.SIGKILL)
            return False
        self.signal_group(signal.SIGKILL)  # whatever a launcher left behind
        self.follow()
        self.exit = code if code >= 0 else 128 - code
        if code == 75 and self.asked is None and self.resumes < MOST_RESUMES:
            self.resumes += 1
            self.start()
            return False
        if code == 0:
            self.state = DONE
        elif self.asked is not None:
            # However the launcher reports it: 75, 143, or a code of its own.
            self.state = self.asked
        else:
            self.state = FATAL if code in FATAL_CODES else FAILED
        return True

    def cost(self):
        """None: nothing that could be compared."""
        return self.curve[-1] if self.state in (DONE, STOPPED) and self.curve else None

    def last_words(self):
        try:
            with open(self.folder + ".log", encoding="utf-8", errors="replace") as log:
                lines = [line.strip() for line in log if line.strip()]
        except OSError:
            return ""
        errors = [line for line in lines if "abtrain: error:" in line]
        return (errors or lines or [""])[-1]
