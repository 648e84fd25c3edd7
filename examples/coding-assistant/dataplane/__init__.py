"""A completion service for an editor: a function's head becomes a prompt, a small model goes on, a guard looks.

Purpose: to show a release of a coding assistant for real. Each completion is made by exactly the artifacts that its
release names, and judged by running it. Read `tokens`, `analysis`, `prompts`, `models`, `guard`, `pipeline`, `monitor`,
`sandbox`, `service`.

Not promised: help with anything but chains over lists of numbers and words, in one line, as in its training data; or a
sandbox for hostile code (see `sandbox`).
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples
