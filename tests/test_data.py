"""Datasets, collation, samplers, and what a loader takes and refuses; see test_data_workers."""

import doctest
import importlib
import itertools
import pkgutil
from collections import namedtuple

import numpy as np
import pytest

import diptych as dt
from diptych import data
from diptych.data import DataLoader
from diptych.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    RangeError,
    ShapeError,
    UnknownNameError,
)
from diptych.graphs.trees import flatten


def lists(loader):
    return [[x.tolist() for x in flatten(batch)[0]] for batch in loader]


def joined(batches):
    return list(itertools.chain.from_iterable(batches))


# -- arrays and datasets ---------------------------------------------------------------------


def test_the_order_of_arrays_is_what_seed_and_epoch_give():
    rows = np.arange(10.0)
    loader = DataLoader(rows, dt.tensor(rows * 2), batch_size=3, shuffle=True, seed=5)
    for epoch in range(3):
        order = np.arange(10)
        np.random.default_rng((5, epoch)).shuffle(order)
        found = list(loader)
        assert np.concatenate([x for x, _ in found]).tolist() == order.tolist()
        assert np.concatenate([y for _, y in found]).tolist() == (order * 2).tolist()
        assert all(type(x) is np.ndarray and x.flags.writeable for x, _ in found)


def test_arrays_a_tensor_dataset_and_a_list_of_rows_give_the_same():
    x, y = np.arange(10), np.arange(20.0).reshape(10, 2)
    options = {"batch_size": 4, "shuffle": True, "seed": 3}
    expected = lists(DataLoader(x, y, **options))
    assert lists(DataLoader(data.TensorDataset(x, y), **options)) == expected
    assert lists(DataLoader(list(zip(x, y)), **options)) == expected
    whole = data.Subset(data.TensorDataset(x[::-1], y[::-1]), range(9, -1, -1))
    assert lists(DataLoader(whole, **options)) == expected


def test_datasets_index_from_both_ends_and_end_by_an_error():
    arrays = data.TensorDataset(np.arange(3))
    joined = data.ConcatDataset([arrays, [], ["a", "b"]])
    assert [joined[i] for i in (-1, 3, 0)] == ["b", "a", (0,)]
    assert len(list(joined)) == 5 and len(list(arrays)) == 3
    part = data.Subset(joined, [4, 0])
    assert list(part) == ["b", (0,)] and part[-2] == "b"
    for dataset in (arrays, joined, part):
        with pytest.raises(RangeError, match=rf"index must be in .*{len(dataset) - 1}, got 99"):
            dataset[99]
        with pytest.raises(DTypeError, match="index must be a whole number, got float"):
            dataset[0.5]
    with pytest.raises(RangeError, match=r"TensorDataset: index must be in -3\.\.2, got 7"):
        arrays.take([0, 7, 9])
    with pytest.raises(NotImplementedError, match="must define __len__"):
        len(data.Dataset())
    with pytest.raises(NotImplementedError, match="must define __getitem__"):
        data.Dataset()[0]
    with pytest.raises(ShapeError, match="ConcatDataset: one dataset at least"):
        data.ConcatDataset([])
    with pytest.raises(ShapeError, match=r"TensorDataset: arrays must have equal.*\[3, 4\]"):
        data.TensorDataset(np.zeros(3), np.zeros(4))


def test_a_random_split_covers_all_and_repeats():
    parts = data.random_split(range(10), [7, 3], seed=1)
    assert [len(p) for p in parts] == [7, 3]
    assert sorted(x for p in parts for x in p) == list(range(10))
    assert [list(p) for p in data.random_split(range(10), [7, 3], seed=1)] == [*map(list, parts)]
    assert [list(p) for p in data.random_split(range(10), [7, 3], seed=2)] != [*map(list, parts)]
    thirds = data.random_split(range(11), [0.5, 0.3, 0.2])
    assert [len(p) for p in thirds] == [6, 3, 2]
    assert [len(p) for p in data.random_split(range(10), [0.1, 0.9])] == [1, 9]
    for wrong in ([7, 4], [11, -1], [], [0.5, 0.6], [1.5, -0.5]):
        with pytest.raises(ArgumentError, match=r"random_split: .* must sum to"):
            data.random_split(range(10), wrong)
    with pytest.raises(ArgumentError, match="random_split: seed must be a whole number"):
        data.random_split(range(10), [10], seed=-1)


# -- collation -------------------------------------------------------------------------------


def test_collation_keeps_containers_and_dtypes():
    Pair = namedtuple("Pair", "x y")
    samples = [
        {"pair": Pair(np.full(2, i, np.float16), i), "many": [float(i), i > 0], "name": str(i)}
        for i in range(3)
    ]
    batch = data.default_collate(samples)
    assert type(batch["pair"]) is Pair and batch["name"] == ["0", "1", "2"]
    assert batch["pair"].x.shape == (3, 2) and batch["pair"].x.dtype == np.float16
    assert batch["pair"].y.dtype == np.int64 and batch["pair"].y.tolist() == [0, 1, 2]
    number, flag = batch["many"]
    assert number.dtype == np.float32 and flag.dtype == bool
    assert data.default_collate([np.float64(1), np.float64(2)]).dtype == np.float64
    assert data.default_collate([dt.tensor([1.0]), dt.tensor([2.0])]).tolist() == [[1.0], [2.0]]
    assert data.default_collate([b"a", b"b"]) == [b"a", b"b"]


