"""`llm`: continuous batching, iteration by iteration, as vLLM's scheduler does it.

Each replica repeats: every decoding sequence gets its next token; what is left of the step's token budget goes to
prompts in order of arrival, a long one in chunks; the step takes the time that `StepTime` says. Where key-value tokens
run out, the sequence admitted last makes room and starts again later, its tokens to be computed again
(vLLM's recompute preemption, https://docs.vllm.ai/en/latest/design/arch_overview.html).

Prompts whose first blocks are known are computed from there on. `prefix_tokens` keeps blocks in memory of its own;
`prefix_caching` keeps them in the key-value memory (`prefix_memory`), each once however many share it.

Limits: key-value tokens are counted one by one, not in pages; with `prefix_tokens` a shared prefix saves no room.

Long because a scheduler's iteration is one algorithm.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import assert_never

from rollcast.simulator.engines.reference.clock import Kind
from rollcast.simulator.engines.reference.prefix_memory import HeldBlocks, PrefixMemory
from rollcast.simulator.engines.reference.station import Station, Visit
from rollcast.simulator.stations.profiles import LlmProfile


@dataclass(eq=False)
class Sequence:
    """A request in a replica."""

    visit: Visit
    attempt: int
    due_tokens: int  # answer tokens in all
    generated: int = 0
    computed: int = 0  # tokens whose keys and values are there
    admitted: bool = False
    aborted: bool = False
    held: HeldBlocks = field(default_factory=HeldBlocks)

    @property
    def context(self) -> int:
        """Tokens to be computed before the next token can be generated."""
        return max(self.visit.input_tokens, 1) + self.generated

    @property
    def decoding(self) -> bool:
        return self.generated > 0 and self.computed >= self.context - 1


class Replica:
    """One engine with its queue, its batch and its memory."""

    def __init__(self, station: Llm, index: int) -> None:
        self.station, self.index, self.profile = station, index, station.profile
        self.order = index - (1 << 20)  # its events come before those of requests
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # in order of admission
        self.stepping = False
        self.down = False
        self.epoch = 0
        self.busy_s = 0.0
        self.prefix: OrderedDict[int, None] = OrderedDict()
        self.memory = PrefixMemory(station.world.traffic.block_tokens) if self.profile.prefix_caching else None

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.running)

    def add(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)
        if not self.stepping:
            self.stepping = True
            epoch = self.epoch
            self.station.clock.at(
                self.station.now_s, self.station.number, Kind.START, self.order, lambda: self._begin(epoch)
            )

    def _begin(self, epoch: int) -> None:
        if epoch == self.epoch:
            self.step()

    # ---- one iteration -------------------------------------------------------------------------

    def step(self) -> None:
        """Schedules one iteration and the end of it."""
        self._forget_aborted()
        decoding, prompts = self._schedule()
        if not decoding and not prompts:
            self.stepping = False
            return
        attended = sum(sequence.computed for sequence in decoding)
        prefill = sum(chunk for _, chunk in prompts)
        before = sum(chunk * sequence.computed + chunk * (chunk - 1) // 2 for sequence, chunk in prompts)
        step = self.profile.step
        took_s = (
            step.base_s + step.prefill_token_s * prefill + step.decode_sequence_s * len(decoding)
            + step.kv_token_s * attended + step.prefill_attention_s * before
        ) + max(step.weights_s, step.token_s * (prefill + len(decoding)))  # fmt: skip
        now_s = self.station.now_s
        took_s = self.station.world.slowed(self.station, now_s, took_s)
        self.busy_s += took_s
        self.station.busy_s = sum(replica.busy_s for replica in self.station.replicas)
        epoch = self.epoch
        self.station.clock.at(
            now_s + took_s, self.station.number, Kind.END, self.order, lambda: self._end(epoch, decoding, prompts)
        )

    def _schedule(self) -> tuple[list[Sequence], list[tuple[Sequence, int]]]:
        """Who decodes, and which prompts get how many tokens, in this iteration."""
        self._evict()
        preempted = self._make_room()
        decoding = [sequence for sequence in self.running if sequence.decoding]
        budget = self.profile.max_batched_tokens - len(decoding)
        room = self.profile.kv_tokens - self._used() - len(decoding)
        prompts: list[tuple[Sequence, int]] = []
        begun = next((sequence for sequence in self.running if not sequence.decoding), None)
        if begun is not None:
            chunk = min(begun.context - begun.computed, budget, room)
            if chunk > 0:
                prompts.append((begun, chunk))
                budget, room = budget - chunk, room - chunk
            if chunk < begun.context - begun.computed:
                self.station.queue_changed()
                return decoding, prompts
        while self.waiting and not preempted and budget > 0 and len(self.running) < self.profile.max_sequences:
            sequence = self.waiting[0]
            known, taken = self._known(sequence)
            rest = sequence.context - known
            chunk = min(rest, budget)
            if taken + (rest if self.profile.whole_prompt else chunk) > room:
                break
            if chunk < rest and not self.profile.chunked_prefill:
                break
            self.waiting.popleft()
            self._admit(sequence, known)
            prompts.append((sequence, chunk))
            budget, room = budget - chunk, room - taken - chunk
            if chunk < rest:
                break
        self.station.queue_changed()
        return decoding, prompts

    def _make_room(self) -> bool:
        """Sends the sequences admitted last back to the queue until every decoding one has room for its next token."""
        preempted = False
        while True:
            decoding = sum(1 for sequence in self.running if sequence.decoding)
            if self._used() + decoding <= self.profile.kv_tokens:
                return preempted
            victim = self.running.pop()
            self._release(victim)
            victim.computed = 0
            self.waiting.appendleft(victim)
            preempted = True

    def _used(self) -> int:
        """Key-value tokens that running sequences hold."""
        tokens = sum(sequence.computed for sequence in self.running)
        return tokens if self.memory is None else tokens - self.memory.saved

    def _admit(self, sequence: Sequence, known: int) -> None:
        sequence.computed = known
        self.running.append(sequence)
        if not sequence.admitted:
            sequence.admitted = True
            sequence.visit.start_s = self.station.now_s
            sequence.visit.uses += 1
        self._use_prefix(sequence, known)

    def _end(self, epoch: int, decoding: list[Sequence], prompts: list[tuple[Sequence, int]]) -> None:
        if epoch != self.epoch:
            return  # the replica was lost meanwhile
        ended: list[Sequence] = []
        for sequence in decoding:
            sequence.computed += 1
            sequence.generated += 1
            if sequence.generated >= sequence.due_tokens:
                ended.append(sequence)
        for sequence, chunk in prompts:
            sequence.computed += chunk
            if sequence.computed == sequence.context:
                self._keep_prefix(sequence)
                if sequence.generated == 0 and not sequence.aborted:
                    sequence.visit.first_token_s = self.station.now_s
                sequence.generated += 1
                if sequence.generated >= sequence.due_tokens:
                    ended.append(sequence)
        self._evict()
        for sequence in sorted(ended, key=lambda s: s.visit.request):
            self.running.remove(sequence)
            self._release(sequence)
            if not sequence.aborted:
                sequence.aborted = True
                self.station.ended(sequence)
        self.step()

    # ---- what is left over ----------------------------------------------------------------------

    def _forget_aborted(self) -> None:
        if any(s.aborted for s in self.running) or any(s.aborted for s in self.waiting):
            gone = [s for s in self.running if s.aborted]
            for sequence in sorted(gone, key=lambda s: (s.visit.request, s.attempt)):
                self._release(sequence)
            self.running = [s for s in self.running if not s.aborted]
            self.waiting = deque(s for s in self.waiting if not s.aborted)
            self.station.queue_changed()

    def lose(self) -> list[Sequence]:
        """The replica is gone with everything in it."""
        lost = [s for s in (*self.running, *self.waiting) if not s.aborted]
        self.running, self.waiting, self.stepping, self.down = [], deque(), False, True
        self.prefix.clear()
        if self.memory is not None:
            self.memory = PrefixMemory(self.memory.block_tokens)
        self.epoch += 1
        return lost

    # ---- prefixes -------------------------------------------------------------------------------

    def _evict(self) -> None:
        """Blocks that nobody holds make room for what is held."""
        if self.memory is not None:
            self.memory.evict(self.profile.kv_tokens - self._used())

    def _release(self, sequence: Sequence) -> None:
        """A sequence that holds nothing any more."""
        if self.memory is not None:
            self.memory.release(sequence.held)

    def _known(self, sequence: Sequence) -> tuple[int, int]:
        """Prompt tokens whose keys and values are kept from earlier prompts, and the room that using them takes.

        At least one token is computed.
        """
        if self.memory is not None:
            return self.memory.known(self.station.world.blocks(sequence.visit), sequence.context - 1)
        known = 0
        for block in self.station.world.blocks(sequence.visit) if self.profile.prefix_tokens else ():
            if block not in self.prefix:
                break
            known += self.station.world.traffic.block_tokens
        known = min(known, sequence.context - 1)
        return known, known

    def _use_prefix(self, sequence: Sequence, known: int) -> None:
        if self.memory is not None:
            self.memory.hold(sequence.held, self.station.world.blocks(sequence.visit), known)
        elif known:
            for block in self.station.world.blocks(sequence.visit):
                if block not in self.prefix:
                    break
                self.prefix.move_to_end(block)

    def _keep_prefix(self, sequence: Sequence) -> None:
        if self.memory is not None:
            self.memory.keep(sequence.held, self.station.world.blocks(sequence.visit))
        if not self.profile.prefix_tokens:
            return
        most = self.profile.prefix_tokens // max(self.station.world.traffic.block_tokens, 1)
        for block in self.station.world.blocks(sequence.visit):
            self.prefix[block] = None
            self.prefix.move_to_end(block)
            if len(self.prefix) > most:
                self.prefix.popitem(last=False)


class Llm(Station):
    """Replicas; `balance` says to which of them a request goes, the first where several are as good."""

    settings_model = LlmProfile

    def open(self) -> None:
        assert isinstance(self.spec.profile, LlmProfile)
        self.profile = self.spec.profile
        self.replicas = [Replica(self, index) for index in range(self.spec.replicas)]
        self.down = self.turn = 0

    def arrive(self, visit: Visit) -> None:
        most = self.profile.kv_tokens
        if not self.profile.chunked_prefill:
            most = min(most, self.profile.max_batched_tokens)
        if max(visit.input_tokens, 1) + max(visit.output_tokens, 1) > most:
            self.fail(visit)  # it could never run
            return
        sequence = Sequence(visit, visit.attempt, max(visit.output_tokens, 1))
        if visit.due_s < float("inf"):
            self.clock.at(visit.due_s, self.number, Kind.TIMEOUT, 0, lambda: self._late(sequence))
        if self.profile.overhead_s > 0:
            at_s = self.now_s + self.profile.overhead_s
            self.clock.at(at_s, self.number, Kind.ARRIVAL, -1, lambda: self._queue(sequence))  # before new ones
        else:
            self._queue(sequence)

    def _queue(self, sequence: Sequence) -> None:
        if sequence.aborted:
            return
        up = [replica for replica in self.replicas if not replica.down]
        if not up:
            sequence.aborted = True
            self.fail(sequence.visit)
            return
        self._chosen(up).add(sequence)
        self.queue_changed()

    def _chosen(self, up: list[Replica]) -> Replica:
        """The replica that gets the next request. 4 x waiting + running is how vLLM weighs data-parallel ranks."""
        match self.profile.balance:
            case "requests":
                return min(up, key=lambda replica: replica.load)
            case "waiting":
                return min(up, key=lambda replica: 4 * len(replica.waiting) + len(replica.running))
            case "turns":
                count = len(self.replicas)
                chosen = min(up, key=lambda replica: (replica.index - self.turn) % count)
                self.turn = (chosen.index + 1) % count
                return chosen
            case _:
                assert_never(self.profile.balance)

    def _late(self, sequence: Sequence) -> None:
        if not sequence.aborted:
            sequence.aborted = True
            self.fail(sequence.visit)

    def ended(self, sequence: Sequence) -> None:
        """Its last token is there."""
        if self.world.breaks(self, sequence.visit):
            self.fail(sequence.visit)
        else:
            self.finish(sequence.visit)

    def queue_changed(self) -> None:
        self.note_queue(sum(len(replica.waiting) for replica in self.replicas))

    def change_capacity(self, replicas_down: int) -> None:
        self.down = replicas_down
        lost: list[Sequence] = []
        for replica in self.replicas:
            if replica.index < replicas_down and not replica.down:
                lost += replica.lose()
            elif replica.index >= replicas_down:
                replica.down = False
        for sequence in sorted(lost, key=lambda s: s.visit.request):
            sequence.aborted = True
            self.fail(sequence.visit)
