"""Does with fhirpy what its users do, and prints what came back as one JSON object.

Usage: fhirpy_client.py BASE MARK, where MARK names what is stored.
"""

import json
import sys

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import BaseFHIRError

OBSERVATIONS = 13
PAGE = 4


def main(base: str, mark: str) -> dict:
    client = SyncFHIRClient(base)
    seen = {}

    patient = client.resource(
        "Patient",
        identifier=[{"system": "urn:fireguard:mrn", "value": mark}],
        name=[{"family": "Fhirpy", "given": ["Änne"]}],
        birthDate="1950-02-03",
    )
    patient.save()
    seen["created"] = patient.serialize()
    seen["read"] = client.get("Patient", patient.id)

    patient["birthDate"] = "1951-02-03"
    patient.save()
    seen["updated"] = patient.serialize()

    entries = [
        {
            "request": {"method": "PUT", "url": f"Observation/{mark}-{number}"},
            "resource": observation(f"{mark}-{number}", f"Patient/{patient.id}", number),
        }
        for number in range(OBSERVATIONS)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    seen["transaction"] = client.execute("", method="post", data=bundle)

    observations = client.resources("Observation").search(patient=f"Patient/{patient.id}").sort("date").limit(PAGE)
    found = observations.fetch_all()
    assert len(found) == OBSERVATIONS, f"{len(found)} of {OBSERVATIONS} over all pages"
    seen["pages"] = [resource.serialize() for resource in found]
    seen["count"] = observations.count()
    seen["raw"] = observations.fetch_raw()
    seen["included"] = observations.include("Observation", "subject").fetch_raw()
    by_identifier = client.resources("Patient").search(identifier=f"urn:fireguard:mrn|{mark}")
    seen["first"] = by_identifier.first().serialize()
    seen["reference"] = found[0]["subject"].to_resource().serialize()

    # Its `get_or_create` is left out: it puts the condition into the URL, where HAPI does not look for it.
    update = client.resource("Patient", identifier=patient["identifier"], active=True)
    resource, made = by_identifier.update(update)
    seen["conditional_update"] = [resource.serialize(), made]
    seen["history"] = client.execute(f"Patient/{patient.id}/_history", method="get")
    seen["invalid"] = failure(client.resource("Patient", gender="zzz").save)

    for resource in found:
        resource.delete()
    patient.delete()
    seen["gone"] = failure(lambda: client.get("Patient", patient.id))
    return seen


def observation(own: str, subject: str, number: int) -> dict:
    return {
        "resourceType": "Observation",
        "id": own,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": f"2024-03-01T08:{number:02}:00Z",
        "valueQuantity": {"value": 60.5, "unit": "1/min"},
    }


def failure(action) -> list:
    try:
        action()
    except BaseFHIRError as error:
        return [type(error).__name__, str(error)]
    return ["none"]


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
