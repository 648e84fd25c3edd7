"""A small retrieval service whose whole configuration is one flag, resolved again for every request.

Purpose: to show a release of a pipeline for real. Each request asks the flag evaluator which release serves it, and is
served by exactly the instances which that release names, from the first component to the last.

Not promised: answers of good quality (the built-in generator only quotes), or protection from a hostile network (the
control endpoints trust whoever can reach them from this machine).
"""
