"""Worker threads and processes: order, seeds, errors, deaths, prefetching and resuming."""

import functools
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback

import numpy as np
import pytest
from loading import (
    Drawn,
    FirstWaits,
    Globals,
    Squares,
    Unreadable,
    exit_at_once,
    exit_politely,
    kill_itself,
    raise_two_arguments,
    raise_unpicklable,
    raise_value_error,
    wait_for_ever,
)

import diptych as dt
from diptych import data
from diptych.data import DataLoader, get_worker_info
from diptych.errors import DTypeError, RangeError, ShapeError
from diptych.graphs.trees import flatten

KINDS = ["alone", "thread", "process"]


def options(kind, workers=2):
    return {} if kind == "alone" else {"num_workers": workers, "workers": kind}


def lists(loader):
    return [[x.tolist() for x in flatten(batch)[0]] for batch in loader]


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("diptych-loader")]


def within(seconds, function):
    """The result of a function that must not hang."""
    found = []

    def run():
        try:
            found.append((function(), None))
        except Exception as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it hangs"
    result, error = found[0]
    if error is not None:
        raise error
    return result


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    yield
    assert not multiprocessing.active_children()
    assert not loader_threads()


# -- workers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_the_order_is_the_same_however_many_workers(kind):
    dataset = Squares()
    choose = {"batch_size": 5, "shuffle": True, "seed": 2}
    expected = lists(DataLoader(dataset, **choose))
    for workers, ahead in ((1, 1), (3, 2)):
        loader = DataLoader(dataset, **choose, **options(kind, workers), prefetch_factor=ahead)
        assert lists(loader) == expected
        assert multiprocessing.active_children() == [] == loader_threads()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_workers_take_a_collate_function(kind):
    collate = functools.partial(data.pad_collate, padding=9)
    samples = [np.arange(n) for n in (1, 3, 2)]
    loader = DataLoader(samples, batch_size=3, collate_fn=collate, **options(kind, 1))
    [(batch, lengths)] = loader
    assert batch.tolist() == [[0, 9, 9], [0, 1, 2], [0, 1, 9]] and lengths.tolist() == [1, 3, 2]
    assert batch.flags.writeable


def test_what_is_drawn_is_the_same_however_many_workers():
    def drawn(**options):
        loader = DataLoader(Drawn(), batch_size=2, seed=7, **options)
        return [[batch["drawn"].tolist() for batch in loader] for _ in range(2)]

    expected = drawn()
    assert drawn(num_workers=3) == drawn(num_workers=2, workers="process") == expected
    numbers = np.ravel(expected)
    assert len(set(numbers)) == len(numbers) == 24
    assert get_worker_info() is None


def test_a_worker_has_a_seed_of_seed_epoch_and_worker():
    loader = DataLoader(Drawn(), batch_size=2, num_workers=3)
    seeds = {}
    for epoch, number in itertools.product(range(2), range(6)):
        if number == 0:
            batches = list(loader)
        worker = batches[number]["id"].tolist()[0]
        assert worker == number % 3 and len(set(batches[number]["seed"].tolist())) == 1
        seeds.setdefault((epoch, worker), set()).add(int(batches[number]["seed"][0]))
    assert all(len(found) == 1 for found in seeds.values())
    assert len(set.union(*seeds.values())) == 6
    other = next(iter(DataLoader(Drawn(), batch_size=2, num_workers=3, seed=1)))
    assert int(other["seed"][0]) not in seeds[0, 0]


def test_worker_processes_seed_the_generators_of_the_whole_process():
    loader = DataLoader(Globals(), num_workers=2, workers="process")
    first = lists(loader)
    assert lists(loader) != first
    loader.epoch = 0
    assert lists(loader) == first
    for drawn in zip(*first[:2]):
        assert drawn[0] != drawn[1]


def test_workers_load_ahead_and_no_further():
    loaded, enough = [], threading.Event()

    class Noted(Squares):
        def __getitem__(self, index):
            loaded.append(index)
            if len(loaded) >= 5:
                enough.set()
            return super().__getitem__(index)

    batches = iter(DataLoader(Noted(), num_workers=2, prefetch_factor=2))
    next(batches)
    next(batches)
    assert enough.wait(60)
    # Four may be under way: with the second batch that was taken a fifth was asked for.
    assert len(loaded) == 5
    batches.close()


# -- errors in workers, and their ends -------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_names_the_index_and_shows_the_traceback(kind):
    loader = DataLoader(Squares(at=7, do=raise_value_error), batch_size=3, **options(kind))
    given = []
    with pytest.raises(ValueError, match="the file is empty") as caught:
        within(120, lambda: given.extend(loader))
    assert len(given) == 2
    shown = "".join(traceback.format_exception(caught.value))
    assert "DataLoader: raised for index 7, in batch 2 of epoch 0" in shown
    assert "in raise_value_error" in shown and "test_data_workers.py" in shown
    notes = "\n".join(caught.value.__notes__)
    if kind == "process":
        assert "raised in worker process 0:\nTraceback" in notes and "raise_value_error" in notes
    elif kind == "thread":
        assert "raised in worker thread 0" in notes


def test_an_index_that_cannot_travel_is_an_error():
    loader = DataLoader(Squares(), sampler=[0, Unreadable()], num_workers=2, workers="process")
    with pytest.raises(ValueError, match="the file is empty") as caught:
        within(120, lambda: list(loader))
    assert "raised in worker process 1" in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_collation_names_the_indices(kind):
    samples = [np.zeros(n) for n in (2, 2, 3, 2)]
    with pytest.raises(ShapeError, match="must have one shape") as caught:
        list(DataLoader(samples, batch_size=2, **options(kind)))
    notes = "\n".join(caught.value.__notes__)
    assert "DataLoader: raised for indices 2, 3, in batch 1 of epoch 0" in notes


def test_an_index_outside_of_arrays_is_an_error_that_names_it():
    loader = DataLoader(np.arange(3), batch_size=2, sampler=[0, 1, 5])
    with pytest.raises(RangeError, match=r"index must be in -3\.\.2, got 5") as caught:
        list(loader)
    assert "batch 1 of epoch 0" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "do, text",
    [(raise_two_arguments, "TwoArguments: this and that"), (raise_unpicklable, "held a lock")],
)
def test_an_error_that_cannot_travel_arrives_as_text(do, text):
    loader = DataLoader(Squares(at=1, do=do), num_workers=1, workers="process")
    with pytest.raises(data.WorkerError, match=f"DataLoader: .*{text} in worker 0") as caught:
        within(120, lambda: list(loader))
    assert do.__name__ in caught.value.__notes__[0]


@pytest.mark.parametrize(
    "do, how",
    [
        (exit_at_once, "exit code 3"),
        (exit_politely, "exit code 4"),
        (kill_itself, r"signal 9 \(Killed\)"),
    ],
)
def test_a_worker_that_dies_is_an_error_at_once(do, how):
    # The batch that is waited for never comes: nothing but the death can end the wait.
    loader = DataLoader(FirstWaits(at=1, do=do), num_workers=2, workers="process")
    text = f"a worker process must not end before its pass, got {how} of worker 1"
    with pytest.raises(data.WorkerError, match=text):
        within(120, lambda: list(loader))


def test_an_idle_worker_that_is_killed_is_an_error_at_the_next_batch():
    batches = iter(DataLoader(Squares(), num_workers=2, workers="process", prefetch_factor=1))
    next(batches)
    victim = multiprocessing.active_children()[0]
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    with pytest.raises(data.WorkerError, match=r"signal 9 \(Killed\)"):
        within(120, lambda: list(batches))


def test_what_does_not_pickle_is_refused_before_a_process_starts():
    local = lambda: None
    for wrong in ({"collate_fn": lambda samples: samples}, {}):
        dataset = Squares() if wrong else Squares(do=local)
        loader = DataLoader(dataset, num_workers=2, workers="process", **wrong)
        with pytest.raises(DTypeError, match="a collate_fn that can be pickled"):
            next(iter(loader))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device", [None, "cpu"])
def test_leaving_a_pass_early_leaves_nothing_behind(kind, device):
    loader = DataLoader(Squares(), device=device, **options(kind))
    for _ in loader:
        break
    assert multiprocessing.active_children() == [] == loader_threads()
    batches = iter(loader)
    next(batches)
    running = len(multiprocessing.active_children()), len(loader_threads())
    assert running[0] == (2 if kind == "process" else 0)
    assert running[1] == (2 if kind == "thread" else 0) + (device is not None)
    del batches
    assert multiprocessing.active_children() == [] == loader_threads()


def test_leaving_a_pass_ends_a_process_that_is_busy():
    loader = DataLoader(Squares(at=1, do=wait_for_ever), num_workers=2, workers="process")

    def leave():
        for _ in loader:
            break

    within(120, leave)


