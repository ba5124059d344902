"""Optimisers: against torch's, in every style, by groups, resumed, and gradients clipped."""

import doctest
import importlib
import itertools
import pkgutil

import numpy as np
import pytest

import diptych as dt
from diptych import nn, optim
from diptych.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    ShapeError,
    TapeError,
    UnknownNameError,
)

# Name, options, and torch's where they are others.
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "betas": (0.0, 0.0)}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3}),
    ("Adagrad", {"lr": 0.1}),
    (
        "Adagrad",
        {
            "lr": 0.1, "lr_decay": 0.2, "eps": 1e-3, "initial_accumulator_value": 0.5,
            "weight_decay": 0.1,
        },
    ),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.01, "centered": True}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.5, "centered": True, "eps": 1e-4}),
]  # fmt: skip
NAMED = [pytest.param(*case, id=f"{case[0]}-{i}") for i, case in enumerate(CASES)]
SHAPES = [(4, 3), (3,), ()]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def parameters(dtypes=("float64",) * 3, seed=0):
    rng = np.random.default_rng(seed)
    return [
        nn.Parameter(np.asarray(rng.standard_normal(s)).astype(d)) for s, d in zip(SHAPES, dtypes)
    ]


def twins(torch, own):
    return [torch.tensor(p.storage.array.copy(), requires_grad=True) for p in own]


def gradients(steps, dtype="float64", seed=1, present=lambda step, position: True):
    """Per step one array per parameter; None where it is not present."""
    rng = np.random.default_rng(seed)
    drawn = [
        [np.asarray(rng.standard_normal(s)).astype(dtype) for s in SHAPES] for _ in range(steps)
    ]
    return [
        [g if present(step, i) else None for i, g in enumerate(row)]
        for step, row in enumerate(drawn)
    ]


def apart(own, others):
    """Largest difference as a part of the largest number."""
    pairs = [(p.storage.array, o.detach().numpy()) for p, o in zip(own, others)]
    return max(np.abs(a - b).max() for a, b in pairs) / max(np.abs(b).max() for _, b in pairs)


def follow(optimizer, others, rows, torch):
    """The same steps by both."""
    for row in rows:
        optimizer.apply([None if g is None else dt.tensor(g) for g in row])
        own = [p for group in others.param_groups for p in group["params"]]
        for p, g in zip(own, row):
            p.grad = None if g is None else torch.tensor(g)
        others.step()


# -- against torch ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("name, options", NAMED)
def test_steps_are_torchs(torch, name, options, dtype, tolerance):
    own = parameters([dtype] * 3)
    others = twins(torch, own)
    reference = getattr(torch.optim, name)(others, **options)
    follow(getattr(optim, name)(own, **options), reference, gradients(30, dtype), torch)
    assert apart(own, others) <= tolerance


@pytest.mark.parametrize("name, options", NAMED)
def test_a_parameter_that_waits_is_torchs(torch, name, options):
    own = parameters()
    others = twins(torch, own)
    # The first is there from the beginning, the second later, the third now and then.
    rows = gradients(30, present=lambda step, i: (True, step >= 10, step % 3 == 2)[i])
    reference = getattr(torch.optim, name)(others, **options)
    follow(getattr(optim, name)(own, **options), reference, rows, torch)
    assert apart(own, others) <= 1e-10


@pytest.mark.parametrize("name, options", NAMED)
def test_groups_are_torchs(torch, name, options):
    own = parameters()
    others = twins(torch, own)

    def made(parts, kind):
        groups = [{"params": parts[:1], "lr": 0.02}, {"params": parts[1], "weight_decay": 0.2}]
        return kind(groups, **options)

    optimizer, reference = made(own, getattr(optim, name)), made(others, getattr(torch.optim, name))
    rows = gradients(20)
    follow(optimizer, reference, [row[:2] for row in rows[:10]], torch)
    optimizer.add_param_group({"params": own[2:], "lr": 0.3})
    reference.add_param_group({"params": others[2:], "lr": 0.3})
    follow(optimizer, reference, rows[10:], torch)
    assert apart(own, others) <= 1e-10
    assert [g["lr"] for g in optimizer.param_groups] == [g["lr"] for g in reference.param_groups]


@pytest.mark.parametrize("name, options", NAMED)
def test_training_a_model_is_torchs(torch, name, options):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 4))
    own = parameters()
    others = twins(torch, own)
    optimizer = getattr(optim, name)(own, **options)
    reference = getattr(torch.optim, name)(others, **options)
    for _ in range(15):
        optimizer.zero_grad()
        w, b, s = own
        error = dt.tanh(dt.matmul(dt.tensor(x) + b, w.T)) * s - dt.tensor(y)
        (error * error).mean().backward()
        optimizer.step()
        reference.zero_grad()
        w, b, s = others
        error = torch.tanh((torch.tensor(x) + b) @ w.T) * s - torch.tensor(y)
        (error * error).mean().backward()
        reference.step()
    assert apart(own, others) <= 1e-10


# -- every style -----------------------------------------------------------------------------

ROWS = np.random.default_rng(3).standard_normal((20, 6, 3)).astype(np.float32)


def loss_of(own, x):
    w, b, s = own
    error = dt.tanh(dt.matmul(x + b, w.T)) * dt.astype(s, "float32")
    return (error * error).sum() + dt.astype(s * s, "float32")


def train(style, own, optimizer, rows):
    if style == "eager":
        for x in rows:
            optimizer.zero_grad()
            loss_of(own, dt.tensor(x)).backward()
            optimizer.step()
    elif style in ("planned", "reference"):
        with dt.static.Graph() as g:
            step = optimizer.minimize(loss_of(own, g.placeholder("x", (6, 3))))
        program = g.compile(step, executor=style)
        for x in rows:
            program.run({"x": x})
    elif style == "hybrid":
        compiled = dt.compile(lambda x: loss_of(own, x))
        for x in rows:
            optimizer.minimize(compiled(dt.tensor(x)))
    else:

        @dt.compile
        def step(x):
            optimizer.minimize(loss_of(own, x))

        for x in rows:
            step(x)


def bits(own, optimizer):
    arrays = {f"parameter {i}": p.storage.array for i, p in enumerate(own)}
    return {k: v.tobytes() for k, v in {**arrays, **optimizer.state_dict()}.items()}


@pytest.mark.parametrize("name, options", NAMED)
def test_twenty_steps_in_every_style_give_the_same_bits(name, options):
    def run(*styles):
        own = parameters(("float32", "float32", "float64"))
        groups = [{"params": own[:2]}, {"params": own[2], "lr": 0.02}]
        optimizer = getattr(optim, name)(groups, **options)
        schedule = optim.ExponentialLR(optimizer, 0.9)
        for style, rows in zip(styles, np.split(ROWS, len(styles))):
            # The rate changes between the runs of a style, and within none.
            train(style, own, optimizer, rows)
            schedule.step()
        return bits(own, optimizer)

    expected = run("eager")
    for style in ("planned", "reference", "hybrid", "whole step"):
        assert run(style) == expected, style
    four = run(*["eager"] * 4)
    assert run("planned", "eager", "whole step", "hybrid") == four != expected


@pytest.mark.parametrize("name, options", NAMED)
def test_plain_arrays_and_frozen_parameters_take_the_same_steps(name, options):
    rows = gradients(8, present=lambda step, i: i != 1)

    def run(kind):
        own = parameters()
        optimizer = getattr(optim, name)(own, **options)
        if kind == "static":
            with dt.static.Graph() as g:
                feeds = [None if i == 1 else g.placeholder(str(i), s, "float64")
                         for i, s in enumerate(SHAPES)]  # fmt: skip
                program = g.compile(optimizer.apply(feeds))
        for row in rows:
            if kind == "static":
                program.run({str(i): g for i, g in enumerate(row) if g is not None})
            else:
                optimizer.apply([g if g is None or kind == "plain" else dt.tensor(g) for g in row])
        return bits(own, optimizer)

    assert run("plain") == run("eager") == run("static")


@pytest.mark.parametrize("name, options", NAMED)
def test_a_resumed_optimizer_goes_on_bit_for_bit(name, options):
    rows = gradients(20, present=lambda step, i: i != 1 or step % 2)

    def make(own):
        groups = [{"params": own[:1]}, {"params": own[1:], "lr": 0.2}]
        return getattr(optim, name)(groups, **options)

    own = parameters()
    optimizer = make(own)
    for row in rows[:10]:
        optimizer.apply([None if g is None else dt.tensor(g) for g in row])
    optimizer.param_groups[0]["lr"] = 0.03
    again = [nn.Parameter(p.storage.array.copy()) for p in own]
    resumed = make(again)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.param_groups[0]["lr"] == 0.03
    for row in rows[10:]:
        for each in (optimizer, resumed):
            each.apply([None if g is None else dt.tensor(g) for g in row])
    assert bits(again, resumed) == bits(own, optimizer)


# -- groups and state ------------------------------------------------------------------------


def test_a_group_reads_like_the_dict_it_was_made_from():
    a, b, c = parameters()
    optimizer = optim.SGD(
        [{"params": (p for p in [a, b])}, {"params": c, "lr": 0.5}], lr=0.25, momentum=0.5
    )
    first, second = optimizer.param_groups
    assert (
        first["params"] == [a, b] and second["params"] == [c] and optimizer.parameters == [a, b, c]
    )
    assert dict(second, params=None) == {
        "params": None, "lr": 0.5, "momentum": 0.5, "nesterov": False, "weight_decay": 0.0
    }  # fmt: skip
    assert len(second) == 5 and "lr=0.5, momentum=0.5" in repr(second) in repr(optimizer)
    assert list(optimizer.state_dict()) == [
        "lr", "velocity.0", "velocity.1", "lr.1", "velocity.2"
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match=r"lr: groups must share it.*got \[0.25, 0.5\]"):
        optimizer.lr  # noqa: B018
    optimizer.lr = 0.125
    assert optimizer.lr == first["lr"] == second["lr"] == 0.125
    second["lr"] = 1
    assert second["lr"] == 1.0 == second.initial_lr and first["lr"] == 0.125
    with pytest.raises(ArgumentError, match="param_groups: lr alone can be assigned, got 'mom"):
        first["momentum"] = 0.1
    with pytest.raises(UnknownNameError, match=r"param_groups: must be one of .* got 'beta'"):
        first["beta"]
    for wrong in (-1, np.nan, "fast"):
        with pytest.raises(ArgumentError, match="optimizer: lr must be"):
            optimizer.lr = wrong
        assert first["lr"] == 0.125


def test_what_a_group_must_be():
    a, b, c = parameters()
    optimizer = optim.Adam([a, b])
    before = optimizer.state_dict().keys()
    for wrong, error, text in (
        ({"params": [c], "momentum": 0.9}, UnknownNameError, "got 'momentum'"),
        ({"param": [c]}, UnknownNameError, r"a group is a dict with 'params', got \['param'\]"),
        ([c], UnknownNameError, "a group is a dict with 'params', got list"),
        ({"params": []}, DTypeError, "needs a list of parameters, got none"),
        ({"params": [dt.tensor([1.0])]}, DTypeError, r"needs a list of parameters, got \['Tensor'"),
        ({"params": 3}, DTypeError, r"needs a list of parameters, got \['int'\]"),
        ({"params": [c, a]}, ArgumentError, "parameters must differ, got one twice"),
        ({"params": [c, c]}, ArgumentError, "parameters must differ, got one twice"),
        ({"params": [c], "lr": -1}, ArgumentError, "lr must be at least 0, got -1"),
        ({"params": [c], "betas": 0.9}, ArgumentError, "betas must be two numbers, got 0.9"),
    ):
        with pytest.raises(error, match=f"optimizer: .*{text}"):
            optimizer.add_param_group(wrong)
        assert optimizer.parameters == [a, b] and len(optimizer.param_groups) == 1
        assert optimizer.state_dict().keys() == before
    for wrong in (a, {"params": [a]}, 3):
        with pytest.raises(DTypeError, match="optimizer: needs a list of parameters, got"):
            optim.SGD(wrong)
    with pytest.raises(DTypeError, match=r"optimizer: needs a list of parameters, got \['Tens"):
        optim.SGD([{"params": [a]}, b])


def test_a_group_lives_on_one_device(monkeypatch):
    a, b, _ = parameters()
    monkeypatch.setattr(type(a), "device", property(lambda p: dt.Device("cpu", int(p is b))))
    with pytest.raises(DeviceError, match="must be on one device, got cpu:0 and cpu:1"):
        optim.SGD([a, b])


