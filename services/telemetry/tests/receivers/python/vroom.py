"""Sentry's own profile parser as a judge: a profile chunk in, the application's functions with time of their own out, hottest first."""

import json
import sys

import vroomrs

# What Sentry's server adds to a chunk before it parses it.
of_the_server = {"organization_id": 1, "project_id": 1, "received": 0.0, "retention_days": 90}
chunk = json.dumps(json.load(sys.stdin) | of_the_server)
chunk = vroomrs.profile_chunk_from_json_str_and_version(chunk, "2")
chunk.normalize()
functions = chunk.extract_functions_metrics(min_depth=0, filter_system_frames=True)
functions.sort(key=lambda function: -function.get_sum_self_time_ns())
json.dump([function.get_function() for function in functions], sys.stdout)
