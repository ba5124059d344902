"""Guards: a trace holds for as long as what it read is as it was, and no shorter."""

import dataclasses
import functools
import gc
import math
import sys
import weakref
from types import ModuleType

import numpy as np
import pytest

import diptych as dt
from diptych.errors import GraphError, StaticValueError

SCALE = 2.0
SETTINGS = {"scale": 2.0, "unused": 1}


def x():
    return dt.tensor([1.0, 2.0])


class Config:
    kind = 1.0

    def __init__(self, scale=2.0):
        self.scale, self.other = scale, 0
        self.sizes = [1.0, 2.0]

    @property
    def doubled(self):
        return self.scale * 2

    def scaled(self, x):
        return x * self.scale


@pytest.fixture
def config():
    return Config()


def check(f, change, *, traces=2, before, after):
    """The result before and after a change, and how often it was traced."""
    assert f(x()).tolist() == before
    assert f(x()).tolist() == before
    assert f.traces == 1
    change()
    assert f(x()).tolist() == after
    assert f.traces == traces


def test_a_number_of_the_closure():
    scale = 2.0

    def change():
        nonlocal scale
        scale = 3.0

    check(dt.compile(lambda x: x * scale), change, before=[2.0, 4.0], after=[3.0, 6.0])


def test_a_global(monkeypatch):
    @dt.compile
    def f(x):
        return x * SCALE

    check(
        f,
        lambda: monkeypatch.setitem(globals(), "SCALE", 3.0),
        before=[2.0, 4.0],
        after=[3.0, 6.0],
    )
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    f(x())
    assert f.traces == 2  # the first one holds again


def test_attributes_are_read_one_by_one(config):
    f = dt.compile(lambda x: x * config.scale)
    check(f, lambda: setattr(config, "other", 5), traces=1, before=[2.0, 4.0], after=[2.0, 4.0])
    check(
        dt.compile(lambda x: x * config.scale),
        lambda: setattr(config, "scale", 3.0),
        before=[2.0, 4.0],
        after=[3.0, 6.0],
    )


def test_an_attribute_that_comes_and_goes(config):
    f = dt.compile(lambda x: x * getattr(config, "scale") + hasattr(config, "bias"))  # noqa: B009
    assert f(x()).tolist() == [2.0, 4.0]
    config.bias = 1
    assert f(x()).tolist() == [3.0, 5.0]


def test_class_attributes_and_properties(config, monkeypatch):
    check(
        dt.compile(lambda x: x * config.kind),
        lambda: monkeypatch.setattr(Config, "kind", 3.0),
        before=[1.0, 2.0],
        after=[3.0, 6.0],
    )
    check(
        dt.compile(lambda x: x * config.doubled),
        lambda: setattr(config, "scale", 3.0),
        before=[4.0, 8.0],
        after=[6.0, 12.0],
    )


def test_a_method_of_an_object(config):
    check(
        dt.compile(config.scaled),
        lambda: setattr(config, "scale", 3.0),
        before=[2.0, 4.0],
        after=[3.0, 6.0],
    )


def test_what_is_reached_through_functions_that_are_called(config):
    def inner(x):
        return helper(x) * config.scale

    def helper(x):
        return x + config.sizes[0]

    f = dt.compile(lambda x: inner(x))
    assert f(x()).tolist() == [4.0, 6.0]
    config.sizes[0] = 2.0
    assert f(x()).tolist() == [6.0, 8.0]
    config.sizes[1] = 7.0
    f(x())
    assert f.traces == 2


