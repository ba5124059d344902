"""Functions are rewritten from their source, whatever they are made of."""

import importlib.util

import pytest

import diptych as dt


def x():
    return dt.tensor([1.0, 2.0])


def power(x, n):
    return x if n == 0 else power(x * 2, n - 1)


class Named:
    scale = 3.0

    def __call__(self, x):
        return x * Named.scale


def matched(x, m):
    match m:
        case (a, b):
            return x * a + b
        case {"k": [first, *others], **rest}:
            return x * first + sum(others) + sum(rest.values())
        case str() as name:
            return x * len(name)
        case _:
            return x


@pytest.mark.parametrize("m", [(2.0, 3.0), {"k": [1.0, 2.0, 3.0], "z": 4.0}, "abc", None])
def test_match(m):
    assert dt.compile(matched)(x(), m).tolist() == matched(x(), m).tolist()


def test_functions_and_methods_that_name_themselves():
    assert dt.compile(power)(x(), 3).tolist() == [8.0, 16.0]
    f = dt.compile(Named())
    assert f(x()).tolist() == [3.0, 6.0]
    Named.scale = 4.0
    try:
        assert f(x()).tolist() == [4.0, 8.0]
    finally:
        Named.scale = 3.0


FACTOR = 2.0


def with_walruses(x):
    inner = lambda v: (FACTOR := v)  # noqa: F841 - what is asked is whose name it is

    class Held:
        FACTOR: float = 5.0

    return inner(x) * FACTOR + Held.FACTOR


def test_a_walrus_in_a_lambda_binds_there():
    global FACTOR
    f = dt.compile(with_walruses)
    assert f(x()).tolist() == [7.0, 9.0]
    try:
        FACTOR = 3.0
        assert f(x()).tolist() == [8.0, 11.0]
    finally:
        FACTOR = 2.0


def test_a_walrus_in_a_comprehension_binds_around_it():
    def f(x):
        held = [[last := x * n for n in (1.0, 2.0)] for _ in range(2)]
        return held[0][0] + last

    assert dt.compile(f)(x()).tolist() == f(x()).tolist() == [3.0, 6.0]


def test_lambdas_in_lambdas_and_names_bound_in_expressions():
    scale = 2.0
    first, second = (lambda x: (lambda y: y * scale)(x) + 1), (lambda x: [y := x * scale, y][1])
    for f, before, after in ((first, [3.0, 5.0], [4.0, 7.0]), (second, [2.0, 4.0], [3.0, 6.0])):
        scale = 2.0
        compiled = dt.compile(f)
        assert compiled(x()).tolist() == before
        scale = 3.0
        assert compiled(x()).tolist() == after


def test_a_class_made_within_a_function():
    def f(x):
        class Pair:
            a = 2.0
            b = a + 1

        return x * Pair.a + Pair.b

    assert dt.compile(f)(x()).tolist() == [5.0, 7.0]


def test_like_functions_of_two_files_are_two(tmp_path):
    made = []
    for name, own in (("first", ""), ("second", "abs = lambda k: k * 3")):
        path = tmp_path / f"{name}.py"
        path.write_text(f"{own}\ndef f(x):\n    return x * abs(-2.0)\n")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made.append(module)
    first, second = (dt.compile(module.f) for module in made)
    assert first(x()).tolist() == [2.0, 4.0]
    assert second(x()).tolist() == [-6.0, -12.0]
    made[1].abs = lambda k: k
    assert second(x()).tolist() == [-2.0, -4.0]


def test_a_file_that_has_changed_since_is_not_read(tmp_path):
    path = tmp_path / "changing.py"
    path.write_text("def f(x):\n    return x * 2\n")
    spec = importlib.util.spec_from_file_location("changing", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path.write_text("def f(x):\n    return x * 3\n")
    f = dt.compile(module.f)
    assert f(x()).tolist() == [2.0, 4.0]
    assert "its source is not known" in f.explain()
