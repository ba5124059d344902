"""Learning-rate schedules: against torch's, in programs compiled before, and resumed."""

import warnings

import numpy as np
import pytest

import diptych as dt
from diptych import nn, optim
from diptych.errors import ArgumentError, DTypeError, ShapeError, TapeError, UnknownNameError

RATES = [0.5, 0.1]

# Name, and arguments after the optimiser.
CASES = [
    ("StepLR", {"step_size": 4}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 11], "gamma": 0.5}),
    ("MultiStepLR", {"milestones": []}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("ExponentialLR", {"gamma": 1.1}),
    ("CosineAnnealingLR", {"T_max": 7}),
    ("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.01}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.5, "total_iters": 12}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 0.9**epoch, lambda epoch: float(epoch % 3)]}),
]
NAMED = [pytest.param(*case, id=f"{case[0]}-{i}") for i, case in enumerate(CASES)]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def make(kind=optim.SGD):
    return kind([{"params": nn.Parameter([1.0]), "lr": rate} for rate in RATES])


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def numbers(schedule):
    return {name: array.tolist() for name, array in schedule.state_dict().items()}


def followed(schedule, steps, *measures):
    found = [rates_of(schedule.optimizer)]
    for step in range(steps):
        schedule.step(*(m[step] for m in measures))
        found.append(rates_of(schedule.optimizer))
    return found


def torchs(torch, build, steps, *measures):
    """Rates of a schedule of torch's; it warns of a step that its own code takes."""
    groups = [{"params": torch.zeros(1, requires_grad=True), "lr": rate} for rate in RATES]
    optimizer = torch.optim.SGD(groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = build(torch.optim.lr_scheduler, optimizer)
        found = [rates_of(optimizer)]
        for step in range(steps):
            optimizer.step()
            schedule.step(*(m[step] for m in measures))
            found.append(rates_of(optimizer))
    return found


@pytest.mark.parametrize("name, options", NAMED)
def test_rates_are_torchs(torch, name, options):
    schedule = getattr(optim, name)(make(), **options)
    expected = torchs(torch, lambda m, o: getattr(m, name)(o, **options), 30)
    np.testing.assert_allclose(followed(schedule, 30), expected, rtol=1e-10, atol=1e-15)
    assert schedule.last_epoch == 30 and schedule.base_lrs == RATES
    assert schedule.get_last_lr() == rates_of(schedule.optimizer)


def test_schedules_one_after_another_are_torchs(torch):
    def build(module, optimizer):
        parts = [
            module.LinearLR(optimizer, start_factor=0.1, total_iters=4),
            module.CosineAnnealingLR(optimizer, T_max=10),
            module.ExponentialLR(optimizer, gamma=0.9),
        ]
        return module.SequentialLR(optimizer, parts, milestones=[4, 12])

    expected = torchs(torch, build, 20)
    np.testing.assert_allclose(followed(build(optim, make()), 20), expected, rtol=1e-10)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5, "cooldown": 3, "min_lr": [0.2, 0.0]},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "eps": 0.02},
        {"patience": 1, "threshold": 0.1, "factor": 0.7, "min_lr": 0.05},
    ],
)
def test_a_plateau_is_torchs(torch, mode, options):
    measures = 1 + np.abs(np.random.default_rng(0).standard_normal(60)).cumsum() * 0.01
    measures = measures + np.random.default_rng(1).standard_normal(60) * 0.1
    measures[10:13] = np.nan
    schedule = optim.ReduceLROnPlateau(make(), mode, **options)
    expected = torchs(torch, lambda m, o: m.ReduceLROnPlateau(o, mode, **options), 60, measures)
    assert len({tuple(rates) for rates in expected}) > 2
    np.testing.assert_allclose(followed(schedule, 60, measures), expected, rtol=1e-10)


def test_a_better_negative_measure_is_a_larger_part_better():
    optimizer = make()
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.1)
    schedule.step(dt.tensor([-1.0]))
    schedule.step(-1.2)
    assert rates_of(optimizer) == RATES and schedule.best == -1.2
    schedule.step(-1.25)  # better, but not by a tenth
    assert rates_of(optimizer) == pytest.approx([0.05, 0.01]) and schedule.best == -1.2


# -- what reads the rate ---------------------------------------------------------------------


@pytest.mark.parametrize("style", ["eager", "planned", "reference", "hybrid"])
def test_a_program_compiled_before_takes_the_new_rate(style):
    w = nn.Parameter(np.array([8.0]))
    optimizer = optim.SGD([w], lr=1.0)
    schedule = optim.ExponentialLR(optimizer, gamma=0.5)
    if style == "eager":
        step = lambda: optimizer.minimize(w.sum())
    elif style == "hybrid":

        @dt.compile
        def step():
            optimizer.minimize(w.sum())

    else:
        with dt.static.Graph() as g:
            update = optimizer.minimize(dt.sum(w))
        program = g.compile(update, executor=style)
        source = program.source if style == "planned" else None
        step = lambda: program.run({})
    found = []
    for _ in range(4):
        step()
        schedule.step()
        found.append(w.item())
    assert found == [7.0, 6.5, 6.25, 6.125]
    if style == "planned":
        assert program.source == source
    if style == "hybrid":
        assert "1 traces" in repr(step)


