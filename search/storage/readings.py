"""The readings of a search's test part, counted: the more often it is read, the less its scores say."""

from __future__ import annotations

import json
import time

from search.storage.folder import SearchFolder


def note_reading(folder: SearchFolder, model: str, accuracy: float) -> int:
    """Notes that the test part was read for a model, and says how often that has happened."""
    line = {"time": time.time(), "model": model, "accuracy": accuracy}
    with folder.readings_file.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return count_readings(folder)


def count_readings(folder: SearchFolder) -> int:
    """How often the test part has been read so far."""
    file = folder.readings_file
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
