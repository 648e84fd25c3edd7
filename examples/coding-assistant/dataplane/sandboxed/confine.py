"""Gives up what a program must not have, and becomes that program: python confine.py PROGRAM [WORD…].

What is given up, where the system allows it: the network (a namespace of its own, with no address), other programs'
files for writing, core dumps. It says which in the environment variable CONFINED, and goes on in either case.
"""

import ctypes
import os
import resource
import sys

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
NO_NEW_PRIVILEGES = 38


def main() -> None:
    system = ctypes.CDLL(None, use_errno=True)
    root = os.getuid() == 0
    cut_off = hasattr(system, "unshare") and system.unshare(NEW_NETWORK if root else NEW_USER | NEW_NETWORK) == 0
    if sys.platform == "linux":
        system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64)):
        resource.setrlimit(limit, (most, most))
    os.execve(sys.argv[1], sys.argv[1:], {"CONFINED": "no network" if cut_off else "network not cut off"})


main()
