"""Why a comment could not be kept."""

from __future__ import annotations


class CommentError(Exception):
    """What is wrong and what to do, in two sentences."""
