"""Layers: the same bits in every style, torch's numbers with torch's weights, and their errors."""

import warnings
from functools import partial

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.errors import ArgumentError, DTypeError, ShapeError
from diptych.nn import functional as F

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((5, 6, 2, 6, 6)).astype("float32")
ROWS = RNG.integers(0, 7, (5, 6, 3))
LABELS = RNG.integers(0, 3, (5, 6))


def draw(*shape):
    return RNG.standard_normal(shape).astype("float32")


# -- training in every style -------------------------------------------------------------------


def convolutional():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same", bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(4, momentum=None),
        nn.SiLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.GroupNorm(2, 4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(4, affine=False),
        nn.Linear(4, 3),
    )


def embedded():
    return nn.Sequential(
        nn.Embedding(7, 4, padding_idx=0),
        nn.LayerNorm(4),
        nn.GELU(),
        nn.BatchNorm1d(3),
        nn.Flatten(),
        nn.RMSNorm(12),
        nn.ELU(),
        nn.Linear(12, 3),
    )


MODELS = {
    "images": (convolutional, IMAGES, ("batch", 2, 6, 6)),
    "rows": (embedded, ROWS, ("batch", 3)),
}


def train_eager(model, loss, data, shape):
    optimizer = dt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for x, y in zip(data, LABELS):
        optimizer.zero_grad()
        value = loss(model(dt.tensor(x)), dt.tensor(y))
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def train_static(model, loss, data, shape, **options):
    optimizer = dt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", shape, data.dtype), g.placeholder("y", ("batch",), "int64")
        value = loss(model(x), y)
        update = optimizer.minimize(value)
    program = g.compile([value, update], **options)
    return [program.run({x: a, y: b})[0].item() for a, b in zip(data, LABELS)]


def train_hybrid(model, loss, data, shape):
    optimizer = dt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    compiled = dt.compile(lambda x, y: loss(model(x), y))
    losses = []
    for x, y in zip(data, LABELS):
        optimizer.zero_grad()
        value = compiled(dt.tensor(x), y)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def train_whole_step(model, loss, data, shape):
    optimizer = dt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @dt.compile
    def step(x, y):
        value = loss(model(x), y)
        optimizer.minimize(value)
        return value

    return [step(x, y).item() for x, y in zip(data, LABELS)]


