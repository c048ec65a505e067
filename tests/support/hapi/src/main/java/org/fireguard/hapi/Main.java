package org.fireguard.hapi;

import ca.uhn.fhir.rest.server.RestfulServer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.net.HttpURLConnection;
import java.net.URI;

/**
 * Starts one HAPI FHIR JPA server (R4) and prints one line of JSON on standard output when it answers:
 * {@code {"ready":true,"base":"http://127.0.0.1:4711/fhir","pid":1,"millis":8000}}. Logs go to standard error.
 */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 1 && arguments[0].equals("help")) {
            System.out.print(Settings.help());
            return;
        }
        PrintStream readyLine = System.out;
        System.setOut(System.err);
        Settings settings;
        try {
            settings = Settings.parse(arguments);
        } catch (IllegalArgumentException e) {
            System.err.println("fireguard-hapi: " + e.getMessage());
            System.exit(2);
            return;
        }
        // Before the first logger exists.
        System.setProperty("fireguard.hapi.log", settings.text(Setting.LOG));
        System.setProperty("org.jboss.logging.provider", "slf4j");
        if (settings.text(Setting.LIFELINE).equals("stdin")) {
            exitWithStandardInput();
        }
        try {
            String base = start(settings);
            requireMetadata(base);
            readyLine.printf(
                    "{\"ready\":true,\"base\":\"%s\",\"pid\":%d,\"millis\":%d}%n",
                    base, ProcessHandle.current().pid(), ManagementFactory.getRuntimeMXBean().getUptime());
            readyLine.flush();
        } catch (Exception e) {
            e.printStackTrace();
            // Tomcat's and Hikari's threads would keep the process alive.
            System.exit(1);
        }
    }

    private static String start(Settings settings) throws Exception {
        AnnotationConfigApplicationContext spring = new AnnotationConfigApplicationContext();
        // HAPI's own configurations define a few beans twice.
        spring.setAllowBeanDefinitionOverriding(true);
        spring.registerBean(Settings.class, () -> settings);
        spring.register(DatabaseConfig.class, StorageConfig.class, FhirConfig.class);
        spring.refresh();
        WebServer web = WebServer.start(settings, spring.getBean(RestfulServer.class));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            web.stop();
            spring.close();
        }));
        return web.base();
    }

    /** The first answer builds the CapabilityStatement: whoever waits for the ready line needs not wait again. */
    private static void requireMetadata(String base) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(base + "/metadata").toURL().openConnection();
        int status = connection.getResponseCode();
        if (status != 200) {
            throw new IOException("metadata answers " + status);
        }
        try (InputStream body = connection.getInputStream()) {
            body.transferTo(OutputStream.nullOutputStream());
        }
    }

    /** Whoever started us holds the other end: when it is gone, however it went, nobody needs this server. */
    private static void exitWithStandardInput() {
        Thread watch = new Thread(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException e) {
                // A broken pipe says the same as its end.
            }
            System.exit(0);
        }, "lifeline");
        watch.setDaemon(true);
        watch.start();
    }

    private Main() {}
}
