"""Recurrent cells and layers: against torch, packed against padded, and every style alike."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.errors import ArgumentError, DTypeError, ShapeError, StaticValueError, UnknownNameError

KINDS = ["RNN", "LSTM", "GRU"]
RELATIVE = {"float64": 1e-10, "float32": 1e-5}
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "two layers": {"num_layers": 2},
    "both ways": {"bidirectional": True},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # arrays this small gain nothing from threads
    return torch


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def leaves(tree):
    """Arrays of nested tuples, from left to right."""
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [] if tree is None else [tree]


def assert_close(found, expected, relative):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * np.abs(theirs).max())


def cotangent_of(array):
    return np.cos(np.arange(array.size).reshape(array.shape)).astype(array.dtype)


def ours_with_gradients(module, *inputs):
    """Results, and gradients with respect to the inputs and all parameters."""
    given = [
        tuple(dt.tensor(a, requires_grad=True) for a in x) if isinstance(x, tuple)
        else dt.tensor(x, requires_grad=True)
        for x in inputs
    ]  # fmt: skip
    results = leaves(module(*given))
    wanted = [*leaves(tuple(given)), *module.parameters()]
    cotangents = [dt.tensor(cotangent_of(r.array)) for r in results]
    gradients = dt.grad(results, wanted, cotangents)
    return [r.array for r in results], [g.array for g in gradients]


def theirs_with_gradients(torch, module, *inputs):
    given = [
        tuple(torch.tensor(a, requires_grad=True) for a in x) if isinstance(x, tuple)
        else torch.tensor(x, requires_grad=True)
        for x in inputs
    ]  # fmt: skip
    results = leaves(module(*given))
    wanted = [*leaves(tuple(given)), *module.parameters()]
    cotangents = [torch.tensor(cotangent_of(r.detach().numpy())) for r in results]
    gradients = torch.autograd.grad(results, wanted, cotangents)
    return [r.detach().numpy() for r in results], [g.numpy() for g in gradients]


def twins(torch, kind, dtype, *sizes, **options):
    """A module of torch, and ours with its weights."""
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(*sizes, **options, dtype=getattr(torch, dtype))
    ours = getattr(nn, kind)(*sizes, **options).to(dtype=dtype)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    return ours, theirs


def state_for(kind, rng, shape, dtype):
    parts = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]
    return tuple(parts) if kind.startswith("LSTM") else parts[0]


# -- against torch ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("batch", [(4,), ()])
@pytest.mark.parametrize(
    "kind, options",
    [*((k, o) for k in KINDS for o in ({}, {"bias": False})), ("RNN", {"nonlinearity": "relu"})],
)
def test_cells_agree_with_torch(torch, rng, kind, options, batch, dtype):
    ours, theirs = twins(torch, f"{kind}Cell", dtype, 3, 5, **options)
    x = rng.standard_normal((*batch, 3)).astype(dtype)
    state = state_for(kind, rng, (*batch, 5), dtype)
    for inputs in ((x,), (x, state)):
        found = ours_with_gradients(ours, *inputs)
        expected = theirs_with_gradients(torch, theirs, *inputs)
        for a, b in zip(found, expected):
            assert_close(a, b, RELATIVE[dtype])


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_agree_with_torch(torch, rng, kind, name, dtype):
    options = OPTIONS[name]
    ours, theirs = twins(torch, kind, dtype, 3, 5, **options)
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    for batch in ((2,), ()):
        x = rng.standard_normal((7, *batch, 3) if name != "all" else (*batch, 7, 3)).astype(dtype)
        state = state_for(kind, rng, (count, *batch, 5), dtype)
        for inputs in ((x,), (x, state)):
            found = ours_with_gradients(ours, *inputs)
            expected = theirs_with_gradients(torch, theirs, *inputs)
            for a, b in zip(found, expected):
                assert_close(a, b, RELATIVE[dtype])


def test_a_layer_of_rectifiers_agrees_with_torch(torch, rng):
    ours, theirs = twins(torch, "RNN", "float64", 3, 4, nonlinearity="relu")
    x = rng.standard_normal((6, 2, 3))
    found, expected = ours_with_gradients(ours, x), theirs_with_gradients(torch, theirs, x)
    for a, b in zip(found, expected):
        assert_close(a, b, 1e-10)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packing_agrees_with_torch(torch, rng, enforce_sorted, batch_first):
    lengths = [6, 4, 1] if enforce_sorted else [4, 6, 1]
    x = rng.standard_normal((3, 7, 2) if batch_first else (7, 3, 2))
    rnn = torch.nn.utils.rnn
    theirs = rnn.pack_padded_sequence(torch.tensor(x), lengths, batch_first, enforce_sorted)
    ours = nn.pack_padded_sequence(dt.tensor(x), lengths, batch_first, enforce_sorted)
    assert ours.data.tolist() == theirs.data.tolist()
    assert list(ours.batch_sizes) == theirs.batch_sizes.tolist()
    for a, b in zip(ours[2:], theirs[2:]):
        assert (a is b is None) or a.tolist() == b.tolist()
    for total in (None, 9):
        found = nn.pad_packed_sequence(ours, batch_first, -1.0, total)
        expected = rnn.pad_packed_sequence(theirs, batch_first, -1.0, total)
        assert [a.tolist() for a in found] == [b.tolist() for b in expected]
    pieces = [x[i, :n] if batch_first else x[:n, i] for i, n in enumerate(lengths)]
    again = nn.pack_sequence([dt.tensor(p) for p in pieces], enforce_sorted)
    assert again.data.tolist() == ours.data.tolist() and again.batch_sizes == ours.batch_sizes


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_packed_layers_agree_with_torch(torch, rng, kind, name):
    options = OPTIONS[name]
    ours, theirs = twins(torch, kind, "float64", 3, 5, **options)
    lengths = [2, 7, 2, 5]
    x = rng.standard_normal((4, 7, 3))
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    state = state_for(kind, rng, (count, 4, 5), "float64")
    rnn = torch.nn.utils.rnn

    def our_call(x, *state):
        packed = nn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        y, last = ours(packed, *state)
        return nn.pad_packed_sequence(y, True)[0], last

    def their_call(x, *state):
        packed = rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        y, last = theirs(packed, *state)
        return rnn.pad_packed_sequence(y, True)[0], last

    our_call.parameters, their_call.parameters = ours.parameters, theirs.parameters
    for inputs in ((x,), (x, state)):
        found = ours_with_gradients(our_call, *inputs)
        expected = theirs_with_gradients(torch, their_call, *inputs)
        for a, b in zip(found, expected):
            assert_close(a, b, 1e-10)


# -- packed and alone ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_sequence_is_as_it_would_be_alone(rng, kind):
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True).double()
    pieces = [dt.tensor(rng.standard_normal((n, 3))) for n in (3, 6, 1, 3)]
    y, last = layer(nn.pack_sequence(pieces, enforce_sorted=False))
    padded, lengths = nn.pad_packed_sequence(y)
    assert lengths.tolist() == [3, 6, 1, 3]
    for i, piece in enumerate(pieces):
        alone, alone_last = layer(piece)
        found = [padded[: len(piece), i], *(part[:, i] for part in leaves((last,)))]
        for a, b in zip(found, [alone, *leaves((alone_last,))]):
            np.testing.assert_allclose(a.array, b.array, rtol=1e-12, atol=1e-14)
        assert not padded[len(piece) :, i].array.any()


# -- styles ----------------------------------------------------------------------------------


def run_eager(module, x, packing):
    given = dt.tensor(x, requires_grad=True)
    y, last = module(packing(given))
    results = [y.data if packing is not plain else y, *leaves((last,))]
    loss = sum((r * r).sum() for r in results)
    gradients = dt.grad(loss, [given, *module.parameters()])
    return [np.array(t.detach().numpy()) for t in (*results, *gradients)]


def run_static(module, x, packing, batch, **options):
    with dt.static.Graph() as g:
        given = g.placeholder("x", (x.shape[0], batch, x.shape[2]))
        y, last = module(packing(given))
        results = [y.data if packing is not plain else y, *leaves((last,))]
        loss = sum((r * r).sum() for r in results)
        gradients = dt.grad(loss, [given, *module.parameters()])
    return g.compile([*results, *gradients], **options).run({"x": x})


def run_hybrid(module, x, packing, **options):
    @dt.compile(**options)
    def forward(given):
        y, last = module(packing(given))
        return [y.data if packing is not plain else y, *leaves((last,))]

    given = dt.tensor(x, requires_grad=True)
    results = forward(given)
    gradients = dt.grad(sum((r * r).sum() for r in results), [given, *module.parameters()])
    return [np.array(t.detach().numpy()) for t in (*results, *gradients)]


def plain(x):
    return x


def packed(x):
    return nn.pack_padded_sequence(x, (2, 5, 3), enforce_sorted=False)


@pytest.mark.parametrize("packing", [plain, packed])
@pytest.mark.parametrize("kind", KINDS)
def test_every_style_gives_the_same_bits(rng, kind, packing):
    module = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True)
    x = rng.standard_normal((5, 3, 3)).astype("float32")
    expected = run_eager(module, x, packing)
    batch = "batch" if packing is plain else 3
    for found in (
        run_static(module, x, packing, batch),
        run_static(module, x, packing, 3, executor="reference", passes=()),
        run_hybrid(module, x, packing),
        run_hybrid(module, x, packing, executor="reference", passes=()),
    ):
        assert [a.tobytes() for a in found] == [b.tobytes() for b in expected]


def test_packed_sequences_go_into_compiled_functions_and_come_out(rng):
    layer = nn.GRU(3, 4)
    compiled = dt.compile(layer)
    for lengths in ([2, 5, 3], [3, 2, 5]):
        pieces = [dt.tensor(rng.standard_normal((n, 3)).astype("float32")) for n in lengths]
        inside = nn.pack_sequence(pieces, enforce_sorted=False)
        (found, last), (expected, expected_last) = compiled(inside), layer(inside)
        assert isinstance(found, nn.PackedSequence) and found.batch_sizes == expected.batch_sizes
        assert found.data.tolist() == expected.data.tolist()
        assert last.tolist() == expected_last.tolist()
        assert nn.pad_packed_sequence(found)[1].tolist() == lengths
    assert "1 traces" in repr(compiled)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_mapped_over_a_batch_of_their_own(rng, kind):
    layer = getattr(nn, kind)(3, 4, bidirectional=True).double()
    x = dt.tensor(rng.standard_normal((5, 6, 2, 3)))
    found = dt.vmap(lambda one: layer(one)[0])(x)
    for i in range(5):
        np.testing.assert_allclose(found[i].array, layer(x[i])[0].array, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_draws_alike_in_every_style(rng, kind):
    layer = getattr(nn, kind)(3, 4, num_layers=2, dropout=0.5)
    x = rng.standard_normal((5, 2, 3)).astype("float32")

    def drawn(call):
        dt.manual_seed(7)
        return [call(dt.tensor(x))[0].detach().numpy() for _ in range(2)]

    first, second = drawn(layer)
    assert (first != second).any()
    for a, b in zip(drawn(dt.compile(layer)), (first, second)):
        assert np.array_equal(a, b)
    layer.eval()
    first, second = drawn(layer)
    assert (first == second).all()


def test_one_trace_serves_every_set_of_weights(rng):
    layer = nn.LSTM(3, 4)
    compiled = dt.compile(layer)
    x = dt.tensor(rng.standard_normal((5, 2, 3)).astype("float32"))
    compiled(x)
    layer.load_state_dict(nn.LSTM(3, 4).state_dict())
    assert np.array_equal(compiled(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    assert "1 traces" in repr(compiled)


def test_gradients_of_gradients_flow_through_time(torch, rng):
    ours, theirs = twins(torch, "GRU", "float64", 2, 3)
    x = rng.standard_normal((4, 2, 2))
    given = dt.tensor(x, requires_grad=True)
    (g,) = dt.grad((ours(given)[0] ** 2).sum(), given, create_graph=True)
    found = dt.grad((g * g).sum(), [given, *ours.parameters()])
    other = torch.tensor(x, requires_grad=True)
    (g,) = torch.autograd.grad((theirs(other)[0] ** 2).sum(), other, create_graph=True)
    expected = torch.autograd.grad((g * g).sum(), [other, *theirs.parameters()])
    assert_close([f.array for f in found], [e.numpy() for e in expected], 1e-10)


# -- starting values and text ----------------------------------------------------------------


def test_weights_start_uniform_and_from_their_generator():
    a, b = (nn.LSTM(100, 25, bidirectional=True, generator=dt.Generator(3)) for _ in range(2))
    for (name, p), (_, q) in zip(a.named_parameters(), b.named_parameters()):
        assert p.tolist() == q.tolist(), name
        assert 0.19 < np.abs(p.array).max() <= 0.2, name
    assert a.weight_hh_l0.tolist() != a.weight_hh_l0_reverse.tolist()


def test_layers_show_their_options():
    assert repr(nn.GRU(3, 4)) == "GRU(3, 4)"
    assert repr(nn.RNN(3, 4, num_layers=2, dropout=0.1)) == "RNN(3, 4, num_layers=2, dropout=0.1)"
    assert repr(nn.LSTMCell(3, 4, bias=False)) == "LSTMCell(3, 4, bias=False)"


# -- what they refuse ------------------------------------------------------------------------

X = np.ones((5, 2, 3), np.float32)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: nn.LSTM(3, 4)(X[..., :2]), ShapeError, r"LSTM: must have shape \(time, batch, 3"),
        (lambda: nn.GRU(3, 4)(X[0, 0]), ShapeError, r"GRU: must have shape .* got \(3,\)"),
        (lambda: nn.GRU(3, 4)(X[:0]), ShapeError, "GRU: must have at least one step"),
        (lambda: nn.GRU(3, 4)(X, dt.zeros((1, 1, 4))), ShapeError,
         r"GRU: hx must have shape \(1, 2, 4\), got \(1, 1, 4\)"),
        (lambda: nn.RNN(3, 4)(X, dt.zeros((1, 2, 4), dtype="float64")), DTypeError,
         "RNN: hx must have dtype float32, got float64"),
        (lambda: nn.LSTM(3, 4)(X, dt.zeros((1, 2, 4))), DTypeError, "LSTM: hx must be a pair"),
        (lambda: nn.LSTMCell(3, 4)(X[0], [X]), DTypeError, "LSTMCell: hx must be a pair"),
        (lambda: nn.GRUCell(3, 4)(X), ShapeError, r"GRUCell: must have shape \(3,\) or"),
        (lambda: nn.RNN(0, 4), ArgumentError, "RNN: input_size must be a whole number above 0"),
        (lambda: nn.LSTM(3, 4, num_layers=1.5), ArgumentError, "LSTM: num_layers must be"),
        (lambda: nn.GRU(3, 4, dropout=1.0), ArgumentError, "GRU: dropout must be in"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), UnknownNameError, "nonlinearity: must be one"),
        (lambda: nn.GRU(3, 4)(nn.PackedSequence(X[0], (2, 2))), ShapeError,
         "GRU: batch_sizes must descend and sum"),
        (lambda: nn.GRU(3, 4)(nn.PackedSequence(X[0][:, :2], (2,))), ShapeError,
         "GRU: packed rows must have 3 features"),
        (lambda: nn.pack_padded_sequence(X, [5, 6]), ArgumentError, r"lengths must be in 1\.\.5"),
        (lambda: nn.pack_padded_sequence(X, [5, 0]), ArgumentError, r"lengths must be in 1\.\.5"),
        (lambda: nn.pack_padded_sequence(X, [3, 5]), ArgumentError,
         r"descending order, got \[3, 5\]; pass enforce_sorted=False"),
        (lambda: nn.pack_padded_sequence(X, [5]), ShapeError, "one length per sequence"),
        (lambda: nn.pack_padded_sequence(X, [5, 1.5]), DTypeError, "lengths must be whole numbers"),
        (lambda: nn.pack_padded_sequence(X[0, 0], [3]), ShapeError, "axes of time and batch"),
        (lambda: nn.pack_sequence([]), ShapeError, "at least one sequence is needed"),
        (lambda: nn.pack_sequence([X, X[:0]]), ArgumentError, "lengths must be at least 1"),
        (lambda: nn.pack_sequence([np.array(1.0)]), ShapeError, "must have an axis of time"),
        (lambda: nn.pad_packed_sequence(X), DTypeError, "must be a PackedSequence, got ndarray"),
        (lambda: nn.pad_packed_sequence(nn.pack_sequence([X]), total_length=4), ArgumentError,
         "total_length must be at least 5, got 4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_runs(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_lengths_must_be_known_when_a_graph_is_built():
    with dt.static.Graph() as g:
        x, lengths = g.placeholder("x", (5, 2, 3)), g.placeholder("lengths", (2,), "int64")
        with pytest.raises(StaticValueError, match="has no number until its graph runs"):
            nn.pack_padded_sequence(x, lengths)
