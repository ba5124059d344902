"""Functions with branches and loops on data, and arguments that take every way through them."""

import diptych as dt

# -- branches --------------------------------------------------------------------------------------


def branch(x):
    if x.sum() > 0:
        y = x * 2
        x = y + 1
    elif x.min() < -5:
        y = -x
    else:
        y = x - 1
    return x * y


def early(x):
    if x.sum() > 10:
        return x
    if x.sum() > 5:
        y = x * 3
        if y.max() > 9:
            return y + 1
        x = x + y
    for row in x:
        if row > 3:
            return row * x
        x = x * 1.5
    return x - 1


def clipped(x, most):
    norm = dt.sqrt((x * x).sum())
    return x * (most / norm) if norm > most else x


def booleans(x, y):
    if x.sum() > 0 and y.sum() > 0:
        return x + y
    if not (x.sum() > 0) or y.max() < -5:
        return x - y
    return x if 0 < x.sum() < 3 else y


def operands(x, y):
    chosen = x.max() > 3 or y.max() > 3
    return (x * 2 if chosen else x) + (x.sum() and y.sum())


def smallest(x, y):
    return max(x.sum(), y.sum()) - min(x.sum(), 1.0, y.sum())


def numbers(x):
    rate, count, best = 0.1, 0, float(x.sum())
    for i in range(5):
        x = x - rate * x
        if x.sum().item() < best * 0.8:
            rate = rate * 0.9
            count += i
            best = x.sum().item()
    return x * best, rate, count


def in_place(x):
    y = x * 1
    z = y
    if x.sum() > 0:
        y += 1
        y[0] = 7.0
    while y.sum() < 30:
        y *= 2
    return y, z


def own_list(x):
    if x.sum() > 0:
        held = [x]
        held.append(x * 2)
        x = dt.stack(held).sum(0)
    return x


def finished(x):
    try:
        if x.sum() > 0:
            x = x * 2
            return x
    finally:
        x = x + 1
    return x


def without_gradient(x):
    with dt.no_grad():
        k = 2.0 if x.sum() > 1 else 3.0
    return x * k


def several(x):
    pair = {"a": (x, 1)} if x.sum() > 0 else {"a": (-x, 1)}
    return pair["a"][0] * pair["a"][1]


# -- loops -----------------------------------------------------------------------------------------


def newton(x):
    for _ in range(50):
        step = (x * x - 2.0) / (2 * x)
        x = x - step
        if dt.abs(step).max() < 1e-5:
            break
    return x


def newton_forever(x):
    rounds = 0
    while True:
        step = (x * x - 2.0) / (2 * x)
        x = x - step
        rounds += 1
        if dt.abs(step).max() < 1e-5:
            break
    return x, rounds


def collatz(n):
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


def bisected(low, high):
    for _ in range(40):
        middle = (low + high) / 2
        if middle * middle < 2:
            low = middle
        else:
            high = middle
        if high - low < 1e-6:
            break
    return low


def recurrent(xs):
    h = dt.zeros((2,))
    steps = 0
    for x in xs:
        h = dt.tanh(x + h * 0.5)
        steps = steps + 1
        if h.sum() > 1.2:
            break
    else:
        h = h * 10
    return h, steps


def skipping(xs):
    total = 0.0
    for x in xs:
        if x.sum() < 0:
            continue
        total = total + x.sum() * 2
    return total + xs.sum()


def halting(x):
    halt = 0.0
    out = dt.zeros_like(x)
    steps = 0
    while halt < 0.99 and steps < 8:
        p = dt.sigmoid(x.mean())
        out = out + p * x
        halt = halt + p * 0.3
        x = dt.tanh(x * 1.1)
        steps += 1
    return out, halt, steps


def power(a):
    v, length, rounds, difference = dt.ones((2,)), 0.0, 0, float("inf")
    while difference > 1e-4 and rounds < 100:
        w = a @ v
        new = dt.sqrt((w * w).sum())
        v = w / new
        difference = abs(new - length)
        length = new
        rounds += 1
    return v, length, rounds


