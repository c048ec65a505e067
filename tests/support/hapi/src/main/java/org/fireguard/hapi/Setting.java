package org.fireguard.hapi;

/** Everything that can be set, with its default. Arguments are {@code name=value}; {@code help} lists them. */
enum Setting {
    PORT("port", "0", "port to listen on; 0 takes a free one"),
    ADDRESS("address", "127.0.0.1", "address to listen on"),
    PATH("path", "/fhir", "path of the FHIR base"),
    LIFELINE("lifeline", "none", "stdin: leave as soon as standard input ends"),
    WORK("work", System.getProperty("java.io.tmpdir") + "/fireguard-hapi", "Tomcat's base directory"),
    LOG("log", "WARN", "log level of everything that is not ours"),

    THREADS("threads", "200", "Tomcat: request threads"),
    KEEP_ALIVE("keepalive.requests", "100", "Tomcat: requests before a connection is closed"),
    H2C("h2c", "false", "Tomcat: HTTP/2 without TLS"),

    JDBC_URL("jdbc.url", "jdbc:h2:mem:hapi;DB_CLOSE_DELAY=-1", "H2 or PostgreSQL"),
    JDBC_USER("jdbc.user", "sa", "database user"),
    JDBC_PASSWORD("jdbc.password", "", "database password"),
    DDL("ddl", "update", "hibernate.hbm2ddl.auto: update, create, none"),
    POOL_SIZE("pool.size", "10", "database connections"),
    POOL_WAIT("pool.wait.ms", "30000", "how long a request waits for one"),

    PAGE_DEFAULT("page.default", "20", "entries of a page without _count"),
    PAGE_MAX("page.max", "200", "largest _count"),
    PRETTY("pretty", "false", "indent answers"),
    BASE("base", "incoming", "base of links: incoming (Host), apache, apache-https (X-Forwarded-*), or a fixed URL"),
    BULK_EXPORT("bulk.export", "true", "$export"),
    BULK_IMPORT("bulk.import", "true", "$import"),
    JOBS_EVERY("jobs.every.ms", "60000", "how often bulk jobs take their next step"),
    BINARY_STORAGE("binary.storage", "false", "keep big attachments out of the resource"),
    BINARY_MIN("binary.min", "102400", "bytes from which an attachment is big"),
    CASCADE_DELETE("cascade.delete", "false", "obey X-Cascade and _cascade"),
    RETRY_CONFLICTS("retry.conflicts", "false", "obey X-Retry-On-Version-Conflict");

    final String key;
    final String otherwise;
    final String help;

    Setting(String key, String otherwise, String help) {
        this.key = key;
        this.otherwise = otherwise;
        this.help = help;
    }
}
