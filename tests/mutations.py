"""Ways to damage a file: of its bytes, and of what it says with all digests computed anew.

The second kind passes every digest, so it reaches the checks behind. Each such mutation breaks one
rule of docs/format.md by how it is made, whatever the file holds, so none can be harmless; one that
finds nothing to break in a file gives None.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import Any

HEAD = b'{"__metadata__":{"diptych.digest":"'


def opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header, with the document in it read, too, and the tensors' bytes."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header["__metadata__"]
    for key in metadata.keys() & {"diptych.sha256", "diptych.state", "diptych.graph"}:
        metadata[key] = json.loads(metadata[key])
    return header, data[8 + length :]


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def closed(header: dict[str, Any], payload: bytes) -> bytes:
    """The file of a header and tensors, with the header's digest."""
    header = copy.deepcopy(header)
    metadata = header["__metadata__"]
    metadata["diptych.digest"] = "0" * 64
    for key, value in metadata.items():
        if isinstance(value, dict | list):
            metadata[key] = text(value)
    return signed(text(header).encode(), payload)


def signed(header: bytes, payload: bytes) -> bytes:
    length = len(header).to_bytes(8, "little")
    digest = hashlib.sha256(length + header).hexdigest().encode()
    return length + header.replace(b"0" * 64, digest, 1) + payload


def resummed(header: dict[str, Any], payload: bytes) -> None:
    """Compute the digests of the tensors anew."""
    sums = header["__metadata__"]["diptych.sha256"]
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            sums[name] = hashlib.sha256(payload[start:stop]).hexdigest()


# -- bytes -----------------------------------------------------------------------------------


def _flip(data: bytearray, rng: Random) -> bytearray:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _change(data: bytearray, rng: Random) -> bytearray:
    data[rng.randrange(len(data))] = rng.randrange(256)
    return data


def _truncate(data: bytearray, rng: Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def _insert(data: bytearray, rng: Random) -> bytearray:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 16)) + data[at:]


def _delete(data: bytearray, rng: Random) -> bytearray:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 16) :]


def _duplicate(data: bytearray, rng: Random) -> bytearray:
    at, size = rng.randrange(len(data)), rng.randint(1, 64)
    return data[: at + size] + data[at : at + size] + data[at + size :]


