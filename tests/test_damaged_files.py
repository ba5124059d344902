"""Damaged files: whatever bit, byte or word of a file changes, it is refused by name."""

import copy
import hashlib
import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest
from mutations import HEAD, SAID, closed, damaged, opened, resummed
from saved_files import FILES, graph_file

import diptych as dt
from diptych.errors import FileError
from diptych.graphs.files import layout, values

FORMAT = Path(__file__).parents[1] / "docs" / "format.md"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file.safetensors"


def refused(path, data, load):
    path.write_bytes(data)
    with pytest.raises(FileError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", SAID)
def test_what_breaks_a_rule_is_refused(path, kind, name):
    make, load = FILES[kind]
    data = make(path)
    for seed in range(5):
        mutated = SAID[name](*opened(data), Random(f"{name} {seed}"))
        if mutated is not None:
            refused(path, mutated, load)


def test_every_mutation_breaks_one_of_the_files(path):
    files = [make(path) for make, _ in FILES.values()]
    for name, mutation in SAID.items():
        found = [mutation(*opened(data), Random(name)) for data in files]
        assert any(m is not None and m not in files for m in found), name


@pytest.mark.parametrize("kind", FILES)
def test_what_is_only_written_anew_is_taken(path, kind):
    make, load = FILES[kind]
    data = make(path)
    header, payload = opened(data)
    resummed(header, payload)
    path.write_bytes(closed(header, payload))  # so a refusal is the mutation's
    load(path)


def mutate(path, kind, count):
    """Refuse so many mutations; half of them keep every digest right."""
    make, load = FILES[kind]
    data = make(path)
    rng = Random(f"{kind} {count}")
    names = list(SAID)
    done = 0
    while done < count:
        if rng.random() < 0.5:
            mutated = damaged(data, rng)
        else:
            mutated = SAID[rng.choice(names)](*opened(data), rng)
        if mutated is not None and mutated != data:
            refused(path, mutated, load)
            done += 1


@pytest.mark.parametrize("kind", FILES)
def test_mutations_are_refused(path, kind):
    mutate(path, kind, 150)


@pytest.mark.full
@pytest.mark.parametrize("kind", FILES)
def test_3000_mutations_are_refused(path, kind):
    mutate(path, kind, 1500)


JSON = [None, True, -1, 0, 1, 2, 7, 10**6, 2**63, 0.5, "", "n", "add", "float64", [], [0], [0, 0],
        {}, {"dim": [[1, [["n", 1]]]]}, {"float": 1.0}, {"dict": {}}, {"tensor": {}}]  # fmt: skip


def edited(document, rng):
    """A document with one of its values replaced, dropped or doubled."""
    places = []

    def walk(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    walk(document)
    container, key = rng.choice(places)
    choice = rng.randrange(4)
    if choice == 0:
        del container[key]
    elif choice == 1 and isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif choice == 2:
        other, there = rng.choice(places)
        container[key] = copy.deepcopy(other[there])
    else:
        container[key] = rng.choice(JSON)


def edit_and_load(path, kind, count):
    """Whatever a document says, it is loaded or refused, and what is loaded can be saved."""
    make, load = FILES[kind]
    data = make(path)
    rng = Random(kind)
    taken = 0
    for _ in range(count):
        header, payload = opened(data)
        edited(header["__metadata__"][f"diptych.{kind}"], rng)
        path.write_bytes(closed(header, payload))
        try:
            loaded = load(path)
        except FileError as error:
            assert str(path) in str(error)
        else:
            taken += 1
            if kind == "graph":
                loaded.save(path, loaded.fetches)
            else:
                dt.save(path, loaded)
    assert taken < count / 2


@pytest.mark.parametrize("kind", FILES)
def test_any_edit_of_a_document_is_taken_or_refused(path, kind):
    edit_and_load(path, kind, 60)


@pytest.mark.full
@pytest.mark.parametrize("kind", FILES)
def test_2000_edits_of_a_document_are_taken_or_refused(path, kind):
    edit_and_load(path, kind, 2000)


@pytest.mark.parametrize("kind", FILES)
def test_every_bit_counts(path, kind):
    make, load = FILES[kind]
    data = make(path)
    for position in {*range(120), *range(0, len(data), 211), *range(len(data) - 30, len(data))}:
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        refused(path, bytes(flipped), load)


def test_damage_names_the_tensor(path):
    state = {"first": np.ones(4), "second": np.zeros(4, np.int32)}
    dt.save(path, state)
    data = path.read_bytes()
    assert "tensor 'second': must have the digest" in refused(path, data[:-1] + b"\1", dt.load)
    cut = refused(path, data[:-20], dt.load)
    assert "tensor 'first': must lie within the file" in cut
    assert "tensor 'second'" in refused(path, data[:-1], dt.load)
    assert "got 3 bytes after it" in refused(path, data + b"abc", dt.load)


def test_damage_names_the_node(path):
    header, payload = opened(graph_file(path))
    nodes = header["__metadata__"]["diptych.graph"]["graphs"][-1]["nodes"]
    number = next(i for i, node in enumerate(nodes) if node["op"] == "matmul")
    nodes[number]["inputs"].reverse()
    message = refused(path, closed(header, payload), dt.static.load)
    assert f"node {number} (matmul): matmul: " in message


@pytest.mark.parametrize("kind", FILES)
def test_a_bad_document_costs_no_memory(path, kind):
    big = np.ones(4_000_000, np.float32)
    if kind == "state":
        dt.save(path, {"big": big})
    else:
        g = dt.static.Graph()
        g.save(path, g.variable(big, "big") + 1)
    header, payload = opened(path.read_bytes())
    metadata = header["__metadata__"]
    if kind == "state":
        metadata["diptych.state"] = {"dict": {"big": {"pickle": "big"}}}
    else:
        metadata["diptych.graph"]["graphs"][-1]["nodes"][-1]["op"] = "system"
    path.write_bytes(closed(header, payload))
    del big, payload
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="must be"):
            FILES[kind][1](path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_what_a_small_file_declares_costs_no_memory(path):
    entry = {"dtype": "F32", "shape": [1 << 28], "data_offsets": [0, 1 << 30]}
    header = json.dumps({"a": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match="tensor 'a': must lie within the file, got bytes to"):
            dt.load(path, digest="optional")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# -- docs/format.md --------------------------------------------------------------------------


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", FORMAT.read_text(), re.DOTALL)


def test_the_example_of_the_documentation(path):
    build_example, reader = blocks("python")
    exec(build_example, {"dt": dt, "path": path})
    data = path.read_bytes()
    [document] = blocks("json")
    header, payload = opened(data)
    assert header["__metadata__"]["diptych.graph"] == json.loads(document)
    said = json.loads(data[8:-4])["__metadata__"]["diptych.graph"]
    assert said == document.replace("\n", "")
    assert f"The file has {len(data)} bytes: `{data[:8].hex(' ')}`" in FORMAT.read_text()
    assert f"a header of {len(data) - 12}, and `{payload.hex(' ')}`" in FORMAT.read_text()
    assert data[8:].startswith(HEAD) and hashlib.sha256(payload).hexdigest() in data.decode("latin")
    done = subprocess.run([sys.executable, "-c", reader, str(path)], capture_output=True, text=True)
    assert f"It prints `{done.stdout.strip()}`." in FORMAT.read_text()


def test_the_documentation_names_every_kind_of_value():
    said = set(re.findall(r'`\{"(\w+)":', FORMAT.read_text()))
    kinds = values.Decoder({}).kinds.keys() | {"storage", "graph", "value", "update"}
    assert kinds <= said
    assert set(layout.DTYPE_OF) <= set(re.findall(r"`([A-Z]+\d*)`", FORMAT.read_text()))
