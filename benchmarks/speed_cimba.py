"""M/M/n in cimba. Apart from the other programs: cimba reads its models' annotations as objects, not as text."""

from functools import cache
from typing import Any

import cimba as cb
from cimba import random


@cache
def queue_model(agents: int) -> Any:
    """Return the model of a queue and its agents; compiled once for each number of agents."""

    class Queue(cb.Model):
        gap: cb.Param[float] = 1.0
        handle: cb.Param[float] = 1.0
        limit: cb.Param[float] = 1.0
        calls: cb.Store[float]
        n_offered: int = 0
        n_within: int = 0
        offered: cb.Output[float]
        within: cb.Output[float]

        @cb.process
        def arrivals(self):  # type: ignore[no-untyped-def]
            while True:
                cb.hold(random.exponential(self.gap))
                self.n_offered += 1
                self.calls.put(cb.now())

        @cb.process(copies=agents)
        def agent(self):  # type: ignore[no-untyped-def]
            while True:
                arrived = self.calls.get()
                if cb.now() - arrived <= self.limit:
                    self.n_within += 1
                cb.hold(random.exponential(self.handle))

        @cb.on_end
        def count(self):  # type: ignore[no-untyped-def]
            self.offered = self.n_offered
            self.within = self.n_within

    return Queue