STYLES = {
    "static": train_static,
    "static-reference": partial(train_static, executor="reference", passes=()),
    "hybrid": train_hybrid,
    "whole-step": train_whole_step,
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", MODELS)
def test_training_gives_the_same_bits_in_every_style(name, style):
    make, data, shape = MODELS[name]
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    found = []
    for train in (train_eager, STYLES[style]):
        dt.manual_seed(1)
        model = make()
        losses = train(model, loss, data, shape)
        found.append((losses, model.state_dict()))
    (losses, state), (other_losses, other) = found
    assert other_losses == losses
    assert len(set(losses)) == len(losses)
    for key, numbers in state.items():
        assert other[key].tobytes() == numbers.tobytes(), key


@pytest.mark.parametrize("style", ["eager", "static", "hybrid"])
def test_inference_reads_the_running_numbers_and_leaves_them(style):
    dt.manual_seed(1)
    model = convolutional()
    train_eager(model, nn.CrossEntropyLoss(), IMAGES, None)
    model.eval()
    before = model.state_dict()
    expected = model(dt.tensor(IMAGES[0])).detach()
    x = IMAGES[0]
    if style == "static":
        with dt.static.Graph() as g:
            fed = g.placeholder("x", x.shape)
            y = model(fed)
        [found] = g.compile([y]).run({fed: x})
    else:
        found = (dt.compile(model) if style == "hybrid" else model)(dt.tensor(x)).array
    assert found.tobytes() == expected.array.tobytes()
    assert all((v == before[k]).all() for k, v in model.state_dict().items())
    # Each image by itself gives what it gives among the others.
    alone = model(dt.tensor(x[2:3])).detach().numpy()
    np.testing.assert_allclose(alone[0], expected.numpy()[2], rtol=1e-4, atol=1e-5)


# -- running numbers ---------------------------------------------------------------------------


def test_running_numbers_by_hand():
    layer = nn.BatchNorm1d(2)
    mean, variance = np.zeros(2), np.ones(2)
    for step in range(1, 4):
        x = draw(5, 2, 3)
        layer(dt.tensor(x))
        mean = 0.9 * mean + 0.1 * x.mean((0, 2))
        variance = 0.9 * variance + 0.1 * x.var((0, 2), ddof=1)
        assert layer.num_batches_tracked.item() == step
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
        np.testing.assert_allclose(layer.running_var.numpy(), variance, rtol=1e-5)


def test_without_momentum_the_mean_over_all_steps_is_kept():
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [draw(5, 2) for _ in range(4)]
    for x in batches:
        layer(dt.tensor(x))
    expected = np.mean([x.mean(0) for x in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_a_layer_that_is_used_twice_in_a_step_moves_twice():
    x = draw(6, 2)
    results = []
    for compiled in (False, True):
        layer = nn.BatchNorm1d(2)
        twice = dt.compile(lambda a, layer=layer: layer(layer(a) * 2)) if compiled else (
            lambda a, layer=layer: layer(layer(a) * 2)
        )  # fmt: skip
        for _ in range(3):
            y = twice(dt.tensor(x))
        results.append([y.detach().numpy(), *layer.state_dict().values()])
    assert results[0][-1] == 6
    for eager, hybrid in zip(*results, strict=True):
        assert eager.tobytes() == hybrid.tobytes()


def test_what_is_not_tracked_is_neither_held_nor_needed():
    layer = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    assert layer.state_dict() == {}
    x = dt.tensor(draw(4, 3, 2, 2))
    trained, inferred = layer(x), layer.eval()(x)
    assert (trained.numpy() == inferred.numpy()).all()


def test_no_gradient_flows_through_the_running_numbers():
    layer = nn.BatchNorm1d(2)
    x = dt.tensor(draw(4, 2), requires_grad=True)
    (first,) = dt.grad((layer(x) * layer(x)).sum(), x)
    (again,) = dt.grad((layer(x) * layer(x)).sum(), x)
    assert (first.numpy() == again.numpy()).all()


# -- against torch -----------------------------------------------------------------------------

LAYERS = {  # ours and torch's arguments, keywords, and the shape of the operand
    "Linear": ((3, 4), {}, (2, 5, 3)),
    "Conv1d": ((4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 9)),
    "Conv2d": ((3, 4, (3, 2)), {"padding": "same", "dilation": 2}, (2, 3, 6, 5)),
    "ConvTranspose1d": ((4, 2, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
    "ConvTranspose2d": ((3, 4, 3), {"stride": 2, "padding": 1, "bias": False}, (2, 3, 4, 5)),
    "MaxPool1d": ((3,), {"stride": 2, "padding": 1}, (2, 3, 7)),
    "MaxPool2d": ((3, 2), {"ceil_mode": True}, (2, 3, 7, 6)),
    "AvgPool1d": ((2,), {"padding": 1, "count_include_pad": False}, (2, 3, 7)),
    "AvgPool2d": (((2, 3),), {"stride": 2, "ceil_mode": True}, (2, 3, 6, 7)),
    "AdaptiveAvgPool1d": ((3,), {}, (2, 3, 8)),
    "AdaptiveAvgPool2d": (((2, None),), {}, (2, 3, 5, 4)),
    "BatchNorm1d": ((3,), {"momentum": 0.3}, (4, 3, 5)),
    "BatchNorm2d": ((3,), {"eps": 1e-3, "momentum": None}, (4, 3, 2, 5)),
    "LayerNorm": (((4, 5),), {}, (3, 4, 5)),
    "GroupNorm": ((2, 4), {}, (3, 4, 5)),
    "RMSNorm": ((6,), {}, (3, 6)),
    "Flatten": ((1, 2), {}, (2, 3, 4, 5)),
    "Upsample": ((), {"scale_factor": 2, "mode": "nearest"}, (2, 3, 4)),
    "Identity": ((), {}, (2, 3)),
    "ReLU": ((), {}, (3, 4)),
    "ReLU6": ((), {}, (3, 4)),
    "Tanh": ((), {}, (3, 4)),
    "Sigmoid": ((), {}, (3, 4)),
    "LogSigmoid": ((), {}, (3, 4)),
    "GELU": ((), {}, (3, 4)),
    "SiLU": ((), {}, (3, 4)),
    "SELU": ((), {}, (3, 4)),
    "ELU": ((0.5,), {}, (3, 4)),
    "LeakyReLU": ((0.2,), {}, (3, 4)),
    "PReLU": ((4,), {"init": 0.1}, (3, 4, 2)),
    "Softplus": ((2.0,), {}, (3, 4)),
    "Hardtanh": ((-0.5, 0.7), {}, (3, 4)),
    "Softmax": ((-1,), {}, (3, 4)),
    "LogSoftmax": ((0,), {}, (3, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_give_torch_s_numbers_with_torch_s_weights(name):
    torch = pytest.importorskip("torch")
    args, options, shape = LAYERS[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        theirs = getattr(torch.nn, name)(*args, **options)
        ours = getattr(nn, name)(*args, **options)
        state = {k: v.numpy() for k, v in theirs.state_dict().items()}
        assert {k: v.shape for k, v in ours.state_dict().items()} == {
            k: v.shape for k, v in state.items()
        }
        ours.load_state_dict(state)
        for training in (True, False):
            x = draw(*shape)
            a, b = dt.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            y, z = ours.train(training)(a), theirs.train(training)(b)
            g = draw(*y.shape)
            y.backward(dt.tensor(g))
            z.backward(torch.tensor(g))
            pairs = [(y.detach(), z.detach()), (a.grad, b.grad)]
            parameters = dict(theirs.named_parameters())
            pairs += [(p.grad, parameters[n].grad) for n, p in ours.named_parameters()]
            for found, expected in pairs:
                np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=2e-5)
            ours.zero_grad()
            theirs.zero_grad()
    for key, expected in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], expected.numpy(), rtol=1e-5, atol=1e-6)


LOSSES = {
    "CrossEntropyLoss": ({"weight": [1.0, 2.0, 0.5], "label_smoothing": 0.1}, (4, 3), "labels"),
    "NLLLoss": ({"reduction": "sum", "ignore_index": 1}, (4, 3), "labels"),
    "MSELoss": ({}, (4, 3), "numbers"),
    "L1Loss": ({"reduction": "none"}, (4, 3), "numbers"),
    "HuberLoss": ({"delta": 0.5}, (4, 3), "numbers"),
    "SmoothL1Loss": ({"beta": 0.0}, (4, 3), "numbers"),
    "BCELoss": ({"weight": [1.0, 2.0, 3.0]}, (4, 3), "chances"),
    "BCEWithLogitsLoss": ({"pos_weight": [1.0, 2.0, 3.0]}, (4, 3), "chances"),
    "KLDivLoss": ({"reduction": "batchmean", "log_target": True}, (4, 3), "numbers"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_give_torch_s_numbers(name):
    torch = pytest.importorskip("torch")
    options, shape, kind = LOSSES[name]
    x, target = draw(*shape), draw(*shape)
    if kind == "labels":
        target = np.array([0, 2, 1, 2])
    elif kind == "chances":
        x, target = (1 / (1 + np.exp(-a)) for a in (x, target))
    arrays = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in options.items()}
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**arrays)
    found = ours(dt.tensor(x), dt.tensor(target))
    expected = theirs(torch.tensor(x), torch.tensor(target))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5)
    assert dt.compile(ours)(x, target).array.tobytes() == found.array.tobytes()


@pytest.mark.parametrize(
    "name, args, shape",
    [
        ("Linear", (200, 50), None),
        ("Conv1d", (40, 30, 5), None),
        ("Conv2d", (16, 20, 3), {"groups": 2}),
        ("ConvTranspose1d", (30, 20, 5), None),
        ("ConvTranspose2d", (20, 10, 3), {"groups": 2}),
        ("Embedding", (100, 60), None),
    ],
)
def test_layers_start_as_torch_s_do(name, args, shape):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    options = shape or {}
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    for key, expected in theirs.state_dict().items():
        found, expected = ours.state_dict()[key], expected.numpy()
        assert found.dtype == expected.dtype and found.shape == expected.shape
        if key == "weight":
            assert np.std(found) == pytest.approx(np.std(expected), rel=0.05)
            assert np.abs(found).max() == pytest.approx(np.abs(expected).max(), rel=0.3)
            assert abs(found.mean()) < 0.1 * found.std()
        else:
            assert 0 < np.abs(found).max() <= 1 / np.sqrt(np.prod(ours.weight.shape[1:]))


# -- behaviour ---------------------------------------------------------------------------------


def test_the_padding_row_is_zero_and_learns_nothing():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4 and not layer.weight.detach().numpy()[4].any()
    layer(dt.tensor([4, 1, 4, 1])).sum().backward()
    assert layer.weight.grad.tolist() == [[0] * 3, [2] * 3, [0] * 3, [0] * 3, [0] * 3]


def test_padding_rows_learn_nothing_in_a_batch_of_tables():
    tables = dt.tensor(draw(2, 3, 2), requires_grad=True)
    indices = dt.tensor([[0, 1], [1, 2]])
    rows = dt.vmap(lambda i, t: dt.embedding(i, t, 1))(indices, tables)
    assert (rows.detach().numpy() == tables.detach().numpy()[[[0], [1]], indices.numpy()]).all()
    (gradient,) = dt.grad(rows.sum(), tables)
    assert gradient.numpy()[..., 0].tolist() == [[1, 0, 0], [0, 0, 1]]


def test_attention_with_dropout_keeps_its_mean():
    dt.manual_seed(0)
    q, k = dt.zeros((2000, 4)), dt.zeros((6, 4))
    y = F.scaled_dot_product_attention(q, k, dt.ones((6, 1)), dropout_p=0.25)
    assert abs(y.numpy().mean() - 1) < 0.02
    assert len(np.unique(y.numpy().round(4))) > 3


def test_a_query_that_may_look_at_nothing_takes_nothing_and_learns_nothing():
    q, k, v = (dt.tensor(draw(2, 3), requires_grad=True) for _ in range(3))
    mask = np.array([[True, False], [False, False]])
    y = F.scaled_dot_product_attention(q, k, v, mask)
    assert y.detach().numpy()[1].tolist() == [0, 0, 0]
    for gradient in dt.grad(y.sum(), [q, k, v]):
        assert np.isfinite(gradient.numpy()).all()


def test_losses_stay_finite_where_their_logarithms_do_not():
    x = dt.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    target = dt.tensor([0.0, 1.0, 1.0, 0.0])
    losses = F.binary_cross_entropy(x, target, reduction="none")
    assert losses.tolist() == [0, 0, 100, 100]
    assert np.isfinite(dt.grad(losses.sum(), x)[0].numpy()).all()
    y = dt.tensor([200.0, -200.0], requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(y, dt.tensor([1.0, 0.0]), reduction="none")
    assert losses.tolist() == [0, 0]
    logs = dt.tensor([[-1.0, -2.0]], requires_grad=True)
    (gradient,) = dt.grad(F.kl_div(logs, dt.tensor([[1.0, 0.0]]), "sum"), logs)
    assert gradient.tolist() == [[-1, 0]]


def test_rows_of_losses_without_labels_do_not_count():
    x, labels = draw(3, 4), np.array([1, -100, 2])
    kept = F.cross_entropy(dt.tensor(x[::2]), dt.tensor(labels[::2]))
    found = F.cross_entropy(dt.tensor(x), dt.tensor(labels), ignore_index=-100)
    assert found.item() == pytest.approx(kept.item(), rel=1e-6)
    nothing = F.cross_entropy(dt.tensor(x), dt.full((3,), -100, dtype="int64"), ignore_index=-100)
    assert np.isnan(nothing.item())


def test_images_of_a_symbolic_size_are_convolved():
    layer = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1))
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("batch", 1, "height", "width"))
        program = g.compile([layer(x)])
    for shape in ((2, 1, 4, 5), (1, 1, 3, 3)):
        image = draw(*shape)
        expected = layer(dt.tensor(image)).detach().numpy()
        assert program.run({x: image})[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("conv2d: a symbolic length must hold a whole number of strides, got n for a window of 3",
         lambda x: dt.conv2d(x, np.ones((1, 1, 3, 3), "float32"), stride=2)),
        ("max_pool2d: a symbolic length must hold a whole number of strides, got n",
         lambda x: F.max_pool2d(x, 3, 2)),
        ("interpolate: a symbolic length takes whole factors alone, got n and 1.5",
         lambda x: F.interpolate(x, scale_factor=1.5)),
        ("adaptive_avg_pool2d: a length must be known and above 0, got",
         lambda x: F.adaptive_avg_pool2d(x, 2)),
        ("scaled_dot_product_attention: the last axis must have a known size",
         lambda x: F.scaled_dot_product_attention(x, x, x)),
    ],
)  # fmt: skip
def test_symbolic_sizes_that_cannot_be_divided_are_refused(text, wrong):
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("batch", 1, "n", "n"))
        with pytest.raises(ShapeError, match=f"^{text}"):
            wrong(x)


def test_symbolic_sizes_that_divide_are_scaled_and_pooled():
    def resampled(x):
        return F.max_pool2d(F.avg_pool2d(F.interpolate(x, scale_factor=6), 2), 3, 3)

    with dt.static.Graph() as g:
        x = g.placeholder("x", ("batch", 1, "n", 4))
        y = resampled(x)
        (gradient,) = dt.grad(y.sum(), x)
    assert str(y.shape) == "(batch, 1, n, 4)"
    image = draw(2, 1, 6, 4)
    found, slope = g.compile([y, gradient]).run({x: image})
    assert found.tobytes() == resampled(dt.tensor(image)).array.tobytes()
    np.testing.assert_allclose(slope, 1, rtol=1e-6)


def test_the_gradients_of_all_operands_are_computed_once():
    with dt.static.Graph() as g:
        x, q = g.placeholder("x", (4, 3, 5)), g.placeholder("q", (4, 3, 5))
        layers = nn.BatchNorm1d(3), nn.LayerNorm(5), nn.RMSNorm(5)
        y = F.scaled_dot_product_attention(q, x, x)
        for layer in layers:
            y = layer(y)
        parameters = [p for layer in layers for p in layer.parameters()]
        dt.grad(y.sum(), [x, q, *parameters])
    names = [node.op.name for node in g.nodes]
    for name in ("batch_norm_grad", "layer_norm_grad", "rms_norm_grad", "attention_grad"):
        assert names.count(name) == 1, name


def test_what_layers_show():
    assert repr(nn.Conv2d(2, 4, 3, stride=2, bias=False)) == (
        "Conv2d(2, 4, kernel_size=(3, 3), stride=2, bias=False)"
    )
    assert repr(nn.ConvTranspose1d(2, 4, 3, output_padding=1, stride=2)) == (
        "ConvTranspose1d(2, 4, kernel_size=(3,), stride=2, output_padding=1)"
    )
    assert repr(nn.MaxPool2d(2, padding=1)) == "MaxPool2d(kernel_size=2, padding=1)"
    assert repr(nn.Embedding(5, 3, padding_idx=0)) == "Embedding(5, 3, padding_idx=0)"
    assert repr(nn.CrossEntropyLoss()) == (
        "CrossEntropyLoss(ignore_index=None, reduction='mean', label_smoothing=0.0)"
    )


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, text, wrong",
    [
        (ArgumentError, "Conv2d: in_channels must be a whole number above 0, got 0",
         lambda: nn.Conv2d(0, 2, 3)),
        (ArgumentError, "Conv1d: groups must divide both channels, got 2 for 4 and 3",
         lambda: nn.Conv1d(4, 3, 3, groups=2)),
        (ArgumentError, "Conv2d: kernel_size must be a whole number of at least 1, got 0",
         lambda: nn.Conv2d(1, 2, (0, 3))),
        (ArgumentError, "conv1d: stride must be a whole number of at least 1, got 0",
         lambda: nn.Conv1d(1, 2, 3, stride=0)(dt.ones((1, 1, 3)))),
        (ArgumentError, "Embedding: padding_idx must be in -3..2, got 3",
         lambda: nn.Embedding(3, 2, padding_idx=3)),
        (ArgumentError, "BatchNorm1d: momentum must be in 0..1 or None, got 2",
         lambda: nn.BatchNorm1d(3, momentum=2)),
        (ShapeError, r"BatchNorm1d: operand must have shape \(batch, channels\) or \(batch, "
         r"channels, length\) with 3 channels, got \(2, 4\)",
         lambda: nn.BatchNorm1d(3)(dt.ones((2, 4)))),
        (ShapeError, "BatchNorm2d: operand must have shape .* got",
         lambda: nn.BatchNorm2d(3)(dt.ones((2, 3)))),
        (ShapeError, r"batch_norm: each channel must have at least 2 numbers, got \(1, 3\)",
         lambda: nn.BatchNorm1d(3)(dt.ones((1, 3)))),
        (ArgumentError, "LayerNorm: normalized_shape must be a whole number above 0, got 0",
         lambda: nn.LayerNorm((3, 0))),
        (ShapeError, "layer_norm: the operand's last axes must have the shape",
         lambda: nn.LayerNorm(3)(dt.ones((2, 4)))),
        (ArgumentError, "GroupNorm: num_groups must divide num_channels, got 2 and 3",
         lambda: nn.GroupNorm(2, 3)),
        (ShapeError, r"group_norm: the groups must divide the channels, got 2 for \(2, 3\)",
         lambda: F.group_norm(dt.ones((2, 3)), 2)),
        (ShapeError, r"Flatten: axes must be in order and of the operand, got 2..-1 for \(2, 3\)",
         lambda: nn.Flatten(2)(dt.ones((2, 3)))),
        (ArgumentError, "adaptive_avg_pool1d: output_size must be .* got 0",
         lambda: nn.AdaptiveAvgPool1d(0)(dt.ones((1, 1, 3)))),
        (ShapeError, "adaptive_avg_pool2d: operand must have a batch, channels and 2 spatial axes",
         lambda: F.adaptive_avg_pool2d(dt.ones((1, 1, 3)), 1)),
        (ShapeError, "adaptive_avg_pool1d: a length must be known and above 0, got",
         lambda: F.adaptive_avg_pool1d(dt.ones((1, 1, 0)), 2)),
        (ShapeError, r"prelu: weight must have one number or one per channel, got \(2,\)",
         lambda: F.prelu(dt.ones((2, 3)), dt.ones(2))),
        (ArgumentError, "softplus: beta must not be 0, got 0", lambda: F.softplus(dt.ones(2), 0)),
        (ArgumentError, "Softplus: beta must not be 0, got 0", lambda: nn.Softplus(0)),
        (ArgumentError, "GELU: approximate must be 'none' or 'tanh', got 'erf'",
         lambda: nn.GELU("erf")),
        (ArgumentError, "gelu: approximate must be 'none' or 'tanh', got 1",
         lambda: F.gelu(dt.ones(2), 1)),
        (ArgumentError, "Hardtanh: min_val must be below max_val, got 1 and 1",
         lambda: nn.Hardtanh(1, 1)),
        (ArgumentError, "PReLU: num_parameters must be a whole number above 0, got 0",
         lambda: nn.PReLU(0)),
        (ArgumentError, "dropout: p must be in", lambda: F.scaled_dot_product_attention(
            *(dt.ones((2, 2)),) * 3, dropout_p=1.0)),
        (ArgumentError, "mse_loss: reduction must be 'mean', 'sum' or 'none', got 'max'",
         lambda: F.mse_loss(dt.ones(2), dt.ones(2), "max")),
        (ArgumentError, "kl_div: reduction must be 'mean', 'batchmean', 'sum' or 'none', got None",
         lambda: F.kl_div(dt.ones(2), dt.ones(2), None)),
        (ArgumentError, "huber_loss: delta must be above 0, got 0",
         lambda: F.huber_loss(dt.ones(2), dt.ones(2), delta=0)),
        (ArgumentError, "smooth_l1_loss: beta must be at least 0, got -1",
         lambda: F.smooth_l1_loss(dt.ones(2), dt.ones(2), beta=-1)),
        (ShapeError, r"cross_entropy: distributions must have the shape of logits, got \(2,\)",
         lambda: F.cross_entropy(dt.ones((2, 3)), dt.ones(2))),
        (DTypeError, "embedding: indices must be integers, got float32",
         lambda: nn.Embedding(3, 2)(dt.ones(2))),
    ],
)  # fmt: skip
def test_errors(error, text, wrong):
    with pytest.raises(error, match=f"^{text}"):
        wrong()
