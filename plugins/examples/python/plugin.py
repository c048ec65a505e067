"""normalise: gives written quantities their UCUM code, and telephone numbers one form.

Settings:
    units         {"mmHg": "mm[Hg]"}: what a unit that somebody typed is in UCUM, besides the usual ones below.
    unknown_unit  "keep" (as it came) or "refuse". Default "keep".
    country_code  "+49": makes "0551 39-0" to "+49551390". Without it numbers stay as they are.
"""

import re

import fireguard
from fireguard import TO_SERVER, keep, problem, read_settings, refuse, refuse_settings, replace
from wit_world import exports

UCUM = "http://unitsofmeasure.org"

# Units as devices and people write them, and their code in UCUM.
USUAL = {
    "mmHg": "mm[Hg]",
    "bpm": "/min",
    "beats/min": "/min",
    "°C": "Cel",
    "C": "Cel",
    "°F": "[degF]",
    "kg": "kg",
    "cm": "cm",
    "kg/m²": "kg/m2",
    "%": "%",
    "mg/dl": "mg/dL",
    "mg/dL": "mg/dL",
    "mmol/l": "mmol/L",
    "mmol/L": "mmol/L",
}

settings: dict = {}


class UnknownUnit(Exception):
    """A unit that is in no table, where the settings want such a resource refused."""


class Setup(exports.Setup):
    def configure(self, text, files):
        given = read_settings(text, known=["units", "unknown_unit", "country_code"])
        problems = []
        units = given.get("units", {})
        if not isinstance(units, dict) or not all(isinstance(code, str) for code in units.values()):
            problems.append(problem('a table is needed: { mmHg = "mm[Hg]" }', "/units"))
        if given.get("unknown_unit", "keep") not in ("keep", "refuse"):
            problems.append(problem('"keep" or "refuse"', "/unknown_unit"))
        country_code = given.get("country_code")
        if country_code is not None and not re.fullmatch(r"\+[1-9][0-9]{0,2}", str(country_code)):
            problems.append(problem('a country code is needed: "+49"', "/country_code"))
        if problems:
            raise refuse_settings(*problems)
        settings.update(given, units={**USUAL, **units})
        return fireguard.plan(
            fireguard.wants("resources", types=["Observation", "Patient", "Practitioner"], directions=[TO_SERVER])
        )


class Resources(exports.Resources):
    def process(self, exchange, direction, resources):
        return [judge(fireguard.loads(item.content)) for item in resources]


def judge(resource):
    try:
        if resource["resourceType"] == "Observation":
            changed = normalise_quantities(resource)
        else:
            changed = normalise_telephones(resource)
    except UnknownUnit:
        return refuse("code-invalid", "a unit has no UCUM code that is known here: give it system and code")
    return replace(resource) if changed else keep()


def normalise_quantities(element):
    """Every Quantity in the Observation: its value, components and reference ranges."""
    changed = False
    if isinstance(element, list):
        for member in element:
            changed |= normalise_quantities(member)
    elif isinstance(element, dict):
        if "value" in element and "unit" in element and not element.get("code"):
            changed |= add_code(element)
        for member in element.values():
            changed |= normalise_quantities(member)
    return changed


def add_code(quantity):
    unit = quantity["unit"]
    if not isinstance(unit, str):
        return False  # The server says what is wrong with it.
    code = settings["units"].get(unit)
    if code is None:
        if settings.get("unknown_unit") == "refuse":
            raise UnknownUnit
        return False
    quantity["system"] = UCUM
    quantity["code"] = code
    return True


def normalise_telephones(resource):
    country_code = settings.get("country_code")
    if country_code is None:
        return False
    changed = False
    contacts = [resource, *objects(resource.get("contact"))]
    for point in (point for contact in contacts for point in objects(contact.get("telecom"))):
        if point.get("system") not in ("phone", "fax", "sms") or not isinstance(point.get("value"), str):
            continue
        number = international(point["value"], country_code)
        changed |= number != point["value"]
        point["value"] = number
    return changed


def objects(value):
    """The members of a list. What is none is for the server to refuse."""
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


def international(number, country_code):
    """E.164, for what is clearly a number; everything else stays as it is."""
    digits = re.sub(r"[\s()/.-]", "", number)
    if re.fullmatch(r"\+[0-9]{7,15}", digits):
        return digits
    if re.fullmatch(r"00[1-9][0-9]{6,14}", digits):
        return "+" + digits[2:]
    if re.fullmatch(r"0[1-9][0-9]{4,12}", digits):
        return country_code + digits[1:]
    return number
