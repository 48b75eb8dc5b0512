"""Pictures: found (`sources`), decoded (`decode`), kept once a node (`cache`), split, served in batches.

`prepare` turns a folder into a split that is written down; `load` opens the pictures of such a split.
"""

from trainables.data.cache import (
    Progress,
    build_or_open,
    build_or_open_each,
    short_side_px,
)
from trainables.data.cache_folder import Cache
from trainables.data.canvas import on_canvases
from trainables.data.dataset import Dataset, Pictures, Prepared, load, prepare
from trainables.data.decode import DecodeError, decode, decode_each
from trainables.data.errors import DataError
from trainables.data.sources import LAYOUTS, Listing, read_listing
from trainables.data.split import PARTS, SHARES, groups_of, make_split, read_split, write_split

__all__ = [
    "LAYOUTS",
    "PARTS",
    "SHARES",
    "Cache",
    "DataError",
    "Dataset",
    "DecodeError",
    "Listing",
    "Pictures",
    "Prepared",
    "Progress",
    "build_or_open",
    "build_or_open_each",
    "decode",
    "decode_each",
    "groups_of",
    "load",
    "make_split",
    "on_canvases",
    "prepare",
    "read_listing",
    "read_split",
    "short_side_px",
    "write_split",
]
