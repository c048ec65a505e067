//! De-identifies FHIR resources by rules in Microsoft's anonymizer configuration format.
