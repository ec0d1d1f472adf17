"""One tree, three layers, and errors that name the field."""

import pytest
from pydantic import Field

from services.chassis.settings import Settings, SettingsError, merge, resolve


class _Model(Settings):
    slots: int = Field(default=20, ge=1)
    name: str = "x"


def test_a_region_overrides_the_service_which_overrides_the_default() -> None:
    tree = {"svc": {"slots": 30, "name": "y"}, "regions": {"eastus": {"svc": {"slots": 100}}}}
    assert resolve(_Model, {}, "svc", "eastus") == _Model()
    assert resolve(_Model, tree, "svc", "westus") == _Model(slots=30, name="y")
    assert resolve(_Model, tree, "svc", "eastus") == _Model(slots=100, name="y")


def test_merging_changes_neither_side() -> None:
    base, overlay = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}
    assert merge(base, overlay) == {"a": {"b": 3, "c": 2}}
    assert base == {"a": {"b": 1, "c": 2}}


def test_of_several_overlays_the_last_one_wins() -> None:
    assert merge({"a": 1}, {"a": 2, "b": {"c": 1}}, {"b": {"c": 2, "d": [1]}}) == {"a": 2, "b": {"c": 2, "d": [1]}}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"slots": 0}, r"svc\.slots: .*greater than or equal to 1 \(got 0\)"),
        ({"slotz": 1}, r"svc\.slotz: unknown setting"),
        ({"slots": "many"}, r"svc\.slots: .*integer"),
    ],
)
def test_an_error_names_field_rule_and_value(values: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        resolve(_Model, {"svc": values}, "svc", "eastus")
