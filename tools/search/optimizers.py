"""The optimisers that propose the next point and hear what became of it. One interface:

  ask(number)                 -> a point: {key: number as Dimension.bounds() has it, or index}
  hopeless(number, curve)     -> True where a running trial should end; curve: the costs of its
                                 evaluations so far
  tell(number, point, cost)   cost None: the trial failed (or was stopped: its last cost)

`past` is what the journal of an earlier call holds: [(number, point, cost, curve)], in order.
Optuna keeps a database of its own beside the journal.
"""
import os
import random
import statistics


class MissingPackage(Exception):
    pass


class Random:
    """Uniform and independent; what is drawn depends on (seed, number of the trial) alone."""

    def __init__(self, space, seed, past, folder):
        self.space, self.seed = space, seed
        self.curves = [curve for _, _, cost, curve in past if cost is not None and curve]

    def ask(self, number):
        draw = random.Random("%d:%d" % (self.seed, number))
        point = {}
        for d in self.space.dimensions:
            if d.choices is not None:
                point[d.key] = draw.randrange(len(d.choices))
            else:
                low, high = d.bounds()
                point[d.key] = draw.randint(low, high) if d.integer else draw.uniform(low, high)
        return point

    def hopeless(self, number, curve):
        """The median rule: worse than half of at least four trials that came as far."""
        others = [min(other[:len(curve)]) for other in self.curves if len(other) >= len(curve)]
        return len(others) >= 4 and min(curve) > statistics.median(others)

    def tell(self, number, point, cost, curve):
        if cost is not None and curve:
            self.curves.append(curve)


class Optuna(Random):
    """Tree-structured Parzen estimator and median pruner, in an SQLite database (study.db)."""

    def __init__(self, space, seed, past, folder):
        super().__init__(space, seed, past, folder)
        try:
            import optuna
        except ImportError as error:
            raise MissingPackage("--optimizer optuna needs the Python package optuna "
                                 "(pip install optuna): %s" % error) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna = optuna
        self.study = optuna.create_study(
            study_name="abtrain", load_if_exists=True, direction="minimize",
            storage="sqlite:///" + os.path.join(os.path.abspath(folder), "study.db"),
            sampler=optuna.samplers.TPESampler(seed=seed + len(past)),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4))
        self.trials = {}
        # What an earlier call left running is proposed anew by the journal, not by the database.
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == optuna.trial.TrialState.RUNNING:
                self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def ask(self, number):
        trial = self.trials[number] = self.study.ask()
        point = {}
        for d in self.space.dimensions:
            if d.choices is not None:
                point[d.key] = trial.suggest_categorical(d.key, list(range(len(d.choices))))
            elif d.integer:
                point[d.key] = trial.suggest_int(d.key, *d.bounds())
            else:
                point[d.key] = trial.suggest_float(d.key, *d.bounds())
        return point

    def hopeless(self, number, curve):
        trial = self.trials.get(number)
        if trial is None:  # begun by an earlier call
            return super().hopeless(number, curve)
        trial.report(curve[-1], len(curve))
        return trial.should_prune()

    def tell(self, number, point, cost, curve):
        super().tell(number, point, cost, curve)
        trial, states = self.trials.pop(number, None), self.optuna.trial.TrialState
        if trial is None:
            if cost is not None:
                self.study.add_trial(self.optuna.trial.create_trial(
                    params=point, distributions=self.distributions(), value=cost))
        elif cost is None:
            self.study.tell(trial, state=states.FAIL)
        else:
            self.study.tell(trial, cost)

    def distributions(self):
        from optuna.distributions import (CategoricalDistribution, FloatDistribution,
                                          IntDistribution)
        return {d.key: CategoricalDistribution(list(range(len(d.choices))))
                if d.choices is not None else
                IntDistribution(*d.bounds()) if d.integer else FloatDistribution(*d.bounds())
                for d in self.space.dimensions}


class Propulate(Random):
    """Propulate's default evolution: its propagator breeds from all trials told so far. It runs in
    this process; MPI, which the package imports, is left alone."""

    POPULATION = 8

    def __init__(self, space, seed, past, folder):
        super().__init__(space, seed, past, folder)
        try:
            import mpi4py
            mpi4py.rc.initialize = False
            from propulate.population import Individual
            from propulate.utils import get_default_propagator
        except ImportError as error:
            raise MissingPackage("--optimizer propulate needs the Python package propulate and an "
                                 "MPI library (pip install propulate): %s" % error) from error
        self.individual = Individual
        self.limits = {d.key: tuple(str(i) for i in range(len(d.choices)))
                       if d.choices is not None else d.bounds() for d in space.dimensions}
        self.random = random.Random()
        self.breed = get_default_propagator(self.POPULATION, self.limits, rng=self.random)
        self.population = []
        for _, point, cost, _ in past:
            self.add(point, cost)

    def add(self, point, cost):
        traits = {key: str(x) if isinstance(self.limits[key][0], str) else x
                  for key, x in point.items()}
        one = self.individual(traits, self.limits)
        one.loss = float("inf") if cost is None else cost
        self.population.append(one)

    def ask(self, number):
        self.random.seed("%d:%d" % (self.seed, number))
        child = self.breed(self.population)
        point = {}
        for d in self.space.dimensions:
            x = child[d.key]
            if d.choices is not None or d.integer:
                point[d.key] = int(x)
            else:
                low, high = d.bounds()
                point[d.key] = min(max(float(x), low), high)
        return point

    def tell(self, number, point, cost, curve):
        super().tell(number, point, cost, curve)
        self.add(point, cost)


OPTIMIZERS = {"random": Random, "optuna": Optuna, "propulate": Propulate}
