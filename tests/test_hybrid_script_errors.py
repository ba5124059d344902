"""What has no place in a graph is an error that names it, and where."""

import inspect
import re

import pytest

import diptych as dt

GraphError, StaticValueError = dt.errors.GraphError, dt.errors.StaticValueError


def line_of(function, text):
    """The line of the file in which a function has some text."""
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{first + next(i for i, line in enumerate(lines) if text in line)}"


def refused(function, kind, match, at=None):
    """The error of a call, which names a line of the function."""
    with pytest.raises(kind, match=match) as found:
        dt.hybrid.script(function)(dt.tensor([1.0, 2.0]))
    if at is not None:
        told = [str(found.value), *getattr(found.value, "__notes__", [])]
        assert any(line_of(function, at) in text for text in told), told
    return found.value


def test_a_name_of_one_branch():
    def f(x):
        if x.sum() > 0:
            y = x * 2
        return y

    refused(f, GraphError, "if: 'y' must have a value in both branches", "return y")


def test_a_name_that_is_not_read_may_be_of_one_branch():
    def f(x):
        if x.sum() > 0:
            y = x * 2
            x = y
        return x

    assert dt.hybrid.script(f)(dt.tensor([1.0])).tolist() == [2.0]


def test_another_shape_in_the_other_branch():
    def f(x):
        y = x if x.sum() > 0 else x.sum()
        if y.sum() > 0:
            z = x
        else:
            z = x.sum()
        return z

    refused(f, GraphError, r"if: both sides .* got float32\[2\] and float32\[\]", "y = x if")


def test_another_dtype_in_the_other_branch():
    def f(x):
        if x.sum() > 0:
            z = x
        else:
            z = x.astype("float64")
        return z

    refused(
        f, GraphError, r"'z' must be of one kind .* got float32\[2\] and float64\[2\]", "return z"
    )


def test_another_text_in_the_other_branch():
    def f(x):
        if x.sum() > 0:
            how = "a"
        else:
            how = "b"
        return x if how == "a" else -x

    refused(f, GraphError, "'how' must be of one kind in both branches, got 'a' and 'b'")


def test_a_result_in_one_branch_alone():
    def f(x):
        if x.sum() > 0:
            return x
        return None

    refused(f, GraphError, r"both results must be of one kind .* got float32\[2\] and None")


def test_a_tensor_that_grows():
    def f(x):
        while x.sum() < 10:
            x = dt.concat([x, x])
        return x

    refused(
        f, GraphError, r"while: 'x' must stay of one kind, got float32\[2\] before and float32\[4\]"
    )


def test_a_name_of_the_loop():
    def f(x):
        while x.sum() < 10:
            y = x
            x = x * 2
        return y

    refused(f, GraphError, "while: 'y' must have a value before the loop", "return y")


def test_a_list_that_grows_by_data():
    def f(x):
        held = []
        while x.sum() < 10:
            x = x * 2
            held.append(x)
        return held

    refused(f, GraphError, r"while: .* got a change of a list.append\(\)", "held.append")


def test_a_list_of_one_branch_in_a_loop():
    def f(x):
        held = []
        for v in x:
            if v > 1:
                held.append(v)
        return dt.stack(held)

    refused(f, GraphError, "got a change of a list", "held.append")


def test_an_object_that_a_branch_changes():
    class Held:
        count = 0

    held = Held()

    def f(x):
        if x.sum() > 0:
            held.count = 1
        return x

    refused(f, GraphError, "if: .* got a change of a Held.count", "held.count")
    assert held.count == 0


def test_a_global_name():
    def f(x):
        global changed
        if x.sum() > 0:
            changed = 1
        return x

    refused(f, GraphError, "declaration of changed")


def test_two_views_of_what_changes():
    def f(x):
        y = x * 1
        row = y[:1]
        if x.sum() > 0:
            row += 1
            y = y * 2
        return y

    refused(f, GraphError, "goes by one name")


