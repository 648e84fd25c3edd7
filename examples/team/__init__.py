"""A team with three environments on one machine: `run.py` is the demo, `make demo-team` runs it.

`service.py` is what each environment serves, `repository.py` what is merged, `news.py` who hears of it, `people.py` who
answers, and `load.py` who uses it.
"""