@pytest.mark.parametrize(
    "read",
    [
        lambda v, x: x * len(v),
        lambda v, x: x * sum(v),
        lambda v, x: x + (3.0 in v),
        lambda v, x: x * sum([w * 2 for w in v]),
        lambda v, x: x + (1 if v == [1.0, 2.0] else 0),
        lambda v, x: x * sum(map(float, v)),
        lambda v, x: x * max(*v),
        lambda v, x: functools.reduce(lambda a, b: a * b, v, x),
        lambda v, x: x * len([*v, 1.0]),
    ],
)
def test_ways_to_read_a_list(read):
    values = [1.0, 2.0]
    f = dt.compile(lambda x: read(values, x))
    eager = read(values, x()).tolist()
    assert f(x()).tolist() == f(x()).tolist() == eager
    assert f.traces == 1
    values.append(3.0)
    assert f(x()).tolist() == read(values, x()).tolist() != eager
    assert f.traces == 2


@pytest.mark.parametrize(
    "read",
    [
        lambda d, x: x * d["scale"],
        lambda d, x: x * d.get("scale", 1.0),
    ],
)
def test_an_item_of_a_dict_alone(read):
    settings = {"scale": 2.0, "unused": 1}
    f = dt.compile(lambda x: read(settings, x))
    assert f(x()).tolist() == [2.0, 4.0]
    settings["unused"] = 2
    f(x())
    assert f.traces == 1
    settings["scale"] = 3.0
    assert f(x()).tolist() == [3.0, 6.0]
    assert f.traces == 2


def test_a_key_that_is_missing():
    settings = {}
    f = dt.compile(lambda x: x * settings.get("scale", 1.0))
    assert f(x()).tolist() == [1.0, 2.0]
    settings["scale"] = 3.0
    assert f(x()).tolist() == [3.0, 6.0]


def test_truth_of_a_list_and_branches():
    extra = []

    @dt.compile
    def f(x):
        if extra:
            return x * extra[0]
        return x if not SETTINGS["unused"] else x + 1

    assert f(x()).tolist() == [2.0, 3.0]
    extra.append(5.0)
    assert f(x()).tolist() == [5.0, 10.0]
    extra.append(6.0)
    f(x())
    del extra[:]
    assert f(x()).tolist() == [2.0, 3.0]


def test_a_list_of_modules_and_a_loop_over_it():
    layers = [dt.nn.Linear(2, 2), dt.nn.Tanh()]

    @dt.compile
    def f(x):
        for layer in layers:
            x = layer(x)
        return x

    first = f(x())
    assert np.array_equal(first.numpy() if not first.requires_grad else first.detach().numpy(),
                          layers[1](layers[0](x())).detach().numpy())  # fmt: skip
    layers.append(dt.nn.ReLU())
    f(x())
    assert f.traces == 2


def test_a_module_of_python(monkeypatch):
    settings = ModuleType("settings_of_a_user")
    settings.scale = 2.0
    monkeypatch.setitem(sys.modules, "settings_of_a_user", settings)
    f = dt.compile(lambda x: x * settings.scale * math.sqrt(4.0))
    assert f(x()).tolist() == [4.0, 8.0]
    settings.scale = 3.0
    assert f(x()).tolist() == [6.0, 12.0]


def test_hyperparameters_of_library_modules():
    drop = dt.nn.Dropout(0.0)
    f = dt.compile(lambda x: drop(x))
    assert f(x()).tolist() == [1.0, 2.0]
    drop.p = 0.5
    assert set(f(dt.ones((100,))).tolist()) == {0.0, 2.0}
    drop.eval()
    assert f(x()).tolist() == [1.0, 2.0]


