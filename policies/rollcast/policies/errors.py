"""What can be wrong with a policy itself. A broken policy is a failure with a reason, never a pass."""

from __future__ import annotations


class PolicyError(Exception):
    """Policies that can't be used. The message says what is wrong, where and what to do."""


class NotJudged(Exception):
    """Raised by a rule that lacks what it judges by, such as a forecast. It is neither a pass nor a violation."""
