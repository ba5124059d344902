"""What Python runs of its own accord is seen into: special methods, constructors, wrappers."""

import dataclasses
import functools
import operator
from collections import OrderedDict, defaultdict, deque

import pytest

import diptych as dt

K = 2.0


def x():
    return dt.tensor([1.0, 2.0])


def sees(function, change):
    """Whether a compiled function gives what eager code gives, also after a change."""
    f = dt.compile(function)
    before = function(x()).tolist()
    assert f(x()).tolist() == f(x()).tolist() == before
    assert f.traces == 1
    change()
    assert f(x()).tolist() == function(x()).tolist() != before
    assert f.traces == 2


@pytest.fixture
def other_global(monkeypatch):
    return lambda: monkeypatch.setitem(globals(), "K", 3.0)


class Holder:
    """An object whose special methods read what it holds, and a global."""

    __slots__ = ("__dict__", "slot")
    __hash__ = object.__hash__

    def __init__(self):
        self.k, self.slot = 2.0, 1.0
        self.me = self

    def __bool__(self):
        return self.k * K > 5.0

    def __len__(self):
        return int(self.k * K)

    def __eq__(self, other):
        return self.k == other

    def __str__(self):
        return str(self.k * K)

    def __abs__(self):
        return self.k * K


HOLDER_READS = [
    lambda h, x: x * len(h),
    lambda h, x: x * float(str(h)),
    lambda h, x: x * abs(h),
    lambda h, x: x * (2 if bool(h) else 1),
]
HOLDER_CONTENT = [
    lambda h, x: x * 2 if h else x,
    lambda h, x: x * 2 if not h else x,
    lambda h, x: x * 5 if h == 3.0 else x,
    lambda h, x: x * float(f"{h}"),
    lambda h, x: x * operator.attrgetter("k")(h),
    lambda h, x: x * vars(h)["k"],
]


@pytest.mark.parametrize("read", HOLDER_READS + HOLDER_CONTENT)
def test_special_methods_read_what_an_object_holds(read):
    h = Holder()
    sees(lambda x: read(h, x), lambda: setattr(h, "k", 3.0))


@pytest.mark.parametrize("read", HOLDER_READS)
def test_special_methods_read_globals(read, other_global):
    h = Holder()
    sees(lambda x: read(h, x), other_global)


def test_slots_are_what_an_object_holds():
    h = Holder()
    sees(lambda x: x * operator.attrgetter("slot")(h), lambda: setattr(h, "slot", 3.0))


class Made:
    def __init__(self):
        self.k = K


class MadeFirst(Made):
    def __init__(self):
        super().__init__()
        self.k += 1


class MadeNew:
    def __new__(cls):
        made = object.__new__(cls)
        made.k = K
        return made


@dataclasses.dataclass
class MadeAfter:
    k: float = 1.0

    def __post_init__(self):
        self.k *= K


@pytest.mark.parametrize("kind", [Made, MadeFirst, MadeNew, MadeAfter])
def test_constructors(kind, other_global):
    sees(lambda x: x * kind().k, other_global)


class Described:
    k = 2.0

    @property
    def computed(self):
        return K

    @functools.cached_property
    def kept(self):
        return K

    @classmethod
    def of_class(cls):
        return K

    @staticmethod
    def of_none():
        return K

    @classmethod
    def constant(cls):
        return cls.k

    def __getattr__(self, name):
        if name == "asked":
            return K
        raise AttributeError(name)

    def act(self, x):
        return x * 2


class Derived(Described):
    def above(self):
        return super().k * super().constant() + super().computed


@pytest.mark.parametrize(
    "read",
    [
        lambda d, x: x * d.computed,
        lambda d, x: x * Described().computed,
        lambda d, x: x * Described().kept,
        lambda d, x: x * d.of_class(),
        lambda d, x: x * Described.of_class(),
        lambda d, x: x * Described.of_none(),
        lambda d, x: x * d.asked,
        lambda d, x: x * Described().asked,
        lambda d, x: x * Derived().above(),
    ],
)
def test_descriptors_and_getattr(read, other_global):
    d = Described()
    sees(lambda x: read(d, x), other_global)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x * Described.k,
        lambda x: x * Described().k,
        lambda x: x * Described.constant(),
        lambda x: x * Derived().above(),
    ],
)
def test_constants_of_classes(read, monkeypatch):
    sees(read, lambda: monkeypatch.setattr(Described, "k", 3.0))


@pytest.mark.parametrize(
    "change",
    [
        lambda d, m: m.setattr(Described, "act", lambda self, x: x * 7),
        lambda d, m: setattr(d, "act", lambda x: x * 7),
        lambda d, m: setattr(d, "__class__", Other),
    ],
)
def test_another_method(change, monkeypatch):
    d = Described()
    sees(lambda x: d.act(x), lambda: change(d, monkeypatch))


class Other:
    def act(self, x):
        return x * 9


class Numbers(list):
    pass


@pytest.mark.parametrize("made", [Numbers, deque])
@pytest.mark.parametrize("read", [sum, len, lambda v: v[0] + len(v), lambda v: sum([*v])])
def test_lists_of_other_classes(made, read):
    values = made([1.0])

    def change():
        values.append(3.0)

    sees(lambda x: x * read(values), change)


@pytest.mark.parametrize("made", [OrderedDict, lambda **k: defaultdict(float, **k)])
@pytest.mark.parametrize(
    "read",
    [
        lambda d: sum(d.values()),
        lambda d: sum([v for _, v in d.items()]),
        lambda d: d["a"],
    ],
)
def test_dicts_of_other_classes(made, read):
    values = made(a=1.0)
    sees(lambda x: x * read(values), lambda: values.update(a=3.0))


@pytest.mark.parametrize(
    "read",
    [
        lambda v: dataclasses.asdict(v)["k"],
        lambda v: dataclasses.replace(v).k,
        lambda v: 2.0 if v == Plain(1.0) else 3.0,
    ],
)
def test_dataclasses_by_all_they_hold(read):
    v = Plain(1.0)
    sees(lambda x: x * read(v), lambda: setattr(v, "k", 5.0))


@dataclasses.dataclass
class Plain:
    k: float


@functools.lru_cache
def cached(n):
    return dt.ones(2) * n * K


def test_what_is_cached_by_python_is_of_no_trace(other_global):
    cached.cache_clear()

    def change():
        other_global()
        cached.cache_clear()

    sees(lambda x: x + cached(2), change)
    cached.cache_clear()
    assert isinstance(cached(2), dt.Tensor)
    assert dt.compile(lambda x: x + cached(2))(x()).tolist() == [7.0, 8.0]


@functools.singledispatch
def chosen(x):
    return x * 0


@chosen.register
def _(x: dt.Tensor):
    return x * K


def test_single_dispatch(other_global):
    sees(lambda x: chosen(x), other_global)