def test_plain_attributes_of_a_module():
    class Scaled(dt.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 2.0

        def forward(self, x):
            return x * self.scale

    inner = Scaled()
    net = dt.nn.Sequential(inner, dt.nn.Identity())
    f = dt.compile(net)
    assert f(x()).tolist() == [2.0, 4.0]
    inner.scale = 3.0
    assert f(x()).tolist() == [3.0, 6.0]
    assert f.traces == 2


def test_arrays_found_outside_are_fed():
    outside = np.array([1.0, 2.0], np.float32)
    f = dt.compile(lambda x: x * outside)
    assert f(x()).tolist() == [1.0, 4.0]
    outside[:] = 3.0
    assert f(x()).tolist() == [3.0, 6.0]
    assert f.traces == 1
    outside = np.array([[1.0], [2.0]], np.float32)
    assert f(x()).tolist() == [[1.0, 2.0], [2.0, 4.0]]
    assert f.traces == 2


def test_an_array_whose_numbers_are_asked_for_is_guarded_by_them():
    mask = np.array([True, False])
    f = dt.compile(lambda x: x[mask])
    assert f(x()).tolist() == [1.0]
    mask[1] = True
    assert f(x()).tolist() == [1.0, 2.0]
    assert f.traces == 2


def test_values_are_of_the_classes_of_what_they_stand_for():
    outside = [np.ones(2, np.float32), dt.ones((2,))]

    @dt.compile
    def f(x):
        arrays = [v for v in (*outside, x) if isinstance(v, np.ndarray)]
        tensors = [v for v in (*outside, x, x * 2) if isinstance(v, dt.Tensor)]
        return x, len(arrays), len(tensors)

    assert f(x())[1:] == (1, 3)


def test_arrays_of_no_numbers_are_objects():
    names = np.array(["a", "b"])
    f = dt.compile(lambda x: x * len(names[0]))
    assert f(x()).tolist() == [1.0, 2.0]


def test_tensors_in_objects_are_fed():
    config = Config()
    config.scale = dt.tensor(2.0)
    f = dt.compile(config.scaled)
    assert f(x()).tolist() == [2.0, 4.0]
    config.scale = dt.tensor(3.0)
    assert f(x()).tolist() == [3.0, 6.0]
    assert f.traces == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c, "scale", 1.0),
        lambda c: c.sizes.append(1.0),
        lambda c: c.sizes.__setitem__(0, 1.0),
        lambda c: c.sizes.clear(),
    ],
)
def test_what_changes_state_outside_is_refused(config, change):
    @dt.compile
    def f(x):
        change(config)
        return x

    with pytest.raises(GraphError, match=r"must not change what outlives it, got a change of"):
        f(x())


def test_assignments_to_state_outside_are_refused(config):
    @dt.compile
    def f(x):
        config.other += 1
        config.sizes[0] = 3.0
        return x

    with pytest.raises(GraphError, match=r"a change of config\.other"):
        f(x())
    assert config.other == 0


def test_names_of_outer_functions_are_not_assigned():
    count = 0

    @dt.compile
    def f(x):
        nonlocal count
        count += 1
        return x

    with pytest.raises(GraphError, match="a declaration of count as a name to assign to"):
        f(x())
    assert count == 0

    @dt.compile
    def g(x):
        total = x

        def add():
            nonlocal total
            total = total + 1

        add()
        return total

    assert g(x()).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("ask", [float, lambda w: w.item(), lambda w: w.numpy(), bool])
def test_the_number_of_a_parameter_is_not_frozen(ask):
    w = dt.nn.Parameter(2.0)
    f = dt.compile(lambda x: x * ask(w))
    with pytest.raises(StaticValueError, match="a parameter has no number until its graph runs"):
        f(x())


def test_tensors_of_numbers_made_in_a_function_are_constants():
    f = dt.compile(lambda x: x + dt.tensor([1.0, 2.0]) * dt.asarray([2.0], dtype="float32"))
    assert f(x()).tolist() == [3.0, 6.0]


def test_arguments_of_the_first_call_are_not_kept():
    f = dt.compile(lambda x: x * 2)
    given = x()
    found = weakref.ref(given)
    f(given)
    del given
    gc.collect()
    assert found() is None


def test_what_a_function_makes_itself_it_may_change():
    @dt.compile
    def f(x):
        made = Config()
        made.scale += 1
        held = {}
        held["y"] = made.scaled(x)
        parts = []
        for i in range(2):
            parts.append(held["y"] + i)
        (a, made.other), [b] = parts, [1.0]
        return a + made.other + b

    assert f(x()).tolist() == [8.0, 14.0]