def test_what_a_branch_calls():
    def f(x):
        if x.sum() > 0:
            print("positive")
        return x

    refused(f, GraphError, "may change others, got <built-in function print>", "print(")


def test_raise():
    def f(x):
        if x.sum() < 0:
            raise ValueError("negative")
        return x

    refused(f, GraphError, "script: raise must not depend on data", "raise ValueError")


def test_plain_exceptions_are_as_they_were():
    def f(x):
        if x.ndim != 1:
            raise ValueError("one axis")
        return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="one axis"):
        dt.hybrid.script(f)(dt.zeros((2, 2)))


def test_a_generator():
    def f(x):
        def chosen():
            if x.sum() > 0:
                yield x

        return next(iter(list(chosen())))

    refused(f, StaticValueError, "script: what if in a generator asks", "if x.sum()")


def test_a_comprehension():
    def f(x):
        return dt.stack([v for v in x if v > 1])

    refused(f, StaticValueError, "script: what a comprehension asks", "for v in x")


def test_the_guard_of_a_case():
    def f(x, k=1):
        match k:
            case 1 if x.sum() > 0:
                return x
        return -x

    refused(f, StaticValueError, "the guard of a case", "case 1")


def test_a_jump_within_finally():
    def f(x):
        while x.sum() > 0:
            try:
                x = x - 1
            finally:
                break  # noqa: B012 - that is the error
        return x

    refused(f, GraphError, "a jump within `finally`", "break")


def test_a_recursion_that_ends_by_data():
    def f(x):
        if x.sum() > 100:
            return x
        return f(x * 2)

    refused(f, GraphError, "script: a recursion must end by what Python knows")


def test_a_condition_of_several_elements():
    def f(x):
        return x if x > 0 else -x

    refused(f, dt.errors.ShapeError, r"one element, got \(2,\); use any or all")


def test_text_of_a_number_that_depends_on_data():
    def f(x):
        n = 0
        while x.sum() < 10:
            x = x * 2
            n += 1
        return f"{n}"

    refused(f, StaticValueError, "number: one that depends on data")


def test_a_name_without_value_is_an_error_as_in_python():
    def f(x, flag=False):
        if flag:
            y = x
        return y if x.sum() > 0 else x

    refused(f, NameError, "'y'")


def test_a_function_without_source():
    with pytest.raises(GraphError, match="script: the source of the function must be known"):
        dt.hybrid.script(eval("lambda x: x if x.sum() > 0 else -x"))


def test_unbounded_loops_within_loops_have_no_gradient():
    def f(x):
        while x.sum() < 100:
            while x.max() < 5:
                x = x * 1.5
            x = x * 2
        return x

    x = dt.tensor([1.0, 2.0])
    scripted = dt.hybrid.script(f)
    assert scripted(x).tolist() == f(x).tolist()
    for _ in range(2):
        with pytest.raises(GraphError, match="write a for over a range that breaks"):
            scripted(dt.tensor([1.0, 2.0], requires_grad=True)).sum().backward()


def test_compile_names_script():
    with pytest.raises(StaticValueError, match=re.escape("dt.hybrid.script")):
        dt.compile(lambda x: x if x.sum() > 0 else -x)(dt.tensor([1.0]))


def test_a_failed_trace_leaves_nothing_behind():
    fails = True

    def f(x):
        while x.sum() < 10:
            if x.max() > 3:
                x = x + (dt.zeros((3,)) if fails else 1)
            x = x * 2
        return x

    scripted = dt.hybrid.script(f)
    with pytest.raises(dt.errors.ShapeError):
        scripted(dt.tensor([1.0, 2.0]))
    fails = False
    x = dt.tensor([1.0, 2.0])
    assert scripted(x).tolist() == f(x).tolist()
    assert (dt.tensor([1.0]) > 0).item()


def test_a_scripted_generator():
    def f(x):
        yield x

    match = f"must run to its end, got a generator or coroutine, f at {line_of(f, 'def f')}"
    with pytest.raises(GraphError, match=re.escape(match)):
        dt.hybrid.script(f)
