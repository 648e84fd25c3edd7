"""Builds an index of help centre articles: the words of each passage, and where they stand.

Run by rollcast as the build of `verified-sources`. ROLLCAST_ARTIFACT describes the artifact, with the folders of what
it is derived from; what is to serve goes into ROLLCAST_ARTIFACT_OUT. The same articles give the same index.
"""

import json
import os
import re
from pathlib import Path

task = json.loads(Path(os.environ["ROLLCAST_ARTIFACT"]).read_text("utf-8"))
folder = next(
    Path(one["folder"]) for one in task["derived_from"] if one["artifact"].startswith("help-centre-articles@")
)
articles = [
    article
    for file in sorted(folder.glob("*.json"))
    if file.name != "manifest.json"
    for article in json.loads(file.read_text("utf-8"))
]
words: dict[str, list[int]] = {}
for number, article in enumerate(articles):
    for word in sorted(set(re.findall(r"[a-z0-9]+", f"{article['title']} {article['text']}".lower()))):
        words.setdefault(word, []).append(number)
index = {"passages": articles, "words": dict(sorted(words.items()))}
Path(os.environ["ROLLCAST_ARTIFACT_OUT"], "index.json").write_text(json.dumps(index, indent=1), "utf-8")
