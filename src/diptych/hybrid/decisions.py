"""Which trace holds: a tree of questions about Python's state.

What a function reads next depends on nothing but its arguments and what it has read so far, so all
traces for one signature begin with the same read, and part where they found different things. A
trace is a path in a tree, and to find the one that holds costs as many questions as that trace
asked, however many traces there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .reads import Place

T = TypeVar("T")

Path = Sequence[tuple[Place, Any]]


@dataclass(slots=True)
class Decisions(Generic[T]):
    """What was found for paths of answers.

    Attributes
    ----------
    place : Place or None
        What is asked here; None where nothing is.
    answers : dict
        From a token to the decisions from there on.
    found : object or None
        What the path to here leads to.
    """

    place: Place | None = None
    answers: dict[Any, Decisions[T]] = field(default_factory=dict)
    found: T | None = None

    def find(self) -> T | None:
        """What holds now; None if nothing does."""
        here: Decisions[T] | None = self
        while here is not None and here.place is not None:
            here = here.answers.get(here.place.now())
        return None if here is None else here.found

    def add(self, path: Path, found: T) -> None:
        """Note what a path leads to. Where an old path asked something else, it is forgotten."""
        here = self
        for place, answer in path:
            if here.place is None or here.place.identity != place.identity:
                here.place, here.answers, here.found = place, {}, None
            here = here.answers.setdefault(answer, Decisions())
        here.place, here.answers, here.found = None, {}, found

    def difference(self) -> str:
        """Where no path goes on now: what was asked, which answers are known, which one came."""
        here = self
        while here.place is not None:
            came = here.place.now()
            if came not in here.answers:
                known = " or ".join(map(repr, here.answers))
                return f"{here.place.text} was {known} and is {came!r}"
            here = here.answers[came]
        return ""

    def all(self) -> Iterator[T]:
        """Everything that some path leads to."""
        if self.found is not None:
            yield self.found
        for below in self.answers.values():
            yield from below.all()
