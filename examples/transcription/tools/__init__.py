"""Builders of artifacts, and what they and the load share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples
