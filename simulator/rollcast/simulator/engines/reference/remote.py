"""`remote`: somebody else's service, with a latency and a rate that it allows."""

from __future__ import annotations

from rollcast.simulator.base.draws import Purpose, quantile
from rollcast.simulator.engines.reference.clock import Kind
from rollcast.simulator.engines.reference.station import Station, Visit
from rollcast.simulator.stations.profiles import RemoteProfile


class Remote(Station):
    """As many at once as come, at most `requests_per_s`: the generic cell rate algorithm (ITU-T I.371), waiting."""

    settings_model = RemoteProfile

    def open(self) -> None:
        assert isinstance(self.spec.profile, RemoteProfile)
        self.profile = self.spec.profile
        self.latency = self.profile.latency_s.encode()
        first = self.profile.first_token_s
        self.first = first.encode() if first is not None else None
        rate = self.profile.requests_per_s
        self.every_s = 1.0 / rate if rate is not None else 0.0
        self.due_s = float("-inf")  # when the next request conforms, by the rate alone

    def arrive(self, visit: Visit) -> None:
        start_s = self.now_s
        if self.every_s > 0.0:
            start_s = max(start_s, self.due_s - self.every_s * (self.profile.burst - 1))
            if start_s > visit.due_s:
                self.clock.at(visit.due_s, self.number, Kind.TIMEOUT, 0, lambda: self.fail(visit))
                return
            self.due_s = max(start_s, self.due_s) + self.every_s
        self._start(visit, start_s)

    def _start(self, visit: Visit, start_s: float) -> None:
        visit.start_s, visit.uses = start_s, visit.uses + 1
        drawn = quantile(
            self.latency.shape, self.latency.a, self.latency.b, self.latency.table, self.uniform(visit, Purpose.SERVICE)
        )
        service_s = self.world.disturbed(self, visit, drawn + self.profile.per_output_token_s * visit.output_tokens)
        if self.first is not None:
            random_draw = self.uniform(visit, Purpose.FIRST_TOKEN)
            first_s = quantile(self.first.shape, self.first.a, self.first.b, self.first.table, random_draw)
            visit.first_token_s = start_s + min(first_s, service_s)
        end_s = start_s + service_s
        late = end_s > visit.due_s
        end_s = visit.due_s if late else end_s
        self.busy_s += end_s - start_s
        served = not (late or self.world.breaks(self, visit))
        self.clock.at(
            end_s, self.number, Kind.END, visit.request, lambda: self.finish(visit) if served else self.fail(visit)
        )
