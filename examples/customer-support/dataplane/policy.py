"""The safety policy: which questions are refused, and which claims of a draft may leave.

Rules (forms of text) and a small trained classifier refuse questions. A claim leaves when its citation is one that this
version knows to check and, where it comes from a reply to a ticket, when an article says the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataplane.agent import TICKET, Claim
from dataplane.models import Classifier, load_weights
from dataplane.sources import Sources
from dataplane.text import supported
from demos.errors import BrokenMix

BY_URL, BY_EDITION = "article-url", "article-edition"
CHECK, TRUST = "check", "trust"


@dataclass(frozen=True)
class Policy:
    """`refuses`: kinds of questions; `threshold`: how probable one of them must be; `forms`: what is refused at sight;
    `citations`: the scheme that it can check; `replies`: whether an article has to say what a reply says (`check`) or
    not (`trust`); `support`: the part of a reply's words that an article's sentence must have.
    """

    classifier: Classifier
    refuses: frozenset[str]
    threshold: float
    forms: tuple[re.Pattern[str], ...]
    citations: str
    replies: str
    support: float

    def refuses_question(self, question: str) -> bool:
        """Whether a question is not answered, whatever was found."""
        if any(form.search(question) for form in self.forms):
            return True
        return self.classifier.probability(question, self.refuses) >= self.threshold

    def allowed(self, claims: Sequence[Claim], sources: Sources) -> list[Claim]:
        """The claims that may leave, with what supports them as their citation.

        Raises BrokenMix where the index cites by another scheme than this policy can check.
        """
        if sources.by_edition != (self.citations == BY_EDITION):
            has = BY_EDITION if sources.by_edition else BY_URL
            raise BrokenMix(f"The policy checks citations of {self.citations}, and the index has {has}. Release both.")
        found: dict[str, Claim] = {}
        for claim in claims:
            if (checked := self._checked(claim, sources)) is not None:
                found.setdefault(checked.text, checked)
        return list(found.values())

    def _checked(self, claim: Claim, sources: Sources) -> Claim | None:
        if not claim.citation.startswith(TICKET):
            passage = sources.by_citation.get(claim.citation)
            return claim if passage and claim.text in passage.text else None
        if self.replies == TRUST:
            return claim
        for passage in sources.passages:
            if any(supported(claim.text, sentence, self.support) for sentence in passage.sentences):
                return Claim(claim.text, passage.citation)
        return None


def load(folder: Path) -> Policy:
    """The policy in `folder`. Raises OSError, ValueError, KeyError or TypeError."""
    rules = json.loads((folder / "rules.json").read_text("utf-8"))
    if rules["citations"] not in (BY_URL, BY_EDITION) or rules["replies"] not in (CHECK, TRUST):
        raise ValueError(f"rules.json has citations {rules['citations']} and replies {rules['replies']}")
    try:
        forms = tuple(re.compile(form, re.IGNORECASE) for form in rules["forms"])
    except re.error as error:
        raise ValueError(f"a form is no regular expression ({error})") from error
    return Policy(load_weights(folder), **{**rules, "refuses": frozenset(rules["refuses"]), "forms": forms})
