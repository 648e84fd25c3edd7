"""`rollcast relay`: a small server between the control plane and a fleet of replicas. It keeps nothing on disk.

Downwards it serves the flags (flagd's sync over gRPC, OFREP, a long poll); upwards it collects what replicas say of
themselves and gives it to the driver. Run as many as you like: each replica acknowledges to every one of them. Read
`source`, `flags`, `evaluation`, `replicas`, `access`, `app`, `sync`, `server`.
"""