def test_dataclasses_are_containers():
    @dataclasses.dataclass
    class State:
        h: object
        scale: float

    f = dt.compile(lambda s: State(s.h * s.scale, s.scale))
    found = f(State(x(), 2.0))
    assert type(found) is State and found.h.tolist() == [2.0, 4.0] and found.scale == 2.0
    f(State(x(), 2.0))
    assert f.traces == 1
    assert f(State(x(), 3.0)).h.tolist() == [3.0, 6.0]


def test_objects_without_a_hash_are_read_as_any_other():
    f = dt.compile(lambda x, names: x * len(names))
    names = {"a", "b"}
    assert f(x(), names).tolist() == [2.0, 4.0]
    names.add("c")
    assert f(x(), names).tolist() == [3.0, 6.0]


def test_a_function_without_source_guards_what_it_mentions():
    scope = {"scale": 2.0}
    exec("def g(x):\n    return x * scale", scope)
    f = dt.compile(scope["g"])
    assert f(x()).tolist() == [2.0, 4.0]
    scope["scale"] = 3.0
    assert f(x()).tolist() == [3.0, 6.0]
    assert "its source is not known" in f.explain()


def test_lookup_asks_as_many_questions_however_many_traces(monkeypatch):
    from diptych.hybrid import reads

    config = Config()
    f = dt.compile(lambda x: x * config.scale)
    asked = []
    original = reads.Place.now
    for i in range(20):
        config.scale = float(i)
        f(x())
    monkeypatch.setattr(reads.Place, "now", lambda p: asked.append(p) or original(p))
    counts = set()
    for i in range(20):
        config.scale = float(i)
        del asked[:]
        f(x())
        counts.add(len(asked))
    assert f.traces == 20 and len(counts) == 1


def test_private_names_super_and_defaults():
    class Base:
        def scale(self):
            return 2.0

    class Derived(Base):
        def __init__(self):
            self.__hidden = 3.0

        def scale(self):
            return super().scale() * self.__hidden

        def __call__(self, x, /, add=1.0, *rest, last=0.0, **named):
            return x * self.scale() + add + last + sum(rest) + sum(named.values())

    f = Derived()
    assert dt.compile(f)(x()).tolist() == f(x()).tolist() == [7.0, 13.0]
    assert dt.compile(f)(x(), 2.0, 3.0, last=1.0, other=5.0).tolist() == [17.0, 23.0]


def test_a_traceback_shows_the_users_line():
    @dt.compile
    def f(x):
        y = x * 2
        return y @ dt.zeros((3, 3))  # here

    with pytest.raises(ValueError, match="matmul") as caught:
        f(x())
    frames = [e for e in caught.traceback if str(e.path) == __file__]
    assert "# here" in str(frames[-1].statement)


class Holder:
    def __init__(self, **held):
        self.__dict__.update(held)


@pytest.mark.parametrize("change", [
    lambda c: c.held.append(5.0),
    lambda c: c.held.__setitem__(0, 7.0),
    lambda c: c.named.__setitem__("a", 7.0),
    lambda c: c.named.__setitem__("b", 1.0),
    lambda c: c.named.update(a=c.named.pop("a")) or c.named.update(c=2.0),
    lambda c: c.inner.__setattr__("by", 7.0),
    lambda c: c.__setattr__("inner", Holder(by=7.0)),
    lambda c: c.kinds.add(3),
])  # fmt: skip
def test_what_is_read_as_a_whole_is_asked_again_where_it_changed(change):
    config = Holder(held=[1.0, 2.0], named={"a": 3.0}, inner=Holder(by=2.0), kinds={1, 2})

    def total(x):
        found = sum(config.held) + sum(config.named.values()) + sum(config.kinds)
        return x * found + sum(vars(config.inner).values())

    f = dt.compile(total)
    x = dt.tensor([1.0])
    for _ in range(3):
        assert f(x).item() == total(x).item() and f.traces == 1
    change(config)
    for _ in range(3):
        assert f(x).item() == total(x).item() and f.traces == 2