@pytest.mark.parametrize(
    "samples, error, text",
    [
        ([np.zeros(3), np.zeros(4)], ShapeError, r"must have one shape, got \(3,\) and \(4,\)"),
        ([(1, 2), (1,)], ShapeError, "one structure, got a tuple of 2 and a tuple of 1"),
        ([{"a": 1}, {"b": 1}], ShapeError, r"one structure, got a dict of \['a'\] and a dict"),
        ([1, (1,)], ShapeError, "one structure, got one int and a tuple of 1"),
        ([np.zeros(2, "f4"), np.zeros(2)], DTypeError, "one dtype, got float32 and float64"),
        ([None, None], DTypeError, "arrays, numbers or text, .* got NoneType"),
        ([1, "a"], DTypeError, "arrays, numbers or text, .* got int and str"),
        ([], ShapeError, "one sample at least is needed, got none"),
    ],
)
def test_what_collation_refuses(samples, error, text):
    with pytest.raises(error, match=f"default_collate: .*{text}"):
        data.default_collate(samples)


def test_padding_says_how_long_each_was():
    rows = [np.arange(1, n + 1) for n in (3, 1, 0)]
    (x, label), lengths = data.pad_collate([(row, len(row)) for row in rows], padding=-1)
    assert x.tolist() == [[1, 2, 3], [1, -1, -1], [-1, -1, -1]] and x.dtype == rows[0].dtype
    assert label.tolist() == lengths.tolist() == [3, 1, 0] and lengths.dtype == np.int64
    grid, lengths = data.pad_collate([np.ones((1, 2)), np.ones((2, 1))])
    assert grid.tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]] and lengths.tolist() == [1, 2]
    with pytest.raises(ShapeError, match="pad_collate: samples must have one number of axes"):
        data.pad_collate([np.ones(2), np.ones((2, 1))])
    with pytest.raises(ShapeError, match="pad_collate: a sample must begin with an array"):
        data.pad_collate([3, 4])


# -- samplers --------------------------------------------------------------------------------


