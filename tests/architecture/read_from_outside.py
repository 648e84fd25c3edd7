"""Names that nothing of ours reads, and why they are there all the same: the allow list of `vulture` in `make lint`.

A name that is read by nobody at all does not belong here: take it out of the code.
"""

# ruff: noqa: B018, F821

# ---- keys of a declaration and of files that people and other tools read -------------------------
tools, memory, adapter, schema_, include, tcp  # a declaration
margin_users, seconds_interval, exposed_interval, headroom, utilization_interval, queue_interval  # JSON of a forecast
serial_number  # of a bill of materials
usd_interval, duration_interval_s, requests_replayed, rate_per_s, untagged  # of a forecast, a calibration, a rollout
repeated, absurd, milliseconds, forgotten  # read by name from the table of reasons in stacks/rollout/evidence.py

generations, in_flight, running_s  # of replicas and relays in the JSON of a status report

# ---- fields that templates read -----------------------------------------------------------------
folded, searchable, drawing, subtitle, tiles, foot

# ---- called by a library, a plugin's finder, or a project -----------------------------------------
(
    __getattr__,
    preprocess_fields,
    _ok,
    obj,
    isolation_level,
    default_flow_style,
)  # Python, numba, simpy, click, sqlite3, ruamel.yaml
sync_auth_flow, artifact_type  # httpx; what refers to an OCI manifest, by which its signatures are told from the rest
on_output, on_error, info, show_secrets, delete, formatTime, datefmt  # Pulumi, logging
run_tests, FlagdFlags, JsonLines, Prometheus, Sql  # typer, and kinds that are entry points of pyproject.toml
DataPlaneEvaluator, FolderInstances, ProcessInstances, FileRegistry, VendorRegistry, Llm, Pool, Remote
KubernetesFlags, KubernetesInstances, connection_pool_maxsize  # and what the client of a cluster reads
shared_prompts, sharing  # strategies for tests of a project
ProcessStation, traffics, networks, arrive_s, install, BACKOFF  # stations and tests of a project; a number never reused

# ---- the kit, which services and their libraries call ---------------------------------------------
AsgiMiddleware, WsgiMiddleware, ReleaseCache, hits, misses, get_or_make, call_async, httpx_sync, httpx_async
requests_session, aiohttp_trace, grpc_interceptor, opentelemetry_propagator, extract, getter
do_GET, do_PUT, log_message, intercept_unary_stream, intercept_stream_unary, intercept_stream_stream

capture_signals, should_exit  # uvicorn's server, whose signals the controller takes

# ---- the relay: what gRPC calls, and what a replica says that only the driver reads ---------------
FetchAllFlags, SyncFlags, GetMetadata, kit

# ---- Pulumi's own stacks, and the engine when it attaches to a provider ----------------------------
_mode
Attach

# ---- httpx's connection pools, which call the backend that is put into them ------------------------
_network_backend

# ---- conformance suites, which a plugin's own tests subclass ------------------------------------------
(
    RegistryConformance,
    FlagsConformance,
    InstancesConformance,
    TelemetryConformance,
    EvaluatorConformance,
    StationConformance,
)
