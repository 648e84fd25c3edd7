"""What makes the artifacts of this example, and what is only needed around them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples
