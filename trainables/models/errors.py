"""The error of networks."""

from spaces.errors import InputError


class ModelError(InputError):
    """A network cannot be made as its recipe asks."""