def swapped(a, b):
    while a.sum() < b.sum():
        a, b = b * 0.7, a * 1.1
    return a, b


def divisor(a, b):
    while b != 0:
        a, b = b, a % b
    return a


def held_in_dicts(x):
    state = {"a": x, "n": 0}
    while state["a"].sum() < 50:
        state = {"a": state["a"] * 2, "n": state["n"] + 1}
    return state["a"], state["n"]


def returned_from(x):
    while True:
        x = x * 1.5
        if x.max() > 30:
            return x
        if x.min() < -30:
            return -x


def breaks_within(xs):
    total = dt.zeros(())
    for row in xs:
        for v in row:
            if v < 0:
                break
            total = total + v
        if total > 6:
            break
    return total


def counted(x, n):
    total, i = 0, -1
    for i in range(1, n, 2):
        x = x + i
        total = total + i
    return x, total, i


def arithmetic(x):
    k, share = 5, 0.5
    while x.sum() > 0 and k:
        x = x - 1
        k -= 1
        share = share / 2 + k % 3 - k // 2
    return x * k, -k, abs(k - 3), k % 2 == 0, not k, share, k**2


def best_of(xs):
    best, at = -1e9, 0
    for i, x in enumerate(xs):
        if x.sum() > best:
            best, at = x.sum(), i
    return best, at


def named_in_tests(x):
    while (s := x.sum()) < 20:
        x = x * 2
    return x, s


def picked(scores):
    alive, total = dt.ones((4,)) > 0, 0.0
    for step in range(6):  # noqa: B007 - it is read after the loop
        if not alive.any():
            break
        i = dt.where(alive, scores, -1e9).argmax()
        total = total + scores[i]
        alive = dt.where(dt.arange(4) == i, dt.zeros((4,)) > 0, alive)
    return total, step


def along_several(xs, ys):
    total = dt.zeros((2,))
    for i, (x, y) in enumerate(zip(xs, ys)):
        total = total + x * y * i
        if total.sum() > 4:
            break
    for y in reversed(ys):
        total = total * 0.5 + y
        if total.sum() > 5:
            break
    return total


def layered(x):
    for layer in (dt.tanh, dt.sigmoid, dt.sin, dt.exp):
        x = layer(x * 2)
        if x.sum() < 1.5:
            break
    return x


def stacked(xs):
    held = []
    for x in xs:
        held.append(x * 2 if x.sum() > 0 else x - 1)
    return dt.stack(held)


# -- functions -------------------------------------------------------------------------------------


def helper(x):
    if x.sum() > 1:
        return x
    return tripled(x) + 1


def tripled(x):
    return x * 2 if x.max() > 0 else x * 3


def calling(x):
    def inner(v):
        if v.sum() > 2:
            return v - shift
        return v

    shift = 1.0
    if x.min() < -20:
        shift = 2.0
    return inner(helper(x)) + helper(x - 5)


def counting_down(n, x):
    if n == 0:
        return x
    return counting_down(n - 1, x * 2) if x.sum() > 0 else x


class Base:
    def step(self, x):
        return x * self.scale


class Cell(Base):
    scale = 0.5

    def step(self, x):
        if x.sum() > 0:
            return super().step(x) + 1
        return super().step(x)

    def __call__(self, xs):
        h = dt.zeros((2,))
        for x in xs:
            h = self.step(h + x)
            if h.max() > 1.6:
                return h * 2
        return h


def after_the_loop(x):
    rounds = 0
    while x.sum() > 0.0:
        x = x - 1.0
        rounds += 1
    else:
        rounds = rounds + 100
    return x * x, rounds


def at_last(x):
    y = x * 1.0
    for row in y:
        y += row
    else:
        y *= 2.0
    return y