@pytest.mark.parametrize(
    "name, options, text",
    [
        ("SGD", {"lr": np.inf}, "lr must be finite and at least 0, got inf"),
        ("SGD", {"lr": True}, "lr must be at least 0, got True"),
        ("SGD", {"lr": "0.1"}, "lr must be at least 0, got '0.1'"),
        ("SGD", {"momentum": 1.0}, "momentum must be in 0 <= momentum < 1, got 1.0"),
        ("SGD", {"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum above 0, got 0.0"),
        ("SGD", {"nesterov": 1, "momentum": 0.9}, "nesterov must be True or False, got 1"),
        ("Adam", {"betas": (0.9, 1.0)}, "betas must be in 0 <= beta < 1, got 1.0"),
        ("Adam", {"betas": (0.9,)}, r"betas must be two numbers, got \(0.9,\)"),
        ("Adam", {"eps": 0}, "eps must be above 0, got 0"),
        ("Adam", {"weight_decay": np.nan}, "weight_decay must be finite and at least 0, got nan"),
        ("AdamW", {"weight_decay": -1}, "weight_decay must be at least 0, got -1"),
        ("Adagrad", {"eps": -1e-3}, "eps must be above 0, got -0.001"),
        ("Adagrad", {"lr_decay": -1}, "lr_decay must be at least 0, got -1"),
        ("Adagrad", {"initial_accumulator_value": -1}, "value must be at least 0, got -1"),
        ("RMSprop", {"alpha": 1}, "alpha must be in 0 <= alpha < 1, got 1"),
        ("RMSprop", {"centered": "yes"}, "centered must be True or False, got 'yes'"),
        ("RMSprop", {"momentum": -0.1}, "momentum must be in 0 <= momentum < 1, got -0.1"),
        ("LBFGS", {"max_iter": 0}, "max_iter must be a whole number, at least 1, got 0"),
        ("LBFGS", {"max_eval": 1.5}, "max_eval must be a whole number, at least 1, got 1.5"),
        ("LBFGS", {"history_size": 0}, "history_size must be a whole number, at least 1"),
        ("LBFGS", {"tolerance_grad": -1}, "tolerance_grad must be at least 0, got -1"),
        ("LBFGS", {"line_search_fn": "armijo"}, "must be None or 'strong_wolfe', got 'armijo'"),
    ],
)
def test_bad_hyperparameters(name, options, text):
    with pytest.raises(ArgumentError, match=f"optimizer: .*{text}"):
        getattr(optim, name)(parameters(), **options)


def test_a_state_that_does_not_fit_changes_nothing():
    own = parameters()
    optimizer = optim.Adam(own)
    optimizer.apply([dt.tensor(g) for g in gradients(1)[0]])
    before, good = bits(own, optimizer), optimizer.state_dict()
    wrong = [
        ({k: v for k, v in good.items() if k != "steps"}, UnknownNameError, r"missing \['steps'\]"),
        ({**good, "velocity.0": good["first.0"]}, UnknownNameError, r"unexpected \['velocity.0'\]"),
        ({**good, "second.1": np.zeros(4)}, ShapeError, "'second.1'.*keep the shape"),
        ({**good, "second.2": np.array(True)}, DTypeError, "'second.2'.*keep the kind"),
    ]
    for state, error, text in wrong:
        with pytest.raises(error, match=f"load_state_dict: .*{text}"):
            optimizer.load_state_dict({k: v * 2 if k == "lr" else v for k, v in state.items()})
        assert bits(own, optimizer) == before


def test_gradients_must_have_the_shapes_of_their_parameters():
    own = parameters()
    optimizer = optim.SGD(own, momentum=0.9)
    before = bits(own, optimizer)
    right = [dt.tensor(g) for g in gradients(1)[0]]
    for position, wrong in ((0, dt.zeros((3,))), (1, dt.zeros((1,))), (2, dt.zeros((1,)))):
        given = [wrong if i == position else g for i, g in enumerate(right)]
        with pytest.raises(ShapeError, match="apply: a gradient must have the shape of its"):
            optimizer.apply(given)
        with dt.static.Graph() as g, pytest.raises(ShapeError, match="apply: a gradient must"):
            optimizer.apply(
                [g.placeholder(str(i), x.shape, "float64") for i, x in enumerate(given)]
            )
    with pytest.raises(
        DTypeError, match="apply: gradients must be tensors, values or arrays, got f"
    ):
        optimizer.apply([*right[:2], 0.5])
    assert bits(own, optimizer) == before


def test_plain_gradients_in_a_graph_are_constants_of_it():
    [w] = parameters()[:1]
    before = w.storage.numpy().copy()
    with dt.static.Graph() as g:
        step = optim.SGD([w], lr=0.5).apply([np.ones((4, 3))])
    program = g.compile(step)
    assert (w.storage.numpy() == before).all()
    program.run({})
    program.run({})
    assert (w.storage.numpy() == before - 0.5 - 0.5).all()


def test_a_subclass_must_say_how_it_updates():
    [w] = parameters()[:1]
    with pytest.raises(
        NotImplementedError, match="Optimizer: must define rule or update, got none"
    ):
        optim.Optimizer([w], {"lr": 0.1}).apply([dt.zeros((4, 3))])


# -- clipping --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_is_torchs(torch, dtype, tolerance, limit):
    own = parameters([dtype] * 3)
    others = twins(torch, own)
    utilities = torch.nn.utils
    for by_norm in (True, False):
        for p, o, g in zip(own, others, gradients(1, dtype)[0]):
            p.grad, o.grad = dt.tensor(g), torch.tensor(g)
        own[1].grad = others[1].grad = None
        held = own[0].grad
        if by_norm:
            norm = optim.clip_grad_norm_(own, limit)
            expected = utilities.clip_grad_norm_(others, limit).item()
            assert norm.item() == pytest.approx(expected, rel=tolerance)
        else:
            assert optim.clip_grad_value_(iter(own), limit) is None
            utilities.clip_grad_value_(others, limit)
        assert own[0].grad is held and own[1].grad is None
        for p, o in zip(own[::2], others[::2]):
            np.testing.assert_allclose(p.grad.numpy(), o.grad.numpy(), rtol=tolerance)


def test_clipping_in_a_graph_gives_the_bits_of_eager_code():
    def clipped(found):
        scaled, norm = optim.clip_by_global_norm(found, 0.5)
        return optim.clip_by_value(scaled, 0.125), norm

    def eager(own, optimizer, x):
        for p, g in zip(own, dt.grad(loss_of(own, dt.tensor(x)), own)):
            p.grad = g
        norm = optim.clip_grad_norm_(own, 0.5)
        optim.clip_grad_value_(own, 0.125)
        optimizer.step()
        return norm.item()

    def run(style):
        own = parameters(("float32", "float16", "float64"))
        optimizer = optim.SGD(own, lr=0.1, momentum=0.9)
        if style == "eager":
            return [eager(own, optimizer, x) for x in ROWS], bits(own, optimizer)
        with dt.static.Graph() as g:
            loss = loss_of(own, g.placeholder("x", (6, 3)))
            found, norm = clipped(g.grad(loss, own))
            step = optimizer.apply(found)
        program = g.compile([norm, step])
        return [program.run({"x": x})[0].item() for x in ROWS], bits(own, optimizer)

    norms, state = run("static")
    assert (norms, state) == run("eager")
    assert min(norms) > 0.5


def test_half_precision_gradients_are_summed_in_single():
    large = np.full(100, 300.0, np.float16)
    [clipped], norm = optim.clip_by_global_norm([dt.tensor(large)], 3.0)
    assert norm.dtype == np.float32 and norm.item() == 3000.0
    assert clipped.dtype == np.float16 and clipped.numpy()[0] == np.float16(0.3)


def test_what_clipping_refuses():
    w = nn.Parameter([1.0])
    for clip in (optim.clip_grad_norm_, optim.clip_grad_value_):
        with pytest.raises(DTypeError, match=f"{clip.__name__}: takes parameters, got Tensor"):
            clip([dt.tensor([1.0])], 1.0)
        with dt.static.Graph(), pytest.raises(TapeError, match=rf"{clip.__name__}: a graph has no"):
            clip([w], 1.0)
        w.grad = dt.tensor([2.0])
        for wrong in (-1.0, np.nan, "1"):
            with pytest.raises(ArgumentError, match=r"must be .*(above|at least) 0, got"):
                clip(w, wrong)
        assert w.grad.tolist() == [2.0]
        w.grad = None
    with pytest.raises(DTypeError, match="clip_by_global_norm: needs a gradient at least"):
        optim.clip_grad_norm_([w], 1.0)
    assert optim.clip_grad_value_([w], 1.0) is None


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(optim.__path__)])
def test_the_examples_in_docstrings_run(module):
    found = importlib.import_module(f"diptych.optim.{module}")
    assert not doctest.testmod(found, extraglobs={"dt": dt, "np": np}).failed


@pytest.mark.cuda
@pytest.mark.parametrize("name, options", NAMED)
def test_steps_on_a_cuda_device_are_those_on_the_cpu(name, options):
    rows = gradients(5, present=lambda step, i: i != 1 or step % 2)
    found = []
    for device in ("cpu", "cuda"):
        own = parameters()
        optimizer = getattr(optim, name)(own, **options).to(device)
        for row in rows:
            optimizer.apply([None if g is None else dt.tensor(g, device=device) for g in row])
        found.append([p.storage.numpy() for p in own])
    for a, b in itertools.chain(zip(*found)):
        np.testing.assert_allclose(a, b, rtol=1e-12)
