"""A plan in the languages of other tools: Markdown for a pull request, Mermaid and DOT for its graph."""
