"""Which trace holds: a tree of questions about Python's state.

What a function reads next depends on nothing but its arguments and what it has read so far, so all
traces for one signature begin with the same read, and part where they found different things. A
trace is a path in a tree, and to find the one that holds costs as many questions as that trace
asked, however many traces there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .reads import Place

T = TypeVar("T")

Path = Sequence[tuple[Place, Any]]


@dataclass(slots=True)
class Decisions(Generic[T]):
    """What was found for paths of answers.

    Attributes
    ----------
    question : (Place, dict) or None
        What is asked here, and from each token the decisions from there on; None where nothing is.
    found : object or None
        What the path to here leads to.
    """

    question: tuple[Place, dict[Any, Decisions[T]]] | None = None
    found: T | None = None

    def find(self) -> T | None:
        """What holds now; None if nothing does."""
        here: Decisions[T] | None = self
        while here is not None:
            question = here.question
            if question is None:
                return here.found
            place, answers = question
            here = answers.get(place.now())
        return None

    def add(self, path: Path, found: T) -> None:
        """Note what a path leads to. Where an old path asked something else, it is forgotten."""
        here = self
        for place, answer in path:
            asked = here.question
            if asked is None or asked[0].identity != place.identity:
                asked = here.question = place, {}  # at once, for those who ask meanwhile
            here = asked[1].setdefault(answer, Decisions())
        here.found, here.question = found, None

    def difference(self) -> str:
        """Where no path goes on now: what was asked, which answers are known, which one came."""
        here = self
        while here.question is not None:
            place, answers = here.question
            came = place.now()
            if came not in answers:
                known = " or ".join(map(repr, answers))
                return f"{place.text} was {known} and is {came!r}"
            here = answers[came]
        return ""

    def all(self) -> Iterator[T]:
        """Everything that some path leads to."""
        if self.question is None:
            if self.found is not None:
                yield self.found
            return
        for below in list(self.question[1].values()):
            yield from below.all()
