"""The router's own errors; all other responses are forwarded from a node."""

from services.chassis.errors import ErrorSpec, ErrorTable

SHED = ErrorSpec("traffic_removed", 503, "Traffic to {region} is limited by an operator ({mode}).", retry_safe=True)
NOT_ADMITTED = ErrorSpec("not_admitted", 503, "Too few requests to {region} succeed to admit all.", retry_safe=True)
NO_NODE = ErrorSpec("no_node", 503, "No node of {region} is in rotation.", retry_safe=True)
NODE_TIMEOUT = ErrorSpec(
    "node_timeout", 504, "A node of {region} did not answer in time.", definite=False, retry_safe=True
)
NODE_LOST = ErrorSpec(
    "node_lost", 502, "The connection to a node of {region} was lost.", definite=False, retry_safe=True
)
UNKNOWN_REGION = ErrorSpec("unknown_region", 404, "Unknown region '{region}'; known: {known}.")
INVALID_TRAFFIC = ErrorSpec("invalid_traffic", 422, "{detail}")
TABLE = ErrorTable((SHED, NOT_ADMITTED, NO_NODE, NODE_TIMEOUT, NODE_LOST, UNKNOWN_REGION, INVALID_TRAFFIC))
