"""How long property tests search."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SearchProfile:
    """`examples` rollouts, each walked for at most `steps` moves; a counterexample is shrunk for `shrink_s` seconds.

    The same seed tries the same.
    """

    name: str
    examples: int
    steps: int
    seed: int | None = None
    shrink_s: float = 20.0

    def with_(self, *, examples: int | None = None, seed: int | None = None) -> SearchProfile:
        """The same profile with another number of examples, or a seed."""
        return replace(self, examples=self.examples if examples is None else examples, seed=seed)


QUICK = SearchProfile("quick", 100, 40)
THOROUGH = SearchProfile("thorough", 1000, 60, shrink_s=180.0)
PROFILES = {profile.name: profile for profile in (QUICK, THOROUGH)}
