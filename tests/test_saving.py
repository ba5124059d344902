"""Files: what is saved comes back to the bit, and nothing else is ever taken for it."""

import math
import os
import struct
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from samples import SAMPLES, Sample
from saved_files import numbers, training_graph
from test_random_graphs import arrays_for, build, programs, same_bits

import diptych as dt
from diptych.errors import ArgumentError, DTypeError, FetchError, FileError, GraphError
from diptych.graphs.dtypes import DTYPES
from diptych.graphs.files import layout, values, writing
from diptych.graphs.files.region_rules import RULES
from diptych.graphs.ops import REGISTRY, dispatch

SHAPES = [(), (0,), (3,), (2, 0, 3), (2, 1, 3), (4, 5)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file.safetensors"


def round_trip(path, state):
    dt.save(path, state)
    return dt.load(path)


def same_array(found, wanted):
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()


# -- states ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_come_back_to_the_bit(path, dtype, shape):
    dense = numbers(shape, dtype)
    backwards = np.asarray(dense[(slice(None, None, -1),) * dense.ndim])
    state = {"dense": dense, "fortran": np.asfortranarray(dense), "backwards": backwards,
             "spread": np.broadcast_to(dense, (2, *shape)), "transposed": dense.T}  # fmt: skip
    loaded = round_trip(path, state)
    assert list(loaded) == list(state)
    for name, array in state.items():
        same_array(loaded[name], array)
        assert loaded[name].flags.writeable
    assert loaded["fortran"].flags.f_contiguous


def test_values_of_python_come_back_to_the_bit(path):
    nan = struct.unpack(">d", bytes.fromhex("fff8000000001234"))[0]
    state = {
        "none": None, "flags": [True, False], "whole": [0, -1, 2**53 - 1, 2**53, -(2**200)],
        "floats": [0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, 1e16],
        "odd": [math.inf, -math.inf, math.nan, nan], "complex": [1 + 2j, complex(-0.0, nan)],
        "text": ["", "é😀\u2028\0\"\\", "a.b"], "tuple": (1, (2.0, ()), [3]), "empty": {},
        "dict": {"": {"a": 1}, "__metadata__": 2, "tensor": 3},
        "slice": (slice(None, 3), ...), "dtypes": [np.dtype("bool"), DTYPES["bfloat16"]],
        "device": dt.Device("cpu"), "dim": 2 * dt.Dim.symbol("n") * dt.Dim.symbol("m") - 1,
        "scalars": [dtype.type(1) for dtype in DTYPES.values()] + [np.float32("nan")],
    }  # fmt: skip
    encoded = values.Encoder("test").encode(state)
    loaded = round_trip(path, state)
    assert values.Encoder("test").encode(loaded) == encoded  # which tells all of them apart
    assert [type(v) for v in loaded["whole"]] == [int] * 5
    assert [type(v) for v in loaded["floats"]] == [float] * 7
    assert list(map(str, loaded["floats"])) == list(map(str, state["floats"]))
    assert struct.pack(">d", loaded["odd"][-1]).hex() == "fff8000000001234"
    assert [v.dtype for v in loaded["scalars"][:-1]] == list(DTYPES.values())
    for name in ("none", "flags", "whole", "text", "tuple", "dict", "slice", "dtypes", "device"):
        assert loaded[name] == state[name]


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text()
states = st.dictionaries(
    st.text(),
    st.recursive(
        plain | st.sampled_from([np.arange(3), np.float32(2), np.zeros((2, 0))]),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=12,
    ),
)


@given(states)
def test_any_state_comes_back_and_saves_to_equal_bytes(state):
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "one"), Path(folder, "two")
        loaded = round_trip(path, state)
        dt.save(again, loaded)
        assert values.Encoder("").encode(loaded) == values.Encoder("").encode(state)
        assert path.read_bytes() == again.read_bytes()
        safetensors.deserialize(path.read_bytes())


def test_tensors_parameters_and_storages_are_saved_as_their_numbers(path):
    w = dt.nn.Parameter([[1.0, 2.0]])
    held = dt.Storage([3.0], "held")
    state = {"w": w, "held": held, "y": w * 2, "view": dt.tensor([1.0, 2.0, 3.0])[1:]}
    loaded = round_trip(path, state)
    assert [v.tolist() for v in loaded.values()] == [[[1.0, 2.0]], [3.0], [[2.0, 4.0]], [2.0, 3.0]]


def test_names_that_meet_are_told_apart(path):
    state = {"a": {"b": np.ones(1)}, "a.b": np.ones(2), "a.b.1": np.ones(3)}
    state["__metadata__"] = np.ones(4)
    loaded = round_trip(path, state)
    assert loaded["a"]["b"].size == 1
    assert [loaded[name].size for name in ("a.b", "a.b.1", "__metadata__")] == [2, 3, 4]
    assert sorted(load_file(path)) == ["__metadata__.1", "a.b", "a.b.1", "a.b.1.1"]