def test_workers_end_when_the_loading_process_is_killed(tmp_path):
    script = tmp_path / "loads.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing, os, signal, time
            from diptych.data import DataLoader

            if __name__ == "__main__":
                batches = iter(DataLoader(list(range(100)), num_workers=2, workers="process"))
                next(batches)
                print(*(p.pid for p in multiprocessing.active_children()), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    workers = [int(word) for word in done.stdout.split()]
    assert len(workers) == 2 and done.returncode == -signal.SIGKILL
    give_up = time.monotonic() + 60
    while any(map(is_running, workers)) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- devices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_batches_for_a_device_are_the_same_batches(kind):
    dataset = [{"x": np.full(2, i), "name": str(i)} for i in range(7)]
    choose = {"batch_size": 3, "shuffle": True}
    plain = list(DataLoader(dataset, **choose))
    for batch, expected in zip(DataLoader(dataset, **choose, device="cpu", **options(kind)), plain):
        assert batch["x"].tolist() == expected["x"].tolist() and batch["name"] == expected["name"]
    loader = DataLoader(Squares(at=3, do=raise_value_error), device="cpu", **options(kind))
    with pytest.raises(ValueError, match="the file is empty"):
        within(120, lambda: list(loader))


def test_the_next_batch_moves_while_one_is_in_use(monkeypatch):
    moved, second = [], threading.Event()

    def put(array, device):
        moved.append((array.tolist(), str(device)))
        if len(moved) == 2:
            second.set()
        return array

    monkeypatch.setattr(dt.data.loader, "put", put)
    batches = iter(DataLoader(np.arange(4), device="cpu"))
    next(batches)
    assert second.wait(60)
    assert moved == [([0], "cpu:0"), ([1], "cpu:0")]
    assert [x.tolist() for (x,) in batches] == [[1], [2], [3]]


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
def test_batches_arrive_on_a_cuda_device(kind):
    loader = DataLoader(Squares(), batch_size=5, device="cuda", **options(kind))
    for batch, expected in zip(loader, DataLoader(Squares(), batch_size=5)):
        assert dt.asarray(batch).device == dt.Device("cuda")
        assert batch.get().tolist() == expected.tolist()


# -- resuming --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_resumes_in_its_middle(kind):
    def make(workers=2):
        return DataLoader(Drawn(), batch_size=2, shuffle=True, seed=3, **options(kind, workers))

    def drawn(batch):
        return batch["drawn"].tolist()

    loader = make()
    epochs = [[drawn(b) for b in loader] for _ in range(3)]
    for stop in (1, 4, 6) if kind != "process" else (4,):
        loader = make()
        list(loader)
        for given, batch in enumerate(loader, 1):
            assert drawn(batch) == epochs[1][given - 1]
            if given == stop:
                state = loader.state_dict()
                break
        assert {k: v.item() for k, v in state.items()} == {"epoch": 1, "position": stop}
        resumed = make(workers=3)
        resumed.load_state_dict(state)
        assert resumed.epoch == 1
        assert resumed.state_dict() == state
        assert [drawn(b) for b in resumed] == epochs[1][stop:]
        assert [drawn(b) for b in resumed] == epochs[2]


def test_training_resumes_bit_equal_in_the_middle_of_an_epoch():
    rows = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)

    def make():
        dt.manual_seed(1)
        layer = dt.nn.Linear(3, 1)
        optimizer = dt.optim.AdamW(layer.parameters(), lr=0.1)
        schedule = dt.optim.CosineAnnealingLR(optimizer, T_max=9)
        loader = DataLoader(rows, batch_size=3, shuffle=True, num_workers=2)
        return layer, optimizer, schedule, loader

    def train(layer, optimizer, schedule, loader, steps):
        for (x,) in itertools.chain(loader, loader, loader):
            optimizer.minimize((layer(dt.asarray(x)) * layer(dt.asarray(x))).sum())
            schedule.step()
            steps -= 1
            if not steps:
                return {
                    (i, name): array.tobytes()
                    for i, part in enumerate((layer, optimizer, schedule, loader))
                    for name, array in part.state_dict().items()
                }
        return None

    expected = train(*make(), 12)
    first = make()
    train(*first, 5)
    second = make()
    for old, new in zip(first, second):
        new.load_state_dict(old.state_dict())
    assert train(*second, 7) == expected
