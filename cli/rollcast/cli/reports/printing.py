"""A report on paper: its page, printed to PDF by a Chromium that is installed here.

Chromium prints the very page that is read on screen, its style for print and its charts included, so there is no second
layout to keep. It is started without network, with a profile that is thrown away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
LONGEST_S = 120.0
_REMEDY = "Install Chromium (Debian: apt-get install chromium), or write --format html and print that from a browser."


def pdf_of(page: str) -> bytes:
    """The PDF of a page of HTML. Raises StackError where no browser is installed, or it fails."""
    from rollcast.stacks.base.errors import StackError

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise StackError(f"A PDF is printed by Chromium, and none is in the PATH. {_REMEDY}")
    with tempfile.TemporaryDirectory(prefix="rollcast-print-") as folder:
        source, printed = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_text(page, "utf-8")
        words = [
            browser, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", source.as_uri(),
        ]  # fmt: skip
        if os.geteuid() == 0:
            words.insert(1, "--no-sandbox")  # which Chromium demands of root
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"{browser} did not print the report ({error}). {_REMEDY}") from None
        if done.returncode or not printed.exists():
            said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise StackError(f"{browser} did not print the report ({said[0]}). {_REMEDY}")
        return printed.read_bytes()
