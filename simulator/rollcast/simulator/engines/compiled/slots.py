"""Columns of the arrays that hold sequences (`slot`) and replicas (`replica`) of `llm` stations.

Of a sequence: request, step of its path, tokens due, tokens generated, tokens computed (as of step N0), N0, state,
epoch, aborted, replica, admitted, attempt; blocks of its prompt that it holds are the first FOUND and those from
MADE_FROM to MADE_TO. Of a replica: head, length and live length of its queue; heights of stack and heap; steps done;
decoding sequences, tokens they attend to, tokens held by all, running sequences; the prompt that is begun; stepping,
prompts of this step, down, starting.
"""

from __future__ import annotations

REQUEST, STEP, DUE, GENERATED, COMPUTED, N0, WHERE, EPOCH, ABORTED, REPLICA, ADMITTED = range(11)
FOUND, MADE_FROM, MADE_TO, ATTEMPT = range(11, 15)
HEAD, LENGTH, LIVE, STACK, HEAP, DONE, DECODING, ATTENDED, USED, RUNNING = range(10)
BEGUN, STEPPING, PROMPTS, DOWN, STARTING = range(10, 15)
FREE, HELD, WAITING, PROMPT, DECODE = range(5)
