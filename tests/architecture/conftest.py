"""The tests of the third party are its own: they run where it is installed (`test_third_party.py`)."""

collect_ignore = ["third_party"]
