"""Does with the PyPI package fhirclient what its users do, and prints what came back as one JSON object.

Usage: fhirclient_python.py BASE MARK, where MARK names what is stored.
"""

import json
import sys

from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from requests.exceptions import HTTPError

OBSERVATIONS = 9
PAGE = 3


def main(base: str, mark: str) -> dict:
    server = FHIRClient(settings={"app_id": "fireguard-tests", "api_base": base}).server
    seen = {"version": CapabilityStatement.read_from("metadata", server).fhirVersion}

    created = Patient(
        {
            "identifier": [{"system": "urn:fireguard:mrn", "value": mark}],
            "name": [{"family": "Fhirclient", "given": ["Änne"]}],
            "birthDate": "1950-02-03",
        }
    ).create(server)
    seen["created"] = created
    patient = Patient.read(created["id"], server)
    seen["read"] = patient.as_json()

    changed = Patient(patient.as_json() | {"birthDate": "1951-02-03"})
    # It has no way of its own to send the version that is to be changed.
    server.session.headers["If-Match"] = 'W/"1"'
    seen["updated"] = changed.update(server)
    # HAPI says 409 where FHIR says 412, and Fireguard puts it right.
    seen["stale"] = failure(lambda: patient.update(server))[1] in (409, 412)
    del server.session.headers["If-Match"]

    entries = [
        {
            "request": {"method": "PUT", "url": f"Observation/{mark}-{number}"},
            "resource": observation(f"{mark}-{number}", f"Patient/{patient.id}", number),
        }
        for number in range(OBSERVATIONS)
    ]
    seen["transaction"] = Bundle({"type": "transaction", "entry": entries}).create(server)

    search = Observation.where({"patient": f"Patient/{patient.id}", "_sort": "date", "_count": str(PAGE)})
    search = search.include("subject")
    pages = list(search.perform_iter(server))
    assert len(pages) == OBSERVATIONS // PAGE, f"{len(pages)} pages"
    seen["pages"] = [page.as_json() for page in pages]
    resources = list(search.perform_resources_iter(server))
    seen["resources"] = [resource.as_json() for resource in resources]
    seen["history"] = Bundle.read_from(f"Patient/{patient.id}/_history", server).as_json()
    seen["invalid"] = failure(Patient({"gender": "zzz"}).create, server)
    seen["unknown"] = failure(Patient.read, f"{mark}-nobody", server)

    for number in range(OBSERVATIONS):
        Observation({"id": f"{mark}-{number}", "status": "final", "code": {}}).delete(server)
    seen["deleted"] = patient.delete(server)
    seen["gone"] = failure(Patient.read, patient.id, server)
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


def failure(action, *arguments) -> list:
    try:
        action(*arguments)
    except (HTTPError, FHIRNotFoundException) as error:
        return [type(error).__name__, error.response.status_code, error.response.json()]
    return ["none", 0]


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
