"""Strategies for artifacts: immutable versions of the things that pipelines are made of."""

from __future__ import annotations

from hypothesis import strategies as st

from rollcast.planner.declaration.models import Artifact, ArtifactKind, Counts, Evaluation, Price

ATTACHED = (
    ArtifactKind.PROMPT_TEMPLATE,
    ArtifactKind.TOOL_SCHEMA,
    ArtifactKind.MEMORY_CUE_SET,
    ArtifactKind.STYLE_ADAPTER,
)
SERVING = (
    ArtifactKind.MODEL_WEIGHTS,
    ArtifactKind.EMBEDDING_MODEL,
    ArtifactKind.RETRIEVAL_INDEX,
    ArtifactKind.RERANKER,
    ArtifactKind.SAFETY_POLICY,
    ArtifactKind.POST_PROCESSING_RULE,
)


def names() -> st.SearchStrategy[str]:
    """Names as artifacts, components, audiences and channels have them."""
    return st.from_regex(r"[a-z][a-z0-9-]{0,11}", fullmatch=True)


def versions() -> st.SearchStrategy[str]:
    """Version texts: numbers, dates, semantic versions."""
    numbers = st.integers(1, 99).map(str)
    dates = st.builds("{}-{:02}".format, st.integers(2024, 2027), st.integers(1, 12))
    return st.one_of(numbers, dates, st.builds("{}.{}".format, st.integers(0, 9), st.integers(0, 20)))


def digests() -> st.SearchStrategy[str]:
    """Content digests."""
    return st.integers(0, 2**256 - 1).map(lambda number: f"sha256:{number:064x}")


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    """Counts of failures, overall and for some segments."""

    def counts() -> Counts:
        total = draw(st.integers(1, 2000))
        return Counts(failures=draw(st.integers(0, total)), total=total)

    whole = counts()
    segments = {name: counts() for name in draw(st.lists(st.sampled_from(("eu", "us", "beta")), max_size=2))}
    return Evaluation(failures=whole.failures, total=whole.total, segments=segments)


def prices() -> st.SearchStrategy[Price]:
    """Prices in whole thousandths of a dollar."""
    amount = st.integers(0, 50).map(lambda thousandths: thousandths / 1000)
    return st.builds(Price, usd_per_1k_input_tokens=amount, usd_per_1k_output_tokens=amount)


@st.composite
def artifacts(draw: st.DrawFn, kinds: tuple[ArtifactKind, ...] = tuple(ArtifactKind)) -> Artifact:
    """Any artifact of these kinds, without contracts."""
    metrics = st.sampled_from(("violation_rate", "error_rate", "hallucination_rate"))
    return Artifact(
        kind=draw(st.sampled_from(kinds)),
        name=draw(names()),
        version=draw(versions()),
        digest=draw(st.none() | digests()),
        evaluations=draw(st.dictionaries(metrics, evaluations(), max_size=2)),
        price=draw(prices()),
    )


__all__ = ["ATTACHED", "SERVING", "artifacts", "digests", "evaluations", "names", "prices", "versions"]
