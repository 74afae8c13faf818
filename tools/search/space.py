"""The search space: a JSON file, checked as a whole before the first trial starts.

  {"config": "models/configs/…json",      laid under every trial, as by --config
   "method": "ab",                         optional, as by --method
   "metric": "top1", "direction": "maximize",   a field of an evaluation in metrics.jsonl
   "fixed": {"train.epochs": 10},          optional, as by --set
   "space": {
     "adamw.lr":         {"low": 1e-4, "high": 1e-2, "log": true},
     "ab.ab_steps":      {"low": 2, "high": 10, "unit": "%"},
     "checkpoint.keep":  {"low": 1, "high": 4, "integer": true},
     "ab.merge":         {"choices": ["all", "learned"]}}}

An optimiser sees each dimension as a number between `low` and `high` (of its logarithm where `log`)
or one of the choices; `value` turns that into what --set takes.
"""
import json
import math


class SpaceError(Exception):
    """What is wrong with the file, where, and what would work."""


class Dimension:
    KEYS = {"low", "high", "log", "integer", "unit", "choices"}

    def __init__(self, key, tree):
        def refuse(what):
            raise SpaceError('space.%s: %s, found %s' % (key, what, json.dumps(tree)))

        if not isinstance(tree, dict) or set(tree) - self.KEYS:
            refuse("expected an object with some of " + ", ".join(sorted(self.KEYS)))
        self.key, self.choices = key, tree.get("choices")
        self.log, self.integer = bool(tree.get("log")), bool(tree.get("integer"))
        self.unit = tree.get("unit", "")
        if self.choices is not None:
            if not isinstance(self.choices, list) or not self.choices:
                refuse('"choices" has to be a list of values')
            return
        self.low, self.high = tree.get("low"), tree.get("high")
        if any(isinstance(x, bool) or not isinstance(x, (int, float)) for x in (self.low, self.high)):
            refuse('expected numbers "low" and "high", or "choices"')
        if not self.low < self.high or (self.log and self.low <= 0):
            refuse('expected "low" below "high", and above 0 where "log" is set')
        if self.integer and (self.low != int(self.low) or self.high != int(self.high) or self.log):
            refuse('"integer" needs whole bounds and no "log"')

    def bounds(self):
        """As the optimiser sees them."""
        if self.log:
            return math.log10(self.low), math.log10(self.high)
        if self.integer:
            return int(self.low), int(self.high)
        return float(self.low), float(self.high)

    def value(self, x):
        """What --set takes, from what the optimiser chose (a choice: its index)."""
        if self.choices is not None:
            return self.choices[int(x)]
        if self.integer:
            number = int(round(x))
        else:
            number = float("%.5g" % (10.0 ** x if self.log else x))
            number = min(max(number, self.low), self.high)
        return "%g%s" % (number, self.unit) if self.unit else number


class Space:
    KEYS = {"config", "method", "metric", "direction", "fixed", "space"}

    def __init__(self, tree):
        if not isinstance(tree, dict):
            raise SpaceError("expected a JSON object")
        unknown = sorted(set(tree) - self.KEYS)
        if unknown:
            raise SpaceError("unknown key %s; the keys are %s" %
                             (unknown[0], ", ".join(sorted(self.KEYS))))
        for key in ("config", "space"):
            if not tree.get(key):
                raise SpaceError('"%s" is missing' % key)
        self.config, self.method = tree["config"], tree.get("method")
        self.metric, self.direction = tree.get("metric", "top1"), tree.get("direction", "maximize")
        if self.metric not in ("top1", "top5", "loss"):
            raise SpaceError('"metric": found %s, expected top1, top5 or loss' % self.metric)
        if self.direction not in ("maximize", "minimize"):
            raise SpaceError('"direction": found %s, expected maximize or minimize' % self.direction)
        self.fixed = tree.get("fixed", {})
        self.dimensions = [Dimension(key, value) for key, value in tree["space"].items()]
        both = [d.key for d in self.dimensions if d.key in self.fixed]
        if both:
            raise SpaceError("%s stands in both fixed and space" % both[0])

    def settings(self, point):
        """Everything a trial sets: fixed values, then the point's."""
        chosen = {d.key: d.value(point[d.key]) for d in self.dimensions}
        return {**self.fixed, **chosen}

    def cost(self, value):
        """Smaller is better."""
        return -value if self.direction == "maximize" else value


def read_space(path):
    try:
        with open(path, encoding="utf-8") as file:
            return Space(json.load(file))
    except OSError as error:
        raise SpaceError("%s: %s" % (path, error.strerror)) from error
    except ValueError as error:
        raise SpaceError("%s: is no JSON: %s" % (path, error)) from error
    except SpaceError as error:
        raise SpaceError("%s: %s" % (path, error)) from error
