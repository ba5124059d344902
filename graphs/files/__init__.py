"""Files: named arrays in a safetensors container, nested state, and graphs with their weights.

`layout` is what both sides of the container agree on, `writing` and `reading` are the sides;
`strict_json` and `values` turn Python values into text and back; `documents` and `building` do it
for graphs. `docs/format.md` says what every byte means.
"""

from .building import load_graph
from .documents import save_graph
from .layout import MOST_BYTES
from .states import load_state, save_state

__all__ = ["MOST_BYTES", "load_graph", "load_state", "save_graph", "save_state"]