def test_samplers_give_every_index_once_in_an_order_of_their_epoch():
    sampler = data.RandomSampler(range(20), seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert sorted(epochs[-1]) == list(range(20)) == list(data.SequentialSampler(range(20)))
    assert epochs[0] == epochs[2] != epochs[1]
    assert epochs[0] != list(data.RandomSampler(range(20), seed=2))
    for size, drop in itertools.product((1, 3, 5, 20, 30), (False, True)):
        batches = data.BatchSampler(sampler, size, drop)
        found = list(batches)
        assert len(found) == len(batches) == (20 // size if drop else -(-20 // size))
        assert joined(found) == list(sampler)[: len(found) * size]
    batches.set_epoch(7)
    assert sampler.epoch == 7


def test_buckets_hold_similar_lengths_and_every_index():
    lengths = np.random.default_rng(0).integers(1, 100, 503)
    buckets = data.BucketSampler(lengths, 8, seed=1, window=20)
    found = list(buckets)
    assert sorted(joined(found)) == list(range(503)) and len(found) == len(buckets) == 63

    def padded(batches):
        return sum(len(b) * lengths[b].max() - lengths[b].sum() for b in batches)

    assert padded(found) < padded(data.BatchSampler(data.RandomSampler(lengths), 8)) / 4
    buckets.set_epoch(1)
    again = list(buckets)
    assert again != found and {frozenset(b) for b in again} != {frozenset(b) for b in found}
    buckets.set_epoch(0)
    assert list(buckets) == found
    whole = data.BucketSampler(lengths, 8, drop_last=True)
    assert [len(b) for b in whole] == [8] * 62 == [8] * len(whole)
    ordered = joined(data.BucketSampler(lengths, 8, shuffle=False))
    assert (np.diff(lengths[ordered]) >= 0).all() and len(ordered) == 503
    assert list(data.BucketSampler([], 8)) == list(data.BucketSampler([], 8, shuffle=False)) == []


def test_a_bucket_drops_samples_of_all_lengths():
    lengths = np.arange(9)
    dropped = set()
    buckets = data.BucketSampler(lengths, 8, drop_last=True)
    for epoch in range(40):
        buckets.set_epoch(epoch)
        dropped |= set(range(9)) - set(joined(buckets))
    assert len(dropped) > 5


def test_a_loader_takes_samplers_and_sets_their_epoch():
    rows = np.arange(10)
    sampler = data.RandomSampler(rows, seed=4)
    loader = DataLoader(rows, batch_size=4, sampler=sampler)
    shuffled = DataLoader(rows, batch_size=4, shuffle=True, seed=4)
    assert [lists(loader) for _ in range(2)] == [lists(shuffled) for _ in range(2)]
    words = [np.ones(n) for n in (1, 3, 2, 4)]
    buckets = data.BucketSampler([len(word) for word in words], 2)
    loader = DataLoader(words, batch_sampler=buckets, collate_fn=data.pad_collate)
    assert sorted(lengths.tolist() for _, lengths in loader) == [[1, 2], [3, 4]]
    assert len(loader) == 2 and buckets.epoch == 0
    list(loader)
    assert buckets.epoch == 1


# -- state -----------------------------------------------------------------------------------


def test_the_state_between_and_beside_passes():
    loader = DataLoader(np.arange(4), batch_size=2)

    def state():
        return [x.item() for x in loader.state_dict().values()]

    assert state() == [0, 0]
    seen = []
    for _ in loader:
        seen.append(state())
    assert seen == [[0, 1], [0, 2]] and state() == [1, 0]
    for _ in loader:
        break
    # What was left is under way until something else begins.
    assert state() == [1, 1] and loader.epoch == 2
    loader.epoch = 5
    assert state() == [5, 0]
    next(iter(loader))
    assert state() == [5, 1] and loader.epoch == 6


def test_what_a_state_must_be():
    loader = DataLoader(np.arange(4), batch_size=2)
    loader.epoch = 3
    for wrong, error, text in (
        ({"epoch": 1}, UnknownNameError, r"missing \['position'\]"),
        ({"epoch": 1, "position": 0, "seed": 1}, UnknownNameError, r"unexpected \['seed'\]"),
        ({"epoch": -1, "position": 0}, ArgumentError, "epoch must be at least 0, got -1"),
        ({"epoch": 1, "position": 3}, ArgumentError, "within the 2 batches, got 3"),
        ({"epoch": 1, "position": [0, 1]}, ShapeError, "keep the shape"),
        ({"epoch": 1.5, "position": 0}, DTypeError, "keep the kind"),
    ):
        with pytest.raises(error, match=text):
            loader.load_state_dict(wrong)
        assert [x.item() for x in loader.state_dict().values()] == [3, 0]
    with pytest.raises(ArgumentError, match="epoch must be at least 0, got -2"):
        loader.epoch = -2


# -- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ({"batch_size": 0}, ArgumentError, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.0}, ArgumentError, "batch_size must be at least 1, got 2.0"),
        ({"num_workers": -1}, ArgumentError, "num_workers must be at least 0, got -1"),
        ({"num_workers": True}, ArgumentError, "num_workers must be at least 0, got True"),
        ({"prefetch_factor": 0}, ArgumentError, "prefetch_factor must be at least 1, got 0"),
        ({"seed": -1}, ArgumentError, "seed must be a whole number, at least 0, got -1"),
        ({"seed": 0.5}, ArgumentError, "seed must be a whole number, at least 0, got 0.5"),
        ({"workers": "fibre"}, UnknownNameError, "must be one of process, thread, got 'fibre'"),
        ({"sampler": [0], "shuffle": True}, ArgumentError, "a sampler excludes shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ArgumentError, "a batch_sampler excludes"),
        ({"batch_sampler": [[0]], "sampler": []}, ArgumentError, "a batch_sampler excludes"),
        ({"sampler": iter([0])}, DTypeError, "a sampler must give its indices anew"),
        ({"batch_sampler": iter([[0]])}, DTypeError, "a batch_sampler must give its indices anew"),
        ({"device": "tpu"}, DeviceError, "must be 'cpu', 'cpu:N'"),
    ],
)
def test_what_a_loader_refuses(arguments, error, text):
    with pytest.raises(error, match=text):
        DataLoader(range(12), **arguments)


def test_what_is_no_data():
    for wrong in (3, iter([1]), None):
        with pytest.raises(DTypeError, match="DataLoader: needs a dataset with __len__"):
            DataLoader(wrong)
    with pytest.raises(ShapeError, match=r"DataLoader: arrays must have equal.*got \[\]"):
        DataLoader()
    with pytest.raises(ShapeError, match="DataLoader: arrays must have equal"):
        DataLoader([1], [2])
    for sampler in (data.RandomSampler, data.BucketSampler):
        with pytest.raises(ArgumentError, match="seed must be a whole number"):
            sampler([1], *([1] if sampler is data.BucketSampler else []), seed=-1)
    with pytest.raises(ShapeError, match="BucketSampler: lengths must have one axis"):
        data.BucketSampler([[1]], 1)
    with pytest.raises(ArgumentError, match="BucketSampler: window must be at least 1"):
        data.BucketSampler([1], 1, window=0)
    with pytest.raises(ArgumentError, match="BatchSampler: batch_size must be at least 1"):
        data.BatchSampler([1], 0)


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(data.__path__)])
def test_the_examples_in_docstrings_run(module):
    found = importlib.import_module(f"diptych.data.{module}")
    assert not doctest.testmod(found, extraglobs={"dt": dt, "np": np}).failed
