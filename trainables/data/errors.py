"""The error that bad data raises."""

from __future__ import annotations

from spaces.errors import InputError


class DataError(InputError):
    """The pictures cannot be used as they are; the message is written for the person who gave them."""
