"""The blob service's errors, with Azure's codes, statuses and messages.

Those of the data plane are sent as XML with the message as reason phrase, those named `ARM_…` as JSON.
"""

from collections.abc import Mapping

from services.chassis.errors import ErrorSpec, ServiceError

_NOT_AUTHENTICATED = (
    "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
)
_CONDITION = "The condition specified using HTTP conditional header(s) is not met."
_LOCKED = "Public access is not permitted on this storage account."

PUBLIC_ACCESS_NOT_PERMITTED = ErrorSpec("PublicAccessNotPermitted", 409, _LOCKED)
RESOURCE_NOT_FOUND = ErrorSpec("ResourceNotFound", 404, "The specified resource does not exist.")
ACCOUNT_NOT_FOUND = ErrorSpec("AccountNotFound", 404, "The specified storage account does not exist.")
CONTAINER_NOT_FOUND = ErrorSpec("ContainerNotFound", 404, "The specified container does not exist.")
BLOB_NOT_FOUND = ErrorSpec("BlobNotFound", 404, "The specified blob does not exist.")
CONTAINER_EXISTS = ErrorSpec("ContainerAlreadyExists", 409, "The specified container already exists.")
BLOB_EXISTS = ErrorSpec("BlobAlreadyExists", 409, "The specified blob already exists.")
NO_AUTHENTICATION = ErrorSpec("NoAuthenticationInformation", 401, _NOT_AUTHENTICATED)
INVALID_TOKEN = ErrorSpec("InvalidAuthenticationInfo", 401, _NOT_AUTHENTICATED)
AUTHENTICATION_FAILED = ErrorSpec(
    "AuthenticationFailed",
    403,
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature.",
)
NOT_MODIFIED = ErrorSpec("ConditionNotMet", 304, _CONDITION)
CONDITION_NOT_MET = ErrorSpec("ConditionNotMet", 412, _CONDITION)
UNSATISFIABLE_CONDITION = ErrorSpec(
    "UnsatisfiableCondition", 400, "The request includes an unsatisfiable condition for this operation."
)
INVALID_RANGE = ErrorSpec("InvalidRange", 416, "The range specified is invalid for the current size of the resource.")
INVALID_HEADER = ErrorSpec(
    "InvalidHeaderValue", 400, "The value for one of the HTTP headers is not in the correct format."
)
MISSING_HEADER = ErrorSpec(
    "MissingRequiredHeader", 400, "An HTTP header that's mandatory for this request is not specified."
)
MISSING_LENGTH = ErrorSpec("MissingContentLengthHeader", 411, "You must provide the Content-Length HTTP header.")
MD5_MISMATCH = ErrorSpec(
    "Md5Mismatch",
    400,
    "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
)
BODY_TOO_LARGE = ErrorSpec(
    "RequestBodyTooLarge", 413, "The request body is too large and exceeds the maximum permissible limit."
)
INVALID_QUERY = ErrorSpec(
    "InvalidQueryParameterValue",
    400,
    "Value for one of the query parameters specified in the request URI is invalid.",
)
QUERY_OUT_OF_RANGE = ErrorSpec(
    "OutOfRangeQueryParameterValue",
    400,
    "One of the query parameters specified in the request URI is outside the permissible range.",
)
UNSUPPORTED_QUERY = ErrorSpec(
    "UnsupportedQueryParameter", 400, "One of the query parameters specified in the request URI is not supported."
)
INVALID_NAME = ErrorSpec("InvalidResourceName", 400, "The specified resource name contains invalid characters.")
NAME_LENGTH = ErrorSpec(
    "OutOfRangeInput", 400, "The specified resource name length is not within the permissible limits."
)
UNSUPPORTED_VERB = ErrorSpec("UnsupportedHttpVerb", 405, "The resource doesn't support specified Http Verb.")
INVALID_URI = ErrorSpec("InvalidUri", 400, "The requested URI does not represent any resource on the server.")
SERVER_BUSY = ErrorSpec("ServerBusy", 503, "The server is currently unable to receive requests. Please retry.")

ARM_INVALID_TOKEN = ErrorSpec("InvalidAuthenticationToken", 401, "The access token is invalid: {detail}")
ARM_KEYS_UNAVAILABLE = ErrorSpec("ServerTimeout", 503, "The keys that verify access tokens cannot be read.")
ARM_SUBSCRIPTION_NOT_FOUND = ErrorSpec(
    "SubscriptionNotFound", 404, "The subscription '{subscription}' could not be found."
)
ARM_INVALID_TYPE = ErrorSpec(
    "InvalidResourceType", 404, "The resource type could not be found in the namespace 'Microsoft.Storage': {path}."
)
ARM_GROUP_INVALID = ErrorSpec(
    "InvalidResourceGroup",
    400,
    "The provided resource group name '{group}' has invalid characters. The name can only be a letter, digit, '-', "
    "'.', '(', ')' or '_', at most 90 of them.",
)
ARM_CONTAINER_NOT_FOUND = ErrorSpec("ContainerNotFound", 404, "The specified container does not exist.")
ARM_NAME_INVALID = ErrorSpec(
    "AccountNameInvalid",
    400,
    "{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in length "
    "and use numbers and lower-case letters only.",
)
ARM_NAME_TAKEN = ErrorSpec("StorageAccountAlreadyTaken", 409, "The storage account named {name} is already taken.")
ARM_CONTAINER_NAME_INVALID = ErrorSpec("InvalidResourceName", 400, "The container name '{name}' is not valid: {detail}")
ARM_INVALID_PROPERTY = ErrorSpec("InvalidRequestPropertyValue", 400, "{detail}")
ARM_UNKNOWN_MEMBER = ErrorSpec(
    "InvalidRequestContent",
    400,
    "The request content was invalid and could not be deserialized: 'Could not find member {name} on the object.'",
)
ARM_LOCKED = ErrorSpec("PublicAccessNotPermitted", 409, _LOCKED)
ARM_THROTTLED = ErrorSpec(
    "SubscriptionRequestsThrottled",
    429,
    "Number of {kind} requests for subscription '{subscription}' exceeded the limit. Please try again after "
    "'{wait_s}' seconds.",
)


class BlobError(ServiceError):
    """An error of the data plane. `details` become further elements of the XML body, e.g. `HeaderName`."""

    def __init__(
        self, spec: ErrorSpec, *, headers: Mapping[str, str] | None = None, details: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(spec, headers=headers)
        self.details = dict(details or {})


def bad_header(name: str, value: str) -> BlobError:
    return BlobError(INVALID_HEADER, details={"HeaderName": name, "HeaderValue": value})


def bad_query(name: str, value: str, reason: str) -> BlobError:
    return BlobError(
        INVALID_QUERY, details={"QueryParameterName": name, "QueryParameterValue": value, "Reason": reason}
    )
