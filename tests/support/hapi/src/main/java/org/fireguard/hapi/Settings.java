package org.fireguard.hapi;

import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import org.springframework.beans.BeanWrapperImpl;
import org.springframework.beans.BeansException;

import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** The settings of this run. A misspelt name is an error: a test must never run on a default by accident. */
final class Settings {
    private static final String STORAGE_PREFIX = "storage.";

    private final Map<Setting, String> values = new EnumMap<>(Setting.class);
    private final Map<String, String> storage = new LinkedHashMap<>();

    static Settings parse(String[] arguments) {
        Settings settings = new Settings();
        for (String argument : arguments) {
            int eq = argument.indexOf('=');
            if (eq < 1) {
                throw new IllegalArgumentException("'" + argument + "' is not name=value");
            }
            settings.put(argument.substring(0, eq), argument.substring(eq + 1));
        }
        // Bean by bean, long before the database is up, so that a bad name fails at once.
        settings.applyStorage(new JpaStorageSettings());
        return settings;
    }

    static String help() {
        StringBuilder text = new StringBuilder();
        for (Setting setting : Setting.values()) {
            text.append(String.format("%-20s %s (default: %s)%n", setting.key, setting.help, setting.otherwise));
        }
        return text.append(String.format("%-20s %s%n", "storage.NAME", "any property of HAPI's JpaStorageSettings"))
                .toString();
    }

    String text(Setting setting) {
        return values.getOrDefault(setting, setting.otherwise);
    }

    int integer(Setting setting) {
        try {
            return Integer.parseInt(text(setting));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(setting.key + ": '" + text(setting) + "' is not a whole number", e);
        }
    }

    boolean flag(Setting setting) {
        return switch (text(setting)) {
            case "true" -> true;
            case "false" -> false;
            default -> throw new IllegalArgumentException(setting.key + ": '" + text(setting) + "' is not true or false");
        };
    }

    boolean postgres() {
        return text(Setting.JDBC_URL).startsWith("jdbc:postgresql:");
    }

    void applyStorage(JpaStorageSettings target) {
        BeanWrapperImpl bean = new BeanWrapperImpl(target);
        storage.forEach((name, value) -> {
            try {
                bean.setPropertyValue(name, value);
            } catch (BeansException e) {
                throw new IllegalArgumentException(STORAGE_PREFIX + name + "=" + value + ": " + e.getMessage(), e);
            }
        });
    }

    private void put(String name, String value) {
        if (name.startsWith(STORAGE_PREFIX)) {
            storage.put(name.substring(STORAGE_PREFIX.length()), value);
            return;
        }
        Setting setting = Arrays.stream(Setting.values())
                .filter(candidate -> candidate.key.equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("unknown setting '" + name + "'"));
        values.put(setting, value);
    }
}
