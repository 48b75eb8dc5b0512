"""The search itself, without Ray: ask for a trial, report its epochs, tell how it ended.

Every event is recorded first and acted on second, so that the records alone are enough to go on from.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from search.engine.budget import Budget
from search.engine.starting import AT_ONCE
from search.policy.asha import Decision
from search.policy.audit import Audit
from search.policy.policy import Policy
from search.policy.sampler import NothingFitsError
from search.settings.allowance import EndedBy
from search.trials.lengths import length_epochs
from search.trials.losses import Loss
from search.trials.records import RecordFile
from search.trials.trials import Epoch, Metric, Outcome, Start, Trial, TrialRecord, diverged
from spaces.recipe_files import with_absolute_weights
from spaces.space import Space


class Engine:
    """One search over its records; on records that hold trials already it goes on from them.

    Args:
        space: What the sampler's parameters are of.
        budget: Says when no further trial begins, and when one that runs has to end.
        passes: Full length of a trial, in passes over the training part.
        pictures: Size of the training part.
        seed: Of the search; every trial derives its own from this and its number.
        starts: Recipes that are tried early: the first ones at once, the others by turns with suggestions.
        audit: Share of the trials that the rule would stop that runs on as controls; see `Audit`.
        scored: Gives a trial's new epoch what trials are ranked by, where training does not report it.
        ended: Hears the number of each trial that has ended, after it is recorded.
    """

    def __init__(
        self,
        file: RecordFile,
        space: Space,
        policy: Policy,
        *,
        metric: Metric,
        budget: Budget,
        passes: int,
        pictures: int,
        seed: int,
        starts: Sequence[Start] = (),
        audit: float = 0.0,
        scored: Callable[[TrialRecord, Epoch], Epoch] = lambda record, epoch: epoch,
        ended: Callable[[int], None] = lambda trial: None,
    ) -> None:
        self._ended, self._scored = ended, scored
        self._file, self._space = file, space
        self._sampler, self._rule = policy.sampler, policy.rule
        self.metric, self.budget, self.seed = metric, budget, seed
        self.ended_by: EndedBy | None = None
        """Why no further trial begins, from when on it is known. It stays: Tune does not ask again."""
        self.nothing_fits = ""
        """What the sampler says where it finds nothing more that may be tried."""
        self.passes, self.pictures, self.starts = passes, pictures, starts
        self._audit = Audit(audit, seed=seed)
        self._unfinished: deque[Trial] = deque()
        self._started = sum(record.trial.origin == "given" for record in self.records)
        for start in starts:
            if start.params:
                self._sampler.keep_for_later(start.params)
        self._replay()

    @property
    def records(self) -> list[TrialRecord]:
        """All trials so far, by number."""
        return self._file.records.all()

    @property
    def ended(self) -> list[TrialRecord]:
        """Those that have ended, in that order."""
        return self._file.records.ended

    @property
    def losses(self) -> list[tuple[int, str]]:
        """Trials that were lost and started again, and why, in that order."""
        return self._file.records.losses

    @property
    def finished(self) -> bool:
        """Whether all trials have ended, and no further one begins."""
        return bool(self._closed()) and all(record.outcome for record in self.records)

    def ask(self) -> Trial | None:
        """The next trial to run: first those that were cut off or lost, then new ones; None when no more
        begins, or none can be trained."""
        while self._unfinished and not self._file.records.trouble:
            trial = self._unfinished.popleft()
            if self._may_go_on(trial.number):
                return trial
        blocked = self._file.records.trouble or self._closed()
        new = None if blocked else self._new(len(self._file.records.trials))
        if new is None:
            return None
        self.ended_by = self.budget.refuses(TrialRecord(new, started=0.0))
        if self.ended_by:
            return None
        self._file.trial(new)
        if new.origin == "given":
            self._started += 1
            self._sampler.restore(self._record(new.number))
        return new

    def _closed(self) -> EndedBy | None:
        self.ended_by = self.ended_by or self.budget.over()
        return self.ended_by

    def _new(self, number: int) -> Trial | None:
        """A trial that is not recorded yet; None where the sampler finds nothing more that may be tried."""
        start = self._start()
        if start is None:
            try:
                return self._suggested(number)
            except NothingFitsError as fault:
                start = self._start(at_once=True)
                if start is None:
                    self.ended_by, self.nothing_fits = EndedBy.SPACE, str(fault)
                    return None
        return Trial(
            number,
            start.recipe,
            start.params,
            self._seed_of(number),
            start.epochs,
            origin="given",
            source=start.source,
        )

    def _suggested(self, number: int) -> Trial:
        params = self._sampler.ask(number)
        recipe = self._space.recipe(params, epochs=self.passes)
        epochs = length_epochs(recipe, passes=self.passes, pictures=self.pictures)
        recipe = with_absolute_weights(recipe.rescaled(self.passes, epochs))
        return Trial(number, recipe.to_dict(), params, self._seed_of(number), epochs)

    def _seed_of(self, number: int) -> int:
        return int(np.random.SeedSequence([self.seed, number]).generate_state(2)[1])

    def _start(self, *, at_once: bool = False) -> Start | None:
        """The starting recipe whose turn it is (`search.engine.starting.turn`), or the next in any case."""
        if self._started == len(self.starts):
            return None
        trials = self._file.records.trials
        turn = self._started < AT_ONCE or trials[len(trials) - 1].trial.origin != "given"
        return self.starts[self._started] if at_once or turn else None

    def report(self, epoch: Epoch) -> Decision:
        """Records an epoch and decides; on STOP the trial has ended. Epochs known already change nothing."""
        record = self._record(epoch.trial)
        if record.outcome is not None:
            return Decision.STOP
        if epoch.epoch <= record.epochs_done:
            return Decision.CONTINUE
        epoch = self._scored(record, epoch)
        self._file.epoch(epoch)
        self._enter(epoch)
        if self._decide(epoch) is Decision.STOP or not self._may_go_on(epoch.trial):
            return Decision.STOP
        return Decision.CONTINUE

    def end(
        self, trial: int, outcome: Outcome, error: str | None = None, traceback: str | None = None
    ) -> None:
        """Records how a trial ended; a second end of one trial changes nothing."""
        record = self._record(trial)
        if record.outcome is None:
            self._file.end(trial, outcome, error, traceback)
            self._sampler.tell(record)
            self._ended(trial)

    def lost(self, trial: int, loss: Loss) -> None:
        """Records that a trial was lost: it is asked for again, and goes on from its checkpoint. One that has
        been lost too often, in a way that counts, has failed."""
        if self._file.retry(trial, loss):
            self._unfinished.append(self._record(trial).trial)
        else:
            self.end(trial, Outcome.FAILED, loss.given_up, loss.details)

    def _record(self, trial: int) -> TrialRecord:
        return self._file.records.trials[trial]

    def _may_go_on(self, trial: int) -> bool:
        """Whether the budget has another epoch for a trial. Where not, it ends with the score that it has."""
        limit = self.budget.refuses(self._record(trial))
        if limit:
            self.end(trial, Outcome.STOPPED, f"ended by the budget ({limit.option}), not by its score")
        return limit is None

    def _enter(self, epoch: Epoch) -> None:
        """Tells the rule what a trial was worth after this epoch."""
        kept = self._record(epoch.trial).kept(epoch.epoch)
        gain = self.metric.gain(kept.metrics.get(self.metric.name, math.nan))
        self._rule.enter(epoch.trial, epoch.passes, math.nan if diverged(epoch) else gain)

    def _decide(self, epoch: Epoch) -> Decision:
        """After a trial's latest epoch. On STOP it has ended."""
        if diverged(epoch):
            self.end(epoch.trial, Outcome.DIVERGED, "the loss was no longer a finite number")
            return Decision.STOP
        scored = self._record(epoch.trial).score(self.metric) is not None
        if scored and epoch.epoch >= self._record(epoch.trial).trial.epochs:
            return Decision.CONTINUE  # its full length: there is nothing left to stop
        if self._rule.decide(epoch.trial) is Decision.CONTINUE or (scored and self._runs_on(epoch)):
            return Decision.CONTINUE
        self.end(epoch.trial, Outcome.STOPPED)
        return Decision.STOP

    def _runs_on(self, epoch: Epoch) -> bool:
        """Whether a trial that the rule would stop is a control, or becomes one now."""
        record = self._record(epoch.trial)
        if record.control is None and self._audit.takes(self._file.records.stops):
            self._file.control(epoch.trial, epoch.passes)
        return record.control is not None

    def _replay(self) -> None:
        """Rebuilds study and rungs. A decision that was due when the driver died is taken now."""
        for record in self.records:
            self._sampler.restore(record)
            if record.outcome is not None:
                self._sampler.tell(record)
        for epoch in self._file.records.order:
            self._enter(epoch)
        for record in self.records:
            if record.outcome is None and record.history:
                self._decide(record.history[-1])
            if record.outcome is None:
                self._unfinished.append(record.trial)
