"""A support chat over verified articles: retrieval, an agent that drafts from what was found, a policy that checks it.

Purpose: to show a release of a support pipeline for real. Each answer is made by exactly the artifacts that its release
names. Read `text`, `models`, `sources`, `memory`, `agent`, `policy`, `pipeline`, `monitor`, `service`.

Not promised: language. The agent quotes sentences that it finds, it writes none of its own.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples
