"""From a plan and recorded traffic to a forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rollcast.planner.plan.models import Plan
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.engines.choice import EngineFactory, choose
from rollcast.simulator.engines.interface import Disturbances
from rollcast.simulator.forecast.detection import (
    SIZES,
    DetectionCase,
    DetectionResult,
    ask,
    detection_of,
    named,
    questions,
)
from rollcast.simulator.forecast.measures import audiences_of, members, specs_of
from rollcast.simulator.forecast.models import Detection, Forecast
from rollcast.simulator.forecast.parallel import work
from rollcast.simulator.forecast.runs import Run, RunInputs, one_run
from rollcast.simulator.forecast.summary import forecast_of
from rollcast.simulator.replay.faults import parse_faults, parse_injection, slowness
from rollcast.simulator.replay.inputs import ReplayInputs
from rollcast.simulator.replay.outcomes import Priors, drawn_metrics
from rollcast.simulator.stations.network import network_of
from rollcast.simulator.stations.profiles import LlmProfile, RemoteProfile
from rollcast.simulator.traffic.recording import Traffic

Progress = Callable[[int, int], None]  # replays finished, replays requested
DETECTION_RUNS = (10, 100)  # the fewest and the most for each regression


def simulate(
    plan: Plan,
    traffic: Traffic,
    *,
    runs: int = 1,
    seed: int = 0,
    engine: str = "auto",
    inject: Sequence[str] = (),
    faults: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    detect: int | None = None,
    harms: Sequence[str] | None = None,
) -> Forecast:
    """Replays traffic through a plan `runs` times, each with its own luck and its own draw of what is uncertain.

    `detect` is how many replays each regression gets (None: a fifth of the runs, at least 10, at most 100; 0: none);
    `harms` are the regressions, as `violation_rate=0.02@safety` (None: each gate's margin, and twice that).
    The same arguments give the same forecast, whatever the number of workers. Ctrl-C gives the forecast of the
    runs finished so far, marked `interrupted`. Raises SimulatorError (each message says what to do).
    """
    if runs < 1:
        raise SimulatorError(f"{runs} runs say nothing. Ask for at least one with --runs.")
    stage, said = stage_of(plan, traffic, engine, inject, faults)
    pieces = _pieces(stage, runs, detect, harms)
    emit = (lambda done: progress(done, len(pieces.all))) if progress is not None else (lambda done: None)
    found = work(partial(_piece, pieces, seed), range(len(pieces.all)), workers, emit)
    made = [found.results[i] for i in range(runs) if i in found.results]
    finished = [run for run in made if isinstance(run, Run)]
    if not finished:
        raise KeyboardInterrupt
    return forecast_of(
        stage, finished, seed=seed, engine=stage.maker.name, requested=runs,
        detection=_detection(pieces, found.results), interrupted=found.interrupted,
        said=[*said, *([_detected(pieces)] if pieces.questions else [])],
    )  # fmt: skip


def detect(
    plan: Plan, traffic: Traffic, harms: Sequence[str], replays: int, *, seed: int = 0, workers: int | None = None
) -> tuple[Detection, ...]:
    """How a rollout catches these regressions: what `simulate` gives with as many replays of them, without its runs."""
    stage, _ = stage_of(plan, traffic)
    pieces = _pieces(stage, 0, replays, harms)
    found = work(partial(_piece, pieces, seed), range(len(pieces.all)), workers, lambda done: None)
    if found.interrupted:
        raise KeyboardInterrupt
    return _detection(pieces, found.results)


def harms_of(plan: Plan, traffic: Traffic, texts: Sequence[str] = ()) -> tuple[str, ...]:
    """Regressions as `simulate` takes them, each of its component; of none named, twice the margin of each gate.

    Raises SimulatorError on one that can't be replayed.
    """
    stage, _ = stage_of(plan, traffic)
    found = named(stage, texts) if texts else questions(stage, SIZES[-1:])
    return tuple(str(case.injection) for case in found)


@dataclass(frozen=True)
class _Pieces:
    """Independent replays: first the runs, then those of each regression."""

    stage: RunInputs
    runs: int
    questions: tuple[DetectionCase, ...]
    each: int

    @property
    def all(self) -> range:
        return range(self.runs + len(self.questions) * self.each)


def _pieces(stage: RunInputs, runs: int, detect: int | None, harms: Sequence[str] | None) -> _Pieces:
    fewest, most = DETECTION_RUNS
    each = min(max(runs // 5, fewest), most) if detect is None else detect
    if stage.maker.name == "simpy" and detect is None:
        each = 0  # it would take longer than the forecast itself
    cases = questions(stage) if harms is None else named(stage, harms)
    return _Pieces(stage, runs, tuple(cases) if each else (), each)


def _piece(pieces: _Pieces, seed: int, number: int) -> Run | DetectionResult:
    if number < pieces.runs:
        return one_run(pieces.stage, seed, number)
    which, run = divmod(number - pieces.runs, pieces.each)
    return ask(pieces.stage, pieces.questions[which], seed, run)


def _detection(pieces: _Pieces, results: dict[int, Run | DetectionResult]) -> tuple[Detection, ...]:
    found = []
    for which, question in enumerate(pieces.questions):
        first = pieces.runs + which * pieces.each
        answers = [results[i] for i in range(first, first + pieces.each) if i in results]
        known = [answer for answer in answers if isinstance(answer, DetectionResult)]
        if known:
            found.append(detection_of(question, known))
    return tuple(found)


def _detected(pieces: _Pieces) -> str:
    return f"detection: {pieces.each} replays of each regression, in one changed component"


def stage_of(
    plan: Plan, traffic: Traffic, engine: str = "auto", inject: Sequence[str] = (), faults: Sequence[str] = ()
) -> tuple[RunInputs, list[str]]:
    """What every run of a forecast shares, and what it assumes besides. Raises SimulatorError."""
    network = network_of(plan)
    name, why = choose(engine, network)
    gates = [gate for track in plan.lines.values() for gate in track.rollout.gates]
    metrics = drawn_metrics(gates)
    injections = tuple(parse_injection(text, plan, metrics) for text in inject)
    inputs = ReplayInputs(plan, network, traffic, metrics)
    streams = any(
        isinstance(spec.profile, LlmProfile)
        or (isinstance(spec.profile, RemoteProfile) and spec.profile.first_token_s is not None)
        for spec in network.stations
    )
    injected = Disturbances(slow=slowness(injections, plan, network))
    maker = EngineFactory(network, traffic, name, parse_faults(faults, network), injected)
    audiences = {audience: members(inputs, audience) for audience in audiences_of(plan)}
    priors = Priors(plan, network, metrics, inputs.segments)
    said = [why] if why else []
    said += [f"injected: {injection}" for injection in injections] + [f"fault: {text}" for text in faults]
    return RunInputs(inputs, priors, specs_of(plan, streams), audiences, maker, injections), said
