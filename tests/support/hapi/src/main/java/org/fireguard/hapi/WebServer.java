package org.fireguard.hapi;

import jakarta.servlet.Servlet;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.coyote.http2.Http2Protocol;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Tomcat as the official starter sets it up; whatever is not set here is Tomcat's own default. */
final class WebServer {
    private final Tomcat tomcat;
    private final String address;
    private final String path;

    private WebServer(Tomcat tomcat, String address, String path) {
        this.tomcat = tomcat;
        this.address = address;
        this.path = path;
    }

    static WebServer start(Settings settings, Servlet fhir) throws IOException, LifecycleException {
        String address = settings.text(Setting.ADDRESS);
        String path = settings.text(Setting.PATH);
        Path work = Files.createDirectories(Path.of(settings.text(Setting.WORK)));

        Connector http = new Connector("HTTP/1.1");
        http.setPort(settings.integer(Setting.PORT));
        http.setProperty("address", address);
        http.setProperty("relaxedQueryChars", "|");
        http.setProperty("maxThreads", settings.text(Setting.THREADS));
        http.setProperty("maxKeepAliveRequests", settings.text(Setting.KEEP_ALIVE));
        http.setMaxPostSize(-1);
        // Otherwise a port in use is only logged.
        http.setThrowOnFailure(true);
        if (settings.flag(Setting.H2C)) {
            http.addUpgradeProtocol(new Http2Protocol());
        }

        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(work.toString());
        tomcat.setConnector(http);
        var context = tomcat.addContext("", work.toString());
        Tomcat.addServlet(context, "fhir", fhir).setLoadOnStartup(1);
        context.addServletMappingDecoded(path + "/*", "fhir");
        tomcat.start();
        return new WebServer(tomcat, address, path);
    }

    String base() {
        return "http://" + address + ":" + tomcat.getConnector().getLocalPort() + path;
    }

    void stop() {
        try {
            tomcat.stop();
        } catch (LifecycleException e) {
            LoggerFactory.getLogger(WebServer.class).warn("stop", e);
        }
    }
}
