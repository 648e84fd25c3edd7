"""Reports: a plan and its forecasts as Markdown for a pull request and as one self-contained page.

Reports read frozen values and add no decision to them. The same input gives the same bytes: no clock, no absolute
path, no random id. Names come from declarations and telemetry and are hostile until escaped (see `escaping`).
"""
