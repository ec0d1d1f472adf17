"""Whatever a client sends, it is either refused with a client error or can be kept and shown."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.errors import ServiceError
from services.provisioner.arm import views
from services.provisioner.arm.validation import clean, merged, packages_of, tenant_of
from services.provisioner.ids import Ref
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import EXTENSION, RESOURCE, VM, VMSS, Resource, capacity

PACKAGES = ProvisionerSettings().packages
REFS = (Ref("s", "g", VM, "a"), Ref("s", "g", VMSS, "a"), Ref("s", "g", EXTENSION, "a", "b"))

leaf = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
anything = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def one_of(*good):
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


def kept(ref: Ref, body: object, *, partial: bool):
    try:
        return clean(ref, body, "eastus", PACKAGES, partial=partial)
    except ServiceError as error:
        if error.spec.status >= 500:
            raise
        return None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(REFS), bodies, bodies)
def test_any_body_is_refused_or_kept_and_shown(ref, first, second):
    body = kept(ref, json.loads(json.dumps(first)), partial=False)
    patch = kept(ref, json.loads(json.dumps(second)), partial=True)
    if body is None:
        return
    for wanted in (body, merged(body, patch) if patch is not None else body):
        if ref.kind == VMSS:
            capacity(wanted)
        tenant_of(wanted)
        if ref.kind != EXTENSION or {"publisher", "type"} <= set(wanted["properties"]):
            packages_of(ref, wanted)
        item = Resource(ref.kind, ref.id, "eastus", "t", wanted, 0.0)
        json.dumps(views.resource(RESOURCE.read(item.to_json())), allow_nan=False)