def test_a_schedule_starts_from_the_rate_that_the_user_gave():
    optimizer = make()
    optim.LinearLR(optimizer, start_factor=0.5)
    assert rates_of(optimizer) == [0.25, 0.05]
    assert optim.ExponentialLR(optimizer, 0.5).base_lrs == RATES
    optimizer.lr = 0.3
    assert optim.ExponentialLR(optimizer, 0.5).base_lrs == [0.3, 0.3]


# -- state -----------------------------------------------------------------------------------


def built(name, optimizer, options):
    if name == "Sequential":
        parts = [optim.LinearLR(optimizer), optim.StepLR(optimizer, 3)]
        inner = optim.SequentialLR(optimizer, parts, [4])
        return optim.SequentialLR(optimizer, [inner, optim.ExponentialLR(optimizer, 0.9)], [10])
    return getattr(optim, name)(optimizer, **options)


@pytest.mark.parametrize("first", ["optimizer", "schedule"])
@pytest.mark.parametrize("name, options", [*NAMED, pytest.param("Sequential", {}, id="Sequential")])
def test_a_resumed_schedule_goes_on(name, options, first):
    schedule = built(name, make(), options)
    followed(schedule, 8)
    saved = schedule.state_dict(), schedule.optimizer.state_dict()
    expected = followed(schedule, 12)
    # Made with other rates, so that all must come from what was saved.
    optimizer = make()
    optimizer.lr = 0.9
    resumed = built(name, optimizer, options)
    if first == "optimizer":
        optimizer.load_state_dict(saved[1])
    resumed.load_state_dict(saved[0])
    assert rates_of(optimizer) == expected[0]
    if first == "schedule":
        optimizer.load_state_dict(saved[1])
    assert followed(resumed, 12) == expected
    assert resumed.last_epoch == 20


def test_a_resumed_plateau_goes_on():
    measures = np.random.default_rng(0).random(40)
    options = {"patience": 1, "cooldown": 2, "factor": 0.8}
    schedule = optim.ReduceLROnPlateau(make(), **options)
    followed(schedule, 20, measures)
    resumed = optim.ReduceLROnPlateau(make(), **options)
    resumed.load_state_dict(schedule.state_dict())
    assert followed(resumed, 20, measures[20:]) == followed(schedule, 20, measures[20:])
    assert numbers(resumed) == numbers(schedule)
    assert (resumed.last_epoch, resumed.best) == (40, measures.min())
    assert (resumed.num_bad_epochs, resumed.cooldown_counter) == (
        schedule.num_bad_epochs,
        schedule.cooldown_counter,
    )


