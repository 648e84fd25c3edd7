"""A telephone line for orders: speech comes in while it is spoken, partial transcripts go out, then a translation.

Purpose: to show a release of a speech pipeline for real. Each call is served by exactly the instances that its release
names. Read `front`, `acoustic`, `grammar`, `languages`, `pipeline`, `service`.

Not promised: a recognizer for open speech. The acoustic model is pocketsphinx's small English one, the sentences are
those of a grammar, the callers are synthetic voices, and Spanish is heard with English sounds.
"""
