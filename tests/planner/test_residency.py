"""Residency is containment: what may serve a track's request runs only in regions that the track allows."""

from __future__ import annotations

from hypothesis import assume, given

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import releases_of, tracks_of
from rollcast.policies.strategies import declarations, plans


@given(plans())
def test_no_request_reaches_what_also_runs_where_its_line_does_not_allow(plan: Plan) -> None:
    """Every state forwards, and during a rollback; instances that a track's requests reach at the start may go on."""
    everywhere = set(plan.settings.regions)
    states = [m.serving for m in plan.milestones] + [m.serving for way in plan.rollback for m in way.milestones]
    for serving in states:
        for name, shares in serving.items():
            track = plan.lines.get(name)
            found = [plan.releases[share.release] for share in plan.start.get(name, ())]
            known = {(slot, version.instance_id) for release in found for slot, version in release.slots.items()}
            for share in shares if track is not None and track.allowed_regions else ():
                assert track is not None
                for slot, version in plan.releases[share.release].slots.items():
                    if (slot, version.instance_id) not in known:
                        assert (set(version.regions) or everywhere) <= set(track.allowed_regions)


@given(declarations())
def test_a_declaration_is_refused_just_where_a_component_runs_outside_what_its_line_allows(drawn: Declaration) -> None:
    everywhere = set(drawn.environments["prod"].regions)
    assume(everywhere)
    narrowed = drawn.model_copy(update={"allowed_regions": ("eu",)})
    tracks = tracks_of(narrowed)
    wide = any(
        (set(version.regions) or everywhere) - set(tracks[name].allowed_regions)
        for name, release in releases_of(narrowed).items()
        for version in release.slots.values()
    )
    assert any("residency:" in mistake.summary for mistake in check(narrowed)) == wide
