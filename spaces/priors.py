"""What a user believes of a parameter before a search: where its good values are, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from spaces.domain_files import is_number
from spaces.domains import Choice, Domain, Fixed, Range, Value, takes
from spaces.faults import ABSENT, Fault, name_hint, near_misses

Confidence = Literal["low", "medium", "high"]
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)


@dataclass(frozen=True)
class Prior:
    """A good value, as far as the user knows. `search.policy.priors` says what a search makes of it."""

    centre: Value
    """Of the parameter's domain, for `share` a share; where a float has a step, it may be between two."""
    confidence: Confidence

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        return {"centre": self.centre, "confidence": self.confidence}


def parse_prior(given: Any, domain: Domain) -> tuple[Prior | None, list[Fault]]:
    """Reads a parameter's `prior`.

    Returns:
        The prior, or None where there is none to be had; what is wrong, with places inside the parameter.
    """
    if isinstance(domain, Fixed):
        return None, [Fault(("prior",), "must not go with fixed, where nothing is drawn", given)]
    if not isinstance(given, Mapping):
        rule = "must be a mapping such as {centre: 0.001, confidence: medium}"
        return None, [Fault(("prior",), rule, given)]
    keys = ("centre", "confidence")
    faults = [
        Fault(("prior", key), "is not known in a prior", value, name_hint(key, keys))
        for key, value in given.items()
        if key not in keys
    ]
    faults += [Fault(("prior", key), "is required") for key in keys if key not in given and not faults]
    centre, confidence = given.get("centre", ABSENT), given.get("confidence", ABSENT)
    if centre is not ABSENT:
        faults += _centre_faults(centre, domain)
    if confidence is not ABSENT and confidence not in CONFIDENCES:
        faults.append(Fault(("prior", "confidence"), f"must be one of {', '.join(CONFIDENCES)}", confidence))
    if faults:
        return None, faults
    if not isinstance(domain, Choice):
        centre = int(centre) if domain.kind == "int" else float(centre)
    return Prior(centre, cast(Confidence, confidence)), []


def _centre_faults(centre: Any, domain: Range | Choice) -> list[Fault]:
    place = ("prior", "centre")
    countable, hint = domain.values, ""
    if isinstance(domain, Choice):
        inside = takes(domain.values, centre)
        rule, hint = f"must be one of {domain.in_words()}", near_misses(centre, map(str, domain.values))
    else:
        inside = is_number(centre, domain.kind) and domain.low <= centre <= domain.high
        inside = inside and (countable is None or takes(countable, centre))
        rule = f"must be a number from {domain.in_words()}"
    return [] if inside else [Fault(place, rule, centre, hint)]
