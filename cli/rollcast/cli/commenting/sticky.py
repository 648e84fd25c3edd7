"""The sticky comment: one for each project and environment, changed in place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from rollcast.cli.commenting.hosts import Comment, Host


def mark_of(*about: str) -> str:
    """The first line of the comment, invisible when rendered. `about`: what distinguishes one comment from another."""
    name = hashlib.sha256("\0".join(about).encode()).hexdigest()[:16]
    return f"<!-- rollcast {name} -->"


def keep(host: Host, mark: str, text: str, *, dry_run: bool, say: Callable[[str], None]) -> None:
    """Creates or updates the comment with this mark. A dry run reads, and says what it would write.

    Raises CommentError.
    """
    body = f"{mark}\n{text}"
    found = _own(host, mark)
    if found is not None and found.body.replace("\r\n", "\n").rstrip() == body.rstrip():
        say(f"Comment {found.id} is up to date.")
    elif dry_run:
        what = f"update comment {found.id}" if found else "write a new comment"
        say(f"Dry run: would {what} ({len(body):,} characters). Nothing was written.")
    elif found is not None:
        say(f"Comment updated: {host.update(found, body)}")
    else:
        say(f"Comment written: {host.create(body)}")


def _own(host: Host, mark: str) -> Comment | None:
    """The comment with the mark that this token's own user wrote."""
    marked = [comment for comment in host.comments() if comment.body.startswith(mark)]
    if not marked:
        return None
    me = host.me()
    return next((comment for comment in marked if comment.author == me), None)
