"""Whether a running service keeps the data-plane protocol, point by point of `spec/`: `rollcast dataplane check`.

The service is called from outside as its users and its driver do, under flags that are written for the test and put
back.
Nothing of it is believed that can be seen otherwise. Read `probe`, `subject`, `points`, then the checks.
"""
