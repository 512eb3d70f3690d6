"""How many examples the tests of Hypothesis try, and which."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

MANY = 20_000


def register_profiles() -> None:
    """`suite` tries the same examples in every run, however busy the machine is; `fuzz` others."""
    settings.register_profile(
        "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.register_profile(
        "fuzz", settings.get_profile("suite"), derandomize=False, max_examples=MANY, print_blob=True
    )
    settings.load_profile("suite")


def forget_constants() -> None:
    """Examples of `suite` do not depend on the modules that were imported before a test.

    Hypothesis also draws values from the constants in these. Which they are depends on the tests
    that ran before in the same process. No setting turns this off.
    """
    if settings().derandomize:
        setattr(providers, "_get_local_constants", Constants)  # noqa: B010 - mypy refuses to assign