def _swap(data: bytearray, rng: Random) -> bytearray:
    size = rng.randint(1, 64)
    a, b = sorted(rng.sample(range(len(data) // size), 2))
    a, b = a * size, b * size
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    return data


def _blank(data: bytearray, rng: Random) -> bytearray:
    at, size = rng.randrange(len(data)), rng.randint(1, 64)
    end = min(at + size, len(data))
    data[at:end] = bytes(end - at)
    return data


def _append(data: bytearray, rng: Random) -> bytearray:
    return data + rng.randbytes(rng.randint(1, 64))


BYTES = [_flip, _change, _truncate, _insert, _delete, _duplicate, _swap, _blank, _append]


def damaged(data: bytes, rng: Random) -> bytes:
    """Other bytes than these."""
    while True:
        found = bytes(rng.choice(BYTES)(bytearray(data), rng))
        if found != data:
            return found


# -- what a file says ------------------------------------------------------------------------

# A mutation takes the opened file, changes it in place, and gives the new file, or None.
Mutation = Callable[[dict[str, Any], bytes, Random], bytes | None]
SAID: dict[str, Mutation] = {}


def says(function: Mutation) -> Mutation:
    SAID[function.__name__] = function
    return function


def _tensors(header: dict[str, Any]) -> list[str]:
    return [name for name in header if name != "__metadata__"]


def _edit(header: dict[str, Any], payload: bytes, rng: Random, **members: Any) -> bytes:
    """One tensor's entry with other members."""
    header[rng.choice(_tensors(header))].update(members)
    return closed(header, payload)


@says
def size_grows(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    full = [n for n in _tensors(header) if header[n]["shape"] and 0 not in header[n]["shape"]]
    shape = header[rng.choice(full)]["shape"]
    shape[rng.randrange(len(shape))] += rng.randint(1, 9)  # more numbers, as many bytes
    return closed(header, payload)


@says
def size_is_no_size(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    return _edit(header, payload, rng, shape=[rng.choice([-1, 1.0, True, "1", None, [1]])])


@says
def size_is_absurd(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    sizes = rng.choice([[1 << 48], [1 << 62, 0], [1 << 30] * 5, [1] * 65, [10**19]])
    return _edit(header, payload, rng, shape=sizes, data_offsets=[0, 1 << 52])


@says
def width_changes(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    wide = {"F64": "F32", "I64": "I32", "F32": "F64", "BF16": "F32", "BOOL": "F16", "U64": "U8"}
    names = [n for n in _tensors(header) if header[n]["dtype"] in wide]
    names = [n for n in names if 0 not in header[n]["shape"]]
    entry = header[rng.choice(names)]
    entry["dtype"] = wide[entry["dtype"]]
    return closed(header, payload)


@says
def kind_changes(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    other = {"F32": "I32", "F64": "U64", "I64": "F64", "BOOL": "I8", "U64": "I64", "BF16": "F16"}
    entry = header[rng.choice([n for n in _tensors(header) if header[n]["dtype"] in other])]
    entry["dtype"] = other[entry["dtype"]]  # what the document says it is, it is no more
    return closed(header, payload)


@says
def dtype_is_unknown(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    return _edit(header, payload, rng, dtype=rng.choice(["F31", "f32", "", "F8_E4M3", 7, None]))


@says
def offsets_move(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    # An empty tensor may stand at any seam.
    entry = header[rng.choice([n for n in _tensors(header) if 0 not in header[n]["shape"]])]
    by = rng.choice([-4, -1, 1, 2, 8])
    entry["data_offsets"] = [offset + by for offset in entry["data_offsets"]]  # a hole, an overlap
    return closed(header, payload)


@says
def offsets_are_none(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    wrong = rng.choice([[0], [0, 1, 2], "0", [0.0, 4.0], [4, 0], None, [-4, 0]])
    return _edit(header, payload, rng, data_offsets=wrong)


@says
def entry_has_other_members(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    entry = header[rng.choice(_tensors(header))]
    if rng.random() < 0.5:
        del entry[rng.choice(list(entry))]
    else:
        entry["strides"] = [1]
    return closed(header, payload)


@says
def tensor_is_renamed(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    name = rng.choice(_tensors(header))
    header[f"{name}'"] = header.pop(name)
    sums = header["__metadata__"]["diptych.sha256"]
    if rng.random() < 0.5:
        sums[f"{name}'"] = sums.pop(name)  # then the document names none such
    return closed(header, payload)


@says
def tensor_is_named_twice(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    name = rng.choice(_tensors(header))
    entry = f",{text(name)}:{text(header[name])}}}"
    plain = closed(header, payload)
    length = int.from_bytes(plain[:8], "little")
    start = 8 + len(HEAD)
    said = plain[8:start] + b"0" * 64 + plain[start + 64 : 8 + length]
    return signed(said[:-1] + entry.encode(), payload)


@says
def tensor_stands_for_nothing(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    header["more"] = {"dtype": "U8", "shape": [0], "data_offsets": [len(payload)] * 2}
    header["__metadata__"]["diptych.sha256"]["more"] = hashlib.sha256(b"").hexdigest()
    return closed(header, payload)


@says
def bytes_follow_or_lack(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    more = rng.randint(1, 9)
    return closed(header, payload[:-more] if rng.random() < 0.5 else payload + bytes(more))


@says
def number_changes(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    data = bytearray(payload)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)  # against the tensor's own digest
    return closed(header, bytes(data))


@says
def bool_is_two(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    names = [n for n in _tensors(header) if header[n]["dtype"] == "BOOL"]
    if not names:
        return None
    start, stop = header[rng.choice(names)]["data_offsets"]
    data = bytearray(payload)
    data[rng.randrange(start, stop)] = rng.randint(2, 255)
    resummed(header, bytes(data))
    return closed(header, bytes(data))


@says
def digest_is_missing(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    sums = header["__metadata__"]["diptych.sha256"]
    choice = rng.randrange(4)
    if choice == 0:
        del sums[rng.choice(list(sums))]
    elif choice == 1:
        sums["nobody"] = "0" * 63
    elif choice == 2:
        sums[rng.choice(list(sums))] = rng.choice([None, 7, "", "A" * 64])
    else:
        del header["__metadata__"]["diptych.sha256"]
    return closed(header, payload)


@says
def version_is_another(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    header["__metadata__"]["diptych.version"] = rng.choice(["2", "0", "", "1.0", " 1", "one"])
    return closed(header, payload)


@says
def metadata_is_no_text(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    header["__metadata__"]["note"] = rng.choice([1, None, True])
    return closed(header, payload)


@says
def document_is_missing(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    metadata = header["__metadata__"]
    [key] = metadata.keys() & {"diptych.state", "diptych.graph"}
    other = {"diptych.state": "diptych.graph", "diptych.graph": "diptych.state"}[key]
    document = metadata.pop(key)
    if rng.random() < 0.5:
        metadata[other] = document  # what it is said to be, it is not
    return closed(header, payload)


@says
def document_is_no_json(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    metadata = header["__metadata__"]
    [key] = metadata.keys() & {"diptych.state", "diptych.graph"}
    said = text(metadata[key])
    inner = {"diptych.state": '{"dict":{"a":', "diptych.graph": '{"fetches":'}[key]
    metadata[key] = rng.choice([
        said[:-1], said + "}", said + said, "", "null", "NaN", inner + "NaN}}", inner + "1e999}}",
        inner + "9" * 21 + "}}", inner + '"\\ud800"}}', inner + '{"int":"1"}}}',
        "[" * 500 + "]" * 500, '{"list":' * 50 + "[]" + "}" * 50, "[" * 100_000,
        '{"a":1,' + said[1:], said.replace(":", ";", 1),
    ])  # fmt: skip
    return closed(header, payload)


@says
def header_is_none(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    data = closed(header, payload)
    length = rng.choice([0, 1, 7, 100_000_001, 1 << 40, (1 << 64) - 1, len(data)])
    return length.to_bytes(8, "little") + data[8:]


@says
def tensor_stands_for_two(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    metadata = header["__metadata__"]
    [key] = metadata.keys() & {"diptych.state", "diptych.graph"}
    references = list(every(metadata[key], "tensor"))
    if len(references) < 2:
        return None
    one, other = rng.sample(references, 2)
    one["tensor"] = other["tensor"]
    return closed(header, payload)


@says
def reference_is_wrong(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    metadata = header["__metadata__"]
    [key] = metadata.keys() & {"diptych.state", "diptych.graph"}
    tensor = rng.choice(list(every(metadata[key], "tensor")))["tensor"]
    member = rng.choice(list(tensor))
    tensor[member] = {
        "name": rng.choice(["nobody", None, 7]),
        "dtype": rng.choice(["float8", "int", None, "float128"]),
        "order": rng.choice([None, [0] * 3, [-1], [0.0], tensor["order"] + [9], "01"]),
    }[member]
    return closed(header, payload)


@says
def value_is_no_value(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
    metadata = header["__metadata__"]
    [key] = metadata.keys() & {"diptych.state", "diptych.graph"}
    objects = [o for kind in ("tensor", "storage", "dim") for o in every(metadata[key], kind)]
    chosen = rng.choice(objects)
    chosen.clear()
    chosen.update(rng.choice([
        {}, {"a": 1}, {"int": "1"}, {"int": "1e3"}, {"float": "3ff0000000000000"}, {"float": None},
        {"float": "7FF8000000000000"}, {"float": 1.0, "int": "2"}, {"complex": [1.0]},
        {"list": None}, {"dict": []}, {"slice": [0]}, {"ellipsis": 0}, {"dtype": "object"},
        {"scalar": ["float32", "00"]}, {"scalar": ["bool", "02"]}, {"device": "tpu"},
        {"device": "cpu"}, {"dim": []}, {"dim": [[1, []]]}, {"dim": [[0, [["n", 1]]]]},
        {"dim": [[1, [["n", 0]]]]}, {"dim": [[1, [["n", 65]]]]}, {"dim": [[1, [["1", 1]]]]},
        {"dim": [[1, [["n", 1], ["m", 1]]]]}, {"dim": [[1, [["a", 1]]], [1, [["b", 1]]]]},
        {"__reduce__": ["os.system", "true"]}, {"storage": 10**6}, {"graph": 10**6},
    ]))  # fmt: skip
    return closed(header, payload)


def every(value: Any, member: str) -> Any:
    """All objects of one member of this name, in a document."""
    if isinstance(value, dict):
        if value.keys() == {member}:
            yield value
        for inner in value.values():
            yield from every(inner, member)
    elif isinstance(value, list):
        for inner in value:
            yield from every(inner, member)


# -- what a graph says -----------------------------------------------------------------------


def says_of_graphs(function: Callable[[dict[str, Any], Random], Any]) -> Callable[..., Any]:
    """A mutation of a graph's document; it says False where it found nothing to break."""

    def mutation(header: dict[str, Any], payload: bytes, rng: Random) -> bytes | None:
        document = header["__metadata__"].get("diptych.graph")
        if document is None or function(document, rng) is False:
            return None
        return closed(header, payload)

    SAID[function.__name__] = mutation
    return function


def _nodes(document: Any, wanted: Any = lambda node: True) -> list[Any]:
    return [node for graph in document["graphs"] for node in graph["nodes"] if wanted(node)]


def _node(document: Any, rng: Random, wanted: Any = lambda node: True) -> Any:
    return rng.choice(_nodes(document, wanted))


def _place(document: Any, rng: Random) -> tuple[list[Any], int]:
    """A graph's nodes, and one of them that has operands."""
    places = [
        (graph["nodes"], number)
        for graph in document["graphs"]
        for number, node in enumerate(graph["nodes"])
        if node["inputs"]
    ]
    return rng.choice(places)


@says_of_graphs
def operator_is_unknown(document: dict[str, Any], rng: Random) -> Any:
    names = ["os.system", "", "Add", "placeholder ", "unique_values", None, 3, ["add"]]
    _node(document, rng)["op"] = rng.choice(names)


@says_of_graphs
def operator_takes_other_operands(document: dict[str, Any], rng: Random) -> Any:
    node = _node(document, rng, lambda n: n["op"] in ("add", "multiply", "matmul", "sum", "tanh"))
    node["inputs"] = node["inputs"] * 2  # one too many or two


@says_of_graphs
def cycle(document: dict[str, Any], rng: Random) -> Any:
    nodes, number = _place(document, rng)
    later = rng.randrange(number, len(nodes))
    rng.choice(nodes[number]["inputs"])[0] = later  # itself, or what is made after it


@says_of_graphs
def reference_leads_nowhere(document: dict[str, Any], rng: Random) -> Any:
    nodes, number = _place(document, rng)
    wrong = [[-1, 0], [number, 0], [0, 99], [0, -1], [0], [0, 0, 0], 0, None, [0.0, 0], [True, 0]]
    nodes[number]["inputs"][-1] = rng.choice(wrong)


@says_of_graphs
def attribute_is_unknown(document: dict[str, Any], rng: Random) -> Any:
    _node(document, rng)["attrs"]["shell"] = "true"


@says_of_graphs
def attribute_is_missing(document: dict[str, Any], rng: Random) -> Any:
    attrs = _node(document, rng, lambda node: node["attrs"])["attrs"]
    del attrs[rng.choice(list(attrs))]


@says_of_graphs
def attribute_is_of_another_kind(document: dict[str, Any], rng: Random) -> Any:
    # All attributes of the files that are mutated are axes, shapes, dtypes, flags, names and the
    # like, but for the number of `full`, which may be any.
    attrs = _node(document, rng, lambda node: node["attrs"].keys() - {"value"})["attrs"]
    wrong = [{"dict": {}}, {"list": [0]}, {"ellipsis": None}, {"float": 0.125}, -7, [[[]]]]
    attrs[rng.choice(sorted(attrs.keys() - {"value"}))] = rng.choice(wrong)


@says_of_graphs
def result_is_another(document: dict[str, Any], rng: Random) -> Any:
    wanted = lambda n: n["op"] not in ("placeholder", "size")  # these declare what they like
    result = rng.choice(_node(document, rng, wanted)["results"])
    part = rng.randrange(3)
    result[part] = [
        {"float32": "float64", "float64": "int8"}.get(result[0], "float16"),
        rng.choice([[*result[1], 1], [*result[1], {"dim": [[1, [["other", 1]]]]}], [-1], ["n"]]),
        rng.choice(["cuda:9", "cpu:1", "cpu", "", None, 0]),
    ][part]


@says_of_graphs
def result_is_absurd(document: dict[str, Any], rng: Random) -> Any:
    result = rng.choice(_node(document, rng)["results"])
    result[1] = rng.choice(
        [[1 << 41], [1 << 62, {"dim": [[1, [["n", 1]]]]}], [1 << 21] * 2, [1] * 65]
    )


@says_of_graphs
def results_are_more(document: dict[str, Any], rng: Random) -> Any:
    node = _node(document, rng, lambda n: n["op"] not in ("while_loop", "cond", "scan"))
    node["results"] = rng.choice([[], node["results"] * 2, None, {}])


@says_of_graphs
def member_is_missing(document: dict[str, Any], rng: Random) -> Any:
    chosen = rng.choice([document, rng.choice(document["graphs"]), *document["storages"],
                         _node(document, rng)])  # fmt: skip
    if rng.random() < 0.5:
        chosen["extra"] = None
    else:
        needed = [member for member in chosen if member not in ("when", "reads")]
        del chosen[rng.choice(needed)]


@says_of_graphs
def flag_is_none(document: dict[str, Any], rng: Random) -> Any:
    if rng.random() < 0.5:
        _node(document, rng)["recorded"] = rng.choice([0, 1, None, "true"])
    else:
        rng.choice(document["storages"])["requires_grad"] = rng.choice([0, 1, "true", []])


@says_of_graphs
def condition_is_not_an_assignments(document: dict[str, Any], rng: Random) -> Any:
    _node(document, rng, lambda node: node["op"] != "assign")["when"] = [0, 0]


@says_of_graphs
def read_is_none(document: dict[str, Any], rng: Random) -> Any:
    # Nothing but a stop_gradient reads a storage anew.
    _node(document, rng, lambda node: node["op"] != "stop_gradient")["reads"] = 0


@says_of_graphs
def variable_is_read_twice(document: dict[str, Any], rng: Random) -> Any:
    nodes = document["graphs"][-1]["nodes"]
    variable = rng.choice([node for node in nodes if node["op"] == "variable"])
    nodes.append(copy.deepcopy(variable))


@says_of_graphs
def placeholder_is_named_twice(document: dict[str, Any], rng: Random) -> Any:
    nodes = document["graphs"][-1]["nodes"]
    placeholder = copy.deepcopy(rng.choice([n for n in nodes if n["op"] == "placeholder"]))
    placeholder["attrs"]["name"] = rng.choice([placeholder["attrs"]["name"], "", None, 3])
    nodes.append(placeholder)


@says_of_graphs
def placeholder_has_no_plain_size(document: dict[str, Any], rng: Random) -> Any:
    dim = rng.choice([[[2, [["n", 1]]]], [[1, [["n", 2]]]], [[1, [["@trips0", 1]]]]])
    document["graphs"][-1]["nodes"].append(
        {"op": "placeholder", "inputs": [], "attrs": {"name": "more"},
         "results": [["float32", [{"dim": dim}], "cpu:0"]], "recorded": True}
    )  # fmt: skip


@says_of_graphs
def storage_is_another(document: dict[str, Any], rng: Random) -> Any:
    variables = _nodes(document, lambda node: node["op"] == "variable")
    one, other = rng.sample(variables, 2)
    # One storage is read twice then, and one never.
    one["attrs"]["storage"] = copy.deepcopy(other["attrs"]["storage"])


@says_of_graphs
def assignment_goes_elsewhere(document: dict[str, Any], rng: Random) -> Any:
    node = _node(document, rng, lambda node: node["op"] == "assign")
    count = len(document["storages"])
    node["attrs"]["storage"]["storage"] += rng.randrange(1, count)
    node["attrs"]["storage"]["storage"] %= count  # no longer that of its first operand


@says_of_graphs
def fetch_is_none(document: dict[str, Any], rng: Random) -> Any:
    last = len(document["graphs"][-1]["nodes"])
    document["fetches"] = rng.choice([
        1, None, "loss", {"value": [last, 0]}, {"value": [0, 1]}, {"update": [0]},
        {"update": [last]}, {"update": None}, {"list": [True]}, {"value": 0}, {"graph": 0},
    ])  # fmt: skip


@says_of_graphs
def graphs_are_none(document: dict[str, Any], rng: Random) -> Any:
    document["graphs"] = rng.choice([[], None, {}, [[]], [None], document["graphs"][:-1]])


@says_of_graphs
def body_is_another(document: dict[str, Any], rng: Random) -> Any:
    regions = _nodes(document, lambda node: "bodies" in node["attrs"])
    bodies = rng.choice(regions)["attrs"]["bodies"]
    at, count = rng.randrange(len(bodies)), len(document["graphs"])
    own = bodies[at]["graph"]
    others = [number for number in range(count - 1) if number != own]  # each is a body already
    bodies[at] = {"graph": rng.choice([count - 1, count, -1, None, rng.choice(others)])}


@says_of_graphs
def body_is_fed_otherwise(document: dict[str, Any], rng: Random) -> Any:
    region = rng.choice(_nodes(document, lambda node: "bodies" in node["attrs"]))
    feeds = region["attrs"]["feeds"]
    at = rng.randrange(len(feeds))
    feeds[at] = rng.choice(
        [[*feeds[at], 0], [*feeds[at], 10**6], [-1], None, feeds[at][:-1] + [99]]
    )


@says_of_graphs
def loop_counts_otherwise(document: dict[str, Any], rng: Random) -> Any:
    region = _node(document, rng, lambda node: "carries" in node["attrs"])
    attrs = region["attrs"]
    name = rng.choice([n for n in ("carries", "xs") if n in attrs])
    attrs[name] = rng.choice([-1, 10**6, True, {"float": 1.0}, None])
