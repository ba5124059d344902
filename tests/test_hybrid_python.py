"""What Python runs of its own accord is seen into: special methods, constructors, wrappers."""

import contextlib
import dataclasses
import functools
import operator
from collections import OrderedDict, defaultdict, deque

import pytest

import diptych as dt
from diptych.errors import GraphError

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


class Entered:
    def __enter__(self):
        return K

    def __exit__(self, *error):
        return None

    def __iter__(self):
        return iter([K])

    def __bool__(self):
        return K > 2.5


def entered(x):
    with Entered() as k:
        return x * k


def test_with_enters_what_it_sees(other_global):
    sees(entered, other_global)


@pytest.mark.parametrize(
    "read",
    [
        lambda h, x: x * 2 if h else x,
        lambda h, x: x * sum([*h]),
        lambda h, x: sum([x * k for k in h]),
    ],
)
def test_loops_and_tests_of_objects(read, other_global):
    h = Entered()
    sees(lambda x: read(h, x), other_global)


def scaled(x, settings={"k": 2.0}):  # noqa: B006
    return x * settings["k"]


def test_defaults_are_read_as_what_was_there():
    settings = scaled.__defaults__[0]
    sees(scaled, lambda: settings.update(k=3.0))
    settings["k"] = 2.0


def kept(x, log=[]):  # noqa: B006
    log.append(1)
    return x


def keyed(x, *, log={}):  # noqa: B006
    log["k"] = 1
    return x


ITERATOR, QUEUE = iter([1.0, 2.0]), deque([1.0])


@pytest.mark.parametrize(
    "f",
    [
        kept,
        keyed,
        lambda x: x * next(ITERATOR),
        lambda x: x * sum(ITERATOR),
        lambda x: x * sum([k * 2 for k in ITERATOR]),
        lambda x: QUEUE.append(1.0) or x,
        lambda x: deque.append(QUEUE, 1.0) or x,
        lambda x: object.__setattr__(Plain, "k", 1.0) or x,
    ],
)
def test_other_changes_of_what_outlives_a_call_are_refused(f):
    with pytest.raises(GraphError, match="must not change what outlives it"):
        dt.compile(f)(x())
    assert (
        len(QUEUE) == 1
        and next(iter([*kept.__defaults__[0], *keyed.__kwdefaults__["log"]]), 0) == 0
    )


def append(x, log):
    log.append(x)
    return x


def put(x, log):
    log["k"] = x
    return x


def put_inner(x, log):
    log["a"][0] = x
    return x


@pytest.mark.parametrize("f, log", [(append, []), (put, {}), (put_inner, {"a": [1.0]})])
def test_containers_of_arguments_are_not_changed(f, log):
    with pytest.raises(GraphError, match="got a change of argument 1"):
        dt.compile(f)(x(), log)


def test_an_iterator_that_is_an_argument_is_not_gone_through():
    with pytest.raises(GraphError, match="gone through"):
        dt.compile(lambda x, values: x * sum(values))(x(), iter([1.0]))


def scaled_by_global(x):
    return x * K


def product(a, b):
    return a * b * K


@contextlib.contextmanager
def giving():
    yield K


def given(x):
    with giving() as k:
        return x * k


def given_late(x):
    with contextlib.ExitStack() as stack:
        return x * stack.enter_context(giving())


@pytest.mark.parametrize(
    "f",
    [
        lambda x: sum(map(scaled_by_global, [x, x])),
        lambda x: functools.reduce(product, [x, x]),
        lambda x: x * sum(filter(lambda v: v < K, [1.0, 2.5])),
        given,
        given_late,
    ],
)
def test_functions_that_libraries_call(f, other_global):
    sees(f, other_global)


def test_named_arguments_from_a_dict():
    settings = defaultdict(float, k=2.0)
    sees(lambda x: (lambda **named: x * named["k"])(**settings), lambda: settings.update(k=3.0))


class Operand:
    __hash__ = object.__hash__

    def __mul__(self, other):
        return other * K

    __radd__ = __mul__

    def __getitem__(self, key):
        return K

    def __contains__(self, key):
        return key == K

    def __eq__(self, other):
        return other == K

    def __lt__(self, other):
        return other > K


@pytest.mark.parametrize(
    "read",
    [
        lambda o, x: o * x,
        lambda o, x: x * (2.0 + o),
        lambda o, x: x * o[0],
        lambda o, x: x * 5 if 3.0 in o else x,
        lambda o, x: x * 5 if 3.0 not in o else x,
        lambda o, x: x * 5 if o == 3.0 else x,
        lambda o, x: x * 5 if o < 2.5 else x,
    ],
)
def test_operators_of_objects(read, other_global):
    o = Operand()
    sees(lambda x: read(o, x), other_global)


def test_whether_a_dict_has_one_key():
    known = {"a": 1.0}
    f = dt.compile(lambda x: x * 2 if "a" in known else x)
    assert f(x()).tolist() == [2.0, 4.0]
    known["b"] = 2.0
    f(x())
    assert f.traces == 1
    del known["a"]
    assert f(x()).tolist() == [1.0, 2.0]


def of_a_class_within(x):
    class Within:
        k = K
        twice = k * 2

        def scaled(self, y):
            return y * self.twice * K

    return Within().scaled(x)


def test_classes_within_functions(other_global):
    sees(of_a_class_within, other_global)
