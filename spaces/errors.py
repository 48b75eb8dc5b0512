"""The error that a person can mend: every error of wrong input, in every package, is one of these."""


class InputError(ValueError):
    """What was given cannot be used. The message says what, where, what is allowed and what to do."""