@pytest.mark.parametrize("plateau", [False, True])
def test_a_state_that_does_not_fit_changes_nothing(plateau):
    optimizer = make()
    if plateau:
        schedule = optim.ReduceLROnPlateau(optimizer)
    else:
        schedule = optim.StepLR(optimizer, 2)
    good = schedule.state_dict()
    name = "lrs" if plateau else "base_lrs"
    for wrong, error, text in (
        ({k: v for k, v in good.items() if k != name}, UnknownNameError, rf"missing \['{name}'\]"),
        ({**good, "gamma": 1.0}, UnknownNameError, r"unexpected \['gamma'\]"),
        ({**good, name: np.zeros(3)}, ShapeError, "keep the shape"),
        ({**good, "last_epoch": 1.5}, DTypeError, "keep the kind"),
    ):
        with pytest.raises(error, match=f"load_state_dict: .*{text}"):
            schedule.load_state_dict(wrong)
        assert numbers(schedule) == {k: v.tolist() for k, v in good.items()}
        assert rates_of(optimizer) == RATES


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, error, text",
    [
        ("StepLR", {"step_size": 0}, ArgumentError, "step_size must be a whole number, at least 1"),
        ("StepLR", {"step_size": 2, "gamma": -1}, ArgumentError, "gamma must be at least 0"),
        ("MultiStepLR", {"milestones": [3, 2]}, ArgumentError, r"must rise, got \[3, 2\]"),
        ("MultiStepLR", {"milestones": [0.5]}, ArgumentError, "must be a whole number, at least 0"),
        ("MultiStepLR", {"milestones": [], "gamma": "1"}, ArgumentError, "gamma must be at least"),
        ("ExponentialLR", {"gamma": np.nan}, ArgumentError, "gamma must be finite"),
        ("CosineAnnealingLR", {"T_max": 0}, ArgumentError, "T_max must be a whole number"),
        ("CosineAnnealingLR", {"T_max": 1, "eta_min": -1}, ArgumentError, "eta_min must be at"),
        ("LinearLR", {"start_factor": 0}, ArgumentError, "in 0 < start_factor <= 1, got 0"),
        ("LinearLR", {"end_factor": 2}, ArgumentError, "in 0 <= end_factor <= 1, got 2"),
        ("LinearLR", {"total_iters": 0}, ArgumentError, "total_iters must be a whole number"),
        ("LambdaLR", {"lr_lambda": [3]}, DTypeError, "lr_lambda must be callable, got int"),
        ("LambdaLR", {"lr_lambda": [abs]}, ShapeError, "one function per group.* got 1 for 2"),
        ("LambdaLR", {"lr_lambda": lambda e: -1}, ArgumentError, "the rate must be at least 0"),
        ("ReduceLROnPlateau", {"mode": "less"}, ArgumentError, "mode must be 'min' or 'max'"),
        ("ReduceLROnPlateau", {"threshold_mode": "x"}, ArgumentError, "must be 'rel' or 'abs'"),
        ("ReduceLROnPlateau", {"factor": 1.0}, ArgumentError, "factor must be in 0 <= factor < 1"),
        ("ReduceLROnPlateau", {"patience": -1}, ArgumentError, "patience must be a whole number"),
        ("ReduceLROnPlateau", {"cooldown": 0.5}, ArgumentError, "cooldown must be a whole number"),
        ("ReduceLROnPlateau", {"threshold": -1}, ArgumentError, "threshold must be at least 0"),
        ("ReduceLROnPlateau", {"eps": -1}, ArgumentError, "eps must be at least 0, got -1"),
        ("ReduceLROnPlateau", {"min_lr": [0.1]}, ShapeError, "one min_lr per group.* got 1 for 2"),
        ("ReduceLROnPlateau", {"min_lr": -1}, ArgumentError, "min_lr must be at least 0, got -1"),
    ],
)
def test_bad_hyperparameters(name, options, error, text):
    optimizer = make()
    with pytest.raises(error, match=f"{name}: .*{text}"):
        getattr(optim, name)(optimizer, **options)
    assert rates_of(optimizer) == RATES
    with pytest.raises(DTypeError, match="StepLR: needs an optimiser, got int"):
        optim.StepLR(3, 1)


def test_what_schedules_in_a_row_must_be():
    optimizer, other = make(), make()
    step = optim.StepLR(optimizer, 2)
    for parts, milestones, error, text in (
        ([step, optim.ReduceLROnPlateau(optimizer)], [1], DTypeError, "got ReduceLROnPlateau"),
        ([step, optim.StepLR(other, 2)], [1], ArgumentError, "got StepLR of another"),
        ([step, step], [1, 2], ShapeError, "one milestone between each two.* got 2 for 2"),
        ([step, step, step], [2, 1], ArgumentError, r"milestones must rise, got \[2, 1\]"),
    ):
        with pytest.raises(error, match=f"SequentialLR: .*{text}"):
            optim.SequentialLR(optimizer, parts, milestones)
    with pytest.raises(DTypeError, match="ReduceLROnPlateau: needs an optimiser, got TensorP"):
        optim.ReduceLROnPlateau(nn.Parameter([1.0]))


def test_steps_that_a_schedule_cannot_take():
    optimizer = make()
    falling = optim.LambdaLR(optimizer, lambda epoch: 1.0 - epoch)
    falling.step()
    with pytest.raises(ArgumentError, match=r"LambdaLR: the rate must be at least 0, got -0\.5"):
        falling.step()
    assert falling.last_epoch == 1 and rates_of(optimizer) == [0.0, 0.0]
    step, plateau = optim.StepLR(optimizer, 1), optim.ReduceLROnPlateau(optimizer)
    with dt.static.Graph():
        with pytest.raises(TapeError, match="StepLR: a schedule moves between runs"):
            step.step()
        with pytest.raises(TapeError, match="ReduceLROnPlateau: a schedule moves between runs"):
            plateau.step(1.0)
    optimizer.add_param_group({"params": nn.Parameter([1.0]), "lr": 0.7})
    with pytest.raises(ShapeError, match="StepLR: one rate per group is needed, got 2 for 3"):
        step.step()
    with pytest.raises(ShapeError, match="StepLR: one rate per group is needed, got 2 for 3"):
        step.load_state_dict(step.state_dict())
    with pytest.raises(ShapeError, match="one min_lr per group is needed, got 2 for 3"):
        plateau.step(1.0)
    assert step.last_epoch == plateau.last_epoch == 0 and rates_of(optimizer) == [*RATES, 0.7]
    with pytest.raises(NotImplementedError, match="LRScheduler: must define rate, got none"):
        optim.LRScheduler(optimizer)
