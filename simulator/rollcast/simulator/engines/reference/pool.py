"""`pool`: servers that take requests in order of arrival."""

from __future__ import annotations

import heapq
from collections import deque

from rollcast.simulator.base.draws import Purpose, quantile
from rollcast.simulator.engines.reference.clock import Kind
from rollcast.simulator.engines.reference.station import Station, Visit
from rollcast.simulator.stations.profiles import PoolProfile


class Pool(Station):
    """replicas x concurrency servers, one queue. The free server with the lowest number serves next."""

    settings_model = PoolProfile

    def open(self) -> None:
        assert isinstance(self.spec.profile, PoolProfile)
        self.profile = self.spec.profile
        self.service = self.profile.service_s.encode()
        self.free = list(range(self.servers))
        self.serving: dict[int, tuple[Visit, int]] = {}  # server -> visit and its attempt
        self.queue: deque[Visit] = deque()
        self.down = 0

    @property
    def servers(self) -> int:
        assert isinstance(self.spec.profile, PoolProfile)
        return self.spec.replicas * self.spec.profile.concurrency

    def arrive(self, visit: Visit) -> None:
        if self.free:
            self._start(visit)
        elif self.profile.queue is not None and len(self.queue) >= self.profile.queue:
            self.fail(visit)
        else:
            self.queue.append(visit)
            self.note_queue(len(self.queue))
            if visit.due_s < float("inf"):
                due = (visit, visit.attempt)
                self.clock.at(visit.due_s, self.number, Kind.TIMEOUT, 0, lambda: self._late(*due))

    def _late(self, visit: Visit, attempt: int) -> None:
        if visit.attempt == attempt and self.queue and self.queue[0] is visit:
            self.queue.popleft()
            self.note_queue(len(self.queue))
            self.fail(visit)

    def service_s(self, visit: Visit) -> float:
        """How long this attempt takes."""
        drawn = quantile(
            self.service.shape, self.service.a, self.service.b, self.service.table, self.uniform(visit, Purpose.SERVICE)
        )
        tokens_s = self.profile.per_input_token_s * visit.input_tokens
        tokens_s += self.profile.per_output_token_s * visit.output_tokens
        return self.world.disturbed(self, visit, drawn + tokens_s)

    def _start(self, visit: Visit) -> None:
        server = heapq.heappop(self.free)
        self.serving[server] = (visit, visit.attempt)
        visit.start_s, visit.uses = self.now_s, visit.uses + 1
        end_s = self.now_s + self.service_s(visit)
        broken = self.world.breaks(self, visit)
        late = end_s > visit.due_s
        end_s = visit.due_s if late else end_s
        self.busy_s += end_s - self.now_s
        attempt = visit.attempt
        self.clock.at(
            end_s, self.number, Kind.END, visit.request, lambda: self._end(server, visit, attempt, not (late or broken))
        )

    def _end(self, server: int, visit: Visit, attempt: int, served: bool) -> None:
        if self.serving.get(server) != (visit, attempt):
            return  # its replica was lost meanwhile
        del self.serving[server]
        heapq.heappush(self.free, server)
        if served:
            self.finish(visit)
        else:
            self.fail(visit)
        self._next()

    def _next(self) -> None:
        while self.queue and self.free:
            visit = self.queue.popleft()
            self.note_queue(len(self.queue))
            self._start(visit)

    def change_capacity(self, replicas_down: int) -> None:
        before, self.down = self.down * self.profile.concurrency, replicas_down
        now = replicas_down * self.profile.concurrency
        lost = sorted(
            (visit.request, server, visit) for server, (visit, _) in self.serving.items() if before <= server < now
        )
        for _, server, _visit in lost:
            del self.serving[server]
        self.free = [server for server in range(self.servers) if server >= now and server not in self.serving]
        heapq.heapify(self.free)
        for _, _, visit in lost:
            self.fail(visit)
        self._next()
