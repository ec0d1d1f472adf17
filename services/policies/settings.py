"""Base of the policies' settings: immutable, unknown names are errors, the docstring under a field is its help."""

from pydantic import BaseModel, ConfigDict


class PolicySettings(BaseModel):
    """Plain values in seconds; a service nests these in its own settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
