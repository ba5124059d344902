"""Which trace holds: a tree of questions about Python's state.

What a function reads next depends on nothing but its arguments and what it has read so far, so all
traces for one signature begin with the same read, and part where they found different things. A
trace is a path in a tree, and to find the one that holds costs as many questions as that trace
asked, however many traces there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..eager.tape import Recorded
from ..graphs.compiled import as_compiled
from . import reads
from .reads import CONTAINERS, MISSING, Place

Path = Sequence[tuple[Place, Any]]

_NDARRAY = np.ndarray
# How a place is read, for the commonest ways.
_ENTRY, _ATTRIBUTE, _CELL, _LENGTH, _ELSE = range(5)
_WAYS: dict[Any, int] = {
    reads.entry: _ENTRY, reads.attribute: _ATTRIBUTE, reads.cell: _CELL, reads.length: _LENGTH,
}  # fmt: skip


class Question:
    """What stands at a place, and where each answer leads.

    Attributes
    ----------
    place : Place
    answers : dict
        From tokens to the decisions from there on.
    """

    place: Place
    answers: dict[Any, Decisions]
    _holder: Any
    _key: Any
    _way: int
    # The last answer that was known by its object, by an array's shape, dtype and flag, or by what
    # containers hold, alone.
    _same: tuple[Any, Decisions] | None
    _like: tuple[Any, Any, Any, Decisions] | None
    _held: tuple[Any, list[Any], Decisions] | None
    _is_vague: bool  # whether containers have to be looked at with all that they hold

    def __init__(self, place: Place) -> None:
        self.place, self.answers = place, {}
        self._holder, self._key = place.holder, place.key
        self._way = _WAYS.get(place.read, _ELSE)

    def next(self, values: list[Any]) -> Decisions | None:
        """Where the answer leads that holds now, None if nowhere. What was read is noted."""
        try:
            if self._way == _ENTRY:
                value = self._holder[self._key]
            elif self._way == _ATTRIBUTE:
                value = getattr(self._holder, self._key)
            elif self._way == _CELL:
                value = self._holder.cell_contents
            elif self._way == _LENGTH:
                value = len(self._holder)
            else:
                value = self.place.read(self._holder, self._key)
        except (LookupError, AttributeError, ValueError):
            values.append(None)
            return self.answers.get(MISSING)
        values.append(value)
        same = self._same
        if same is not None and (
            value is same[0] or (type(value) is int and type(same[0]) is int and value == same[0])
        ):
            return same[1]
        like = self._like
        if like is not None and _is_like(value, like):
            return like[3]
        held = self._held
        if held is not None and value is held[0] and _is_unchanged(held[1]):
            return held[2]
        return self._told(value)

    def _told(self, value: Any) -> Decisions | None:
        """Where the token of what was read leads, which is noted for the next time."""
        found = self.answers.get(self.place.tell(value))
        if found is None:
            return None
        if self.place.tell is reads.token:
            if not reads.is_fed(value):
                self._same = (value, found)
            elif type(_array_of(value)) is _NDARRAY:
                array = _array_of(value)
                flag = getattr(value, "requires_grad", False)
                self._like = (array.shape, array.dtype, flag, found)
        elif self.place.tell is reads.Same or value is None:
            self._same = (value, found)
        elif self.place.tell is reads.aval_or_none and type(_array_of(value)) is _NDARRAY:
            array = _array_of(value)
            self._like = (array.shape, array.dtype, None, found)
        elif self.place.tell is reads.content:
            snapshot = None if self._is_vague else reads.snapshot(value)
            self._held = None if snapshot is None else (value, snapshot, found)
            self._is_vague = snapshot is None
        return found


as_compiled(Question, _same=None, _like=None, _held=None, _is_vague=False)


def _array_of(value: Any) -> Any:
    """The array of a tensor; an array itself."""
    return getattr(value, "array", value)


def _is_like(value: Any, like: tuple[Any, ...]) -> bool:
    """Whether an array has a shape, a dtype and, where that matters, a gradient flag."""
    flag = False
    array = value
    if isinstance(value, Recorded):
        array, flag = value.array, value.requires_grad
    if type(array) is not _NDARRAY or array.dtype is not like[1] or array.shape != like[0]:
        return False
    return like[2] is None or like[2] == flag


def _is_unchanged(snapshot: list[Any]) -> bool:
    """Whether containers hold what they held."""
    for holder, items in snapshot:
        i = 0
        count = len(items)
        kind = type(holder)
        if kind is dict:
            if 2 * len(holder) != count:
                return False
            for key, item in holder.items():
                if key is not items[i] or item is not items[i + 1]:
                    return False
                i += 2
        elif kind in CONTAINERS:
            if len(holder) != count:
                return False
            for item in holder:
                if item is not items[i]:
                    return False
                i += 1
        elif holder.__dict__ is not items[0]:
            return False
    return True


class Decisions:
    """What was found for paths of answers.

    Attributes
    ----------
    question : Question or None
        What is asked here; None where nothing is.
    found : object or None
        What the path to here leads to.
    """

    question: Question | None
    found: Any

    def find(self, values: list[Any]) -> Any:
        """What holds now; None if nothing does. To `values` is added what stands at each place."""
        here: Decisions | None = self
        while here is not None:
            question = here.question
            if question is None:
                return here.found
            here = question.next(values)
        return None

    def add(self, path: Path, found: Any) -> None:
        """Note what a path leads to. Where an old path asked something else, it is forgotten."""
        here = self
        for place, answer in path:
            asked = here.question
            if asked is None or asked.place.identity != place.identity:
                asked = here.question = Question(place)  # at once, for those who ask meanwhile
            here = asked.answers.setdefault(answer, Decisions())
        here.found, here.question = found, None

    def difference(self) -> str:
        """Where no path goes on now: what was asked, which answers are known, which one came."""
        here = self
        while here.question is not None:
            place, answers = here.question.place, here.question.answers
            came = place.now()
            if came not in answers:
                known = " or ".join(map(repr, answers))
                return f"{place.text} was {known} and is {came!r}"
            here = answers[came]
        return ""

    def all(self) -> Iterator[Any]:
        """Everything that some path leads to."""
        if self.question is None:
            if self.found is not None:
                yield self.found
            return
        for below in list(self.question.answers.values()):
            yield from below.all()


as_compiled(Decisions, question=None, found=None)
