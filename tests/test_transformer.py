"""Attention and transformer blocks: against torch, masks, and every style alike."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.errors import ArgumentError, DTypeError, ShapeError, UnknownNameError

RELATIVE = {"float64": 1e-10, "float32": 1e-5}
BOTH = pytest.mark.parametrize("batch_first", [False, True])


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # arrays this small gain nothing from threads
    return torch


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def assert_close(found, expected, relative=1e-10):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * np.abs(theirs).max())


def with_weights(torch, ours, theirs, dtype="float64"):
    """Both in inference mode, ours with the weights of theirs, which are no starting values."""
    theirs = theirs.to(getattr(torch, dtype)).eval()
    torch.manual_seed(0)
    for p in theirs.parameters():
        torch.nn.init.normal_(p, 0.1, 0.3)
    ours.to(dtype=dtype).eval().load_state_dict(
        {k: v.numpy() for k, v in theirs.state_dict().items()}
    )
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    return ours, theirs


def gradients(results, wanted):
    cotangents = [
        dt.tensor(np.cos(np.arange(r.size)).reshape(r.shape), dtype=r.dtype) for r in results
    ]
    return [g.array for g in dt.grad(results, wanted, cotangents)]


def their_gradients(torch, results, wanted):
    cotangents = [
        torch.cos(torch.arange(r.numel(), dtype=torch.float64)).reshape(r.shape).to(r.dtype)
        for r in results
    ]
    return [g.numpy() for g in torch.autograd.grad(results, wanted, cotangents)]


def assert_alike(
    torch, ours, theirs, arrays, relative=1e-10, masks=None, our_masks=None, **options
):
    """Equal results, and gradients with respect to all arrays and parameters."""
    masks = masks or {}
    mine = [dt.tensor(a, requires_grad=True) for a in arrays]
    given = [torch.tensor(a, requires_grad=True) for a in arrays]
    found = ours(*mine, **options, **masks, **(our_masks or {}))
    expected = theirs(*given, **options, **{k: torch.tensor(m) for k, m in masks.items()})
    found = [r for r in (found if isinstance(found, tuple) else (found,)) if r is not None]
    expected = [
        r for r in (expected if isinstance(expected, tuple) else (expected,)) if r is not None
    ]
    assert_close([r.array for r in found], [r.detach().numpy() for r in expected], relative)
    assert_close(
        gradients(found, [*mine, *ours.parameters()]),
        their_gradients(torch, expected, [*given, *theirs.parameters()]),
        relative,
    )


MASKS = {
    "none": {},
    "bools": {"attn_mask": np.triu(np.ones((4, 5), bool), 2)},
    "floats": {"attn_mask": np.linspace(-2, 2, 20).reshape(4, 5)},
    "for every head": {"attn_mask": np.arange(120).reshape(6, 4, 5) % 3 == 1},
    "padding": {"key_padding_mask": np.arange(15).reshape(3, 5) % 4 == 1},
    "both": {
        "attn_mask": np.triu(np.ones((4, 5), bool), 2),
        "key_padding_mask": np.array([[False] * 5, [False] * 4 + [True], [False] * 2 + [True] * 3]),
    },
    "floats and bools": {
        "attn_mask": np.linspace(-2, 2, 20).reshape(4, 5),
        "key_padding_mask": np.array([[0.0] * 5, [0.0] * 4 + [-np.inf], [1.0] * 5]),
    },
}  # fmt: skip


def inputs(rng, batch_first, lengths=(4, 5, 5), widths=(8, 8, 8), batch=(3,)):
    shapes = [(*batch, n, w) if batch_first else (n, *batch, w) for n, w in zip(lengths, widths)]
    return [rng.standard_normal(shape) for shape in shapes]


# -- attention -------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_agrees_with_torch(torch, rng, masks, need_weights, batch_first):
    ours, theirs = with_weights(
        torch,
        nn.MultiheadAttention(8, 2, batch_first=batch_first),
        torch.nn.MultiheadAttention(8, 2, batch_first=batch_first),
    )
    arrays = inputs(rng, batch_first)
    assert_alike(torch, ours, theirs, arrays, masks=MASKS[masks], need_weights=need_weights)


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize(
    "options", [{"bias": False}, {"kdim": 3, "vdim": 6}, {"vdim": 6, "bias": False}]
)
def test_attention_over_other_features_agrees_with_torch(torch, rng, options, dtype):
    ours, theirs = with_weights(
        torch,
        nn.MultiheadAttention(8, 4, **options),
        torch.nn.MultiheadAttention(8, 4, **options),
        dtype,
    )
    widths = (8, options.get("kdim", 8), options.get("vdim", 8))
    for batch in ((3,), ()):
        arrays = [a.astype(dtype) for a in inputs(rng, False, widths=widths, batch=batch)]
        for average in (True, False):
            assert_alike(torch, ours, theirs, arrays, RELATIVE[dtype], average_attn_weights=average)


def test_causal_attention_is_that_of_a_mask(torch, rng):
    ours, theirs = with_weights(
        torch, nn.MultiheadAttention(8, 2), torch.nn.MultiheadAttention(8, 2)
    )
    (x, *_) = inputs(rng, False)
    mask = np.triu(np.ones((4, 4), bool), 1)
    for need_weights in (False, True):
        options = {"need_weights": need_weights}
        mine = ours(*[dt.tensor(x)] * 3, is_causal=True, **options)[0]
        given = [torch.tensor(x)] * 3
        expected = theirs(*given, attn_mask=torch.tensor(mask), is_causal=True, **options)[0]
        assert_close([mine.array], [expected.detach().numpy()])


def test_a_query_that_may_look_nowhere_takes_nothing(rng):
    attention = nn.MultiheadAttention(8, 2)
    q, k, v = inputs(rng, False)
    hidden = np.zeros((3, 5), bool)
    hidden[1] = True
    y, weights = attention(q, k, v, hidden)
    bias = attention.out_proj.bias
    assert not weights[1].array.any() and (y[:, 1].array == bias.array).all()
    assert np.isfinite(y.array).all()


def test_weights_are_dropped_in_training_mode_alone(rng):
    attention = nn.MultiheadAttention(8, 2, dropout=0.5).double()
    q, k, v = inputs(rng, False)
    drawn = [attention(q, k, v)[1].array for _ in range(2)]
    assert (drawn[0] != drawn[1]).any()
    attention.eval()
    kept, without = attention(q, k, v), attention(q, k, v, need_weights=False)
    np.testing.assert_allclose(kept[0].array, without[0].array, rtol=1e-12)
    np.testing.assert_allclose(kept[1].array.sum(-1), 1, rtol=1e-12)


# -- transformer layers ----------------------------------------------------------------------

LAYER = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
VARIANTS = [
    {}, {"norm_first": True}, {"activation": "gelu", "batch_first": True},
    {"bias": False, "layer_norm_eps": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("options", VARIANTS)
def test_an_encoder_agrees_with_torch(torch, rng, options, dtype):
    norm = {"norm": (nn.LayerNorm(8), torch.nn.LayerNorm(8))} if options else {}
    ours, theirs = with_weights(
        torch,
        nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER, **options), 2,
                              **{k: v[0] for k, v in norm.items()}),
        torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(**LAYER, **options), 2,
                                    **{k: v[1] for k, v in norm.items()},
                                    enable_nested_tensor=False),
        dtype,
    )  # fmt: skip
    arrays = [a.astype(dtype) for a in inputs(rng, options.get("batch_first"))[:1]]
    hidden = np.array([[False] * 4, [False] * 3 + [True], [False] * 2 + [True] * 2])
    for masks in (
        {}, {"mask": np.triu(np.ones((4, 4), bool), 1)}, {"src_key_padding_mask": hidden},
    ):  # fmt: skip
        assert_alike(torch, ours, theirs, arrays, RELATIVE[dtype], masks)
    mine = ours(dt.tensor(arrays[0]), is_causal=True).array
    again = ours(dt.tensor(arrays[0]), np.triu(np.ones((4, 4), bool), 1)).array
    np.testing.assert_allclose(mine, again, rtol=1e-6)


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("options", VARIANTS)
def test_a_decoder_agrees_with_torch(torch, rng, options, dtype):
    ours, theirs = with_weights(
        torch,
        nn.TransformerDecoder(nn.TransformerDecoderLayer(**LAYER, **options), 2),
        torch.nn.TransformerDecoder(torch.nn.TransformerDecoderLayer(**LAYER, **options), 2),
        dtype,
    )
    arrays = [a.astype(dtype) for a in inputs(rng, options.get("batch_first"))[:2]]
    padding = np.array([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    for masks in (
        {},
        {"tgt_mask": np.triu(np.ones((4, 4), bool), 1), "memory_key_padding_mask": padding},
        {"memory_mask": np.triu(np.ones((4, 5), bool), 2),
         "tgt_key_padding_mask": np.arange(12).reshape(3, 4) == 7},
    ):  # fmt: skip
        assert_alike(torch, ours, theirs, arrays, RELATIVE[dtype], masks)


def test_layers_of_a_stack_are_copies_that_draw_from_one_generator():
    generator = dt.Generator(3)
    layer = nn.TransformerEncoderLayer(**LAYER, dropout=0.5, generator=generator)
    stack = nn.TransformerEncoder(layer, 2)
    first, second = stack.layers
    assert first.linear1.weight is not second.linear1.weight is not layer.linear1.weight
    assert first.linear1.weight.tolist() == layer.linear1.weight.tolist()
    dropouts = [m for m in stack.modules() if isinstance(m, nn.Dropout)]
    assert len(dropouts) == 6 and all(m.generator is generator for m in dropouts)
    x = np.ones((4, 2, 8), np.float32)
    drawn = []
    for module in stack.layers:
        module.linear1.register_forward_hook(lambda m, args, y: y * 0 + 1)
        module.dropout.register_forward_hook(lambda m, args, y: drawn.append(y.array))
    stack(x)
    assert (drawn[0] != drawn[1]).any()


# -- styles ----------------------------------------------------------------------------------


class Model(nn.Module):
    """Encoder and decoder, with dropout at work."""

    def __init__(self):
        super().__init__()
        options = {**LAYER, "dropout": 0.2, "batch_first": True}
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**options), 2)
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**options, norm_first=True, activation=dt.tanh), 1
        )

    def forward(self, x, y):
        return self.decoder(y, self.encoder(x), tgt_is_causal=True)


def test_every_style_gives_the_same_bits(rng):
    model = Model()
    x, y = (rng.standard_normal((3, n, 8)).astype("float32") for n in (5, 4))

    def run_eager(call=model):
        dt.manual_seed(7)
        given = dt.tensor(x, requires_grad=True)
        found = call(given, dt.tensor(y))
        return [found, *dt.grad((found * found).sum(), [given, *model.parameters()])]

    def run_static(**options):
        dt.manual_seed(7)
        with dt.static.Graph() as g:
            given = g.placeholder("x", ("batch", 5, 8)), g.placeholder("y", ("batch", 4, 8))
            found = model(*given)
            wanted = dt.grad((found * found).sum(), [given[0], *model.parameters()])
        return g.compile([found, *wanted], **options).run({"x": x, "y": y})

    expected = [t.detach().numpy().tobytes() for t in run_eager()]
    for found in (run_eager(dt.compile(model)), run_static(), run_static(executor="reference")):
        arrays = [getattr(t, "array", t) for t in found]
        assert [a.tobytes() for a in arrays] == expected


# -- what they refuse ------------------------------------------------------------------------

X = np.ones((4, 3, 8), np.float32)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda m: nn.MultiheadAttention(8, 3), ArgumentError, "num_heads must divide embed_dim"),
        (lambda m: nn.MultiheadAttention(8, 0), ArgumentError, "num_heads must be a whole number"),
        (lambda m: nn.MultiheadAttention(8, 2, 1.0), ArgumentError, "dropout must be in"),
        (lambda m: m(X, X, X[..., :4]), ShapeError, "value must have 8 features"),
        (lambda m: m(X, X[0], X[0]), ShapeError, "key must have 8 features and as many axes"),
        (lambda m: m(X[0, 0], X, X), ShapeError, r"query must have 8 features .* got \(8,\)"),
        (lambda m: m(X, X, X[:2]), ShapeError, "key and value must be of one length"),
        (lambda m: m(X, X[:, :2], X[:, :2]), ShapeError, "batches equal, got query"),
        (lambda m: m(X, X, X, np.ones((4, 3), bool)), ShapeError,
         r"key_padding_mask must have shape \(3, 4\), got \(4, 3\)"),
        (lambda m: m(X, X, X, attn_mask=np.ones((4, 3), bool)), ShapeError,
         r"attn_mask must have shape \(4, 4\) or \(6, 4, 4\), got \(4, 3\)"),
        (lambda m: m(X, X, X, attn_mask=np.ones((4, 4), int)), DTypeError,
         "masks must be bools or floats, got int64"),
        (lambda m: nn.TransformerEncoderLayer(8, 2, activation="swish"), UnknownNameError,
         "activation: must be one of gelu, relu, got 'swish'"),
        (lambda m: nn.TransformerDecoderLayer(8, 2, 0), ArgumentError, "dim_feedforward must be"),
        (lambda m: nn.TransformerEncoder(dt.tanh, 2), DTypeError, "the layer must be a Module"),
        (lambda m: nn.TransformerDecoder(m, 0), ArgumentError, "num_layers must be"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_runs(call, error, text):
    with pytest.raises(error, match=text):
        call(nn.MultiheadAttention(8, 2))
