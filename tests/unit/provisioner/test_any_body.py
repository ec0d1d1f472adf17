"""Whatever a client sends, it is either refused with a client error or can be kept and shown."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import ServiceError
from services.provisioner.arm import views
from services.provisioner.arm.validation import JsonBody, clean, merged, packages_of, tenant_of
from services.provisioner.ids import Ref
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import EXTENSION, RESOURCE, VM, VMSS, Resource, capacity

PACKAGES = ProvisionerSettings().packages
REFS = (Ref("s", "g", VM, "a"), Ref("s", "g", VMSS, "a"), Ref("s", "g", EXTENSION, "a", "b"))

leaf = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
anything = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def one_of(*good: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(good) | anything


extension_properties = st.fixed_dictionaries(
    {},
    optional={
        "publisher": one_of("Microsoft.Azure.Extensions"),
        "type": one_of("CustomScript"),
        "typeHandlerVersion": one_of("2.1"),
        "settings": one_of({}),
        "protectedSettings": anything,
        "provisionAfterExtensions": one_of([]),
    },
)
profile_extension = st.fixed_dictionaries(
    {}, optional={"name": one_of("n"), "properties": extension_properties | anything}
)
profile = st.fixed_dictionaries(
    {},
    optional={
        "osProfile": one_of({"adminPassword": "x"}),
        "extensionProfile": anything | st.fixed_dictionaries({"extensions": anything | st.lists(profile_extension)}),
    },
)
properties = extension_properties | anything | st.fixed_dictionaries({"virtualMachineProfile": profile | anything})
bodies = anything | st.fixed_dictionaries(
    {},
    optional={
        "location": one_of("eastus"),
        "tags": anything | st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
        "identity": anything | st.fixed_dictionaries({"type": one_of("SystemAssigned", "UserAssigned", "None")}),
        "sku": anything | st.fixed_dictionaries({"capacity": one_of(1, 1001, -1)}),
        "properties": properties,
    },
)


def kept(ref: Ref, body: object, *, partial: bool) -> JsonBody | None:
    try:
        return clean(ref, body, "eastus", PACKAGES, partial=partial)
    except ServiceError as error:
        if error.spec.status >= 500:
            raise
        return None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(REFS), bodies, st.booleans())
def test_any_body_is_taken_or_refused_with_a_client_error(ref: Ref, body: object, partial: bool) -> None:
    found = kept(ref, json.loads(json.dumps(body)), partial=partial)
    assert found is None or isinstance(body, dict)


free = st.dictionaries(st.text(max_size=5), anything, max_size=3)
good_extension = st.fixed_dictionaries(
    {"publisher": st.just("Microsoft.Azure.Extensions"), "type": st.just("CustomScript")},
    optional={"typeHandlerVersion": st.just("2.1"), "settings": free, "protectedSettings": anything},
)
good_profile = st.fixed_dictionaries(
    {},
    optional={
        "osProfile": free.map(lambda fields: {**fields, "adminPassword": "x"}),
        "extensionProfile": st.fixed_dictionaries(
            {"extensions": st.lists(st.fixed_dictionaries({"name": st.just("n"), "properties": good_extension}))}
        ),
    },
)
good_machine = st.fixed_dictionaries(
    {}, optional={"hardwareProfile": st.just({"vmSize": "Standard_D2s_v3"}), "osProfile": free}
)
good_properties = {
    VM: good_machine,
    VMSS: st.fixed_dictionaries({}, optional={"virtualMachineProfile": good_profile}),
    EXTENSION: good_extension,
}


def good_body(ref: Ref) -> st.SearchStrategy[JsonBody]:
    """Bodies that break no rule: fields with rules have good values, all others anything."""
    fields = {
        "tags": st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
        "identity": st.sampled_from([{"type": "SystemAssigned"}, {"type": "None"}]),
        "sku": st.fixed_dictionaries({"capacity": st.integers(0, 1000)}),
    }
    properties = st.tuples(free, good_properties[ref.kind]).map(lambda parts: {**parts[0], **parts[1]})
    location = st.sampled_from(("eastus", "East US"))
    return st.fixed_dictionaries({"location": location, "properties": properties}, optional=fields)


requests = st.sampled_from(REFS).flatmap(lambda ref: st.tuples(st.just(ref), good_body(ref), good_body(ref)))


@settings(max_examples=60, deadline=None)
@given(requests)
def test_any_good_body_and_any_change_of_it_are_kept_and_shown(request: tuple[Ref, JsonBody, JsonBody]) -> None:
    ref, first, second = request
    body = kept(ref, json.loads(json.dumps(first)), partial=False)
    patch = kept(ref, json.loads(json.dumps(second)), partial=True)
    assert body is not None
    assert patch is not None
    for wanted in (body, merged(body, patch)):
        assert ref.kind != VMSS or 0 <= capacity(wanted) <= 1000
        assert tenant_of(wanted) == ""
        assert set(packages_of(ref, wanted)) <= {"Microsoft.Azure.Extensions/CustomScript"}
        item = Resource(ref.kind, ref.id, "eastus", "t", wanted, 0.0)
        shown = json.loads(json.dumps(views.resource(RESOURCE.read(item.to_json())), allow_nan=False))
        assert (shown["id"], shown.get("tags")) == (ref.id, wanted.get("tags"))
