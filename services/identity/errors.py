"""The identity service's errors and their two formats: the token endpoint's and ARM's.

Codes and sentences: docs/azure-api.md §3 (IMDS) and §3.2 (ARM).
"""

from services.chassis.errors import ErrorSpec

METADATA_MISSING = ErrorSpec("bad_request_102", 400, "Required metadata header not specified")
API_VERSION_MISSING = ErrorSpec("bad_request_100", 400, "Required api-version parameter not specified")
RESOURCE_MISSING = ErrorSpec("invalid_resource", 400, "Required parameter 'resource' is missing or empty")
IDENTITY_NOT_FOUND = ErrorSpec("invalid_request", 400, "Identity not found")
IDENTITY_AMBIGUOUS = ErrorSpec(
    "invalid_request_one", 400, "Only one of client_id, object_id and msi_res_id may be given"
)
SECRET_MISMATCH = ErrorSpec("unauthorized", 401, "The X-IDENTITY-HEADER value is missing or wrong")
NODE_OVERLOADED = ErrorSpec("service_unavailable", 503, "The service is overloaded")
TENANT_THROTTLED = ErrorSpec("too_many_requests", 429, "Tenant '{tenant}' is over its rate")
DEADLINE_EXCEEDED = ErrorSpec("deadline_exceeded", 504, "The caller's deadline passed in the queue")
ARM_NOT_FOUND = ErrorSpec(
    "ResourceNotFound",
    404,
    "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/{name}' under resource group '{group}' "
    "was not found.",
)
ARM_INVALID = ErrorSpec("InvalidParameter", 400, "{detail}")
ARM_QUOTA_EXCEEDED = ErrorSpec(
    "QuotaExceeded",
    409,
    "Operation could not be completed as it results in exceeding the approved quota: {limit} identities. "
    "Delete identities that are no longer needed.",
)
