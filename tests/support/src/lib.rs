//! Harnesses for tests: real HAPI, a fault-injecting FHIR stand-in, clients.
