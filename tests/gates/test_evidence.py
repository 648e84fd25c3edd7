"""Evidence is the same however it came: in one batch or many, in one process or resumed in another."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.blocks import Pairing
from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates
from rollcast.planner.gates.units import FirstOfUser, Keys
from tests.gates.streams import EVERY_KIND, MEAN, QUANTILE, RATE, draw, one_field

SPLIT = st.sampled_from([0.02, 0.1, 0.3, 0.5, 0.9])


def stage(split: float = 0.5, specs: tuple[GateSpec, ...] = EVERY_KIND) -> StageGates:
    return StageGates.start(specs, alpha=0.05, split=split, started_s=0.0)


def cut(batch: Outcomes, places: list[int]) -> list[Outcomes]:
    marks = [0, *sorted(places), len(batch)]
    return [batch.rows(slice(a, b)) for a, b in pairwise(marks)]


def kept(gates: StageGates) -> str:
    return json.dumps(gates.to_json())


@given(st.integers(0, 500), SPLIT, st.lists(st.integers(0, 600), max_size=6))
def test_cuts_into_batches_change_no_bit(seed: int, split: float, places: list[int]) -> None:
    batch = draw(600, seed=seed, split=split)
    whole, parts = stage(split), stage(split)
    whole.observe(batch)
    for part in cut(batch, places):
        parts.observe(part)
    assert kept(whole) == kept(parts)


@pytest.mark.parametrize("real_split", [0.5, 0.02])
def test_cuts_into_batches_change_no_bit_when_outcomes_pile_up(real_split: float) -> None:
    batch = draw(30_000, split=real_split)  # 2 % arrive where half is declared: the baseline piles up
    whole, parts = stage(0.5, (RATE, MEAN)), stage(0.5, (RATE, MEAN))
    whole.observe(batch)
    for part in cut(batch, list(range(0, 30_000, 777))):
        parts.observe(part)
    assert kept(whole) == kept(parts)


@given(st.integers(0, 500), SPLIT, st.integers(0, 400))
def test_a_resumed_stage_goes_on_bit_for_bit(seed: int, split: float, place: int) -> None:
    first, second = cut(draw(400, seed=seed, split=split), [place])
    unbroken, resumed = stage(split), stage(split)
    for gates in (unbroken, resumed):
        gates.observe(first)
        gates.look(20.0)
    resumed = StageGates.from_json(json.loads(kept(resumed)))
    for gates in (unbroken, resumed):
        gates.observe(second)
    assert kept(resumed) == kept(unbroken)
    assert json.dumps(unbroken.look(60.0).to_json()) == json.dumps(resumed.look(60.0).to_json())


@given(st.integers(0, 500), SPLIT)
def test_looking_changes_nothing_but_the_memory_of_proofs(seed: int, split: float) -> None:
    batch = draw(300, seed=seed, split=split)
    often, seldom = stage(split), stage(split)
    for row in range(0, 300, 50):
        often.observe(batch.rows(slice(row, row + 50)))
        often.look(float(row))
    seldom.observe(batch)
    for one, other in zip(often.gates, seldom.gates, strict=True):
        assert one.state() == other.state()


def test_memory_is_constant() -> None:
    gates, sizes = stage(0.5), []
    for part in range(6):
        gates.observe(draw(20_000, seed=part, split=0.02))
        sizes.append(sum(len(json.dumps(gate.state())) for gate in gates.gates))
    assert max(sizes) < 1.5 * sizes[0]
    assert len(gates.gates[0].pairing._baseline) < 3 * 2048  # type: ignore[attr-defined]


@given(st.lists(st.booleans(), max_size=60), st.sampled_from([(0.5, 1, 1), (0.1, 1, 9), (0.3, 3, 7)]))
def test_blocks_take_outcomes_of_each_arm_in_order(arms: list[bool], split: tuple[float, int, int]) -> None:
    pairing = Pairing(split[0])
    values = np.arange(len(arms), dtype=np.float64)
    candidate = np.array(arms, bool)
    c, b = pairing.add(candidate, values)
    blocks = min(candidate.sum() // split[1], (~candidate).sum() // split[2])
    np.testing.assert_array_equal(c.ravel(), values[candidate][: blocks * split[1]])
    np.testing.assert_array_equal(b.ravel(), values[~candidate][: blocks * split[2]])


def test_proof_of_no_worse_once_reached_stays() -> None:
    gates = stage(0.5, (RATE,))
    gates.observe(draw(8000))
    assert gates.look(800.0).verdict is Verdict.ADVANCE
    gates.observe(draw(400, seed=9, start_s=801.0, violation=(0.06, 0.02)))
    later = gates.look(850.0)
    assert later.verdict is Verdict.ADVANCE


def test_harm_after_proof_of_no_worse_still_rolls_back() -> None:
    gates = stage(0.5, (RATE,))
    gates.observe(draw(8000))
    assert gates.look(800.0).verdict is Verdict.ADVANCE
    gates.observe(draw(8000, seed=9, start_s=801.0, violation=(0.15, 0.02)))
    assert gates.look(1700.0).verdict is Verdict.ROLL_BACK


def test_worse_within_the_margin_is_what_the_margin_allows() -> None:
    gates = stage(0.5, (GateSpec(metric="violation_rate", margin=0.1),))
    gates.observe(draw(20_000, violation=(0.05, 0.02)))
    (evidence,) = gates.look(2001.0).evidences
    assert evidence.e_value_harm is not None
    assert evidence.e_value_harm > 1e6
    assert evidence.verdict is Verdict.ADVANCE


@given(st.integers(0, 1000), st.integers(1, 3000), st.sampled_from([5, 300, 100_000]))
def test_the_first_row_of_each_user_is_found_in_small_and_in_large_batches(seed: int, rows: int, keys: int) -> None:
    rng = np.random.default_rng(seed)
    units = rng.integers(0, keys, rows).astype(np.uint64)
    known, found, again = set(), FirstOfUser(), FirstOfUser()
    expected = [key not in known and not known.add(key) for key in units.tolist()]  # type: ignore[func-returns-value]
    assert found.mask(Keys.of(units)).tolist() == expected
    halves = np.concatenate([again.mask(Keys.of(part)) for part in np.split(units, [rows // 3])])
    assert halves.tolist() == expected


def test_a_table_of_users_that_fills_says_so_and_leaves_out_by_the_key_alone() -> None:
    """Whom it leaves out does not depend on the arm or on the outcome: a million users, then as many again."""
    gates, rng = stage(0.5, (RATE,)), np.random.default_rng(3)
    assert gates.guards.crowded == 0.0
    for part in range(2):
        n = 1_000_000
        candidate = rng.random(n) < 0.5
        units = rng.integers(0, 2**63, n, np.int64).astype(np.uint64)
        gates.observe(Outcomes(np.full(n, 1.0 + part), units, candidate, {"violation": (rng.random(n) < 0.1) * 1.0}))
    assert 0.8 < gates.guards.crowded < 0.9
    new, old = gates.gates[0].n
    assert abs(new - old) < 4 * (new + old) ** 0.5
    evidence = gates.look(100.0).evidences[0]
    assert evidence.candidate_estimate is not None
    assert abs(evidence.candidate_estimate - 0.1) < 4 * (0.09 / new) ** 0.5


def test_only_the_first_outcome_of_a_user_is_judged() -> None:
    gates = stage(0.5, (RATE,))
    batch = draw(500)
    again = Outcomes(batch.time_s, batch.unit, batch.candidate, {"violation": np.ones(500)})
    gates.observe(batch)
    before = gates.gates[0].state()
    gates.observe(again)
    assert gates.gates[0].state() == before
    assert sum(gates.gates[0].n) == 500


def test_a_user_s_first_known_outcome_counts_even_when_earlier_ones_are_unknown() -> None:
    gates = stage(0.5, (RATE,))
    unknown, known = one_field([True] * 3, [np.nan] * 3), one_field([True] * 3, [1.0] * 3)
    gates.observe(unknown)
    gates.observe(known)
    assert gates.gates[0].n == [3, 0]


def test_every_request_is_judged_where_the_unit_is_the_request() -> None:
    gates = stage(0.5, (GateSpec(metric="violation_rate", margin=0.02, unit="request"),))
    gates.observe(draw(500))
    gates.observe(draw(500))
    assert sum(gates.gates[0].n) == 1000


def test_what_is_left_out_does_not_depend_on_values() -> None:
    one, other = draw(3000, split=0.02), draw(3000, split=0.02)
    flipped = Outcomes(other.time_s, other.unit, other.candidate, {"violation": 1 - other.values["violation"]})
    a, b = stage(0.02, (RATE,)), stage(0.02, (RATE,))
    a.observe(one)
    b.observe(flipped)
    assert a.gates[0].n == b.gates[0].n
    assert a.gates[0].test.blocks == b.gates[0].test.blocks  # type: ignore[attr-defined]


def test_a_cost_bound_is_set_by_the_first_twenty_outcomes_alone() -> None:
    spec = GateSpec(metric="cost_usd", margin=0.002)
    one, other = stage(0.5, (spec,)), stage(0.5, (spec,))
    batch = draw(500)
    dearer = dict(batch.values) | {"cost_usd": batch.values["cost_usd"] * np.where(np.arange(500) < 20, 1, 50)}
    one.observe(batch)
    other.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, dearer))
    assert one.gates[0].bounds == other.gates[0].bounds  # type: ignore[attr-defined]
    expected = 10 * batch.values["cost_usd"][:20].mean()
    assert one.gates[0].bounds[1] == pytest.approx(expected)  # type: ignore[attr-defined]


def test_one_huge_cost_proves_nothing() -> None:
    gates = stage(0.5, (GateSpec(metric="cost_usd", margin=0.002),))
    batch = draw(2000)
    spiked = batch.values["cost_usd"].copy()
    spiked[np.flatnonzero(batch.candidate)[100]] = 1e6
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, {"cost_usd": spiked}))
    assert gates.look(200.0).verdict is not Verdict.ROLL_BACK


@pytest.mark.parametrize("spec", EVERY_KIND, ids=lambda spec: spec.metric)
def test_each_kind_proves_harm(spec: GateSpec) -> None:
    gates = stage(0.5, (spec,))
    batch = draw(6000, violation=(0.08, 0.02), slower=1.6)
    values = dict(batch.values)
    values["satisfaction"] = np.where(batch.candidate, values["satisfaction"] * 0.85, values["satisfaction"])
    values["cost_usd"] = np.where(batch.candidate, values["cost_usd"] * 1.5, values["cost_usd"])
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, values))
    assert gates.look(600.0).verdict is Verdict.ROLL_BACK


@pytest.mark.parametrize("spec", EVERY_KIND, ids=lambda spec: spec.metric)
def test_each_kind_proves_no_worse(spec: GateSpec) -> None:
    gates = stage(0.5, (spec,))
    gates.observe(draw(12_000, every_s=0.02))
    verdict = gates.look(240.0)
    assert verdict.verdict is Verdict.ADVANCE, verdict.sentence
    (evidence,) = verdict.evidences
    assert evidence.interval is not None
    assert evidence.interval[0] <= evidence.difference <= evidence.interval[1]  # type: ignore[operator]


@pytest.mark.parametrize("spec", EVERY_KIND, ids=lambda spec: spec.metric)
def test_better_is_never_harm(spec: GateSpec) -> None:
    gates = stage(0.5, (spec,))
    batch = draw(6000, violation=(0.01, 0.08), slower=0.6)
    values = dict(batch.values)
    values["satisfaction"] = np.where(batch.candidate, values["satisfaction"], values["satisfaction"] * 0.85)
    values["cost_usd"] = np.where(batch.candidate, values["cost_usd"] * 0.6, values["cost_usd"])
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, values))
    assert gates.look(600.0).verdict is Verdict.ADVANCE


def test_a_wider_quantile_gate_never_uses_the_mean() -> None:
    gates = stage(0.5, (QUANTILE,))
    batch = draw(4000)
    slow = batch.values["latency_s"].copy()
    slow[np.flatnonzero(batch.candidate)[:20]] = 1e4  # one per cent of the arm: the mean explodes, p95 hardly moves
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, {"latency_s": slow}))
    assert gates.look(400.0).verdict is not Verdict.ROLL_BACK
