import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.instance.model.api.IIdType;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.DateTimeType;
import org.hl7.fhir.r4.model.DateType;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.Quantity;
import org.hl7.fhir.r4.model.Reference;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * Does with HAPI's own client what its users do, and prints what came back as one JSON object.
 *
 * <p>Arguments: BASE MARK [xml], where MARK names what is stored, and xml makes it speak XML. Before its first request the client reads the
 * CapabilityStatement; its {@code If-Match} is a strong tag; its {@code Accept} names XML before JSON.
 */
final class HapiClient {
    private static final int OBSERVATIONS = 9;
    private static final int PAGE = 3;

    private final FhirContext fhir = FhirContext.forR4();
    private final IParser parser = fhir.newJsonParser();
    private final ObjectMapper json = new ObjectMapper();
    private final ObjectNode seen = json.createObjectNode();
    private final IGenericClient client;
    private final String mark;

    private HapiClient(String base, String mark, boolean xml) {
        fhir.getRestfulClientFactory().setSocketTimeout(60_000);
        this.client = fhir.newRestfulGenericClient(base);
        if (xml) {
            client.setEncoding(EncodingEnum.XML);
        }
        this.mark = mark;
    }

    public static void main(String[] arguments) throws JsonProcessingException {
        HapiClient run = new HapiClient(arguments[0], arguments[1], arguments.length > 2);
        run.steps();
        new PrintStream(System.out, true, StandardCharsets.UTF_8).println(run.seen);
    }

    private void steps() throws JsonProcessingException {
        Patient patient = new Patient();
        patient.addIdentifier().setSystem("urn:fireguard:mrn").setValue(mark);
        patient.addName().setFamily("Hapiclient").addGiven("Änne");
        patient.setBirthDateElement(new DateType("1950-02-03"));
        MethodOutcome created = client.create().resource(patient).execute();
        see("created", created);
        String id = created.getId().getIdPart();

        Patient read = client.read().resource(Patient.class).withId(id).execute();
        see("read", read);
        read.setBirthDateElement(new DateType("1951-02-03"));
        // The id has the version that was read: it is sent as If-Match.
        see("updated", client.update().resource(read).execute());
        // HAPI says 409 where FHIR says 412, and Fireguard puts it right.
        int stale = failure(() -> client.update().resource(read).execute()).path(1).asInt();
        seen.put("stale", stale == 409 || stale == 412);

        Bundle transaction = new Bundle().setType(Bundle.BundleType.TRANSACTION);
        for (int number = 0; number < OBSERVATIONS; number++) {
            Observation observation = observation(id, number);
            transaction.addEntry()
                    .setResource(observation)
                    .getRequest()
                    .setMethod(Bundle.HTTPVerb.PUT)
                    .setUrl("Observation/" + observation.getIdElement().getIdPart());
        }
        see("transaction", client.transaction().withBundle(transaction).execute());

        Bundle page = client.search()
                .forResource(Observation.class)
                .where(Observation.PATIENT.hasId("Patient/" + id))
                .include(Observation.INCLUDE_SUBJECT)
                .sort().ascending(Observation.DATE)
                .count(PAGE)
                .returnBundle(Bundle.class)
                .execute();
        ArrayNode pages = seen.putArray("pages");
        while (true) {
            pages.add(tree(page));
            if (page.getLink(Bundle.LINK_NEXT) == null) {
                break;
            }
            page = client.loadPage().next(page).execute();
        }
        if (pages.size() != OBSERVATIONS / PAGE) {
            throw new IllegalStateException(pages.size() + " pages");
        }
        see("history", client.history().onInstance("Patient/" + id).returnBundle(Bundle.class).execute());
        Bundle version = client.history().onInstance("Patient/" + id).returnBundle(Bundle.class).count(1).execute();
        see("newest", version);
        see("vread", client.read().resource(Patient.class).withIdAndVersion(id, "1").execute());

        for (int number = 0; number < OBSERVATIONS; number++) {
            client.delete().resourceById("Observation", mark + "-" + number).execute();
        }
        see("deleted", client.delete().resourceById("Patient", id).execute());
        seen.set("gone", failure(() -> client.read().resource(Patient.class).withId(id).execute()));
    }

    private Observation observation(String patient, int number) {
        Observation observation = new Observation();
        observation.setId(mark + "-" + number);
        observation.setStatus(Observation.ObservationStatus.FINAL);
        observation.getCode().addCoding().setSystem("http://loinc.org").setCode("8867-4");
        observation.setSubject(new Reference("Patient/" + patient));
        observation.setEffective(new DateTimeType("2024-03-01T08:0" + number + ":00Z"));
        observation.setValue(new Quantity().setValue(60.5).setUnit("1/min"));
        return observation;
    }

    private void see(String name, MethodOutcome outcome) throws JsonProcessingException {
        ObjectNode node = seen.putObject(name);
        IIdType id = outcome.getId();
        node.put("location", id == null ? null : id.getValue());
        node.put("status", outcome.getResponseStatusCode());
        node.set("resource", tree(outcome.getResource()));
        node.set("outcome", tree(outcome.getOperationOutcome()));
    }

    private void see(String name, IBaseResource resource) throws JsonProcessingException {
        seen.set(name, tree(resource));
    }

    private JsonNode tree(IBaseResource resource) throws JsonProcessingException {
        return resource == null ? json.nullNode() : json.readTree(parser.encodeResourceToString(resource));
    }

    private JsonNode failure(Runnable action) throws JsonProcessingException {
        ArrayNode failure = json.createArrayNode();
        try {
            action.run();
        } catch (BaseServerResponseException e) {
            failure.add(e.getClass().getSimpleName()).add(e.getStatusCode()).add(tree(e.getOperationOutcome()));
        }
        return failure;
    }
}