def cyclic():
    state = {}
    state["again"] = state
    return state


@pytest.mark.parametrize(
    "state, match",
    [
        ({"a": {"b": [object()]}}, "values must be arrays, .* got object .* for 'a.b.0'"),
        ({"a": {1, 2}}, "got set {1, 2} for 'a'"),
        ({"a": np.array(["text"])}, "dtype: must be one of"),
        ({"a": np.array([object()])}, "dtype: must be one of"),
        ({"a": np.arange(3).astype(">i4")}, "dtype: must be one of"),
        ({1: 2}, "keys must be text, got 1"),
        ({"\ud800": 2}, r"keys must be text, got '\\ud800'"),
        ({"a": "\ud800"}, "got str"),
        (cyclic(), "values must nest at most 32 deep"),
        ([np.ones(2)], "a state must be a dict, got list"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_no_file_can_hold_is_refused_and_nothing_is_written(path, state, match):
    dt.save(path, {"before": 1})
    with pytest.raises(DTypeError, match=f"save: .*{match}|{match}"):
        dt.save(path, state)
    assert dt.load(path) == {"before": 1}
    assert os.listdir(path.parent) == [path.name]


def test_a_static_value_has_no_numbers_to_save(path):
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
    with pytest.raises(DTypeError, match="got Value"):
        dt.save(path, {"x": x})


# -- other programs --------------------------------------------------------------------------


def test_other_readers_open_the_file(path):
    state = {name: numbers((2, 3), dtype) for name, dtype in DTYPES.items()}
    dt.save(path, {"all": state})
    read = dict(safetensors.deserialize(path.read_bytes()))
    assert read.keys() == {f"all.{name}" for name in DTYPES}
    for name, array in state.items():
        tensor = read[f"all.{name}"]
        assert bytes(tensor["data"]) == array.tobytes()
        assert tensor["shape"] == ([2, 3, 2] if name == "complex128" else [2, 3])
        assert tensor["dtype"] == ("F64" if name == "complex128" else layout.TAG_OF[array.dtype])


def test_files_of_other_programs_are_read_when_asked(path):
    state = {"b": np.arange(6.0).reshape(2, 3), "a": np.ones(2, np.complex64), "c": np.zeros(0)}
    save_file(state, path, metadata={"format": "np"})
    with pytest.raises(FileError, match="header: must start with Diptych's digest, got none"):
        dt.load(path)
    loaded = dt.load(path, digest="optional")
    assert loaded.keys() == state.keys()
    for name, array in state.items():
        same_array(loaded[name], array)
    with pytest.raises(ArgumentError, match="digest must be 'required' or 'optional', got 'none'"):
        dt.load(path, digest="none")


def test_a_file_of_ours_without_its_digest_is_no_file_of_others(path):
    dt.save(path, {"a": np.ones(3)})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"diptych.digest", b"diptych_digest"))
    with pytest.raises(FileError, match="header: must start with the digest, got "):
        dt.load(path, digest="optional")


# -- the file system -------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["os.replace", "os.fsync", "writing.as_bytes"])
def test_an_error_leaves_the_old_file(path, monkeypatch, step):
    dt.save(path, {"old": 1})
    sums = iter([np.zeros(1, np.uint8)])  # the digest is taken before anything is written

    def fail(*args):
        try:
            assert step == "writing.as_bytes"
            return next(sums)
        except (StopIteration, AssertionError):
            raise OSError("disk full") from None

    owner, name = (os, step[3:]) if step.startswith("os.") else (writing, "as_bytes")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(OSError, match="disk full"):
            dt.save(path, {"new": np.ones(3)})
    assert dt.load(path) == {"old": 1}
    assert os.listdir(path.parent) == [path.name]


def test_a_link_and_its_modes_are_kept(path):
    link = path.parent / "link"
    dt.save(path, {"old": 1})
    path.chmod(0o600)
    link.symlink_to(path)
    dt.save(link, {"new": 2})
    assert link.is_symlink() and dt.load(path) == {"new": 2}
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        dt.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        dt.save(tmp_path / "none" / "file", {})
    with pytest.raises(IsADirectoryError):
        dt.static.load(tmp_path)


def test_each_kind_has_its_reader(path):
    dt.save(path, {})
    with pytest.raises(FileError, match=r"must hold a graph, got a state, which dt\.load reads"):
        dt.static.load(path)
    dt.static.Graph().save(path, [])
    with pytest.raises(FileError, match=r"must hold a state, got a graph, which dt\.static\.load"):
        dt.load(path)


# -- checkpoints -----------------------------------------------------------------------------

TRAIN = """
import hashlib, sys
import numpy as np
import diptych as dt

path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
dt.manual_seed(5)
model = dt.nn.Sequential(
    dt.nn.Linear(6, 16), dt.nn.ReLU(), dt.nn.Dropout(0.5), dt.nn.Linear(16, 3)
)
optimizer = dt.optim.Adam(model.parameters(), lr=0.01)
rng = np.random.default_rng(0)
data = rng.standard_normal((50, 6)).astype(np.float32), rng.integers(0, 3, 50)
loader = dt.data.DataLoader(*data, batch_size=8, shuffle=True, seed=1)
parts = {
    "model": model, "optimizer": optimizer, "random": dt.default_generator, "loader": loader
}
losses = []
if first:
    state = dt.load(path)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    losses = state["losses"]
else:
    dt.rand(3)  # the generator stands somewhere
step = first
while step < last:
    for x, y in loader:
        optimizer.zero_grad()
        loss = dt.nn.functional.cross_entropy(model(dt.asarray(x)), dt.asarray(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        step += 1
        if step == last:
            break
state = {name: part.state_dict() for name, part in parts.items()}
dt.save(path, {**state, "losses": losses, "step": step})
"""


def test_training_goes_on_bit_for_bit_in_another_process(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for path, first, last in ((whole, 0, 20), (halves, 0, 10), (halves, 10, 20)):
        command = [sys.executable, "-c", TRAIN, str(path), str(first), str(last)]
        subprocess.run(command, check=True)
    assert whole.read_bytes() == halves.read_bytes()
    assert len(set(dt.load(whole)["losses"])) == 20


# -- graphs ----------------------------------------------------------------------------------


def saved_again(path, graph, fetches):
    """The loaded graph, after checking that it saves to equal bytes."""
    graph.save(path, fetches)
    loaded = dt.static.load(path)
    again = path.with_name("again")
    loaded.save(again, loaded.fetches)
    assert again.read_bytes() == path.read_bytes()
    return loaded


def call(op, sample, graph, position):
    """An operator on placeholders in a graph, as its sample says; its results."""
    operands = [
        graph.placeholder(f"{position}.{i}", a.shape, a.dtype) if isinstance(a, np.ndarray) else a
        for i, a in enumerate(sample.args)
    ]
    attrs = tuple(sample.attrs.get(name, default) for name, default in op.attrs.items())
    return dispatch.call(op, tuple(operands), attrs)


@pytest.mark.parametrize(
    "name", [op.name for op in REGISTRY.values() if op.name in SAMPLES and not op.dynamic]
)
def test_every_operator_with_every_sample_comes_back(path, name):
    op = REGISTRY[name]
    samples = [*SAMPLES[name].samples]
    if name == "full":
        samples += [Sample((), {"shape": (2,), "value": v, "dtype": "float64"}) for v in
                    (math.nan, math.inf, -math.inf, np.float64(3), np.float32(2))]  # fmt: skip
    with dt.static.Graph() as g:
        results = [call(op, sample, g, i) for i, sample in enumerate(samples)]
    fetches = [r for r in results if not isinstance(r, np.ndarray)]  # of numbers alone
    loaded = saved_again(path, g, fetches)
    assert str(loaded) == str(g)


def test_signs_of_zeros_among_attributes_are_kept(path):
    with dt.static.Graph() as g:
        x = g.placeholder("x", (1,))
        fetches = [dt.nan_to_num(x, nan=zero) for zero in (0.0, -0.0)]
    loaded = saved_again(path, g, fetches)
    found = loaded.compile(loaded.fetches, passes=()).run({"x": [math.nan]})
    assert [math.copysign(1, y.item()) for y in found] == [1.0, -1.0]


@given(programs())
def test_random_programs_come_back(program):
    graph, fetches = build(program)
    feeds = {f"x{i}": array for i, array in enumerate(arrays_for(program))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph")
        graph.save(path, fetches)
        loaded = dt.static.load(path)
    found = loaded.compile(loaded.fetches).run(feeds)
    same_bits(found, graph.compile(fetches).run(feeds))


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_a_graph_runs_and_trains_on_as_it_would_have(path, executor):
    graph, fetches, feeds, _ = training_graph()
    program = graph.compile(fetches, executor=executor)
    program.run(feeds[0])
    loaded = saved_again(path, graph, fetches)
    twin = loaded.compile(loaded.fetches, executor=executor)
    for feed in feeds:
        found, wanted = twin.run(feed), program.run(feed)
        assert found["step"] == (None, None)
        same_bits([found["loss"], *found["more"]], [wanted["loss"], *wanted["more"]])
    # Both have trained, each its own storages.
    graph.save(path, fetches)
    loaded.save(path.with_name("again"), loaded.fetches)
    assert path.read_bytes() == path.with_name("again").read_bytes()


def test_a_loaded_graph_can_be_built_on(path):
    graph, fetches, feeds, _ = training_graph()
    loaded = saved_again(path, graph, fetches)
    built = []
    for g, f in ((graph, fetches), (loaded, loaded.fetches)):
        with g:
            optimizer = dt.optim.SGD(g.parameters, lr=0.1)
            more = dt.grad(f["loss"], g.parameters)
            built.append((optimizer.minimize(f["loss"]), list(more)))
    programs = [g.compile(list(b)) for g, b in zip((graph, loaded), built)]
    for feed in feeds:
        (_, found), (_, wanted) = (program.run(feed) for program in programs)
        same_bits(found, wanted)
    saved_again(path, loaded, built[1])


def test_parameters_names_and_fetches_come_back(path):
    graph, fetches, _, _ = training_graph()
    graph.parameters[1].requires_grad_(False)
    loaded = saved_again(path, graph, fetches)
    assert [p.name for p in loaded.parameters] == [p.name for p in graph.parameters]
    assert [p.requires_grad for p in loaded.parameters] == [True, False, True, True]
    assert list(loaded.placeholders) == ["x", "sign"]
    names = ["count", "0.weight", "0.bias", "random offset", "random key"]
    assert [s.name for s, _ in loaded.variables][:5] == names
    assert type(loaded.fetches["step"]) is tuple and type(loaded.fetches["more"]) is list


def test_only_what_fetches_need_is_saved(path):
    graph, fetches, _, spare = training_graph()
    loaded = saved_again(path, graph, [spare])
    assert [s.name for s, _ in loaded.variables] == ["spare"]
    assert not loaded.effects and len(loaded.nodes) < 10
    assert list(loaded.placeholders) == ["x", "sign"]  # whose sizes may be needed
    loaded = saved_again(path, graph, fetches)
    assert "spare" not in {s.name for s, _ in loaded.variables}


def test_random_state_moves_on_where_a_draw_is_saved(path):
    generator = dt.Generator(7)
    with dt.static.Graph() as g:
        y = generator.uniform((3,))
    loaded = saved_again(path, g, y)
    program = loaded.compile(loaded.fetches)
    twin = dt.Generator(7)
    for _ in range(3):
        assert program.run().tolist() == twin.uniform((3,)).tolist()


def test_files_know_every_region():
    # What passes put together is in no graph that a user saves.
    assert RULES.keys() == {op for op in REGISTRY.values() if op.region and op.name != "fused"}


def test_a_graph_file_is_a_safetensors_file_of_its_numbers(path):
    graph, fetches, _, _ = training_graph()
    graph.save(path, fetches)
    found = load_file(path)
    same_array(found["0.weight"], graph.parameters[0].detach().numpy())
    assert {"0.weight", "0.bias", "2.weight", "2.bias", "count", "random key"} <= found.keys()


def test_an_operator_of_a_users_own_must_be_known_to_who_loads(path):
    cube = dt.custom_op("saved_cube", "x -> y", lambda x: x**3)
    try:
        with dt.static.Graph() as g:
            y = cube(g.placeholder("x", ("n",)))
        loaded = saved_again(path, g, y)
        assert loaded.compile(loaded.fetches).run({"x": [2.0, 3.0]}).tolist() == [8.0, 27.0]
    finally:
        del REGISTRY["saved_cube"]
    with pytest.raises(FileError, match=r"op must be an operator of graphs, got 'saved_cube'"):
        dt.static.load(path)


def test_what_cannot_be_saved_of_a_graph_is_refused(path):
    with dt.static.Graph() as g, dt.static.Graph():
        x = g.placeholder("x", (2,))
    with pytest.raises(FetchError, match="fetches must be of the graph that is saved"):
        dt.static.Graph().save(path, x)
    with pytest.raises(FetchError, match="fetches must be values or updates, got int 1"):
        g.save(path, [x, 1])
    with dt.static.Graph() as g:
        y = dt.tanh(g.placeholder("x", (2,)))
    y.node.op = replace(dt.sin.op, name="own")
    with pytest.raises(GraphError, match="operators must be in the table, got 'own'"):
        g.save(path, y)
    assert not path.exists()


def test_a_file_of_many_numbers_is_bounded(path):
    dt.save(path, {"a": np.ones(100)})
    with pytest.raises(FileError, match=r"tensor 'a': must have at most 799 bytes"):
        dt.load(path, max_bytes=799)
    dt.save(path, {"a": np.ones(50), "b": np.ones(50)})
    with pytest.raises(FileError, match=r"must have at most 799 bytes of tensors, got 800"):
        dt.load(path, max_bytes=799)
    assert dt.load(path, max_bytes=800).keys() == {"a", "b"}
