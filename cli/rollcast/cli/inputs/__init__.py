"""What commands share before they begin: options, the project, plans made or read back, guardrails.

Read `options`, `plans`, `saved`, `guardrails`.
"""