ROWS = [[0.1, 0.2], [-0.3, -0.4], [1.0, 1.0], [0.2, 0.3]]
CASES = [
    (branch, ([1.0, 2.0],), ([-1.0, -9.0],), ([-1.0, -2.0],)),
    (early, ([1.0, 2.0],), ([3.0, 3.5],), ([6.0, 6.0],), ([1.0, 2.9],), ([2.0, 3.5],)),
    (clipped, ([3.0, 4.0], 2.0), ([0.3, 0.4], 2.0)),
    (booleans, ([3.0, 4.0], [1.0, 2.0]), ([-3.0, 4.0], [1.0, 2.0]), ([-3.0, -4.0], [1.0, 2.0]),
     ([3.0, 4.0], [-1.0, -2.0]), ([0.3, 0.4], [-1.0, -2.0])),
    (operands, ([1.0, 2.0], [3.0, 4.0]), ([1.0, -1.0], [1.0, 2.0])),
    (smallest, ([1.0, 2.0], [3.0, 4.0]), ([5.0, 6.0], [-1.0, 2.0])),
    (numbers, ([1.0, 2.0],), ([-1.0, -2.0],)),
    (in_place, ([1.0, 2.0],), ([-10.0, 20.0],)),
    (own_list, ([1.0, 2.0],), ([-10.0, 2.0],)),
    (finished, ([1.0, 2.0],), ([-10.0, 2.0],)),
    (without_gradient, ([1.0, 2.0],), ([-10.0, 2.0],)),
    (several, ([1.0, 2.0],), ([-10.0, 2.0],)),
    (newton, ([1.0, 3.0],), ([5.0, 9.0],)),
    (newton_forever, ([1.0, 3.0],), ([5.0, 9.0],)),
    (collatz, (dt.tensor(7),), (dt.tensor(27),), (dt.tensor(1),)),
    (bisected, (0.0, 2.0), (1.0, 4.0)),
    (recurrent, (ROWS,), ([[0.1, 0.2], [0.1, 0.1]],)),
    (skipping, (ROWS,), ([[-0.1, -0.2], [-0.1, 0.0]],)),
    (halting, ([1.0, 2.0],), ([10.0, 20.0],)),
    (power, ([[2.0, 0.3], [0.1, 1.0]],), ([[0.5, 0.3], [0.4, 0.2]],)),
    (swapped, ([1.0, 2.0], [3.0, 4.0]), ([5.0, 6.0], [1.0, 2.0])),
    (divisor, (dt.tensor(48), dt.tensor(36)), (dt.tensor(17), dt.tensor(5))),
    (held_in_dicts, ([1.0, 2.0],), ([30.0, 40.0],)),
    (returned_from, ([1.0, 2.0],), ([-1.0, -2.0],)),
    (breaks_within, ([[1.0, 2.0], [-1.0, 4.0], [2.0, 3.0], [4.0, 1.0]],), ([[1.0], [1.0]],)),
    (counted, ([1.0, 2.0], dt.tensor(6)), ([1.0, 2.0], dt.tensor(0))),
    (arithmetic, ([4.0, 5.0],), ([40.0, 5.0],)),
    (best_of, (ROWS,), ([[1.0, 2.0], [0.5, 0.1]],)),
    (named_in_tests, ([1.0, 2.0],), ([30.0, 2.0],)),
    (picked, ([0.1, 0.5, 0.3, 0.2],)),
    (along_several, (ROWS, ROWS), ([[3.0, 4.0], [5.0, 6.0]], [[1.0, 2.0], [3.0, 4.0]])),
    (layered, ([1.0, 2.0],), ([-3.0, 0.1],)),
    (stacked, (ROWS,)),
    (calling, ([1.0, 2.0],), ([-10.0, 20.0],), ([-10.0, -30.0],)),
    (counting_down, (3, [1.0, 2.0]), (3, [-1.0, -2.0])),
    (after_the_loop, ([1.0, 2.0],), ([-1.0, -2.0],)),
    (at_last, ([1.0, 2.0],)),
    (Cell(), (ROWS,), ([[3.0, 4.0], [5.0, 6.0]],)),
]  # fmt: skip
