"""The router's own errors; all other responses are forwarded from a node."""

from services.chassis.errors import ErrorSpec

SHED = ErrorSpec("traffic_removed", 503, "Traffic to {region} is limited by an operator ({mode}).")
NOT_ADMITTED = ErrorSpec("not_admitted", 503, "Too few requests to {region} succeed to admit all.")
NO_NODE = ErrorSpec("no_node", 503, "No node of {region} is in rotation.")
NODE_TIMEOUT = ErrorSpec("node_timeout", 504, "A node of {region} did not answer in time.")
NODE_LOST = ErrorSpec("node_lost", 502, "The connection to a node of {region} was lost.")
UNKNOWN_REGION = ErrorSpec("unknown_region", 404, "Unknown region '{region}'; known: {known}.")
INVALID_TRAFFIC = ErrorSpec("invalid_traffic", 422, "{detail}")
